//! What goes wrong, one function each. A scenario has a double and an engine of its own.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use cordon::action::{ActionSpec, Class, Done, Outcome, Verification};
use cordon::connector::Catalog;
use cordon::id::RunId;
use cordon::journal::End;
use serde_json::{Value, json};

use crate::Shared;
use crate::counterparty::{Counterparty, LATE_MS, Trouble};
use crate::engine::{Ended, Engine};
use crate::row::{Lost, Row, Token, Twice, entity};

type Tried = Pin<Box<dyn Future<Output = ()> + Send>>;
pub type Scenario = fn(Arc<Catalog>, Shared) -> Tried;

/// All of them, by what happens.
pub const ALL: &[(&str, Scenario)] = &[
    ("done once", |c, r| Box::pin(once(c, r))),
    ("done twice", |c, r| Box::pin(twice(c, r))),
    ("undone twice", |c, r| Box::pin(undone_twice(c, r))),
    ("undone without having been done", |c, r| {
        Box::pin(undone_undone(c, r))
    }),
    ("its answer lost", |c, r| Box::pin(lost(c, r))),
    ("undone before it came", |c, r| {
        Box::pin(undone_before_it_came(c, r))
    }),
    ("told to wait", |c, r| Box::pin(told_to_wait(c, r))),
    ("its token ended", |c, r| Box::pin(token_ended(c, r))),
    ("its target empty", |c, r| Box::pin(empty(c, r))),
    ("its target unknown", |c, r| Box::pin(unknown(c, r))),
    ("its target ambiguous", |c, r| Box::pin(ambiguous(c, r))),
];

/// The engine and the other side.
struct House {
    engine: Engine,
    other: Box<dyn Counterparty>,
}

impl House {
    async fn act(&self, action: &str, target: &Value, options: &Value) -> Ended {
        self.engine.act(action, target, options).await
    }

    async fn undo(&self, run: RunId) -> Result<Ended, String> {
        self.engine.undo(run).await
    }

    async fn close(self) {
        self.engine.close().await;
    }
}

async fn house(catalog: &Catalog, row: &Row) -> House {
    let other = (row.open)().await;
    House {
        engine: Engine::open(catalog, vec![other.instance()]),
        other,
    }
}

fn spec(catalog: &Catalog, row: &Row) -> ActionSpec {
    let (_, spec) = catalog.action(&row.action.parse().unwrap()).unwrap();
    spec.clone()
}

async fn act(house: &House, row: &Row) -> Ended {
    house.act(row.action, &row.target, &row.options).await
}

fn how(ended: &Ended) -> Done {
    match ended.outcome() {
        Outcome::Done { how, .. } => *how,
        other => panic!("{other:?}"),
    }
}

fn verification(ended: &Ended) -> Option<Verification> {
    ended.effect().verification.map(|(_, word)| word)
}

/// How long it took, ms.
fn took_ms(ended: &Ended) -> u64 {
    let settled = ended.state.settled.as_ref();
    settled.map_or(0, |(at, ..)| at.since_ms(ended.state.started_at))
}

/// How many changes one doing is.
fn one(spec: &ActionSpec) -> usize {
    usize::from(spec.changes())
}

async fn once(catalog: Arc<Catalog>, row: Shared) {
    let (house, spec) = (house(&catalog, &row).await, spec(&catalog, &row));
    let before = house.other.state();
    let ended = act(&house, &row).await.succeeded();
    assert_eq!(how(&ended), Done::Acted);
    assert_eq!(house.other.changes(), one(&spec));
    if spec.changes() {
        assert_ne!(house.other.state(), before, "it changed nothing");
        let wanted = if spec.unseen.is_some() {
            Verification::Unverifiable
        } else {
            Verification::Yes
        };
        assert_eq!(verification(&ended), Some(wanted));
    } else {
        assert_eq!(house.other.state(), before);
    }
    house.close().await;
}

