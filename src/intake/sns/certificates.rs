//! The certificates in use, each fetched once. Bounded in number, and in how many are asked for within a minute,
//! because whoever knows a topic's name can make up addresses.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;

use super::certificate::Certificate;
use super::place::Place;
use super::verify::NotProven;
use crate::clock::Time;
use crate::connector::{Fetcher, NotFetched};

/// Most certificates kept; a region has one or two at a time.
const KEPT_MAX: usize = 32;
/// How long one is kept before it is looked at again, ms.
const KEPT_MS: u64 = 24 * 3_600_000;
/// Most that are asked for within a minute.
const ASKED_PER_MINUTE_MAX: usize = 10;

/// The certificates.
#[derive(Default)]
pub struct Certificates {
    fetcher: Option<Arc<Fetcher>>,
    known: Mutex<Known>,
    /// One is fetched at a time, so that a burst of messages fetches it once.
    turn: Option<Semaphore>,
}

#[derive(Default)]
struct Known {
    by_address: BTreeMap<String, (Time, Arc<Certificate>)>,
    asked: Vec<Time>,
}

impl Certificates {
    /// Certificates fetched by `fetcher`. Without one ([`Certificates::default`]), only pinned ones are of use.
    pub fn new(fetcher: Arc<Fetcher>) -> Certificates {
        Certificates {
            fetcher: Some(fetcher),
            known: Mutex::default(),
            turn: Some(Semaphore::new(1)),
        }
    }

    pub(super) async fn at(&self, place: &Place, now: Time) -> Result<Arc<Certificate>, NotProven> {
        if let Some(found) = self.known(&place.named, now) {
            return Ok(found);
        }
        let (Some(fetcher), Some(turn)) = (&self.fetcher, &self.turn) else {
            return Err(NotProven::Later("nothing here can fetch its certificate".into()));
        };
        let _turn = turn
            .acquire()
            .await
            .map_err(|_| NotProven::Later("the server is stopping".into()))?;
        if let Some(found) = self.known(&place.named, now) {
            return Ok(found);
        }
        self.admit(now)?;
        let bytes = fetcher
            .get(&place.url, place.by_operator)
            .await
            .map_err(|error| match error {
                NotFetched::Later(why) => {
                    NotProven::Later(format!("its certificate cannot be fetched: {why}"))
                }
                NotFetched::Never(_) => NotProven::Refused("its certificate is not to be had"),
            })?;
        let certificate = Certificate::from_pem(&bytes)
            .map_err(|_| NotProven::Refused("what stands at the certificate's address is none"))?;
        let certificate = Arc::new(certificate);
        let mut known = self.lock();
        known
            .by_address
            .retain(|_, (since, _)| now.since_ms(*since) < KEPT_MS);
        if known.by_address.len() >= KEPT_MAX {
            known.by_address.pop_first();
        }
        known
            .by_address
            .insert(place.named.clone(), (now, certificate.clone()));
        Ok(certificate)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        // The lock is held for a look or an insertion, which leave the map whole even if they panic.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self, address: &str, now: Time) -> Option<Arc<Certificate>> {
        let known = self.lock();
        let (since, certificate) = known.by_address.get(address)?;
        (now.since_ms(*since) < KEPT_MS).then(|| certificate.clone())
    }

    fn admit(&self, now: Time) -> Result<(), NotProven> {
        let mut known = self.lock();
        known.asked.retain(|at| now.since_ms(*at) < 60_000);
        if known.asked.len() >= ASKED_PER_MINUTE_MAX {
            return Err(NotProven::Later(
                "more certificates were named within a minute than are looked at".into(),
            ));
        }
        known.asked.push(now);
        Ok(())
    }
}
