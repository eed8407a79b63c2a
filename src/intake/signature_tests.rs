use ed25519_dalek::{Signer, SigningKey};
use serde::Deserialize;

use super::*;
use crate::clock::Time;
use crate::digest::Digest;
use crate::limits::SIGNATURE_AGE_MS;
use crate::secret::Secret;

const NOW: Time = Time(1_795_000_000_000);
const BODY: &[u8] = br#"{"title":"t"}"#;

/// Configuration as an operator writes it, with secrets in place of references.
fn auth(toml: &str) -> Auth {
    toml::from_str::<Auth<String>>(toml)
        .unwrap()
        .resolve(|text| Ok::<_, ()>(Secret::new(text)))
        .unwrap()
}

fn why(auth: &Auth, headers: &[(&str, &str)], body: &[u8]) -> &'static str {
    verify(auth, &Headers::of(headers.iter().copied()), body, NOW)
        .unwrap_err()
        .why
}

#[derive(Deserialize)]
struct Vector {
    scheme: String,
    secret: String,
    headers: std::collections::BTreeMap<String, String>,
    body: String,
    now_s: i64,
}

fn published() -> Vec<(Auth, Vector)> {
    let file = format!(
        "{}/tests/data/signatures/published.json",
        env!("CARGO_MANIFEST_DIR")
    );
    let vectors: Vec<Vector> = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    vectors
        .into_iter()
        .map(|vector| {
            let toml = match vector.scheme.as_str() {
                "github-sha256" => "kind = 'hmac'\nheader = 'X-Hub-Signature-256'\nprefix = 'sha256='\nid_header = 'X-GitHub-Delivery'",
                "slack-v0" => "kind = 'hmac'\nheader = 'X-Slack-Signature'\nprefix = 'v0='\nsigned = 'v0:{timestamp}:{body}'\ntimestamp = { header = 'X-Slack-Request-Timestamp' }",
                "standard-webhooks-v1" => "kind = 'standard-webhooks'",
                other => panic!("{other}"),
            };
            (auth(&format!("{toml}\nsecrets = [\"{}\"]", vector.secret)), vector)
        })
        .collect()
}

#[test]
fn the_vectors_that_senders_publish_are_accepted() {
    let vectors = published();
    assert_eq!(vectors.len(), 3);
    for (auth, vector) in vectors {
        let verified = verify(
            &auth,
            &Headers::of(&vector.headers),
            vector.body.as_bytes(),
            Time(vector.now_s * 1_000),
        );
        assert!(
            !verified
                .unwrap_or_else(|refused| panic!("{}: {refused}", vector.scheme))
                .weak
        );
    }
}

#[test]
fn any_changed_byte_of_body_or_headers_is_refused() {
    for (auth, vector) in published() {
        let now = Time(vector.now_s * 1_000);
        for n in 0..vector.body.len() {
            let mut body = vector.body.clone().into_bytes();
            body[n] ^= 1;
            assert!(
                verify(&auth, &Headers::of(&vector.headers), &body, now).is_err(),
                "{} byte {n}",
                vector.scheme
            );
        }
        for (name, value) in &vector.headers {
            for n in 0..value.len() {
                let mut changed: Vec<(String, Vec<u8>)> = vector
                    .headers
                    .iter()
                    .map(|(name, value)| (name.clone(), value.clone().into_bytes()))
                    .collect();
                let header = changed.iter_mut().find(|(known, _)| known == name).unwrap();
                header.1[n] ^= 1;
                assert!(
                    verify(&auth, &Headers::of(changed), vector.body.as_bytes(), now).is_err(),
                    "{name} byte {n}"
                );
            }
            let missing = vector.headers.iter().filter(|(known, _)| *known != name);
            assert!(
                verify(&auth, &Headers::of(missing), vector.body.as_bytes(), now).is_err(),
                "without {name}"
            );
            let twice = vector.headers.iter().chain([(name, value)]);
            assert!(
                verify(&auth, &Headers::of(twice), vector.body.as_bytes(), now).is_err(),
                "{name} twice"
            );
        }
    }
}

#[test]
fn a_timestamp_outside_five_minutes_is_refused_in_both_directions() {
    for (auth, vector) in published().into_iter().filter(|(_, vector)| vector.now_s > 0) {
        let at = |ms: i64| {
            verify(
                &auth,
                &Headers::of(&vector.headers),
                vector.body.as_bytes(),
                Time(vector.now_s * 1_000 + ms),
            )
        };
        let age = i64::try_from(SIGNATURE_AGE_MS).unwrap();
        assert!(at(age).is_ok() && at(-age).is_ok());
        assert_eq!(at(age + 1).unwrap_err().why, "the timestamp is too old");
        assert_eq!(at(-age - 1).unwrap_err().why, "the timestamp is in the future");
    }
}

