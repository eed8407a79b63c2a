//! A sign of life on stderr for whatever takes longer than two seconds: one moving line on a terminal, one plain
//! line elsewhere.

use std::future::Future;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// How long silence is fine, ms.
const SILENT_MS: u64 = 2_000;
/// How often the line moves, ms.
const TICK_MS: u64 = 1_000;

/// Waits for `work`, saying `what` is waited for once it takes long.
pub async fn during<T>(what: &str, work: impl Future<Output = T>) -> T {
    let begun = Instant::now();
    let terminal = io::stderr().is_terminal();
    let mut said = false;
    tokio::pin!(work);
    let mut pause = Duration::from_millis(SILENT_MS);
    loop {
        tokio::select! {
            answer = &mut work => {
                if said && terminal {
                    print(&format!("\r{:width$}\r", "", width = what.chars().count() + 24));
                }
                return answer;
            }
            () = tokio::time::sleep(pause) => {
                pause = Duration::from_millis(TICK_MS);
                if terminal {
                    print(&format!("\rwaiting for {what} ({} s)", begun.elapsed().as_secs()));
                } else if !said {
                    print(&format!("waiting for {what}\n"));
                }
                said = true;
            }
        }
    }
}

fn print(text: &str) {
    let mut err = io::stderr().lock();
    // Progress is for a person who may be gone.
    let _ = write!(err, "{text}").and_then(|()| err.flush());
}
