use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::*;
use crate::action::{ActionName, Target};
use crate::clock::Time;
use crate::digest::Digest;
use crate::finding::EntityType;
use crate::id::{ApprovalId, RunId};

fn wanted(value: Value) -> Result<Wanted, String> {
    Wanted::read(&[value]).map_err(|error| error.to_string())
}

#[test]
fn what_is_asked_is_read_with_its_defaults() {
    let asked = wanted(json!({ "ask": " Delete it? ", "by": "leads" })).unwrap();
    assert_eq!(asked.ask, "Delete it?");
    assert_eq!((asked.covers, asked.terms.quorum), (None, 1));
    assert_eq!(asked.terms.within_ms, 8 * 3_600_000);
    let asked = wanted(json!({
        "ask": "Delete it?", "by": "leads", "quorum": 2, "within": "90d",
        "covers": [{ "action": "cloud::delete_key", "target": { "type": "access_key", "name": "AKIA1" }, "args": { "lease": "4h" } }],
    }))
    .unwrap();
    let covers = asked.covers.unwrap();
    assert_eq!(covers[0].action.to_string(), "cloud::delete_key");
    assert_eq!(covers[0].args["lease"], "4h");
    assert_eq!(
        (asked.terms.quorum, asked.terms.within_ms),
        (2, 90 * 24 * 3_600_000)
    );
}

#[test]
fn what_makes_no_sense_is_named() {
    let whole = json!({ "ask": "Delete it?", "by": "leads" });
    let with = |key: &str, value: Value| {
        let mut map = whole.clone();
        map[key] = value;
        wanted(map).unwrap_err()
    };
    for (key, value, says) in [
        ("covrs", json!([]), "did you mean `covers`?"),
        ("ask", json!(" "), "what is asked"),
        ("ask", json!("x".repeat(2_001)), "2001 characters"),
        ("by", json!(3), "the group or person"),
        ("quorum", json!(0), "from 1 to"),
        ("quorum", json!("2"), "from 1 to"),
        ("quorum", json!(17), "from 1 to"),
        ("within", json!("soon"), "a duration"),
        ("within", json!("91d"), "at most `\"90d\"`"),
        ("within", json!("0s"), "a duration"),
        ("covers", json!({}), "a list"),
        ("covers", json!(["x"]), "a map"),
        ("covers", json!([{ "target": {} }]), "names its `action`"),
        ("covers", json!([{ "action": "isolate" }]), "not an action name"),
        ("covers", json!([{ "action": "a::b", "args": 1 }]), "is a map"),
        (
            "covers",
            json!([{ "action": "a::b", "targt": 1 }]),
            "did you mean `target`?",
        ),
        ("covers", json!(vec![json!({}); 101]), "at most 100"),
    ] {
        let said = with(key, value);
        assert!(said.contains(says), "{key}: {said}");
    }
    assert!(wanted(json!({ "by": "x" })).unwrap_err().contains("needs `ask`"));
    assert!(wanted(json!({ "ask": "x" })).unwrap_err().contains("needs `by`"));
    assert!(Wanted::read(&[]).is_err());
}

