//! Listening: a bounded number of connections, each with a clock, and an orderly end in which every request
//! that has come is still answered.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::serve::Listener;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use super::pace::{Paced, Peer};
use super::router::router_within;
use super::services::Services;
use crate::limits::REQUEST_READ_MS;

/// Connections at once; more wait in the kernel's queue. Each may hold one body of a mebibyte.
const CONNECTIONS_MAX: usize = 1_024;
/// Pause after an accept failed, ms: out of file handles, most likely, and at once would be no better.
const ACCEPT_AGAIN_MS: u64 = 100;

/// Serves until `shutdown` completes, then answers what has come and ends.
pub async fn serve(
    listener: TcpListener,
    services: Arc<Services>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    serve_within(
        listener,
        services,
        shutdown,
        Duration::from_millis(REQUEST_READ_MS),
    )
    .await
}

/// The same with another deadline for slow senders.
pub(super) async fn serve_within(
    listener: TcpListener,
    services: Arc<Services>,
    shutdown: impl Future<Output = ()> + Send + 'static,
    allowed: Duration,
) -> io::Result<()> {
    let door = Door {
        listener,
        places: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
        allowed,
    };
    let service = router_within(services, allowed).into_make_service_with_connect_info::<Peer>();
    axum::serve(door, service).with_graceful_shutdown(shutdown).await
}

/// Where connections come in.
pub(super) struct Door {
    listener: TcpListener,
    places: Arc<Semaphore>,
    allowed: Duration,
}

impl Listener for Door {
    type Io = Paced;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Paced, SocketAddr) {
        loop {
            // The semaphore is never closed; without a place there is nothing to do but to look again.
            let Ok(place) = self.places.clone().acquire_owned().await else {
                tokio::time::sleep(Duration::from_millis(ACCEPT_AGAIN_MS)).await;
                continue;
            };
            match self.listener.accept().await {
                Ok((stream, address)) => {
                    // Answers are small and wanted at once; without this they wait for an acknowledgement.
                    let _ = stream.set_nodelay(true);
                    return (Paced::new(stream, place, self.allowed), address);
                }
                Err(error) => {
                    tracing::warn!("a connection could not be taken, will try again: {error}");
                    tokio::time::sleep(Duration::from_millis(ACCEPT_AGAIN_MS)).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}
