//! `[store]`: where everything durable is, and what a store of many nodes needs to be trusted.

use std::path::{Path, PathBuf};

use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};

use super::read::is_name;
use super::secret_ref::{SecretRef, Secrets};
use super::source::reference;
use crate::page::{Page, Placed, Table};
use crate::secret::Secret;
use crate::store::redis::{Address, Durability, NotAnAddress, Promise};

/// Most replicas a commit may have to reach: a Cluster of a thousand nodes has fewer for one primary.
const REPLICAS_MAX: usize = 16;
/// Longest statement about a managed service, characters: it stands in the log at each start.
const MANAGED_CHARS_MAX: usize = 400;

/// Where everything durable is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreUrl {
    /// `sqlite:PATH`: one file, one node.
    Sqlite(PathBuf),
    /// `redis://…`: servers that many nodes share.
    Redis(Address),
    /// `memory:`: gone when the process ends; for tests and the demo.
    Memory,
}

impl StoreUrl {
    /// Reads a store's address; a relative path is relative to `dir`.
    ///
    /// # Errors
    /// What is wrong with it, and what to write.
    pub fn parse(text: &str, dir: &Path) -> Result<StoreUrl, NotAStore> {
        if text == "memory:" {
            return Ok(StoreUrl::Memory);
        }
        if Address::is_meant(text) {
            return Ok(StoreUrl::Redis(Address::parse(text)?));
        }
        match text.strip_prefix("sqlite:") {
            Some(path) if !path.trim().is_empty() => Ok(StoreUrl::Sqlite(dir.join(path))),
            _ => Err(NotAStore::Unknown(text.to_owned())),
        }
    }
}

/// Not the address of a store this program has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAStore {
    /// Meant for Redis, and not an address of it.
    #[error("this is no address of a store in Redis: {0}")]
    Redis(#[from] NotAnAddress),
    /// Anything else.
    #[error("`{0}` is not a store: write `sqlite:PATH`, `redis://HOST:PORT` or `memory:`")]
    Unknown(String),
}

/// What `[store]` says beside the address. A store that needs none of it leaves it alone.
#[derive(Clone, Debug, Default)]
pub struct StoreSettings {
    /// Where the password is.
    password: Option<SecretRef>,
    /// Where the password of the sentinels is, when they have one.
    sentinel_password: Option<SecretRef>,
    /// Where the key is that seals secrets, the same on every node.
    key: Option<SecretRef>,
    /// Root certificates of the operator's own.
    ca: Option<PathBuf>,
    /// What has to be promised of a write before it counts.
    pub promise: Promise,
    /// Where this node writes down what it was acknowledged; `None` is beside the working folder.
    pub witness: Option<PathBuf>,
    /// What this node is called among the others; `None` is the machine's name.
    pub node: Option<String>,
}

/// Secrets and certificates that `[store]` names.
#[derive(Clone, Debug)]
pub struct StoreSecrets {
    /// Of the servers.
    pub password: Option<Secret>,
    /// Of the sentinels.
    pub sentinel_password: Option<Secret>,
    /// PEM.
    pub ca: Option<String>,
    /// Seals secrets at rest.
    pub key: [u8; 32],
}

/// Why `[store]` cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoStoreSecrets {
    /// There is no usable key.
    #[error(
        "K051: {0}; every node needs the same key: `[store] key = \"env:CORDON_KEY\"` or `key = \"file:PATH\"`, made once \
         with `openssl rand -hex 32`"
    )]
    Key(String),
    /// Something else cannot be read.
    #[error("`[store] {what}`: {why}")]
    Unreadable {
        /// Which.
        what: &'static str,
        /// Why.
        why: String,
    },
}

impl StoreSettings {
    /// Reads what is named.
    ///
    /// # Errors
    /// What cannot be read, and what to do.
    pub fn secrets(&self, from: &dyn Secrets) -> Result<StoreSecrets, NoStoreSecrets> {
        let read = |what: &'static str, place: &Option<SecretRef>| {
            let secret = place.as_ref().map(|place| place.read(from)).transpose();
            secret.map_err(|why| NoStoreSecrets::Unreadable { what, why })
        };
        let ca = self.ca.as_ref().map(|path| from.file(path)).transpose();
        Ok(StoreSecrets {
            password: read("password", &self.password)?,
            sentinel_password: read("sentinel_password", &self.sentinel_password)?,
            ca: ca.map_err(|why| NoStoreSecrets::Unreadable { what: "ca", why })?,
            key: self.key(from)?,
        })
    }

    fn key(&self, from: &dyn Secrets) -> Result<[u8; 32], NoStoreSecrets> {
        let place = self
            .key
            .as_ref()
            .ok_or_else(|| NoStoreSecrets::Key("`[store]` names no `key`".to_owned()))?;
        // The key that a store in SQLite keeps beside itself is 32 bytes as they are.
        if let SecretRef::File(path) = place
            && let Ok(bytes) = std::fs::read(path)
            && let Ok(key) = <[u8; 32]>::try_from(bytes.as_slice())
        {
            return Ok(key);
        }
        let text = place.read(from).map_err(NoStoreSecrets::Key)?;
        let text = text.expose().trim();
        let bytes = HEXLOWER_PERMISSIVE
            .decode(text.as_bytes())
            .or_else(|_| BASE64.decode(text.as_bytes()));
        bytes
            .ok()
            .and_then(|bytes| <[u8; 32]>::try_from(bytes.as_slice()).ok())
            .ok_or_else(|| {
                NoStoreSecrets::Key(
                    "what `key` names is not 32 bytes, as 64 hex digits or in Base64".to_owned(),
                )
            })
    }
}

