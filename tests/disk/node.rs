//! `cordon serve` as a child, by itself or under strace, which makes its syncs fail.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;

/// How long a start or an end may take. strace makes everything slower.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Node {
    child: Child,
    pub url: String,
    pub token: Option<String>,
    pub said: Arc<Mutex<Vec<String>>>,
}

#[derive(Clone, Default)]
struct Heard {
    url: Option<String>,
    token: Option<String>,
    over: bool,
}

impl Node {
    /// Starts one in `dir`. `failing_sync` is the sync of each thread that fails, and every one after it.
    pub async fn start(dir: &Path, failing_sync: Option<u32>) -> Node {
        let cordon = env!("CARGO_BIN_EXE_cordon");
        let mut command = match failing_sync {
            None => Command::new(cordon),
            Some(n) => {
                let mut strace = Command::new("strace");
                strace
                    .args([
                        "-f",
                        "-qq",
                        "-o",
                        "/dev/null",
                        "-e",
                        "trace=fsync,fdatasync",
                        "-e",
                    ])
                    .arg(format!("inject=fsync,fdatasync:error=EIO:when={n}+"))
                    .arg(cordon);
                strace
            }
        };
        let mut child = command
            .args(["serve", "--config", "cordon.toml"])
            .current_dir(dir)
            .env("CORDON_LOG", "info")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("cordon and strace are installed");
        let said = Arc::new(Mutex::new(Vec::new()));
        let (hear, mut heard) = watch::channel(Heard::default());
        let stderr = child.stderr.take().unwrap();
        let lines_said = said.clone();
        tokio::spawn(async move {
            let mut lines = BufReader::new(stderr).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                hear.send_modify(|heard| {
                    if let Some(url) = line.strip_prefix("listening on ") {
                        heard.url = Some(url.to_owned());
                    }
                    if let Some((_, token)) = line.split_once("export CORDON_TOKEN=") {
                        heard.token = Some(token.to_owned());
                    }
                });
                lines_said.lock().unwrap().push(line);
            }
            hear.send_modify(|heard| heard.over = true);
        });
        let first = tokio::time::timeout(
            PATIENCE,
            heard.wait_for(|heard| heard.url.is_some() || heard.over),
        );
        let first = first.await.expect("it listens or ends").unwrap().clone();
        Node {
            child,
            url: first.url.unwrap_or_default(),
            token: first.token,
            said,
        }
    }

    /// True when it came as far as listening.
    pub fn listens(&self) -> bool {
        !self.url.is_empty()
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits for it to end by itself.
    pub async fn end(&mut self) -> ExitStatus {
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        ended
            .unwrap_or_else(|_| panic!("it goes on: {}", self.words()))
            .unwrap()
    }

    /// Tells it to stop, and waits.
    pub async fn stop(&mut self) {
        let id = i32::try_from(self.child.id().expect("it still runs")).unwrap();
        let pid = rustix::process::Pid::from_raw(id).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let status = self.end().await;
        assert!(status.success(), "{status}: {}", self.words());
    }

    pub fn words(&self) -> String {
        self.said.lock().unwrap().join("\n")
    }
}
