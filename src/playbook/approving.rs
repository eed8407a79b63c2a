//! The calls of `approve` in a script, as far as they can be read off the text: its keys, who is asked, how long,
//! and the effects it covers. The run refuses the same at run time; here the author learns it before.

use std::collections::BTreeMap;
use std::ops::Range;

use super::calls::Looking;
use super::check::Ground;
use super::manifest::listed;
use crate::approval::{Covered, Terms, Wanted};
use crate::clock::duration_text;
use crate::diagnostic::nearest;
use crate::guardrail::Groups;
use crate::script::Literal;

/// What of an estate a playbook's questions are held against.
#[derive(Clone, Debug, Default)]
pub struct Estate {
    /// Who publishes the estate's own playbooks, where they do not say themselves.
    pub author: Option<String>,
    /// Who may be asked.
    pub groups: Groups,
}

type Members = BTreeMap<String, Literal>;

impl Looking<'_> {
    /// One call of `approve`. `authored` says whether it is known who published the playbook.
    pub(super) fn approve(&mut self, ground: &Ground<'_>, deadline_ms: u64, authored: bool) {
        let map = self.argument(0);
        let members = match self.call.args.first() {
            Some(Literal::Map(members)) => members,
            Some(Literal::Unknown) => return,
            _ => {
                let help = "write `approve(#{ ask: \"…?\", by: \"GROUP\" })`";
                return self.error("P023", map, "`approve` takes one map".to_owned(), help);
            }
        };
        self.known_keys("P023", &map, members, &Wanted::KEYS, "`approve`");
        for (key, what) in [
            ("ask", "what is asked, in a sentence"),
            ("by", "the group that decides"),
        ] {
            match members.get(key) {
                None => {
                    let help = format!("add `{key}: \"…\"`: {what}");
                    self.error("P023", map.clone(), format!("`approve` has no `{key}`"), help);
                }
                Some(Literal::Unknown) => {}
                Some(literal) if literal.as_str().is_some_and(|text| !text.trim().is_empty()) => {}
                Some(_) => {
                    let span = self.value_at(&map, key);
                    let message = format!("`{}` is not {what}", self.written(&span));
                    self.error("P023", span, message, format!("give `{key}` a text"));
                }
            }
        }
        self.who_decides(ground, &map, members);
        self.how_long(&map, members, deadline_ms);
        self.what_it_covers(ground, &map, members);
        if !authored {
            let message = "who published this playbook is not known, so nobody could approve it".to_owned();
            let help = "say `author = \"NAME\"` in its `playbook.toml`, or for all of yours in `[content]`";
            self.error("P027", self.name_span(), message, help);
        }
    }

    fn value_at(&self, map: &Range<usize>, key: &str) -> Range<usize> {
        self.text.member(map, key).map_or(map.clone(), |(_, value)| value)
    }

    fn known_keys(
        &mut self,
        code: &'static str,
        map: &Range<usize>,
        members: &Members,
        known: &[&'static str],
        of: &str,
    ) {
        for key in members.keys().filter(|key| !known.contains(&key.as_str())) {
            let span = self.text.member(map, key).map_or(map.clone(), |(name, _)| name);
            let help = match nearest(key, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("it takes {}", listed(known)),
            };
            self.error(code, span, format!("{of} takes no `{key}`"), help);
        }
    }

    fn who_decides(&mut self, ground: &Ground<'_>, map: &Range<usize>, members: &Members) {
        let quorum = members.get("quorum").and_then(Literal::value);
        let quorum = match quorum.as_ref().map(Terms::quorum) {
            Some(Err(error)) => {
                let span = self.value_at(map, "quorum");
                return self.error("P024", span, error.to_string(), "write `quorum: 2`");
            }
            Some(Ok(quorum)) => quorum,
            None => 1,
        };
        let (Some(by), Some(groups)) = (members.get("by").and_then(Literal::as_str), ground.groups()) else {
            return;
        };
        match groups.members(by) {
            None => {
                let span = self.value_at(map, "by");
                let message = format!("`{by}` is neither a group of `[groups]` nor a member of one");
                let help = match nearest(by, groups.names()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("add `{by} = [\"NAME\", …]` to `[groups]`; until then the answer is no"),
                };
                // Not an error: a playbook of ours that asks a group nobody has would keep the server from starting.
                self.warning("P024", span, message, help);
            }
            Some(people) if people.len() < quorum => {
                let span = self.value_at(map, "quorum");
                let message = format!("{quorum} of `{by}` cannot agree: it has {}", people.len());
                self.error("P024", span, message, "ask fewer, or a larger group");
            }
            Some(_) => {}
        }
    }

    fn how_long(&mut self, map: &Range<usize>, members: &Members, deadline_ms: u64) {
        let Some(within) = members.get("within").and_then(Literal::value) else {
            return;
        };
        let span = self.value_at(map, "within");
        match Terms::within(&within) {
            Err(error) => self.error("P025", span, error.to_string(), "write `within: \"8h\"`"),
            Ok(ms) if ms >= deadline_ms => {
                let message = format!(
                    "an approval within {} does not fit into the deadline of {}",
                    duration_text(ms),
                    duration_text(deadline_ms)
                );
                let help = "give them less time, or give `[limits] deadline` in `playbook.toml` more";
                self.error("P025", span, message, help);
            }
            Ok(_) => {}
        }
    }

    fn what_it_covers(&mut self, ground: &Ground<'_>, map: &Range<usize>, members: &Members) {
        let span = self.value_at(map, "covers");
        match members.get("covers") {
            None | Some(Literal::Unknown) => {}
            Some(Literal::List(items)) => {
                for item in items {
                    self.one_covered(ground, &span, item);
                }
            }
            Some(_) => {
                let message = format!("`{}` is not a list of effects", self.written(&span));
                let help = "write `covers: [#{ action: \"cloud::delete_key\", target: key }]`";
                self.error("P026", span, message, help);
            }
        }
    }

    fn one_covered(&mut self, ground: &Ground<'_>, list: &Range<usize>, item: &Literal) {
        let members = match item {
            Literal::Map(members) => members,
            Literal::Unknown => return,
            _ => {
                let message = "each of `covers` is a map".to_owned();
                let help = "write `#{ action: \"cloud::delete_key\", target: key }`";
                return self.error("P026", list.clone(), message, help);
            }
        };
        self.known_keys("P026", list, members, &Covered::KEYS, "a covered effect");
        match members.get("action") {
            None => {
                let message = "a covered effect has no `action`".to_owned();
                self.error("P026", list.clone(), message, "say what is to be approved");
            }
            Some(literal) => {
                let Some(name) = literal.as_str() else { return };
                let specs = ground.specs(name);
                let (message, help) = if specs.is_empty() {
                    let known: Vec<String> = ground.action_names();
                    let help = match nearest(name, known.iter().map(String::as_str)) {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => "`cordon connectors` lists the actions there are".to_owned(),
                    };
                    (format!("there is no action `{name}`"), help)
                } else if specs.iter().all(|spec| !spec.changes()) {
                    let help = "take it out: only changes have to be approved".to_owned();
                    (
                        format!("`{name}` only reads, so there is nothing to approve"),
                        help,
                    )
                } else {
                    return;
                };
                self.error("P026", list.clone(), message, help);
            }
        }
    }
}
