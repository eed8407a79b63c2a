//! The message of one `smtp::send`, written so that nothing in it can become a header, a recipient or another
//! message: addresses are parsed, texts are encoded, control characters go. Nothing here sends.

use std::time::{Duration, SystemTime};

use lettre::Address;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message, MultiPart, SinglePart};
use serde_json::{Map, Value};

use super::super::settle::Stop;
use super::attempt::{Attempt, never};
use crate::action::Fault;
use crate::limits::{MAIL_BYTES_MAX, MAIL_RECIPIENTS_MAX};
use crate::script::Asked;

/// A message, and who gets it.
pub(super) struct Mail {
    pub(super) from: Address,
    pub(super) to: Vec<Address>,
    pub(super) bytes: Vec<u8>,
}

/// Headers a script may set, besides any that begin with `X-`.
const HEADERS: [&str; 5] = [
    "In-Reply-To",
    "References",
    "Auto-Submitted",
    "Importance",
    "Precedence",
];

impl Mail {
    /// Reads an ask.
    ///
    /// # Errors
    /// `connector-script` where the script calls the word in a way it does not have, `bad-argument` where an address
    /// is none.
    pub(super) fn read(attempt: &Attempt<'_>, asked: &Asked) -> Result<Mail, Stop> {
        let ("smtp::send", [Value::Object(options)]) = (asked.name.as_str(), asked.args.as_slice()) else {
            return Err(wrong(format!("`{}` takes a map", asked.name)));
        };
        const KNOWN: [&str; 7] = ["from", "to", "subject", "text", "html", "message_id", "headers"];
        if let Some(unknown) = options.keys().find(|key| !KNOWN.contains(&key.as_str())) {
            return Err(wrong(format!("`smtp::send` has no option `{unknown}`")));
        }
        let from = mailbox(text(options, "from")?.unwrap_or_default())?;
        let to = recipients(options.get("to"))?;
        let subject = one_line(text(options, "subject")?.unwrap_or_default());
        let plain = text(options, "text")?.unwrap_or_default();
        let html = text(options, "html")?;
        if subject.len() + plain.len() + html.map_or(0, str::len) > MAIL_BYTES_MAX {
            return Err(never(Fault::new(
                "too-large",
                format!("the message is longer than {MAIL_BYTES_MAX} bytes"),
            )));
        }
        let millis = u64::try_from(attempt.now().0).unwrap_or(0);
        let mut builder = Message::builder()
            .from(from.clone())
            .subject(subject)
            .date(SystemTime::UNIX_EPOCH + Duration::from_millis(millis))
            .message_id(Some(message_id(attempt, options, &from)?));
        for one in &to {
            builder = builder.to(one.clone());
        }
        if let Some(headers) = options.get("headers").filter(|value| !value.is_null()) {
            for header in extra(headers)? {
                builder = builder.raw_header(header);
            }
        }
        let plain = SinglePart::plain(printable(plain));
        let message = match html {
            Some(html) => builder.multipart(
                MultiPart::alternative()
                    .singlepart(plain)
                    .singlepart(SinglePart::html(printable(html))),
            ),
            None => builder.singlepart(plain),
        };
        let message = message.map_err(|error| wrong(format!("the message cannot be written: {error}")))?;
        Ok(Mail {
            from: from.email,
            to: to.into_iter().map(|one| one.email).collect(),
            bytes: message.formatted(),
        })
    }

    /// True where every address is of ASCII letters, which any server takes.
    pub(super) fn is_ascii(&self) -> bool {
        std::iter::once(&self.from)
            .chain(&self.to)
            .all(|address| address.to_string().is_ascii())
    }
}

fn wrong(message: impl Into<String>) -> Stop {
    never(Fault::new("connector-script", message.into()))
}

fn text<'a>(options: &'a Map<String, Value>, key: &str) -> Result<Option<&'a str>, Stop> {
    match options.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(wrong(format!("`{key}` of `smtp::send` is a text"))),
    }
}

/// One address, perhaps with a name. A control character is refused, not taken away: nobody writes one by mistake.
fn mailbox(text: &str) -> Result<Mailbox, Stop> {
    let bad = || {
        let shown: String = text.chars().filter(|c| !c.is_control()).take(100).collect();
        never(Fault::new(
            "bad-argument",
            format!("`{shown}` is not a mail address"),
        ))
    };
    if text.chars().any(char::is_control) {
        return Err(bad());
    }
    text.trim().parse().map_err(|_| bad())
}

fn recipients(value: Option<&Value>) -> Result<Vec<Mailbox>, Stop> {
    let list = match value {
        Some(Value::Array(list)) => list.as_slice(),
        Some(one @ Value::String(_)) => std::slice::from_ref(one),
        _ => return Err(wrong("`to` of `smtp::send` is an address or a list of them")),
    };
    if list.is_empty() || list.len() > MAIL_RECIPIENTS_MAX {
        let message = format!("a message goes to 1 to {MAIL_RECIPIENTS_MAX} addresses");
        return Err(never(Fault::new("bad-argument", message)));
    }
    list.iter()
        .map(|one| mailbox(one.as_str().unwrap_or_default()))
        .collect()
}

/// A line break is what would begin another header.
fn one_line(text: &str) -> String {
    let line: String = text
        .chars()
        .map(|c| {
            if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') {
                ' '
            } else {
                c
            }
        })
        .collect();
    line.trim().to_owned()
}

/// The text without control characters other than line breaks and tabs.
fn printable(text: &str) -> String {
    text.replace("\r\n", "\n")
        .chars()
        .filter(|c| !c.is_control() || matches!(c, '\n' | '\t'))
        .collect::<String>()
        .replace('\n', "\r\n")
}

/// The script's, or one of the effect's key, so that a repeat is the same message to whoever looks.
fn message_id(attempt: &Attempt<'_>, options: &Map<String, Value>, from: &Mailbox) -> Result<String, Stop> {
    let id = match text(options, "message_id")? {
        Some(id) => id.trim_start_matches('<').trim_end_matches('>').to_owned(),
        None => {
            let key: String = attempt
                .key
                .chars()
                .map(|c| {
                    if c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_') {
                        c
                    } else {
                        '.'
                    }
                })
                .collect();
            format!("{key}@{}", from.email.domain())
        }
    };
    let fits = id.matches('@').count() == 1
        && !id.starts_with('@')
        && !id.ends_with('@')
        && id.len() <= 250
        && id
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !b"<>\",;:()[]\\".contains(&byte));
    if fits {
        Ok(format!("<{id}>"))
    } else {
        Err(never(Fault::new("bad-argument", "the message's id is none")))
    }
}

fn extra(headers: &Value) -> Result<Vec<HeaderValue>, Stop> {
    let Value::Object(headers) = headers else {
        return Err(wrong("`headers` of `smtp::send` is a map of names to texts"));
    };
    let mut list = Vec::new();
    for (name, value) in headers {
        let allowed = HEADERS.iter().any(|known| known.eq_ignore_ascii_case(name))
            || name.to_ascii_lowercase().starts_with("x-");
        let Value::String(value) = value else {
            return Err(wrong(format!("the header `{name}` is a text")));
        };
        let name = name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            .then(|| HeaderName::new_from_ascii(name.clone()).ok())
            .flatten()
            .filter(|_| allowed);
        let name =
            name.ok_or_else(|| wrong("the connector's script sets a header that is not for scripts"))?;
        list.push(HeaderValue::new(name, one_line(value)));
    }
    Ok(list)
}