fn group(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn vote(principal: &str, approve: bool) -> Vote {
    Vote {
        principal: principal.into(),
        approve,
        reason: "seen".into(),
        digest: Digest::ZERO,
        at: Time(1),
    }
}

#[test]
fn neither_requester_nor_author_nor_a_stranger_decides() {
    let members = group(&["ana", "ben", "eve"]);
    let voters = Voters {
        members: &members,
        requester: Some("ana"),
        author: "ben",
    };
    assert_eq!(voters.may("ana"), Err(Refusal::Requester));
    assert_eq!(voters.may("ben"), Err(Refusal::Author));
    assert_eq!(voters.may("zoe"), Err(Refusal::NotNamed));
    assert_eq!(voters.eligible(), ["eve"]);
    assert_eq!(missing(&voters, "leads", 1), None);
    let said = missing(&voters, "leads", 2).unwrap();
    assert!(
        said.contains("2 of `leads`") && said.contains("ana asked for this run"),
        "{said}"
    );
}

#[test]
fn where_the_author_is_not_known_nobody_decides() {
    let members = group(&["ana"]);
    let voters = Voters {
        members: &members,
        requester: None,
        author: " ",
    };
    assert_eq!(voters.may("ana"), Err(Refusal::AuthorUnknown));
    assert!(missing(&voters, "leads", 1).unwrap().contains("`author`"));
}

#[test]
fn a_principal_counts_once_and_one_no_ends_it() {
    let members = group(&["ana", "ben", "eve"]);
    let voters = Voters {
        members: &members,
        requester: None,
        author: "cordon",
    };
    let count = |votes: &[Vote]| tally(votes, &voters, 2);
    assert_eq!(count(&[]), Tally::Open(2));
    assert_eq!(count(&[vote("ana", true), vote("ana", true)]), Tally::Open(1));
    assert_eq!(
        count(&[vote("zoe", true), vote("ana", true)]),
        Tally::Open(1),
        "strangers do not count"
    );
    let Tally::Decided(granted) = count(&[vote("ana", true), vote("ben", true), vote("eve", false)]) else {
        panic!("two agreed");
    };
    assert!(granted.granted, "what comes after the decision changes nothing");
    assert_eq!(granted.by, ["ana", "ben"]);
    let Tally::Decided(denied) = count(&[vote("ana", true), vote("ana", false), vote("ben", true)]) else {
        panic!("one denied");
    };
    assert!(!denied.granted);
    assert_eq!(
        (denied.by, denied.why.as_str()),
        (vec!["ana".to_owned()], "ana denied it: seen")
    );
}

proptest::proptest! {
    #[test]
    fn no_order_of_votes_is_granted_without_a_quorum_of_those_who_may(
        votes in proptest::collection::vec((0..6_usize, proptest::bool::ANY), 0..20),
        quorum in 1..4_usize,
    ) {
        let names = ["ana", "ben", "eve", "requester", "author", "stranger"];
        let members = group(&["ana", "ben", "eve", "requester", "author"]);
        let voters = Voters { members: &members, requester: Some("requester"), author: "author" };
        let votes: Vec<Vote> = votes.iter().map(|(n, yes)| vote(names[*n], *yes)).collect();
        if let Tally::Decided(Decided { granted: true, by, .. }) = tally(&votes, &voters, quorum) {
            let distinct: BTreeSet<&String> = by.iter().collect();
            proptest::prop_assert!(distinct.len() >= quorum);
            proptest::prop_assert!(by.iter().all(|name| voters.may(name).is_ok()));
            proptest::prop_assert!(by.iter().all(|name| votes.iter().any(|v| v.principal == *name && v.approve)));
        }
    }
}

#[test]
fn a_grant_is_for_exactly_one_doing() {
    let action: ActionName = "crowdstrike::contain_host".parse().unwrap();
    let other: ActionName = "crowdstrike::lift_containment".parse().unwrap();
    let target = |id: &str, name: &str| Target {
        instance: "crowdstrike".into(),
        kind: EntityType::Host,
        id: id.into(),
        name: name.into(),
        aliases: vec![],
    };
    let (one, renamed, two) = (target("1", "web-07"), target("1", "web-7"), target("2", "web-07"));
    let none = serde_json::Map::new();
    let some = json!({ "comment": "x" }).as_object().cloned().unwrap();
    let base = Granted {
        action: &action,
        instance: "crowdstrike",
        target: Some(&one),
        args: &none,
        lease_ms: None,
        bundle: Digest::ZERO,
        prior: Some("normal"),
    };
    let digest = granted(&base);
    assert_eq!(
        granted(&Granted {
            target: Some(&renamed),
            ..base
        }),
        digest,
        "the vendor's id counts"
    );
    for different in [
        Granted {
            action: &other,
            ..base
        },
        Granted {
            instance: "crowdstrike-eu",
            ..base
        },
        Granted {
            target: Some(&two),
            ..base
        },
        Granted { target: None, ..base },
        Granted { args: &some, ..base },
        Granted {
            lease_ms: Some(1),
            ..base
        },
        Granted {
            bundle: Digest::of(b"other"),
            ..base
        },
        Granted {
            prior: Some("contained"),
            ..base
        },
        Granted { prior: None, ..base },
    ] {
        assert_ne!(granted(&different), digest, "{different:?}");
    }
}

#[test]
fn what_a_person_saw_is_in_the_digest_of_the_request() {
    let run = RunId::derive(&["r"]);
    let mut request = Request {
        approval: ApprovalId::of_run(run, &["0"]),
        run,
        title: "T".into(),
        subject: "user a".into(),
        ask: "Delete?".into(),
        covers: vec![],
        by: "leads".into(),
        quorum: 1,
        until: Time(9),
        may_decide: vec![],
        requester: None,
        author: "cordon".into(),
        rule: None,
        again: 0,
        digest: Digest::ZERO,
    };
    let before = of_request(&request);
    request.digest = before;
    assert_eq!(of_request(&request), before);
    request.ask = "Keep?".into();
    assert_ne!(of_request(&request), before);
}
