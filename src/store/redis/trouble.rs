//! What went wrong with a call, by what its caller will do.

use super::address::Server;
use super::wire::Broken;

/// What to do when the servers forbid something.
pub(super) const GRANT: &str = "grant the user of `[store]` what docs/operate/redis.md lists";

/// Why a call has no answer of its function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Too many wait for the connection.
    Busy,
    /// Try again in a moment, there.
    Later { why: String },
    /// Ask where the primary is, then try again; the connection is given up.
    Elsewhere { why: String },
    /// Written, and not on as many replicas as the commit takes. Try again; ask where the primary is, too: this one may
    /// have been cut off from the others.
    Short { why: String },
    /// The server has no functions of ours.
    NoLibrary,
    /// There is no room.
    Full { why: String },
    /// The server has less than it acknowledged, or the partition is parked.
    Lost,
    /// Trying again does not help.
    Refused { why: String },
}

impl From<Broken> for Trouble {
    fn from(broken: Broken) -> Trouble {
        Trouble::Elsewhere { why: broken.why }
    }
}

/// What an error of a server means. Its first words are fixed (Redis source, `server.c`, "shared objects"; Valkey has
/// the same).
pub(super) fn trouble(server: &Server, code: &str, detail: &str) -> Trouble {
    let why = format!("{server} answers {code} {detail}");
    match code {
        "OOM" => Trouble::Full {
            why: format!("{server} has reached its `maxmemory`"),
        },
        "MISCONF" => Trouble::Full { why },
        "MOVED" | "READONLY" | "MASTERDOWN" | "CLUSTERDOWN" | "NOAUTH" | "WRONGPASS" | "UNBLOCKED" => {
            Trouble::Elsewhere { why }
        }
        // A slot on its way is left alone until it has arrived: half of a partition is no partition.
        "ASK" | "TRYAGAIN" | "LOADING" | "BUSY" | "NOREPLICAS" => Trouble::Later { why },
        "NOSCRIPT" => Trouble::NoLibrary,
        "ERR" if detail.starts_with("Function not found") => Trouble::NoLibrary,
        "ERR" if detail.starts_with("unknown command") => Trouble::NoLibrary,
        "ERR" if detail.starts_with("The user executing the script can't run") => Trouble::Refused {
            why: format!("{why}; {GRANT}"),
        },
        "ERR" if detail.contains("non local key") => Trouble::Later { why },
        "NOPERM" => Trouble::Refused {
            why: format!("{why}; {GRANT}"),
        },
        _ => Trouble::Refused { why },
    }
}
