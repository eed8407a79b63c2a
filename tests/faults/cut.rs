//! The network between loopback addresses, cut with nftables. The battery runs in a network of its own
//! (`scripts/redis-battery`), so nobody else is cut off.

use std::io::Write as _;
use std::process::{Command, Stdio};

/// Who sends what is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// What the first sends to the second.
    There,
    /// What the second sends to the first.
    Back,
    /// Both.
    Both,
}

/// Where the test process and nodes speak from.
pub const CLIENTS: &str = "127.0.0.1";
/// The users that nodes run as, so that one node can be cut off and another not.
pub const USERS: [u32; 3] = [20_001, 20_002, 20_003];

fn nft(text: &str) {
    let mut child = Command::new("nft")
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .spawn()
        .expect("nft is needed: scripts/redis-battery installs it");
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "nft refuses:\n{text}");
}

/// The cuts in force. All heal when it is dropped.
pub struct Cuts;

impl Drop for Cuts {
    fn drop(&mut self) {
        nft("table inet faults { }\ndelete table inet faults\n");
    }
}

impl Cuts {
    /// None yet.
    ///
    /// # Panics
    /// Outside a network of its own: a cut would befall others.
    pub fn none() -> Cuts {
        assert!(
            std::env::var_os("CORDON_FAULTS_ALONE").is_some(),
            "this cuts the network: run scripts/redis-battery, which makes one for it"
        );
        let cuts = Cuts;
        cuts.heal();
        cuts
    }

    /// Loses what passes between these addresses.
    pub fn between(&self, one: &str, other: &str, way: Way) {
        if way != Way::Back {
            self.add("out", &format!("ip saddr {one} ip daddr {other} drop"));
        }
        if way != Way::There {
            self.add("out", &format!("ip saddr {other} ip daddr {one} drop"));
        }
    }

    /// Cuts an address off from everybody but itself: what it sends (`There`), what it is sent (`Back`).
    pub fn off(&self, ip: &str, way: Way) {
        if way != Way::Back {
            self.add("out", &format!("ip saddr {ip} ip daddr != {ip} drop"));
        }
        if way != Way::There {
            self.add("out", &format!("ip saddr != {ip} ip daddr {ip} drop"));
        }
    }

    fn add(&self, chain: &str, rule: &str) {
        nft(&format!("add rule inet faults {chain} {rule}\n"));
    }

    /// Nothing is cut any more.
    pub fn heal(&self) {
        // Marked before anything is dropped, so that a connection is known by its opener. A user's number is no mark by
        // itself to nft, so each node's user has a rule.
        let marks: String = USERS
            .iter()
            .map(|uid| format!("meta skuid {uid} ct direction original ct mark set {uid};\n"))
            .collect();
        nft(&format!(
            "table inet faults {{ }}\ndelete table inet faults\n\
             table inet faults {{\n\
             chain who {{ type filter hook output priority -10; policy accept;\n{marks}}}\n\
             chain out {{ type filter hook output priority 0; policy accept; }}\n\
             chain in {{ type filter hook input priority 0; policy accept; }}\n\
             }}\n"
        ));
    }
}
