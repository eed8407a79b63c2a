//! Starting and stopping a range, and carrying requests to its world and answers back. The only file here
//! that sleeps, spawns or sends; it decides nothing.

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, DefaultBodyLimit, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::Response;
use futures_util::stream;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use super::control;
use super::crowdstrike::CrowdStrike;
use super::fault::Fault;
use super::host::{Host, HostChange};
use super::ledger::Ledger;
use super::ledger_file::{LedgerError, LedgerFile};
use super::vendor::{Reply, Request};
use super::wire::{Wire, WireListener, Wires};
use super::world::{ControlError, Delivery, Late, World};
use crate::clock::{Clock, SystemClock};
use crate::secret::Secret;

/// Largest body of one request, bytes: five thousand ids fit.
const BODY_BYTES_MAX: usize = 1 << 20;
/// How long a stopping range waits for answers that are being sent, ms.
const STOP_MS: u64 = 1_000;

/// How long an online host's sensor takes to confirm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settle {
    /// So many readings of details still show the pending status; the next one shows the end. 0: the first
    /// reading already does.
    AfterReads(u32),
    /// The first reading at least so many ms (of the range's clock) after the request shows the end.
    AfterMs(u64),
}

/// How a range is set up. Take [`RangeConfig::default`] and change what matters.
#[derive(Clone)]
pub struct RangeConfig {
    /// Where to listen: loopback only; port 0 takes a free one.
    pub listen: SocketAddr,
    /// File of the effect ledger. State is rebuilt from it; `None` keeps everything in memory.
    pub ledger: Option<PathBuf>,
    /// Hosts there are from the start. A host the ledger already has is left as the ledger says.
    pub seed: Vec<Host>,
    /// Client id and secret the token endpoint accepts.
    pub credentials: (String, Secret),
    /// When pending hosts that are online reach their end state.
    pub settle: Settle,
    /// Whether plain readings and searches are written to the ledger too. They cost an fsync each.
    pub log_reads: bool,
    /// How long a token holds, ms.
    pub token_ms: u64,
    /// Where the present comes from. Pauses of faults are real time all the same.
    pub clock: Arc<dyn Clock>,
}

impl Default for RangeConfig {
    /// A free loopback port, no file, no hosts, `range-client` / `range-secret`, hosts that settle at the
    /// first reading, no reads in the ledger, tokens of 30 minutes, the machine's clock.
    fn default() -> RangeConfig {
        RangeConfig {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            ledger: None,
            seed: Vec::new(),
            credentials: ("range-client".to_owned(), Secret::new("range-secret")),
            settle: Settle::AfterReads(0),
            log_reads: false,
            token_ms: 30 * 60_000,
            clock: Arc::new(SystemClock),
        }
    }
}

