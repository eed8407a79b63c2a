//! The playbooks a script starts with `run_playbook`, held against those there are: whether the one named exists and
//! takes these inputs, and whether one comes back to itself. The run refuses the same; here the author learns it before.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use serde_json::Value;

use super::input::{BadInputs, InputSpecs, with_defaults};
use super::manifest::listed;
use super::text::Text;
use super::words::RUN_PLAYBOOK;
use crate::diagnostic::{Diagnostic, nearest};
use crate::limits::CHILD_DEPTH_MAX;
use crate::script::{Call, Literal, Program};

/// One `run_playbook` of a script, as far as it can be read off the text.
#[derive(Clone, Debug)]
pub(super) struct Starting {
    name: String,
    /// The names of the inputs given, each with its place; `None` where they are only known at run time.
    given: Option<BTreeMap<String, Range<usize>>>,
    name_at: Range<usize>,
    inputs_at: Range<usize>,
    program: Program,
}

impl Starting {
    fn error(&self, code: &'static str, span: &Range<usize>, message: String, help: String) -> Diagnostic {
        let (file, text) = (self.program.name(), self.program.text());
        Diagnostic::error(code, message, file, text, span.clone(), help)
    }
}

/// A playbook that others may start.
pub(super) struct Startable<'a> {
    pub(super) place: String,
    pub(super) inputs: &'a InputSpecs,
    pub(super) starts: &'a [Starting],
}

/// The area and situation of a folder: the last two parts of its path.
pub(super) fn place(folder: &str) -> String {
    let mut parts = folder.trim_end_matches(['/', '\\']).rsplit(['/', '\\']);
    match (parts.next(), parts.next()) {
        (Some(situation), Some(area)) => format!("{area}/{situation}"),
        (situation, _) => situation.unwrap_or_default().to_owned(),
    }
}

/// Every `run_playbook` of a script, and what is wrong with it whatever playbooks there are.
pub(super) fn starting(
    program: &Program,
    text: &Text<'_>,
    calls: &[Call],
) -> (Vec<Starting>, Vec<Diagnostic>) {
    let (mut starts, mut found) = (Vec::new(), Vec::new());
    for call in calls.iter().filter(|call| call.name == RUN_PLAYBOOK) {
        let start = text.offset(call.at);
        let arguments = text.arguments(start);
        let whole = start..start + call.name.len();
        let at = |n: usize| arguments.get(n).cloned().unwrap_or_else(|| whole.clone());
        let mut error = |code, span, message: &str, help: &str| {
            let (file, source) = (program.name(), program.text());
            found.push(Diagnostic::error(code, message, file, source, span, help));
        };
        let Some(name) = call.args.first().and_then(Literal::as_str) else {
            error(
                "P053",
                at(0),
                "which playbook is started has to stand in the text",
                "write its id, as in `run_playbook(\"leaver\", #{ … })`; choose between several with `if`",
            );
            continue;
        };
        let map = at(1);
        let given = match call.args.get(1) {
            None | Some(Literal::Scalar(Value::Null)) => Some(BTreeMap::new()),
            Some(Literal::Unknown) => None,
            Some(Literal::Map(members)) => Some(
                members
                    .keys()
                    .map(|key| {
                        let span = text.member(&map, key).map_or(map.clone(), |(name, _)| name);
                        (key.clone(), span)
                    })
                    .collect(),
            ),
            Some(Literal::Scalar(_) | Literal::List(_)) => {
                error(
                    "P051",
                    map.clone(),
                    "the inputs of a playbook are a map",
                    "write them by name, as in `#{ account: \"ana\" }`",
                );
                None
            }
        };
        starts.push(Starting {
            name: name.to_owned(),
            given,
            name_at: at(0),
            inputs_at: map,
            program: program.clone(),
        });
    }
    (starts, found)
}