fn hex(key: &[u8], message: &[u8]) -> String {
    Digest::keyed(key, message).to_string()
}

fn base64(key: &[u8], message: &[u8]) -> String {
    data_encoding::BASE64.encode(&Digest::keyed(key, message).0)
}

#[test]
fn each_sender_s_way_to_sign_can_be_described() {
    let body = BODY;
    let joined = |parts: &[&[u8]]| parts.concat();
    let (s, ms) = ("1795000000", "1795000000000");
    for (toml, headers) in [
        (
            "header = 'Gitguardian-Signature'\nprefix = 'sha256='\nkey = 'timestamp-then-secret'\ntimestamp = { header = 'Timestamp' }",
            vec![
                (
                    "gitguardian-signature",
                    format!("sha256={}", hex(&joined(&[s.as_bytes(), b"secret"]), body)),
                ),
                ("timestamp", s.into()),
            ],
        ),
        (
            "header = 'X-PagerDuty-Signature'\nprefix = 'v1='\nseparator = ','",
            vec![(
                "x-pagerduty-signature",
                format!("v1={}, v1={}", hex(b"other", body), hex(b"secret", body)),
            )],
        ),
        (
            "header = 'X-Grafana-Alerting-Signature'\nsigned = '{timestamp}:{body}'\ntimestamp = { header = 'X-Time' }",
            vec![
                (
                    "x-grafana-alerting-signature",
                    hex(b"secret", &joined(&[s.as_bytes(), b":", body])).to_uppercase(),
                ),
                ("x-time", s.into()),
            ],
        ),
        (
            "header = 'WorkOS-Signature'\nprefix = 'v1='\nseparator = ','\nsigned = '{timestamp}.{body}'\ntimestamp = { header = 'WorkOS-Signature', prefix = 't=', unit = 'ms' }",
            vec![(
                "workos-signature",
                format!(
                    "t={ms}, v1={}",
                    hex(b"secret", &joined(&[ms.as_bytes(), b".", body]))
                ),
            )],
        ),
        (
            "header = 'X-BambooHR-Signature'\nsigned = '{body}{timestamp}'\ntimestamp = { header = 'X-BambooHR-Timestamp' }",
            vec![
                (
                    "x-bamboohr-signature",
                    hex(b"secret", &joined(&[body, s.as_bytes()])),
                ),
                ("x-bamboohr-timestamp", s.into()),
            ],
        ),
        (
            "header = 'X-Cs-Primary-Signature'\nsecond_header = 'X-Cs-Secondary-Signature'\nencoding = 'base64'\nsigned = '{body}{timestamp}'\ntimestamp = { header = 'X-Cs-Delivery-Timestamp' }",
            vec![
                ("x-cs-primary-signature", base64(b"new", body)),
                (
                    "x-cs-secondary-signature",
                    base64(b"secret", &joined(&[body, s.as_bytes()])),
                ),
                ("x-cs-delivery-timestamp", s.into()),
            ],
        ),
    ] {
        let auth = auth(&format!(
            "kind = 'hmac'\nsecrets = ['not this', 'secret']\n{toml}"
        ));
        assert_eq!(auth.check(), Ok(()), "{toml}");
        let headers = Headers::of(headers);
        assert!(verify(&auth, &headers, body, NOW).is_ok(), "{toml}");
        assert!(verify(&auth, &headers, b"{}", NOW).is_err(), "{toml}");
    }
}

#[test]
fn sha_512_is_rfc_4231_test_case_2() {
    let mac = "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737";
    let auth = auth("kind = 'hmac'\nsecrets = ['Jefe']\nheader = 'x'\nhash = 'sha512'");
    assert!(
        verify(
            &auth,
            &Headers::of([("x", mac)]),
            b"what do ya want for nothing?",
            NOW
        )
        .is_ok()
    );
}

#[test]
fn a_malformed_signature_is_not_passed_over_for_a_good_one() {
    let good = format!("v1={}", hex(b"secret", BODY));
    let auth_of =
        auth("kind = 'hmac'\nsecrets = ['secret']\nheader = 'sig'\nprefix = 'v1='\nseparator = ','");
    assert_eq!(
        why(&auth_of, &[("sig", &format!("v1=zz,{good}"))], BODY),
        "a signature is malformed"
    );
    assert_eq!(
        why(&auth_of, &[("sig", "v2=00")], BODY),
        "the header holds no signature of the wanted kind"
    );
    assert_eq!(
        why(&auth_of, &[("sig", &[good.as_str(); 17].join(","))], BODY),
        "the header holds too many signatures"
    );
    assert_eq!(
        why(&auth_of, &[("sig", &good[..good.len() - 2])], BODY),
        "no signature fits"
    );
    let github =
        auth("kind = 'hmac'\nsecrets = ['secret']\nheader = 'X-Hub-Signature-256'\nprefix = 'sha256='");
    let old = ("x-hub-signature", "sha1=0000");
    assert_eq!(
        why(&github, &[("x-hub-signature-256", "sha1=00"), old], BODY),
        "the signature has another prefix"
    );
    assert_eq!(why(&github, &[old], BODY), "the signature header is missing");
}

