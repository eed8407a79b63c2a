//! What the refusals of AWS mean that concern every call: its services put them under 400 and 403 alike, as XML
//! or as JSON, and only the code tells them apart. Everything else is for the connector's script.
//! Codes: "Common errors" of the IAM and Secrets Manager API references, read 2026-11-23.

use serde_json::Value;

use super::super::client::Incoming;
use super::super::xml;

/// A refusal that means the same for every action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Meaning {
    /// The principal may not do it.
    Permission,
    /// The keys are wrong.
    Credentials,
    /// The keys were good once.
    Expired,
    /// Too many requests.
    Throttled,
}

/// What the answer means, where it is such a refusal.
pub(in super::super) fn meaning(incoming: &Incoming) -> Option<Meaning> {
    if !matches!(incoming.status, 400 | 401 | 403 | 429 | 503) {
        return None;
    }
    let code = code(incoming.body.as_ref().ok()?)?;
    match code.as_str() {
        "AccessDenied" | "AccessDeniedException" | "UnauthorizedOperation" | "UnauthorizedAccess" => {
            Some(Meaning::Permission)
        }
        "ExpiredToken" | "ExpiredTokenException" => Some(Meaning::Expired),
        "InvalidClientTokenId"
        | "InvalidAccessKeyId"
        | "UnrecognizedClientException"
        | "SignatureDoesNotMatch"
        | "InvalidSignatureException"
        | "IncompleteSignature"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "RequestExpired"
        | "AuthFailure" => Some(Meaning::Credentials),
        "Throttling"
        | "ThrottlingException"
        | "ThrottledException"
        | "RequestLimitExceeded"
        | "TooManyRequestsException" => Some(Meaning::Throttled),
        _ => None,
    }
}

/// `Error.Code` of the query services, `__type` of the JSON ones.
fn code(body: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?;
    if let Ok(json) = serde_json::from_str::<Value>(text) {
        let code = json.get("__type").or_else(|| json.get("code"))?.as_str()?;
        // `com.amazonaws.secretsmanager#AccessDeniedException` and the bare word are both in use.
        return code.rsplit('#').next().map(str::to_owned);
    }
    let document = xml::parse(text)?;
    let root = document.as_object()?.values().next()?;
    let error = root
        .get("Error")
        .or_else(|| root.get("Errors").and_then(|errors| errors.get("Error")))
        .unwrap_or(root);
    error.get("Code")?.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn of(status: u16, body: &str) -> Option<Meaning> {
        meaning(&Incoming {
            status,
            headers: BTreeMap::new(),
            body: Ok(body.as_bytes().to_vec()),
        })
    }

    fn query(code: &str) -> String {
        format!("<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code></Error></ErrorResponse>")
    }

    #[test]
    fn refusals_are_told_apart_by_their_code() {
        for (status, body, expected) in [
            (403, query("AccessDenied"), Some(Meaning::Permission)),
            (403, query("InvalidClientTokenId"), Some(Meaning::Credentials)),
            (403, query("SignatureDoesNotMatch"), Some(Meaning::Credentials)),
            (403, query("ExpiredToken"), Some(Meaning::Expired)),
            (400, query("Throttling"), Some(Meaning::Throttled)),
            (404, query("NoSuchEntity"), None),
            (
                400,
                r#"{"__type":"AccessDeniedException","Message":"no"}"#.to_owned(),
                Some(Meaning::Permission),
            ),
            (
                400,
                r#"{"__type":"com.amazonaws.secretsmanager#UnrecognizedClientException"}"#.to_owned(),
                Some(Meaning::Credentials),
            ),
            (400, r#"{"__type":"ResourceNotFoundException"}"#.to_owned(), None),
            (
                403,
                "<Response><Errors><Error><Code>UnauthorizedOperation</Code></Error></Errors></Response>"
                    .to_owned(),
                Some(Meaning::Permission),
            ),
            (403, "no xml".to_owned(), None),
            (200, query("AccessDenied"), None),
        ] {
            assert_eq!(of(status, &body), expected, "{body}");
        }
    }
}
