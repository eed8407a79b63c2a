//! Carrying requests to the world and answers back: the only file here that pauses, sends or cuts. It
//! decides nothing.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, DefaultBodyLimit, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::Response;
use futures_util::stream;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::control;
use super::vendor::{Door, Reply, Request};
use super::wire::Wire;
use super::world::{Delivery, Late, World};

/// Largest body of one request, bytes: five thousand ids fit.
const BODY_BYTES_MAX: usize = 1 << 20;

/// All paths of a range: its control calls, and the vendors' everywhere else.
pub(super) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .nest("/_range", control::routes())
        .fallback(vendor_request)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(shared)
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
    pub(super) fn new(world: World, durable: bool) -> Shared {
        let stopping = watch::Sender::new(false);
        Shared {
            world: Mutex::new(world),
            late: Mutex::default(),
            durable,
            stopping,
        }
    }

    /// Makes slow answers end and [`Shared::stopped`] complete.
    pub(super) fn begin_stop(&self) {
        self.stopping.send_replace(true);
    }

    /// Completes once the range stops.
    pub(super) fn stopped(&self) -> impl Future<Output = ()> + Send + 'static + use<> {
        let mut stop = self.stopping.subscribe();
        async move {
            // An error means the range is gone, which is a stop too.
            let _ = stop.wait_for(|stopping| *stopping).await;
        }
    }

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

    pub(super) fn lock(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Effects that are still to come.
    pub(super) fn late(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.late.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the world judge a request, and puts off what it puts off.
    pub(super) async fn deliver(self: &Arc<Self>, request: Request, runtime: &Handle) -> Delivery {
        let (inner, runtime) = (Arc::clone(self), runtime.clone());
        self.with(move |world| {
            let (delivery, late) = world.handle(request);
            if let Some(late) = late {
                inner.put_off(late, &runtime);
            }
            delivery
        })
        .await
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
    match shared.deliver(request, &Handle::current()).await {
        Delivery::Send(reply) => response(reply),
        Delivery::SendAfter(ms, reply) => {
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(ms)) => {}
                () = shared.stopped() => wire.cut(),
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
    let headers = headers.iter().filter_map(|(name, value)| {
        let value = value.to_str().ok()?;
        Some((name.as_str().to_owned(), value.to_owned()))
    });
    Request {
        door: Door::Http,
        method: method.as_str().to_owned(),
        path: uri.path().to_owned(),
        query: uri.query().unwrap_or_default().to_owned(),
        headers: headers.collect(),
        body,
    }
}

fn response(reply: Reply) -> Response {
    let bytes = reply.body.text();
    with_body(reply, Body::from(bytes))
}

/// Announces the whole length, sends half, and fails: the server then drops the connection.
fn half_a_response(reply: Reply) -> Response {
    let mut bytes = Bytes::from(reply.body.text());
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
    if let Some(kind) = reply.body.content_type() {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    }
    for (name, value) in reply.headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    response
}
