//! The tour of the README and the guide to getting started, walked as a newcomer does: every command as it is
//! printed there, in its order, with the files that are shown there. A page that lies fails here.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// A page of ours.
fn page(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// The blocks of code of a page that are in this language.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    for part in page.split("```").skip(1).step_by(2) {
        if let Some(code) = part.strip_prefix(&format!("{language}\n")) {
            blocks.push(code.to_owned());
        }
    }
    blocks
}

/// The commands of a page that are `cordon`'s, without what is said about them.
fn commands(page: &str) -> Vec<String> {
    let blocks = blocks(page, "sh").join("\n");
    let lines = blocks.lines().filter_map(|line| {
        let line = line.split(" #").next().unwrap_or_default().trim();
        let at = line.find("cordon ")?;
        (at == 0 || line.starts_with("FALCON")).then(|| line[at..].to_owned())
    });
    lines.collect()
}

/// Words of a line, with what stands in quotes as one.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (n, part) in line.split('"').enumerate() {
        if n % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

/// A newcomer: a folder, an environment, and what runs in other terminals.
pub struct Newcomer {
    dir: PathBuf,
    pub environment: BTreeMap<String, String>,
    range: Option<Child>,
    server: Option<Child>,
    base_url: String,
}

impl Newcomer {
    pub fn new(dir: &Path) -> Newcomer {
        Newcomer {
            dir: dir.to_owned(),
            environment: BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]),
            range: None,
            server: None,
            base_url: String::new(),
        }
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cordon"));
        command
            .args(words(line).iter().skip(1))
            .current_dir(&self.dir)
            .env_clear()
            .envs(&self.environment);
        command
    }

    pub fn output(&self, line: &str) -> Output {
        self.command(line).output().unwrap()
    }

    /// What a command prints, which must end well.
    pub fn run(&self, line: &str) -> String {
        let output = self.output(line);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{line}: {} {told}", output.status);
        String::from_utf8(output.stdout).unwrap()
    }

    pub fn json(&self, line: &str) -> Value {
        serde_json::from_str(&self.run(&format!("{line} --json"))).unwrap()
    }

    /// Starts the range on a port of its own.
    fn range(&mut self, line: &str) {
        let mut command = self.command(&format!("{line} --listen 127.0.0.1:0"));
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut first = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut first)
            .unwrap();
        self.range = Some(child);
        self.base_url = first.trim().to_owned();
        assert!(self.base_url.starts_with("http://127.0.0.1:"), "{first}");
    }

    /// Starts the server on a port of its own, takes its token where it makes one, and lets it talk on.
    pub fn serve(&mut self, line: &str) {
        let mut command = self.command(&format!("{line} --listen 127.0.0.1:0"));
        command
            .env("FALCON_CLIENT_ID", "range-client")
            .env("FALCON_CLIENT_SECRET", "range-secret");
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut talk = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut said = String::new();
        loop {
            let line = talk.next().unwrap_or_else(|| panic!("it ended: {said}")).unwrap();
            if let Some(token) = line.trim().strip_prefix("export CORDON_TOKEN=") {
                self.environment
                    .insert("CORDON_TOKEN".to_owned(), token.to_owned());
            }
            if let Some(url) = line.strip_prefix("listening on ") {
                self.environment.insert("CORDON_URL".to_owned(), url.to_owned());
                break;
            }
            said.push_str(&line);
        }
        std::thread::spawn(move || talk.for_each(drop));
        self.server = Some(child);
    }

    /// Runs as the server lists them, once there are this many and all are settled.
    fn runs(&self, count: usize) -> Vec<Value> {
        let begun = Instant::now();
        loop {
            let listed = self.json("cordon runs");
            let runs = listed.get("runs").unwrap_or(&listed).as_array().unwrap().clone();
            if runs.len() == count && runs.iter().all(|run| run["status"] == "settled") {
                return runs;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "{runs:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Says goodbye as a person at the terminal or a service manager does.
    pub fn stop(&mut self) {
        let pid = |child: &Child| Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        if let Some(mut server) = self.server.take() {
            kill_process(pid(&server), Signal::TERM).unwrap();
            assert!(server.wait().unwrap().success(), "the server ends well");
        }
        if let Some(mut range) = self.range.take() {
            kill_process(pid(&range), Signal::INT).unwrap();
            assert!(range.wait().unwrap().success(), "the range ends well");
        }
    }

    /// Walks through the commands of a page.
    fn walk(&mut self, page: &str) -> Vec<String> {
        let mut walked = Vec::new();
        let mut run = String::new();
        for line in commands(page) {
            let line = line.replace("RUN", &run).replace('…', "looks wrong");
            let word = words(&line)[1].clone();
            match word.as_str() {
                // Takes a release build; `demo` has tests of its own.
                "demo" => continue,
                "range" => {
                    self.range(&line);
                    let table = blocks(page, "toml")
                        .concat()
                        .replace("http://127.0.0.1:8799", &self.base_url);
                    assert!(table.contains(&self.base_url), "{table}");
                    let file = self.dir.join("cordon.toml");
                    let config = std::fs::read_to_string(&file).unwrap();
                    std::fs::write(&file, format!("{config}\n{table}")).unwrap();
                }
                "serve" => self.serve(&line),
                "send" => {
                    assert!(self.run(&line).starts_with("alert_"));
                    run = self.runs(1)[0]["id"].as_str().unwrap().to_owned();
                }
                "runs" => assert!(self.run(&line).contains("succeeded")),
                "show" => assert!(self.run(&line).contains("in force: reads `contained`")),
                "contained" => assert!(self.run(&line).contains("host web-07")),
                "undo" => {
                    assert!(self.run(&line).starts_with("run_"));
                    let all = self.runs(2);
                    assert!(all.iter().all(|run| run["end"] == "succeeded"), "{all:?}");
                    assert_eq!(self.run("cordon contained").lines().count(), 1, "only its head");
                }
                _ => drop(self.run(&line)),
            }
            walked.push(word);
        }
        walked
    }
}

impl Drop for Newcomer {
    fn drop(&mut self) {
        for mut child in self.server.take().into_iter().chain(self.range.take()) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[test]
fn a_newcomer_gets_through_the_guide_and_then_further() {
    let dir = tempfile::tempdir().unwrap();
    let guide = page("docs/guide/getting-started.md");
    let mut newcomer = Newcomer::new(dir.path());
    std::fs::write(dir.path().join("finding.json"), blocks(&guide, "json").concat()).unwrap();
    let walked = newcomer.walk(&guide);
    assert_eq!(
        walked,
        [
            "init",
            "check",
            "range",
            "serve",
            "match",
            "send",
            "runs",
            "show",
            "contained",
            "undo"
        ]
    );

    // What the pages say in passing.
    let again = newcomer.run("cordon send example finding.json");
    assert!(again.starts_with("alert_"));
    assert_eq!(
        newcomer.runs(2).len(),
        2,
        "the same thing again makes no second run"
    );
    assert!(newcomer.run("cordon alerts").contains("split"));
    assert!(
        newcomer
            .run("cordon halt --reason \"looks wrong\"")
            .contains("halted by admin: looks wrong")
    );
    newcomer.run("cordon resume");
    let token = newcomer.run("cordon token create anna");
    std::fs::write(dir.path().join("anna.token"), token).unwrap();
    // A variable that is set and blank hides no file.
    let admin = newcomer
        .environment
        .insert("CORDON_TOKEN".to_owned(), String::new())
        .unwrap();
    newcomer.run("cordon act endpoint::isolate --target host:web-07 --lease 4h --reason INC-1 --wait --token-file anna.token");
    newcomer.environment.insert("CORDON_TOKEN".to_owned(), admin);
    assert!(newcomer.run("cordon contained").contains("host web-07"));
    newcomer.run("cordon release web-07 --reason done");
    assert_eq!(newcomer.runs(4).len(), 4);
    newcomer.run("cordon run malware-on-host --finding finding.json --wait");
    let findings = newcomer.run("cordon normalise example finding.json");
    std::fs::write(dir.path().join("normalised.json"), findings).unwrap();
    newcomer.run("cordon run malware-on-host --finding normalised.json --wait");
    assert!(newcomer.run("cordon explain K007").starts_with("# K007: "));
    assert!(newcomer.run("cordon connectors").contains("crowdstrike"));
    newcomer.stop();
}

#[test]
fn a_newcomer_gets_through_the_tour_of_the_readme() {
    let dir = tempfile::tempdir().unwrap();
    let guide = page("docs/guide/getting-started.md");
    let mut newcomer = Newcomer::new(dir.path());
    // The tour leaves the range and the alert to the guide.
    newcomer.range("cordon range --host web-07");
    newcomer.run("cordon init");
    let file = dir.path().join("cordon.toml");
    let table = blocks(&guide, "toml")
        .concat()
        .replace("http://127.0.0.1:8799", &newcomer.base_url);
    let config = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{config}\n{table}")).unwrap();
    std::fs::write(dir.path().join("finding.json"), blocks(&guide, "json").concat()).unwrap();
    let walked = newcomer.walk(&page("README.md"));
    assert_eq!(
        walked,
        [
            "init",
            "check",
            "serve",
            "send",
            "runs",
            "show",
            "approvals",
            "contained",
            "undo"
        ]
    );
    newcomer.stop();
}
