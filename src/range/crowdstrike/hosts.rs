//! What the vendor knows of its hosts, and its answers. State changes only by [`CrowdStrike::replay`] of a
//! ledger line, live and after a restart alike.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::config::Settle;
use super::super::ledger::LedgerLine;
use super::super::vendor::{At, Call, Effect, No, Reply, Request, StandIn, Thing};
use super::call::understand;
use super::envelope::{RATE_LIMIT, details, envelope, failure, too_many, unknown};
use super::filter::Filter;
use super::host::{Host, Status};
use super::token::Tokens;
use super::{NAME, REFUSED};
use crate::clock::Time;
use crate::secret::Secret;

/// Most ids in one answer of a search. General knowledge, not compared with the vendor.
const FIND_IDS_MAX: usize = 5_000;
/// Ids in one answer of a search that names no `limit`.
const FIND_LIMIT: usize = 100;

/// What the vendor knows.
pub(in crate::range) struct CrowdStrike {
    seed: Vec<Host>,
    tokens: Tokens,
    settle: Settle,
    devices: BTreeMap<String, Device>,
}

struct Device {
    host: Host,
    /// Since when status and presence are as they are.
    since: Time,
    /// Readings since then. Not in the ledger: counted anew after a restart.
    reads: u32,
}

impl CrowdStrike {
    pub(in crate::range) fn new(
        credentials: (String, Secret),
        token_ms: u64,
        settle: Settle,
        seed: Vec<Host>,
    ) -> CrowdStrike {
        CrowdStrike {
            seed,
            tokens: Tokens::new(credentials, token_ms),
            settle,
            devices: BTreeMap::new(),
        }
    }

    pub(in crate::range) fn host(&self, id: &str) -> Option<&Host> {
        self.devices.get(id).map(|device| &device.host)
    }

    pub(in crate::range) fn hosts(&self) -> Vec<Host> {
        self.devices.values().map(|device| device.host.clone()).collect()
    }

    fn token(&self, request: &Request, number: u64, now: Time) -> Reply {
        let id = request.form_fields("client_id");
        let secret = request.form_fields("client_secret");
        let ([id], [secret]) = (id.as_slice(), secret.as_slice()) else {
            return failure(400, "client_id and client_secret are required", number);
        };
        let Some(token) = self.tokens.issue(id, secret, number, now) else {
            return failure(401, "access denied, invalid client", number);
        };
        let expires_in = self.tokens.lifetime_s();
        let body = json!({ "access_token": token, "expires_in": expires_in, "token_type": "bearer" });
        let effects = vec![Effect {
            action: "token",
            applied: true,
            ..Effect::default()
        }];
        Reply::json(201, body)
            .with(effects)
            .header("cache-control", "no-store")
    }

    fn find(&self, request: &Request, number: u64) -> Reply {
        let filter = request
            .parameters("filter")
            .into_iter()
            .next()
            .unwrap_or_default();
        let wanted = match Filter::parse(&filter) {
            Some(wanted) => wanted,
            None => {
                return failure(
                    400,
                    &format!("invalid filter expression supplied: {filter}"),
                    number,
                );
            }
        };
        let count = |name: &str, otherwise: usize| match request.parameters(name).first() {
            Some(text) => text.parse::<usize>().ok(),
            None => Some(otherwise),
        };
        let (Some(offset), Some(limit)) = (count("offset", 0), count("limit", FIND_LIMIT)) else {
            return failure(400, "offset and limit must be numbers", number);
        };
        let found: Vec<&String> = self
            .devices
            .values()
            .map(|device| &device.host)
            .filter(|host| wanted.holds(host))
            .map(|host| &host.device_id)
            .collect();
        let page: Vec<&String> = found
            .iter()
            .copied()
            .skip(offset)
            .take(limit.min(FIND_IDS_MAX))
            .collect();
        let mut body = envelope(json!(page), json!([]), number);
        if let Some(meta) = body.get_mut("meta").and_then(Value::as_object_mut) {
            let pagination = json!({ "offset": offset, "limit": limit, "total": found.len() });
            meta.insert("pagination".to_owned(), pagination);
        }
        let effects = vec![Effect {
            action: "find",
            applied: true,
            ..Effect::default()
        }];
        Reply::json(200, body).with(effects)
    }

    fn read(&self, call: &Call, number: u64, now: Time, told: Option<&str>) -> Reply {
        let (mut resources, mut errors, mut effects) = (Vec::new(), Vec::new(), Vec::new());
        for id in &call.targets {
            let Some(device) = self.devices.get(id) else {
                errors.push(unknown(id));
                effects.push(Effect {
                    action: "read",
                    target: Some(id.clone()),
                    ..Effect::default()
                });
                continue;
            };
            let settled = device.host.status.settled();
            let settles = told.is_none() && settled != device.host.status && self.is_due(device, now);
            let status = if settles { settled } else { device.host.status };
            if settles {
                effects.push(self.effect("settle", id, Some(settled)));
            }
            let mut reading = self.effect("read", id, Some(status));
            reading.before.clone_from(&reading.after);
            effects.push(reading);
            resources.push(details(&device.host, told.unwrap_or(status.as_str())));
        }
        let body = envelope(Value::Array(resources), Value::Array(errors), number);
        Reply::json(200, body).with(effects)
    }

