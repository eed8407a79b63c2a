//! What the battery plays: alerts, what goes wrong at the vendor, and what has to come out whatever dies when.

use cordon::range::{Fault, FaultKind, Host};

/// A playbook: it contains every affected host of findings with its rule.
pub struct Playbook {
    pub id: &'static str,
    pub rule: &'static str,
    pub lease: Option<&'static str>,
}

/// An alert with one finding.
pub struct Alert {
    pub uid: &'static str,
    pub rule: &'static str,
    pub hosts: &'static [&'static str],
}

/// What has to come out.
pub struct Expected {
    /// Runs there are in the end, all settled.
    pub runs: usize,
    /// How often the vendor carried each out, for each host.
    pub contained: usize,
    pub lifted: usize,
    /// Holders of all holds in the end.
    pub holders: usize,
    /// Whether every run succeeds.
    pub succeeds: bool,
    /// Whether read-back contradicts the vendor.
    pub contradicted: bool,
}

pub struct Scenario {
    pub name: &'static str,
    pub hosts: &'static [&'static str],
    pub playbooks: &'static [Playbook],
    pub alerts: &'static [Alert],
    pub fault: Option<fn() -> Fault>,
    /// The containment is there before the first kill, and is undone.
    pub undo: bool,
    pub expected: Expected,
}

const FOREVER: Playbook = Playbook {
    id: "beacon",
    rule: "beacon",
    lease: None,
};
const WEB_07: &[&str] = &["web-07"];
const BEACON: Alert = Alert {
    uid: "b-1",
    rule: "beacon",
    hosts: WEB_07,
};
const ONCE: Expected = Expected {
    runs: 1,
    contained: 1,
    lifted: 0,
    holders: 1,
    succeeds: true,
    contradicted: false,
};
const ONE: Scenario = Scenario {
    name: "one-host",
    hosts: WEB_07,
    playbooks: &[FOREVER],
    alerts: &[BEACON],
    fault: None,
    undo: false,
    expected: ONCE,
};

pub static ALL: [Scenario; 8] = [
    ONE,
    Scenario {
        name: "two-hosts",
        hosts: &["web-07", "web-08"],
        alerts: &[Alert {
            uid: "b-2",
            rule: "beacon",
            hosts: &["web-07", "web-08"],
        }],
        expected: Expected { holders: 2, ..ONCE },
        ..ONE
    },
    Scenario {
        name: "answer-lost",
        fault: Some(|| Fault::on_action("contain", FaultKind::LoseAnswer)),
        ..ONE
    },
    Scenario {
        name: "vendor-lies",
        // Every attempt is lied to: one after a crash may be a second one, since the first did not happen.
        fault: Some(|| Fault::on_action("contain", FaultKind::Lie).times(100)),
        expected: Expected {
            contained: 0,
            succeeds: false,
            contradicted: true,
            ..ONCE
        },
        ..ONE
    },
    Scenario {
        name: "short-lease",
        playbooks: &[Playbook {
            lease: Some("1s"),
            ..FOREVER
        }],
        expected: Expected {
            runs: 2,
            lifted: 1,
            holders: 0,
            ..ONCE
        },
        ..ONE
    },
    Scenario {
        name: "undo",
        undo: true,
        expected: Expected {
            runs: 2,
            lifted: 1,
            holders: 0,
            ..ONCE
        },
        ..ONE
    },
    Scenario {
        name: "throttled",
        fault: Some(|| Fault::on_action("contain", FaultKind::TooMany { retry_after_s: 1 })),
        ..ONE
    },
    Scenario {
        name: "two-leases",
        playbooks: &[
            Playbook {
                lease: Some("2s"),
                ..FOREVER
            },
            Playbook {
                id: "tunnel",
                rule: "tunnel",
                lease: Some("3s"),
            },
        ],
        alerts: &[
            BEACON,
            Alert {
                uid: "t-1",
                rule: "tunnel",
                hosts: WEB_07,
            },
        ],
        expected: Expected {
            runs: 4,
            lifted: 1,
            holders: 0,
            ..ONCE
        },
        ..ONE
    },
];

impl Playbook {
    pub fn manifest(&self) -> String {
        format!(
            "id = \"{}\"\ntitle = \"Contain hosts\"\nkind = \"response\"\nowner = \"tests\"\non_failure = \"keep\"\n",
            self.id
        )
    }

    pub fn script(&self) -> String {
        let options = self
            .lease
            .map_or_else(String::new, |lease| format!(", #{{ lease: \"{lease}\" }}"));
        format!(
            "note(`${{finding.title}}`);\n\
             let results = each(finding.all(\"host\"), |host| endpoint::isolate(host{options}));\n\
             notify::oncall(#{{ subject: finding.title, results: results }});\n\
             if results.filter(|r| !r.ok).len() > 0 {{ throw error(\"not-contained\", \"not every host\"); }}\n"
        )
    }

    pub fn trigger(&self) -> String {
        format!(
            "title: Contain for {rule}\nlogsource: {{ product: cordon, category: finding }}\ndetection:\n  \
             host: {{ affected.type: host, rule.uid: {rule} }}\n  condition: host\nlevel: high\n\
             cordon: {{ key: [affected.uid, rule.uid], window: 1h }}\n",
            rule = self.rule
        )
    }
}

impl Alert {
    pub fn body(&self) -> String {
        let entities: Vec<_> = self
            .hosts
            .iter()
            .map(|name| serde_json::json!({ "type": "host", "role": "affected", "name": name }))
            .collect();
        serde_json::json!({
            "uid": self.uid,
            "title": format!("{} found", self.rule),
            "severity": "high",
            "rule": { "uid": self.rule, "name": self.rule },
            "entities": entities,
        })
        .to_string()
    }
}

/// A host as the range has it: its id is 32 hexadecimal digits, as Falcon's are.
pub fn host(name: &str) -> Host {
    let digest = cordon::digest::Digest::of(name.as_bytes()).to_string();
    Host::new(digest.chars().take(32).collect::<String>(), name)
}
