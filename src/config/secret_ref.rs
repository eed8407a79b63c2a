//! Where a secret is: configuration names a variable, a file or a command, and never holds the secret. Reading
//! goes through [`Secrets`], so that tests and `cordon check` decide what is looked at.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::secret::Secret;

/// How long a command may take to print a secret, ms.
const COMMAND_MS: u64 = 10_000;

/// The place of a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretRef {
    /// `env:NAME`: a variable of the environment.
    Env(String),
    /// `file:PATH`: the first line of a file, relative to the configuration's folder.
    File(PathBuf),
    /// `exec:PROGRAM ARGUMENT…`: what a program prints. Words are split at white space; no shell is involved.
    Exec(String),
}

impl SecretRef {
    /// Reads a reference. `dir` is the configuration's folder. `None` for anything else, which may be the
    /// secret itself and is therefore not repeated in messages.
    pub fn parse(text: &str, dir: &Path) -> Option<SecretRef> {
        let (kind, place) = parts(text)?;
        match kind {
            "env" => Some(SecretRef::Env(place.to_owned())),
            "file" => Some(SecretRef::File(dir.join(place))),
            "exec" => Some(SecretRef::Exec(place.to_owned())),
            _ => None,
        }
    }

    /// The secret, without the line break at its end.
    ///
    /// # Errors
    /// Why it cannot be had, in words that name the place and never the secret.
    pub fn read(&self, from: &dyn Secrets) -> Result<Secret, String> {
        let text = match self {
            SecretRef::Env(name) => from
                .env(name)
                .ok_or_else(|| format!("the variable `{name}` is not set"))?,
            SecretRef::File(path) => from
                .file(path)
                .map_err(|why| format!("the file `{}` cannot be read: {why}", path.display()))?,
            SecretRef::Exec(line) => from
                .command(line)
                .map_err(|why| format!("the command `{line}` gave no secret: {why}"))?,
        };
        Ok(Secret::new(text.trim_end_matches(['\r', '\n'])))
    }

    /// What to do when it cannot be had.
    pub(super) fn remedy(&self) -> String {
        match self {
            SecretRef::Env(name) => format!("set `{name}` where `cordon serve` is started"),
            SecretRef::File(path) => {
                format!(
                    "write the secret into `{}`, readable by cordon alone",
                    path.display()
                )
            }
            SecretRef::Exec(line) => format!("see what `{line}` prints when run by hand"),
        }
    }
}

fn parts(text: &str) -> Option<(&str, &str)> {
    let (kind, place) = text.split_once(':')?;
    let place = place.trim();
    (matches!(kind, "env" | "file" | "exec") && !place.is_empty()).then_some((kind, place))
}

/// True for text that names the place of a secret, so that it may be shown.
pub(super) fn is_reference(text: &str) -> bool {
    parts(text).is_some()
}

/// Where secrets are read from.
pub trait Secrets {
    /// A variable of the environment.
    fn env(&self, name: &str) -> Option<String>;
    /// The text of a file.
    ///
    /// # Errors
    /// Why it cannot be read.
    fn file(&self, path: &Path) -> Result<String, String>;
    /// What a command prints.
    ///
    /// # Errors
    /// Why it printed nothing of use.
    fn command(&self, line: &str) -> Result<String, String>;
}

/// This machine.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    /// Whether commands are run. `cordon check` runs none: checking someone's proposal must not execute it.
    pub run_commands: bool,
}

impl Secrets for Machine {
    fn env(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn file(&self, path: &Path) -> Result<String, String> {
        std::fs::read_to_string(path).map_err(|error| error.to_string())
    }

    fn command(&self, line: &str) -> Result<String, String> {
        if !self.run_commands {
            return Err("commands are not run by `cordon check`".to_owned());
        }
        let mut words = line.split_whitespace();
        let program = words.next().ok_or("it is empty")?;
        let mut child = Command::new(program)
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| error.to_string())?;
        let until = Instant::now() + Duration::from_millis(COMMAND_MS);
        loop {
            match child.try_wait().map_err(|error| error.to_string())? {
                Some(_) => break,
                None if Instant::now() >= until => {
                    // It may have ended just now; either way it is not waited for any longer.
                    let _ = child.kill();
                    let _ = child.wait();
                    return Err(format!("it did not end within {COMMAND_MS} ms"));
                }
                None => std::thread::sleep(Duration::from_millis(20)),
            }
        }
        let output = child.wait_with_output().map_err(|error| error.to_string())?;
        if !output.status.success() {
            return Err(format!("it ended with {}", output.status));
        }
        String::from_utf8(output.stdout).map_err(|_| "it printed something that is not text".to_owned())
    }
}