fn signed(key: &SigningKey) -> String {
    let message = [b"msg_1.1795000000.".as_slice(), BODY].concat();
    format!(
        "v1a,{}",
        data_encoding::BASE64.encode(&key.sign(&message).to_bytes())
    )
}

#[test]
fn standard_webhooks_with_ed25519() {
    let key = SigningKey::from_bytes(&[7; 32]);
    let public = format!(
        "whpk_{}",
        data_encoding::BASE64.encode(key.verifying_key().as_bytes())
    );
    let shared = format!("whsec_{}", data_encoding::BASE64.encode(&[9; 32]));
    let both = auth(&format!(
        "kind = 'standard-webhooks'\nsecrets = ['{public}', '{shared}']"
    ));
    let symmetric = format!(
        "v1,{}",
        base64(&[9; 32], &[b"msg_1.1795000000.".as_slice(), BODY].concat())
    );
    let headers = |signature: &str| {
        Headers::of([
            ("webhook-id", "msg_1"),
            ("webhook-timestamp", "1795000000"),
            ("webhook-signature", signature),
        ])
    };
    let good = verify(&both, &headers(&signed(&key)), BODY, NOW).unwrap();
    assert_eq!(
        good,
        Verified {
            rule: "standard-webhooks v1a",
            delivery_id: Some("msg_1".into()),
            weak: false
        }
    );
    assert_eq!(
        verify(&both, &headers(&symmetric), BODY, NOW).unwrap().rule,
        "standard-webhooks v1"
    );
    assert!(
        verify(&both, &headers(&format!("v9,x {}", signed(&key))), BODY, NOW).is_ok(),
        "a version to come"
    );
    // A forged asymmetric signature is not forgiven for a symmetric one that fits.
    let forged = format!("{} {symmetric}", signed(&SigningKey::from_bytes(&[8; 32])));
    assert_eq!(
        verify(&both, &headers(&forged), BODY, NOW).unwrap_err().why,
        "no `v1a` signature fits"
    );
    for malformed in ["v1a,AAAA", "v1a,!", "v1", "v1,", "v1,AAAA"] {
        assert!(
            verify(&both, &headers(&format!("{malformed} {symmetric}")), BODY, NOW).is_err(),
            "{malformed}"
        );
    }
    for n in 0..BODY.len() {
        let mut body = BODY.to_vec();
        body[n] ^= 0x20;
        assert!(
            verify(&both, &headers(&signed(&key)), &body, NOW).is_err(),
            "byte {n}"
        );
    }
    let svix = Headers::of([
        ("svix-id", "msg_1"),
        ("svix-timestamp", "1795000000"),
        ("svix-signature", symmetric.as_str()),
    ]);
    assert!(verify(&both, &svix, BODY, NOW).is_ok());
    let mixed = Headers::of([
        ("webhook-id", "msg_1"),
        ("svix-id", "msg_1"),
        ("svix-timestamp", "1795000000"),
        ("svix-signature", symmetric.as_str()),
    ]);
    assert!(verify(&both, &mixed, BODY, NOW).is_err());
}

#[test]
fn the_border_between_id_time_and_body_cannot_be_moved() {
    let shared = format!("whsec_{}", data_encoding::BASE64.encode(&[9; 32]));
    let auth = auth(&format!("kind = 'standard-webhooks'\nsecrets = ['{shared}']"));
    // Signed by the sender as id `a`, time 1, body `1795000000.{}`: the same bytes as id `a.1` and a fresh time.
    let signature = format!("v1,{}", base64(&[9; 32], b"a.1.1795000000.{}"));
    let headers = [
        ("webhook-id", "a.1"),
        ("webhook-timestamp", "1795000000"),
        ("webhook-signature", signature.as_str()),
    ];
    assert_eq!(why(&auth, &headers, b"{}"), "`webhook-id` is not an id");
}

