//! The list of what is held, and the one target a person means by a name. A name that could mean two targets
//! is answered with both: releasing the wrong host is an incident of its own.

use serde::{Deserialize, Serialize};

use crate::action::{Hold, Target, Verification};
use crate::clock::Time;
use crate::finding::EntityType;
use crate::id::{EffectId, Partition, RunId};
use crate::store::{Error, Store};

/// One target's facet that is held.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Contained {
    /// `instance/kind/id`; names the target beyond doubt.
    pub key: String,
    /// `host web-07 (6f1a…)`, for people.
    pub label: String,
    /// The target.
    pub target: Target,
    /// What of it is held, such as `network`.
    pub facet: String,
    /// The state that comes back when the last hold ends, in the connector's word.
    pub prior: String,
    /// False when the target was already so before: then the end of the hold changes nothing.
    pub restores: bool,
    /// Who holds it, oldest first.
    pub holders: Vec<Held>,
    /// When the last lease ends; `None` when one of them holds until someone ends it.
    pub until: Option<Time>,
    /// The worst that reading back showed, as a word; `pending` before the first reading.
    pub verified: String,
    /// True when a lease is over and the hold still stands.
    pub overdue: bool,
}

/// One effect's share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Held {
    /// The effect.
    pub effect: EffectId,
    /// Its run.
    pub run: RunId,
    /// Since when.
    pub since: Time,
    /// When its lease ends; `None` holds until someone ends it.
    pub until: Option<Time>,
    /// What is left of the lease, ms; 0 when it is over.
    pub left_ms: Option<u64>,
    /// True when the lease is over.
    pub overdue: bool,
    /// How often ending it was tried and failed.
    pub tries: u32,
    /// True while a run is ending it.
    pub ending: bool,
    /// What reading back last showed, as a word.
    pub verified: String,
}

/// Every hold of every partition, in the order of their keys.
pub async fn holds(store: &dyn Store) -> Result<Vec<Hold>, Error> {
    let mut all = Vec::new();
    for partition in Partition::all() {
        all.extend(store.holds(partition).await?);
    }
    all.sort_by_cached_key(|hold| (hold.target.key(), hold.facet.clone()));
    Ok(all)
}

/// The holds as people read them: what is overdue first, then what was seen not to be so, then by key.
pub fn ledger(holds: &[Hold], now: Time) -> Vec<Contained> {
    let mut rows: Vec<(Verification, Contained)> = holds.iter().map(|hold| contained(hold, now)).collect();
    rows.sort_by(|(a_seen, a), (b_seen, b)| {
        let urgent = |row: &Contained, seen: &Verification| (row.overdue, *seen);
        urgent(b, b_seen)
            .cmp(&urgent(a, a_seen))
            .then_with(|| (&a.key, &a.facet).cmp(&(&b.key, &b.facet)))
    });
    rows.into_iter().map(|(_, row)| row).collect()
}

fn contained(hold: &Hold, now: Time) -> (Verification, Contained) {
    let holders: Vec<Held> = hold
        .holders
        .iter()
        .map(|holder| Held {
            effect: holder.effect,
            run: holder.run,
            since: holder.since,
            until: holder.until,
            left_ms: holder.until.map(|until| until.since_ms(now)),
            overdue: holder.until.is_some_and(|until| until <= now),
            tries: holder.tries,
            ending: holder.ending,
            verified: holder.seen.unwrap_or(Verification::Pending).word().to_owned(),
        })
        .collect();
    // A share without a lease outlasts every lease.
    let until = if holders.iter().any(|holder| holder.until.is_none()) {
        None
    } else {
        holders.iter().filter_map(|holder| holder.until).max()
    };
    let seen = hold
        .holders
        .iter()
        .map(|holder| holder.seen.unwrap_or(Verification::Pending))
        .max();
    let seen = seen.unwrap_or(Verification::Pending);
    let row = Contained {
        key: hold.target.key(),
        label: hold.target.label(),
        target: hold.target.clone(),
        facet: hold.facet.clone(),
        prior: hold.prior.state.clone(),
        restores: hold.undo.is_some(),
        overdue: holders.iter().any(|holder| holder.overdue),
        holders,
        until,
        verified: seen.word().to_owned(),
    };
    (seen, row)
}

/// What a person's name for a target means.
#[derive(Clone, Debug, PartialEq)]
pub enum Found<'a> {
    /// Nothing held is called that.
    Nothing,
    /// The holds of exactly one target.
    One(Vec<&'a Hold>),
    /// Several targets; the caller has to name one by its key.
    Several(Vec<&'a Target>),
}

/// Finds the held target that `text` names: by key, vendor id, name or another name it is known by. Names are
/// compared without case, and a domain that only one side has is left away.
pub fn find<'a>(holds: &'a [Hold], text: &str) -> Found<'a> {
    let text = text.trim();
    let by_key: Vec<&Hold> = holds.iter().filter(|hold| hold.target.key() == text).collect();
    if !by_key.is_empty() {
        return Found::One(by_key);
    }
    let named: Vec<&Hold> = holds
        .iter()
        .filter(|hold| is_called(&hold.target, text))
        .collect();
    let mut targets: Vec<&Target> = Vec::new();
    for hold in &named {
        if !targets.iter().any(|target| target.key() == hold.target.key()) {
            targets.push(&hold.target);
        }
    }
    match targets.len() {
        0 => Found::Nothing,
        1 => Found::One(named),
        _ => Found::Several(targets),
    }
}

