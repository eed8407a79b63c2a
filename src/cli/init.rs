//! `cordon init`: a folder to start from. Never overwrites anything.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::Args;
use data_encoding::BASE64;

use super::failure::{Done, Exit, Failure};
use super::output;
use crate::config::TEMPLATE;

/// Bytes of a new webhook secret; Standard Webhooks asks for 24 to 64.
const SECRET_BYTES: usize = 32;
/// What of the folder must not reach a repository.
const IGNORED: &str = "/cordon-data/\n/secrets/\n";

/// Arguments.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cordon init
  cordon init /etc/cordon && cordon check /etc/cordon

Writes cordon.toml, playbooks/, connectors/ and a new webhook secret that only you can read. What is there already
stays as it is.")]
pub struct Init {
    /// Folder to write into
    #[arg(default_value = ".")]
    dir: PathBuf,
}

/// Runs it.
///
/// # Errors
/// Something cannot be written.
pub fn run(args: &Init) -> Done {
    let dir = &args.dir;
    let mut lines = Vec::new();
    for folder in ["playbooks", "connectors", "secrets"] {
        let path = dir.join(folder);
        fs::create_dir_all(&path).map_err(|error| not_written(&path, &error))?;
    }
    lines.push(write(
        dir,
        "secrets/example-webhook",
        &format!("whsec_{}\n", secret()?),
        0o600,
    )?);
    lines.push(write(dir, "cordon.toml", TEMPLATE, 0o644)?);
    lines.push(write(dir, ".gitignore", IGNORED, 0o644)?);
    output::data(&lines.join("\n"))?;
    output::say(
        "next: `cordon check`, then `cordon serve`; the source `example` takes alerts at /hooks/example",
    );
    Ok(())
}

fn secret() -> Result<String, Failure> {
    let mut bytes = [0; SECRET_BYTES];
    getrandom::fill(&mut bytes)
        .map_err(|error| Failure::new(Exit::Failed, format!("no randomness for a secret: {error}"), ""))?;
    Ok(BASE64.encode(&bytes))
}

fn write(dir: &Path, name: &str, text: &str, mode: u32) -> Result<String, Failure> {
    let path = dir.join(name);
    // `create_new` looks and creates in one step, so that nothing can be overwritten in between.
    match OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&path)
    {
        Ok(mut file) => {
            file.write_all(text.as_bytes())
                .map_err(|error| not_written(&path, &error))?;
            Ok(format!("wrote  {name}"))
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(format!("kept   {name}")),
        Err(error) => Err(not_written(&path, &error)),
    }
}

fn not_written(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(
        Exit::Failed,
        format!("cannot write `{}`: {error}", path.display()),
        "name a folder that you may write to",
    )
}
