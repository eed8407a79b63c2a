//! `cordon halt` and `cordon resume`: the switch that stops every effect, undoing included.

use clap::Args;
use serde_json::{Value, json};

use super::client::Reach;
use super::failure::Done;
use super::output;

/// Arguments of `halt`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cordon halt --reason 'isolating the wrong subnet'

Runs go on waiting, alerts go on being kept; nothing in the world is changed until `cordon resume`.")]
pub struct Halt {
    /// Why, for everyone who looks
    #[arg(long, required_unless_present = "show")]
    reason: Option<String>,
    /// Only say whether everything is halted
    #[arg(long, conflicts_with = "reason")]
    show: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reach: Reach,
}

/// Arguments of `resume`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cordon resume --reason 'playbook mended'")]
pub struct Resume {
    /// Why, for everyone who looks
    #[arg(long, default_value = "resumed by hand")]
    reason: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reach: Reach,
}

/// Runs `halt`.
///
/// # Errors
/// The server said no.
pub async fn run(args: Halt) -> Done {
    let client = args.reach.client()?;
    let answer: Value = match args.reason {
        Some(reason) => client.post("/api/halt", &json!({ "reason": reason })).await?,
        None => client.get("/api/halt", &[]).await?,
    };
    if args.json {
        return output::json(&answer);
    }
    let halt = answer.get("halted").filter(|halt| !halt.is_null());
    match halt {
        Some(halt) => {
            let of = |name: &str| halt.get(name).and_then(Value::as_str).unwrap_or("?").to_owned();
            output::data(&output::printable(&format!(
                "halted by {}: {}",
                of("by"),
                of("reason")
            )))
        }
        None => output::data("not halted"),
    }
}

/// Runs `resume`.
///
/// # Errors
/// The server said no.
pub async fn resume(args: Resume) -> Done {
    let answer: Value = args
        .reach
        .client()?
        .post("/api/resume", &json!({ "reason": args.reason }))
        .await?;
    if args.json {
        output::json(&answer)
    } else {
        output::data("resumed")
    }
}
