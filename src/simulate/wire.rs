//! The vendor's side of a connector's case: holds each request against the next expected one and gives its answer.
//! Tokens are issued by itself, so that no case has to play that unless it is about it.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use serde_json::{Map, Value, json};
use url::Url;

use super::case::{Answer, Exchange, Sheet};
use super::compare::difference;
use crate::connector::{AuthSpec, Came, Sent, Wire};
use crate::diagnostic::Diagnostic;

/// A script of requests and answers.
#[derive(Debug)]
pub struct Script {
    sheet: Sheet,
    /// Where tokens are issued.
    token_path: Option<String>,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    expected: VecDeque<Exchange>,
    failures: Vec<Diagnostic>,
    seen: Vec<String>,
}

impl Script {
    /// A script of these exchanges, in order.
    pub fn new(sheet: Sheet, auth: &AuthSpec, exchanges: &[Exchange]) -> Script {
        let token_path = match auth {
            AuthSpec::Oauth2 { token_path, .. } => Some(token_path.clone()),
            _ => None,
        };
        Script {
            sheet,
            token_path,
            inner: Mutex::new(Inner {
                expected: exchanges.iter().cloned().collect(),
                failures: Vec::new(),
                seen: Vec::new(),
            }),
        }
    }

    /// What was not as expected, requests that never came included; and all that came, one line each.
    pub fn ended(&self) -> (Vec<Diagnostic>, Vec<String>) {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let mut failures = inner.failures.clone();
        let came = if inner.seen.is_empty() {
            "none was".to_owned()
        } else {
            inner.seen.join(", then ")
        };
        for left in &inner.expected {
            let message = format!("{} was never sent", named(left));
            failures.push(
                self.sheet
                    .says("S012", &left.span, message, format!("sent: {came}")),
            );
        }
        (failures, inner.seen.clone())
    }

    fn judge(&self, wanted: &Exchange, sent: &Sent) -> Vec<Diagnostic> {
        let mut failures = Vec::new();
        let mut differs = |span: &std::ops::Range<usize>, what: &str, why: Option<String>| {
            if let Some(why) = why {
                let message = format!("the {what} of the request is not as expected: {why}");
                let help = format!("it was {} {}", sent.method, shown(&sent.url));
                failures.push(self.sheet.says("S012", span, message, help));
            }
        };
        let word = |name: &str, wanted: &str, found: &str| {
            (wanted != found).then(|| format!("{name} is `{found}`, expected `{wanted}`"))
        };
        differs(
            &wanted.method.span,
            "method",
            word("it", &wanted.method.value, &sent.method),
        );
        if let Some(path) = &wanted.path {
            differs(&path.span, "path", word("it", &path.value, sent.url.path()));
        }
        if let Some(host) = &wanted.host {
            differs(
                &host.span,
                "host",
                word("it", &host.value, sent.url.host_str().unwrap_or_default()),
            );
        }
        if let Some(query) = &wanted.query {
            let found = pairs(
                sent.url
                    .query_pairs()
                    .map(|(k, v)| (k.into_owned(), v.into_owned())),
            );
            differs(&query.span, "query", difference(&as_texts(&query.value), &found));
        }
        if let Some(headers) = &wanted.headers {
            let found = pairs(sent.headers.clone().into_iter());
            let lower = headers
                .value
                .iter()
                .map(|(name, value)| (name.to_lowercase(), value.clone()));
            differs(
                &headers.span,
                "headers",
                difference(&as_texts(&lower.collect()), &found),
            );
        }
        let kind = sent.content_type.to_lowercase();
        let json_body = match kind.contains("json") {
            true => serde_json::from_str(&sent.body).unwrap_or(Value::Null),
            false => Value::Null,
        };
        let form = match kind.contains("x-www-form-urlencoded") {
            true => pairs(url::form_urlencoded::parse(sent.body.as_bytes()).into_owned()),
            false => Value::Null,
        };
        let text = &sent.body;
        if let Some(json) = &wanted.json {
            differs(&json.span, "JSON body", difference(&json.value, &json_body));
        }
        if let Some(wanted) = &wanted.form {
            differs(&wanted.span, "form", difference(&as_texts(&wanted.value), &form));
        }
        if let Some(body) = &wanted.body
            && !text.contains(&body.value)
        {
            let why = format!(
                "it is `{}`, which does not contain `{}`",
                clean(text),
                clean(&body.value)
            );
            differs(&body.span, "body", Some(why));
        }
        failures
    }
}

impl Wire for Script {
    fn answer(&self, sent: Sent) -> Came {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let path = sent.url.path().to_owned();
        let is_token = self.token_path.as_deref() == Some(path.as_str());
        let is_expected = inner
            .expected
            .front()
            .is_some_and(|next| next.path.as_ref().is_some_and(|wanted| wanted.value == path));
        if is_token && !is_expected {
            let token =
                json!({ "access_token": "simulated-token", "token_type": "bearer", "expires_in": 1799 });
            return answered(200, Vec::new(), token.to_string());
        }
        inner.seen.push(format!("{} {}", sent.method, shown(&sent.url)));
        let Some(wanted) = inner.expected.pop_front() else {
            let n = inner.seen.len();
            let message = format!("a request too many: {} {}", sent.method, shown(&sent.url));
            let help =
                format!("it is number {n}; add a `[[request]]` for it, or mend the connector's script");
            inner
                .failures
                .push(self.sheet.says("S012", &(0..0), message, help));
            return Came::Lost;
        };
        let failures = self.judge(&wanted, &sent);
        inner.failures.extend(failures);
        match wanted.answer {
            Answer::With {
                status,
                headers,
                body,
            } => answered(status, headers, body),
            Answer::Lost => Came::Lost,
            Answer::Refused => Came::Refused,
        }
    }
}

fn answered(status: u16, headers: Vec<(String, String)>, body: String) -> Came {
    Came::Answer {
        status,
        headers: headers.into_iter().collect(),
        body: body.into_bytes(),
    }
}

/// Path and query, percent-encoding taken off for people.
fn shown(url: &Url) -> String {
    let query: Vec<String> = url
        .query_pairs()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let query = if query.is_empty() {
        String::new()
    } else {
        format!("?{}", query.join("&"))
    };
    clean(&format!("{}{query}", url.path()))
}

fn clean(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// Pairs as a map; a name that comes several times has a list.
fn pairs(pairs: impl Iterator<Item = (String, String)>) -> Value {
    let mut map = Map::new();
    for (name, value) in pairs {
        match map.get_mut(&name) {
            None => {
                map.insert(name, Value::from(value));
            }
            Some(Value::Array(list)) => list.push(Value::from(value)),
            Some(one) => *one = json!([one.clone(), value]),
        }
    }
    Value::Object(map)
}

/// Numbers and flags as the texts they are in queries and forms.
fn as_texts(map: &Map<String, Value>) -> Value {
    let text = |value: &Value| match value {
        Value::Number(_) | Value::Bool(_) => Value::from(value.to_string()),
        other => other.clone(),
    };
    Value::Object(
        map.iter()
            .map(|(name, value)| (name.clone(), text(value)))
            .collect(),
    )
}

/// Method and path of an expected request.
fn named(exchange: &Exchange) -> String {
    match &exchange.path {
        Some(path) => format!("{} {}", exchange.method.value, path.value),
        None => exchange.method.value.clone(),
    }
}
