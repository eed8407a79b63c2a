//! The servers: kept up, killed at random moments, and started again.

use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

use cordon::clock::{Clock as _, SystemClock};
use tokio::sync::watch;

use super::form::Form;
use super::server::{Ended, Server};

/// A death and what came of it.
#[derive(Clone, Copy, Debug)]
pub struct Death {
    /// When it was killed.
    pub killed_ms: i64,
    /// When the next one was started in its place.
    pub started_ms: i64,
    /// From its start to its first answerable moment, ms.
    pub up_ms: u64,
}

pub struct Nodes<'a> {
    dirs: Vec<&'a Path>,
    servers: Vec<Server>,
    /// Where each listens, while it does.
    urls: watch::Sender<Vec<Option<String>>>,
}

impl<'a> Nodes<'a> {
    /// Starts one in each folder, one after the other.
    pub async fn start(dirs: Vec<&'a Path>) -> Nodes<'a> {
        let mut servers = Vec::new();
        for dir in &dirs {
            servers.push(started(dir).await);
        }
        let urls = servers.iter().map(|server| Some(server.url.clone())).collect();
        Nodes {
            dirs,
            servers,
            urls: watch::channel(urls).0,
        }
    }

    /// The token that the first start printed.
    pub fn token(&self) -> String {
        self.servers
            .iter()
            .find_map(|server| server.token.clone())
            .unwrap()
    }

    pub fn urls(&self) -> watch::Receiver<Vec<Option<String>>> {
        self.urls.subscribe()
    }

    /// Kills at random moments until there were enough kills and `enough` says so.
    pub async fn kill(&mut self, form: &Form, enough: impl Fn() -> bool) -> Vec<Death> {
        let mut deaths = Vec::new();
        let mut n = 0;
        while n < form.kills || !enough() {
            tokio::time::sleep(form.up(n)).await;
            let place = form.victim(n);
            let ended = self.servers[place].kill().await;
            assert_eq!(ended, Ok(Ended::Orderly));
            let killed_ms = SystemClock.now().0;
            self.urls.send_modify(|urls| urls[place] = None);
            let started_ms = SystemClock.now().0;
            let begun = Instant::now();
            self.servers[place] = started(self.dirs[place]).await;
            let up_ms = u64::try_from(begun.elapsed().as_millis()).unwrap();
            let url = self.servers[place].url.clone();
            self.urls.send_modify(|urls| urls[place] = Some(url));
            deaths.push(Death {
                killed_ms,
                started_ms,
                up_ms,
            });
            n += 1;
            if n % 25 == 0 {
                // Past the capture of the test harness: the long form takes half an hour.
                let _ = writeln!(
                    std::io::stderr(),
                    "kill battery: {n} of at least {} kills",
                    form.kills
                );
            }
        }
        deaths
    }

    /// Stops all in an orderly way.
    pub async fn stop(mut self) {
        for server in &mut self.servers {
            assert_eq!(server.stop().await, Ok(Ended::Orderly), "{}", server.last_words());
        }
    }

    pub fn last_words(&self) -> String {
        self.servers
            .iter()
            .map(Server::last_words)
            .collect::<Vec<_>>()
            .join("\n\n")
    }
}

/// One that listens.
async fn started(dir: &Path) -> Server {
    match Server::start(dir, None, None).await {
        Ok(Some(server)) => server,
        Ok(None) => panic!("it was killed by somebody else"),
        Err(why) => panic!("it does not start: {why}"),
    }
}
