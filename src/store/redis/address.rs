//! Where the servers are: one, some under Sentinel, or a Cluster. Never holds a password, so that it may be shown.

use std::fmt;

/// Port of a server where the address names none.
const PORT: u16 = 6379;
/// Port of a sentinel where the address names none (Redis "High availability with Sentinel").
const SENTINEL_PORT: u16 = 26379;
/// What every key begins with where the address says nothing.
const PREFIX: &str = "cordon:";
/// Longest prefix, bytes: it stands in every key.
const PREFIX_BYTES_MAX: usize = 64;
/// Most servers an address names.
const SEEDS_MAX: usize = 64;

/// One server.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Server {
    /// Name or number, without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl Server {
    /// Reads `host`, `host:port`, `[v6]` or `[v6]:port`.
    fn parse(text: &str, port: u16) -> Option<Server> {
        let (host, rest) = match text.strip_prefix('[') {
            Some(bracketed) => bracketed.split_once(']')?,
            None => text.split_once(':').map_or((text, ""), |(host, _)| {
                (host, text.get(host.len()..).unwrap_or(""))
            }),
        };
        let port = match rest.strip_prefix(':') {
            Some(port) => port.parse().ok().filter(|port| *port > 0)?,
            None if rest.is_empty() => port,
            None => return None,
        };
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%');
        (!host.is_empty() && host.chars().all(fits)).then(|| Server {
            host: host.to_owned(),
            port,
        })
    }
}

/// How the servers stand to each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layout {
    /// One server has everything.
    Single,
    /// Sentinels say which server of this name is the primary.
    Sentinel {
        /// The name the sentinels know it by.
        master: String,
    },
    /// Partitions are shared out among primaries.
    Cluster,
}

/// The address of a store in Redis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// How the servers stand to each other.
    pub layout: Layout,
    /// Whom to ask first: the server, sentinels, or members of the Cluster.
    pub seeds: Vec<Server>,
    /// Whether connections use TLS.
    pub tls: bool,
    /// The user, where it is not the server's default one.
    pub user: Option<String>,
    /// The database's number; 0 in a Cluster.
    pub database: u32,
    /// What every key begins with.
    pub prefix: String,
}

/// Why a text is no address of a store in Redis.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAnAddress {
    /// A password stands in it.
    #[error(
        "a password stands in the address: name its place in `[store] password`, such as `env:REDIS_PASSWORD`"
    )]
    Password,
    /// Anything else, in words.
    #[error("{0}")]
    Shape(&'static str),
}

impl Address {
    /// True for a text that means Redis, well written or not.
    pub fn is_meant(text: &str) -> bool {
        let scheme = text.split(':').next().unwrap_or_default();
        scheme.starts_with("redis") || scheme.starts_with("valkey")
    }

