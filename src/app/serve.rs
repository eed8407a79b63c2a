//! A server from a configuration: store, content, sources, node, surface. Starts in that order and stops in
//! the reverse one.

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use super::{Node, Parts, content};
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, Machine, StoreUrl};
use crate::diagnostic::Diagnostic;
use crate::intake::Content;
use crate::server::{self, Services};
use crate::store::Store;
use crate::store::memory::MemoryStore;
use crate::store::redis::{self, Address};
use crate::store::sqlite::{Options, SqliteStore};
use crate::telemetry::Telemetry;

/// What the command line says differently from the configuration.
#[derive(Clone, Debug, Default)]
pub struct ServeOptions {
    /// Where to listen instead.
    pub listen: Option<SocketAddr>,
    /// Where to keep things instead.
    pub store: Option<StoreUrl>,
}

/// A server that is up.
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    /// Token of the principal `admin`, made now because there was none.
    pub first_token: Option<String>,
    /// Everything durable.
    pub store: Arc<dyn Store>,
    /// Says why, when the store can no longer be trusted.
    pub fatal: watch::Receiver<Option<String>>,
    content: Arc<Content>,
    handle: crate::run::Handle,
    node: Node,
    surface: JoinHandle<std::io::Result<()>>,
    shut: oneshot::Sender<()>,
}

impl Server {
    /// Starts one. Work left by an earlier process is taken up at once.
    pub async fn start(config: &Config, options: &ServeOptions) -> anyhow::Result<Server> {
        let stock = content::load(config).map_err(mistakes)?;
        let connectors = stock.connectors.clone();
        let resolved = config
            .resolve(&connectors, &Machine { run_commands: true })
            .map_err(mistakes)?;
        let url = options.store.as_ref().unwrap_or(&config.store);
        let Opened {
            store,
            clock,
            key,
            node: name,
            fatal,
        } = open(url, config).await?;
        super::copies::may_be_served(&*store).await?;
        let first = server::bootstrap(&*store, &*clock)
            .await
            .context("failed to make the first principal")?;
        let again = config.clone();
        let content = Content::new(stock, clock.now(), Box::new(move || content::load(&again)));
        // Before the node works: an address that is taken must not leave effects under way behind.
        let listen = options.listen.unwrap_or(config.listen);
        let listener = TcpListener::bind(listen).await.with_context(|| {
            format!("failed to listen on {listen}: is another server there? `--listen` names another address")
        })?;
        let address = listener.local_addr()?;
        let mut node = Node::start(Parts {
            store: store.clone(),
            clock,
            key,
            connectors,
            instances: Arc::new(resolved.instances),
            policy: Arc::new(config.policy.clone()),
            profiles: Arc::new(resolved.profiles),
            content: Arc::new(content),
            notify: Arc::new(resolved.notify),
            name,
            keep: config.retention,
        })
        .await?;
        match node.notify.plan.at_start() {
            (text, true) => tracing::warn!("{text}"),
            (text, false) => tracing::info!("{text}"),
        }
        node.watch_content(config);
        let version = env!("CARGO_PKG_VERSION");
        let telemetry = Arc::new(Telemetry::new(version));
        node.count(telemetry.clone());
        let services = Arc::new(Services {
            gate: node.gate.clone(),
            pipeline: node.pipeline.clone(),
            handle: node.handle.clone(),
            content: node.content.clone(),
            halt: node.halt.clone(),
            telemetry,
            notify: node.notify.clone(),
            upkeep: node.upkeep.clone(),
            version,
        });
        let (shut, told) = oneshot::channel::<()>();
        let surface = tokio::spawn(server::serve(listener, services, async {
            // A dropped sender means the same as a word.
            let _ = told.await;
        }));
        let first_token = first.map(|(_, token)| token);
        Ok(Server {
            address,
            first_token,
            store,
            fatal,
            content: node.content.clone(),
            handle: node.handle.clone(),
            node,
            surface,
            shut,
        })
    }

    /// Stops in an orderly way: requests that have come are answered, effects under way finished and recorded.
    pub async fn stop(self) -> anyhow::Result<()> {
        let _ = self.shut.send(());
        let surface = self.surface.await;
        self.node.stop().await;
        Ok(surface??)
    }
}

/// Serves until it is told to stop.
///
/// # Errors
/// What kept it from starting, or why the store can no longer be trusted.
pub async fn serve(config: Config, options: ServeOptions) -> anyhow::Result<()> {
    // Heard from before anybody is told that it listens: a stop that comes right then is an orderly one too.
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let mut again = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup())?;
    let mut server = Server::start(&config, &options).await?;
    if let Some(token) = &server.first_token {
        eprintln!("made the principal `admin`; this token is shown once:\n\n  export CORDON_TOKEN={token}\n");
    }
    eprintln!("listening on http://{}", server.address);
    let broken = loop {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => break None,
            _ = terminate.recv() => break None,
            Some(()) = again.recv() => {
                content::reload(server.content.clone(), server.handle.clone(), "a hang-up signal came").await;
            }
            fatal = server.fatal.wait_for(Option::is_some) => break fatal.ok().and_then(|why| why.clone()),
        }
    };
    if let Some(why) = broken {
        // What was not written cannot be written now: leave, and let the next start find out what happened.
        bail!("the store can no longer be trusted: {why}");
    }
    eprintln!("stopping: no new work, effects under way are finished and recorded");
    server.stop().await
}

