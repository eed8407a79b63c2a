//! `cordon serve`: the server.

use std::io;
use std::net::SocketAddr;
use std::path::Path;

use clap::Args;
use tracing_subscriber::EnvFilter;

use super::content::Place;
use super::failure::{Done, Exit, Failure};
use crate::app::{self, ServeOptions};
use crate::config::StoreUrl;

/// Arguments.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cordon serve
  cordon serve --config /etc/cordon/cordon.toml
  cordon serve --store memory: --listen 127.0.0.1:0

CORDON_LOG sets what is logged, such as `info,cordon::intake=debug`.")]
pub struct Serve {
    #[command(flatten)]
    place: Place,
    /// Where to listen, instead of what the configuration says
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Where to keep things, instead of what the configuration says: sqlite:PATH, redis://HOST:PORT or memory:
    #[arg(long, value_name = "URL", value_parser = store)]
    store: Option<StoreUrl>,
}

/// Runs it until it is told to stop.
///
/// # Errors
/// What kept it from starting.
pub async fn run(args: Serve) -> Done {
    let config = args.place.config()?;
    log(config.log_json)?;
    app::serve(
        config,
        ServeOptions {
            listen: args.listen,
            store: args.store,
        },
    )
    .await
    .map_err(Failure::from)
}

/// A store's address on the command line; a relative path is relative to the working folder.
pub(super) fn store(text: &str) -> Result<StoreUrl, String> {
    StoreUrl::parse(text, Path::new("")).map_err(|error| error.to_string())
}

/// Log lines go to stderr: stdout is for data.
pub(super) fn log(json: bool) -> Done {
    let filter = EnvFilter::try_from_env("CORDON_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(super::output::colours_on_stderr());
    let started = if json {
        lines.json().try_init()
    } else {
        lines.try_init()
    };
    started.map_err(|error| Failure::new(Exit::Failed, format!("cannot log: {error}"), ""))
}
