//! `cordon status`: the server in one look. Says first what somebody has to do something about.

use clap::Args;
use serde_json::Value;

use super::client::Reach;
use super::failure::Done;
use super::output;

/// Arguments.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cordon status
  cordon status --json

Ends with 0 when the server answers, whatever it says; for a probe, use GET /readyz.")]
pub struct Status {
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
pub async fn run(args: Status) -> Done {
    let answer: Value = args.reach.client()?.get("/api/status", &[]).await?;
    if args.json {
        return output::json(&answer);
    }
    output::data(&output_lines(&answer).join("\n"))
}

fn text<'a>(answer: &'a Value, path: &str) -> &'a str {
    answer.pointer(path).and_then(Value::as_str).unwrap_or("?")
}

fn number(answer: &Value, path: &str) -> u64 {
    answer.pointer(path).and_then(Value::as_u64).unwrap_or(0)
}

/// `3 split, 1 pending`.
fn by_word(answer: &Value, path: &str) -> String {
    let words = answer.pointer(path).and_then(Value::as_object);
    let words: Vec<String> = words
        .into_iter()
        .flatten()
        .map(|(word, n)| format!("{n} {word}"))
        .collect();
    if words.is_empty() {
        "none".to_owned()
    } else {
        words.join(", ")
    }
}

fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes / (1 << 20))
}

fn output_lines(answer: &Value) -> Vec<String> {
    let mut lines = troubles(answer);
    let minutes = number(answer, "/uptime_ms") / 60_000;
    lines.push(format!(
        "cordon {}, worker {}, up for {minutes} min",
        text(answer, "/version"),
        text(answer, "/worker")
    ));
    lines.push(format!(
        "store: {}, {}",
        text(answer, "/store/backend"),
        text(answer, "/store/durability")
    ));
    let mut room = format!("room: {} used", mebibytes(number(answer, "/store/used_bytes")));
    if answer.pointer("/store/free_bytes").is_some_and(Value::is_u64) {
        room.push_str(&format!(
            ", {} free of {}",
            mebibytes(number(answer, "/store/free_bytes")),
            mebibytes(number(answer, "/store/total_bytes"))
        ));
    }
    lines.push(room);
    lines.push(format!(
        "content: {} playbooks, {} triggers, {} sources",
        number(answer, "/playbooks"),
        number(answer, "/triggers"),
        number(answer, "/sources")
    ));
    lines.push(format!("alerts: {}", by_word(answer, "/counts/alerts")));
    lines.push(format!("runs: {}", by_word(answer, "/counts/runs")));
    lines.push(format!("ended: {}", by_word(answer, "/counts/ends")));
    lines.push(format!(
        "held: {} ({} past their lease)",
        number(answer, "/counts/holds"),
        number(answer, "/counts/overdue")
    ));
    lines.push(format!("messages: {}", by_word(answer, "/counts/notices")));
    let partitions = answer.pointer("/partitions").and_then(Value::as_array);
    let backlog: Vec<String> = partitions
        .into_iter()
        .flatten()
        .filter(|one| number(one, "/pending") + number(one, "/open") > 0)
        .map(|one| {
            format!(
                "{} {}/{}",
                text(one, "/partition"),
                number(one, "/pending"),
                number(one, "/open")
            )
        })
        .collect();
    if !backlog.is_empty() {
        lines.push(format!(
            "backlog, alerts pending/runs open: {}",
            backlog.join(", ")
        ));
    }
    lines.iter().map(|line| output::printable(line)).collect()
}

/// What somebody has to do something about.
fn troubles(answer: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(halt) = answer.pointer("/halted").filter(|halt| !halt.is_null()) {
        lines.push(format!(
            "HALTED by {}: {}",
            text(halt, "/by"),
            text(halt, "/reason")
        ));
    }
    if let Some(why) = answer.pointer("/not_ready").and_then(Value::as_str) {
        lines.push(format!("NOT READY: {why}"));
    }
    let room = text(answer, "/room");
    if room == "low" || room == "short" {
        lines.push(format!(
            "ROOM IS {}: free some, or give it more",
            room.to_uppercase()
        ));
    }
    for note in answer
        .pointer("/store/notes")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        lines.push(format!("STORE: {}", note.as_str().unwrap_or("?")));
    }
    let found = answer.pointer("/violations/found").and_then(Value::as_array);
    for violation in found.into_iter().flatten() {
        lines.push(format!(
            "MUST NOT BE ({}): {}",
            text(violation, "/kind"),
            text(violation, "/what")
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn trouble_comes_first_and_strangers_text_moves_no_cursor() {
        let answer = json!({
            "version": "1", "worker": "w", "uptime_ms": 120_000,
            "halted": { "by": "ana", "reason": "a \u{1b}[31mdrill" },
            "not_ready": null, "room": "short",
            "store": { "backend": "sqlite", "durability": "strict", "used_bytes": 1 << 20,
                       "total_bytes": 100 << 20, "free_bytes": 2 << 20, "notes": [] },
            "violations": { "found": [{ "kind": "run_without_wakeup", "what": "run_x is open" }] },
            "counts": { "alerts": { "split": 3 }, "runs": {}, "ends": {}, "holds": 2, "overdue": 1, "notices": {} },
            "partitions": [{ "partition": "p03", "pending": 1, "open": 2 }],
        });
        let lines = output_lines(&answer);
        assert_eq!(lines[0], "HALTED by ana: a  [31mdrill");
        assert_eq!(lines[1], "ROOM IS SHORT: free some, or give it more");
        assert_eq!(lines[2], "MUST NOT BE (run_without_wakeup): run_x is open");
        assert!(lines.contains(&"room: 1 MiB used, 2 MiB free of 100 MiB".to_owned()));
        assert!(lines.contains(&"held: 2 (1 past their lease)".to_owned()));
        assert!(lines.contains(&"backlog, alerts pending/runs open: p03 1/2".to_owned()));
    }
}
