//! A message as it was taken, and as a person would read it: headers unfolded and decoded, the text of its parts.
//! Reads what mail programs write today (RFC 5322, 2045, 2047) and shows the rest as it came.

use serde::{Deserialize, Serialize};

/// How deep parts may stand in one another.
const PARTS_DEPTH_MAX: usize = 4;

/// A message that was accepted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MailMessage {
    /// Address of MAIL FROM.
    pub from: String,
    /// Addresses of RCPT TO.
    pub to: Vec<String>,
    /// All of it after DATA, dots unstuffed.
    pub raw: String,
}

impl MailMessage {
    /// A header's value, unfolded and decoded; the first where there are several.
    pub fn header(&self, name: &str) -> Option<String> {
        header(&self.raw, name)
    }

    /// How many headers of this name there are: a header that was injected makes it one too many.
    pub fn headers(&self, name: &str) -> usize {
        let (head, _) = split(&self.raw);
        unfolded(head)
            .iter()
            .filter(|(key, _)| key.eq_ignore_ascii_case(name))
            .count()
    }

    /// The subject.
    pub fn subject(&self) -> String {
        self.header("subject").unwrap_or_default()
    }

    /// The plain text.
    pub fn text(&self) -> String {
        part(&self.raw, "text/plain", 0).unwrap_or_default()
    }

    /// The HTML, where there is some.
    pub fn html(&self) -> Option<String> {
        part(&self.raw, "text/html", 0)
    }
}

fn split(raw: &str) -> (&str, &str) {
    raw.split_once("\r\n\r\n").unwrap_or((raw, ""))
}

fn unfolded(head: &str) -> Vec<(String, String)> {
    let mut headers: Vec<(String, String)> = Vec::new();
    for line in head.split("\r\n") {
        match (line.starts_with([' ', '\t']), headers.last_mut()) {
            (true, Some((_, value))) => value.push_str(line),
            _ => {
                if let Some((name, value)) = line.split_once(':') {
                    headers.push((name.to_owned(), value.trim().to_owned()));
                }
            }
        }
    }
    headers
}

fn header(raw: &str, name: &str) -> Option<String> {
    let headers = unfolded(split(raw).0);
    let found = headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
    found.map(|(_, value)| decoded_words(value))
}

/// The first part of this type, decoded.
fn part(raw: &str, wanted: &str, depth: usize) -> Option<String> {
    let kind = header(raw, "content-type").unwrap_or_else(|| "text/plain".to_owned());
    let (_, body) = split(raw);
    if kind.to_lowercase().starts_with("multipart/") {
        let boundary = kind
            .split(';')
            .find_map(|field| field.trim().strip_prefix("boundary="))?;
        let mark = format!("--{}", boundary.trim_matches('"'));
        if depth == PARTS_DEPTH_MAX {
            return None;
        }
        return body.split(&mark).skip(1).find_map(|inner| {
            let inner = inner.strip_prefix("\r\n")?;
            part(inner.strip_suffix("\r\n").unwrap_or(inner), wanted, depth + 1)
        });
    }
    if !kind.to_lowercase().starts_with(wanted) {
        return None;
    }
    let encoding = header(raw, "content-transfer-encoding").unwrap_or_default();
    let text = match encoding.to_lowercase().as_str() {
        "base64" => {
            let packed: String = body.split_whitespace().collect();
            let bytes = data_encoding::BASE64.decode(packed.as_bytes()).ok()?;
            String::from_utf8_lossy(&bytes).into_owned()
        }
        "quoted-printable" => {
            let joined = body.replace("=\r\n", "");
            String::from_utf8_lossy(&quoted(&joined, false)).into_owned()
        }
        _ => body.to_owned(),
    };
    Some(text.replace("\r\n", "\n"))
}

/// Bytes of quoted-printable text; in headers an underscore is a space.
fn quoted(text: &str, in_header: bool) -> Vec<u8> {
    let mut bytes = text.bytes();
    let mut out = Vec::new();
    while let Some(byte) = bytes.next() {
        match byte {
            b'=' => {
                let digits = [bytes.next().unwrap_or(b'?'), bytes.next().unwrap_or(b'?')];
                match data_encoding::HEXUPPER_PERMISSIVE.decode(&digits) {
                    Ok(decoded) => out.extend(decoded),
                    Err(_) => out.extend([b'=', digits[0], digits[1]]),
                }
            }
            b'_' if in_header => out.push(b' '),
            other => out.push(other),
        }
    }
    out
}

/// `=?utf-8?b?…?=` and `=?utf-8?q?…?=` as text; white space between two such words is none.
fn decoded_words(value: &str) -> String {
    let mut out = String::new();
    let mut rest = value;
    let mut after_word = false;
    while let Some(start) = rest.find("=?") {
        let (before, from) = rest.split_at(start);
        let Some((word, behind)) = encoded_word(from) else {
            break;
        };
        if !(after_word && before.trim().is_empty()) {
            out.push_str(before);
        }
        out.push_str(&word);
        (rest, after_word) = (behind, true);
    }
    out.push_str(rest);
    out
}

fn encoded_word(text: &str) -> Option<(String, &str)> {
    let inner = text.strip_prefix("=?")?;
    let (_charset, inner) = inner.split_once('?')?;
    let (encoding, inner) = inner.split_once('?')?;
    let (packed, behind) = inner.split_once("?=")?;
    let bytes = match encoding {
        "b" | "B" => data_encoding::BASE64.decode(packed.as_bytes()).ok()?,
        "q" | "Q" => quoted(packed, true),
        _ => return None,
    };
    Some((String::from_utf8_lossy(&bytes).into_owned(), behind))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(raw: &str) -> MailMessage {
        MailMessage {
            raw: raw.replace('\n', "\r\n"),
            ..MailMessage::default()
        }
    }

    #[test]
    fn a_folded_and_encoded_subject_is_read() {
        let mail =
            of("Subject: =?utf-8?b?R3LDvMOfZQ==?=\n =?utf-8?q?_aus_K=C3=B6ln?= now\nTo: a@b\n\nhello\n");
        assert_eq!(mail.subject(), "Grüße aus Köln now");
        assert_eq!(mail.text(), "hello\n");
        assert_eq!(
            (mail.html(), mail.headers("To"), mail.headers("bcc")),
            (None, 1, 0)
        );
    }

    #[test]
    fn both_halves_of_a_message_are_found() {
        let mail = of(
            "Content-Type: multipart/alternative; boundary=\"x-1\"\n\n--x-1\nContent-Type: text/plain; charset=utf-8\n\
             Content-Transfer-Encoding: quoted-printable\n\na =E2=82=AC =\nb\n--x-1\nContent-Type: text/html\n\
             Content-Transfer-Encoding: base64\n\nPGI+aGk8L2I+\n--x-1--\n",
        );
        assert_eq!(mail.text(), "a € b");
        assert_eq!(mail.html().as_deref(), Some("<b>hi</b>"));
    }
}