/// Reads the table.
pub(super) fn read(
    page: &mut Page<'_>,
    mut table: Table<'_, '_>,
    dir: &Path,
) -> (Option<StoreUrl>, StoreSettings) {
    let url = table.text(page, "url").and_then(|url| store_url(page, url, dir));
    let mut secret = |page: &mut Page<'_>, key: &'static str| {
        let text = table.text(page, key)?;
        reference(page, &text.value, text.span, dir).map(|placed| placed.value)
    };
    let mut settings = StoreSettings {
        password: secret(page, "password"),
        sentinel_password: secret(page, "sentinel_password"),
        key: secret(page, "key"),
        ..StoreSettings::default()
    };
    settings.ca = table.text(page, "ca").map(|path| dir.join(path.value));
    settings.witness = table.text(page, "witness").map(|path| dir.join(path.value));
    if let Some(word) = table.text(page, "durability") {
        settings.promise.durability = durability(page, &word);
    }
    if let Some(Placed {
        value: replicas,
        span,
    }) = table.count(page, "replicas")
    {
        match u32::try_from(replicas) {
            Ok(few) if replicas <= REPLICAS_MAX => settings.promise.replicas = Some(few),
            _ => page.mistake(
                "K056",
                span,
                format!("a commit cannot wait for {replicas} replicas"),
                format!("write how many have to have a write before it counts, at most {REPLICAS_MAX}"),
            ),
        }
    }
    if let Some(statement) = table.text(page, "managed") {
        if statement.value.trim().is_empty() || statement.value.chars().count() > MANAGED_CHARS_MAX {
            page.mistake(
                "K056",
                statement.span,
                "`managed` states nothing that could be shown at each start",
                "write in a sentence what the service promises of a write it acknowledged",
            );
        } else {
            settings.promise.managed = Some(statement.value);
        }
    }
    if let Some(node) = table.text(page, "node") {
        if is_name(&node.value) {
            settings.node = Some(node.value);
        } else {
            page.mistake(
                "K056",
                node.span,
                format!("`{}` cannot name a node", node.value),
                "use lower-case letters, digits, `-` and `_`, beginning with a letter",
            );
        }
    }
    if matches!(url, Some(StoreUrl::Redis(_))) && settings.key.is_none() && !table.has("key") {
        page.mistake(
            "K051",
            table.span.clone(),
            "a store in Redis needs a `key`, the same on every node",
            "add `key = \"env:CORDON_KEY\"` or `key = \"file:PATH\"`; `openssl rand -hex 32` makes one",
        );
    }
    table.finish(page);
    (url, settings)
}

fn store_url(page: &mut Page<'_>, url: Placed<String>, dir: &Path) -> Option<StoreUrl> {
    match StoreUrl::parse(&url.value, dir) {
        Ok(url) => Some(url),
        Err(NotAStore::Redis(NotAnAddress::Password)) => {
            page.mistake(
                "K050",
                url.span,
                "a password stands in the address of the store",
                "take it out and name its place: `password = \"env:REDIS_PASSWORD\"`; whoever has seen this file knows \
                 it, so set a new one at the server too",
            );
            None
        }
        Err(NotAStore::Redis(why)) => {
            page.mistake(
                "K050",
                url.span,
                "this is no address of a store in Redis",
                why.to_string(),
            );
            None
        }
        Err(NotAStore::Unknown(_)) => {
            page.mistake(
                "K004",
                url.span,
                format!("`{}` is not a store", url.value),
                "write `sqlite:PATH`, `redis://HOST:PORT`, or `memory:` for a store that is gone when the process ends",
            );
            None
        }
    }
}

fn durability(page: &mut Page<'_>, word: &Placed<String>) -> Durability {
    match word.value.as_str() {
        "strict" => Durability::Strict,
        "relaxed" => Durability::Relaxed,
        _ => {
            page.mistake(
                "K056",
                word.span.clone(),
                format!("`{}` is no durability", word.value),
                "write `strict`, under which nothing acknowledged is lost, or `relaxed`",
            );
            Durability::Strict
        }
    }
}
