//! The words connector scripts ask the network with, and what one such ask says. Words only; nothing here sends.

use std::sync::{Arc, LazyLock};

use percent::encode_segment;
use reqwest::Method;
use serde_json::Value;

use super::manifest::Transport;
use crate::action::Fault;
use crate::diagnostic::nearest;
use crate::script::{Asked, Vocabulary, Word};

/// One call of an `http::` word.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Call {
    pub(super) method: Method,
    /// A path or URL, as [`super::egress::Egress::url`] takes it.
    pub(super) place: String,
    pub(super) query: Vec<(String, Value)>,
    pub(super) headers: Vec<(String, Value)>,
    pub(super) body: CallBody,
}

/// The body of a call, with credentials still as handles.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum CallBody {
    Empty,
    Json(Value),
    Form(Vec<(String, Value)>),
}

impl Call {
    /// The path on its host.
    pub(super) fn path(&self) -> &str {
        match self.place.split_once("://") {
            Some((_, rest)) => rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/"),
            None => &self.place,
        }
    }

    /// Reads an ask.
    ///
    /// # Errors
    ///
    /// `connector-script`, where the script calls a word in a way it does not have.
    pub(super) fn read(asked: &Asked) -> Result<Call, Fault> {
        let method = match asked.name.as_str() {
            "http::get" => Method::GET,
            "http::post" => Method::POST,
            "http::put" => Method::PUT,
            "http::patch" => Method::PATCH,
            "http::delete" => Method::DELETE,
            other => {
                return Err(wrong(format!(
                    "the script asks for `{other}`, which connectors do not have"
                )));
            }
        };
        let place = match asked.args.first() {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Array(segments)) => joined(segments)?,
            _ => {
                return Err(wrong(format!(
                    "`{}` needs a path, or a list of its segments",
                    asked.name
                )));
            }
        };
        let mut call = Call {
            method,
            place,
            query: Vec::new(),
            headers: Vec::new(),
            body: CallBody::Empty,
        };
        let options = match asked.args.get(1) {
            None | Some(Value::Null) => return Ok(call),
            Some(Value::Object(options)) => options,
            Some(_) => return Err(wrong(format!("the options of `{}` are a map", asked.name))),
        };
        for (key, value) in options {
            let with_body = call.method != Method::GET;
            match key.as_str() {
                // An option that a script passes on although it has none.
                "query" | "headers" | "form" if value.is_null() => {}
                "query" => call.query = members(key, value)?,
                "headers" => call.headers = members(key, value)?,
                "json" if with_body && call.body == CallBody::Empty => {
                    call.body = CallBody::Json(value.clone())
                }
                "form" if with_body && call.body == CallBody::Empty => {
                    call.body = CallBody::Form(members(key, value)?);
                }
                "json" | "form" => {
                    return Err(wrong(format!("`{}` cannot take `{key}` here", asked.name)));
                }
                other => {
                    let help = nearest(other, ["query", "headers", "json", "form"])
                        .map_or(String::new(), |near| format!(", did you mean `{near}`"));
                    return Err(wrong(format!("`{}` has no option `{other}`{help}", asked.name)));
                }
            }
        }
        Ok(call)
    }
}

fn wrong(message: String) -> Fault {
    Fault::new("connector-script", message)
}

/// A path of segments, each percent-encoded, so that an id can never add a segment or a query.
fn joined(segments: &[Value]) -> Result<String, Fault> {
    let mut path = String::new();
    for segment in segments {
        let text = match segment {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => return Err(wrong("a segment of a path is a text or a number".into())),
        };
        if text.trim().is_empty() || text == "." || text == ".." {
            return Err(wrong(format!("`{text}` cannot be a segment of a path")));
        }
        path.push('/');
        path.push_str(&encode_segment(&text));
    }
    Ok(path)
}

fn members(key: &str, value: &Value) -> Result<Vec<(String, Value)>, Fault> {
    let Value::Object(members) = value else {
        return Err(wrong(format!("`{key}` is a map of names to values")));
    };
    let mut list = Vec::new();
    for (name, value) in members {
        match value {
            Value::Null => {}
            Value::Array(values) => list.extend(values.iter().map(|value| (name.clone(), value.clone()))),
            value => list.push((name.clone(), value.clone())),
        }
    }
    Ok(list)
}

mod percent {
    /// Percent-encodes everything but the unreserved characters of RFC 3986 §2.3, `@`, `:` and `,`.
    pub(super) fn encode_segment(text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        for byte in text.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~@:,".contains(&byte) {
                out.push(char::from(byte));
            } else {
                out.push_str(&format!("%{byte:02X}"));
            }
        }
        out
    }
}

/// The words of connector scripts that speak this.
#[allow(
    clippy::expect_used,
    reason = "the names are written below; that they are words is tested"
)]
pub fn vocabulary(transport: Transport) -> &'static Arc<Vocabulary> {
    static WORDS: LazyLock<[Arc<Vocabulary>; 3]> = LazyLock::new(|| {
        Transport::ALL.map(|transport| {
            let words = words(transport);
            Arc::new(Vocabulary::new(words).expect("names of connector words are words"))
        })
    });
    let [http, ldap, smtp] = &*WORDS;
    match transport {
        Transport::Http => http,
        Transport::Ldap => ldap,
        Transport::Smtp => smtp,
    }
}

fn words(transport: Transport) -> Vec<Word> {
    let body =
        "PATH, #{ json | form, query, headers }: asks the vendor; the answer is #{ status, headers, body }";
    match transport {
        Transport::Http => vec![
            Word::ask(
                "http::get",
                1..=2,
                "PATH, #{ query, headers }: reads; the answer is #{ status, headers, body }",
            ),
            Word::ask("http::post", 1..=2, body),
            Word::ask("http::put", 1..=2, body),
            Word::ask("http::patch", 1..=2, body),
            Word::ask("http::delete", 1..=2, body),
        ],
        Transport::Ldap => vec![
            Word::ask(
                "ldap::search",
                1..=1,
                "#{ base, scope, filter, attributes }: reads; the answer is #{ entries }",
            ),
            Word::ask(
                "ldap::modify",
                2..=2,
                "DN, #{ replace, add, delete }: changes one entry; the answer is #{ code, name, message }",
            ),
        ],
        Transport::Smtp => vec![Word::ask(
            "smtp::send",
            1..=1,
            "#{ from, to, subject, text, html, message_id, headers }: sends one message; the answer is \
             #{ accepted, refused, response }",
        )],
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_id_cannot_leave_its_segment() {
        let path = joined(&[json!("users"), json!("a/../b?c#d e%2f"), json!(7)]).unwrap();
        assert_eq!(path, "/users/a%2F..%2Fb%3Fc%23d%20e%252f/7");
        for wrong in [
            json!(".."),
            json!("."),
            json!(""),
            json!(" "),
            json!(null),
            json!({}),
        ] {
            assert!(joined(std::slice::from_ref(&wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_words_of_connectors_are_words() {
        for (transport, words) in Transport::ALL.into_iter().zip([5, 2, 1]) {
            let vocabulary = vocabulary(transport);
            assert_eq!(vocabulary.words().count(), words);
            assert!(
                vocabulary
                    .words()
                    .all(|word| word.namespace() == Some(transport.word()))
            );
        }
    }
}