pub(super) struct Opened {
    pub(super) store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    /// What this node is called among others.
    node: Option<String>,
    key: [u8; 32],
    fatal: watch::Receiver<Option<String>>,
}

pub(super) async fn open(url: &StoreUrl, config: &Config) -> anyhow::Result<Opened> {
    match url {
        StoreUrl::Memory => {
            let mut key = [0; 32];
            getrandom::fill(&mut key).map_err(|error| anyhow!("failed to draw random bytes: {error}"))?;
            let (never, fatal) = watch::channel(None);
            // Kept alive for as long as the process: an in-memory store has nothing to tell.
            std::mem::forget(never);
            Ok(Opened {
                store: Arc::new(MemoryStore::new()),
                clock: Arc::new(SystemClock),
                node: None,
                key,
                fatal,
            })
        }
        StoreUrl::Redis(address) => shared(address, config).await,
        StoreUrl::Sqlite(path) => {
            let folder = path
                .parent()
                .filter(|dir| !dir.as_os_str().is_empty())
                .unwrap_or(Path::new("."));
            fs::create_dir_all(folder).with_context(|| format!("failed to make `{}`", folder.display()))?;
            let store = SqliteStore::open(path, Options::default())
                .with_context(|| format!("failed to open the store `{}`", path.display()))?;
            let fatal = store.fatal();
            Ok(Opened {
                store: Arc::new(store),
                clock: Arc::new(SystemClock),
                node: None,
                key: sealing_key(&path.with_extension("key"))?,
                fatal,
            })
        }
    }
}

/// A store that other nodes share: the clock is the servers', the key is the configuration's.
async fn shared(address: &Address, config: &Config) -> anyhow::Result<Opened> {
    let settings = &config.store_settings;
    let secrets = settings.secrets(&Machine { run_commands: true })?;
    let node = settings.node.clone().map_or_else(machine_name, Ok)?;
    let witness = settings.witness.clone();
    let options = redis::Options {
        address: address.clone(),
        password: secrets.password,
        sentinel_password: secrets.sentinel_password,
        ca: secrets.ca,
        promise: settings.promise.clone(),
        node: node.clone(),
        witness: Some(witness.unwrap_or_else(|| config.beside("cordon-data/witness"))),
    };
    let store = redis::RedisStore::open(options)
        .await
        .with_context(|| format!("failed to open the store {address}"))?;
    tracing::info!("this node is `{node}`");
    let (never, fatal) = watch::channel(None);
    // Kept alive for as long as the process: servers that fail are waited for, and others take over.
    std::mem::forget(never);
    Ok(Opened {
        clock: store.clock(),
        store: Arc::new(store),
        node: Some(node),
        key: secrets.key,
        fatal,
    })
}

/// What the machine is called, as a name of a node.
fn machine_name() -> anyhow::Result<String> {
    let name =
        fs::read_to_string("/proc/sys/kernel/hostname").context("failed to read the machine's name")?;
    let name: String = name
        .trim()
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .take(60)
        .collect();
    match name.chars().next() {
        Some(first) if first.is_ascii_lowercase() => Ok(name),
        // A name begins with a letter.
        Some(_) => Ok(format!("n-{name}")),
        None => bail!("the machine has no name: write one in `[store] node`"),
    }
}

/// The key beside the store, made at the first start. Without it, sealed secrets do not open.
fn sealing_key(path: &Path) -> anyhow::Result<[u8; 32]> {
    match fs::read(path) {
        Ok(bytes) => <[u8; 32]>::try_from(bytes.as_slice()).map_err(|_| {
            anyhow!(
                "`{}` is not a key of 32 bytes: restore it from a backup",
                path.display()
            )
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let mut key = [0; 32];
            getrandom::fill(&mut key).map_err(|error| anyhow!("failed to draw random bytes: {error}"))?;
            // Written beside and renamed, so that a crash leaves a whole key or none.
            let beside = path.with_extension("key.new");
            let mut file = fs::OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&beside)
                .with_context(|| format!("failed to write `{}`", beside.display()))?;
            file.write_all(&key)?;
            file.sync_all()?;
            fs::rename(&beside, path).with_context(|| format!("failed to write `{}`", path.display()))?;
            Ok(key)
        }
        Err(error) => Err(error).with_context(|| format!("failed to read `{}`", path.display())),
    }
}

/// Every mistake in content, rendered, as one error.
fn mistakes(found: Vec<Diagnostic>) -> anyhow::Error {
    let texts: Vec<String> = found.iter().map(|mistake| mistake.render(false)).collect();
    anyhow!("{}", texts.join("\n\n"))
}
