//! Holds what came of a playbook's case against what was expected of it. Each difference points at the line of the
//! case that expected otherwise, and names the line of the playbook it came from.

use std::ops::Range;

use serde_json::Value;

use super::case::{Case, EffectExpect, HoldExpect, MessageExpect, Play};
use super::compare::{difference, short};
use super::play::{Played, PlayedRun};
use crate::action::{Done, Hold, Outcome, Verification};
use crate::clock::duration_text;
use crate::diagnostic::{Diagnostic, nearest};
use crate::journal::{Cause, EffectState, End, Event, ScriptEnd, Stage};
use crate::page::{Placed, listed};
use crate::playbook::Playbook;

/// Everything that is not as expected.
pub fn judge(case: &Case, play: &Play, playbook: &Playbook, played: &Played) -> Vec<Diagnostic> {
    let mut judge = Judge {
        case,
        play,
        playbook,
        played,
        failures: Vec::new(),
    };
    judge.starts();
    judge.ends();
    judge.script();
    judge.told();
    judge.effects();
    judge.not_called();
    judge.world();
    if judge.started().next().is_some() {
        judge.never_came_to_pass();
    }
    judge.failures
}

struct Judge<'a> {
    case: &'a Case,
    play: &'a Play,
    playbook: &'a Playbook,
    played: &'a Played,
    failures: Vec<Diagnostic>,
}

/// One message of a playbook.
struct Message {
    to: String,
    content: Value,
    line: u32,
}

impl<'a> Judge<'a> {
    fn differs(&mut self, span: &Range<usize>, message: String, help: String) {
        self.failures
            .push(self.case.sheet.says("S011", span, message, help));
    }

    fn started(&self) -> impl Iterator<Item = &'a PlayedRun> + use<'a> {
        self.played.runs.iter().filter(|run| run.is_started)
    }

    /// `playbook.rhai:16: the line itself`.
    fn line(&self, line: u32) -> String {
        let place = usize::try_from(line).unwrap_or(0);
        let text = self
            .playbook
            .script
            .text()
            .lines()
            .nth(place.saturating_sub(1))
            .unwrap_or_default();
        if place == 0 || text.trim().is_empty() {
            return "the playbook".to_owned();
        }
        format!("{}/playbook.rhai:{line}: `{}`", self.playbook.folder, text.trim())
    }

    fn starts(&mut self) {
        let found = self.started().count();
        let help = if self.played.missed.is_empty() {
            format!("{found} run(s) were started")
        } else {
            format!("not started because {}", self.played.missed.join("; "))
        };
        match &self.play.expect.starts {
            Some(wanted) if wanted.value != found => {
                let message = format!("{found} run(s) were started, expected {}", wanted.value);
                self.differs(&wanted.span, message, help);
            }
            None if found == 0 => {
                let span = self.case.span.clone();
                let help = format!("{help}; write `starts = 0` under `[expect]` where that is right");
                self.differs(&span, "no run was started".to_owned(), help);
            }
            _ => {}
        }
    }

    fn ends(&mut self) {
        let expect = &self.play.expect;
        for run in self.started() {
            let (word, why) = end_of(run);
            if let Some(wanted) = &expect.end
                && wanted.value != word
            {
                let message = format!("the run ended `{word}`, expected `{}`", wanted.value);
                self.differs(&wanted.span, message, why.clone());
            }
            if let Some(wanted) = &expect.why
                && !why.contains(&wanted.value)
            {
                let message = format!("the reason of its end does not contain `{}`", wanted.value);
                self.differs(&wanted.span, message, why.clone());
            }
            if let Some(wanted) = &expect.waits_for
                && !run.row.waits_for.contains(&wanted.value)
            {
                let message = format!(
                    "the run waits for `{}`, expected `{}`",
                    run.row.waits_for, wanted.value
                );
                self.differs(&wanted.span, message, why);
            }
        }
    }

