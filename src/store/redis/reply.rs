//! Answers of a server as they come over the wire (RESP 2, Redis "serialization protocol specification"), read up to
//! bounds. Anything that is not one is an error, after which nothing more is believed of the connection.

use std::io::{Error, ErrorKind, Result};

use redis::Value;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _};

use crate::limits::{REDIS_BULK_BYTES_MAX, REDIS_REPLY_DEPTH_MAX, REDIS_REPLY_ITEMS_MAX};

/// Longest line: a number, a status, or an error with its message.
const LINE_BYTES_MAX: u64 = 64 << 10;

/// One answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Reply {
    /// What was asked for.
    Value(Value),
    /// An error: its first word, and the rest.
    Refused {
        /// Such as `MOVED`.
        code: String,
        /// Such as `3999 127.0.0.1:6381`.
        detail: String,
    },
}

/// An array that is being filled.
struct Open {
    left: usize,
    items: Vec<Value>,
}

/// Reads one answer, whole.
pub(super) async fn read<R: AsyncBufRead + Unpin>(from: &mut R) -> Result<Reply> {
    let mut open: Vec<Open> = Vec::new();
    let mut items: usize = 0;
    loop {
        let line = line(from).await?;
        let (kind, rest) = line.split_first().ok_or_else(|| garbage("an empty line"))?;
        let mut value = match kind {
            b'+' if rest == b"OK" => Value::Okay,
            b'+' => Value::SimpleString(text(rest)),
            b'-' if open.is_empty() => {
                let text = text(rest);
                let (code, detail) = text.split_once(' ').unwrap_or((&text, ""));
                return Ok(Reply::Refused {
                    code: code.to_owned(),
                    detail: detail.to_owned(),
                });
            }
            b':' => Value::Int(number(rest)?),
            b'$' => match size(rest, REDIS_BULK_BYTES_MAX)? {
                None => Value::Nil,
                Some(bytes) => Value::BulkString(bulk(from, bytes).await?),
            },
            b'*' => match size(rest, REDIS_REPLY_ITEMS_MAX)? {
                None => Value::Nil,
                Some(0) => Value::Array(Vec::new()),
                Some(left) => {
                    if open.len() >= REDIS_REPLY_DEPTH_MAX {
                        return Err(garbage("an answer that is nested too deep"));
                    }
                    open.push(Open {
                        left,
                        items: Vec::with_capacity(left.min(1_024)),
                    });
                    continue;
                }
            },
            _ => return Err(garbage("something that is no answer")),
        };
        items += 1;
        if items > REDIS_REPLY_ITEMS_MAX {
            return Err(garbage("an answer of too many parts"));
        }
        // A part that completes its array completes the array around it, and so on.
        loop {
            let Some(top) = open.last_mut() else {
                return Ok(Reply::Value(value));
            };
            top.items.push(value);
            top.left -= 1;
            if top.left > 0 {
                break;
            }
            let whole = open.pop().map(|open| open.items).unwrap_or_default();
            value = Value::Array(whole);
        }
    }
}

/// A command as servers read it, appended to `to`.
pub(super) fn pack<P: AsRef<[u8]>>(to: &mut Vec<u8>, parts: &[P]) {
    to.extend_from_slice(format!("*{}\r\n", parts.len()).as_bytes());
    for part in parts {
        let part = part.as_ref();
        to.extend_from_slice(format!("${}\r\n", part.len()).as_bytes());
        to.extend_from_slice(part);
        to.extend_from_slice(b"\r\n");
    }
}

async fn line<R: AsyncBufRead + Unpin>(from: &mut R) -> Result<Vec<u8>> {
    let mut line = Vec::new();
    from.take(LINE_BYTES_MAX).read_until(b'\n', &mut line).await?;
    if line.is_empty() {
        return Err(Error::new(
            ErrorKind::UnexpectedEof,
            "the server closed the connection",
        ));
    }
    if !line.ends_with(b"\r\n") {
        return Err(garbage("a line without its end"));
    }
    line.truncate(line.len() - 2);
    Ok(line)
}

async fn bulk<R: AsyncBufRead + Unpin>(from: &mut R, bytes: usize) -> Result<Vec<u8>> {
    let mut bulk = vec![0; bytes];
    from.read_exact(&mut bulk).await?;
    let mut end = [0; 2];
    from.read_exact(&mut end).await?;
    if end != *b"\r\n" {
        return Err(garbage("a text without its end"));
    }
    Ok(bulk)
}

fn number(digits: &[u8]) -> Result<i64> {
    std::str::from_utf8(digits)
        .ok()
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| garbage("a number that is none"))
}

/// A length, or `None` for -1, which means nil.
fn size(digits: &[u8], max: usize) -> Result<Option<usize>> {
    match number(digits)? {
        -1 => Ok(None),
        n => match usize::try_from(n) {
            Ok(n) if n <= max => Ok(Some(n)),
            _ => Err(garbage("an answer that is too large")),
        },
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn garbage(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, format!("the server sent {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read_all(mut bytes: &[u8]) -> Result<Reply> {
        let reply = read(&mut bytes).await?;
        assert!(bytes.is_empty(), "read to the end and no further");
        Ok(reply)
    }

    #[tokio::test]
    async fn every_kind_of_answer_is_read() {
        let bulk = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        for (wire, value) in [
            ("+OK\r\n", Value::Okay),
            ("+PONG\r\n", Value::SimpleString("PONG".into())),
            (":-7\r\n", Value::Int(-7)),
            ("$-1\r\n", Value::Nil),
            ("$0\r\n\r\n", bulk("")),
            ("$4\r\na\r\nb\r\n", bulk("a\r\nb")),
            ("*0\r\n", Value::Array(vec![])),
            (
                "*3\r\n*2\r\n:1\r\n*0\r\n$1\r\nx\r\n*1\r\n*1\r\n:2\r\n",
                Value::Array(vec![
                    Value::Array(vec![Value::Int(1), Value::Array(vec![])]),
                    bulk("x"),
                    Value::Array(vec![Value::Array(vec![Value::Int(2)])]),
                ]),
            ),
        ] {
            assert_eq!(
                read_all(wire.as_bytes()).await.unwrap(),
                Reply::Value(value),
                "{wire:?}"
            );
        }
        let moved = Reply::Refused {
            code: "MOVED".into(),
            detail: "3999 127.0.0.1:6381".into(),
        };
        assert_eq!(read_all(b"-MOVED 3999 127.0.0.1:6381\r\n").await.unwrap(), moved);
    }

    #[tokio::test]
    async fn what_is_no_answer_is_refused_without_being_kept() {
        let deep = "*1\r\n".repeat(REDIS_REPLY_DEPTH_MAX + 1) + ":1\r\n";
        for wire in [
            "",
            "HTTP/1.1 200 OK\r\n",
            "\r\n",
            "+cut",
            ":x\r\n",
            "$5\r\nab\r\n",
            "$2\r\nabXX",
            "$-2\r\n",
            "$99999999999\r\n",
            "*99999999999\r\n",
            "*1\r\n-ERR inside\r\n",
            &deep,
        ] {
            assert!(read_all(wire.as_bytes()).await.is_err(), "{wire:?}");
        }
    }

    #[tokio::test]
    async fn what_is_packed_is_read_back() {
        let mut wire = Vec::new();
        pack(&mut wire, &["SET", "a b", "\r\n"]);
        let words = ["SET", "a b", "\r\n"].map(|word| Value::BulkString(word.as_bytes().to_vec()));
        assert_eq!(
            read_all(&wire).await.unwrap(),
            Reply::Value(Value::Array(words.to_vec()))
        );
    }
}
