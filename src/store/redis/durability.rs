//! What a server promises of what it acknowledged, looked at and never assumed: at start and with every new
//! connection that writes. What is wrong is named with what it is and the command that mends it.

use std::fmt;

use redis::Value;

use super::address::Server;
use super::reply::Reply;
use super::topology::Topology;
use super::wire::{Broken, Wire, field, items_of, text_of};

/// How much of what was acknowledged may be lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Nothing: on the disk before the answer, and on replicas where there are any.
    #[default]
    Strict,
    /// What the server's own settings lose. Said out loud.
    Relaxed,
}

/// What was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Promise {
    /// How much may be lost.
    pub durability: Durability,
    /// Replicas that have to have a write before it is acknowledged; `None` follows from what is connected.
    pub replicas: Option<u32>,
    /// What the operator states of a service whose settings cannot be read.
    pub managed: Option<String>,
}

/// Something that is not as `strict` needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Code of its page in `docs/errors`.
    pub code: &'static str,
    /// Where.
    pub server: String,
    /// What is wrong, in words.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {}: {}; {}",
            self.code, self.server, self.what, self.remedy
        )
    }
}

/// What was found at one primary.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    /// What `strict` does not bear.
    pub(super) findings: Vec<Finding>,
    /// What could not be looked at, for the log.
    pub(super) unseen: Vec<String>,
    /// Replicas that are connected.
    pub(super) replicas: u32,
    /// Tells one life of a server from the next, and one primary from another.
    pub(super) run_id: String,
}

/// The lines of `INFO` that matter.
struct Info(Vec<(String, String)>);

impl Info {
    async fn read(wire: &mut Wire) -> Result<Info, Broken> {
        let info = wire.value(&["INFO"]).await?;
        let text = text_of(&info).unwrap_or_default();
        let lines = text.lines().filter_map(|line| line.split_once(':'));
        Ok(Info(
            lines
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        ))
    }

    fn get(&self, name: &str) -> Option<&str> {
        let line = self.0.iter().find(|(known, _)| known == name);
        line.map(|(_, value)| value.as_str())
    }

    /// Replicas that follow: `slave0:ip=10.0.0.2,port=6379,state=online,…`.
    fn replicas(&self) -> Vec<Server> {
        let described = self.0.iter().filter(|(name, _)| {
            name.strip_prefix("slave")
                .is_some_and(|n| !n.is_empty() && n.chars().all(|c| c.is_ascii_digit()))
        });
        described
            .filter_map(|(_, about)| {
                let part = |name: &str| {
                    about
                        .split(',')
                        .find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
                };
                if part("state") != Some("online") {
                    return None;
                }
                Some(Server {
                    host: part("ip")?.to_owned(),
                    port: part("port")?.parse().ok()?,
                })
            })
            .collect()
    }
}

/// Looks at a primary, and at the replicas it names.
pub(super) async fn look(
    topology: &Topology,
    wire: &mut Wire,
    promise: &Promise,
) -> Result<Standing, Broken> {
    let info = Info::read(wire).await?;
    let mut standing = Standing {
        run_id: info.get("run_id").unwrap_or_default().to_owned(),
        ..Standing::default()
    };
    let replicas = info.replicas();
    standing.replicas = u32::try_from(replicas.len()).unwrap_or(u32::MAX);
    if promise.durability == Durability::Relaxed || promise.managed.is_some() {
        return Ok(standing);
    }
    settings(wire, &info, &mut standing).await?;
    for replica in replicas {
        // One that cannot be reached from here cannot be judged; WAIT still counts it only when it has the write.
        match topology.connect(&replica).await {
            Ok(mut wire) => {
                let info = Info::read(&mut wire).await?;
                settings(&mut wire, &info, &mut standing).await?;
            }
            Err(broken) => standing.unseen.push(format!(
                "replica {replica} cannot be asked for its settings: {}",
                broken.why
            )),
        }
    }
    Ok(standing)
}

