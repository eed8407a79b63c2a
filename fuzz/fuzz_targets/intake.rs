//! One delivery of a stranger: the first line is taken as a signature header, the rest as the body. Nothing may
//! panic, nothing unsigned may be accepted, and no finding may break its bounds.

#![no_main]

use cordon::clock::Time;
use cordon::intake::{Auth, Headers, builtin_findings, verify};
use cordon::limits::{ALERT_TEXT_CHARS_MAX, ENTITIES_PER_FINDING_MAX, FINDINGS_PER_ALERT_MAX};
use cordon::secret::Secret;
use libfuzzer_sys::fuzz_target;

const NOW: Time = Time(1_795_000_000_000);

fuzz_target!(|delivery: &[u8]| {
    let split = delivery.iter().position(|byte| *byte == b'\n').unwrap_or(0);
    let (header, body) = delivery.split_at(split);
    let body = body.strip_prefix(b"\n").unwrap_or(body);
    let auth = Auth::StandardWebhooks {
        secrets: vec![Secret::new("whsec_CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJ")],
    };
    let headers = Headers::of([
        ("webhook-id", b"msg_1".as_slice()),
        ("webhook-timestamp", b"1795000000".as_slice()),
        ("webhook-signature", header),
    ]);
    assert!(
        verify(&auth, &headers, body, NOW).is_err(),
        "accepted without knowing the secret"
    );
    if let Ok(found) = builtin_findings("fuzz", body, NOW) {
        assert!(found.len() <= FINDINGS_PER_ALERT_MAX);
        for finding in found {
            assert!(finding.entities.len() <= ENTITIES_PER_FINDING_MAX);
            assert!(finding.entities.iter().all(|entity| entity.is_real()));
            assert!(finding.title.chars().count() <= ALERT_TEXT_CHARS_MAX);
        }
    }
});
