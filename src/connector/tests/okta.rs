use serde_json::{Map, Value, json};

use super::vendor::{NOW, Reply, Vendor, bound_to, invoker};
use crate::action::{Done, Outcome, Retry, Target};
use crate::connector::{Acted, Bound};
use crate::finding::{Entity, EntityType, Role};

const ID: &str = "00uabcdefghijklmnop1";
const SUSPEND: &str = "POST /api/v1/users/00uabcdefghijklmnop1/lifecycle/suspend";
const BY_ID: &str = "GET /api/v1/users/00uabcdefghijklmnop1";
const SEARCH: &str = "GET /api/v1/users";

fn entity(name: &str) -> Entity {
    Entity::new(EntityType::ServiceAccount, Role::Affected, name).unwrap()
}

fn bound(vendor: &Vendor, action: &str) -> Bound {
    bound_to("okta", action, &vendor.base, Some(&entity("svc-backup")))
}

fn user(id: &str, login: &str, status: &str) -> Value {
    json!({ "id": id, "status": status, "profile": { "login": login, "email": "ops@corp.example" } })
}

async fn resolved(vendor: &Vendor, entity: &Entity) -> Result<String, String> {
    let looked = invoker()
        .resolve(&bound(vendor, "identity::suspend"), entity)
        .await;
    looked
        .result
        .map(|target| target.id)
        .map_err(|(fault, _)| fault.code)
}

async fn act(vendor: &Vendor, action: &str) -> Acted {
    let target = Target {
        instance: "okta".into(),
        kind: EntityType::ServiceAccount,
        id: ID.into(),
        name: "svc-backup@corp.example".into(),
        aliases: vec![],
    };
    invoker()
        .act(&bound(vendor, action), Some(&target), &Map::new(), "key-1")
        .await
}

#[tokio::test]
async fn a_login_is_resolved_whole_or_by_its_first_part() {
    let vendor = Vendor::start().await;
    for name in ["svc-backup@corp.example", "svc-backup", "SVC-Backup"] {
        vendor.on(
            &format!("GET /api/v1/users/{name}"),
            Reply::Json(200, user(ID, "svc-backup@corp.example", "ACTIVE")),
        );
        assert_eq!(resolved(&vendor, &entity(name)).await, Ok(ID.into()), "{name}");
    }
    assert_eq!(
        vendor.seen()[0].headers["authorization"],
        "SSWS hunter2-of-the-probe"
    );
}

#[tokio::test]
async fn what_okta_finds_under_another_name_is_not_the_target() {
    // Okta answers `me` with whoever asks, and an id with its owner.
    let vendor = Vendor::start().await;
    for name in ["me", ID] {
        vendor.on(
            &format!("GET /api/v1/users/{name}"),
            Reply::Json(200, user(ID, "cordon@corp.example", "ACTIVE")),
        );
        assert_eq!(
            resolved(&vendor, &entity(name)).await,
            Err("target-not-found".into()),
            "{name}"
        );
    }
}

#[tokio::test]
async fn an_address_that_several_share_is_refused() {
    let vendor = Vendor::start().await;
    let both = json!([
        user(ID, "a@corp.example", "ACTIVE"),
        user("00uabcdefghijklmnop2", "b@corp.example", "ACTIVE")
    ]);
    vendor.on(SEARCH, Reply::Json(200, both));
    assert_eq!(
        resolved(&vendor, &entity("ops@corp.example")).await,
        Err("ambiguous-target".into())
    );
    assert!(
        vendor.asked()[1].contains("profile.email%20eq%20%22ops%40corp.example%22"),
        "{:?}",
        vendor.asked()
    );
}

#[tokio::test]
async fn a_name_that_would_change_the_filter_or_the_path_is_refused_before_anything_is_sent() {
    let vendor = Vendor::start().await;
    for name in [
        "a\" or profile.login sw \"",
        "../groups",
        "a b@corp.example",
        "..",
    ] {
        assert_eq!(
            resolved(&vendor, &entity(name)).await,
            Err("bad-name".into()),
            "{name}"
        );
    }
    assert!(vendor.seen().is_empty());
}

#[tokio::test]
async fn already_suspended_is_believed_only_when_reading_agrees() {
    let refusal = || {
        Reply::Json(
            400,
            json!({ "errorCode": "E0000001", "errorSummary": "Cannot suspend" }),
        )
    };
    for (status, done) in [
        ("SUSPENDED", true),
        ("DEPROVISIONED", true),
        ("STAGED", false),
        ("LOCKED_OUT", false),
    ] {
        let vendor = Vendor::start().await;
        vendor.on(SUSPEND, refusal()).on(
            BY_ID,
            Reply::Json(200, user(ID, "svc-backup@corp.example", status)),
        );
        match act(&vendor, "identity::suspend").await.outcome {
            Outcome::Done { how, .. } => assert!(done && how == Done::AlreadySo, "{status}"),
            Outcome::NotDone { fault, retry } => {
                assert!(
                    !done && fault.code == "refused" && retry == Retry::Never,
                    "{status}: {fault}"
                );
                assert!(
                    fault.message.contains(status) && fault.message.contains("Cannot suspend"),
                    "{fault}"
                );
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn oktas_limit_says_by_the_second_when_it_starts_anew() {
    let vendor = Vendor::start().await;
    let reset = (NOW.0 / 1_000 + 7).to_string();
    vendor.on(SUSPEND, Reply::With(429, "X-Rate-Limit-Reset", reset, json!({})));
    match act(&vendor, "identity::suspend").await.outcome {
        Outcome::NotDone { retry, .. } => assert_eq!(retry, Retry::AfterMs(7_000)),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn clearing_sessions_takes_the_tokens_too() {
    let vendor = Vendor::start().await;
    let path = format!("DELETE /api/v1/users/{ID}/sessions");
    vendor.on(&path, Reply::Json(204, json!(null)));
    let acted = act(&vendor, "identity::revoke_sessions").await;
    assert!(
        matches!(acted.outcome, Outcome::Done { how: Done::Acted, .. }),
        "{acted:?}"
    );
    assert_eq!(
        vendor.asked(),
        [format!("{path}?forgetDevices=true&oauthTokens=true")]
    );
}
