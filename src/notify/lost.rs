//! The alarm that the store has lost what it had acknowledged. It follows from no journal entry, so it is made here and
//! kept as a notice like any other; every node makes the same one, and people are told once.

use super::letter::Letter;
use super::message::{About, Meant};
use super::record::Record;
use crate::digest::Digest;
use crate::finding::SeverityId;
use crate::id::Partition;
use crate::store::{Error, Notice, NoticeState, Parked, Store};

/// Groups that are tried until one lives where nothing is parked.
const GROUPS_MAX: u32 = 256;

/// Keeps the alarm that these partitions are parked, in one that is not.
///
/// # Errors
/// The store's; every partition being parked is one.
pub async fn alarm(store: &dyn Store, parked: &[Parked]) -> Result<(), Error> {
    for one in parked {
        let group = (0..GROUPS_MAX)
            .map(|n| Digest::of_parts(&["notify parked".to_owned(), n.to_string()]))
            .find(|group| parked.iter().all(|other| other.partition != Partition::of(group)));
        let Some(group) = group else {
            return Err(Error::Parked {
                partition: one.partition.index(),
            });
        };
        store
            .put_notices(Partition::of(&group), vec![notice(one, group)])
            .await?;
    }
    Ok(())
}

fn notice(parked: &Parked, group: Digest) -> Notice {
    let partition = parked.partition;
    let mut letter = Letter::new(&format!(
        "[ALARM] the store has lost writes, partition {partition} is parked"
    ));
    letter.part(
        "What is wrong",
        [
            format!("{parked}"),
            "Nothing is claimed there, nothing fires, and alerts for it are answered 503. The other partitions go on."
                .to_owned(),
        ],
    );
    letter.part(
        "What is asked",
        [
            "see what is missing: cordon store status".to_owned(),
            format!("put it back, with every node running: cordon store recover {partition} --reason '…'"),
            "what it means: cordon explain K055".to_owned(),
        ],
    );
    let record = Record {
        run: None,
        playbook: String::new(),
        about: About::Alarm,
        meant: Meant::Anybody,
        severity: SeverityId(5),
        kind: vec!["parked".to_owned(), partition.to_string()],
        subject: String::new(),
        line: letter.subject.clone(),
        letter,
        deliveries: Vec::new(),
        window: None,
        counted_under: None,
        problem: None,
    };
    Notice {
        // The marker's moment: parked again is told again.
        key: format!("parked/{partition}/{}", parked.at.0),
        group,
        at: parked.at,
        state: NoticeState::New,
        leads: false,
        due_at: Some(parked.at),
        content: serde_json::to_value(&record).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Time;
    use crate::store::{NoticeQuery, Notices as _, memory::MemoryStore};

    #[tokio::test]
    async fn the_alarm_is_kept_once_and_not_where_nothing_can_be_written() {
        let store = MemoryStore::new();
        let parked: Vec<Parked> = Partition::all()
            .filter(|partition| partition.index() != 9)
            .map(|partition| Parked {
                partition,
                at: Time(1_000),
                by: "a".to_owned(),
                stored: 3,
                acknowledged: 5,
                brought: 2,
            })
            .collect();
        alarm(&store, &parked).await.unwrap();
        alarm(&store, &parked).await.unwrap();
        let nine = Partition::number(9).unwrap();
        let query = NoticeQuery {
            limit: 100,
            ..NoticeQuery::default()
        };
        let kept = store.notices(nine, &query).await.unwrap();
        assert_eq!(kept.len(), parked.len());
        assert!(kept.iter().all(|notice| notice.group == kept[0].group));
        let letter = kept[0].content.to_string();
        assert!(letter.contains("cordon store recover"), "{letter}");
    }
}
