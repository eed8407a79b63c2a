//! One connection to one server. Sends what it is given and reads as many answers; after any failure it is good for
//! nothing and has to be thrown away. Never repeats anything by itself.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use redis::Value;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, BufStream};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::address::Server;
use super::reply::{self, Reply};
use crate::limits::{REDIS_CONNECT_MS, REDIS_REPLY_MS};
use crate::secret::Secret;

/// Room for what is on its way, bytes each way.
const BUFFER_BYTES: usize = 32 << 10;

/// Why a connection could not be made or is good for nothing any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Broken {
    /// In words, the server named.
    pub(super) why: String,
}

/// Who we are to a server.
#[derive(Clone, Default)]
pub(super) struct Account {
    /// `None` is the server's default user.
    pub(super) user: Option<String>,
    /// `None` where the server asks for none.
    pub(super) password: Option<Secret>,
}

/// Makes connections.
pub(super) struct Dialer {
    tls: Option<Arc<ClientConfig>>,
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send + Sync {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + Sync> Stream for T {}

/// One connection.
pub(super) struct Wire {
    server: Server,
    stream: BufStream<Box<dyn Stream>>,
}

impl Dialer {
    /// Connections without TLS.
    pub(super) fn plain() -> Dialer {
        Dialer { tls: None }
    }

    /// Connections with TLS, which trusts the machine's root certificates and those of `ca` (PEM).
    ///
    /// # Errors
    /// Why the certificates cannot be used.
    pub(super) fn with_tls(ca: Option<&str>) -> Result<Dialer, String> {
        let mut roots = RootCertStore::empty();
        // Certificates of the machine that cannot be read are skipped, as every client of the machine does.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if let Some(pem) = ca {
            let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
            let own = read.map_err(|error| format!("it is not PEM: {error}"))?;
            if own.is_empty() {
                return Err("it holds no certificate".to_owned());
            }
            for certificate in own {
                roots
                    .add(certificate)
                    .map_err(|error| format!("a certificate in it cannot be a root: {error}"))?;
            }
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("TLS cannot be set up: {error}"))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Dialer {
            tls: Some(Arc::new(config)),
        })
    }

    /// A connection that is logged in.
    pub(super) async fn connect(&self, server: &Server, account: &Account) -> Result<Wire, Broken> {
        let limit = Duration::from_millis(REDIS_CONNECT_MS);
        let made = timeout(limit, self.open(server, account)).await;
        made.unwrap_or_else(|_| {
            Err(Broken {
                why: format!("{server} did not answer within {REDIS_CONNECT_MS} ms when connecting"),
            })
        })
    }

    async fn open(&self, server: &Server, account: &Account) -> Result<Wire, Broken> {
        let broken = |why: String| Broken { why };
        let tcp = TcpStream::connect((server.host.as_str(), server.port))
            .await
            .map_err(|error| broken(format!("{server} cannot be connected to: {error}")))?;
        // Small batches must not wait for the one before to be confirmed.
        tcp.set_nodelay(true)
            .map_err(|error| broken(format!("{server}: {error}")))?;
        let stream: Box<dyn Stream> = match &self.tls {
            None => Box::new(tcp),
            Some(config) => {
                let name = ServerName::try_from(server.host.clone())
                    .map_err(|_| broken(format!("{server} has no name for TLS")))?;
                let tls = TlsConnector::from(config.clone()).connect(name, tcp).await;
                Box::new(tls.map_err(|error| broken(format!("no TLS with {server}: {error}")))?)
            }
        };
        let mut wire = Wire {
            server: server.clone(),
            stream: BufStream::with_capacity(BUFFER_BYTES, BUFFER_BYTES, stream),
        };
        if let Some(password) = &account.password {
            let mut auth: Vec<&[u8]> = vec![b"AUTH"];
            auth.extend(account.user.as_deref().map(str::as_bytes));
            auth.push(password.expose().as_bytes());
            if let Reply::Refused { code, .. } = wire.ask(&auth).await? {
                // The rest of the answer is not shown: nobody can say what a server puts there.
                return Err(broken(format!("{server} refuses user and password ({code})")));
            }
        }
        Ok(wire)
    }
}

impl Wire {
    /// The other end.
    pub(super) fn server(&self) -> &Server {
        &self.server
    }

    /// Sends commands that are packed and reads `replies` answers, within `limit`.
    pub(super) async fn exchange(
        &mut self,
        packed: &[u8],
        replies: usize,
        limit: Duration,
    ) -> Result<Vec<Reply>, Broken> {
        let talk = async {
            self.stream.write_all(packed).await?;
            self.stream.flush().await?;
            let mut read = Vec::with_capacity(replies);
            for _ in 0..replies {
                read.push(reply::read(&mut self.stream).await?);
            }
            io::Result::Ok(read)
        };
        match timeout(limit, talk).await {
            Ok(Ok(read)) => Ok(read),
            Ok(Err(error)) => Err(Broken {
                why: format!("the connection to {} broke: {error}", self.server),
            }),
            Err(_) => Err(Broken {
                why: format!("{} did not answer within {} ms", self.server, limit.as_millis()),
            }),
        }
    }

    /// One command, one answer.
    pub(super) async fn ask<P: AsRef<[u8]>>(&mut self, parts: &[P]) -> Result<Reply, Broken> {
        let mut packed = Vec::new();
        reply::pack(&mut packed, parts);
        let limit = Duration::from_millis(REDIS_REPLY_MS);
        let mut replies = self.exchange(&packed, 1, limit).await?;
        replies.pop().ok_or_else(|| Broken {
            why: format!("{} answered nothing", self.server),
        })
    }

    /// One command whose answer has to be a value.
    pub(super) async fn value<P: AsRef<[u8]>>(&mut self, parts: &[P]) -> Result<Value, Broken> {
        match self.ask(parts).await? {
            Reply::Value(value) => Ok(value),
            Reply::Refused { code, detail } => {
                let grant = match code.as_str() {
                    "NOPERM" => format!("; {}", super::trouble::GRANT),
                    _ => String::new(),
                };
                let command = parts.first().map(|word| String::from_utf8_lossy(word.as_ref()));
                Err(Broken {
                    why: format!(
                        "{} refuses {}: {code} {detail}{grant}",
                        self.server,
                        command.unwrap_or_default()
                    ),
                })
            }
        }
    }
}

/// Text of a value, where it has one.
pub(super) fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        Value::SimpleString(text) => Some(text.clone()),
        Value::Int(number) => Some(number.to_string()),
        Value::Okay => Some("OK".to_owned()),
        _ => None,
    }
}

/// Members of an array; none of anything else.
pub(super) fn items_of(value: &Value) -> &[Value] {
    match value {
        Value::Array(items) => items,
        _ => &[],
    }
}

/// The value after `name` in a list of names and values, as servers send maps in RESP 2.
pub(super) fn field(pairs: &[Value], name: &str) -> Option<String> {
    pairs.chunks_exact(2).find_map(|pair| match pair {
        [key, value] if text_of(key).as_deref() == Some(name) => text_of(value),
        _ => None,
    })
}