    fn script(&mut self) {
        let expect = &self.play.expect;
        for run in self.started() {
            if let Some(wanted) = &expect.error {
                let (found, help) = match &run.state.script {
                    Some(ScriptEnd::Failed(fault, line, _)) => {
                        (fault.code.clone(), format!("{fault}; {}", self.line(*line)))
                    }
                    Some(ScriptEnd::Returned(_)) => ("nothing".to_owned(), "the script returned".to_owned()),
                    None => ("nothing".to_owned(), "the script has not ended".to_owned()),
                };
                if found != wanted.value {
                    let message = format!("the script failed with `{found}`, expected `{}`", wanted.value);
                    self.differs(&wanted.span, message, help);
                }
            }
            if let Some(wanted) = &expect.returns {
                let why = match &run.state.script {
                    Some(ScriptEnd::Returned(value)) => difference(&wanted.value, value),
                    Some(ScriptEnd::Failed(fault, ..)) => Some(format!("it failed with {fault}")),
                    None => Some("the script has not ended".to_owned()),
                };
                if let Some(why) = why {
                    let message = format!("what the script returned is not as expected: {why}");
                    self.differs(&wanted.span, message, end_of(run).1);
                }
            }
        }
        if let Some(wanted) = &expect.steps {
            let found: Vec<(String, u32)> = self
                .started()
                .flat_map(|run| &run.events)
                .filter_map(|(_, event)| match event {
                    Event::StepAsked { name, line, .. } => Some((name.clone(), *line)),
                    _ => None,
                })
                .collect();
            self.same_words("step", wanted, &found);
        }
        if let Some(wanted) = &expect.alarms {
            let alarms = self.played.runs.iter().flat_map(|run| &run.state.alarms);
            let found: Vec<(String, u32)> = alarms.map(|alarm| (alarm.code.clone(), 0)).collect();
            self.same_words("alarm", wanted, &found);
        }
    }

    /// Words that are to be the same, in order: the first that differs is pointed at.
    fn same_words(&mut self, what: &str, wanted: &Placed<Vec<Placed<String>>>, found: &[(String, u32)]) {
        let all: Vec<&str> = found.iter().map(|(word, _)| word.as_str()).collect();
        let help = format!(
            "the {what}s are {}",
            if all.is_empty() {
                "none".to_owned()
            } else {
                listed(&all)
            }
        );
        for (n, one) in wanted.value.iter().enumerate() {
            match found.get(n) {
                Some((word, _)) if *word == one.value => {}
                Some((word, line)) => {
                    let message = format!("{what} {} is `{word}`, expected `{}`", n + 1, one.value);
                    let place = if *line > 0 {
                        format!("; {}", self.line(*line))
                    } else {
                        String::new()
                    };
                    return self.differs(&one.span, message, format!("{help}{place}"));
                }
                None => {
                    let message = format!("there is no {what} {}, expected `{}`", n + 1, one.value);
                    return self.differs(&one.span, message, help);
                }
            }
        }
        if let Some((word, line)) = found.get(wanted.value.len()) {
            let message = format!("a {what} too many: `{word}`");
            let place = if *line > 0 {
                format!("; {}", self.line(*line))
            } else {
                String::new()
            };
            self.differs(&wanted.span, message, format!("{help}{place}"));
        }
    }

    fn told(&mut self) {
        let mut notes: Vec<(String, u32)> = Vec::new();
        let mut messages: Vec<Message> = Vec::new();
        for (_, event) in self.started().flat_map(|run| &run.events) {
            let Event::StepTold { name, args, line, .. } = event else {
                continue;
            };
            let text = |n: usize| args.get(n).and_then(Value::as_str).unwrap_or_default();
            let message = |to: String, n: usize| Message {
                to,
                content: args.get(n).cloned().unwrap_or_default(),
                line: *line,
            };
            match name.as_str() {
                "note" => notes.push((text(0).to_owned(), *line)),
                "notify::oncall" => messages.push(message("oncall".to_owned(), 0)),
                "notify::team" => messages.push(message(format!("team {}", text(0)), 1)),
                "notify::person" => messages.push(message(format!("person {}", text(0)), 1)),
                _ => {}
            }
        }
        if let Some(wanted) = &self.play.expect.notes {
            let mut left = notes.iter();
            for one in &wanted.value {
                if !left.any(|(note, _)| note.contains(&one.value)) {
                    let all: Vec<&str> = notes.iter().map(|(note, _)| note.as_str()).collect();
                    let message = format!("no note contains `{}`, in this order", one.value);
                    let span = one.span.clone();
                    self.differs(&span, message, format!("the notes are {}", listed(&all)));
                    break;
                }
            }
        }
        if let Some(wanted) = &self.play.expect.messages {
            self.messages(wanted, &messages);
        }
    }