fn is_called(target: &Target, text: &str) -> bool {
    if text.is_empty() {
        return false;
    }
    target.id.eq_ignore_ascii_case(text)
        || std::iter::once(&target.name)
            .chain(&target.aliases)
            .any(|name| same_name(target.kind, name, text))
}

fn same_name(kind: EntityType, known: &str, given: &str) -> bool {
    let (known, given) = (known.to_lowercase(), given.to_lowercase());
    if known == given {
        return !known.is_empty();
    }
    let separator = match kind {
        EntityType::Host => '.',
        EntityType::User | EntityType::ServiceAccount | EntityType::Email => '@',
        _ => return false,
    };
    // An address is no name with a domain.
    if kind == EntityType::Host
        && [&known, &given]
            .iter()
            .any(|name| name.parse::<std::net::IpAddr>().is_ok())
    {
        return false;
    }
    match (known.split_once(separator), given.split_once(separator)) {
        (Some((short, _)), None) => short == given,
        (None, Some((short, _))) => short == known,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::{Holder, Reading};

    fn hold(name: &str, id: &str, until: &[Option<i64>], seen: Option<Verification>) -> Hold {
        let holders = until.iter().enumerate().map(|(n, until)| Holder {
            effect: EffectId::derive(&[id, &n.to_string()]),
            run: RunId::derive(&[id]),
            since: Time(0),
            until: until.map(Time),
            tries: 0,
            ending: false,
            seen,
        });
        Hold {
            target: Target {
                instance: "crowdstrike".into(),
                kind: EntityType::Host,
                id: id.into(),
                name: name.into(),
                aliases: vec![],
            },
            facet: "network".into(),
            prior: Reading {
                state: "normal".into(),
                fields: serde_json::Value::Null,
            },
            undo: None,
            holders: holders.collect(),
            left: vec![],
        }
    }

    fn names(found: Found<'_>) -> Vec<String> {
        match found {
            Found::Nothing => vec![],
            Found::One(holds) => holds.iter().map(|hold| hold.target.id.clone()).collect(),
            Found::Several(targets) => targets.iter().map(|target| format!("?{}", target.id)).collect(),
        }
    }

    #[test]
    fn a_target_is_found_by_name_id_or_key_and_never_guessed() {
        let holds = [
            hold("web-07.corp.example", "a1", &[None], None),
            hold("WEB-07.lab.example", "b2", &[None], None),
            hold("db-1", "c3", &[None], None),
            hold("10.0.0.7", "d4", &[None], None),
        ];
        let found = |text: &str| names(find(&holds, text));
        assert_eq!(found("WEB-07.CORP.EXAMPLE"), ["a1"]);
        assert_eq!(found("web-07"), ["?a1", "?b2"]);
        assert_eq!(found("DB-1.corp.example"), ["c3"]);
        assert_eq!(found("crowdstrike/host/b2"), ["b2"]);
        assert_eq!(found("A1"), ["a1"]);
        for nothing in ["", "web", "web-07.other.example", "10", "10.0.0.8", "*"] {
            assert!(found(nothing).is_empty(), "{nothing}");
        }
    }

    #[test]
    fn the_ledger_shows_what_is_overdue_first_and_how_long_the_rest_lasts() {
        let holds = [
            hold("fine", "a", &[Some(9_000)], Some(Verification::Yes)),
            hold(
                "contradicted",
                "b",
                &[Some(9_000)],
                Some(Verification::Contradicted),
            ),
            hold(
                "overdue",
                "c",
                &[Some(1_000), Some(9_000)],
                Some(Verification::Yes),
            ),
            hold("forever", "d", &[Some(9_000), None], None),
        ];
        let rows = ledger(&holds, Time(4_000));
        let read: Vec<_> = rows
            .iter()
            .map(|row| {
                (
                    row.target.name.as_str(),
                    row.overdue,
                    row.until,
                    row.verified.as_str(),
                )
            })
            .collect();
        assert_eq!(
            read,
            [
                ("overdue", true, Some(Time(9_000)), "yes"),
                ("contradicted", false, Some(Time(9_000)), "contradicted"),
                ("forever", false, None, "pending"),
                ("fine", false, Some(Time(9_000)), "yes"),
            ]
        );
        assert_eq!(
            rows[0]
                .holders
                .iter()
                .map(|held| held.left_ms)
                .collect::<Vec<_>>(),
            [Some(0), Some(5_000)]
        );
    }
}
