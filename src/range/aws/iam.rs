//! Calls of IAM. Decides only; nothing is true before the ledger has it.

use super::super::vendor::{At, Effect, Reply, Request, record};
use super::call::parameter;
use super::identity::{AccessKey, Identity, IdentityKind, Kept, KeyStatus};
use super::policy::is_document;
use super::state::Aws;
use super::xml::{Node, done, namespace, refuse};
use crate::digest::Digest;

/// When everything of the seed was made; a stand-in has no history.
const CREATED: &str = "2026-01-05T08:00:00Z";

/// Why a call is not carried out: status, code, message.
type Refusal = (u16, &'static str, String);
type Answer = Result<(Vec<Node>, Vec<Effect>), Refusal>;

impl Aws {
    pub(super) fn iam(&self, request: &Request, action: &'static str, at: At, told: Option<&str>) -> Reply {
        let answer = match action {
            "GetUser" => self.identity_answer(request, IdentityKind::User),
            "GetRole" => self.identity_answer(request, IdentityKind::Role),
            "ListAccessKeys" => self.list_keys(request, told),
            "UpdateAccessKey" => self.update_key(request, action),
            "DeleteAccessKey" => self.delete_key(request, action),
            "GetAccessKeyLastUsed" => self.last_used(request),
            _ => self.policy(request, action),
        };
        match answer {
            Ok((nodes, effects)) => {
                let effects = if effects.is_empty() {
                    vec![Effect::read(action)]
                } else {
                    effects
                };
                done(action, namespace("iam"), &nodes, at.number).with(effects)
            }
            Err((status, code, message)) => refuse(false, status, code, &message, at.number),
        }
    }

    fn named(&self, request: &Request, kind: IdentityKind) -> Result<&Identity, Refusal> {
        let parameter_name = match kind {
            IdentityKind::User => "UserName",
            IdentityKind::Role => "RoleName",
        };
        let name = needed(request, parameter_name)?;
        self.identity(kind, &name).ok_or_else(|| {
            let text = format!("The {} with name {name} cannot be found.", kind.as_str());
            (404, "NoSuchEntity", text)
        })
    }

    fn identity_answer(&self, request: &Request, kind: IdentityKind) -> Answer {
        let it = self.named(request, kind)?;
        let (tree, name, id) = match kind {
            IdentityKind::User => ("User", "UserName", "UserId"),
            IdentityKind::Role => ("Role", "RoleName", "RoleId"),
        };
        let nodes = vec![
            Node::text("Path", "/"),
            Node::text(name, &it.name),
            Node::text(id, it.unique_id()),
            Node::text("Arn", it.arn()),
            Node::text("CreateDate", CREATED),
        ];
        Ok((vec![Node::Tree(tree, nodes)], Vec::new()))
    }

    fn list_keys(&self, request: &Request, told: Option<&str>) -> Answer {
        let user = self.named(request, IdentityKind::User)?;
        let keys = self.keys.values();
        let keys = keys.filter(|key| key.user == user.name && key.status != KeyStatus::Deleted);
        let members = keys.map(|key| {
            let fields = vec![
                Node::text("UserName", &key.user),
                Node::text("AccessKeyId", &key.id),
                Node::text("Status", told.unwrap_or(key.status.as_str())),
                Node::text("CreateDate", CREATED),
            ];
            Node::Tree("member", fields)
        });
        let list = Node::Tree("AccessKeyMetadata", members.collect());
        Ok((vec![list, Node::text("IsTruncated", false)], Vec::new()))
    }

    fn key(&self, request: &Request) -> Result<&AccessKey, Refusal> {
        let id = needed(request, "AccessKeyId")?;
        let user = parameter(request, "UserName");
        let key = self.keys.get(&id).filter(|key| {
            key.status != KeyStatus::Deleted && user.as_ref().is_none_or(|user| key.user == *user)
        });
        let text = format!("The Access Key with id {id} cannot be found.");
        key.ok_or((404, "NoSuchEntity", text))
    }

    fn update_key(&self, request: &Request, action: &'static str) -> Answer {
        let key = self.key(request)?;
        let status = match needed(request, "Status")?.as_str() {
            "Active" => KeyStatus::Active,
            "Inactive" => KeyStatus::Inactive,
            other => return Err((400, "ValidationError", format!("Status `{other}` is not valid."))),
        };
        Ok((Vec::new(), vec![key_effect(action, key, status)]))
    }

    fn delete_key(&self, request: &Request, action: &'static str) -> Answer {
        let key = self.key(request)?;
        Ok((Vec::new(), vec![key_effect(action, key, KeyStatus::Deleted)]))
    }

    fn last_used(&self, request: &Request) -> Answer {
        let key = self.key(request)?;
        let used = vec![Node::text("Region", "N/A"), Node::text("ServiceName", "N/A")];
        let nodes = vec![
            Node::text("UserName", &key.user),
            Node::Tree("AccessKeyLastUsed", used),
        ];
        Ok((nodes, Vec::new()))
    }

    fn policy(&self, request: &Request, action: &'static str) -> Answer {
        let kind = if action.contains("Role") {
            IdentityKind::Role
        } else {
            IdentityKind::User
        };
        let it = self.named(request, kind)?;
        if action.starts_with("List") {
            let names = it.policies.keys().map(|name| Node::text("member", name));
            let list = Node::Tree("PolicyNames", names.collect());
            return Ok((vec![list, Node::text("IsTruncated", false)], Vec::new()));
        }
        let name = needed(request, "PolicyName")?;
        let present = it.policies.get(&name);
        let absent = || {
            let text = format!("The {} policy with name {name} cannot be found.", kind.as_str());
            (404, "NoSuchEntity", text)
        };
        let mut after = it.clone();
        if action.starts_with("Get") {
            let document = present.ok_or_else(absent)?;
            let owner = match kind {
                IdentityKind::User => "UserName",
                IdentityKind::Role => "RoleName",
            };
            let encoded: String = url::form_urlencoded::byte_serialize(document.as_bytes()).collect();
            let nodes = vec![
                Node::text(owner, &it.name),
                Node::text("PolicyName", &name),
                // The vendor encodes by RFC 3986, where a space is %20.
                Node::text("PolicyDocument", encoded.replace('+', "%20")),
            ];
            return Ok((nodes, Vec::new()));
        }
        if action.starts_with("Put") {
            let document = needed(request, "PolicyDocument")?;
            if !is_document(&document) {
                let text = "Syntax errors in policy.".to_owned();
                return Err((400, "MalformedPolicyDocument", text));
            }
            after.policies.insert(name.clone(), document);
        } else {
            present.ok_or_else(absent)?;
            after.policies.remove(&name);
        }
        let word = |it: &Identity| {
            let document = it.policies.get(&name);
            Some(document.map_or_else(
                || "absent".to_owned(),
                |text| format!("document {}", Digest::of(text.as_bytes()).short()),
            ))
        };
        let effect = Effect {
            action,
            target: Some(it.name.clone()),
            target_name: Some(name.clone()),
            applied: true,
            before: word(it),
            after: word(&after),
            record: record(&Kept::Identity(after)),
        };
        Ok((Vec::new(), vec![effect]))
    }
}

fn needed(request: &Request, name: &str) -> Result<String, Refusal> {
    let value = parameter(request, name).filter(|value| !value.is_empty());
    value.ok_or_else(|| (400, "ValidationError", format!("`{name}` is missing.")))
}

fn key_effect(action: &'static str, key: &AccessKey, status: KeyStatus) -> Effect {
    let after = AccessKey {
        status,
        ..key.clone()
    };
    Effect {
        action,
        target: Some(key.id.clone()),
        target_name: Some(key.user.clone()),
        applied: true,
        before: Some(key.status.as_str().to_owned()),
        after: Some(status.as_str().to_owned()),
        record: record(&Kept::Key(after)),
    }
}
