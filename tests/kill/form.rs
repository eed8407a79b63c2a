//! How long, how hard, with which store; and the dice, which follow from a seed.

use std::fmt;
use std::time::Duration;

use cordon::digest::Digest;

/// Where everything durable is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keep {
    /// A file of the one server there is.
    Sqlite,
    /// A Redis at this address, which three servers share.
    Redis(String),
}

pub struct Form {
    pub keep: Keep,
    /// Kills there are at least.
    pub kills: u64,
    /// Runs there are at least.
    pub runs: u64,
    pub seed: u64,
    /// Between one alert and the next, ms.
    pub pace_ms: u64,
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

impl Form {
    /// The short form, or what `scripts/kill` says.
    pub fn of_environment(otherwise: Keep) -> Form {
        let keep = match std::env::var("CORDON_KILL_STORE").ok() {
            Some(url) if url.starts_with("redis") => Keep::Redis(url),
            Some(_) => Keep::Sqlite,
            None => otherwise,
        };
        Form {
            keep,
            kills: variable("CORDON_KILL_KILLS").unwrap_or(12),
            runs: variable("CORDON_KILL_RUNS").unwrap_or(400),
            seed: variable("CORDON_KILL_SEED").unwrap_or(1),
            pace_ms: variable("CORDON_KILL_PACE_MS").unwrap_or(100),
        }
    }

    pub fn nodes(&self) -> usize {
        match self.keep {
            Keep::Sqlite => 1,
            Keep::Redis(_) => 3,
        }
    }

    fn draw(&self, what: &str, n: u64) -> u64 {
        let digest = Digest::of_parts(&[what.as_bytes(), &n.to_be_bytes(), &self.seed.to_be_bytes()]).0;
        let (head, _) = digest.split_at(8);
        u64::from_be_bytes(head.try_into().unwrap())
    }

    /// How long a server is left up before the n-th kill: 50 to 2,000 ms.
    pub fn up(&self, n: u64) -> Duration {
        Duration::from_millis(50 + self.draw("up", n) % 1_951)
    }

    /// Which server the n-th kill is of.
    pub fn victim(&self, n: u64) -> usize {
        let nodes = u64::try_from(self.nodes()).unwrap();
        usize::try_from(self.draw("victim", n) % nodes).unwrap()
    }

    /// The command that plays the same dice.
    pub fn again(&self) -> String {
        let store = match &self.keep {
            Keep::Sqlite => "sqlite",
            Keep::Redis(_) => "redis",
        };
        format!(
            "scripts/kill --store {store} --kills {} --runs {} --seed {}",
            self.kills, self.runs, self.seed
        )
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} servers, at least {} kills and {} runs, an alert every {} ms, seed {}",
            self.nodes(),
            self.kills,
            self.runs,
            self.pace_ms,
            self.seed
        )
    }
}
