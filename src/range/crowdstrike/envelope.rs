//! Bodies of answers, in the vendor's envelope of `meta`, `resources` and `errors`.

use serde_json::{Value, json};

use super::super::vendor::{Reply, request_id};
use super::host::Host;
use crate::clock::Time;

/// Requests a minute and customer. General knowledge, not compared with the vendor.
pub(super) const RATE_LIMIT: u32 = 6_000;

/// A host as details tell it.
pub(super) fn details(host: &Host, status: &str) -> Value {
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

/// The entry in `errors` of an id nobody has.
pub(super) fn unknown(id: &str) -> Value {
    json!({ "code": 404, "message": format!("Resource with id '{id}' not found"), "id": id })
}

/// An answer that says no, in the vendor's envelope.
pub(super) fn failure(status: u16, message: &str, number: u64) -> Reply {
    let errors = json!([{ "code": status, "message": message }]);
    Reply::json(status, envelope(json!([]), errors, number))
}

/// 429. `X-Ratelimit-RetryAfter` is a moment, seconds since 1970 (our notes on vendor APIs, 2026-11-23).
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

pub(super) fn envelope(resources: Value, errors: Value, number: u64) -> Value {
    let meta = json!({ "query_time": 0.004, "powered_by": "cordon-range", "trace_id": request_id(number) });
    json!({ "meta": meta, "resources": resources, "errors": errors })
}
