//! Bearer tokens that say themselves until when they hold, so that they outlive the range's process as real
//! ones outlive a vendor's. Good enough for a stand-in; nothing real is guarded by them.

use crate::clock::Time;
use crate::digest::Digest;
use crate::secret::Secret;

/// Who may have a token, and which tokens hold.
pub(super) struct Tokens {
    client_id: String,
    client_secret: Secret,
    lifetime_ms: u64,
    /// Tokens of an earlier generation have ended.
    generation: u64,
}

impl Tokens {
    pub(super) fn new(credentials: (String, Secret), lifetime_ms: u64) -> Tokens {
        let (client_id, client_secret) = credentials;
        Tokens {
            client_id,
            client_secret,
            lifetime_ms,
            generation: 0,
        }
    }

    /// How long a new token holds, s.
    pub(super) fn lifetime_s(&self) -> u64 {
        self.lifetime_ms / 1_000
    }

    /// A token for these credentials; `None` where they are wrong. `number` makes it unlike any other.
    pub(super) fn issue(&self, id: &str, secret: &str, number: u64, now: Time) -> Option<String> {
        if id != self.client_id || secret != self.client_secret.expose() {
            return None;
        }
        let Time(until_ms) = now.plus_ms(self.lifetime_ms);
        let claim = format!("{}.{until_ms}.{number}", self.generation);
        Some(format!("{claim}.{}", self.seal(&claim)))
    }

    /// Whether the token was issued here, has not expired and was not ended.
    pub(super) fn hold(&self, token: &str, now: Time) -> bool {
        let Some((claim, seal)) = token.rsplit_once('.') else {
            return false;
        };
        let mut parts = claim.split('.').map(str::parse::<i64>);
        let (Some(Ok(generation)), Some(Ok(until_ms))) = (parts.next(), parts.next()) else {
            return false;
        };
        seal == self.seal(claim).to_string()
            && u64::try_from(generation) == Ok(self.generation)
            && now < Time(until_ms)
    }

    /// Ends every token issued so far.
    pub(super) fn end_all(&mut self) {
        self.generation += 1;
    }

    fn seal(&self, claim: &str) -> Digest {
        Digest::keyed(self.client_secret.expose().as_bytes(), claim.as_bytes())
    }
}
