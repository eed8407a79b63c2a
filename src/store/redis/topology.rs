//! Which server is the primary of a partition now. Asks and remembers; whoever meets a server that is not what it was
//! thought to be has it asked again. Believes nobody but the servers: no name of a primary stands in the address of
//! a set-up that can change it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use redis::Value;

use super::address::{Address, Layout, Server};
use super::wire::{Account, Broken, Dialer, field, items_of, text_of};
use crate::id::{PARTITIONS, Partition};

/// Slots of a Cluster (Redis Cluster specification, "Key distribution model").
const SLOTS: u16 = 16_384;
/// Sentinels and members remembered beside those the address names.
const KNOWN_MAX: usize = 64;

/// Where the partitions are, and the number of that answer.
#[derive(Clone, Debug, Default)]
struct Map {
    number: u64,
    owners: Vec<Option<Server>>,
    /// By which answer a server came to partitions that another had before.
    gained: HashMap<Server, u64>,
}

/// The way to a partition's primary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Route {
    /// The primary.
    pub(super) server: Server,
    /// Of which answer this is part.
    pub(super) number: u64,
}

/// Finds primaries.
pub(super) struct Topology {
    address: Address,
    dialer: Dialer,
    account: Account,
    sentinels: Account,
    map: Mutex<Map>,
    /// Whom to ask, those who answered last first.
    known: Mutex<Vec<Server>>,
    /// One question at a time.
    asking: tokio::sync::Mutex<()>,
}

