//! The calls of a script, held against what the actions take: options that are misspelt, missing or not
//! implemented, leases and waits that cannot be kept, targets of the wrong type, capabilities nobody provides.
//! The run refuses the same at run time; here the author learns it before.

use std::collections::BTreeMap;
use std::ops::Range;

use super::check::Ground;
use super::manifest::listed;
use super::target;
use super::text::Text;
use crate::action::ActionSpec;
use crate::clock::{duration_ms, duration_text};
use crate::diagnostic::{Diagnostic, nearest};
use crate::finding::EntityType;
use crate::limits::LEASE_MS_MAX;
use crate::script::{Call, Literal, Program};

/// Options every action takes.
const OPTIONS: [&str; 2] = ["lease", "reason"];
/// Options that are to come.
const OPTIONS_TO_COME: [&str; 3] = ["approve", "notify", "instance"];

pub(super) fn check(
    program: &Program,
    text: &Text<'_>,
    calls: &[Call],
    ground: &Ground<'_>,
    deadline_ms: u64,
    authored: bool,
) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for call in calls {
        let start = text.offset(call.at);
        let mut looking = Looking {
            program,
            text,
            call,
            start,
            arguments: text.arguments(start),
            found: &mut found,
        };
        if call.name == "wait" {
            looking.wait(deadline_ms);
        } else if call.name == "approve" {
            looking.approve(ground, deadline_ms, authored);
        } else if ground.is_unprovided(&call.name) {
            looking.unprovided();
        } else if call.name.starts_with("notify::") {
            found.extend(super::telling::check(program, text, call));
        } else {
            let specs = ground.specs(&call.name);
            if !specs.is_empty() {
                looking.action(&specs);
            }
        }
    }
    found
}

/// One call being looked at.
pub(super) struct Looking<'a> {
    program: &'a Program,
    pub(super) text: &'a Text<'a>,
    pub(super) call: &'a Call,
    start: usize,
    arguments: Vec<Range<usize>>,
    found: &'a mut Vec<Diagnostic>,
}

