//! `[connectors.NAME]`: an account at a vendor's, its credentials, and which entities it owns.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use url::Url;

use super::read::{entity_type, is_name};
use super::secret_ref::SecretRef;
use super::source::reference;
use crate::connector::{HostPattern, Overrides, Owns, check_base_url, given_settings};
use crate::page::{Page, Placed, Table};

/// An instance as written.
#[derive(Clone, Debug)]
pub(super) struct InstanceDraft {
    pub(super) name: Placed<String>,
    pub(super) connector: Placed<String>,
    pub(super) base_url: Option<Placed<Url>>,
    pub(super) credentials: Vec<(Placed<String>, Placed<SecretRef>)>,
    pub(super) settings: Vec<(Placed<String>, Placed<serde_json::Value>)>,
    pub(super) hosts: Vec<Placed<HostPattern>>,
    pub(super) ca: Option<Placed<PathBuf>>,
    /// Where `tls = "none"` stands.
    pub(super) without_tls: Option<Range<usize>>,
    pub(super) when: Vec<Owns>,
    pub(super) overrides: Overrides,
}

pub(super) fn read(
    page: &mut Page<'_>,
    name: Placed<String>,
    mut table: Table<'_, '_>,
    dir: &Path,
) -> Option<InstanceDraft> {
    if !is_name(&name.value) {
        page.mistake(
            "K004",
            name.span.clone(),
            format!("`{}` cannot name a connector's instance", name.value),
            "use lower-case letters, digits, `-` and `_`, beginning with a letter",
        );
    }
    // `[connectors.crowdstrike]` alone means the connector of that name.
    let connector = table.text(page, "use").unwrap_or_else(|| name.clone());
    let base_url = table
        .text(page, "base_url")
        .and_then(|text| base_url(page, &text));
    let mut credentials = Vec::new();
    if let Some(table) = table.table(page, "credentials") {
        for (name, text) in table.every_text(page) {
            if let Some(reference) = reference(page, &text.value, text.span, dir) {
                credentials.push((name, reference));
            }
        }
    }
    let settings = table
        .table(page, "settings")
        .map_or_else(Vec::new, |inner| given_settings(page, &inner));
    let hosts = table
        .texts(page, "hosts")
        .into_iter()
        .filter_map(|text| host(page, text))
        .collect();
    let ca = table.text(page, "ca").map(|text| Placed {
        value: dir.join(text.value),
        span: text.span,
    });
    let without_tls = table.text(page, "tls").and_then(|text| {
        if text.value == "none" {
            return Some(text.span);
        }
        page.mistake(
            "K018",
            text.span,
            format!("`{}` says nothing of TLS", text.value),
            "leave `tls` out: TLS is always used; `tls = \"none\"` is for a server on this machine",
        );
        None
    });
    let when = table
        .list(page, "when")
        .into_iter()
        .map(|condition| owns(page, condition))
        .collect();
    let overrides = Overrides {
        lag_ms: table.ms(page, "lag"),
        in_flight_ms: table.ms(page, "in_flight"),
        propagation_ms: table.ms(page, "propagation"),
        timeout_ms: table.ms(page, "timeout"),
    };
    table.finish(page);
    Some(InstanceDraft {
        name,
        connector,
        base_url,
        credentials,
        settings,
        hosts,
        ca,
        without_tls,
        when,
        overrides,
    })
}

fn host(page: &mut Page<'_>, text: Placed<String>) -> Option<Placed<HostPattern>> {
    match HostPattern::parse(&text.value) {
        Ok(value) if value.settings().next().is_none() => Some(Placed {
            value,
            span: text.span,
        }),
        _ => {
            page.mistake(
                "K019",
                text.span,
                format!("`{}` is not a host", text.value),
                "write a DNS name with at least one dot, such as `api.example.com` or `*.example.com`, without scheme, \
                 port or path",
            );
            None
        }
    }
}

fn base_url(page: &mut Page<'_>, text: &Placed<String>) -> Option<Placed<Url>> {
    let url = match Url::parse(&text.value) {
        Ok(url) => url,
        Err(_) => {
            page.mistake(
                "K004",
                text.span.clone(),
                format!("`{}` is not a URL", text.value),
                "write scheme and host, such as `https://api.example.com`",
            );
            return None;
        }
    };
    match check_base_url(&url) {
        Ok(()) => Some(Placed {
            value: url,
            span: text.span.clone(),
        }),
        Err(why) => {
            page.mistake(
                "K009",
                text.span.clone(),
                why.to_string(),
                "credentials and answers would be readable on the way, or go to a place no vendor has",
            );
            None
        }
    }
}

fn owns(page: &mut Page<'_>, mut table: Table<'_, '_>) -> Owns {
    let kinds = table.texts(page, "type");
    let kinds = kinds.iter().filter_map(|word| entity_type(page, word)).collect();
    let names = table
        .texts(page, "names")
        .into_iter()
        .map(|name| name.value)
        .collect();
    let attributes: BTreeMap<String, String> = table
        .table(page, "attributes")
        .map(|inner| inner.every_text(page))
        .unwrap_or_default()
        .into_iter()
        .map(|(name, text)| (name.value, text.value))
        .collect();
    table.finish(page);
    Owns {
        kinds,
        names,
        attributes,
    }
}