    fn messages(&mut self, wanted: &Placed<Vec<MessageExpect>>, found: &[Message]) {
        let lines: Vec<String> = found
            .iter()
            .map(|one| format!("to {}: {}", one.to, subject(one)))
            .collect();
        let all = if lines.is_empty() {
            "no message was sent".to_owned()
        } else {
            format!("sent: {}", lines.join("; "))
        };
        if wanted.value.len() != found.len() {
            let message = format!(
                "{} message(s) were sent, expected {}",
                found.len(),
                wanted.value.len()
            );
            self.differs(&wanted.span, message, all.clone());
        }
        for (one, message) in wanted.value.iter().zip(found) {
            let help = format!("{all}; {}", self.line(message.line));
            if let Some(to) = &one.to
                && to.value != message.to
            {
                let text = format!("the message went to `{}`, expected `{}`", message.to, to.value);
                self.differs(&to.span, text, help.clone());
            }
            if let Some(wanted) = &one.subject
                && !subject(message).contains(&wanted.value)
            {
                let text = format!(
                    "the subject is `{}`, which does not contain `{}`",
                    subject(message),
                    wanted.value
                );
                self.differs(&wanted.span, text, help.clone());
            }
            if let Some(data) = &one.data
                && let Some(why) = difference(&Value::Object(data.value.clone()), &message.content)
            {
                self.differs(
                    &data.span,
                    format!("the message is not as expected: {why}"),
                    help.clone(),
                );
            }
        }
    }

    /// Every change of every run, with its run.
    fn changes(&self) -> Vec<(&'a PlayedRun, &'a EffectState)> {
        let runs = self.played.runs.iter();
        runs.flat_map(|run| run.state.effects_in_order().map(move |effect| (run, effect)))
            .filter(|(_, effect)| effect.bound.spec.changes())
            .collect()
    }

    fn line_of(&self, run: &PlayedRun, effect: &EffectState) -> String {
        if let Cause::Playbook { .. } = run.state.header.cause {
            return format!("`{}`, which it started, did it", run.state.header.playbook);
        }
        if !run.is_started {
            return "it restores what an earlier effect did".to_owned();
        }
        run.state
            .steps
            .get(&effect.bound.step)
            .map_or_else(String::new, |step| self.line(step.line))
    }

    fn effects(&mut self) {
        let Some(wanted) = &self.play.expect.effects else {
            return;
        };
        let found = self.changes();
        let shown: Vec<String> = found.iter().map(|(_, effect)| in_words(effect)).collect();
        let all = if shown.is_empty() {
            "nothing was changed".to_owned()
        } else {
            format!("changed: {}", shown.join("; "))
        };
        if wanted.value.len() != found.len() {
            let message = format!(
                "there are {} effect(s), expected {}",
                found.len(),
                wanted.value.len()
            );
            self.differs(&wanted.span, message, all.clone());
        }
        for (one, (run, effect)) in wanted.value.iter().zip(&found) {
            let help = format!("{all}; {}", self.line_of(run, effect));
            self.effect(one, effect, &help);
        }
    }

    fn effect(&mut self, wanted: &EffectExpect, effect: &EffectState, help: &str) {
        let spec = &effect.bound.spec;
        let name = &wanted.action;
        if spec.name != name.value && spec.provides.as_ref() != Some(&name.value) {
            let message = format!("the action is `{}`, expected `{}`", spec.name, name.value);
            return self.differs(&name.span, message, help.to_owned());
        }
        if let Some(target) = &wanted.target
            && !is_target(effect, &target.value)
        {
            let message = format!("the target is {}, expected `{}`", target_of(effect), target.value);
            self.differs(&target.span, message, help.to_owned());
        }
        let code = effect.fault().map_or_else(String::new, |fault| fault.code);
        let verified = effect.verification.map_or("", |(_, word)| verified_word(word));
        let words = [
            ("instance", &wanted.instance, effect.bound.instance.as_str()),
            ("way it came to be done", &wanted.how, how_word(effect)),
            ("verification", &wanted.verified, verified),
            ("error", &wanted.error, code.as_str()),
        ];
        for (what, wanted, found) in words {
            if let Some(wanted) = wanted
                && wanted.value != found
            {
                let found = if found.is_empty() { "nothing" } else { found };
                let message = format!("the {what} is `{found}`, expected `{}`", wanted.value);
                self.differs(&wanted.span, message, help.to_owned());
            }
        }
        if let Some(args) = &wanted.args {
            let given = effect
                .last()
                .map_or(&effect.bound.args, |attempt| &attempt.intent.args);
            if let Some(why) = difference(&Value::Object(args.value.clone()), &Value::Object(given.clone())) {
                self.differs(
                    &args.span,
                    format!("the arguments are not as expected: {why}"),
                    help.to_owned(),
                );
            }
        }
        if let Some(lease) = &wanted.lease_ms
            && effect.bound.lease_ms != Some(lease.value)
        {
            let found = effect.bound.lease_ms.map_or("none".to_owned(), duration_text);
            let message = format!(
                "the lease is `{found}`, expected `{}`",
                duration_text(lease.value)
            );
            self.differs(&lease.span, message, help.to_owned());
        }
        if let Some(attempts) = &wanted.attempts
            && effect.attempts.len() != attempts.value
        {
            let message = format!(
                "there were {} attempt(s), expected {}",
                effect.attempts.len(),
                attempts.value
            );
            self.differs(&attempts.span, message, help.to_owned());
        }
        if let Some(undoes) = &wanted.undoes
            && effect.bound.reverts.is_some() != undoes.value
        {
            let found = effect.bound.reverts.is_some();
            let message = format!("that it restores is `{found}`, expected `{}`", undoes.value);
            self.differs(&undoes.span, message, help.to_owned());
        }
    }

