//! The playbooks that are run, opened once for all simulations.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use cordon::connector::Catalog;
use cordon::journal::{OnFailure, PlaybookKind};
use cordon::playbook::{Bundle, Loaded, Parts};
use cordon::script::{Evaluators, Program};

/// How long a run may take, ms: longer than a simulation.
const DEADLINE_MS: u64 = 6 * 3_600_000;

const SCRIPTS: [(&str, &str); 9] = [
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
];

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
            let parts = Parts {
                playbook: name,
                title: name,
                kind: PlaybookKind::Response,
                on_failure: OnFailure::Keep,
                ask: None,
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