impl Topology {
    pub(super) fn new(address: Address, dialer: Dialer, account: Account, sentinels: Account) -> Topology {
        let known = address.seeds.clone();
        Topology {
            address,
            dialer,
            account,
            sentinels,
            map: Mutex::default(),
            known: Mutex::new(known),
            asking: tokio::sync::Mutex::default(),
        }
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// A connection to a server of the data, logged in and with its database chosen.
    pub(super) async fn connect(&self, server: &Server) -> Result<super::wire::Wire, Broken> {
        let mut wire = self.dialer.connect(server, &self.account).await?;
        if self.address.database > 0 {
            let number = self.address.database.to_string();
            wire.value(&["SELECT", &number]).await?;
        }
        Ok(wire)
    }

    /// Whether losing a server makes another one primary.
    pub(super) fn fails_over(&self) -> bool {
        self.address.layout != Layout::Single
    }

    /// The primaries there are, as known now.
    pub(super) fn primaries(&self) -> Vec<Server> {
        let mut servers: Vec<Server> = self.map().owners.iter().flatten().cloned().collect();
        servers.sort();
        servers.dedup();
        servers
    }

    /// The partitions of a primary, as known now.
    pub(super) fn partitions_of(&self, server: &Server) -> Vec<Partition> {
        let map = self.map();
        let owned = Partition::all()
            .zip(&map.owners)
            .filter(|(_, owner)| owner.as_ref() == Some(server));
        owned.map(|(partition, _)| partition).collect()
    }

    /// The way to a partition's primary; asked for where nobody has yet.
    pub(super) async fn route(&self, partition: Partition) -> Result<Route, Broken> {
        if let Some(route) = self.known_route(partition) {
            return Ok(route);
        }
        let number = self.map().number;
        self.refresh(number).await?;
        self.known_route(partition).ok_or_else(|| Broken {
            why: format!("no server has partition {partition}"),
        })
    }

    fn known_route(&self, partition: Partition) -> Option<Route> {
        let map = self.map();
        let server = map.owners.get(usize::from(partition.index()))?.clone()?;
        Some(Route {
            server,
            number: map.number,
        })
    }

    /// Asks again, unless somebody did since the answer `number`.
    pub(super) async fn refresh(&self, number: u64) -> Result<(), Broken> {
        let _one = self.asking.lock().await;
        if self.map().number != number {
            return Ok(());
        }
        let owners = match &self.address.layout {
            Layout::Single => vec![self.address.seeds.first().cloned(); usize::from(PARTITIONS)],
            Layout::Sentinel { master } => {
                let primary = self.ask_sentinels(master).await?;
                vec![Some(primary); usize::from(PARTITIONS)]
            }
            Layout::Cluster => self.ask_cluster().await?,
        };
        let mut map = self.map();
        if map.owners != owners && map.number > 0 {
            tracing::info!("the primaries are others than before: {}", listed(&owners));
        }
        let number = number.wrapping_add(1);
        for (before, now) in std::mem::take(&mut map.owners).into_iter().zip(&owners) {
            if let (Some(before), Some(now)) = (before, now)
                && before != *now
            {
                map.gained.insert(now.clone(), number);
            }
        }
        (map.number, map.owners) = (number, owners);
        Ok(())
    }

    /// The number of the last answer.
    pub(super) fn number(&self) -> u64 {
        self.map().number
    }

    /// Whether a server came to partitions of another after the answer `number`.
    pub(super) fn has_gained_since(&self, server: &Server, number: u64) -> bool {
        self.map()
            .gained
            .get(server)
            .is_some_and(|gained| *gained > number)
    }

    /// Whether a server is still the primary of a partition, as known now.
    pub(super) fn is_at(&self, partition: Partition, server: &Server) -> bool {
        let map = self.map();
        let owner = map.owners.get(usize::from(partition.index()));
        owner.and_then(Option::as_ref) == Some(server)
    }

    /// The primary that most can vouch for: every sentinel is asked, the answer of the newest configuration counts,
    /// and the server named has to say itself that it is one.
    async fn ask_sentinels(&self, master: &str) -> Result<Server, Broken> {
        let asked = futures_util::future::join_all(self.known().into_iter().map(|sentinel| async move {
            let answer = self.ask_sentinel(&sentinel, master).await;
            (sentinel, answer)
        }))
        .await;
        let mut newest: Option<(u64, Server)> = None;
        let mut why = "no sentinel was asked".to_owned();
        for (sentinel, answer) in asked {
            match answer {
                Ok((epoch, primary, others)) => {
                    self.learn(&sentinel, others);
                    if newest.as_ref().is_none_or(|(known, _)| epoch > *known) {
                        newest = Some((epoch, primary));
                    }
                }
                Err(broken) => why = broken.why,
            }
        }
        let Some((_, primary)) = newest else {
            return Err(Broken {
                why: format!("no sentinel says who `{master}` is: {why}"),
            });
        };
        let mut wire = self.connect(&primary).await?;
        be_primary(&mut wire).await?;
        Ok(primary)
    }

    async fn ask_sentinel(
        &self,
        sentinel: &Server,
        master: &str,
    ) -> Result<(u64, Server, Vec<Server>), Broken> {
        let mut wire = self.dialer.connect(sentinel, &self.sentinels).await?;
        let about = wire.value(&["SENTINEL", "MASTER", master]).await?;
        let about = items_of(&about);
        let epoch = field(about, "config-epoch").and_then(|epoch| epoch.parse().ok());
        let primary = server_of(about).ok_or_else(|| Broken {
            why: format!("{sentinel} names no server for `{master}`"),
        })?;
        let others = wire.value(&["SENTINEL", "SENTINELS", master]).await?;
        let others = items_of(&others)
            .iter()
            .filter_map(|one| server_of(items_of(one)));
        Ok((epoch.unwrap_or(0), primary, others.collect()))
    }

    /// The slots, by the first member that answers; each time another one is asked first, so that a member who was
    /// cut off does not mislead us for long.
    async fn ask_cluster(&self) -> Result<Vec<Option<Server>>, Broken> {
        let mut why = "no member was asked".to_owned();
        for member in self.known() {
            match self.ask_member(&member).await {
                Ok((owners, members)) => {
                    self.learn(&member, members);
                    self.known_mut().rotate_left(1);
                    return Ok(owners);
                }
                Err(broken) => why = broken.why,
            }
        }
        self.known_mut().rotate_left(1);
        Err(Broken {
            why: format!("no member of the Cluster says where things are: {why}"),
        })
    }

    async fn ask_member(&self, member: &Server) -> Result<(Vec<Option<Server>>, Vec<Server>), Broken> {
        let mut wire = self.dialer.connect(member, &self.account).await?;
        let slots = wire.value(&["CLUSTER", "SLOTS"]).await?;
        let mut owners = vec![None; usize::from(PARTITIONS)];
        let mut members = Vec::new();
        for range in items_of(&slots) {
            let [first, last, servers @ ..] = items_of(range) else {
                continue;
            };
            let servers: Vec<Server> = servers.iter().filter_map(|one| member_of(one, member)).collect();
            if let (Some(first), Some(last), Some(primary)) = (slot_of(first), slot_of(last), servers.first())
            {
                for (owner, partition) in owners.iter_mut().zip(Partition::all()) {
                    if (first..=last).contains(&slot(partition)) {
                        *owner = Some(primary.clone());
                    }
                }
            }
            members.extend(servers);
        }
        if owners.iter().all(Option::is_none) {
            return Err(Broken {
                why: format!(
                    "{member} knows of no slots: the Cluster is not made yet, or {member} has left it"
                ),
            });
        }
        Ok((owners, members))
    }

    fn map(&self) -> std::sync::MutexGuard<'_, Map> {
        self.map.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known_mut(&self) -> std::sync::MutexGuard<'_, Vec<Server>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self) -> Vec<Server> {
        self.known_mut().clone()
    }

