//! Connections that a handler can cut: the only way to lose an answer that was already decided. Wraps the
//! listener and its streams; reads and writes of a cut stream fail, so the HTTP server drops the connection
//! without another byte. Knows nothing of HTTP.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use futures_util::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

/// Handle on one connection.
#[derive(Clone)]
pub(super) struct Wire(Arc<Switch>);

#[derive(Default)]
struct Switch {
    cut: AtomicBool,
    reader: AtomicWaker,
    writer: AtomicWaker,
}

impl Wire {
    /// Ends the connection. What was written before may still arrive; nothing after it does.
    pub(super) fn cut(&self) {
        self.0.cut.store(true, Ordering::SeqCst);
        self.0.reader.wake();
        self.0.writer.wake();
    }

    /// Fails when cut; otherwise the task is woken when it is.
    fn check(&self, waker: &AtomicWaker, context: &Context<'_>) -> io::Result<()> {
        // Registered before looking, so that a cut in between wakes us.
        waker.register(context.waker());
        if self.0.cut.load(Ordering::SeqCst) {
            return Err(io::Error::new(
                io::ErrorKind::ConnectionReset,
                "the range cut this connection",
            ));
        }
        Ok(())
    }
}

impl Connected<IncomingStream<'_, WireListener>> for Wire {
    fn connect_info(stream: IncomingStream<'_, WireListener>) -> Wire {
        stream.io().wire.clone()
    }
}

/// All open connections of a listener.
#[derive(Clone, Default)]
pub(super) struct Wires(Arc<Mutex<Vec<Weak<Switch>>>>);

impl Wires {
    /// Cuts every connection that is open now.
    pub(super) fn cut_all(&self) {
        let switches = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        switches
            .iter()
            .filter_map(Weak::upgrade)
            .for_each(|switch| Wire(switch).cut());
    }

    fn add(&self, wire: &Wire) {
        let mut switches = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        switches.retain(|switch| switch.strong_count() > 0);
        switches.push(Arc::downgrade(&wire.0));
    }
}

/// A TCP listener whose connections can be cut.
pub(super) struct WireListener {
    tcp: TcpListener,
    wires: Wires,
}

impl WireListener {
    pub(super) fn new(tcp: TcpListener, wires: Wires) -> WireListener {
        WireListener { tcp, wires }
    }
}

impl Listener for WireListener {
    type Io = WireStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (WireStream, SocketAddr) {
        // axum's own accept waits and tries again on errors such as too many open files.
        let (tcp, peer) = Listener::accept(&mut self.tcp).await;
        // Delays small answers when it cannot be set; nothing is wrong then.
        let _ = tcp.set_nodelay(true);
        let wire = Wire(Arc::default());
        self.wires.add(&wire);
        (WireStream { tcp, wire }, peer)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }
}

/// A TCP stream that fails once its wire is cut.
pub(super) struct WireStream {
    tcp: TcpStream,
    wire: Wire,
}

impl AsyncRead for WireStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.wire.check(&self.wire.0.reader, context)?;
        Pin::new(&mut self.tcp).poll_read(context, buffer)
    }
}

impl AsyncWrite for WireStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.wire.check(&self.wire.0.writer, context)?;
        Pin::new(&mut self.tcp).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.wire.check(&self.wire.0.writer, context)?;
        Pin::new(&mut self.tcp).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(context)
    }
}
