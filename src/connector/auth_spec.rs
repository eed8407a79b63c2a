//! `[auth]` of a manifest: how requests prove who sends them. Credentials are named here and given by the
//! instance; nothing here holds one.

use std::ops::Range;

use super::manifest::Transport;
use crate::diagnostic::nearest;
use crate::page::{Page, Table, listed};

/// How requests are authenticated. Credentials are named here and given by the instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthSpec {
    /// Nothing is attached.
    None,
    /// `Authorization: Bearer TOKEN` with the credential `token`.
    Bearer,
    /// As [`AuthSpec::Bearer`] where the instance gives a `token`, and nothing where it does not.
    BearerIfGiven,
    /// The credential `token` in a header of the vendor's own, after a prefix such as `SSWS `.
    Header {
        /// The header's name.
        name: String,
        /// What stands before the token.
        prefix: String,
    },
    /// The credentials `username` and `password`: HTTP Basic, an LDAP simple bind, SMTP `AUTH`.
    Basic,
    /// OAuth 2 client credentials (RFC 6749 §4.4) with the credentials `client_id` and `client_secret`, sent
    /// as form fields.
    Oauth2 {
        /// Where tokens are issued, on the same host.
        token_path: String,
        /// The scope asked for, where the vendor wants one.
        scope: Option<String>,
        /// Further credentials sent as form fields where the instance has them, such as `member_cid`.
        optional: Vec<String>,
    },
    /// AWS Signature Version 4 with the credentials `access_key_id`, `secret_access_key` and perhaps
    /// `session_token`. The region is the setting `region`; with the setting `role_arn` that role is assumed first.
    Sigv4 {
        /// The service's name in the signature, such as `iam`.
        service: String,
        /// Where roles are assumed, one of the manifest's hosts.
        sts_host: Option<String>,
    },
    /// The body is signed as Standard Webhooks 1.0 say, with the credential `secret`. The idempotency key is the
    /// message's id, so a repeat is known as one.
    StandardWebhooks,
}

impl AuthSpec {
    const KINDS: [&'static str; 7] = [
        "none",
        "bearer",
        "header",
        "basic",
        "oauth2",
        "sigv4",
        "standard-webhooks",
    ];

    /// The credentials an instance has to give.
    pub fn credentials(&self) -> &'static [&'static str] {
        match self {
            AuthSpec::None | AuthSpec::BearerIfGiven => &[],
            AuthSpec::Bearer | AuthSpec::Header { .. } => &["token"],
            AuthSpec::Basic => &["username", "password"],
            AuthSpec::Oauth2 { .. } => &["client_id", "client_secret"],
            AuthSpec::Sigv4 { .. } => &["access_key_id", "secret_access_key"],
            AuthSpec::StandardWebhooks => &["secret"],
        }
    }

    /// The credentials an instance may give beside those.
    pub fn optional_credentials(&self) -> Vec<&str> {
        match self {
            AuthSpec::Oauth2 { optional, .. } => optional.iter().map(String::as_str).collect(),
            AuthSpec::BearerIfGiven => vec!["token"],
            AuthSpec::Sigv4 { .. } => vec!["session_token"],
            _ => Vec::new(),
        }
    }
}

/// Reads the table. `None` where it says nothing that could be used.
pub(super) fn read(page: &mut Page<'_>, mut table: Table<'_, '_>, transport: Transport) -> Option<AuthSpec> {
    let kind = table.needed_text(page, "kind")?;
    if transport != Transport::Http && !matches!(kind.value.as_str(), "basic" | "none") {
        page.mistake(
            "C020",
            kind.span,
            format!("`{}` cannot authenticate by `{}`", transport.word(), kind.value),
            "write `kind = \"basic\"`, with the credentials `username` and `password`, or `kind = \"none\"`",
        );
        return None;
    }
    let auth = match kind.value.as_str() {
        "none" => Some(AuthSpec::None),
        "bearer" => Some(if table.is_set(page, "optional") {
            AuthSpec::BearerIfGiven
        } else {
            AuthSpec::Bearer
        }),
        "basic" => Some(AuthSpec::Basic),
        "standard-webhooks" => Some(AuthSpec::StandardWebhooks),
        "header" => table.needed_text(page, "header").map(|name| AuthSpec::Header {
            name: name.value.to_ascii_lowercase(),
            prefix: table
                .text(page, "prefix")
                .map_or(String::new(), |text| text.value),
        }),
        "oauth2" => oauth2(page, &mut table),
        "sigv4" => {
            let service = table.needed_text(page, "service");
            let sts_host = table.text(page, "sts_host").map(|text| text.value);
            service.map(|service| AuthSpec::Sigv4 {
                service: service.value,
                sts_host,
            })
        }
        other => {
            unknown_kind(page, other, kind.span);
            return None;
        }
    };
    table.finish(page);
    auth
}

fn oauth2(page: &mut Page<'_>, table: &mut Table<'_, '_>) -> Option<AuthSpec> {
    let path = table.needed_text(page, "token_path");
    let scope = table.text(page, "scope").map(|text| text.value);
    let optional = table
        .texts(page, "optional")
        .into_iter()
        .map(|text| text.value)
        .collect();
    if let Some(path) = &path {
        super::manifest::check_path(page, &path.value, path.span.clone());
    }
    path.map(|path| AuthSpec::Oauth2 {
        token_path: path.value,
        scope,
        optional,
    })
}

fn unknown_kind(page: &mut Page<'_>, kind: &str, span: Range<usize>) {
    let help = match nearest(kind, AuthSpec::KINDS) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("kinds are {}", listed(&AuthSpec::KINDS)),
    };
    page.mistake(
        "C015",
        span,
        format!("unknown kind of authentication `{kind}`"),
        help,
    );
}
