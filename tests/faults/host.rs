//! A Redis server (or sentinel) as a child: started on an address of its own, asked, killed, stopped for a while, and
//! started again on what it left. All of them listen on loopback addresses that are as good as machines to `cut`.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Everything listens here; the address tells them apart.
pub const PORT: u16 = 6441;
/// How long a server may take to come up, or to come to a state that is waited for.
pub const PATIENCE: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(50);

pub struct Server {
    pub ip: String,
    dir: PathBuf,
    program: String,
    args: Vec<String>,
    child: Option<Child>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Server {
    /// Starts `program` with this configuration in a folder of its own below `below`. The server may write to its
    /// configuration, as sentinels make it do.
    pub fn start(below: &Path, program: &str, ip: &str, settings: &str, args: &[&str]) -> Server {
        let dir = below.join(ip);
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("server.conf"), settings).unwrap();
        let mut server = Server {
            ip: ip.to_owned(),
            dir,
            program: program.to_owned(),
            args: std::iter::once("server.conf")
                .chain(args.iter().copied())
                .map(str::to_owned)
                .collect(),
            child: None,
        };
        server.begin();
        server
    }

    /// A server that loses nothing it has answered, where it is alone. `more` is added to its configuration.
    pub fn durable(below: &Path, ip: &str, more: &str) -> Server {
        let program = std::env::var("CORDON_FAULTS_SERVER").unwrap_or_else(|_| "redis-server".to_owned());
        let settings = format!(
            "port {PORT}\nprotected-mode no\nbind {ip}\nbind-source-addr {ip}\nsave \"\"\nappendonly yes\nappendfsync always\n\
             maxmemory-policy noeviction\nrepl-diskless-sync-delay 0\n{more}\n"
        );
        Server::start(below, &program, ip, &settings, &[])
    }

    fn begin(&mut self) {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.dir.join("log"))
            .unwrap();
        let child = Command::new(&self.program)
            .args(&self.args)
            .current_dir(&self.dir)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn();
        let child = child.unwrap_or_else(|error| panic!("{} does not start: {error}", self.program));
        self.child = Some(child);
        self.until("answers", |server| server.ask(&["PING"]) == "PONG");
    }

    /// Starts it again on what it left.
    pub fn again(&mut self) {
        self.kill();
        self.begin();
    }

    pub fn is_up(&self) -> bool {
        self.child.is_some()
    }

    /// What it says; empty where it does not answer within two seconds.
    pub fn ask(&self, args: &[&str]) -> String {
        let port = PORT.to_string();
        let output = Command::new("timeout")
            .args(["2", "redis-cli", "-h", &self.ip, "-p", &port])
            .args(args)
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// One line of `INFO`.
    pub fn info(&self, section: &str, name: &str) -> String {
        let text = self.ask(&["INFO", section]);
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        value.unwrap_or_default().trim().to_owned()
    }

    /// Waits until it is so, and fails the test when it does not come to be.
    pub fn until(&self, what: &str, so: impl Fn(&Server) -> bool) {
        let begun = Instant::now();
        while !so(self) {
            assert!(
                begun.elapsed() < PATIENCE,
                "{}: not yet: {what}\n{}",
                self.ip,
                self.log()
            );
            std::thread::sleep(LOOK);
        }
    }

    /// The end of its log.
    pub fn log(&self) -> String {
        let text = std::fs::read_to_string(self.dir.join("log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().unwrap();
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Stops it where it is.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }
}