/// What is wrong with a library that starts playbooks: which ones a playbook can come to would not stand in it.
pub(super) fn in_library(program: &Program, text: &Text<'_>, calls: &[Call]) -> Vec<Diagnostic> {
    let starts = calls.iter().filter(|call| call.name == RUN_PLAYBOOK);
    let found = starts.map(|call| {
        let start = text.offset(call.at);
        Diagnostic::error(
            "P054",
            format!("`{RUN_PLAYBOOK}` stands in playbooks, not in the library"),
            program.name(),
            program.text(),
            start..start + call.name.len(),
            "call it in the playbook, and hand its answer to the function",
        )
    });
    found.collect()
}

/// Everything wrong with how playbooks start one another.
pub(super) fn check(all: &BTreeMap<&str, Startable<'_>>) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for (id, playbook) in all {
        for one in playbook.starts {
            match known(all, &one.name) {
                None => found.push(unknown(all, one)),
                Some(child) => {
                    found.extend(inputs(all, child, one));
                    found.extend(way(all, id, child, one));
                }
            }
        }
    }
    found
}

fn known<'a>(all: &BTreeMap<&'a str, Startable<'_>>, name: &str) -> Option<&'a str> {
    let by_place = || all.iter().find(|(_, one)| one.place == name).map(|(id, _)| *id);
    all.get_key_value(name).map(|(id, _)| *id).or_else(by_place)
}

fn unknown(all: &BTreeMap<&str, Startable<'_>>, one: &Starting) -> Diagnostic {
    let names = all
        .iter()
        .flat_map(|(id, playbook)| [*id, playbook.place.as_str()]);
    let help = match nearest(&one.name, names) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "name one by its id, or by the area and situation of its folder".to_owned(),
    };
    one.error(
        "P050",
        &one.name_at,
        format!("there is no playbook `{}`", one.name),
        help,
    )
}

fn inputs(all: &BTreeMap<&str, Startable<'_>>, child: &str, one: &Starting) -> Option<Diagnostic> {
    let given = one.given.as_ref()?;
    let specs = all.get(child)?.inputs;
    let values = given
        .keys()
        .map(|name| (name.clone(), Value::Bool(true)))
        .collect();
    match with_defaults(specs, values) {
        Ok(_) => None,
        Err(BadInputs::Unknown { name, help }) => {
            let span = given.get(&name).unwrap_or(&one.inputs_at);
            Some(one.error("P051", span, format!("`{child}` has no input `{name}`"), help))
        }
        Err(BadInputs::Missing(name)) => {
            let help = format!("give it, as in `#{{ {name}: … }}`");
            Some(one.error(
                "P051",
                &one.inputs_at,
                format!("`{child}` needs the input `{name}`"),
                help,
            ))
        }
    }
}

/// A way from the child back to the playbook, or one that is too long.
fn way(all: &BTreeMap<&str, Startable<'_>>, id: &str, child: &str, one: &Starting) -> Option<Diagnostic> {
    let help = "let one playbook start the others, or move what they share into a function of the library";
    if child == id {
        let message = format!("`{id}` starts itself");
        return Some(one.error("P052", &one.name_at, message, help.to_owned()));
    }
    let mut seen = BTreeSet::from([child]);
    let mut ways: Vec<Vec<&str>> = vec![vec![child]];
    while let Some(way) = ways.pop() {
        let next = way.last().and_then(|last| all.get(last));
        for target in next
            .into_iter()
            .flat_map(|one| one.starts)
            .filter_map(|one| known(all, &one.name))
        {
            let further: Vec<&str> = way.iter().copied().chain([target]).collect();
            if target == id {
                let message = format!("`{id}` starts {}, and so comes back to itself", listed(&way));
                return Some(one.error("P052", &one.name_at, message, help.to_owned()));
            }
            if further.len() > CHILD_DEPTH_MAX {
                let message = format!(
                    "`{id}` starts {}: more than {CHILD_DEPTH_MAX} deep",
                    listed(&further)
                );
                return Some(one.error("P052", &one.name_at, message, help.to_owned()));
            }
            if seen.insert(target) {
                ways.push(further);
            }
        }
    }
    None
}
