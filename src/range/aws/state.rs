//! What the vendor knows, and how a range sees it. State changes only by replay of ledger lines.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::super::ledger::LedgerLine;
use super::super::vendor::{At, Call, Effect, No, Reply, Request, StandIn, Thing};
use super::NAME;
use super::call::{is_json, service, understand};
use super::identity::{AccessKey, Identity, IdentityKind, Kept, StoredSecret};
use super::sigv4::Claim;
use super::xml::refuse;
use crate::secret::Secret;

/// How the stand-in of AWS is set up.
#[derive(Debug, Clone)]
pub struct AwsConfig {
    /// Id of the key that may do everything.
    pub access_key_id: String,
    /// Its secret.
    pub secret_access_key: Secret,
    /// How long a session of a role holds, ms, where the caller names no duration.
    pub session_ms: u64,
    /// Users and roles there are from the start.
    pub identities: Vec<Identity>,
    /// Keys there are from the start.
    pub keys: Vec<AccessKey>,
    /// Secrets there are from the start.
    pub secrets: Vec<StoredSecret>,
}

impl Default for AwsConfig {
    /// `AKIARANGE00000CORDON` with `range-aws-secret`, sessions of an hour, nobody.
    fn default() -> AwsConfig {
        AwsConfig {
            access_key_id: "AKIARANGE00000CORDON".to_owned(),
            secret_access_key: Secret::new("range-aws-secret"),
            session_ms: 3_600_000,
            identities: Vec::new(),
            keys: Vec::new(),
            secrets: Vec::new(),
        }
    }
}

/// What the vendor knows.
pub(in crate::range) struct Aws {
    pub(super) config: AwsConfig,
    pub(super) identities: BTreeMap<(IdentityKind, String), Identity>,
    pub(super) keys: BTreeMap<String, AccessKey>,
    pub(super) secrets: BTreeMap<String, StoredSecret>,
    /// Sessions of an earlier generation have ended.
    pub(super) generation: u64,
}

impl Aws {
    pub(in crate::range) fn new(config: AwsConfig) -> Aws {
        Aws {
            config,
            identities: BTreeMap::new(),
            keys: BTreeMap::new(),
            secrets: BTreeMap::new(),
            generation: 0,
        }
    }

    pub(in crate::range) fn identity(&self, kind: IdentityKind, name: &str) -> Option<&Identity> {
        self.identities.get(&(kind, name.to_owned()))
    }

    /// Keys, those that were deleted included.
    pub(in crate::range) fn keys(&self) -> Vec<AccessKey> {
        self.keys.values().cloned().collect()
    }

    pub(in crate::range) fn secrets(&self) -> Vec<StoredSecret> {
        self.secrets.values().cloned().collect()
    }

    fn do_it(&self, request: &Request, call: &Call, at: At, told: Option<&str>) -> Reply {
        match service(call.action) {
            "iam" => self.iam(request, call.action, at, told),
            "sts" => self.sts(request, call.action, at),
            _ => self.secrets_manager(request, call.action, at),
        }
    }
}

impl StandIn for Aws {
    fn name(&self) -> &'static str {
        NAME
    }

    fn understand(&self, request: &Request) -> Option<Call> {
        understand(request)
    }

    fn admit(&self, request: &Request, call: &Call, at: At) -> Result<(), Reply> {
        let json = is_json(request);
        let no = |code: &str, text: &str| refuse(json, 403, code, text, at.number);
        let who = self.who(request, at.now);
        let who = who.map_err(|(code, text)| no(&in_protocol(json, code), &text))?;
        if call.wrong.is_some() {
            return Ok(());
        }
        let signed_for = Claim::of(request).map_or("", |claim| claim.service);
        if signed_for != service(call.action) {
            let text = "Credential should be scoped to the service that is called.";
            return Err(no("SignatureDoesNotMatch", text));
        }
        let may = self.may(&who, call.action, call.mutates);
        may.map_err(|(code, text)| no(&in_protocol(json, code), &text))
    }

    fn answer(&self, request: &Request, call: &Call, at: At, told: Option<&str>) -> Reply {
        match &call.wrong {
            Some((status, code)) => {
                let text = "The action or operation requested is not one of this stand-in.";
                refuse(is_json(request), *status, code, text, at.number)
            }
            None => self.do_it(request, call, at, told),
        }
    }

    fn untouched(&self, call: &Call) -> Vec<Effect> {
        let target = call.targets.first();
        let key = target.and_then(|id| self.keys.get(id));
        let state = key.map(|key| key.status.as_str().to_owned());
        vec![Effect {
            action: call.action,
            target: target.cloned(),
            target_name: key.map(|key| key.user.clone()),
            before: state.clone(),
            after: state,
            ..Effect::default()
        }]
    }

    fn replay(&mut self, line: &LedgerLine) {
        match line.action.as_str() {
            "reset" => {
                self.identities.clear();
                self.keys.clear();
                self.secrets.clear();
            }
            "expire_tokens" => self.generation += 1,
            _ => {}
        }
        match line.kept::<Kept>() {
            Some(Kept::Identity(it)) => {
                drop(self.identities.insert((it.kind, it.name.clone()), it));
            }
            Some(Kept::Key(it)) => drop(self.keys.insert(it.id.clone(), it)),
            Some(Kept::Secret(it)) => drop(self.secrets.insert(it.name.clone(), it)),
            None => {}
        }
    }

    fn decline(&self, no: &No, call: &Call, at: At) -> Reply {
        let json = service(call.action) == "secretsmanager";
        let say = |status, code, text: &str| refuse(json, status, &in_protocol(json, code), text, at.number);
        match no {
            No::Failed(status, text) => say(*status, "ServiceFailure", text),
            // 400 and no `Retry-After` (our notes on vendor APIs, 2026-11-23).
            No::TooMany(_) => say(400, "Throttling", "Rate exceeded"),
            No::Expired => {
                let text = "The security token included in the request is expired";
                say(403, "ExpiredToken", text)
            }
        }
    }

    fn things(&self) -> Vec<Thing> {
        let identities = self.identities.values().map(Identity::thing);
        let keys = self.keys.values().map(AccessKey::thing);
        let secrets = self.secrets.values().map(StoredSecret::thing);
        identities.chain(keys).chain(secrets).collect()
    }

    fn thing(&self, record: &Value) -> Option<Thing> {
        Some(match Kept::deserialize(record).ok()? {
            Kept::Identity(it) => it.thing(),
            Kept::Key(it) => it.thing(),
            Kept::Secret(it) => it.thing(),
        })
    }

    fn seed(&self) -> Vec<Thing> {
        let identities = self.config.identities.iter().map(Identity::thing);
        let keys = self.config.keys.iter().map(AccessKey::thing);
        let secrets = self.config.secrets.iter().map(StoredSecret::thing);
        identities.chain(keys).chain(secrets).collect()
    }
}

/// The code as the caller's protocol spells it.
fn in_protocol(json: bool, code: &str) -> String {
    match (json, code) {
        (true, "InvalidClientTokenId") => "UnrecognizedClientException".to_owned(),
        (true, "SignatureDoesNotMatch") => "InvalidSignatureException".to_owned(),
        (true, "MissingAuthenticationToken") => "MissingAuthenticationTokenException".to_owned(),
        (true, other) => format!("{other}Exception"),
        (false, other) => other.to_owned(),
    }
}