    /// Remembers whom else to ask. Those of the address are never forgotten.
    fn learn(&self, who: &Server, others: Vec<Server>) {
        let mut known = self.known_mut();
        let mut now = vec![who.clone()];
        for server in others.into_iter().chain(self.address.seeds.iter().cloned()) {
            if !now.contains(&server) && now.len() < KNOWN_MAX {
                now.push(server);
            }
        }
        *known = now;
    }
}

/// Refuses a server that is no primary.
pub(super) async fn be_primary(wire: &mut super::wire::Wire) -> Result<(), Broken> {
    let role = wire.value(&["ROLE"]).await?;
    match items_of(&role).first().and_then(text_of).as_deref() {
        Some("master") => Ok(()),
        role => Err(Broken {
            why: format!(
                "{} is no primary but {}",
                wire.server(),
                role.unwrap_or("something without a role")
            ),
        }),
    }
}

/// The server that a sentinel describes.
fn server_of(about: &[Value]) -> Option<Server> {
    let port = field(about, "port")?.parse().ok()?;
    let host = field(about, "ip").filter(|host| !host.is_empty())?;
    Some(Server { host, port })
}

/// A member in an answer to `CLUSTER SLOTS`; one without a name is where the answer came from.
fn member_of(about: &Value, asked: &Server) -> Option<Server> {
    let [host, port, ..] = items_of(about) else {
        return None;
    };
    let port = text_of(port)?.parse().ok()?;
    let host = text_of(host).filter(|host| !host.is_empty() && host != "?");
    Some(Server {
        host: host.unwrap_or_else(|| asked.host.clone()),
        port,
    })
}

fn slot_of(number: &Value) -> Option<u16> {
    match number {
        Value::Int(number) => u16::try_from(*number).ok().filter(|slot| *slot < SLOTS),
        _ => None,
    }
}

/// The slot of a partition's keys: of what stands between the braces of each.
pub(super) fn slot(partition: Partition) -> u16 {
    crc16(partition.to_string().as_bytes()) % SLOTS
}

/// CRC-16/XMODEM, as the Cluster specification names it.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| {
            let carried = crc & 0x8000 != 0;
            (crc << 1) ^ if carried { 0x1021 } else { 0 }
        })
    })
}

fn listed(owners: &[Option<Server>]) -> String {
    let mut names: Vec<String> = owners.iter().flatten().map(ToString::to_string).collect();
    names.sort();
    names.dedup();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_specification() {
        // The check value that the Cluster specification gives for the algorithm.
        assert_eq!(crc16(b"123456789"), 0x31c3);
        let slots: std::collections::BTreeSet<u16> = Partition::all().map(slot).collect();
        assert_eq!(
            slots.len(),
            usize::from(PARTITIONS),
            "no two partitions share a slot"
        );
    }

    #[test]
    fn a_member_without_a_name_is_where_the_answer_came_from() {
        let asked = Server {
            host: "10.0.0.1".into(),
            port: 7000,
        };
        for host in [
            Value::Nil,
            Value::BulkString(vec![]),
            Value::BulkString(b"?".to_vec()),
        ] {
            let about = Value::Array(vec![host, Value::Int(7001), Value::Nil]);
            let found = member_of(&about, &asked).unwrap();
            assert_eq!(found.to_string(), "10.0.0.1:7001");
        }
    }
}