async fn twice(catalog: Arc<Catalog>, row: Shared) {
    let (house, spec) = (house(&catalog, &row).await, spec(&catalog, &row));
    act(&house, &row).await.succeeded();
    let between = house.other.state();
    let second = act(&house, &row).await;
    match (row.twice, spec.class) {
        (_, Class::Read) => assert_eq!(how(&second.succeeded()), Done::Acted),
        (Twice::AlreadySo, _) => {
            assert_eq!(how(&second.succeeded()), Done::AlreadySo);
            assert_eq!(house.other.changes(), 1);
            assert_eq!(house.other.state(), between);
        }
        (Twice::Again, _) => {
            assert_eq!(how(&second.succeeded()), Done::Acted);
            assert_eq!(house.other.changes(), 2);
        }
        (Twice::Gone, _) => {
            assert_eq!(
                (second.end, second.code().as_str()),
                (End::Kept, "target-not-found")
            );
            assert_eq!(house.other.changes(), 1);
        }
    }
    house.close().await;
}

async fn undone_twice(catalog: Arc<Catalog>, row: Shared) {
    let (house, spec) = (house(&catalog, &row).await, spec(&catalog, &row));
    let before = house.other.state();
    let first = act(&house, &row).await.succeeded();
    let after = house.other.state();
    if spec.undo.is_none() {
        assert!(
            house.undo(first.run).await.is_err(),
            "what cannot be undone was undone"
        );
        assert_eq!(house.other.state(), after);
        house.close().await;
        return;
    }
    let undone = house.undo(first.run).await.unwrap().succeeded();
    assert_eq!(how(&undone), Done::Acted);
    assert_eq!(
        house.other.state(),
        before,
        "undo did not restore what was before"
    );
    assert_eq!(house.other.changes(), 2);
    // The same undo is answered with itself; nothing is sent again.
    let again = house.undo(first.run).await.unwrap().succeeded();
    assert_eq!(again.run, undone.run);
    assert_eq!(house.other.changes(), 2);
    assert_eq!(house.other.state(), before);
    // Done and undone once more, all is as it was.
    let second = act(&house, &row).await.succeeded();
    house.undo(second.run).await.unwrap().succeeded();
    assert_eq!(house.other.state(), before);
    house.close().await;
}

async fn undone_undone(catalog: Arc<Catalog>, row: Shared) {
    let (house, spec) = (house(&catalog, &row).await, spec(&catalog, &row));
    let before = house.other.state();
    if let Some(undo) = &spec.undo {
        // What restores, with nothing to restore.
        let ended = house
            .act(&undo.action.to_string(), &row.target, &row.options)
            .await;
        assert_eq!(how(&ended.succeeded()), Done::AlreadySo);
        assert_eq!(house.other.changes(), 0);
        assert_eq!(house.other.state(), before);
    }
    // A run that did nothing has nothing to undo.
    let refused = house.act(row.action, &entity("host", "n/a"), &row.options).await;
    assert!(house.undo(refused.run).await.is_err());
    assert_eq!((house.other.changes(), house.other.state()), (0, before));
    house.close().await;
}

async fn lost(catalog: Arc<Catalog>, row: Shared) {
    let (house, spec) = (house(&catalog, &row).await, spec(&catalog, &row));
    house.other.trouble(Trouble::LoseAnswer);
    let ended = act(&house, &row).await;
    match row.lost {
        Lost::Once => {
            ended.succeeded();
            assert_eq!(
                house.other.changes(),
                one(&spec),
                "a change that may have happened was repeated"
            );
        }
        Lost::Repeated => {
            ended.succeeded();
            assert_eq!(house.other.changes(), 2);
            let told_apart = house.other.told_apart();
            assert!(
                told_apart.is_none_or(|n| n == 1),
                "the repeat had another key: {told_apart:?}"
            );
        }
        Lost::InDoubt => {
            assert_eq!((ended.end, ended.code().as_str()), (End::InDoubt, "in-doubt"));
            assert!(!ended.state.alarms.is_empty(), "a doubt that nobody is told of");
            assert_eq!(house.other.changes(), 1);
        }
    }
    house.close().await;
}

