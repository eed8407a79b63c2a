//! `cordon store`: looking after the store itself.

use clap::{Args, Subcommand};

use super::failure::Done;
use super::{losses, migrate};

/// Arguments.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cordon store status
  cordon store recover p03 --reason 'a replica took over, INC-1234'
  cordon store migrate --from sqlite:/var/lib/cordon/cordon.db --to redis://127.0.0.1:6379")]
pub struct Store {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Says which partitions are parked, and what is missing there
    Status(losses::Status),
    /// Puts back what nodes remember of a parked partition, and lets it go on
    Recover(losses::Recover),
    /// Moves everything to another store
    Migrate(migrate::Migrate),
}

/// Runs it.
///
/// # Errors
/// What the command says.
pub async fn run(args: Store) -> Done {
    match args.command {
        Command::Status(args) => losses::status(args).await,
        Command::Recover(args) => losses::recover(args).await,
        Command::Migrate(args) => migrate::run(args).await,
    }
}