/// What one server does with what it acknowledges.
async fn settings(wire: &mut Wire, info: &Info, standing: &mut Standing) -> Result<(), Broken> {
    let server = wire.server().to_string();
    let mut wrong = |what: String, command: &str| {
        standing.findings.push(Finding {
            code: "K052",
            server: server.clone(),
            what,
            remedy: format!("`{command}`, then `CONFIG REWRITE`"),
        });
    };
    if info.get("aof_enabled") != Some("1") {
        wrong(
            "`appendonly` is `no`: what was acknowledged is lost when the server ends".to_owned(),
            "CONFIG SET appendonly yes",
        );
    }
    match setting(wire, "appendfsync").await? {
        Seen::Is(value) if value == "always" => {}
        Seen::Is(value) => wrong(
            format!("`appendfsync` is `{value}`: the last second is lost when the machine ends"),
            "CONFIG SET appendfsync always",
        ),
        Seen::Forbidden => {
            standing.findings.push(Finding {
                code: "K054",
                server,
                what: "its settings cannot be read: CONFIG is forbidden".to_owned(),
                remedy:
                    "grant `+config|get`, or state in `[store] managed = \"…\"` what the service promises"
                        .to_owned(),
            });
            return Ok(());
        }
    }
    if let Some(policy) = info.get("maxmemory_policy")
        && policy != "noeviction"
    {
        wrong(
            format!("`maxmemory-policy` is `{policy}`: a full server throws runs away"),
            "CONFIG SET maxmemory-policy noeviction",
        );
    }
    Ok(())
}

enum Seen {
    Is(String),
    Forbidden,
}

async fn setting(wire: &mut Wire, name: &str) -> Result<Seen, Broken> {
    match wire.ask(&["CONFIG", "GET", name]).await? {
        Reply::Value(value) => {
            let found = match &value {
                Value::Map(_) => None,
                other => field(items_of(other), name),
            };
            Ok(found.map_or(Seen::Forbidden, Seen::Is))
        }
        Reply::Refused { .. } => Ok(Seen::Forbidden),
    }
}

/// How many replicas a commit takes: as many as the operator says, otherwise so many that primary and they are the
/// majority of those there are. Where losing the primary makes a replica primary there has to be one.
pub(super) fn replicas_needed(promise: &Promise, fails_over: bool, standings: &[Standing]) -> u32 {
    if let Some(replicas) = promise.replicas {
        return replicas;
    }
    if promise.durability == Durability::Relaxed || promise.managed.is_some() {
        return 0;
    }
    let fewest = standings.iter().map(|one| one.replicas).min().unwrap_or(0);
    fewest.div_ceil(2).max(u32::from(fails_over))
}

/// Whether enough replicas are connected to begin with.
pub(super) fn enough(needed: u32, server: &Server, standing: &Standing) -> Option<Finding> {
    (standing.replicas < needed).then(|| Finding {
        code: "K053",
        server: server.to_string(),
        what: format!(
            "{} replicas are connected and a commit takes {needed}: nothing would be acknowledged",
            standing.replicas
        ),
        remedy: "start the replicas, or set `[store] replicas` to as many as a commit has to reach"
            .to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(replicas: u32) -> Standing {
        Standing {
            replicas,
            ..Standing::default()
        }
    }

    #[test]
    fn a_commit_takes_a_majority_of_what_there_is() {
        let strict = Promise::default();
        for (connected, fails_over, needed) in [
            (0, false, 0),
            (1, false, 1),
            (2, false, 1),
            (3, false, 2),
            (0, true, 1),
            (2, true, 1),
            (4, true, 2),
        ] {
            assert_eq!(
                replicas_needed(&strict, fails_over, &[standing(connected)]),
                needed
            );
        }
        assert_eq!(replicas_needed(&strict, true, &[standing(4), standing(1)]), 1);
    }

    #[test]
    fn what_the_operator_says_counts() {
        let two = Promise {
            replicas: Some(2),
            ..Promise::default()
        };
        assert_eq!(replicas_needed(&two, false, &[standing(0)]), 2);
        let relaxed = Promise {
            durability: Durability::Relaxed,
            ..Promise::default()
        };
        assert_eq!(replicas_needed(&relaxed, true, &[standing(2)]), 0);
        let server = Server {
            host: "a".into(),
            port: 1,
        };
        let finding = enough(2, &server, &standing(1)).unwrap();
        assert!(finding.to_string().contains("1 replicas are connected"));
        assert_eq!(enough(1, &server, &standing(1)), None);
    }

    #[test]
    fn replicas_are_read_as_servers_describe_them() {
        let line = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let info = Info(vec![
            line("slaves_waiting_psync", "0"),
            line("slave0", "ip=127.0.0.1,port=6412,state=online,offset=1,lag=0"),
            line(
                "slave1",
                "ip=127.0.0.1,port=6413,state=wait_bgsave,offset=0,lag=0",
            ),
        ]);
        let names: Vec<String> = info.replicas().iter().map(ToString::to_string).collect();
        assert_eq!(names, ["127.0.0.1:6412"]);
    }
}
