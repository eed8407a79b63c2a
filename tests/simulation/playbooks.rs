//! The playbooks that are run, opened once for all simulations.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use cordon::connector::Catalog;
use cordon::journal::{AskOnFailure, OnFailure, PlaybookKind};
use cordon::playbook::{Bundle, Loaded, Parts};
use cordon::script::{Evaluators, Program};

/// How long a run may take, ms: longer than a simulation.
const DEADLINE_MS: u64 = 6 * 3_600_000;

const SCRIPTS: [(&str, &str); 11] = [
    ("leased", r#"endpoint::isolate(finding.host, #{ lease: "10m" });"#),
    (
        "told",
        r#"endpoint::isolate(finding.host); mail::send(#{ to: "soc", text: "contained" }); chat::send(#{ text: "done" });"#,
    ),
    (
        "both",
        r#"
        let done = all([|| endpoint::isolate(finding.host, #{ lease: "20m" }), || endpoint::isolate(finding.other, #{ lease: "5m" })]);
        wait("4m");
        chat::send(#{ text: "still there" });
    "#,
    ),
    (
        "asked",
        r#"
        let answer = approve(#{ ask: "Contain it?", covers: [#{ action: "endpoint::isolate", target: finding.host }], by: "leads", within: "8m" });
        if answer.granted { endpoint::isolate(finding.host); } else { chat::send(#{ text: "not now" }); }
    "#,
    ),
    (
        "account",
        r#"identity::suspend(finding.user, #{ lease: "15m" }); identity::revoke_sessions(finding.user);"#,
    ),
    (
        "undone",
        r#"let r = endpoint::isolate(finding.host); wait("2m"); undo(r);"#,
    ),
    ("released", r#"endpoint::release(finding.host);"#),
    (
        "caught",
        r#"
        let said = "yes";
        try { endpoint::isolate(finding.host, #{ lease: "3m" }); } catch (e) { said = e.code; }
        mail::send(#{ to: "soc", text: said });
        wait("30s");
        identity::suspend(finding.user, #{ lease: "3m" });
    "#,
    ),
    (
        "twice",
        r#"endpoint::isolate(finding.host, #{ lease: "2m" }); wait("90s"); endpoint::isolate(finding.host, #{ lease: "6m" });"#,
    ),
    (
        "rolled back",
        r#"endpoint::isolate(finding.host, #{ lease: "30m" }); identity::suspend(finding.user); wait("1m"); throw "give up";"#,
    ),
    (
        "asks when it fails",
        r#"identity::suspend(finding.user, #{ lease: "40m" }); endpoint::isolate(finding.other); throw "give up";"#,
    ),
];

/// What becomes of what a run did that fails.
fn on_failure(name: &str) -> (OnFailure, Option<AskOnFailure>) {
    match name {
        "rolled back" => (OnFailure::RollBack, None),
        "asks when it fails" => {
            let ask = AskOnFailure {
                by: "leads".into(),
                quorum: 1,
                within_ms: 10 * 60_000,
            };
            (OnFailure::Ask, Some(ask))
        }
        _ => (OnFailure::Keep, None),
    }
}

/// What is shared by all simulations.
pub struct Shelf {
    pub evaluators: Arc<Evaluators>,
    pub playbooks: Vec<(Bundle, Arc<Loaded>)>,
    pub revert: (Bundle, Arc<Loaded>),
    pub act: (Bundle, Arc<Loaded>),
}

/// The shelf.
pub fn shelf() -> &'static Shelf {
    static SHELF: OnceLock<Shelf> = OnceLock::new();
    SHELF.get_or_init(|| {
        let connectors = Catalog::embedded().unwrap();
        let open = |bundle: Bundle| {
            let loaded = Arc::new(Loaded::open(&bundle.bytes).unwrap());
            (bundle, loaded)
        };
        let playbook = |(name, script): &(&str, &str)| {
            let (on_failure, ask) = on_failure(name);
            let parts = Parts {
                playbook: name,
                title: name,
                kind: PlaybookKind::Response,
                on_failure,
                ask,
                deadline_ms: DEADLINE_MS,
                inputs: &BTreeMap::new(),
                script: &Program::new(format!("{name}.rhai"), *script),
            };
            open(Bundle::of(&parts, &connectors).published_by("cordon"))
        };
        Shelf {
            evaluators: Arc::new(Evaluators::in_step().unwrap()),
            playbooks: SCRIPTS.iter().map(playbook).collect(),
            revert: open(cordon::playbook::revert(&connectors)),
            act: open(cordon::playbook::act(&connectors)),
        }
    })
}
