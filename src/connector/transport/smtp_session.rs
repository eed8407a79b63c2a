//! A conversation with a mail server, up to where it may be given a message: connected to an address that was
//! judged, in TLS from the first byte (`smtps`) or from `STARTTLS` on (`smtp`), and logged in. What a server says
//! before TLS is read by us and thrown away whole, so that nothing slipped in there can be taken for an answer later
//! (CVE-2011-0411 and its kin).

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, AsyncTokioStream};
use lettre::transport::smtp::extension::ClientId;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use url::Url;

use super::super::auth;
use super::super::auth_spec::AuthSpec;
use super::super::client::Broken;
use super::super::dial::{handshake, unreachable};
use super::super::egress::is_loopback;
use super::super::settle::Stop;
use super::attempt::{Attempt, never};
use crate::action::{Request, Retry};
use crate::limits::{SMTP_LINE_BYTES_MAX, SMTP_LINES_MAX};

/// How we greet: an address literal, which needs no name of this machine (RFC 5321 §4.1.4).
fn hello() -> ClientId {
    ClientId::Ipv4(std::net::Ipv4Addr::LOCALHOST)
}

impl Attempt<'_> {
    /// A server that is ready for `MAIL`.
    pub(super) async fn session(&self, url: &Url, line: &mut Request) -> Result<AsyncSmtpConnection, Stop> {
        let implicit = url.scheme() == "smtps";
        let plain = !implicit && self.bound.instance.without_tls && is_loopback(url);
        let port = url.port().unwrap_or(if implicit { 465 } else { 587 });
        let broke = |broken: Broken, line: &mut Request| {
            line.error = Some(broken.message.clone());
            self.not_sent(&broken)
        };
        let stream = self
            .invoker
            .dialer
            .connect(url, port)
            .await
            .map_err(|broken| broke(broken, line))?;
        line.peer = stream.peer_addr().ok().map(|peer| peer.to_string());
        let stream: Box<dyn AsyncTokioStream> = if plain {
            Box::new(stream)
        } else {
            self.encrypted(url, stream, implicit)
                .await
                .map_err(|broken| broke(broken, line))?
        };
        let mut session = AsyncSmtpConnection::connect_with_transport(stream, &hello())
            .await
            .map_err(|error| self.refused_early(&error, line))?;
        if self.bound.connector.manifest.auth == AuthSpec::Basic {
            self.log_in(&mut session, line).await?;
        }
        Ok(session)
    }

    async fn encrypted(
        &self,
        url: &Url,
        mut stream: TcpStream,
        implicit: bool,
    ) -> Result<Box<dyn AsyncTokioStream>, Broken> {
        let config = self.invoker.dialer.tls(self.bound.instance.ca.as_ref())?;
        let peer = stream
            .peer_addr()
            .map_err(|error| unreachable(error.to_string()))?;
        if !implicit {
            start_tls(&mut stream).await?;
        }
        let stream = handshake(url, stream, config).await?;
        Ok(Box::new(Encrypted {
            // After STARTTLS a server does not greet again, and the library waits for a greeting.
            greeting: if implicit { b"" } else { b"220 TLS\r\n" },
            stream,
            peer,
        }))
    }

    async fn log_in(&self, session: &mut AsyncSmtpConnection, line: &mut Request) -> Result<(), Stop> {
        let instance = &self.bound.instance;
        let user = auth::credential(instance, "username").map_err(never)?;
        let word = auth::credential(instance, "password").map_err(never)?;
        let offered = [Mechanism::Plain, Mechanism::Login];
        if session.server_info().get_auth_mechanism(&offered).is_none() {
            let message = "the server offers no way to log in: set it up for AUTH PLAIN, or use another port";
            return Err(never(self.fault("credentials", message)));
        }
        let credentials = Credentials::new(user.expose().to_owned(), word.expose().to_owned());
        match session.auth(&offered, &credentials).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_permanent() => {
                line.status = error.status().map(u16::from);
                Err(never(self.fault(
                    "credentials",
                    "the server does not accept our name and password",
                )))
            }
            Err(error) => Err(self.refused_early(&error, line)),
        }
    }

    /// What comes of a server that says no, or nothing, before it was given a message.
    pub(super) fn refused_early(&self, error: &lettre::transport::smtp::Error, line: &mut Request) -> Stop {
        let status = error.status().map(u16::from);
        line.status = status;
        match status {
            Some(code @ 400..=499) => Stop::NotDone(
                self.fault("vendor-busy", &format!("the server answered {code}: try later")),
                Retry::Backoff,
            ),
            Some(code) => never(self.fault("refused", &format!("the server answered {code}"))),
            None => {
                let message = "the connection broke before the message was sent";
                line.error = Some(message.to_owned());
                self.not_sent(&Broken {
                    code: "connection-lost",
                    message: message.to_owned(),
                })
            }
        }
    }
}

/// Greeting, `EHLO` and `STARTTLS`, each answer read to its end and nothing beyond it.
async fn start_tls(stream: &mut TcpStream) -> Result<(), Broken> {
    let says = |code: &str, lines: &[String]| lines.iter().all(|line| line.starts_with(code));
    let greeting = answer(stream).await?;
    if !says("220", &greeting) {
        return Err(unreachable("the server does not greet".into()));
    }
    let hello = answer_to(stream, &format!("EHLO {}\r\n", hello())).await?;
    let offers = |line: &String| {
        line.get(4..)
            .is_some_and(|word| word.eq_ignore_ascii_case("STARTTLS"))
    };
    if !says("250", &hello) || !hello.iter().any(offers) {
        return Err(Broken {
            code: "unreachable",
            message: "the server offers no STARTTLS, and nothing is sent without TLS".into(),
        });
    }
    let ready = answer_to(stream, "STARTTLS\r\n").await?;
    if !says("220", &ready) {
        return Err(unreachable("the server does not start TLS".into()));
    }
    Ok(())
}

async fn answer_to(stream: &mut TcpStream, command: &str) -> Result<Vec<String>, Broken> {
    stream
        .write_all(command.as_bytes())
        .await
        .map_err(|_| unreachable("the connection broke before TLS".into()))?;
    answer(stream).await
}

/// The lines of one answer. Read byte by byte, so that what comes behind it stays with the TLS that follows, which
/// refuses it.
async fn answer(stream: &mut TcpStream) -> Result<Vec<String>, Broken> {
    let mut lines: Vec<String> = Vec::new();
    while lines.len() < SMTP_LINES_MAX {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            if line.len() > SMTP_LINE_BYTES_MAX {
                return Err(unreachable("the server answers with a line without end".into()));
            }
            let byte = stream.read_u8().await;
            line.push(byte.map_err(|_| unreachable("the connection broke before TLS".into()))?);
        }
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        let last = text.as_bytes().get(3) != Some(&b'-');
        lines.push(text);
        if last {
            return Ok(lines);
        }
    }
    Err(unreachable("the server answers without end".into()))
}

/// A connection in TLS, as the library takes one.
struct Encrypted {
    /// What is still to be read before the server's own bytes.
    greeting: &'static [u8],
    stream: tokio_rustls::client::TlsStream<TcpStream>,
    peer: SocketAddr,
}

impl fmt::Debug for Encrypted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Encrypted({})", self.peer)
    }
}

impl AsyncTokioStream for Encrypted {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.peer)
    }
}

impl AsyncRead for Encrypted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let (now, later) = self
            .greeting
            .split_at(self.greeting.len().min(buffer.remaining()));
        if !now.is_empty() {
            buffer.put_slice(now);
            self.greeting = later;
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Encrypted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
