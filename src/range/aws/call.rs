//! Which call a request is: the `Action` of a form, or the `X-Amz-Target` of JSON. Looks at the request only.

use serde_json::Value;

use super::super::vendor::{Call, Door, Request};
use super::NAME;

/// Calls of the Query protocol: name, service, the parameter that names the target, whether it changes something.
const QUERIES: &[(&str, &str, &str, bool)] = &[
    ("GetUser", "iam", "UserName", false),
    ("GetRole", "iam", "RoleName", false),
    ("ListAccessKeys", "iam", "UserName", false),
    ("UpdateAccessKey", "iam", "AccessKeyId", true),
    ("DeleteAccessKey", "iam", "AccessKeyId", true),
    ("GetAccessKeyLastUsed", "iam", "AccessKeyId", false),
    ("ListUserPolicies", "iam", "UserName", false),
    ("GetUserPolicy", "iam", "UserName", false),
    ("PutUserPolicy", "iam", "UserName", true),
    ("DeleteUserPolicy", "iam", "UserName", true),
    ("ListRolePolicies", "iam", "RoleName", false),
    ("GetRolePolicy", "iam", "RoleName", false),
    ("PutRolePolicy", "iam", "RoleName", true),
    ("DeleteRolePolicy", "iam", "RoleName", true),
    ("AssumeRole", "sts", "RoleArn", false),
    ("GetCallerIdentity", "sts", "", false),
];

/// Calls in JSON: name, whether it changes something. The target is `SecretId`.
const SECRETS: &[(&str, bool)] = &[("DescribeSecret", false), ("RotateSecret", true)];

/// Whether the caller speaks JSON.
pub(super) fn is_json(request: &Request) -> bool {
    request.header("x-amz-target").is_some()
}

/// A parameter of a query, from the form or the query.
pub(super) fn parameter(request: &Request, name: &str) -> Option<String> {
    let form = request.form_fields(name).into_iter().next();
    form.or_else(|| request.parameters(name).into_iter().next())
}

/// A text in the body of a JSON call.
pub(super) fn text(request: &Request, name: &str) -> Option<String> {
    let body: Value = serde_json::from_slice(&request.body).ok()?;
    body.get(name)?.as_str().map(str::to_owned)
}

/// Which call this is, if it is one of AWS: everything at the root.
pub(super) fn understand(request: &Request) -> Option<Call> {
    if request.door != Door::Http || request.path != "/" {
        return None;
    }
    if let Some(target) = request.header("x-amz-target") {
        let name = target.strip_prefix("secretsmanager.").unwrap_or(target);
        let Some((name, changes)) = SECRETS.iter().find(|(known, _)| *known == name) else {
            return Some(Call::wrong(NAME, 400, "UnknownOperationException"));
        };
        return Some(call(name, text(request, "SecretId"), *changes));
    }
    let action = parameter(request, "Action").unwrap_or_default();
    let known = QUERIES.iter().find(|(name, ..)| *name == action);
    Some(match known {
        Some((name, _, target, changes)) => call(name, parameter(request, target), *changes),
        None => Call::wrong(NAME, 400, "InvalidAction"),
    })
}

/// The service a query belongs to.
pub(super) fn service(action: &str) -> &'static str {
    let known = QUERIES.iter().find(|(name, ..)| *name == action);
    known.map_or("secretsmanager", |(_, service, ..)| service)
}

fn call(action: &'static str, target: Option<String>, changes: bool) -> Call {
    Call {
        targets: target.into_iter().filter(|target| !target.is_empty()).collect(),
        mutates: changes,
        ..Call::reading(NAME, action)
    }
}
