//! `cordon range`: stand-ins of vendors on this machine, to try playbooks against.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use super::failure::{Done, Exit, Failure};
use super::output;
use crate::digest::Digest;
use crate::range::{Host, Range, RangeConfig};

/// Arguments.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cordon range
  cordon range --listen 127.0.0.1:8799 --ledger range.jsonl

Its address is the first line on stdout. Use it as `base_url` of `[connectors.crowdstrike]`, with the client id
`range-client` and the secret `range-secret`. It keeps an account of every request that mattered.")]
pub struct RangeArgs {
    /// Where to listen: loopback only; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:8799", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// File of the effect ledger; the state is rebuilt from it
    #[arg(long, value_name = "FILE")]
    ledger: Option<PathBuf>,
    /// A host there is from the start; may be repeated
    #[arg(long = "host", value_name = "NAME")]
    hosts: Vec<String>,
}

/// An id as Falcon gives them, 32 hexadecimal digits; the same for the same name.
fn device_id(name: &str) -> String {
    Digest::of(name.as_bytes()).to_string().chars().take(32).collect()
}

/// Runs it until Ctrl-C.
///
/// # Errors
/// It cannot start.
pub async fn run(args: RangeArgs) -> Done {
    let names = if args.hosts.is_empty() {
        ["web-07", "build-03", "dc-01"].map(str::to_owned).to_vec()
    } else {
        args.hosts
    };
    let seed = names
        .iter()
        .map(|name| Host::new(device_id(name), name.as_str()))
        .collect();
    let config = RangeConfig {
        listen: args.listen,
        ledger: args.ledger,
        seed,
        ..RangeConfig::default()
    };
    let range = Range::start(config).await.map_err(|error| {
        let source = std::error::Error::source(&error).map_or(String::new(), |source| format!(": {source}"));
        Failure::new(Exit::Failed, format!("{error}{source}"), "")
    })?;
    output::data(&range.base_url())?;
    output::say(&format!(
        "the range has the hosts {}; Ctrl-C ends it",
        names.join(", ")
    ));
    let ended = tokio::signal::ctrl_c().await;
    range.stop().await;
    ended.map_err(|error| Failure::new(Exit::Failed, format!("cannot wait for Ctrl-C: {error}"), ""))
}
