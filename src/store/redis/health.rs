//! How the servers stand: what each primary uses of the memory it may use, and whether it says that its writes to disk
//! fail. The tightest one is told, because a store is full when one of its servers is.

use super::RedisStore;
use super::durability::Durability;
use super::wire::{Broken, Wire, text_of};
use crate::store::error::{Error, Result};
use crate::store::feed::Health;

/// What one server says of itself.
struct Room {
    used: u64,
    total: u64,
    notes: Vec<String>,
}

impl Room {
    fn free(&self) -> u64 {
        self.total.saturating_sub(self.used)
    }

    /// Free of every thousand.
    fn share(&self) -> u64 {
        let share = u128::from(self.free()).saturating_mul(1_000);
        let share = share.checked_div(u128::from(self.total)).unwrap_or(1_000);
        u64::try_from(share).unwrap_or(u64::MAX)
    }
}

/// A line of `INFO` (Redis documentation, "INFO"); `None` where this server has none.
fn line<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = info.lines().filter_map(|line| line.split_once(':'));
    lines
        .find(|(known, _)| *known == name)
        .map(|(_, value)| value.trim())
}

async fn ask(wire: &mut Wire) -> std::result::Result<Room, Broken> {
    let info = text_of(&wire.value(&["INFO"]).await?).unwrap_or_default();
    let number = |name: &str| line(&info, name).and_then(|value| value.parse::<u64>().ok());
    let limit = number("maxmemory").filter(|limit| *limit > 0);
    let mut notes = Vec::new();
    let server = wire.server();
    if limit.is_none() {
        notes.push(format!(
            "{server} has no `maxmemory`: it may take all of the machine's memory"
        ));
    }
    for (name, what) in [
        (
            "aof_last_write_status",
            "its last write of the append-only file failed",
        ),
        (
            "aof_last_bgrewrite_status",
            "its last rewrite of the append-only file failed",
        ),
    ] {
        if line(&info, name).is_some_and(|status| status == "err") {
            notes.push(format!("{server}: {what}; look at its disk and its log"));
        }
    }
    Ok(Room {
        used: number("used_memory").unwrap_or(0),
        total: limit.or(number("total_system_memory")).unwrap_or(0),
        notes,
    })
}

impl RedisStore {
    /// Asks every primary.
    pub(super) async fn look_at_room(&self) -> Result<Health> {
        let failed = |broken: Broken| Error::Unavailable { why: broken.why };
        let shared = self.link().shared();
        let mut tightest: Option<Room> = None;
        let mut notes = Vec::new();
        for server in shared.topology.primaries() {
            let mut wire = shared.topology.connect(&server).await.map_err(failed)?;
            let mut room = ask(&mut wire).await.map_err(failed)?;
            notes.append(&mut room.notes);
            if tightest.as_ref().is_none_or(|known| room.share() < known.share()) {
                tightest = Some(room);
            }
        }
        let replicas = shared.replicas();
        let durability = match (&shared.promise.managed, shared.promise.durability) {
            (Some(statement), _) => format!("managed: {statement}"),
            (None, Durability::Strict) => {
                format!("strict: each answered write is on the server's disk and on {replicas} replicas")
            }
            (None, Durability::Relaxed) => "relaxed: what was answered last may be lost".to_owned(),
        };
        let known = tightest.as_ref().filter(|room| room.total > 0);
        Ok(Health {
            backend: "redis".to_owned(),
            durability,
            used_bytes: tightest.as_ref().map_or(0, |room| room.used),
            total_bytes: known.map(|room| room.total),
            free_bytes: known.map(Room::free),
            notes,
        })
    }
}
