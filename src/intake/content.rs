//! What alerts are matched against and runs begin with: triggers, bundles, the scripts of sources. Loaded as a whole
//! and swapped as a whole; what does not load leaves the last that did in its place, and says so. A run under way
//! keeps the bundle it began with, whatever is loaded meanwhile.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use serde::Serialize;

use super::profile::{Normaliser, Profile};
use crate::clock::Time;
use crate::connector;
use crate::diagnostic::{Diagnostic, Severity};
use crate::digest::Digest;
use crate::playbook::{self, Bundle};
use crate::run::{Builtins, Handle};
use crate::trigger::Index;

/// Everything that was loaded at one moment.
pub struct Stock {
    /// The connectors.
    pub connectors: Arc<connector::Catalog>,
    /// The triggers.
    pub index: Index,
    /// Bundles by playbook id.
    pub bundles: BTreeMap<String, Bundle>,
    /// Playbooks as they are written, triggers too.
    pub written: Vec<Digest>,
}

impl Stock {
    /// The content of these connectors and playbooks.
    pub fn new(connectors: Arc<connector::Catalog>, playbooks: &playbook::Catalog) -> Stock {
        Stock {
            connectors,
            index: playbooks.index(),
            written: playbooks.all().map(|one| one.written).collect(),
            bundles: playbooks
                .all()
                .map(|one| (one.manifest.id.clone(), one.bundle.clone()))
                .collect(),
        }
    }

    /// A source as it reads alerts now: its configuration, with the connector's script of this moment.
    pub fn fresh<'a>(&self, profile: &'a Profile) -> Cow<'a, Profile> {
        let script = self
            .connectors
            .connector(&profile.connector)
            .and_then(|connector| connector.source.as_ref());
        match (&profile.normaliser, script) {
            (Normaliser::Script(known), Some(now)) if known.digest() != now.digest() => {
                let mut profile = profile.clone();
                profile.normaliser = Normaliser::Script(now.clone());
                Cow::Owned(profile)
            }
            _ => Cow::Borrowed(profile),
        }
    }

    /// Changes whenever a connector, playbook or trigger does.
    fn digest(&self) -> Digest {
        let bundles = self.bundles.values().map(|bundle| bundle.digest.to_string());
        let written = self.written.iter().map(Digest::to_string);
        let connectors = self
            .connectors
            .connectors()
            .map(|connector| connector.digest.to_string());
        Digest::of_parts(&bundles.chain(connectors).chain(written).collect::<Vec<_>>())
    }
}

/// Reads everything from where it is.
pub type Loader = Box<dyn Fn() -> Result<Stock, Vec<Diagnostic>> + Send + Sync>;

/// How the content stands.
#[derive(Clone, Debug, Serialize)]
pub struct Standing {
    /// Of everything that is in use.
    pub digest: Digest,
    /// When it was loaded.
    pub loaded_at: Time,
    /// How often other content took its place since the process began.
    pub reloads: u64,
    /// What was refused since, and why; none when what is in use is the newest.
    pub refused: Option<Refused>,
}

/// Content that was not taken.
#[derive(Clone, Debug, Serialize)]
pub struct Refused {
    /// When.
    pub at: Time,
    /// How many errors it has.
    pub errors: usize,
    /// The errors, as a person reads them; the first twenty (`TOLD_MAX`).
    pub told: Vec<String>,
}

/// Errors told of content that was refused.
const TOLD_MAX: usize = 20;

/// What a reload came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Reloaded {
    /// Everything is as it was.
    Same,
    /// New content is in use.
    Changed,
    /// It has errors; what was in use stays in use.
    Refused(Vec<Diagnostic>),
}

/// The content in use.
pub struct Content {
    stock: RwLock<Arc<Stock>>,
    standing: Mutex<Standing>,
    /// Also keeps two reloads apart.
    loader: Mutex<Option<Loader>>,
}

impl Content {
    /// Content that stays as it is: for tests, and where there are no folders.
    pub fn fixed(stock: Stock) -> Content {
        Content::of(stock, Time(0), None)
    }

    /// Content that is in use now and can be loaded again.
    pub fn new(stock: Stock, now: Time, loader: Loader) -> Content {
        Content::of(stock, now, Some(loader))
    }

    fn of(stock: Stock, now: Time, loader: Option<Loader>) -> Content {
        let standing = Standing {
            digest: stock.digest(),
            loaded_at: now,
            reloads: 0,
            refused: None,
        };
        Content {
            stock: RwLock::new(Arc::new(stock)),
            standing: Mutex::new(standing),
            loader: Mutex::new(loader),
        }
    }

    /// What is in use at this moment. Whoever works on one thing asks once.
    pub fn now(&self) -> Arc<Stock> {
        // Only ever replaced as a whole, so a panic elsewhere leaves it whole.
        self.stock.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How it stands.
    pub fn standing(&self) -> Standing {
        self.standing
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Loads everything again, and uses it from now on where it has no errors. Reads folders and compiles, so it is
    /// not for a thread that serves others.
    pub fn reload(&self, handle: &Handle) -> Reloaded {
        let loader = self.loader.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(load) = loader.as_ref() else {
            return Reloaded::Same;
        };
        let loaded = load();
        let now = handle.context().clock.now();
        let mut standing = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        let stock = match loaded {
            Ok(stock) => stock,
            Err(mut found) => {
                found.retain(|one| one.severity == Severity::Error);
                let told = found.iter().take(TOLD_MAX).map(|one| one.render(false));
                standing.refused = Some(Refused {
                    at: now,
                    errors: found.len(),
                    told: told.collect(),
                });
                return Reloaded::Refused(found);
            }
        };
        standing.refused = None;
        let digest = stock.digest();
        if digest == standing.digest {
            return Reloaded::Same;
        }
        handle.replace_builtins(Builtins {
            revert: playbook::revert(&stock.connectors),
            act: playbook::act(&stock.connectors),
        });
        handle.context().offer(Arc::new(stock.bundles.clone()));
        *self.stock.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(stock);
        standing.digest = digest;
        standing.loaded_at = now;
        standing.reloads += 1;
        Reloaded::Changed
    }
}
