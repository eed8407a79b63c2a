//! Requests that prove by a signature who sends them: AWS Signature Version 4, and Standard Webhooks.

use serde_json::{Value, json};

use super::vendor::{Reply, Vendor, invoker, own};
use crate::action::{Outcome, Retry};
use crate::connector::{Acted, Instance, Invoker, Settings};
use crate::secret::Secret;

const IAM: &str = r#"
hosts = ["iam.example.com", "sts.{region}.example.com"]
[auth]
kind = "sigv4"
service = "iam"
sts_host = "sts.{region}.example.com"
[settings]
region = { default = "us-east-1" }
role_arn = "optional"
external_id = "optional"
[actions.list]
title = "Lists"
class = "read"
permission = "iam:ListAccessKeys"
"#;
const LISTS: &str = r#"
    fn list(target, args) {
        let answer = http::get("/", #{ query: #{ Action: "ListAccessKeys", UserName: "a b+c" } });
        #{ done: true, result: answer.status }
    }
"#;

fn keys() -> [(String, Secret); 2] {
    [
        ("access_key_id".to_owned(), Secret::new("AKIDEXAMPLE")),
        (
            "secret_access_key".to_owned(),
            Secret::new("hunter2-of-the-account"),
        ),
    ]
}

fn account(vendor: &Vendor, settings: &[(&str, &str)]) -> Instance {
    Instance {
        name: "own".into(),
        base_url: Some(vendor.base.clone()),
        credentials: keys().into(),
        settings: settings
            .iter()
            .map(|(name, text)| ((*name).to_owned(), json!(text)))
            .collect::<Settings>(),
        ..Instance::default()
    }
}

async fn list(invoker: &Invoker, instance: Instance) -> Acted {
    let bound = own(IAM, LISTS, instance);
    invoker.act(&bound, None, &serde_json::Map::new(), "key-7").await
}

fn xml(status: u16, body: &str) -> Reply {
    Reply::Text(status, "text/xml", body.to_owned())
}

fn refusal(status: u16, code: &str) -> Reply {
    xml(
        status,
        &format!("<ErrorResponse><Error><Code>{code}</Code></Error></ErrorResponse>"),
    )
}

fn word(acted: &Acted) -> String {
    match &acted.outcome {
        Outcome::Done { result, .. } => format!("done {result}"),
        Outcome::NotDone { fault, retry } => format!("not done {retry:?} {}", fault.code),
        Outcome::Unknown { fault } => format!("unknown {}", fault.code),
    }
}

#[tokio::test]
async fn a_request_to_aws_carries_a_signature_over_the_moment_and_the_query() {
    let vendor = Vendor::start().await;
    vendor.on("GET /", xml(200, "<a/>"));
    let acted = list(&invoker(), account(&vendor, &[])).await;
    assert_eq!(word(&acted), "done 200");
    let seen = vendor.seen().remove(0);
    assert!(seen.line.contains("UserName=a%20b%2Bc"), "{}", seen.line);
    assert_eq!(seen.headers["x-amz-date"], "20231114T221320Z");
    let authorization = &seen.headers["authorization"];
    let scope = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20231114/us-east-1/iam/aws4_request, ";
    assert!(authorization.starts_with(scope), "{authorization}");
    assert!(!format!("{acted:?}").contains("hunter2"));
}

#[tokio::test]
async fn refusals_of_aws_mean_what_their_code_says() {
    for (reply, expected) in [
        (refusal(403, "AccessDenied"), "not done Never permission"),
        (refusal(403, "InvalidClientTokenId"), "not done Never credentials"),
        (
            refusal(403, "SignatureDoesNotMatch"),
            "not done Never credentials",
        ),
        (refusal(403, "OptInRequired"), "not done Never refused"),
        (refusal(400, "Throttling"), "not done AfterMs(5000) rate-limited"),
        (refusal(404, "NoSuchEntity"), "done 404"),
        (
            refusal(503, "ServiceUnavailable"),
            "not done Backoff vendor-error",
        ),
    ] {
        let vendor = Vendor::start().await;
        vendor.on("GET /", reply);
        let acted = list(&invoker(), account(&vendor, &[])).await;
        assert_eq!(word(&acted), expected);
        if expected.ends_with("permission") {
            let Outcome::NotDone { fault, .. } = &acted.outcome else {
                panic!("{acted:?}")
            };
            assert!(fault.message.contains("iam:ListAccessKeys"), "{fault}");
        }
    }
}

fn assumed(session: &str, until: &str) -> Reply {
    xml(
        200,
        &format!(
            "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>ASIA{session}</AccessKeyId>\
             <SecretAccessKey>hunter2-of-the-role</SecretAccessKey><SessionToken>{session}</SessionToken>\
             <Expiration>{until}</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"
        ),
    )
}

const ROLE: [(&str, &str); 2] = [
    ("role_arn", "arn:aws:iam::123456789012:role/responder"),
    ("external_id", "cordon-42"),
];

#[tokio::test]
async fn a_role_is_assumed_once_and_signs_from_then_on() {
    let vendor = Vendor::start().await;
    vendor.on("POST /", assumed("one", "2023-11-14T23:13:20Z"));
    vendor.on("GET /", xml(200, "<a/>"));
    let invoker = invoker();
    for _ in 0..2 {
        let acted = list(&invoker, account(&vendor, &ROLE)).await;
        assert_eq!(word(&acted), "done 200");
        assert!(!format!("{acted:?}").contains("hunter2"));
    }
    let seen = vendor.seen();
    assert_eq!(seen.len(), 3);
    let sts = &seen[0];
    assert!(sts.headers["authorization"].contains("Credential=AKIDEXAMPLE/20231114/us-east-1/sts/"));
    assert!(sts.body.contains("Action=AssumeRole") && sts.body.contains("ExternalId=cordon-42"));
    for call in &seen[1..] {
        assert!(call.headers["authorization"].contains("Credential=ASIAone/20231114/us-east-1/iam/"));
        assert_eq!(call.headers["x-amz-security-token"], "one");
    }
}

#[tokio::test]
async fn a_session_that_ended_in_mid_call_is_renewed_once() {
    let vendor = Vendor::start().await;
    vendor.on("POST /", assumed("one", "2023-11-14T23:13:20Z"));
    vendor.on("POST /", assumed("two", "2023-11-14T23:13:20Z"));
    vendor.on("GET /", refusal(403, "ExpiredToken"));
    vendor.on("GET /", xml(200, "<a/>"));
    assert_eq!(word(&list(&invoker(), account(&vendor, &ROLE)).await), "done 200");
    let last = vendor.seen().pop().unwrap();
    assert_eq!(last.headers["x-amz-security-token"], "two");

    let vendor = Vendor::start().await;
    vendor.on("POST /", assumed("one", "2023-11-14T23:13:20Z"));
    vendor.on("GET /", refusal(403, "ExpiredToken"));
    let acted = list(&invoker(), account(&vendor, &ROLE)).await;
    assert_eq!(word(&acted), "not done Never credentials");
    assert_eq!(vendor.seen().len(), 4);
}

#[tokio::test]
async fn a_role_that_may_not_be_assumed_says_what_to_grant() {
    let vendor = Vendor::start().await;
    vendor.on("POST /", refusal(403, "AccessDenied"));
    let acted = list(&invoker(), account(&vendor, &ROLE)).await;
    let Outcome::NotDone { fault, retry } = &acted.outcome else {
        panic!("{acted:?}")
    };
    assert_eq!((fault.code.as_str(), *retry), ("permission", Retry::Never));
    assert!(fault.message.contains("sts:AssumeRole"), "{fault}");
    assert_eq!(vendor.seen().len(), 1);
}

const WEBHOOK: &str = r#"
hosts = "instance"
[auth]
kind = "standard-webhooks"
[actions.send]
title = "Sends"
class = "keyed"
irreversible = true
permission = "none"
args = { body = "required" }
"#;

/// Secret, id and body are those of the vector in the specification of Standard Webhooks; the signature is that of
/// another implementation (Python's hmac).
#[tokio::test]
async fn what_we_send_is_signed_under_the_effects_key() {
    let vendor = Vendor::start().await;
    vendor.on("POST /hook", Reply::Json(200, json!({})));
    let instance = Instance {
        name: "own".into(),
        base_url: Some(vendor.base.clone()),
        credentials: [(
            "secret".to_owned(),
            Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
        )]
        .into(),
        ..Instance::default()
    };
    let script = r#"
        fn send(target, args) {
            http::post("/hook", #{ json: args.body });
            #{ done: true }
        }
    "#;
    let bound = own(WEBHOOK, script, instance);
    let args = json!({ "body": { "test": 2_432_232_314_u64 } });
    let Value::Object(args) = args else {
        panic!("arguments are a map")
    };
    let acted = invoker()
        .act(&bound, None, &args, "msg_p5jXN8AQM9LWM0D4loKWxJek")
        .await;
    assert_eq!(word(&acted), "done null");
    let seen = vendor.seen().remove(0);
    assert_eq!(seen.headers["webhook-id"], "msg_p5jXN8AQM9LWM0D4loKWxJek");
    assert_eq!(seen.headers["webhook-timestamp"], "1700000000");
    assert_eq!(
        seen.headers["webhook-signature"],
        "v1,RFHH31iExVIX9eR+Axu/8oUj19cJTafRybPISX7zj0A="
    );
    assert_eq!(seen.body, r#"{"test":2432232314}"#);
}
