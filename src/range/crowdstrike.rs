//! Stand-in of the CrowdStrike Falcon hosts API, as far as containment needs it: token, search by name,
//! details, contain and lift. Shapes follow the vendor's published API description (read 2026-11); where it
//! is silent we chose, and the choice is written at the place:
//!
//! - containing a contained host answers 202 and changes nothing, and so does lifting a free one;
//! - an unknown id is an entry in `errors` with code 404 beside a 202 (actions) or 200 (details);
//! - both a wrong client id and a wrong secret answer 401.
//!
//! It decides and holds state; it writes no ledger and sees no clock. State changes only by [`CrowdStrike::replay`]
//! of a ledger line, live and after a restart alike.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::host::{Host, Status};
use super::ledger::LedgerLine;
use super::server::Settle;
use super::vendor::{Call, Effect, Reply, Request, Vendor};
use crate::clock::Time;
use crate::digest::Digest;
use crate::secret::Secret;

/// Most ids in one containment call (vendor's page of the call).
const ACTION_IDS_MAX: usize = 100;
/// Most ids in one details call, and most ids in one answer of a search (vendor's page of the call).
const READ_IDS_MAX: usize = 5_000;
/// Ids in one answer of a search that names no `limit`.
const FIND_LIMIT: usize = 100;

/// Requests a minute and customer (vendor's page on rate limits).
const RATE_LIMIT: u32 = 6_000;

/// What the vendor knows.
pub(super) struct CrowdStrike {
    client_id: String,
    client_secret: Secret,
    token_ms: u64,
    settle: Settle,
    devices: BTreeMap<String, Device>,
    /// Tokens of an earlier generation have ended.
    generation: u64,
}

struct Device {
    host: Host,
    /// Since when status and presence are as they are.
    since: Time,
    /// Readings since then. Not in the ledger: counted anew after a restart.
    reads: u32,
}

/// Which call this is.
pub(super) fn understand(request: &Request) -> Call {
    let mut call = Call {
        vendor: Vendor::CrowdStrike,
        action: "unknown",
        targets: Vec::new(),
        mutates: request.method != "GET",
        guarded: true,
        wrong: None,
    };
    match (request.method.as_str(), request.path.as_str()) {
        ("POST", "/oauth2/token") => {
            (call.action, call.mutates, call.guarded) = ("token", false, false);
        }
        ("GET", "/devices/queries/devices/v1") => call.action = "find",
        ("POST", "/devices/entities/devices/v2") => {
            (call.action, call.mutates) = ("read", false);
            (call.targets, call.wrong) = ids_of_body(request, READ_IDS_MAX);
        }
        ("GET", "/devices/entities/devices/v2") => {
            call.action = "read";
            (call.targets, call.wrong) = bounded(request.parameters("ids"), READ_IDS_MAX);
        }
        ("POST", "/devices/entities/devices-actions/v2") => {
            (call.targets, call.wrong) = ids_of_body(request, ACTION_IDS_MAX);
            match request.parameters("action_name").first().map(String::as_str) {
                Some("contain") => call.action = "contain",
                Some("lift_containment") => call.action = "lift_containment",
                _ => call.wrong = Some((400, "action_name: unsupported value".to_owned())),
            }
        }
        (
            _,
            "/oauth2/token"
            | "/devices/queries/devices/v1"
            | "/devices/entities/devices/v2"
            | "/devices/entities/devices-actions/v2",
        ) => {
            call.wrong = Some((405, "method not allowed".to_owned()));
        }
        _ => call.wrong = Some((404, "404: Page Not Found".to_owned())),
    }
    call
}

impl CrowdStrike {
    pub(super) fn new(credentials: (String, Secret), token_ms: u64, settle: Settle) -> CrowdStrike {
        let (client_id, client_secret) = credentials;
        let devices = BTreeMap::new();
        CrowdStrike {
            client_id,
            client_secret,
            token_ms,
            settle,
            devices,
            generation: 0,
        }
    }

    /// Whether the call needs no token or carries one that holds.
    pub(super) fn admits(&self, request: &Request, call: &Call, now: Time) -> bool {
        !call.guarded
            || request
                .bearer
                .as_deref()
                .is_some_and(|token| self.token_holds(token, now))
    }

    /// The answer to a caller who is not admitted.
    pub(super) fn refusal(&self, number: u64) -> Reply {
        failure(401, "access denied, invalid bearer token", number)
    }

