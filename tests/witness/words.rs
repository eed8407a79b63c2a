//! The vendors' words of the range's ledger, and ours.

use cordon::range::LedgerLine;

/// A change and what takes it back, in our words.
pub const PAIRS: [(&str, &str); 5] = [
    ("crowdstrike::contain_host", "crowdstrike::lift_containment"),
    ("okta::suspend_user", "okta::unsuspend_user"),
    ("okta::add_member", "okta::remove_member"),
    ("aws::deactivate_key", "aws::reactivate_key"),
    ("aws::deny", "aws::undeny"),
];

/// Our action for what a vendor was asked: `None` for what the vendor does by itself and for what only looks, and for
/// messages, which are told at least once and judged by their keys. `Err` for a word that is not known here: the
/// checker would be blind to it.
pub fn our_word(line: &LedgerLine) -> Result<Option<&'static str>, String> {
    let becomes = line.state_after.as_deref().unwrap_or_default();
    Ok(Some(match (line.vendor.as_str(), line.action.as_str()) {
        ("crowdstrike", "contain") => "crowdstrike::contain_host",
        ("crowdstrike", "lift_containment") => "crowdstrike::lift_containment",
        ("okta", "suspend") => "okta::suspend_user",
        ("okta", "unsuspend") => "okta::unsuspend_user",
        ("okta", "clear_sessions") => "okta::clear_sessions",
        (
            "okta",
            "revoke_token" | "revoke_api_token" | "revoke_tokens" | "revoke_grant" | "revoke_grants",
        ) => "okta::revoke_token",
        ("okta", "add_to_group") => "okta::add_member",
        ("okta", "remove_from_group") => "okta::remove_member",
        ("aws", "UpdateAccessKey") if becomes == "Active" => "aws::reactivate_key",
        ("aws", "UpdateAccessKey") => "aws::deactivate_key",
        ("aws", "DeleteAccessKey") => "aws::delete_key",
        ("aws", "PutUserPolicy" | "PutRolePolicy") => "aws::deny",
        ("aws", "DeleteUserPolicy" | "DeleteRolePolicy") => "aws::undeny",
        ("aws", "RotateSecret") => "secretsmanager::rotate",
        ("range", _) | (_, "settle") | ("slack" | "mail", _) => return Ok(None),
        _ if is_reading(line) => return Ok(None),
        (vendor, action) => return Err(format!("the checker does not know `{action}` of {vendor}")),
    }))
}

/// A look: those of AWS are told by their names, all others by their method.
fn is_reading(line: &LedgerLine) -> bool {
    let by_name = ["Get", "List", "Describe", "Assume"];
    line.method == "GET"
        || ["read", "find", "token", "unknown"].contains(&line.action.as_str())
        || (line.vendor == "aws" && by_name.iter().any(|start| line.action.starts_with(start)))
}

/// A state without how far the vendor has come with it.
pub fn state(word: &str) -> &str {
    match word {
        "containment_pending" => "contained",
        "lift_containment_pending" => "normal",
        other => other,
    }
}

/// The vendor's id of what a line is about. Okta ends all tokens that one application holds of a user by a path that
/// names both, and its ledger line is about the user.
pub fn target(line: &LedgerLine) -> String {
    let application = line
        .path
        .split("/clients/")
        .nth(1)
        .filter(|_| line.action == "revoke_tokens");
    let application = application.map(|rest| rest.trim_end_matches("/tokens").to_owned());
    application.or_else(|| line.target.clone()).unwrap_or_default()
}

/// The part of a target's id that both sides know: journals keep the ids that actions are called with, which may hold
/// the owner first, or be the whole resource name of AWS.
pub fn last_part(id: &str) -> &str {
    let secret = id
        .split_once(":secret:")
        .and_then(|(_, name)| name.rsplit_once('-'));
    let id = secret.map_or(id, |(name, _)| name);
    id.rsplit('/').next().unwrap_or(id)
}

/// Whether a ledger line is about the target that a journal resolved.
pub fn is_about(line: &LedgerLine, id: &str) -> bool {
    last_part(&target(line)) == last_part(id)
}