    fn not_called(&mut self) {
        for name in &self.play.expect.not_called {
            let is_it = |effect: &EffectState| {
                let spec = &effect.bound.spec;
                spec.name == name.value || spec.provides.as_ref() == Some(&name.value)
            };
            let called = self.played.runs.iter().find_map(|run| {
                let effect = run.state.effects_in_order().find(|effect| is_it(effect))?;
                Some(format!("{}; {}", in_words(effect), self.line_of(run, effect)))
            });
            let asked = self.started().find_map(|run| {
                let step = run
                    .state
                    .steps
                    .values()
                    .find(|step| step.name == name.value.to_string())?;
                Some(self.line(step.line))
            });
            if let Some(help) = called.or(asked) {
                self.differs(&name.span, format!("`{}` was called", name.value), help);
            }
        }
    }

    fn world(&mut self) {
        let expect = &self.play.expect;
        if let Some(wanted) = &expect.holds {
            let lines: Vec<String> = self
                .played
                .holds
                .iter()
                .map(|hold| self.hold_in_words(hold))
                .collect();
            let all = if lines.is_empty() {
                "nothing is held".to_owned()
            } else {
                format!("held: {}", lines.join("; "))
            };
            if wanted.value.len() != self.played.holds.len() {
                let message = format!(
                    "{} hold(s) are left, expected {}",
                    self.played.holds.len(),
                    wanted.value.len()
                );
                self.differs(&wanted.span, message, all.clone());
            }
            for one in &wanted.value {
                self.hold(one, &all);
            }
        }
        for wanted in &expect.states {
            let mut found = self.played.world.states_of(&wanted.target.value);
            found.retain(|(instance, facet, _)| {
                wanted.instance.as_ref().is_none_or(|one| one.value == *instance)
                    && wanted.facet.as_ref().is_none_or(|one| one == facet)
            });
            let lines: Vec<String> = found
                .iter()
                .map(|(at, facet, state)| format!("{facet} at {at} reads `{state}`"))
                .collect();
            if found.is_empty() {
                let message = format!(
                    "nobody looked at `{}`, expected `{}`",
                    wanted.target.value, wanted.state.value
                );
                self.differs(
                    &wanted.target.span,
                    message,
                    self.names_help(&wanted.target.value),
                );
            } else if let Some((_, _, state)) =
                found.iter().find(|(_, _, state)| *state != wanted.state.value)
            {
                let message = format!(
                    "`{}` reads `{state}`, expected `{}`",
                    wanted.target.value, wanted.state.value
                );
                self.differs(&wanted.state.span, message, lines.join("; "));
            }
        }
    }

    fn hold_in_words(&self, hold: &Hold) -> String {
        let ends: Vec<String> = hold
            .holders
            .iter()
            .map(|holder| match holder.until {
                Some(until) => format!(
                    "until {} after the beginning",
                    duration_text(until.since_ms(self.played.began))
                ),
                None => "until somebody ends it".to_owned(),
            })
            .collect();
        format!("{} of {} {}", hold.facet, hold.target.label(), ends.join(" and "))
    }

    fn hold(&mut self, wanted: &HoldExpect, all: &str) {
        let is_it = |hold: &&Hold| {
            (hold.target.id == wanted.target.value
                || hold.target.name.eq_ignore_ascii_case(&wanted.target.value))
                && wanted
                    .facet
                    .as_ref()
                    .is_none_or(|facet| facet.value == hold.facet)
        };
        let Some(hold) = self.played.holds.iter().find(is_it) else {
            let facet = wanted
                .facet
                .as_ref()
                .map_or_else(String::new, |facet| format!("{} of ", facet.value));
            let message = format!("nothing holds {facet}`{}`", wanted.target.value);
            return self.differs(&wanted.span, message, all.to_owned());
        };
        if let Some(until) = &wanted.until_ms {
            let end = self.played.began.plus_ms(until.value);
            if !hold.holders.iter().any(|holder| holder.until == Some(end)) {
                let message = format!(
                    "no lease on `{}` ends {} after the beginning",
                    wanted.target.value,
                    duration_text(until.value)
                );
                self.differs(&until.span, message, all.to_owned());
            }
        }
    }