    /// Whether the sensor has had the time to confirm.
    fn is_due(&self, device: &Device, now: Time) -> bool {
        device.host.online
            && match self.settle {
                Settle::AfterReads(reads) => device.reads >= reads,
                Settle::AfterMs(ms) => now.since_ms(device.since) >= ms,
            }
    }

    fn act(&self, call: &Call, number: u64, change: fn(Status) -> Status) -> Reply {
        let (mut resources, mut errors, mut effects) = (Vec::new(), Vec::new(), Vec::new());
        for id in &call.targets {
            let after = self.host(id).map(|host| change(host.status));
            effects.push(self.effect(call.action, id, after));
            if after.is_some() {
                resources.push(json!({ "id": id, "path": format!("/devices/entities/devices/v1?ids={id}") }));
            } else {
                errors.push(unknown(id));
            }
        }
        let body = envelope(Value::Array(resources), Value::Array(errors), number);
        Reply::json(202, body).with(effects)
    }

    /// `after` is none where nothing is carried out.
    fn effect(&self, action: &'static str, id: &str, after: Option<Status>) -> Effect {
        let host = self.host(id);
        let before = host.map(|host| host.status);
        let word = |status: Status| status.as_str().to_owned();
        Effect {
            action,
            target: Some(id.to_owned()),
            target_name: host.map(|host| host.hostname.clone()),
            applied: host.is_some() && after.is_some(),
            before: before.map(word),
            after: after.or(before).map(word),
            record: None,
        }
    }
}

impl StandIn for CrowdStrike {
    fn name(&self) -> &'static str {
        NAME
    }

    fn understand(&self, request: &Request) -> Option<Call> {
        understand(request)
    }

    fn admit(&self, request: &Request, call: &Call, at: At) -> Result<(), Reply> {
        let token = request.authorization("bearer");
        if !call.guarded || token.is_some_and(|token| self.tokens.hold(token, at.now)) {
            return Ok(());
        }
        Err(failure(401, REFUSED, at.number))
    }

    fn answer(&self, request: &Request, call: &Call, at: At, told: Option<&str>) -> Reply {
        let At { number, now } = at;
        let reply = match (&call.wrong, call.action) {
            (Some((status, message)), _) => failure(*status, message, number),
            (None, "token") => self.token(request, number, now),
            (None, "find") => self.find(request, number),
            (None, "read") => self.read(call, number, now, told),
            (None, "contain") => self.act(call, number, Status::contain),
            (None, "lift_containment") => self.act(call, number, Status::lift),
            (None, _) => failure(404, "404: Page Not Found", number),
        };
        // The stand-in limits nothing by itself; `too_many` is scripted.
        reply
            .header("x-ratelimit-limit", RATE_LIMIT)
            .header("x-ratelimit-remaining", RATE_LIMIT - 1)
    }

    fn untouched(&self, call: &Call) -> Vec<Effect> {
        if call.targets.is_empty() {
            return vec![Effect {
                action: call.action,
                ..Effect::default()
            }];
        }
        call.targets
            .iter()
            .map(|id| self.effect(call.action, id, None))
            .collect()
    }

    fn replay(&mut self, line: &LedgerLine) {
        let since = Time(line.at_ms);
        match line.action.as_str() {
            "reset" => self.devices.clear(),
            "expire_tokens" => self.tokens.end_all(),
            "host" => {
                let host = line.record.clone().map(serde_json::from_value::<Host>);
                if let Some(Ok(host)) = host {
                    let device = Device {
                        host,
                        since,
                        reads: 0,
                    };
                    self.devices.insert(device.host.device_id.clone(), device);
                }
            }
            _ if line.vendor == NAME && line.changed_state() => {
                let device = line.target.as_ref().and_then(|id| self.devices.get_mut(id));
                let status = line.state_after.as_deref().and_then(Status::parse);
                if let (Some(device), Some(status)) = (device, status) {
                    device.host.status = status;
                    (device.since, device.reads) = (since, 0);
                }
            }
            _ => {}
        }
    }

    fn decline(&self, no: &No, _: &Call, at: At) -> Reply {
        match no {
            No::Failed(status, text) => failure(*status, text, at.number),
            No::TooMany(seconds) => too_many(*seconds, at.number, at.now),
            No::Expired => failure(401, REFUSED, at.number),
        }
    }

    fn things(&self) -> Vec<Thing> {
        self.devices.values().map(|device| device.host.thing()).collect()
    }

    /// Hosts have a control call of their own.
    fn thing(&self, _: &Value) -> Option<Thing> {
        None
    }

    fn seed(&self) -> Vec<Thing> {
        self.seed.iter().map(Host::thing).collect()
    }

    fn looked_at(&mut self, ids: &[String]) {
        for id in ids {
            if let Some(device) = self.devices.get_mut(id) {
                device.reads = device.reads.saturating_add(1);
            }
        }
    }
}
