//! One delivery of a connector that sends alerts, and the findings expected of it.

use serde_json::{Map, Value};

use super::case::{Case, Delivered};
use super::compare::difference;
use crate::connector::Connector;
use crate::diagnostic::Diagnostic;
use crate::finding::Finding;
use crate::intake::{self, Auth, Delivery, LookUp, Normaliser, NotRead, Offline, Profile};
use crate::script::Evaluators;

/// Runs a case and says what was not as expected.
pub async fn run(
    evaluators: &Evaluators,
    connector: &Connector,
    case: &Case,
    delivered: &Delivered,
) -> Vec<Diagnostic> {
    let name = &connector.manifest.name;
    if connector.manifest.source.is_none() {
        let help = "add `[source]` to its manifest, or move the case";
        let message = format!("the connector `{name}` takes no alerts");
        return vec![case.sheet.says("S009", &delivered.body.span, message, help)];
    }
    let body = &delivered.body;
    let anyone = Auth::None {
        anyone_may_send: true,
    };
    let profile = profile(connector, anyone, &body.settings);
    let as_delivered = Delivery {
        id: "case",
        headers: &body.headers,
        body: &body.bytes,
        received: delivered.now,
        now: delivered.now,
    };
    let look_ups = Offline::with(body.answers.clone());
    let reading = intake::read_with(evaluators, &look_ups, &profile, &as_delivered).await;
    judge(case, delivered, reading.map(|reading| reading.findings))
}

/// A source of this connector, with the settings of the case.
pub fn profile(connector: &Connector, auth: Auth, settings: &Map<String, Value>) -> Profile {
    let name = &connector.manifest.name;
    let normaliser = connector.source.clone();
    let mut profile = Profile::new(
        name,
        name,
        auth,
        normaliser.map_or(Normaliser::Builtin, Normaliser::Script),
    );
    if let Some(spec) = &connector.manifest.source {
        profile.finding_window_ms = spec.finding_window_ms;
        profile.settings = spec
            .settings
            .keys()
            .map(|name| (name.clone(), Value::Null))
            .collect();
        profile.lookup = spec.lookup.as_ref().map(|lookup| LookUp {
            instance: String::new(),
            secrets: lookup.secrets.clone(),
        });
    }
    profile.settings.extend(settings.clone());
    profile
}

fn judge(case: &Case, delivered: &Delivered, found: Result<Vec<Finding>, NotRead>) -> Vec<Diagnostic> {
    let mut failures = Vec::new();
    let titles = match &found {
        Ok(found) if found.is_empty() => "it holds no finding: a message about the channel".to_owned(),
        Ok(found) => {
            let titles: Vec<String> = found.iter().map(|one| format!("`{}`", one.title)).collect();
            format!("its findings are {}", titles.join(", "))
        }
        Err(error) => format!("it cannot be read: {error}"),
    };
    let mut differs = |span: &std::ops::Range<usize>, message: String, help: String| {
        failures.push(case.sheet.says("S011", span, message, help));
    };
    if let Some(wanted) = &delivered.unreadable {
        match &found {
            Err(error) if error.to_string().contains(&wanted.value) => {}
            _ => {
                let message = format!("expected that it cannot be read because of `{}`", wanted.value);
                differs(&wanted.span, message, titles.clone());
            }
        }
    } else if let Err(error) = &found {
        let help = "write `unreadable` under `[expect]` where that is right";
        differs(
            &delivered.body.span,
            format!("the delivery cannot be read: {error}"),
            help.to_owned(),
        );
        return failures;
    }
    let found = found.unwrap_or_default();
    if let Some(wanted) = &delivered.control {
        let is_control = found.is_empty() && delivered.unreadable.is_none();
        if is_control != wanted.value {
            let message = format!(
                "that it is a message about the channel is `{is_control}`, expected `{}`",
                wanted.value
            );
            differs(&wanted.span, message, titles.clone());
        }
    }
    let Some(wanted) = &delivered.findings else {
        return failures;
    };
    if wanted.value.len() != found.len() {
        let message = format!(
            "there are {} finding(s), expected {}",
            found.len(),
            wanted.value.len()
        );
        differs(&wanted.span, message, titles.clone());
    }
    for (one, finding) in wanted.value.iter().zip(&found) {
        let as_data = serde_json::to_value(finding).unwrap_or_default();
        if let Some(why) = difference(&Value::Object(one.value.clone()), &as_data) {
            let help = format!("the finding is {as_data}");
            differs(&one.span, format!("the finding is not as expected: {why}"), help);
        }
    }
    failures
}
