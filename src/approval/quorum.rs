//! Who may answer, and when the answers are enough. A principal counts once, one no ends it, and neither who asked
//! nor who wrote the playbook decides about it.

use std::collections::BTreeSet;

use super::request::{Decided, Vote};

/// Those who are named as deciding, and who of them may not after all.
#[derive(Clone, Copy, Debug)]
pub struct Voters<'a> {
    /// Members of the group, or the one person.
    pub members: &'a BTreeSet<String>,
    /// Who started the run by hand.
    pub requester: Option<&'a str>,
    /// Who published the playbook; blank where nobody knows, and then nobody may decide.
    pub author: &'a str,
}

/// Why a principal may not decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not one of those named.
    #[error("is not among those who decide this")]
    NotNamed,
    /// They started the run.
    #[error("asked for this run and cannot approve what it does")]
    Requester,
    /// They wrote it.
    #[error("published this playbook and cannot approve what it does")]
    Author,
    /// Nobody can tell who wrote it, so nobody can be told apart from the author.
    #[error("cannot decide: who published this playbook is not known")]
    AuthorUnknown,
}

impl Voters<'_> {
    /// Whether a principal may decide.
    ///
    /// # Errors
    /// Why not, to be read after the principal's name.
    pub fn may(&self, principal: &str) -> Result<(), Refusal> {
        if !self.members.contains(principal) {
            Err(Refusal::NotNamed)
        } else if self.requester == Some(principal) {
            Err(Refusal::Requester)
        } else if self.author == principal {
            Err(Refusal::Author)
        } else if self.author.trim().is_empty() {
            Err(Refusal::AuthorUnknown)
        } else {
            Ok(())
        }
    }

    /// All who may, by name.
    pub fn eligible(&self) -> Vec<String> {
        self.members
            .iter()
            .filter(|member| self.may(member).is_ok())
            .cloned()
            .collect()
    }
}

/// Why a quorum cannot be reached by those who may decide, whatever they say; `None` when it can.
pub fn missing(voters: &Voters<'_>, by: &str, quorum: usize) -> Option<String> {
    if voters.author.trim().is_empty() {
        return Some(
            "nobody can approve it: who published this playbook is not known; say `author` in its `playbook.toml` or in `[content]`"
                .to_owned(),
        );
    }
    let eligible = voters.eligible().len();
    if eligible >= quorum {
        return None;
    }
    if voters.members.is_empty() {
        return Some(format!(
            "nobody can approve it: `{by}` is neither a group of `[groups]` nor a member of one"
        ));
    }
    let left_out: Vec<String> = voters
        .members
        .iter()
        .filter_map(|member| Some(format!("{member} {}", voters.may(member).err()?)))
        .collect();
    let because = if left_out.is_empty() {
        String::new()
    } else {
        format!(" ({})", left_out.join("; "))
    };
    Some(format!(
        "nobody can approve it: {quorum} of `{by}` have to agree and {eligible} may decide{because}"
    ))
}

/// How the votes stand.
#[derive(Clone, Debug, PartialEq)]
pub enum Tally {
    /// So many more have to agree.
    Open(usize),
    /// It is decided.
    Decided(Decided),
}

/// Counts votes in the order they were journalled. Those of principals who may not decide are not counted.
pub fn tally(votes: &[Vote], voters: &Voters<'_>, quorum: usize) -> Tally {
    let mut agreed: Vec<String> = Vec::new();
    for vote in votes.iter().filter(|vote| voters.may(&vote.principal).is_ok()) {
        if !vote.approve {
            return Tally::Decided(Decided {
                granted: false,
                by: vec![vote.principal.clone()],
                why: format!("{} denied it: {}", vote.principal, vote.reason),
            });
        }
        if !agreed.contains(&vote.principal) {
            agreed.push(vote.principal.clone());
        }
        if agreed.len() >= quorum {
            let why = format!("approved by {}", agreed.join(", "));
            return Tally::Decided(Decided {
                granted: true,
                by: agreed,
                why,
            });
        }
    }
    Tally::Open(quorum.saturating_sub(agreed.len()))
}
