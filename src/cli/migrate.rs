//! `cordon store migrate`: everything from one store into another. Opens both itself: no server may work on either.

use std::time::{Duration, Instant};

use clap::Args;

use super::content::Place;
use super::failure::{Done, Exit, Failure};
use super::output;
use crate::app;
use crate::config::StoreUrl;

/// How often progress is said.
const SAY_EVERY: Duration = Duration::from_secs(2);

/// Arguments of `migrate`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cordon store migrate --from sqlite:/var/lib/cordon/cordon.db --to redis://127.0.0.1:6379
  cordon store migrate --from redis://127.0.0.1:6379 --to sqlite:/var/lib/cordon/cordon.db

Stop every server first. The store to fill has to be empty. Afterwards the old one is marked and is not served any more.
May be repeated after a crash. `[store]` of cordon.toml says what Redis needs: password, key, durability.")]
pub struct Migrate {
    /// The store that is
    #[arg(long, value_name = "URL", value_parser = super::serve::store)]
    from: StoreUrl,
    /// The store that is to be
    #[arg(long, value_name = "URL", value_parser = super::serve::store)]
    to: StoreUrl,
    #[command(flatten)]
    place: Place,
}

/// Runs it.
///
/// # Errors
/// Why nothing, or not everything, was moved.
pub async fn run(args: Migrate) -> Done {
    if args.from == args.to || args.from == StoreUrl::Memory || args.to == StoreUrl::Memory {
        return Err(Failure::new(
            Exit::Usage,
            "a store cannot be moved into itself, into memory or out of it",
            "name two different stores that last",
        ));
    }
    let config = args.place.config()?;
    let from = app::open_at_rest(&config, &args.from).await?;
    let to = app::open_at_rest(&config, &args.to).await?;
    let mut said = Instant::now();
    let mut told = |n: u64| {
        if said.elapsed() >= SAY_EVERY {
            output::say(&format!("{n} records so far"));
            said = Instant::now();
        }
    };
    let moved = app::migrate(&from, &to, &mut told).await?;
    output::say(&format!(
        "moved and compared: {}. Every chain was verified on both sides",
        moved.line()
    ));
    output::say(&to.about_key);
    output::say(&format!(
        "the old store is marked and is not served any more; write `[store] url = \"{}\"` and start",
        to.name
    ));
    output::data(&moved.line())
}