/// The request is under way, its answer is lost, and the run is given up and undone; then the change is made.
async fn undone_before_it_came(catalog: Arc<Catalog>, row: Shared) {
    // Where there is no undo, nothing can be overtaken by it; that nothing is repeated is looked at above.
    if spec(&catalog, &row).undo.is_none() {
        return;
    }
    let other = (row.open)().await;
    let mut instance = other.instance();
    // How long its vendor says that a request can be under way.
    instance.overrides.in_flight_ms = Some(3 * LATE_MS);
    let house = House {
        engine: Engine::open(&catalog, vec![instance]),
        other,
    };
    let before = house.other.state();
    house.other.trouble(Trouble::Late);
    let ended = house.engine.give_up(row.action, &row.target, &row.options).await;
    // Whether it ended before or after: the late one has come by then.
    tokio::time::sleep(Duration::from_millis(2 * LATE_MS)).await;
    assert_eq!(ended.end, End::Cancelled, "{:#?}", ended.state.settled);
    assert_eq!(
        house.other.state(),
        before,
        "a late change stands, and nobody knows"
    );
    assert_eq!(house.other.changes(), 2, "done late, and undone");
    assert_eq!(house.engine.holds().await, 0);
    house.close().await;
}

async fn told_to_wait(catalog: Arc<Catalog>, row: Shared) {
    let (house, spec) = (house(&catalog, &row).await, spec(&catalog, &row));
    house.other.trouble(Trouble::TooMany);
    let ended = act(&house, &row).await.succeeded();
    assert!(
        took_ms(&ended) >= 900,
        "it waited {} ms of a second",
        took_ms(&ended)
    );
    assert_eq!(house.other.changes(), one(&spec));
    house.close().await;
}

async fn token_ended(catalog: Arc<Catalog>, row: Shared) {
    let (house, spec) = (house(&catalog, &row).await, spec(&catalog, &row));
    let before = house.other.state();
    house.other.trouble(Trouble::EndToken);
    let ended = act(&house, &row).await;
    match row.token {
        Token::Renewed => {
            ended.succeeded();
            assert_eq!(house.other.changes(), one(&spec));
        }
        Token::Refused => {
            assert_eq!((ended.end, ended.code().as_str()), (End::Kept, "credentials"));
            assert_eq!((house.other.changes(), house.other.state()), (0, before));
        }
    }
    house.close().await;
}

/// Refused before anything is sent.
async fn empty(catalog: Arc<Catalog>, row: Shared) {
    let (house, spec) = (house(&catalog, &row).await, spec(&catalog, &row));
    if spec.targets.is_empty() {
        for options in [json!({}), row.nobody.clone()] {
            let ended = house.act(row.action, &row.target, &options).await;
            assert_eq!(
                (ended.end, ended.code().as_str()),
                (End::Kept, "bad-argument"),
                "{options}"
            );
        }
    } else {
        let kind = row.target["type"].as_str().unwrap();
        for name in ["", "n/a", "*", " "] {
            let ended = house.act(row.action, &entity(kind, name), &row.options).await;
            assert_eq!(
                (ended.end, ended.code().as_str()),
                (End::Kept, "bad-target"),
                "{name:?}"
            );
        }
    }
    assert_eq!((house.other.requests(), house.other.changes()), (0, 0));
    house.close().await;
}

async fn unknown(catalog: Arc<Catalog>, row: Shared) {
    let (house, spec) = (house(&catalog, &row).await, spec(&catalog, &row));
    if !spec.targets.is_empty() {
        assert!(
            row.unknown.is_object(),
            "the row names no entity that nobody knows"
        );
        let before = house.other.state();
        let ended = house.act(row.action, &row.unknown, &row.options).await;
        assert_eq!(
            (ended.end, ended.code().as_str()),
            (End::Kept, "target-not-found")
        );
        assert_eq!((house.other.changes(), house.other.state()), (0, before));
    }
    house.close().await;
}

async fn ambiguous(catalog: Arc<Catalog>, row: Shared) {
    let house = house(&catalog, &row).await;
    if row.ambiguous.is_object() {
        let before = house.other.state();
        let ended = house.act(row.action, &row.ambiguous, &row.options).await;
        assert_eq!(
            (ended.end, ended.code().as_str()),
            (End::Kept, "ambiguous-target")
        );
        assert_eq!((house.other.changes(), house.other.state()), (0, before));
    }
    house.close().await;
}
