//! Starting a range, the handle on it, and stopping it. Carries no request itself.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::config::{RangeConfig, RangeError};
use super::crowdstrike::CrowdStrike;
use super::fault::Fault;
use super::host::{Host, HostChange};
use super::ledger::Ledger;
use super::ledger_file::LedgerFile;
use super::server::{Shared, router};
use super::wire::{Wire, WireListener, Wires};
use super::world::World;

/// How long a stopping range waits for answers that are being sent, ms.
const STOP_MS: u64 = 1_000;

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
        let shared = Arc::new(Shared::new(world, durable));
        let wires = Wires::default();
        let listener = WireListener::new(tcp, wires.clone());
        let service = router(Arc::clone(&shared)).into_make_service_with_connect_info::<Wire>();
        let server = axum::serve(listener, service).with_graceful_shutdown(shared.stopped());
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
        self.shared.begin_stop();
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
        self.shared.begin_stop();
        self.wires.cut_all();
        self.shared.late().abort_all();
        self.shared.lock().close();
    }
}
