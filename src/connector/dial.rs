//! Connections of the transports that are not reqwest's: to an address that was judged, with TLS that trusts the
//! machine's root certificates and the instance's own.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use url::{Host, Url};

use super::client::Broken;
use super::egress::{Names, NoAddress, addresses, host_of};
use super::tls::{Ca, certificates};
use crate::digest::Digest;
use crate::limits::VENDOR_CONNECT_MS;

/// Makes connections.
#[derive(Default)]
pub(super) struct Dialer {
    names: Names,
    /// True where there is no network: nothing is looked up or connected to.
    offline: bool,
    /// What TLS trusts, by the certificates an instance adds; made once, because the machine's are many.
    trusting: Mutex<BTreeMap<Option<Digest>, Arc<ClientConfig>>>,
}

impl Dialer {
    /// Connections to names that are looked up there.
    pub(super) fn looking_up(names: Names) -> Dialer {
        Dialer {
            names,
            ..Dialer::default()
        }
    }

    /// No connection at all, for cases that play the vendor.
    pub(super) fn offline() -> Dialer {
        Dialer {
            offline: true,
            ..Dialer::default()
        }
    }

    /// The TLS of an instance.
    pub(super) fn tls(&self, ca: Option<&Ca>) -> Result<Arc<ClientConfig>, Broken> {
        let mut made = self.trusting.lock().unwrap_or_else(PoisonError::into_inner);
        let key = ca.map(Ca::digest);
        if let Some(config) = made.get(&key) {
            return Ok(config.clone());
        }
        let config = client_config(ca)?;
        made.insert(key, config.clone());
        Ok(config)
    }

    /// Connects to a server an operator named. The name is looked up once, and what was judged is connected to.
    pub(super) async fn connect(&self, url: &Url, port: u16) -> Result<TcpStream, Broken> {
        if self.offline {
            return Err(unreachable(
                "there is no network here, and cases play HTTP alone".into(),
            ));
        }
        let found = addresses(&self.names, url, port)
            .await
            .map_err(|none| match none {
                NoAddress::Unknown => unreachable("the host's name does not resolve".into()),
                NoAddress::Refused(refused) => Broken {
                    code: "egress-refused",
                    message: refused.0,
                },
            })?;
        let wait = Duration::from_millis(VENDOR_CONNECT_MS);
        let connecting = TcpStream::connect(found.as_slice());
        match tokio::time::timeout(wait, connecting).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(_)) => Err(unreachable("the host cannot be connected to".into())),
            Err(_) => Err(unreachable(
                "the host did not answer in time when connecting".into(),
            )),
        }
    }
}

fn client_config(ca: Option<&Ca>) -> Result<Arc<ClientConfig>, Broken> {
    let mut roots = RootCertStore::empty();
    // Certificates of the machine that cannot be read are skipped, as every client of the machine does.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(ca) = ca {
        let own = certificates(ca.pem()).map_err(|why| unreachable(format!("the file `ca`: {why}")))?;
        roots.add_parsable_certificates(own);
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| unreachable(format!("TLS cannot be set up: {error}")))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// TLS over a connection, from here on.
pub(super) async fn handshake(
    url: &Url,
    stream: TcpStream,
    config: Arc<ClientConfig>,
) -> Result<TlsStream<TcpStream>, Broken> {
    let name = server_name(url)?;
    let wait = Duration::from_millis(VENDOR_CONNECT_MS);
    match tokio::time::timeout(wait, TlsConnector::from(config).connect(name, stream)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(unreachable(format!("no TLS with the host: {error}"))),
        Err(_) => Err(unreachable("the host did not finish TLS in time".into())),
    }
}

/// The name its certificate has to carry.
fn server_name(url: &Url) -> Result<ServerName<'static>, Broken> {
    match host_of(url) {
        Some(Host::Domain(host)) => {
            ServerName::try_from(host).map_err(|_| unreachable("the host is no name for TLS".into()))
        }
        Some(Host::Ipv4(ip)) => Ok(ServerName::IpAddress(IpAddr::V4(ip).into())),
        Some(Host::Ipv6(ip)) => Ok(ServerName::IpAddress(IpAddr::V6(ip).into())),
        None => Err(unreachable("the instance names no host".into())),
    }
}

pub(super) fn unreachable(message: String) -> Broken {
    Broken {
        code: "unreachable",
        message,
    }
}
