//! The words a playbook may use beside actions and capabilities.

use std::sync::Arc;

use crate::connector::Catalog;
use crate::script::{NotAWord, Vocabulary, Word};

/// The word that starts a run of another playbook.
pub const RUN_PLAYBOOK: &str = "run_playbook";

/// What every playbook may say, whatever connectors there are.
fn own() -> [Word; 9] {
    [
        Word::tell("note", 1..=1, "note(TEXT): writes a line into the run's timeline"),
        Word::ask(
            "wait",
            1..=1,
            "wait(\"10m\"): goes on after that time; the run sleeps in the store meanwhile",
        ),
        Word::ask(
            "undo",
            1..=1,
            "undo(RECEIPT): restores what that effect of this run changed, to the state before",
        ),
        Word::ask(
            RUN_PLAYBOOK,
            1..=2,
            "run_playbook(\"area/situation\", #{ inputs }): runs another playbook and waits for its end",
        ),
        Word::ask(
            "approve",
            1..=1,
            "approve(#{ ask, covers, by, quorum, within }): asks people; answers #{ granted, by, why, at }",
        ),
        Word::tell(
            "notify::oncall",
            1..=1,
            "notify::oncall(#{ subject, severity, ... }): tells whoever is on call",
        ),
        Word::tell(
            "notify::team",
            2..=2,
            "notify::team(NAME, #{ subject, ... }): tells a team's channel",
        ),
        Word::tell(
            "notify::person",
            2..=2,
            "notify::person(NAME, #{ subject, ... }): tells one person",
        ),
        Word::tell(
            "notify::channel",
            2..=2,
            "notify::channel(NAME, #{ subject, ... }): tells one channel, whatever the routes say",
        ),
    ]
}

/// What only the playbooks inside the binary may say.
fn internal() -> [Word; 2] {
    [
        Word::ask("cordon::undo", 1..=1, "restores what one effect changed"),
        Word::ask("cordon::act", 1..=3, "does one action by name"),
    ]
}

/// The words of playbooks over these connectors. `own_kind` adds the words of our own playbooks.
pub fn vocabulary(connectors: &Catalog, own_kind: bool) -> Result<Arc<Vocabulary>, NotAWord> {
    let mut words: Vec<Word> = own().into_iter().collect();
    if own_kind {
        words.extend(internal());
    }
    words.extend(connectors.words());
    Ok(Arc::new(Vocabulary::new(words)?))
}