    /// Reads `redis://[user@]host[:port][/database]`, `rediss://…` (TLS),
    /// `redis-sentinel://[user@]host[:port],…/master[/database]`, `redis-cluster://[user@]host[:port],…`, with
    /// `rediss-…` for TLS and `?prefix=…` at the end of any.
    ///
    /// # Errors
    /// What is wrong with it. Never repeats a password.
    pub fn parse(text: &str) -> Result<Address, NotAnAddress> {
        let shape = NotAnAddress::Shape;
        let (scheme, rest) = text
            .split_once("://")
            .ok_or(shape("write `redis://host:6379/0`"))?;
        let (tls, kind) = match scheme {
            "redis" => (false, Kind::Single),
            "rediss" => (true, Kind::Single),
            "redis-sentinel" => (false, Kind::Sentinel),
            "rediss-sentinel" => (true, Kind::Sentinel),
            "redis-cluster" => (false, Kind::Cluster),
            "rediss-cluster" => (true, Kind::Cluster),
            _ => {
                return Err(shape(
                    "the schemes are `redis`, `redis-sentinel` and `redis-cluster`, and `rediss`, `rediss-sentinel` \
                     and `rediss-cluster` with TLS",
                ));
            }
        };
        let (rest, query) = rest
            .split_once('?')
            .map_or((rest, None), |(rest, query)| (rest, Some(query)));
        let prefix = prefix(query)?;
        // The last `@`: a password may hold one.
        let (account, rest) = rest
            .rsplit_once('@')
            .map_or((None, rest), |(account, rest)| (Some(account), rest));
        let user = match account {
            Some(account) if account.contains(':') => return Err(NotAnAddress::Password),
            Some("") => return Err(shape("there is an `@` and no user before it")),
            Some(user) => Some(user.to_owned()),
            None => None,
        };
        let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
        let port = if kind == Kind::Sentinel {
            SENTINEL_PORT
        } else {
            PORT
        };
        let seeds: Option<Vec<Server>> = hosts.split(',').map(|host| Server::parse(host, port)).collect();
        let seeds = seeds.ok_or(shape(
            "a server is written `host:port`, `192.0.2.1:6379` or `[2001:db8::1]:6379`; several stand between commas",
        ))?;
        if seeds.len() > SEEDS_MAX {
            return Err(shape(
                "it names more than 64 servers; a few are enough to find the others",
            ));
        }
        let (layout, database) = match kind {
            Kind::Single if seeds.len() > 1 => {
                return Err(shape(
                    "`redis://` is one server; several are `redis-sentinel://` or `redis-cluster://`",
                ));
            }
            Kind::Single => (Layout::Single, number(path)?),
            Kind::Sentinel => {
                let (master, database) = path.split_once('/').unwrap_or((path, ""));
                if master.is_empty() {
                    return Err(shape(
                        "after the sentinels stands the primary's name: `redis-sentinel://host:26379/mymaster`",
                    ));
                }
                let layout = Layout::Sentinel {
                    master: master.to_owned(),
                };
                (layout, number(database)?)
            }
            Kind::Cluster if number(path)? > 0 => return Err(shape("a Cluster has database 0 and no other")),
            Kind::Cluster => (Layout::Cluster, 0),
        };
        Ok(Address {
            layout,
            seeds,
            tls,
            user,
            database,
            prefix,
        })
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Single,
    Sentinel,
    Cluster,
}

fn number(text: &str) -> Result<u32, NotAnAddress> {
    if text.is_empty() {
        return Ok(0);
    }
    text.parse()
        .map_err(|_| NotAnAddress::Shape("the database is a number: `redis://host:6379/0`"))
}

fn prefix(query: Option<&str>) -> Result<String, NotAnAddress> {
    let Some(query) = query else {
        return Ok(PREFIX.to_owned());
    };
    let prefix = query.strip_prefix("prefix=").filter(|prefix| {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '-' | '_' | '.');
        !prefix.is_empty() && prefix.len() <= PREFIX_BYTES_MAX && prefix.chars().all(fits)
    });
    prefix.map(str::to_owned).ok_or(NotAnAddress::Shape(
        "after `?` stands `prefix=` and at most 64 letters, digits and `:`, `-`, `_`, `.`",
    ))
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.tls { "rediss" } else { "redis" })?;
        f.write_str(match self.layout {
            Layout::Single => "://",
            Layout::Sentinel { .. } => "-sentinel://",
            Layout::Cluster => "-cluster://",
        })?;
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        for (n, seed) in self.seeds.iter().enumerate() {
            let comma = if n > 0 { "," } else { "" };
            write!(f, "{comma}{seed}")?;
        }
        match &self.layout {
            Layout::Single => write!(f, "/{}", self.database)?,
            Layout::Sentinel { master } => write!(f, "/{master}/{}", self.database)?,
            Layout::Cluster => {}
        }
        if self.prefix != PREFIX {
            write!(f, "?prefix={}", self.prefix)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_reads_as_it_is_shown() {
        for (text, shown) in [
            ("redis://localhost", "redis://localhost:6379/0"),
            (
                "redis://127.0.0.1:6411/3?prefix=t1:",
                "redis://127.0.0.1:6411/3?prefix=t1:",
            ),
            (
                "rediss://cordon@[2001:db8::1]:6380",
                "rediss://cordon@[2001:db8::1]:6380/0",
            ),
            (
                "redis-sentinel://s1,s2:26380/mymaster",
                "redis-sentinel://s1:26379,s2:26380/mymaster/0",
            ),
            ("redis-cluster://a:1,b", "redis-cluster://a:1,b:6379"),
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!(address.to_string(), shown);
            assert_eq!(Address::parse(shown).unwrap(), address);
        }
    }

    #[test]
    fn a_wrong_address_says_what_is_wrong_and_never_repeats_a_password() {
        for (text, says) in [
            ("redis:localhost", "redis://host:6379/0"),
            ("redis-ha://x", "schemes"),
            ("redis://", "host:port"),
            ("redis://a,b", "one server"),
            ("redis://a:0", "host:port"),
            ("redis://a/x", "number"),
            ("redis-sentinel://a:1", "primary's name"),
            ("redis-cluster://a/2", "database 0"),
            ("redis://a?pre=1", "prefix="),
            ("redis://a?prefix={x}", "prefix="),
            ("redis://@a", "no user"),
            ("redis://u:hunt@er2@a", "[store] password"),
            ("redis://:hunter2@a", "[store] password"),
        ] {
            let why = Address::parse(text).unwrap_err().to_string();
            assert!(why.contains(says), "{text}: {why}");
            assert!(!why.contains("hunt"), "{why}");
        }
    }
}
