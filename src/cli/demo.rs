//! `cordon demo`: what Cordon does, on this machine alone, without any vendor.

use clap::Args;

use super::failure::{Done, Failure};
use crate::app::{self, DemoOptions};
use crate::config::StoreUrl;

/// Arguments.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cordon demo
  cordon demo --keep --store sqlite:demo.db")]
pub struct Demo {
    /// Leave server and range running at the end, to look around
    #[arg(long)]
    keep: bool,
    /// Where to keep things: sqlite:PATH or memory:, which is the default
    #[arg(long, value_name = "URL", value_parser = super::serve::store)]
    store: Option<StoreUrl>,
}

/// Runs it.
///
/// # Errors
/// What kept it from its end.
pub async fn run(args: Demo) -> Done {
    app::demo(DemoOptions {
        keep: args.keep,
        store: args.store,
    })
    .await
    .map_err(Failure::from)
}
