//! What the battery plays: alerts, what goes wrong at a vendor, and what has to come out whatever dies when. How often
//! each vendor is changed is learnt from the undisturbed course, and has to be the same after every kill.

use cordon::journal::End;
use cordon::range::{Fault, FaultKind, LateAnswer};

use crate::estate::{Estate, Playbook};

/// An alert with one finding.
pub struct Alert {
    pub uid: &'static str,
    /// Of the rule: the playbook of this id is started.
    pub rule: &'static str,
    pub title: &'static str,
    /// Type and name of what is affected.
    pub affected: &'static [(&'static str, &'static str)],
}

/// What has to come out.
pub struct Expected {
    /// Runs there are in the end, all settled.
    pub runs: usize,
    /// Holders of all holds in the end.
    pub holders: usize,
    /// How every run ends.
    pub end: End,
    /// Whether read-back contradicts the vendor.
    pub contradicted: bool,
}

pub struct Scenario {
    pub name: &'static str,
    pub estate: Estate,
    pub playbooks: &'static [Playbook],
    pub alerts: &'static [Alert],
    pub fault: Option<fn() -> Fault>,
    /// What the alert did is there before the first kill, and is undone.
    pub undo: bool,
    pub expected: Expected,
}

/// Isolates every host and tells who is on call.
macro_rules! isolate {
    ($options:literal) => {
        concat!(
            "note(finding.title);\n",
            "let results = each(finding.all(\"host\"), |host| endpoint::isolate(host, #{",
            $options,
            "}));\n",
            "notify::oncall(#{ subject: finding.title, results: results });\n",
            "if results.filter(|r| !r.ok).len() > 0 { throw error(\"not-contained\", \"not every host\"); }\n"
        )
    };
}

const BEACON: Playbook = Playbook {
    on_failure: "keep",
    id: "beacon",
    script: isolate!(""),
};
const ON_WEB_07: Alert = Alert {
    uid: "b-1",
    rule: "beacon",
    title: "beacon found",
    affected: &[("host", "web-07")],
};
const ONCE: Expected = Expected {
    runs: 1,
    holders: 1,
    end: End::Succeeded,
    contradicted: false,
};
const ONE: Scenario = Scenario {
    name: "one-host",
    estate: Estate::Falcon,
    playbooks: &[BEACON],
    alerts: &[ON_WEB_07],
    fault: None,
    undo: false,
    expected: ONCE,
};
/// Nothing is held in the end: a lease, a script or a person ended it.
const ENDED: Expected = Expected {
    runs: 2,
    holders: 0,
    ..ONCE
};
const NOTHING_HELD: Expected = Expected { holders: 0, ..ONCE };

const COMPANY: Scenario = Scenario {
    estate: Estate::Company,
    playbooks: &[],
    ..ONE
};
const KIM: (&str, &str) = ("user", "kim@corp.example");
const BEN: (&str, &str) = ("user", "ben@corp.example");

