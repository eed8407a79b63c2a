//! The calls of Secrets Manager that rotate. A client token makes a repeat the same rotation.

use serde_json::{Map, Value, json};

use super::super::vendor::{At, Effect, Reply, Request, record};
use super::call::text;
use super::identity::{Kept, StoredSecret};
use super::state::Aws;
use super::xml::refuse;

impl Aws {
    pub(super) fn secrets_manager(&self, request: &Request, action: &'static str, at: At) -> Reply {
        let id = text(request, "SecretId").unwrap_or_default();
        let named = |secret: &&StoredSecret| secret.name == id || secret.arn() == id;
        let Some(secret) = self.secrets.values().find(named) else {
            let why = "Secrets Manager can't find the specified secret.";
            return refuse(true, 400, "ResourceNotFoundException", why, at.number);
        };
        if action == "DescribeSecret" {
            let effect = Effect {
                target: Some(secret.name.clone()),
                ..Effect::read(action)
            };
            return Reply::json(200, described(secret)).with(vec![effect]);
        }
        let token = text(request, "ClientRequestToken")
            .unwrap_or_else(|| super::super::vendor::request_id(at.number));
        if !(32..=64).contains(&token.len()) {
            let why = "ClientRequestToken must have 32 to 64 characters.";
            return refuse(true, 400, "InvalidParameterException", why, at.number);
        }
        let mut after = secret.clone();
        if !after.rotations.contains(&token) {
            after.rotations.push(token.clone());
            after.rotated_at_ms = Some(at.now.0);
        }
        let body = json!({ "ARN": secret.arn(), "Name": secret.name, "VersionId": token });
        let effect = Effect {
            action,
            target: Some(secret.name.clone()),
            target_name: None,
            applied: true,
            before: Some(secret.version()),
            after: Some(after.version()),
            record: record(&Kept::Secret(after)),
        };
        Reply::json(200, body).with(vec![effect])
    }
}

fn described(secret: &StoredSecret) -> Value {
    let mut versions = Map::new();
    let mut stages = ["AWSCURRENT", "AWSPREVIOUS"].iter();
    for token in secret.rotations.iter().rev() {
        if let Some(stage) = stages.next() {
            versions.insert(token.clone(), json!([stage]));
        }
    }
    let mut body = json!({
        "ARN": secret.arn(),
        "Name": secret.name,
        "RotationEnabled": true,
        "VersionIdsToStages": versions,
    });
    if let (Some(ms), Some(body)) = (secret.rotated_at_ms, body.as_object_mut()) {
        // Seconds since 1970 with a fraction, as that protocol writes moments.
        let seconds = std::time::Duration::from_millis(ms.unsigned_abs()).as_secs_f64();
        body.insert("LastRotatedDate".to_owned(), json!(seconds));
    }
    body
}