    /// The answer and its effects, if the request was carried out now. `told` replaces every status told.
    pub(super) fn answer(
        &self,
        request: &Request,
        call: &Call,
        number: u64,
        now: Time,
        told: Option<Status>,
    ) -> Reply {
        let mut reply = match (&call.wrong, call.action) {
            (Some((status, message)), _) => failure(*status, message, number),
            (None, "token") => self.token(request, number, now),
            (None, "find") => self.find(request, number),
            (None, "read") => self.read(call, number, now, told),
            (None, "contain") => self.act(call, number, Status::contain),
            (None, "lift_containment") => self.act(call, number, Status::lift),
            (None, _) => failure(404, "404: Page Not Found", number),
        };
        // The stand-in limits nothing by itself; `too_many` is scripted.
        reply.headers.push(("x-ratelimit-limit", RATE_LIMIT.to_string()));
        reply
            .headers
            .push(("x-ratelimit-remaining", (RATE_LIMIT - 1).to_string()));
        reply
    }

    /// What is true of the call's targets when nothing is carried out.
    pub(super) fn untouched(&self, call: &Call) -> Vec<Effect> {
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

    /// Makes a ledger line true.
    pub(super) fn replay(&mut self, line: &LedgerLine) {
        let since = Time(line.at_ms);
        match line.action.as_str() {
            "reset" => self.devices.clear(),
            "expire_tokens" => self.generation += 1,
            "host" => {
                if let Some(host) = &line.host {
                    let device = Device {
                        host: host.clone(),
                        since,
                        reads: 0,
                    };
                    self.devices.insert(host.device_id.clone(), device);
                }
            }
            _ if line.changed_state() => {
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

    /// Counts a reading of these hosts.
    pub(super) fn looked_at(&mut self, ids: &[String]) {
        for id in ids {
            if let Some(device) = self.devices.get_mut(id) {
                device.reads = device.reads.saturating_add(1);
            }
        }
    }

    pub(super) fn host(&self, id: &str) -> Option<&Host> {
        self.devices.get(id).map(|device| &device.host)
    }

    pub(super) fn hosts(&self) -> Vec<Host> {
        self.devices.values().map(|device| device.host.clone()).collect()
    }

    fn token(&self, request: &Request, number: u64, now: Time) -> Reply {
        let id = request.form_fields("client_id");
        let secret = request.form_fields("client_secret");
        let ([id], [secret]) = (id.as_slice(), secret.as_slice()) else {
            return failure(400, "client_id and client_secret are required", number);
        };
        if *id != self.client_id || secret != self.client_secret.expose() {
            return failure(401, "access denied, invalid client", number);
        }
        let body = json!({
            "access_token": self.mint(number, now),
            "expires_in": self.token_ms / 1_000,
            "token_type": "bearer",
        });
        let effects = vec![Effect {
            action: "token",
            applied: true,
            ..Effect::default()
        }];
        Reply {
            status: 201,
            headers: vec![("cache-control", "no-store".to_owned())],
            body,
            effects,
        }
    }

    /// A token that says itself until when it holds, so that it outlives the range's process like a real one.
    fn mint(&self, number: u64, now: Time) -> String {
        let Time(until_ms) = now.plus_ms(self.token_ms);
        let claim = format!("{}.{until_ms}.{number}", self.generation);
        format!("{claim}.{}", self.seal(&claim))
    }

    fn token_holds(&self, token: &str, now: Time) -> bool {
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

    fn seal(&self, claim: &str) -> Digest {
        Digest::keyed(self.client_secret.expose().as_bytes(), claim.as_bytes())
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
            .take(limit.min(READ_IDS_MAX))
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
        Reply {
            status: 200,
            headers: Vec::new(),
            body,
            effects,
        }
    }

    fn read(&self, call: &Call, number: u64, now: Time, told: Option<Status>) -> Reply {
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
            resources.push(details(&device.host, told.unwrap_or(status)));
        }
        let body = envelope(Value::Array(resources), Value::Array(errors), number);
        Reply {
            status: 200,
            headers: Vec::new(),
            body,
            effects,
        }
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
        Reply {
            status: 202,
            headers: Vec::new(),
            body,
            effects,
        }
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
        }
    }
}

/// The part of FQL we understand: nothing, or one comparison of a name or an id with a quoted text.
enum Filter {
    /// No filter. As at the vendor, that is the whole estate.
    Everything,
    Name(String),
    Id(String),
}

impl Filter {
    fn parse(text: &str) -> Option<Filter> {
        if text.is_empty() {
            return Some(Filter::Everything);
        }
        let (field, value) = text.split_once(':')?;
        let value = unquote(value)?;
        match field {
            "hostname" => Some(Filter::Name(value)),
            "device_id" => Some(Filter::Id(value)),
            _ => None,
        }
    }

    fn holds(&self, host: &Host) -> bool {
        match self {
            Filter::Everything => true,
            Filter::Name(name) => host.hostname.to_lowercase() == name.to_lowercase(),
            Filter::Id(id) => host.device_id == *id,
        }
    }
}

/// The text between single quotes; a backslash keeps the next character as it is. `None` where the text
/// goes on after the closing quote, so that a name that was not escaped cannot widen a search unseen.
fn unquote(text: &str) -> Option<String> {
    let mut characters = text.strip_prefix('\'')?.chars();
    let mut value = String::new();
    loop {
        match characters.next()? {
            '\\' => value.push(characters.next()?),
            '\'' => return characters.next().is_none().then_some(value),
            other => value.push(other),
        }
    }
}

fn ids_of_body(request: &Request, most: usize) -> (Vec<String>, Option<(u16, String)>) {
    let wrong = |message: &str| (Vec::new(), Some((400, message.to_owned())));
    let Ok(body) = serde_json::from_slice::<Value>(&request.body) else {
        return wrong("invalid request body: not JSON");
    };
    let Some(ids) = body.get("ids").and_then(Value::as_array) else {
        return wrong("ids: required");
    };
    match ids
        .iter()
        .map(|id| id.as_str().map(str::to_owned))
        .collect::<Option<Vec<String>>>()
    {
        Some(ids) => bounded(ids, most),
        None => wrong("ids: must be strings"),
    }
}

fn bounded(ids: Vec<String>, most: usize) -> (Vec<String>, Option<(u16, String)>) {
    let mut once: Vec<String> = Vec::new();
    for id in ids.into_iter().take(most + 1) {
        if !once.contains(&id) {
            once.push(id);
        }
    }
    match once.len() {
        0 => (once, Some((400, "ids: at least one is required".to_owned()))),
        n if n > most => (
            Vec::new(),
            Some((400, format!("ids: at most {most} in one request"))),
        ),
        _ => (once, None),
    }
}

fn details(host: &Host, status: Status) -> Value {
    json!({
        "device_id": host.device_id,
        "hostname": host.hostname,
        "status": status,
        "local_ip": host.local_ip,
        "last_seen": host.last_seen,
        "platform_name": host.platform_name,
        "tags": host.tags,
    })
}

fn unknown(id: &str) -> Value {
    json!({ "code": 404, "message": format!("Resource with id '{id}' not found"), "id": id })
}

/// An answer that says no, in the vendor's envelope.
pub(super) fn failure(status: u16, message: &str, number: u64) -> Reply {
    let errors = json!([{ "code": status, "message": message }]);
    let body = envelope(json!([]), errors, number);
    Reply {
        status,
        headers: Vec::new(),
        body,
        effects: Vec::new(),
    }
}

/// 429. `X-Ratelimit-RetryAfter` is a moment, seconds since 1970 (vendor's page on rate limits).
pub(super) fn too_many(retry_after_s: u64, number: u64, now: Time) -> Reply {
    let until_s = now.0.div_euclid(1_000).saturating_add_unsigned(retry_after_s);
    let mut reply = failure(429, "API rate limit exceeded.", number);
    reply.headers = vec![
        ("retry-after", retry_after_s.to_string()),
        ("x-ratelimit-limit", RATE_LIMIT.to_string()),
        ("x-ratelimit-remaining", "0".to_owned()),
        ("x-ratelimit-retryafter", until_s.to_string()),
    ];
    reply
}

fn envelope(resources: Value, errors: Value, number: u64) -> Value {
    let meta = json!({ "query_time": 0.004, "powered_by": "cordon-range", "trace_id": trace_id(number) });
    json!({ "meta": meta, "resources": resources, "errors": errors })
}

/// A UUID-shaped id that depends on the request's number alone, so that a run can be repeated.
fn trace_id(number: u64) -> String {
    let digits = Digest::of(&number.to_be_bytes()).to_string();
    let part = |from: usize, to: usize| digits.get(from..to).unwrap_or_default();
    format!(
        "{}-{}-{}-{}-{}",
        part(0, 8),
        part(8, 12),
        part(12, 16),
        part(16, 20),
        part(20, 32)
    )
}
