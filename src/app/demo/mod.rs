//! `cordon demo`: three alerts, one estate, a storm of repeats and a leaver, on this machine. A real server with a real
//! store, real connectors and a real HTTP client; only the vendors are the range. Every line printed was asked of
//! the server or of the range, nothing is made up.

use anyhow::{Context as _, anyhow, bail};

use super::serve::{ServeOptions, Server};
use crate::config::StoreUrl;
use crate::range::{Range, RunningRange};

mod after;
mod desk;
mod estate;
mod parts;
mod thief;

use desk::{Desk, say};

/// What the demo does.
#[derive(Clone, Debug, Default)]
pub struct DemoOptions {
    /// Leave everything running at the end.
    pub keep: bool,
    /// Where to keep things; a database that is thrown away where nothing is said.
    pub store: Option<StoreUrl>,
}

/// Shows what Cordon does, against a range on this machine.
///
/// # Errors
/// What kept it from its end, or what did not turn out as it should.
pub async fn demo(options: DemoOptions) -> anyhow::Result<()> {
    let dir = tempfile::tempdir().context("failed to make a folder for the demo")?;
    let range = Range::start(estate::range()).await?;
    let key = random_word()?;
    let config = estate::configure(dir.path(), &range, &key)?;
    let serve = ServeOptions {
        listen: None,
        store: options.store,
    };
    let server = Server::start(&config, &serve).await?;
    let Some(token) = server.first_token.clone() else {
        bail!("this store is in use already: name an empty one with `--store`");
    };
    let desk = Desk::new(format!("http://{}", server.address), token, key)?;
    say(&format!(
        "Cordon demo: three alerts, one estate, a storm and a leaver. All of it is on this machine.\n  \
         server  {}\n  range   {} (stands in for CrowdStrike, Okta, AWS and Slack)\n          {} (a mail server)",
        desk.url,
        range.base_url(),
        range.mail_url()
    ));
    let shown = show(&desk, &range).await;
    if shown.is_ok() && options.keep {
        say(&format!(
            "\nThe server stays up. In another terminal:\n\n  export CORDON_URL={}\n  export CORDON_TOKEN={}\n  cordon runs\n\nCtrl-C ends it.",
            desk.url, desk.token
        ));
        tokio::signal::ctrl_c().await?;
    }
    server.stop().await?;
    range.stop().await;
    shown
}

async fn show(desk: &Desk, range: &RunningRange) -> anyhow::Result<()> {
    let host = parts::host(desk, range).await?;
    parts::storm(desk, range).await?;
    let account = parts::account(desk, range).await?;
    let key = parts::key(desk, range).await?;
    parts::leaver(desk, range).await?;
    after::messages(desk, range).await?;
    after::back(desk, range, [host, account, key]).await?;
    after::ledger(range)
}

fn random_word() -> anyhow::Result<String> {
    let mut bytes = [0; 24];
    getrandom::fill(&mut bytes).map_err(|error| anyhow!("failed to draw random bytes: {error}"))?;
    Ok(data_encoding::HEXLOWER.encode(&bytes))
}
