//! Who may use the API: principals by name, each with one token. The store has the token's digest; the token
//! itself is shown once, when it is made, and never logged.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::{Choice, ConstantTimeEq};

use super::error::ApiError;
use super::services::Shared;
use crate::clock::Clock;
use crate::digest::Digest;
use crate::store::{Error, Principal, Store};

/// How long known principals may be out of date: a token replaced on another node works here that much longer.
const PRINCIPALS_REFRESH: Duration = Duration::from_secs(1);
/// What every token begins with, so that scanners for leaked secrets can find one.
const TOKEN_PREFIX: &str = "cdn_";
/// Longest name of a principal, characters.
const NAME_CHARS_MAX: usize = 64;

/// The principal of a request; put there by [`guard`].
#[derive(Clone, Debug)]
pub(super) struct Who(pub(super) String);

/// Principals as last read.
#[derive(Default)]
pub(super) struct Principals {
    known: Mutex<Option<(Instant, Arc<Vec<Principal>>)>>,
    /// Held while a token is made, so that two requests cannot both find a name free.
    pub(super) making: tokio::sync::Mutex<()>,
}

impl Principals {
    async fn read(&self, store: &dyn Store) -> Result<Arc<Vec<Principal>>, Error> {
        if let Some((at, known)) = &*self.known.lock().unwrap_or_else(PoisonError::into_inner)
            && at.elapsed() < PRINCIPALS_REFRESH
        {
            return Ok(known.clone());
        }
        let read = Arc::new(store.principals().await?);
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), read.clone()));
        Ok(read)
    }

    /// Makes the next request read them again.
    pub(super) fn forget(&self) {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Lets a request through with its principal, or answers 401 without saying what was wrong.
pub(super) async fn guard(State(shared): State<Shared>, mut request: Request, next: Next) -> Response {
    let mut response = match identify(&shared, request.headers()).await {
        Ok(name) => {
            request.extensions_mut().insert(Who(name));
            next.run(request).await
        }
        Err(refusal) => refusal.into_response(),
    };
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn identify(shared: &Shared, headers: &HeaderMap) -> Result<String, ApiError> {
    let nobody = || {
        ApiError::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "the API needs a valid token",
            "send `Authorization: Bearer cdn_…`; `cordon token create NAME` makes one",
        )
    };
    let token = bearer(headers).ok_or_else(nobody)?;
    let principals = shared.principals.read(shared.store().as_ref()).await?;
    let digest = Digest::of(token.as_bytes());
    // Every principal is compared, and each in constant time.
    let mut found: Option<&str> = None;
    for principal in principals.iter() {
        let same: Choice = principal.token.0.ct_eq(&digest.0);
        if bool::from(same) {
            found = Some(&principal.name);
        }
    }
    found.map(str::to_owned).ok_or_else(nobody)
}

/// The token, where there is exactly one well-formed `Authorization` header (RFC 6750, section 2.1).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(only), None) = (all.next(), all.next()) else {
        return None;
    };
    let (scheme, token) = only.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && token.starts_with(TOKEN_PREFIX)).then_some(token)
}

/// A principal could not be made.
#[derive(Debug, thiserror::Error)]
pub enum NoToken {
    /// The store says no.
    #[error(transparent)]
    Store(#[from] Error),
    /// The machine gives no random bytes.
    #[error("the machine gives no random bytes: {0}")]
    NoChance(String),
}

impl From<NoToken> for ApiError {
    fn from(error: NoToken) -> ApiError {
        match error {
            NoToken::Store(error) => error.into(),
            NoToken::NoChance(why) => ApiError::defect(why),
        }
    }
}

/// The principal of the first start.
pub(super) const FIRST_PRINCIPAL: &str = "admin";

/// Makes the first principal, `admin`, where there is none; answers its name and token, which nobody can read
/// again. `None` where there are principals already.
pub async fn bootstrap(store: &dyn Store, clock: &dyn Clock) -> Result<Option<(String, String)>, NoToken> {
    if !store.principals().await?.is_empty() {
        return Ok(None);
    }
    let token = make(store, clock, FIRST_PRINCIPAL, "cordon").await?;
    Ok(Some((FIRST_PRINCIPAL.to_owned(), token)))
}

/// Makes or replaces a principal and answers its token.
pub(super) async fn make(
    store: &dyn Store,
    clock: &dyn Clock,
    name: &str,
    by: &str,
) -> Result<String, NoToken> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| NoToken::NoChance(error.to_string()))?;
    let token = format!("{TOKEN_PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes));
    let principal = Principal {
        name: name.to_owned(),
        token: Digest::of(token.as_bytes()),
        created_at: clock.now(),
        created_by: by.to_owned(),
    };
    store.put_principal(principal).await?;
    Ok(token)
}

/// A name that reads the same in every log. `cordon` is us: nobody may act under it.
pub(super) fn principal_name(text: &str) -> Result<String, ApiError> {
    let fits = (1..=NAME_CHARS_MAX).contains(&text.len())
        && text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-@".contains(c));
    if !fits || text == "cordon" {
        return Err(ApiError::bad(
            format!("`{}` cannot be a principal's name", text.escape_debug()),
            format!("use 1 to {NAME_CHARS_MAX} of a-z, 0-9, `.`, `_`, `-`, `@`; `cordon` is taken"),
        ));
    }
    Ok(text.to_owned())
}
