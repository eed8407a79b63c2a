//! The part of the policy language that containment writes: whether documents deny a caller everything.

use serde_json::Value;

use crate::clock::Time;

/// Whether the text is a policy document at all.
pub(super) fn is_document(text: &str) -> bool {
    let document = serde_json::from_str::<Value>(text).ok();
    document.is_some_and(|document| document.get("Version").is_some() && document.get("Statement").is_some())
}

/// Whether one of the documents denies everything to a caller. `issued` is when the session of the caller began;
/// a long-lived key has none.
pub(super) fn denies_all<'a>(documents: impl Iterator<Item = &'a String>, issued: Option<Time>) -> bool {
    documents
        .filter_map(|text| serde_json::from_str::<Value>(text).ok())
        .any(|document| {
            statements(&document)
                .iter()
                .any(|statement| denies(statement, issued))
        })
}

fn statements(document: &Value) -> Vec<Value> {
    match document.get("Statement") {
        Some(Value::Array(several)) => several.clone(),
        Some(one) => vec![one.clone()],
        None => Vec::new(),
    }
}

fn denies(statement: &Value, issued: Option<Time>) -> bool {
    let is = |name: &str, wanted: &str| match statement.get(name) {
        Some(Value::String(text)) => text == wanted,
        Some(Value::Array(texts)) => texts.iter().any(|text| text == wanted),
        _ => false,
    };
    if !(is("Effect", "Deny") && is("Action", "*") && is("Resource", "*")) {
        return false;
    }
    let Some(Value::Object(condition)) = statement.get("Condition") else {
        return true;
    };
    condition.iter().all(|(operator, keys)| {
        let limit = keys
            .get("aws:TokenIssueTime")
            .and_then(Value::as_str)
            .and_then(Time::parse);
        match (operator.as_str(), limit, issued) {
            ("DateLessThan" | "DateLessThanIfExists", Some(limit), Some(issued)) => issued < limit,
            ("DateLessThanIfExists", Some(_), None) => true,
            // A key that is not there matches nothing; other operators are not understood.
            _ => false,
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(text: &str) -> Option<Time> {
        Some(Time::parse(text).unwrap())
    }

    fn denies(statement: Value, issued: Option<Time>) -> bool {
        let text = json!({ "Version": "2012-10-17", "Statement": statement }).to_string();
        assert!(is_document(&text));
        denies_all([text].iter(), issued)
    }

    #[test]
    fn a_deny_of_everything_ends_keys_and_sessions() {
        let all = json!([{ "Effect": "Deny", "Action": ["*"], "Resource": "*" }]);
        assert!(denies(all.clone(), None));
        assert!(denies(all, at("2026-11-23T10:00:00Z")));
    }

    #[test]
    fn a_moment_ends_the_sessions_before_it_and_no_key() {
        let older = json!({ "Effect": "Deny", "Action": "*", "Resource": "*",
            "Condition": { "DateLessThan": { "aws:TokenIssueTime": "2026-11-23T10:00:00Z" } } });
        assert!(denies(older.clone(), at("2026-11-23T09:59:59Z")));
        assert!(!denies(older.clone(), at("2026-11-23T10:00:00Z")));
        assert!(!denies(older, None));
    }

    #[test]
    fn an_allow_and_a_narrow_deny_end_nothing() {
        assert!(!denies(
            json!([{ "Effect": "Allow", "Action": "*", "Resource": "*" }]),
            None
        ));
        assert!(!denies(
            json!([{ "Effect": "Deny", "Action": "s3:*", "Resource": "*" }]),
            None
        ));
    }
}
