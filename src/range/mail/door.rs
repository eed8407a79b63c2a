//! The mail server's listener: reads lines, lets a session judge them, asks the world, says its answers. The only
//! file of this vendor that pauses, sends or cuts.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use super::super::server::Shared;
use super::super::vendor::{Door, Reply, Request};
use super::super::world::Delivery;
use super::session::{Ask, Session, Step};

/// Longest line, bytes (RFC 5321 allows 1,000 with its end; an AUTH line may be longer).
const LINE_BYTES_MAX: u64 = 16 << 10;
/// Largest message, bytes.
const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// How long a client may take between two lines, ms.
const IDLE_MS: u64 = 60_000;

/// The listener and its conversations.
pub(in crate::range) struct MailDoor {
    tcp: TcpListener,
    shared: Arc<Shared>,
}

impl MailDoor {
    pub(in crate::range) fn new(tcp: TcpListener, shared: Arc<Shared>) -> MailDoor {
        MailDoor { tcp, shared }
    }

    /// Serves until the range stops; conversations under way are cut then.
    pub(in crate::range) async fn serve(self) {
        let mut talks = JoinSet::new();
        let stopped = self.shared.stopped();
        tokio::pin!(stopped);
        loop {
            tokio::select! {
                () = &mut stopped => break,
                accepted = self.tcp.accept() => match accepted {
                    Ok((stream, _)) => {
                        let shared = Arc::clone(&self.shared);
                        // An error is the client's going away, or ours when a fault cut the line.
                        talks.spawn(async move { drop(talk(stream, &shared).await) });
                    }
                    // Too many open files, mostly: waits for some to close.
                    Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                },
                Some(_) = talks.join_next() => {}
            }
        }
        talks.shutdown().await;
    }
}

async fn talk(stream: TcpStream, shared: &Arc<Shared>) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    let mut session = Session::new();
    let mut message_bytes = 0;
    writer.write_all(b"220 range ESMTP\r\n").await?;
    loop {
        let Some(line) = read_line(&mut reader).await? else {
            return Ok(());
        };
        message_bytes = if session.is_in_message() {
            message_bytes + line.len()
        } else {
            0
        };
        if message_bytes > MESSAGE_BYTES_MAX {
            return writer.write_all(b"552 5.3.4 message too big\r\n").await;
        }
        let said = match session.line(&line) {
            Step::Silent => continue,
            Step::Say(code, text) => format!("{code} {text}\r\n"),
            Step::SayLines(code, lines) => several(code, &lines),
            Step::Quit(code, text) => {
                return writer.write_all(format!("{code} {text}\r\n").as_bytes()).await;
            }
            Step::Ask(ask) => match ask_world(shared, &ask).await {
                Delivery::Send(reply) => heard(&mut session, &ask, &reply),
                Delivery::SendAfter(ms, reply) => {
                    tokio::time::sleep(Duration::from_millis(ms)).await;
                    heard(&mut session, &ask, &reply)
                }
                Delivery::SendHalf(reply) => {
                    let whole = heard(&mut session, &ask, &reply);
                    let half = whole.get(..whole.len() / 2).unwrap_or_default();
                    return writer.write_all(half.as_bytes()).await;
                }
                Delivery::Cut => return Ok(()),
            },
        };
        writer.write_all(said.as_bytes()).await?;
    }
}

/// A line without its end; none when the client is gone or waited too long.
async fn read_line(reader: &mut (impl AsyncBufReadExt + Unpin)) -> io::Result<Option<String>> {
    let mut bytes = Vec::new();
    let mut bounded = reader.take(LINE_BYTES_MAX);
    let read = bounded.read_until(b'\n', &mut bytes);
    let Ok(read) = tokio::time::timeout(Duration::from_millis(IDLE_MS), read).await else {
        return Ok(None);
    };
    if read? == 0 || bytes.pop() != Some(b'\n') {
        return Ok(None);
    }
    if bytes.last() == Some(&b'\r') {
        bytes.pop();
    }
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

async fn ask_world(shared: &Arc<Shared>, ask: &Ask) -> Delivery {
    let (method, path, body) = match ask {
        Ask::Auth { body } => ("AUTH", "", body.as_str()),
        Ask::Recipient(to) => ("RCPT", to.as_str(), ""),
        Ask::Send { body } => ("DATA", "", body.as_str()),
    };
    let request = Request {
        door: Door::Smtp,
        method: method.to_owned(),
        path: path.to_owned(),
        body: Bytes::copy_from_slice(body.as_bytes()),
        ..Request::default()
    };
    shared.deliver(request, &Handle::current()).await
}

fn heard(session: &mut Session, ask: &Ask, reply: &Reply) -> String {
    session.answered(ask, reply.status);
    let text = reply.body.text();
    // A scripted text must not become a second reply.
    let text: String = text.chars().filter(|c| !c.is_control()).collect();
    format!("{} {text}\r\n", reply.status)
}

fn several(code: u16, lines: &[&str]) -> String {
    let last = lines.len().saturating_sub(1);
    let mut out = String::new();
    for (index, line) in lines.iter().enumerate() {
        let mark = if index == last { ' ' } else { '-' };
        out.push_str(&format!("{code}{mark}{line}\r\n"));
    }
    out
}
