//! Whether the names in a playbook's case are names of something, said before it is played. A name that is nothing
//! would make an expectation that can never fail, or an override that never comes to pass.

use std::ops::Range;

use super::case::{Case, Input, Play};
use crate::action::ActionName;
use crate::connector::Catalog;
use crate::diagnostic::{Diagnostic, nearest};
use crate::page::{Placed, listed};
use crate::script::Vocabulary;

/// Everything in the case that names nothing.
pub fn mistakes(case: &Case, play: &Play, connectors: &Catalog, vocabulary: &Vocabulary) -> Vec<Diagnostic> {
    let mut names = Names {
        case,
        connectors,
        found: Vec::new(),
    };
    let expect = &play.expect;
    for behaviour in &play.behaviours {
        names.action(&behaviour.name);
    }
    for effect in expect.effects.iter().flat_map(|list| &list.value) {
        names.action(&effect.action);
    }
    for name in &expect.not_called {
        names.action(name);
    }
    let words: Vec<&str> = vocabulary.words().map(|word| word.name.as_str()).collect();
    for step in expect.steps.iter().flat_map(|list| &list.value) {
        if vocabulary.get(&step.value).is_none() {
            names.unknown(
                "S005",
                &step.span,
                &step.value,
                "nothing a playbook can ask for",
                &words,
            );
        }
    }
    if let Input::Alert { source, .. } = &play.input {
        let senders: Vec<&str> = connectors
            .connectors()
            .filter(|connector| connector.manifest.source.is_some())
            .map(|connector| connector.manifest.name.as_str())
            .collect();
        if !senders.contains(&source.value.as_str()) {
            names.unknown(
                "S007",
                &source.span,
                &source.value,
                "no connector that sends alerts",
                &senders,
            );
        }
    }
    names.instances(play);
    names.found
}

struct Names<'a> {
    case: &'a Case,
    connectors: &'a Catalog,
    found: Vec<Diagnostic>,
}

impl Names<'_> {
    fn unknown(&mut self, code: &'static str, span: &Range<usize>, name: &str, what: &str, known: &[&str]) {
        let help = match nearest(name, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if known.len() > 20 => "`cordon connectors` lists what there is".to_owned(),
            None => format!("there are {}", listed(known)),
        };
        self.found.push(
            self.case
                .sheet
                .says(code, span, format!("`{name}` is {what}"), help),
        );
    }

    fn action(&mut self, name: &Placed<ActionName>) {
        if self.connectors.knows(&name.value) {
            return;
        }
        let words: Vec<String> = self
            .connectors
            .words()
            .into_iter()
            .map(|word| word.name)
            .collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        self.unknown(
            "S005",
            &name.span,
            &name.value.to_string(),
            "no action of any connector",
            &words,
        );
    }

    fn instances(&mut self, play: &Play) {
        let connectors: Vec<String> = self
            .connectors
            .connectors()
            .map(|connector| connector.manifest.name.clone())
            .collect();
        let known: Vec<&str> = connectors.iter().map(String::as_str).collect();
        let mut instances: Vec<&str> = known.clone();
        if let Some(named) = &play.instances {
            instances = named.iter().map(|one| one.name.value.as_str()).collect();
            for one in named {
                if !known.contains(&one.connector.value.as_str()) {
                    self.unknown(
                        "S007",
                        &one.connector.span,
                        &one.connector.value,
                        "no connector",
                        &known,
                    );
                }
            }
        }
        let expect = &play.expect;
        let used = (play.facts.iter().filter_map(|one| one.instance.as_ref()))
            .chain(play.behaviours.iter().filter_map(|one| one.instance.as_ref()))
            .chain(play.bind.iter().map(|(_, to)| to))
            .chain(expect.states.iter().filter_map(|one| one.instance.as_ref()))
            .chain(
                expect
                    .effects
                    .iter()
                    .flat_map(|list| &list.value)
                    .filter_map(|one| one.instance.as_ref()),
            );
        for name in used {
            if !instances.contains(&name.value.as_str()) {
                self.unknown(
                    "S007",
                    &name.span,
                    &name.value,
                    "no instance of this case",
                    &instances,
                );
            }
        }
    }
}
