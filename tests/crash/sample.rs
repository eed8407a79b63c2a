//! Which kills are played: a sample that follows from a seed, or all of them. The same seed plays the same kills.

use std::collections::BTreeSet;
use std::fmt;

use cordon::digest::Digest;

use crate::server::Order;
use crate::variable;

/// One point in so many is played where nothing is said: about two minutes on two idle cores.
const EVERY: u64 = 12;
const SEED: u64 = 1;
/// The calls that make something durable or send something, and those by which it is heard of.
pub const CALLS: &[&str] = &["pwrite64", "fdatasync", "sendto", "writev", "recvfrom"];

/// How much is played.
pub struct Form {
    only: Option<String>,
    seed: u64,
    every: u64,
    /// Whether each point is played a second time, with another kill during recovery.
    twice: bool,
    /// One system call in so many is played; 0 plays none.
    calls: u64,
}

/// Kills to play, one list for each case.
pub struct Orders {
    pub points: Vec<Vec<Order>>,
    pub calls: Vec<Vec<Order>>,
}

impl Form {
    pub fn of_environment() -> Form {
        Form {
            only: std::env::var("CORDON_CRASH_ONLY").ok(),
            seed: variable("CORDON_CRASH_SEED").unwrap_or(SEED),
            every: variable("CORDON_CRASH_EVERY").unwrap_or(EVERY).max(1),
            twice: variable("CORDON_CRASH_TWICE").unwrap_or(0) > 0,
            calls: variable("CORDON_CRASH_CALLS").unwrap_or(0),
        }
    }

    pub fn plays(&self, scenario: &str) -> bool {
        self.only.as_deref().is_none_or(|only| only == scenario)
    }

    /// Whether every point of every scenario is played.
    pub fn is_whole(&self) -> bool {
        self.only.is_none() && self.every == 1
    }

    pub fn traces(&self) -> bool {
        self.calls > 0
    }

    /// Kinds of points that have to be in a sample at least once.
    pub fn names_to_see<'a>(&self, passed: impl Iterator<Item = &'a String>) -> BTreeSet<String> {
        passed.cloned().collect()
    }

    /// Of each so many points in a row one, drawn by the seed, and the first of every kind that no scenario before had.
    pub fn orders(
        &self,
        scenario: &str,
        passed: &[String],
        calls: &[(&'static str, u64)],
        never: &mut BTreeSet<String>,
    ) -> Orders {
        let mut orders = Orders {
            points: Vec::new(),
            calls: Vec::new(),
        };
        let points = u64::try_from(passed.len()).unwrap();
        for (at, name) in (1..).zip(passed) {
            if self.is_drawn(scenario, "", at, self.every) | never.remove(name) {
                orders.points.push(vec![Order::Point(at)]);
                if self.twice {
                    // During recovery: anywhere within as many points as the first start passes.
                    let second = 1 + self.draw(scenario, "second", at) % points;
                    orders.points.push(vec![Order::Point(at), Order::Point(second)]);
                }
            }
        }
        for (call, most) in calls.iter().filter(|_| self.traces()) {
            for at in (1..=*most).filter(|at| self.is_drawn(scenario, call, *at, self.calls)) {
                orders.calls.push(vec![Order::Syscall(call, at)]);
            }
        }
        orders
    }

    fn is_drawn(&self, scenario: &str, what: &str, at: u64, every: u64) -> bool {
        let row = (at - 1) / every;
        (at - 1) % every == self.draw(scenario, what, row) % every
    }

    fn draw(&self, scenario: &str, what: &str, n: u64) -> u64 {
        let parts: [&[u8]; 4] = [
            scenario.as_bytes(),
            what.as_bytes(),
            &n.to_be_bytes(),
            &self.seed.to_be_bytes(),
        ];
        let digest = Digest::of_parts(&parts).0;
        let (head, _) = digest.split_at(8);
        u64::from_be_bytes(head.try_into().unwrap())
    }

    /// The command that plays the same kills.
    pub fn again(&self) -> String {
        let only = self
            .only
            .iter()
            .map(|only| format!("CORDON_CRASH_ONLY={only} "))
            .collect::<String>();
        format!(
            "{only}CORDON_CRASH_SEED={} CORDON_CRASH_EVERY={} CORDON_CRASH_TWICE={} CORDON_CRASH_CALLS={} cargo test --test crash",
            self.seed,
            self.every,
            u8::from(self.twice),
            self.calls
        )
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "one point in {}, seed {}", self.every, self.seed)?;
        if self.twice {
            f.write_str(", each twice")?;
        }
        if self.calls > 0 {
            write!(f, ", one system call in {}", self.calls)?;
        }
        Ok(())
    }
}
