//! Servers that a test starts for itself, to be set up otherwise, killed and promoted.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Longest a server may take for anything.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server of this test's own, in a folder of its own; it ends with the value.
pub struct Own {
    pub port: u16,
    pub dir: TempDir,
    child: Option<Child>,
    options: Vec<String>,
}

/// What `strict` asks for.
pub const STRICT: &[&str] = &[
    "--appendonly",
    "yes",
    "--appendfsync",
    "always",
    "--maxmemory-policy",
    "noeviction",
];

impl Own {
    /// Starts one with these options beside those every test needs.
    pub fn start(options: &[&str]) -> Own {
        let mut own = Own {
            port: free_port(),
            dir: tempfile::tempdir().unwrap(),
            child: None,
            options: options.iter().map(|option| (*option).to_owned()).collect(),
        };
        own.again();
        own
    }

    /// Starts it again where it was.
    pub fn again(&mut self) {
        let child = Command::new("redis-server")
            .args([
                "--port",
                &self.port.to_string(),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
            ])
            .args(["--repl-diskless-sync-delay", "0", "--dir"])
            .arg(self.dir.path())
            .args(&self.options)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-server is installed: `scripts/counterparties/redis install`");
        self.child = Some(child);
        self.wait_for(&["PING"], |said| said.contains("PONG"));
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// What the server says to a command.
    pub fn ask(&self, words: &[&str]) -> String {
        let output = Command::new("redis-cli")
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string()])
            .args(words)
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Asks until the answer is as it should be.
    pub fn wait_for(&self, words: &[&str], is_so: impl Fn(&str) -> bool) {
        let begun = Instant::now();
        loop {
            let said = self.ask(words);
            if is_so(&said) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{words:?}: {said}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Follows another server, from the beginning on.
    pub fn follow(&self, primary: &Own) {
        self.ask(&["REPLICAOF", "127.0.0.1", &primary.port.to_string()]);
        self.wait_for(&["INFO", "replication"], |said| {
            said.contains("master_link_status:up")
        });
        primary.wait_for(&["INFO", "replication"], |said| said.contains("state=online"));
    }

    /// A copy of what it has on its disk, to come back to.
    pub fn copy_of_disk(&self, to: &Path) {
        copy(self.dir.path(), to);
    }

    /// Puts such a copy in the place of what it has.
    pub fn restore_disk(&self, from: &Path) {
        let _ = std::fs::remove_dir_all(self.dir.path().join("appendonlydir"));
        copy(from, self.dir.path());
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        self.kill();
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}
