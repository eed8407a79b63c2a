//! `cordon retention`: what is kept for how long, and what is past its time.

use clap::Args;
use serde_json::Value;

use super::client::Reach;
use super::failure::Done;
use super::output;
use crate::clock::duration_text;

/// Arguments.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cordon retention --dry-run
  cordon retention --dry-run --json

The server forgets by itself, every hour; `[retention]` in cordon.toml says what is kept for how long.")]
pub struct Retention {
    /// Say what would be forgotten now, and forget nothing
    #[arg(long, required = true)]
    dry_run: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reach: Reach,
}

/// Runs it.
///
/// # Errors
/// The server said no.
pub async fn run(args: Retention) -> Done {
    debug_assert!(args.dry_run, "required by the command line");
    let answer: Value = args.reach.client()?.get("/api/retention", &[]).await?;
    if args.json {
        return output::json(&answer);
    }
    let number = |path: &str| answer.pointer(path).and_then(Value::as_u64);
    let kept = |path: &str| number(path).map_or("for ever".to_owned(), duration_text);
    let of = |path: &str| number(path).unwrap_or(0);
    let mut lines = vec![
        format!("runs are kept {} after they settle", kept("/keep/runs_ms")),
        format!("alerts are kept {} after they came", kept("/keep/alerts_ms")),
        format!(
            "would be forgotten now: {} runs, {} alerts",
            of("/would_collect/runs"),
            of("/would_collect/alerts")
        ),
    ];
    if of("/would_collect/held") > 0 {
        lines.push(format!(
            "{} runs past their time stay: what they contain is in force (`cordon contained`)",
            of("/would_collect/held")
        ));
    }
    lines.push(format!(
        "forgotten since the server started: {} runs, {} alerts",
        of("/collected/runs"),
        of("/collected/alerts")
    ));
    output::data(&lines.join("\n"))
}