/// The range cannot start, or cannot do what it was told.
#[derive(Debug, thiserror::Error)]
pub enum RangeError {
    /// Anyone who reaches a range may change it, so it stays on this machine.
    #[error("`{0}` is not a loopback address; the range listens on 127.0.0.1 or ::1 only")]
    NotLoopback(SocketAddr),
    /// The address cannot be had.
    #[error("cannot listen on `{address}`; choose another port, or 0 for a free one")]
    Bind {
        /// The address asked for.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The ledger cannot be read or written.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A control call that makes no sense; says what to do.
    #[error("{0}")]
    Refused(String),
}

impl From<ControlError> for RangeError {
    fn from(error: ControlError) -> RangeError {
        match error {
            ControlError::Ledger(error) => RangeError::Ledger(error),
            refused => RangeError::Refused(refused.to_string()),
        }
    }
}

/// Runs a range until `shutdown` completes. Where the port is 0 and must be known, use [`Range::start`].
pub async fn serve(config: RangeConfig, shutdown: impl Future<Output = ()>) -> Result<(), RangeError> {
    let range = Range::start(config).await?;
    shutdown.await;
    range.stop().await;
    Ok(())
}

/// Where ranges come from. Ranges share nothing with one another.
pub struct Range;

impl Range {
    /// Rebuilds the state from the ledger file, where there is one, and begins to listen. When this
    /// returns, requests are answered.
    pub async fn start(config: RangeConfig) -> Result<RunningRange, RangeError> {
        if !config.listen.ip().is_loopback() {
            return Err(RangeError::NotLoopback(config.listen));
        }
        let RangeConfig {
            listen,
            ledger,
            seed,
            credentials,
            settle,
            log_reads,
            token_ms,
            clock,
        } = config;
        let durable = ledger.is_some();
        let crowdstrike = CrowdStrike::new(credentials, token_ms, settle);
        // A few blocking writes at start; nothing else runs on this range yet.
        let file = ledger.as_deref().map(LedgerFile::open).transpose()?;
        let world = World::open(clock, log_reads, seed, crowdstrike, file)?;

        let cannot_bind = |source| RangeError::Bind {
            address: listen,
            source,
        };
        let tcp = TcpListener::bind(listen).await.map_err(cannot_bind)?;
        let address = tcp.local_addr().map_err(cannot_bind)?;
        let (stopping, mut stop) = watch::channel(false);
        let shared = Arc::new(Shared {
            world: Mutex::new(world),
            late: Mutex::default(),
            durable,
            stopping,
        });
        let router = Router::new()
            .nest("/_range", control::routes())
            .fallback(vendor_request)
            .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
            .with_state(Arc::clone(&shared));
        let wires = Wires::default();
        let listener = WireListener::new(tcp, wires.clone());
        let server = axum::serve(listener, router.into_make_service_with_connect_info::<Wire>())
            .with_graceful_shutdown(async move {
                // An error means the range is gone, which is a stop too.
                let _ = stop.wait_for(|stopping| *stopping).await;
            });
        // Answers `Ok` after a graceful stop and nothing else, says axum's page.
        let task = tokio::spawn(async move { drop(server.await) });
        Ok(RunningRange {
            address,
            shared,
            wires,
            task: Some(task),
        })
    }
}

/// A range that answers. Dropping it stops it without waiting; [`RunningRange::stop`] waits.
pub struct RunningRange {
    address: SocketAddr,
    shared: Arc<Shared>,
    wires: Wires,
    task: Option<JoinHandle<()>>,
}

impl RunningRange {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://ADDRESS`, without a slash at the end: the connector's `base_url`.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A copy of the effect ledger as it is now, from the last reset on.
    pub fn ledger(&self) -> Ledger {
        self.shared.lock().ledger()
    }

    /// All hosts as they are now, by id. Looking here settles nothing.
    pub fn hosts(&self) -> Vec<Host> {
        self.shared.lock().hosts()
    }

    /// The host with this id, or the only one with this name.
    pub fn host(&self, id_or_name: &str) -> Option<Host> {
        let hosts = self.hosts();
        if let Some(host) = hosts.iter().find(|host| host.device_id == id_or_name) {
            return Some(host.clone());
        }
        let mut named = hosts
            .into_iter()
            .filter(|host| host.hostname.eq_ignore_ascii_case(id_or_name));
        named.next().filter(|_| named.next().is_none())
    }

    /// Scripts a fault, after those that wait already.
    pub fn fault(&self, fault: Fault) -> Result<(), RangeError> {
        Ok(self.shared.lock().add_fault(fault)?)
    }

    /// Faults that still wait: none left proves that all happened.
    pub fn faults(&self) -> Vec<Fault> {
        self.shared.lock().faults()
    }

    /// Forgets the faults that wait.
    pub fn clear_faults(&self) {
        self.shared.lock().clear_faults();
    }

    /// Adds or alters a host; durable when it returns.
    pub async fn set_host(&self, change: HostChange) -> Result<Host, RangeError> {
        Ok(self.shared.with(move |world| world.set_host(change)).await?)
    }

    /// Ends every token that was issued.
    pub async fn expire_tokens(&self) -> Result<(), RangeError> {
        Ok(self.shared.with(World::expire_tokens).await?)
    }

    /// Back to the seed, without faults and late effects. The file keeps its lines.
    pub async fn reset(&self) -> Result<(), RangeError> {
        Ok(self.shared.with(World::reset).await?)
    }

    /// Waits until no late effect is outstanding.
    pub async fn late_effects_done(&self) {
        let waiting = std::mem::take(&mut *self.shared.late());
        waiting.join_all().await;
    }