    fn names_help(&self, wanted: &str) -> String {
        let mut names = self.played.world.names();
        names.sort();
        names.dedup();
        match nearest(wanted, names.iter().map(String::as_str)) {
            Some(near) if near != wanted => format!("did you mean `{near}`?"),
            _ if names.is_empty() => "no target was looked for".to_owned(),
            _ => format!("the targets that were looked for are {}", listed(&names)),
        }
    }

    /// What the case overrides and nothing ever met: it does not show what its author believes.
    fn never_came_to_pass(&mut self) {
        for one in self.played.world.unused_facts() {
            let message = format!("nobody ever looked at what is said of `{}`", one.name.value);
            let help = self.names_help(&one.name.value);
            self.failures
                .push(self.case.sheet.says("S006", &one.name.span, message, help));
        }
        for one in self.played.world.unused_behaviours() {
            let message = format!("`{}` never went this way", one.name.value);
            let help = match &one.target {
                Some(target) => self.names_help(&target.value),
                None => "the playbook did not do it, or an earlier `[[action]]` answered first".to_owned(),
            };
            self.failures
                .push(self.case.sheet.says("S013", &one.name.span, message, help));
        }
    }
}

fn subject(message: &Message) -> String {
    message.content.get("subject").map_or_else(String::new, short)
}

fn end_of(run: &PlayedRun) -> (&'static str, String) {
    match (&run.state.settled, &run.state.parked) {
        (Some((_, end, why)), _) => {
            let word = match end {
                End::Succeeded => "succeeded",
                End::Kept => "kept",
                End::RolledBack => "rolled_back",
                End::InDoubt => "in_doubt",
                End::Cancelled => "cancelled",
            };
            (word, why.clone())
        }
        (None, Some(why)) => ("parked", why.clone()),
        (None, None) if run.state.doubts().next().is_some() => {
            ("in_doubt", format!("it waits for {}", run.row.waits_for))
        }
        (None, None) => ("open", format!("it waits for {}", run.row.waits_for)),
    }
}

fn is_target(effect: &EffectState, name: &str) -> bool {
    let target = effect.target.as_ref();
    let entity = effect.bound.entity.as_ref();
    target.is_some_and(|one| one.id == name || one.name.eq_ignore_ascii_case(name))
        || entity.is_some_and(|one| one.uid == name || one.name.eq_ignore_ascii_case(name))
}

fn target_of(effect: &EffectState) -> String {
    let entity = effect.bound.entity.as_ref().map(|entity| entity.label());
    entity
        .or(effect.target.as_ref().map(|target| target.label()))
        .unwrap_or_else(|| "none".to_owned())
}

fn in_words(effect: &EffectState) -> String {
    let verified = effect.verification.map_or_else(String::new, |(_, word)| {
        format!(", verified {}", verified_word(word))
    });
    let fault = effect
        .fault()
        .map_or_else(String::new, |fault| format!(" ({fault})"));
    format!(
        "{} on {} at {}: {}{verified}{fault}",
        effect.bound.spec.name,
        target_of(effect),
        effect.bound.instance,
        how_word(effect)
    )
}

fn how_word(effect: &EffectState) -> &'static str {
    match (effect.stage(), effect.done()) {
        (Stage::Done, Some((_, Outcome::Done { how, .. }))) => match how {
            Done::Acted => "acted",
            Done::AlreadySo => "already_so",
            Done::Observed => "observed",
            Done::Told => "told",
            Done::StillHeld => "still_held",
            Done::NothingToRestore => "nothing_to_restore",
        },
        (Stage::NotDone(_), _) => "not_done",
        (Stage::InDoubt, _) => "in_doubt",
        _ => "open",
    }
}

fn verified_word(word: Verification) -> &'static str {
    match word {
        Verification::Yes => "yes",
        Verification::Undone => "undone",
        Verification::HeldAgain => "held_again",
        Verification::Pending => "pending",
        Verification::NotInForce => "not_in_force",
        Verification::Unverifiable => "unverifiable",
        Verification::Contradicted => "contradicted",
    }
}
