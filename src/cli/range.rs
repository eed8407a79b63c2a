//! `cordon range`: stand-ins of vendors on this machine, to try playbooks against.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use super::failure::{Done, Exit, Failure};
use super::output;
use crate::range::{Range, RangeConfig, RunningRange};

/// Arguments.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cordon range
  cordon range --listen 127.0.0.1:8799 --ledger range.jsonl

Stands in for CrowdStrike, Okta, AWS, Slack and a mail server. On stdout: the `base_url` of the first four, then that of
the mail server. On stderr: what there is, and the credentials it takes. It keeps an account of every request
that mattered; `/_range/ledger` and `/_range/state` show it.")]
pub struct RangeArgs {
    /// Where to listen: loopback only; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:8799", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Where the mail server listens; the port after the other by default
    #[arg(long, value_name = "ADDRESS")]
    mail: Option<SocketAddr>,
    /// File of the effect ledger; the state is rebuilt from it
    #[arg(long, value_name = "FILE")]
    ledger: Option<PathBuf>,
    /// A host there is from the start; may be repeated
    #[arg(long = "host", value_name = "NAME")]
    hosts: Vec<String>,
}

/// The port after that of `listen`; a free one where that is free too, or is the last there is.
fn next_to(listen: SocketAddr) -> SocketAddr {
    let port = match listen.port() {
        0 => 0,
        port => port.checked_add(1).unwrap_or(0),
    };
    SocketAddr::new(listen.ip(), port)
}

/// Runs it until Ctrl-C.
///
/// # Errors
/// It cannot start.
pub async fn run(args: RangeArgs) -> Done {
    let named: Vec<&str> = args.hosts.iter().map(String::as_str).collect();
    let hosts = if named.is_empty() {
        vec!["web-07", "build-03", "dc-01"]
    } else {
        named
    };
    let mut config = RangeConfig::example(&hosts);
    config.listen = args.listen;
    config.ledger = args.ledger;
    config.mail.listen = args.mail.unwrap_or_else(|| next_to(args.listen));
    let talk = config.clone();
    let range = Range::start(config).await.map_err(|error| {
        let source = std::error::Error::source(&error).map_or(String::new(), |source| format!(": {source}"));
        Failure::new(Exit::Failed, format!("{error}{source}"), "")
    })?;
    output::data(&format!("{}\n{}", range.base_url(), range.mail_url()))?;
    output::say(&told(&talk, &range));
    let ended = tokio::signal::ctrl_c().await;
    range.stop().await;
    ended.map_err(|error| Failure::new(Exit::Failed, format!("cannot wait for Ctrl-C: {error}"), ""))
}

/// What there is, and what opens it. These secrets guard nothing but stand-ins on this machine.
fn told(config: &RangeConfig, range: &RunningRange) -> String {
    let list = |names: Vec<String>| names.join(", ");
    let hosts = list(range.hosts().into_iter().map(|host| host.hostname).collect());
    let users = list(range.users().into_iter().map(|user| user.login).collect());
    let keys = range.keys().into_iter();
    let keys = list(keys.map(|key| format!("{} of {}", key.id, key.user)).collect());
    let channels = config.slack.channels.iter();
    let channels = list(channels.map(|channel| format!("#{}", channel.name)).collect());
    let (client, secret) = &config.credentials;
    format!(
        "the range stands in for\n  \
         crowdstrike  client id `{client}`, secret `{}`; hosts {hosts}\n  \
         okta         SSWS token `{}`; users {users}\n  \
         aws          key `{}`, secret `{}`; keys {keys}\n  \
         slack        token `{}`; channels {channels}\n  \
         mail         user `{}`, password `{}`, no TLS\n\
         Ctrl-C ends it",
        secret.expose(),
        config.okta.token.expose(),
        config.aws.access_key_id,
        config.aws.secret_access_key.expose(),
        config.slack.token.expose(),
        config.mail.user,
        config.mail.password.expose(),
    )
}