    /// Stops listening, lets answers that are being sent end for at most a second, cuts what is left, drops
    /// late effects, and gives the ledger file up.
    pub async fn stop(mut self) {
        self.shared.stopping.send_replace(true);
        if let Some(mut task) = self.task.take()
            && tokio::time::timeout(Duration::from_millis(STOP_MS), &mut task)
                .await
                .is_err()
        {
            self.wires.cut_all();
            // A task that panicked has been reported by the runtime; there is nothing left to stop.
            let _ = task.await;
        }
        let mut late = std::mem::take(&mut *self.shared.late());
        late.shutdown().await;
        self.shared.with(World::close).await;
    }
}

impl Drop for RunningRange {
    fn drop(&mut self) {
        self.shared.stopping.send_replace(true);
        self.wires.cut_all();
        self.shared.late().abort_all();
        self.shared.lock().close();
    }
}

/// What requests, late effects and the handle have in common.
pub(super) struct Shared {
    world: Mutex<World>,
    late: Mutex<JoinSet<()>>,
    /// Whether the world writes to disk.
    durable: bool,
    stopping: watch::Sender<bool>,
}

impl Shared {
    /// Runs `work` on the world, off the async threads where it may wait for the disk. Once begun it ends,
    /// even if the caller goes away: a vendor does not take a change back because a client hung up.
    pub(super) async fn with<R, F>(self: &Arc<Self>, work: F) -> R
    where
        R: Send + 'static,
        F: FnOnce(&mut World) -> R + Send + 'static,
    {
        if !self.durable {
            return work(&mut self.lock());
        }
        let shared = Arc::clone(self);
        match tokio::task::spawn_blocking(move || work(&mut shared.lock())).await {
            Ok(done) => done,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime is shutting down and will not poll us again.
                Err(_) => std::future::pending().await,
            },
        }
    }

    fn lock(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn late(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.late.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put_off(self: &Arc<Self>, late: Late, runtime: &Handle) {
        let shared = Arc::clone(self);
        let pause = Duration::from_millis(late.ms);
        let task = async move {
            tokio::time::sleep(pause).await;
            shared.with(move |world| world.handle_late(late)).await;
        };
        self.late().spawn_on(task, runtime);
    }
}

async fn vendor_request(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(wire): ConnectInfo<Wire>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let request = request(&method, &uri, &headers, body);
    let (inner, runtime) = (Arc::clone(&shared), Handle::current());
    let delivery = shared
        .with(move |world| {
            let (delivery, late) = world.handle(request);
            if let Some(late) = late {
                inner.put_off(late, &runtime);
            }
            delivery
        })
        .await;
    match delivery {
        Delivery::Send(reply) => response(reply),
        Delivery::SendAfter(ms, reply) => {
            let mut stop = shared.stopping.subscribe();
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(ms)) => {}
                _ = stop.wait_for(|stopping| *stopping) => wire.cut(),
            }
            response(reply)
        }
        Delivery::SendHalf(reply) => half_a_response(reply),
        Delivery::Cut => {
            wire.cut();
            // Never sent: the wire is cut.
            Response::default()
        }
    }
}

fn request(method: &Method, uri: &Uri, headers: &HeaderMap, body: Bytes) -> Request {
    let text = |name: &str| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned)
    };
    let bearer = text("authorization").and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme
            .eq_ignore_ascii_case("bearer")
            .then(|| token.trim().to_owned())
    });
    Request {
        method: method.as_str().to_owned(),
        path: uri.path().to_owned(),
        query: uri.query().unwrap_or_default().to_owned(),
        bearer,
        idempotency_key: text("idempotency-key"),
        request_id: text("x-request-id"),
        body,
    }
}

fn response(reply: Reply) -> Response {
    let bytes = reply.body.to_string();
    with_body(reply, Body::from(bytes))
}

/// Announces the whole length, sends half, and fails: the server then drops the connection.
fn half_a_response(reply: Reply) -> Response {
    let mut bytes = Bytes::from(reply.body.to_string());
    let length = bytes.len();
    bytes.truncate(length / 2);
    let parts = stream::unfold(Some(bytes), |half| async move {
        if let Some(half) = half {
            return Some((Ok(half), None));
        }
        // One turn of the runtime lets the server flush the half.
        tokio::task::yield_now().await;
        Some((
            Err(std::io::Error::other("the range truncates this answer")),
            None,
        ))
    });
    let mut response = with_body(reply, Body::from_stream(parts));
    response
        .headers_mut()
        .insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    response
}

fn with_body(reply: Reply, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for (name, value) in reply.headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    response
}
