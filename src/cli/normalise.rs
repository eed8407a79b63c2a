//! `cordon normalise`: the findings in a file, as a source would read it.

use std::path::PathBuf;

use clap::Args;

use super::content::{self, Place};
use super::failure::Done;
use super::{findings, output};

/// Arguments.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cordon normalise splunk alert.json
  cordon normalise example finding.json | jq '.[].title'

  cordon normalise github alert.json --header 'X-GitHub-Event: secret_scanning_alert' --answers answers.json

A message about the channel, such as a ping, prints `[]`. Nobody is asked: look-ups of a source are answered from
the file of `--answers`, or said to be skipped.")]
pub struct Normalise {
    /// A source of the configuration, or a connector that takes alerts
    source: String,
    /// File with the body of one delivery
    file: PathBuf,
    /// Print JSON, which is what is printed anyway
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    beside: findings::Beside,
    #[command(flatten)]
    place: Place,
}

/// Runs it.
///
/// # Errors
/// The file cannot be read.
pub async fn run(args: Normalise) -> Done {
    let _ = args.json;
    let config = args.place.config()?;
    let catalog = content::connectors(&config)?;
    let found = findings::of(
        &config,
        &catalog,
        &args.source,
        &content::file(&args.file)?,
        &args.beside,
    )
    .await?;
    output::json(&found)
}