pub static ALL: [Scenario; 24] = [
    ONE,
    Scenario {
        name: "two-hosts",
        alerts: &[Alert {
            affected: &[("host", "web-07"), ("host", "web-08")],
            ..ON_WEB_07
        }],
        expected: Expected { holders: 2, ..ONCE },
        ..ONE
    },
    Scenario {
        name: "six-hosts",
        alerts: &[Alert {
            affected: &[
                ("host", "web-07"),
                ("host", "web-08"),
                ("host", "web-09"),
                ("host", "web-10"),
                ("host", "web-11"),
                ("host", "web-12"),
            ],
            ..ON_WEB_07
        }],
        expected: Expected { holders: 6, ..ONCE },
        ..ONE
    },
    Scenario {
        name: "answer-lost",
        fault: Some(|| Fault::on_action("contain", FaultKind::LoseAnswer)),
        ..ONE
    },
    Scenario {
        name: "late-answer",
        // The vendor says that it failed, and does it a little later.
        fault: Some(|| {
            let answer = LateAnswer::Error;
            Fault::on_action("contain", FaultKind::Late { ms: 100, answer })
        }),
        ..ONE
    },
    Scenario {
        name: "vendor-lies",
        // Every attempt is lied to: one after a crash may be a second one, since the first did not happen.
        fault: Some(|| Fault::on_action("contain", FaultKind::Lie).times(100)),
        expected: Expected {
            end: End::Kept,
            contradicted: true,
            ..ONCE
        },
        ..ONE
    },
    Scenario {
        name: "short-lease",
        playbooks: &[Playbook {
            script: isolate!("lease: \"1s\""),
            ..BEACON
        }],
        expected: ENDED,
        ..ONE
    },
    Scenario {
        name: "undo",
        undo: true,
        expected: ENDED,
        ..ONE
    },
    Scenario {
        name: "throttled",
        fault: Some(|| Fault::on_action("contain", FaultKind::TooMany { retry_after_s: 1 })),
        ..ONE
    },
    Scenario {
        name: "token-ends",
        fault: Some(|| Fault::on_action("contain", FaultKind::ExpireToken)),
        ..ONE
    },
    Scenario {
        name: "two-leases",
        playbooks: &[
            Playbook {
                script: isolate!("lease: \"2s\""),
                ..BEACON
            },
            Playbook {
                on_failure: "keep",
                id: "tunnel",
                script: isolate!("lease: \"3s\""),
            },
        ],
        alerts: &[
            ON_WEB_07,
            Alert {
                uid: "t-1",
                rule: "tunnel",
                title: "tunnel found",
                ..ON_WEB_07
            },
        ],
        expected: Expected { runs: 4, ..ENDED },
        ..ONE
    },
    Scenario {
        name: "rolled-back",
        playbooks: &[Playbook {
            on_failure: "roll_back",
            script: "each(finding.all(\"host\"), |host| endpoint::isolate(host));\n\
                     throw error(\"no-ticket\", \"the ticket system is down\");\n",
            ..BEACON
        }],
        alerts: &[Alert {
            affected: &[("host", "web-07"), ("host", "web-08")],
            ..ON_WEB_07
        }],
        expected: Expected {
            holders: 0,
            end: End::RolledBack,
            ..ONCE
        },
        ..ONE
    },
    Scenario {
        name: "sub-playbook",
        playbooks: &[
            BEACON,
            Playbook {
                on_failure: "keep",
                id: "above",
                script: "let below = run_playbook(\"beacon\");\nnote(below.end);\n",
            },
        ],
        alerts: &[Alert {
            uid: "a-1",
            rule: "above",
            title: "Something above",
            ..ON_WEB_07
        }],
        expected: Expected { runs: 2, ..ONCE },
        ..ONE
    },
    // The shipped playbooks, as they are.
    Scenario {
        name: "service-account",
        alerts: &[Alert {
            uid: "s-1",
            rule: "cloud",
            title: "Compromised service account",
            affected: &[("service_account", "svc-build"), ("host", "web-07")],
        }],
        // The account, its rights, a host and two keys.
        expected: Expected { holders: 5, ..ONCE },
        ..COMPANY
    },
    Scenario {
        name: "leaver",
        alerts: &[Alert {
            uid: "hr-1",
            rule: "leaver",
            title: "Kim left",
            affected: &[KIM, ("resource", "prod/warehouse")],
        }],
        expected: Expected { holders: 2, ..ONCE },
        ..COMPANY
    },
    Scenario {
        name: "leaked-key",
        alerts: &[Alert {
            uid: "k-1",
            rule: "scan",
            title: "Secret in a repository",
            affected: &[
                ("access_key", "AKIARANGE00REPORT001"),
                ("service_account", "svc-report"),
            ],
        }],
        expected: Expected { holders: 2, ..ONCE },
        ..COMPANY
    },
    Scenario {
        name: "stolen-session",
        alerts: &[Alert {
            uid: "t-1",
            rule: "theft",
            title: "Session cookie of Kim used elsewhere",
            affected: &[KIM],
        }],
        ..COMPANY
    },
    // What the shipped ones do not do in a test's time.
    Scenario {
        name: "suspended-a-while",
        playbooks: &[Playbook {
            on_failure: "keep",
            id: "guess",
            script: "let who = finding.affected(\"user\");\n\
                     identity::suspend(who, #{ lease: \"1s\" });\n\
                     identity::revoke_sessions(who);\n",
        }],
        alerts: &[Alert {
            uid: "g-1",
            rule: "guess",
            title: "Password guessed",
            affected: &[BEN],
        }],
        expected: ENDED,
        ..COMPANY
    },
    Scenario {
        name: "half-an-answer",
        playbooks: &[Playbook {
            on_failure: "keep",
            id: "guess",
            script: "identity::suspend(finding.affected(\"user\"));\n",
        }],
        alerts: &[Alert {
            uid: "g-1",
            rule: "guess",
            title: "Password guessed",
            affected: &[BEN],
        }],
        fault: Some(|| Fault::on_action("suspend", FaultKind::Truncate)),
        ..COMPANY
    },
    Scenario {
        name: "granted-for-a-time",
        playbooks: &[Playbook {
            on_failure: "keep",
            id: "grant",
            script: "let grant = identity::grant(finding.affected(\"user\"), #{ group: \"production-admins\" });\n\
                     wait(\"2s\");\n\
                     undo(grant);\n\
                     notify::team(\"identity-operations\", #{ subject: \"It is over\" });\n",
        }],
        alerts: &[Alert {
            uid: "a-1",
            rule: "grant",
            title: "Access for a time",
            affected: &[KIM],
        }],
        expected: NOTHING_HELD,
        ..COMPANY
    },
    Scenario {
        name: "held-for-people",
        playbooks: &[Playbook {
            on_failure: "keep",
            id: "careful",
            script: "identity::suspend(finding.affected(\"service_account\"));\n",
        }],
        alerts: &[Alert {
            uid: "c-1",
            rule: "careful",
            title: "Report account acts up",
            affected: &[("service_account", "svc-report")],
        }],
        ..COMPANY
    },
    Scenario {
        name: "rotated-once",
        playbooks: &[Playbook {
            on_failure: "keep",
            id: "rotate",
            script: "secret::rotate(finding.affected(\"resource\"));\n",
        }],
        alerts: &[Alert {
            uid: "r-1",
            rule: "rotate",
            title: "Deploy secret seen",
            affected: &[("resource", "prod/deploy")],
        }],
        fault: Some(|| Fault::on_action("RotateSecret", FaultKind::LoseAnswer)),
        expected: NOTHING_HELD,
        ..COMPANY
    },
    Scenario {
        name: "written-once",
        playbooks: &[Playbook {
            on_failure: "keep",
            id: "write",
            script: "let channel = finding.affected(\"resource\").name;\n\
                     chat::send(#{ to: channel, subject: \"seen\", text: \"written by a run\" });\n",
        }],
        alerts: &[Alert {
            uid: "w-1",
            rule: "write",
            title: "Something to tell",
            affected: &[("resource", "CHANNEL")],
        }],
        fault: Some(|| Fault::on_action("chat.postMessage", FaultKind::LoseAnswer)),
        expected: NOTHING_HELD,
        ..COMPANY
    },
    Scenario {
        name: "all-at-once",
        playbooks: &[Playbook {
            on_failure: "keep",
            id: "everything",
            script: "let who = finding.affected(\"service_account\");\n\
                     all([\n\
                         || identity::suspend(who),\n\
                         || cloud::deny(who, #{ lease: \"1s\" }),\n\
                         || endpoint::isolate(finding.affected(\"host\"), #{ lease: \"2s\" }),\n\
                     ]);\n",
        }],
        alerts: &[Alert {
            uid: "e-1",
            rule: "everything",
            title: "Build account acts up",
            affected: &[("service_account", "svc-build"), ("host", "web-07")],
        }],
        expected: Expected { runs: 3, ..ONCE },
        ..COMPANY
    },
];

impl Scenario {
    /// Whether leases end on the way. One may be over before what it is about has come about: its end finds nothing
    /// to do, and the next attempt takes another lease.
    pub fn is_leased(&self) -> bool {
        self.playbooks
            .iter()
            .any(|playbook| playbook.script.contains("lease:"))
    }

    /// The hosts its alerts are about.
    pub fn hosts(&self) -> Vec<&'static str> {
        let affected = self.alerts.iter().flat_map(|alert| alert.affected);
        let mut hosts: Vec<&str> = affected
            .filter(|(kind, _)| *kind == "host")
            .map(|(_, name)| *name)
            .collect();
        hosts.sort_unstable();
        hosts.dedup();
        hosts
    }
}

impl Alert {
    pub fn body(&self, channel: &str) -> String {
        let entities: Vec<_> = self
            .affected
            .iter()
            .map(|(kind, name)| {
                let name = if *name == "CHANNEL" { channel } else { name };
                serde_json::json!({ "type": kind, "role": "affected", "name": name })
            })
            .collect();
        serde_json::json!({
            "uid": self.uid,
            "title": self.title,
            "severity": "high",
            "rule": { "uid": self.rule, "name": self.rule },
            "entities": entities,
        })
        .to_string()
    }
}