#[test]
fn fixed_values_are_weak_and_exact() {
    let header = auth("kind = 'header'\nheader = 'X-Token'\nsecrets = ['new', 'old']");
    for token in ["new", "old"] {
        assert!(
            verify(&header, &Headers::of([("x-token", token)]), BODY, NOW)
                .unwrap()
                .weak
        );
    }
    for token in ["", "ne", "newer", "New", "new old"] {
        assert_eq!(
            why(&header, &[("x-token", token)], BODY),
            "the header has another value",
            "{token}"
        );
    }
    let bearer = auth("kind = 'bearer'\nsecrets = ['tok']");
    assert!(
        verify(
            &bearer,
            &Headers::of([("Authorization", "bearer tok")]),
            BODY,
            NOW
        )
        .is_ok()
    );
    for value in ["tok", "Basic tok", "Bearer", "Bearer tok2", "Bearer "] {
        assert!(
            verify(&bearer, &Headers::of([("authorization", value)]), BODY, NOW).is_err(),
            "{value}"
        );
    }
    let basic = auth("kind = 'basic'\nuser = 'splunk'\nsecrets = ['pa:ss']");
    let of = |pair: &str| format!("Basic {}", data_encoding::BASE64.encode(pair.as_bytes()));
    assert!(
        verify(
            &basic,
            &Headers::of([("authorization", of("splunk:pa:ss"))]),
            BODY,
            NOW
        )
        .is_ok()
    );
    for pair in ["splunk:pa", "other:pa:ss", "splunk", ":pa:ss", "splunk:"] {
        assert!(
            verify(&basic, &Headers::of([("authorization", of(pair))]), BODY, NOW).is_err(),
            "{pair}"
        );
    }
}

#[test]
fn what_is_not_configured_accepts_nothing() {
    for toml in [
        "kind = 'header'\nheader = 'x'\nsecrets = []",
        "kind = 'header'\nheader = 'x'\nsecrets = ['']",
        "kind = 'header'\nheader = 'x'\nsecrets = ['good', '  ']",
        "kind = 'header'\nheader = ''\nsecrets = ['good']",
        "kind = 'bearer'\nsecrets = []",
        "kind = 'basic'\nuser = ''\nsecrets = ['']",
        "kind = 'basic'\nuser = 'a:b'\nsecrets = ['x']",
        "kind = 'standard-webhooks'\nsecrets = ['']",
        "kind = 'standard-webhooks'\nsecrets = ['whsec_']",
        "kind = 'standard-webhooks'\nsecrets = ['whsec_c2hvcnQ=']",
        "kind = 'standard-webhooks'\nsecrets = ['whpk_AAAA']",
        "kind = 'standard-webhooks'\nsecrets = ['CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJ']",
        "kind = 'hmac'\nheader = 'x'\nsecrets = ['']",
        "kind = 'hmac'\nheader = ''\nsecrets = ['x']",
        "kind = 'hmac'\nheader = 'x'\nsecrets = ['x']\nsigned = 'constant'",
        "kind = 'hmac'\nheader = 'x'\nsecrets = ['x']\nsigned = '{body}{boddy}'",
        "kind = 'hmac'\nheader = 'x'\nsecrets = ['x']\nsigned = '{id}{body}'",
        "kind = 'hmac'\nheader = 'x'\nsecrets = ['x']\nsigned = '{timestamp}{body}'",
        "kind = 'hmac'\nheader = 'x'\nsecrets = ['x']\ntimestamp = { header = 't' }",
        "kind = 'hmac'\nheader = 'x'\nsecrets = ['=']\nkey = 'base64'",
        "kind = 'none'\nanyone_may_send = false",
    ] {
        let auth = auth(toml);
        assert!(auth.check().is_err(), "{toml}");
        let empty = hex(b"", BODY);
        let headers = [
            ("x", empty.as_str()),
            ("authorization", "Bearer "),
            ("t", "1795000000"),
        ];
        assert_eq!(
            why(&auth, &headers, BODY),
            "the source's authentication is not configured",
            "{toml}"
        );
    }
    assert!(
        verify(
            &auth("kind = 'none'\nanyone_may_send = true"),
            &Headers::default(),
            BODY,
            NOW
        )
        .unwrap()
        .weak
    );
    for toml in [
        "kind = 'none'",
        "kind = 'hmac'\nheader = 'x'\nsecrets = ['x']\nsined = 'y'",
        "kind = 'magic'",
    ] {
        assert!(toml::from_str::<Auth<String>>(toml).is_err(), "{toml}");
    }
}

#[test]
fn a_refusal_never_shows_what_was_sent() {
    let header = auth("kind = 'header'\nheader = 'X-Token'\nsecrets = ['hunter2']");
    let refused = verify(&header, &Headers::of([("x-token", "hunter3")]), BODY, NOW).unwrap_err();
    assert!(!refused.to_string().contains("hunter") && !format!("{header:?}").contains("hunter"));
}
