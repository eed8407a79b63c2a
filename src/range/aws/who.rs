//! Who signed a request, and whether they may ask what it asks. Sessions of roles say themselves what they are, so
//! that they outlive the range's process as real ones outlive a vendor's.

use super::super::vendor::Request;
use super::identity::{IdentityKind, KeyStatus, letters};
use super::policy::denies_all;
use super::sigv4::{Claim, Wrong};
use super::state::Aws;
use crate::clock::Time;
use crate::digest::Digest;

/// Who a request is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Who {
    /// The configured key, which may do everything.
    Configured,
    /// A user, by one of its keys.
    User(String),
    /// A session of a role, since when.
    Role(String, Time),
}

/// Why a caller is refused: the vendor's code and a sentence.
pub(super) type Refused = (&'static str, String);

/// A session as its token tells it.
struct Session {
    role: String,
    issued: Time,
    until: Time,
    generation: u64,
}

impl Aws {
    /// Who signed the request, once the signature holds.
    pub(super) fn who(&self, request: &Request, now: Time) -> Result<Who, Refused> {
        let claim = Claim::of(request).map_err(refused)?;
        let (who, secret) = self.principal(request, claim.key_id, now)?;
        claim.verify(request, &secret, now).map_err(refused)?;
        Ok(who)
    }

    fn principal(&self, request: &Request, key_id: &str, now: Time) -> Result<(Who, String), Refused> {
        if key_id == self.config.access_key_id {
            return Ok((Who::Configured, self.config.secret_access_key.expose().to_owned()));
        }
        let unknown = || {
            let text = "The security token included in the request is invalid.";
            ("InvalidClientTokenId", text.to_owned())
        };
        if let Some(token) = request.header("x-amz-security-token") {
            let session = self.read_token(token).filter(|_| session_key(token) == key_id);
            let session = session.ok_or_else(unknown)?;
            if session.generation != self.generation || now >= session.until {
                let text = "The security token included in the request is expired";
                return Err(("ExpiredToken", text.to_owned()));
            }
            return Ok((Who::Role(session.role, session.issued), self.secret_of(key_id)));
        }
        let key = self
            .keys
            .get(key_id)
            .filter(|key| key.status == KeyStatus::Active);
        let key = key.ok_or_else(unknown)?;
        Ok((Who::User(key.user.clone()), self.secret_of(key_id)))
    }

    /// Whether `who` may call `action`.
    pub(super) fn may(&self, who: &Who, action: &str, changes: bool) -> Result<(), Refused> {
        // The vendor tells anybody who they are, whatever is denied.
        if action == "GetCallerIdentity" {
            return Ok(());
        }
        let (kind, name, issued) = match who {
            Who::Configured => return Ok(()),
            Who::User(name) => (IdentityKind::User, name, None),
            Who::Role(name, issued) => (IdentityKind::Role, name, Some(*issued)),
        };
        let denied = self
            .identity(kind, name)
            .is_none_or(|it| denies_all(it.policies.values(), issued));
        if denied || (changes && kind == IdentityKind::User) {
            let arn = self.arn_of(who);
            let text = format!("User: {arn} is not authorized to perform: {action}");
            return Err(("AccessDenied", text));
        }
        Ok(())
    }

    /// The resource name of a caller.
    pub(super) fn arn_of(&self, who: &Who) -> String {
        let account = super::ACCOUNT;
        match who {
            Who::Configured => format!("arn:aws:iam::{account}:user/cordon"),
            Who::User(name) => format!("arn:aws:iam::{account}:user/{name}"),
            Who::Role(name, _) => format!("arn:aws:sts::{account}:assumed-role/{name}/cordon"),
        }
    }

    /// The secret of a user's key or a session's: it follows from the id, so that no ledger needs to hold it.
    pub(in crate::range) fn secret_of(&self, key_id: &str) -> String {
        let seed = self.config.secret_access_key.expose().as_bytes();
        Digest::keyed(seed, key_id.as_bytes())
            .to_string()
            .chars()
            .take(40)
            .collect()
    }

    /// The token of a new session. `number` makes it unlike any other.
    pub(super) fn session_token(&self, role: &str, now: Time, until: Time, number: u64) -> String {
        let claim = format!("{}/{}/{}/{number}/{role}", self.generation, now.0, until.0);
        format!("{claim}.{}", self.seal(&claim))
    }

    fn read_token(&self, token: &str) -> Option<Session> {
        let (claim, seal) = token.rsplit_once('.')?;
        if seal != self.seal(claim).to_string() {
            return None;
        }
        let mut parts = claim.splitn(5, '/');
        let mut number = || parts.next()?.parse::<i64>().ok();
        let (generation, issued, until, _) = (number()?, number()?, number()?, number()?);
        Some(Session {
            role: parts.next()?.to_owned(),
            issued: Time(issued),
            until: Time(until),
            generation: u64::try_from(generation).ok()?,
        })
    }

    fn seal(&self, claim: &str) -> Digest {
        Digest::keyed(
            self.config.secret_access_key.expose().as_bytes(),
            claim.as_bytes(),
        )
    }
}

/// The key id of a session, which follows from its token.
pub(super) fn session_key(token: &str) -> String {
    format!("ASIA{}", letters(token, 16))
}

fn refused(wrong: Wrong) -> Refused {
    match wrong {
        Wrong::Missing => (
            "MissingAuthenticationToken",
            "Request is missing Authentication Token".to_owned(),
        ),
        Wrong::Incomplete(what) => (
            "IncompleteSignature",
            format!("Authorization header requires `{what}` parameter"),
        ),
        Wrong::Expired => (
            "SignatureDoesNotMatch",
            "Signature expired: the date is not within 15 minutes of now".to_owned(),
        ),
        Wrong::Mismatch => (
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided.".to_owned(),
        ),
    }
}
