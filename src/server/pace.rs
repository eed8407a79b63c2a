//! A clock beside each connection: between requests, and while the head of one arrives, it may be quiet or slow
//! for [`REQUEST_READ_MS`](crate::limits::REQUEST_READ_MS) and no longer. Whoever sends a byte a second is cut, however many bytes come. Bodies
//! have their own deadline, where they are read.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::IncomingStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep};

use super::serve::Door;

/// How a connection stands.
pub(super) struct Pace {
    allowed: Duration,
    underway: AtomicUsize,
    /// When it last did what it may take its time after: opened, ended a request, took a part of an answer.
    since: Mutex<Instant>,
}

impl Pace {
    fn new(allowed: Duration) -> Arc<Pace> {
        Arc::new(Pace {
            allowed,
            underway: AtomicUsize::new(0),
            since: Mutex::new(Instant::now()),
        })
    }

    /// A request has come; the clock stands until the answer drops what this gives.
    pub(super) fn begin(self: &Arc<Pace>) -> Underway {
        self.underway.fetch_add(1, Ordering::SeqCst);
        Underway(self.clone())
    }

    fn touch(&self) {
        *self.since.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// When to look next, and whether the connection is over its time if that is past.
    fn deadline(&self) -> (Instant, bool) {
        if self.underway.load(Ordering::SeqCst) > 0 {
            return (Instant::now() + self.allowed, false);
        }
        (
            *self.since.lock().unwrap_or_else(PoisonError::into_inner) + self.allowed,
            true,
        )
    }
}

/// One request on its way to an answer.
pub(super) struct Underway(Arc<Pace>);

impl Drop for Underway {
    fn drop(&mut self) {
        self.0.touch();
        self.0.underway.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Who is at the other end, and the connection's clock.
#[derive(Clone)]
pub(super) struct Peer {
    pub(super) address: SocketAddr,
    pub(super) pace: Arc<Pace>,
}

impl Connected<IncomingStream<'_, Door>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Door>) -> Peer {
        Peer {
            address: *stream.remote_addr(),
            pace: stream.io().pace.clone(),
        }
    }
}

/// A connection with its clock, and its place among those allowed.
pub(super) struct Paced {
    stream: TcpStream,
    pace: Arc<Pace>,
    alarm: Pin<Box<Sleep>>,
    _place: OwnedSemaphorePermit,
}

impl Paced {
    pub(super) fn new(stream: TcpStream, place: OwnedSemaphorePermit, allowed: Duration) -> Paced {
        let alarm = Box::pin(tokio::time::sleep(allowed));
        Paced {
            stream,
            pace: Pace::new(allowed),
            alarm,
            _place: place,
        }
    }

    /// `Ready` when its time is over; else wakes the task when to look again.
    fn over(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        loop {
            let (deadline, counts) = self.pace.deadline();
            if counts && deadline <= Instant::now() {
                return Poll::Ready(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the connection was quiet or slow too long",
                ));
            }
            self.alarm.as_mut().reset(deadline);
            if self.alarm.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

impl AsyncRead for Paced {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Poll::Ready(over) = self.over(context) {
            return Poll::Ready(Err(over));
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Paced {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.stream).poll_write(context, bytes) {
            Poll::Ready(written) => {
                self.pace.touch();
                Poll::Ready(written)
            }
            // A reader that takes nothing of its answer is slow, too.
            Poll::Pending => self.over(context).map(Err),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
