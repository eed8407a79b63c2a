//! What every stand-in has in common: a request as it came, the call it was understood as, and the reply
//! with the effects that become true when it is carried out. A new vendor adds a variant to [`Vendor`], its
//! paths to [`understand`], and a file that answers.

use axum::body::Bytes;
use serde_json::Value;

use super::crowdstrike;

/// The vendors there is a stand-in of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Vendor {
    /// CrowdStrike Falcon, hosts API.
    CrowdStrike,
}

impl Vendor {
    /// The name in the ledger and in fault matches.
    pub(super) fn name(self) -> &'static str {
        match self {
            Vendor::CrowdStrike => "crowdstrike",
        }
    }
}

/// Which call of which vendor this is. Vendors are told apart by path; paths nobody knows go to
/// CrowdStrike, which answers 404.
pub(super) fn understand(request: &Request) -> Call {
    crowdstrike::understand(request)
}

/// A request after its last byte was read.
#[derive(Debug, Clone, Default)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    /// Text after `?`, as it came.
    pub(super) query: String,
    /// Token of an `Authorization: Bearer` header.
    pub(super) bearer: Option<String>,
    pub(super) idempotency_key: Option<String>,
    pub(super) request_id: Option<String>,
    pub(super) body: Bytes,
}

impl Request {
    /// All values of a query parameter, decoded.
    pub(super) fn parameters(&self, name: &str) -> Vec<String> {
        form_values(self.query.as_bytes(), name)
    }

    /// All values of a field of a form body, decoded.
    pub(super) fn form_fields(&self, name: &str) -> Vec<String> {
        form_values(&self.body, name)
    }
}

/// What a request asks for. Parsed once, here; nothing looks at the body again.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) vendor: Vendor,
    /// The ledger's word for it.
    pub(super) action: &'static str,
    /// Ids it names, each once, in order.
    pub(super) targets: Vec<String>,
    /// It asks for a change.
    pub(super) mutates: bool,
    /// It needs a token.
    pub(super) guarded: bool,
    /// Why it cannot be carried out: status and message of the vendor.
    pub(super) wrong: Option<(u16, String)>,
}

/// An answer, and what becomes true with it. Nothing is true until the effects are in the ledger.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Value,
    pub(super) effects: Vec<Effect>,
}

impl Reply {
    /// Whether the vendor did what it was asked, as far as the status says.
    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// One target and what happens to it.
#[derive(Debug, Clone, Default)]
pub(super) struct Effect {
    pub(super) action: &'static str,
    pub(super) target: Option<String>,
    pub(super) target_name: Option<String>,
    pub(super) applied: bool,
    pub(super) before: Option<String>,
    pub(super) after: Option<String>,
}

impl Effect {
    /// The same effect, not carried out.
    pub(super) fn refused(mut self) -> Effect {
        self.applied = false;
        self.after = self.before.clone();
        self
    }
}

fn form_values(bytes: &[u8], name: &str) -> Vec<String> {
    let pairs = url::form_urlencoded::parse(bytes);
    pairs
        .filter(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
        .collect()
}
