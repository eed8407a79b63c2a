//! `cordon serve` as a child: started with or without an order to die, watched, and told to stop.

use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;

/// How long a start or an orderly stop may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// When the child is to die.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Order {
    /// At the n-th crash point it passes.
    Point(u64),
    /// At the n-th call of this name that one of its threads makes.
    Syscall(&'static str, u64),
    /// Never: the calls of these names that its threads make are written into its folder, as `calls.N`.
    Traced(&'static [&'static str]),
    /// Never, but it stops itself at this crash point, the first time it passes it, until it is told to go on.
    Sleep(&'static str),
}

/// How the child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Orderly,
    Killed,
}

pub struct Server {
    child: Child,
    pub url: String,
    pub token: Option<String>,
    pub said: Arc<Mutex<Vec<String>>>,
    /// From the start of the process to its first answerable moment.
    pub up_after: Duration,
}

#[derive(Clone, Default)]
struct Heard {
    url: Option<String>,
    token: Option<String>,
    over: bool,
}

impl Server {
    /// Starts one in `dir` and waits until it listens. `at` says when to die; `None` where the child
    /// died there before it listened.
    pub async fn start(dir: &Path, at: Option<Order>, log: Option<&Path>) -> Result<Option<Server>, String> {
        let binary = std::env::var_os("CORDON_BIN").unwrap_or_else(|| env!("CARGO_BIN_EXE_cordon").into());
        let mut command = match &at {
            // The tracer is the child's child, so that what is started, watched and ended here is the server.
            Some(Order::Syscall(name, n)) => {
                let mut command = Command::new("strace");
                command
                    .args(["-D", "-f", "-qq", "-o", "/dev/null", "--seccomp-bpf", "-e"])
                    .arg(format!("trace={name}"))
                    .arg("-e")
                    .arg(format!("inject={name}:signal=KILL:when={n}"))
                    .arg(binary);
                command
            }
            Some(Order::Traced(names)) => {
                let mut command = Command::new("strace");
                command
                    .args(["-D", "-ff", "-qq", "-o", "calls", "--seccomp-bpf", "-e"])
                    .arg(format!("trace={}", names.join(",")))
                    .arg(binary);
                command
            }
            _ => Command::new(binary),
        };
        let path = std::env::var_os("PATH").unwrap_or_default();
        command.env_clear().env("PATH", path);
        command.args(["serve", "--config", "cordon.toml"]);
        match &at {
            Some(Order::Point(at)) => {
                command.env("CORDON_CRASH_AT", at.to_string());
            }
            Some(Order::Sleep(point)) => {
                command.env("CORDON_SLEEP_AT", point);
            }
            _ => {}
        }
        Server::begin(dir, command, log).await
    }

    async fn begin(dir: &Path, mut command: Command, log: Option<&Path>) -> Result<Option<Server>, String> {
        let begun = Instant::now();
        command
            .current_dir(dir)
            .env("CORDON_LOG", "info")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        if let Some(log) = log {
            command.env("CORDON_CRASH_LOG", log);
        }
        let mut child = command
            .spawn()
            .map_err(|error| format!("it does not start: {error}"))?;
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
        let first = tokio::time::timeout(PATIENCE, async {
            let heard = heard.wait_for(|heard| heard.url.is_some() || heard.over).await;
            heard.map(|heard| heard.clone())
        });
        let Ok(Ok(first)) = first.await else {
            return Err(format!("it does not listen: {:?}", said.lock().unwrap()));
        };
        let listens = first.url.is_some();
        let mut server = Server {
            child,
            url: first.url.unwrap_or_default(),
            token: first.token,
            said,
            up_after: begun.elapsed(),
        };
        if listens {
            return Ok(Some(server));
        }
        let status = server.child.wait().await.map_err(|error| error.to_string())?;
        match server.judge(status)? {
            Ended::Killed => Ok(None),
            Ended::Orderly => Err(format!("it ended before it listened: {}", server.last_words())),
        }
    }

    /// How it ended, if it has. `Err` when neither by kill nor in order.
    pub fn ended(&mut self) -> Result<Option<Ended>, String> {
        let status = self.child.try_wait().map_err(|error| error.to_string())?;
        status.map(|status| self.judge(status)).transpose()
    }

    fn judge(&self, status: std::process::ExitStatus) -> Result<Ended, String> {
        use std::os::unix::process::ExitStatusExt as _;
        match (status.signal(), status.success()) {
            (Some(9), _) => Ok(Ended::Killed),
            (None, true) => Ok(Ended::Orderly),
            _ => Err(format!("it ended by itself ({status}): {}", self.last_words())),
        }
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: rustix::process::Signal) {
        // One that is gone already has ended, which whoever asks next is told.
        if let Some(pid) = self
            .child
            .id()
            .and_then(|id| rustix::process::Pid::from_raw(i32::try_from(id).unwrap()))
        {
            let _ = rustix::process::kill_process(pid, signal);
        }
    }

    /// Tells it to stop and waits. It may die at its crash point on the way.
    pub async fn stop(&mut self) -> Result<Ended, String> {
        if let Some(ended) = self.ended()? {
            return Ok(ended);
        }
        self.signal(rustix::process::Signal::TERM);
        match tokio::time::timeout(PATIENCE, self.child.wait()).await {
            Ok(Ok(status)) => self.judge(status),
            _ => Err(format!("it does not stop when told: {}", self.last_words())),
        }
    }

    /// Kills it at the end of a case.
    pub async fn kill(&mut self) -> Result<Ended, String> {
        self.child.kill().await.map_err(|error| error.to_string())?;
        Ok(Ended::Orderly)
    }

    pub fn last_words(&self) -> String {
        let said = self.said.lock().unwrap();
        let from = said.len().saturating_sub(12);
        said[from..].join("\n")
    }
}
