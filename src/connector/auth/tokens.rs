//! Tokens that are issued for a while: one per instance, kept in memory, fetched by one caller while the others
//! wait. A token that was refused is dropped by whoever saw the refusal, once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;

use super::super::auth_spec::AuthSpec;
use super::super::bind::Bound;
use super::super::client::Client;
use super::super::egress::Egress;
use super::super::throttle::Throttle;
use super::sigv4::Keys;
use super::{oauth2, sigv4};
use crate::action::{Fault, Request, Retry};
use crate::clock::{Clock, Time};
use crate::secret::Secret;

/// How long before its end a token is no longer used, ms: a request and a slow clock fit in.
const MARGIN_MS: u64 = 60_000;
/// Life of a token whose issuer says nothing, ms.
pub(super) const UNSAID_MS: u64 = 300_000;

/// What was issued.
pub(in super::super) enum Proof {
    /// A bearer token.
    Bearer(Secret),
    /// Keys of an assumed role.
    Aws(Keys),
}

impl Proof {
    /// Its texts that must not be seen.
    pub(in super::super) fn secrets(&self) -> Vec<Secret> {
        match self {
            Proof::Bearer(secret) => vec![secret.clone()],
            Proof::Aws(keys) => [Some(keys.secret.clone()), keys.session.clone()]
                .into_iter()
                .flatten()
                .collect(),
        }
    }
}

/// A token that was issued.
pub(in super::super) struct Token {
    pub(in super::super) proof: Proof,
    pub(super) until: Time,
}

/// No token, so nothing was done.
pub(in super::super) struct NoToken {
    pub(in super::super) fault: Fault,
    pub(in super::super) retry: Retry,
}

impl NoToken {
    pub(super) fn never(code: &str, message: String) -> NoToken {
        NoToken {
            fault: Fault::new(code, message),
            retry: Retry::Never,
        }
    }

    pub(super) fn for_now(code: &str, message: String) -> NoToken {
        NoToken {
            fault: Fault::new(code, message),
            retry: Retry::Backoff,
        }
    }
}

type Slot = Arc<OnceCell<Arc<Token>>>;

/// The tokens in use, by instance.
#[derive(Default)]
pub(in super::super) struct Tokens(Mutex<BTreeMap<String, Slot>>);

/// What a token is fetched with.
pub(in super::super) struct Issuer<'a> {
    pub(in super::super) client: &'a Client,
    pub(in super::super) throttle: &'a Throttle,
    pub(in super::super) clock: &'a dyn Clock,
}

impl Tokens {
    /// The token of an instance, fetched where there is none that lives long enough. `None` where the instance
    /// needs none.
    pub(in super::super) async fn get(
        &self,
        issuer: Issuer<'_>,
        bound: &Bound,
        egress: &Egress,
        log: &mut Vec<Request>,
    ) -> Result<Option<Arc<Token>>, NoToken> {
        let auth = &bound.connector.manifest.auth;
        let needed = match auth {
            AuthSpec::Oauth2 { .. } => true,
            AuthSpec::Sigv4 { .. } => bound.setting("role_arn").is_some(),
            _ => false,
        };
        if !needed {
            return Ok(None);
        }
        let slot = self.slot(&bound.instance.name, issuer.clock.now());
        let fetched = slot.get_or_try_init(|| async {
            match auth {
                AuthSpec::Sigv4 { sts_host, .. } => {
                    sigv4::assume(issuer, sts_host.as_deref(), bound, egress, log).await
                }
                _ => oauth2::fetch(issuer, auth, &bound.instance, egress, log).await,
            }
        });
        fetched.await.cloned().map(Some)
    }

    /// Forgets a token that was refused, unless another has taken its place already.
    pub(in super::super) fn drop_refused(&self, instance: &str, refused: &Arc<Token>) {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = slots
            .get(instance)
            .and_then(|slot| slot.get())
            .is_some_and(|token| Arc::ptr_eq(token, refused));
        if is_it {
            slots.remove(instance);
        }
    }

    /// The slot to wait at: the one in use, or a new one where its token is about to end.
    fn slot(&self, instance: &str, now: Time) -> Slot {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = slots.entry(instance.to_owned()).or_default();
        if slot
            .get()
            .is_some_and(|token| token.until <= now.plus_ms(MARGIN_MS))
        {
            *slot = Slot::default();
        }
        slot.clone()
    }
}