impl Looking<'_> {
    pub(super) fn error(
        &mut self,
        code: &'static str,
        span: Range<usize>,
        message: String,
        help: impl Into<String>,
    ) {
        let (file, text) = (self.program.name(), self.program.text());
        self.found
            .push(Diagnostic::error(code, message, file, text, span, help));
    }

    /// The same as a warning: the playbook loads.
    pub(super) fn warning(
        &mut self,
        code: &'static str,
        span: Range<usize>,
        message: String,
        help: impl Into<String>,
    ) {
        let (file, text) = (self.program.name(), self.program.text());
        self.found
            .push(Diagnostic::error(code, message, file, text, span, help).as_warning());
    }

    pub(super) fn name_span(&self) -> Range<usize> {
        self.start..self.start + self.call.name.len()
    }

    pub(super) fn argument(&self, n: usize) -> Range<usize> {
        self.arguments.get(n).cloned().unwrap_or_else(|| self.name_span())
    }

    pub(super) fn written(&self, span: &Range<usize>) -> String {
        self.program
            .text()
            .get(span.clone())
            .unwrap_or_default()
            .to_owned()
    }

    fn wait(&mut self, deadline_ms: u64) {
        let Some(Literal::Scalar(value)) = self.call.args.first() else {
            return;
        };
        let span = self.argument(0);
        match value.as_str().and_then(duration_ms) {
            None => {
                let message = format!("`{}` is not a duration", self.written(&span));
                self.error(
                    "P019",
                    span,
                    message,
                    "write `\"90s\"`, `\"10m\"`, `\"4h\"` or `\"2d\"`",
                );
            }
            Some(ms) if ms >= deadline_ms => {
                let allowed = duration_text(deadline_ms);
                let message = format!(
                    "the wait of {} does not fit into the deadline of {allowed}",
                    duration_text(ms)
                );
                self.error(
                    "P019",
                    span,
                    message,
                    "wait less, or give `[limits] deadline` in `playbook.toml` more",
                );
            }
            Some(_) => {}
        }
    }

    fn unprovided(&mut self) {
        let name = &self.call.name;
        let message = format!("no connector provides `{name}`");
        let help =
            format!("add a connector with an action that says `provides = \"{name}\"`, or take the call out");
        self.error("P020", self.name_span(), message, help);
    }

    fn action(&mut self, specs: &[&ActionSpec]) {
        let kinds: Vec<EntityType> = EntityType::ALL
            .into_iter()
            .filter(|kind| specs.iter().any(|spec| spec.targets.contains(kind)))
            .collect();
        let options = usize::from(!kinds.is_empty());
        if !kinds.is_empty() {
            self.target(&kinds);
        }
        let call = self.call;
        match call.args.get(options) {
            None | Some(Literal::Scalar(serde_json::Value::Null)) => {
                self.needed(specs, &BTreeMap::new(), None)
            }
            Some(Literal::Map(members)) => {
                let map = self.argument(options);
                self.options(specs, members, &map);
                self.needed(specs, members, Some(map));
            }
            Some(Literal::Unknown) => {}
            Some(Literal::Scalar(_) | Literal::List(_)) => {
                let span = self.argument(options);
                let message = format!("`{}` is not a map of options", self.written(&span));
                self.error(
                    "P017",
                    span,
                    message,
                    "write them by name, as in `#{ lease: \"4h\" }`",
                );
            }
        }
    }

    fn options(&mut self, specs: &[&ActionSpec], members: &BTreeMap<String, Literal>, map: &Range<usize>) {
        for (key, value) in members {
            let (name_at, value_at) = self.text.member(map, key).unwrap_or((map.clone(), map.clone()));
            if specs.iter().any(|spec| spec.args.contains_key(key)) || key == "reason" {
                continue;
            }
            if key == "lease" {
                self.lease(specs, value, name_at, value_at);
            } else if OPTIONS_TO_COME.contains(&key.as_str()) {
                let message = format!("the option `{key}` is not implemented yet");
                self.error(
                    "P014",
                    name_at,
                    message,
                    "take it out; an option is never passed over in silence",
                );
            } else {
                let arguments = specs.iter().flat_map(|spec| spec.args.keys().map(String::as_str));
                let known: Vec<&str> = OPTIONS.into_iter().chain(arguments).collect();
                let help = match nearest(key, known.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("it takes {}", listed(&known)),
                };
                self.error(
                    "P017",
                    name_at,
                    format!("`{}` has no option `{key}`", self.call.name),
                    help,
                );
            }
        }
    }

    fn lease(
        &mut self,
        specs: &[&ActionSpec],
        value: &Literal,
        name_at: Range<usize>,
        value_at: Range<usize>,
    ) {
        if specs
            .iter()
            .all(|spec| spec.undo.is_none() || spec.facet.is_none())
        {
            let message = format!("`{}` cannot be undone, so it cannot be leased", self.call.name);
            self.error("P018", name_at, message, "take the lease out");
            return;
        }
        let longest = duration_text(LEASE_MS_MAX);
        let help = format!("write `\"30m\"`, `\"4h\"` or up to `\"{longest}\"`");
        let written = self.written(&value_at);
        match value {
            Literal::Unknown => {}
            literal => match literal.as_str().map(duration_ms) {
                Some(Some(ms)) if (1..=LEASE_MS_MAX).contains(&ms) => {}
                Some(Some(_)) => {
                    self.error(
                        "P018",
                        value_at,
                        format!("a lease of `{written}` is not from 1ms to {longest}"),
                        help,
                    );
                }
                _ => self.error(
                    "P018",
                    value_at,
                    format!("`{written}` is not the duration of a lease"),
                    help,
                ),
            },
        }
    }

    /// Names what every action behind the call needs and the call does not give.
    fn needed(
        &mut self,
        specs: &[&ActionSpec],
        given: &BTreeMap<String, Literal>,
        map: Option<Range<usize>>,
    ) {
        let Some((first, others)) = specs.split_first() else {
            return;
        };
        let needs = |spec: &ActionSpec, name: &str| spec.args.get(name) == Some(&true);
        let lacking: Vec<&str> = first
            .args
            .keys()
            .map(String::as_str)
            .filter(|name| needs(first, name) && others.iter().all(|spec| needs(spec, name)))
            .filter(|name| !given.contains_key(*name))
            .collect();
        if !lacking.is_empty() {
            let span = map.unwrap_or_else(|| self.name_span());
            let message = format!("`{}` needs the option {}", self.call.name, listed(&lacking));
            self.error(
                "P017",
                span,
                message,
                "give it in the map, as in `#{ name: value }`",
            );
        }
    }

    fn target(&mut self, kinds: &[EntityType]) {
        let span = self.argument(0);
        let words: Vec<&str> = kinds.iter().map(|kind| kind.word()).collect();
        let wanted = words
            .iter()
            .map(|word| format!("`{word}`"))
            .collect::<Vec<_>>()
            .join(" or ");
        let first = words.first().copied().unwrap_or("host");
        let help = format!("give it an entity of the finding, such as `finding.affected(\"{first}\")`");
        match self.call.args.first() {
            Some(Literal::Unknown) | None => {
                if let Some(kind) = target::kind(self.text, &span)
                    && !kinds.contains(&kind)
                {
                    let message = format!("`{}` takes {wanted}, not `{}`", self.call.name, kind.word());
                    self.error("P021", span, message, help);
                }
            }
            Some(Literal::Map(members)) if members.contains_key("type") && members.contains_key("name") => {
                let kind = members.get("type").and_then(Literal::as_str);
                if let Some(kind) = kind
                    && !words.contains(&kind)
                {
                    let at = self.text.member(&span, "type").map_or(span, |(_, value)| value);
                    let message = format!("`{}` takes {wanted}, not `{kind}`", self.call.name);
                    self.error("P021", at, message, help);
                }
            }
            Some(Literal::Map(_)) => {
                let message = format!("`{}` needs a target before its options: {wanted}", self.call.name);
                self.error("P021", span, message, help);
            }
            Some(Literal::Scalar(_) | Literal::List(_)) => {
                let message = format!(
                    "`{}` is not a target; `{}` takes {wanted}",
                    self.written(&span),
                    self.call.name
                );
                self.error("P021", span, message, help);
            }
        }
    }
}
