//! Starting a range, the handle on it, and stopping it. Carries no request itself.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::aws::{AccessKey, Identity, IdentityKind, StoredSecret};
use super::config::{RangeConfig, RangeError};
use super::crowdstrike::{Host, HostChange};
use super::fault::Fault;
use super::ledger::Ledger;
use super::ledger_file::LedgerFile;
use super::mail::{MailDoor, MailMessage};
use super::okta::{Group, User};
use super::server::{Shared, router};
use super::slack::ChatMessage;
use super::vendors::Vendors;
use super::wire::{Wire, WireListener, Wires};
use super::world::{ControlError, World};

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
        let durable = config.ledger.is_some();
        let vendors = Vendors::new(&config);
        let (tcp, address) = listen(config.listen).await?;
        let (mail, mail_address) = listen(config.mail.listen).await?;
        // A few blocking writes at start; nothing else runs on this range yet.
        let file = config.ledger.as_deref().map(LedgerFile::open).transpose()?;
        let world = World::open(config.clock, config.log_reads, vendors, file)?;
        let shared = Arc::new(Shared::new(world, durable));
        let wires = Wires::default();
        let listener = WireListener::new(tcp, wires.clone());
        let service = router(Arc::clone(&shared)).into_make_service_with_connect_info::<Wire>();
        let server = axum::serve(listener, service).with_graceful_shutdown(shared.stopped());
        // Answers `Ok` after a graceful stop and nothing else, says axum's page.
        let task = tokio::spawn(async move { drop(server.await) });
        let mail_task = tokio::spawn(MailDoor::new(mail, Arc::clone(&shared)).serve());
        Ok(RunningRange {
            address,
            mail_address,
            shared,
            wires,
            tasks: Some((task, mail_task)),
        })
    }
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), RangeError> {
    if !address.ip().is_loopback() {
        return Err(RangeError::NotLoopback(address));
    }
    let cannot_bind = |source| RangeError::Bind { address, source };
    let tcp = TcpListener::bind(address).await.map_err(cannot_bind)?;
    let address = tcp.local_addr().map_err(cannot_bind)?;
    Ok((tcp, address))
}

/// A range that answers. Dropping it stops it without waiting; [`RunningRange::stop`] waits.
pub struct RunningRange {
    address: SocketAddr,
    mail_address: SocketAddr,
    shared: Arc<Shared>,
    wires: Wires,
    tasks: Option<(JoinHandle<()>, JoinHandle<()>)>,
}

impl RunningRange {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://ADDRESS`, without a slash at the end: the `base_url` of every connector that speaks HTTP. Vendors
    /// are told apart by their paths.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// `smtp://ADDRESS` of the mail server, without TLS.
    pub fn mail_url(&self) -> String {
        format!("smtp://{}", self.mail_address)
    }

    /// A copy of the effect ledger as it is now, from the last reset on.
    pub fn ledger(&self) -> Ledger {
        self.shared.lock().ledger()
    }

    /// All hosts as they are now, by id. Looking here settles nothing.
    pub fn hosts(&self) -> Vec<Host> {
        self.shared.lock().vendors().crowdstrike.hosts()
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

    /// Okta's users as they are now, by id.
    pub fn users(&self) -> Vec<User> {
        self.shared.lock().vendors().okta.users()
    }

    /// Okta's user with this id or login.
    pub fn user(&self, id_or_login: &str) -> Option<User> {
        self.shared.lock().vendors().okta.user(id_or_login).cloned()
    }

    /// Okta's group with this id or name.
    pub fn group(&self, id_or_name: &str) -> Option<Group> {
        self.shared.lock().vendors().okta.group(id_or_name).cloned()
    }

    /// AWS's access keys as they are now, by id; those that were deleted too.
    pub fn keys(&self) -> Vec<AccessKey> {
        self.shared.lock().vendors().aws.keys()
    }

    /// The access key with this id.
    pub fn key(&self, id: &str) -> Option<AccessKey> {
        self.keys().into_iter().find(|key| key.id == id)
    }

    /// The secret that belongs to an access key: whoever holds it may sign.
    pub fn secret_of(&self, key_id: &str) -> String {
        self.shared.lock().vendors().aws.secret_of(key_id)
    }

    /// AWS's user or role of this name.
    pub fn identity(&self, kind: IdentityKind, name: &str) -> Option<Identity> {
        self.shared.lock().vendors().aws.identity(kind, name).cloned()
    }

    /// The secrets AWS keeps, by name.
    pub fn secrets(&self) -> Vec<StoredSecret> {
        self.shared.lock().vendors().aws.secrets()
    }

    /// Slack's messages as they stand now, oldest first.
    pub fn messages(&self) -> Vec<ChatMessage> {
        self.shared.lock().vendors().slack.messages()
    }

    /// Mails that were accepted, oldest first.
    pub fn mails(&self) -> Vec<MailMessage> {
        self.shared.lock().vendors().mail.messages()
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

    /// Puts a user there, or in place of the one with its id, as if somebody had done it at Okta.
    pub async fn set_user(&self, user: User) -> Result<(), RangeError> {
        let put = move |world: &mut World| world.put(user.thing());
        Ok(self.shared.with(put).await.map_err(ControlError::from)?)
    }

    /// Puts a group there, or in place of the one with its id.
    pub async fn set_group(&self, group: Group) -> Result<(), RangeError> {
        let put = move |world: &mut World| world.put(group.thing());
        Ok(self.shared.with(put).await.map_err(ControlError::from)?)
    }

    /// Puts an access key there, or in place of the one with its id, as if somebody had done it at AWS.
    pub async fn set_key(&self, key: AccessKey) -> Result<(), RangeError> {
        let put = move |world: &mut World| world.put(key.thing());
        Ok(self.shared.with(put).await.map_err(ControlError::from)?)
    }

    /// Puts a user or role of AWS there, or in place of the one of its kind and name.
    pub async fn set_identity(&self, identity: Identity) -> Result<(), RangeError> {
        let put = move |world: &mut World| world.put(identity.thing());
        Ok(self.shared.with(put).await.map_err(ControlError::from)?)
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
        if let Some((mut task, mail)) = self.tasks.take() {
            let ended = tokio::time::timeout(Duration::from_millis(STOP_MS), &mut task).await;
            // A task that panicked has been reported by the runtime; there is nothing left to stop.
            if ended.is_err() {
                self.wires.cut_all();
                let _ = task.await;
            }
            let _ = mail.await;
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
