//! What a connector is, read from its `connector.toml`: how to log in, which hosts it may reach, one table per
//! action and, for senders, how alerts arrive. Reads text and nothing else; `catalog` holds it against the
//! connector's scripts.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::de::DeTable;

use super::egress::HostPattern;
use super::page::{Page, Table, listed};
use super::{action_table, rules};
use crate::action::{ActionName, ActionSpec};
use crate::diagnostic::{Diagnostic, nearest};
use crate::limits::{FINDING_WINDOW_MS, VENDOR_REQUEST_MS};

/// A connector, as its manifest says.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// The name of its folder and the namespace of its actions.
    pub name: String,
    /// One line for people.
    pub title: String,
    /// The version of the vendor's interface, or the connector's own.
    pub version: String,
    /// How requests are authenticated.
    pub auth: AuthSpec,
    /// The hosts it may reach. The first that is no pattern is used where an instance names no `base_url`.
    pub hosts: Vec<HostPattern>,
    /// Bounds of its requests.
    pub limits: Limits,
    /// What its requests mean.
    pub http: HttpSpec,
    /// What it can do, in the order of the manifest.
    pub actions: Vec<ActionSpec>,
    /// How alerts arrive, for a connector that sends them.
    pub source: Option<SourceSpec>,
    /// The functions of `actions.rhai` that the tables name.
    pub(super) functions: Vec<FunctionUse>,
}

impl Manifest {
    /// The action with this verb.
    pub fn action(&self, verb: &str) -> Option<&ActionSpec> {
        self.actions.iter().find(|spec| spec.name.verb() == verb)
    }
}

/// A function a manifest relies on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FunctionUse {
    /// Its name in `actions.rhai`.
    pub(super) name: String,
    /// How many arguments it may take; which of them it does decides what it is given.
    pub(super) arities: &'static [usize],
    /// What it is for, to say when it is missing.
    pub(super) purpose: &'static str,
    /// Where the manifest names it.
    pub(super) span: Range<usize>,
}

/// How requests are authenticated. Credentials are named here and given by the instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthSpec {
    /// Nothing is attached.
    None,
    /// `Authorization: Bearer TOKEN` with the credential `token`.
    Bearer,
    /// The credential `token` in a header of the vendor's own, after a prefix such as `SSWS `.
    Header {
        /// The header's name.
        name: String,
        /// What stands before the token.
        prefix: String,
    },
    /// HTTP Basic with the credentials `username` and `password`.
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
}

impl AuthSpec {
    const KINDS: [&'static str; 5] = ["none", "bearer", "header", "basic", "oauth2"];

    /// The credentials an instance has to give.
    pub fn credentials(&self) -> &'static [&'static str] {
        match self {
            AuthSpec::None => &[],
            AuthSpec::Bearer | AuthSpec::Header { .. } => &["token"],
            AuthSpec::Basic => &["username", "password"],
            AuthSpec::Oauth2 { .. } => &["client_id", "client_secret"],
        }
    }
}

/// Bounds of a connector's requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Total time of one request, ms; at most [`VENDOR_REQUEST_MS`].
    pub timeout_ms: u64,
}

/// What a connector's requests mean beyond their method.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpSpec {
    /// Paths whose POST only reads.
    pub reads: Vec<String>,
    /// Statuses by which the vendor promises that it did nothing, per verb. Everything else from 500 up
    /// leaves the outcome unknown.
    pub not_applied: BTreeMap<String, Vec<u16>>,
}

/// How alerts arrive from a sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceSpec {
    /// The ways of authenticating that the sender can do, best first: words of [`SourceSpec::AUTH_KINDS`].
    pub auth: Vec<String>,
    /// What tells one delivery from another.
    pub delivery_id: DeliveryId,
    /// Whether `source.rhai` normalises; without it, deliveries are OCSF findings already.
    pub script: bool,
    /// How long a finding key is remembered, ms.
    pub finding_window_ms: u64,
}

impl SourceSpec {
    /// Ways a sender can authenticate a delivery: those that intake can verify.
    pub const AUTH_KINDS: [&'static str; 6] =
        ["standard-webhooks", "hmac", "bearer", "basic", "header", "none"];
}

/// What tells one delivery of a sender from another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeliveryId {
    /// A header, lower case.
    Header(String),
    /// The digest of the body, where the sender numbers nothing.
    BodyDigest,
}

impl Manifest {
    /// Reads a manifest; `file` is its name in messages. Answers everything that is wrong with it at once.
    pub fn parse(file: &str, text: &str) -> Result<Manifest, Vec<Diagnostic>> {
        let mut page = Page::new(file, text);
        let root = match DeTable::parse(text) {
            Ok(root) => root,
            Err(error) => {
                page.mistake(
                    "C001",
                    error.span().unwrap_or(0..0),
                    format!("this is not TOML: {}", error.message().replace('\n', ", ")),
                    "see the connector guide for a manifest to start from",
                );
                return Err(page.mistakes);
            }
        };
        let manifest = read(&mut page, Table::root(root.get_ref()));
        match manifest {
            Some(manifest) if page.mistakes.is_empty() => Ok(manifest),
            _ => {
                page.mistakes
                    .sort_by_key(|mistake| (mistake.line, mistake.column));
                Err(page.mistakes)
            }
        }
    }
}

fn read(page: &mut Page<'_>, mut root: Table<'_, '_>) -> Option<Manifest> {
    let name = root.needed_text(page, "name");
    let title = root.needed_text(page, "title");
    let version = root.needed_text(page, "version");
    if let Some(name) = &name
        && ActionName::new(&name.value, "verb").is_err()
    {
        page.mistake(
            "C005",
            name.span.clone(),
            format!("`{}` cannot name a connector", name.value),
            "use lower-case letters, digits and `_`, beginning with a letter",
        );
        return None;
    }
    let hosts: Vec<HostPattern> = root
        .texts(page, "hosts")
        .into_iter()
        .filter_map(|host| {
            HostPattern::parse(&host.value)
                .map_err(|why| page.mistake("C009", host.span.clone(), why.message(&host.value), why.help()))
                .ok()
        })
        .collect();
    let auth = root.table(page, "auth").map(|table| read_auth(page, table));
    let limits = read_limits(page, &mut root);
    let reads = root.table(page, "http").map(|table| read_http(page, table));
    let source = root.table(page, "source").map(|table| read_source(page, table));
    let mut tables = Vec::new();
    for (verb, table) in root.tables(page, "actions") {
        // The connector's name is the namespace; where that is wrong, reading goes on for the other mistakes.
        let namespace = name.as_ref().map_or("connector", |name| name.value.as_str());
        if let Some(read) = action_table::read(page, namespace, &verb, table) {
            tables.push(read);
        }
    }
    rules::check(page, &tables);
    if tables.is_empty() && source.is_none() && page.mistakes.is_empty() {
        page.mistake(
            "C003",
            0..0,
            "the manifest has neither `[actions.…]` nor `[source]`",
            "add a table for each action, or `[source]` for a sender of alerts",
        );
    }
    if !tables.is_empty() && hosts.is_empty() && page.mistakes.is_empty() {
        page.mistake(
            "C003",
            0..0,
            "the manifest has no `hosts`",
            "list the hosts the actions may reach, such as `hosts = [\"api.example.com\"]`",
        );
    }
    root.finish(page);

    let mut http = HttpSpec {
        reads: reads.unwrap_or_default(),
        not_applied: BTreeMap::new(),
    };
    let mut functions: Vec<FunctionUse> = Vec::new();
    let mut actions = Vec::new();
    for table in tables {
        if !table.not_applied.is_empty() {
            http.not_applied
                .insert(table.spec.name.verb().to_owned(), table.not_applied);
        }
        functions.extend(table.functions);
        actions.push(table.spec);
    }
    Some(Manifest {
        name: name?.value,
        title: title?.value,
        version: version?.value,
        auth: auth.unwrap_or(Some(AuthSpec::None))?,
        hosts,
        limits,
        http,
        actions,
        source: source.unwrap_or(Some(None))?,
        functions,
    })
}

fn read_auth(page: &mut Page<'_>, mut table: Table<'_, '_>) -> Option<AuthSpec> {
    let kind = table.needed_text(page, "kind")?;
    let auth = match kind.value.as_str() {
        "none" => Some(AuthSpec::None),
        "bearer" => Some(AuthSpec::Bearer),
        "basic" => Some(AuthSpec::Basic),
        "header" => table.needed_text(page, "header").map(|name| AuthSpec::Header {
            name: name.value.to_ascii_lowercase(),
            prefix: table
                .text(page, "prefix")
                .map_or(String::new(), |text| text.value),
        }),
        "oauth2" => {
            let path = table.needed_text(page, "token_path");
            let scope = table.text(page, "scope").map(|text| text.value);
            let optional = table
                .texts(page, "optional")
                .into_iter()
                .map(|text| text.value)
                .collect();
            if let Some(path) = &path {
                check_path(page, &path.value, path.span.clone());
            }
            path.map(|path| AuthSpec::Oauth2 {
                token_path: path.value,
                scope,
                optional,
            })
        }
        other => {
            let help = match nearest(other, AuthSpec::KINDS) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("kinds are {}", listed(&AuthSpec::KINDS)),
            };
            page.mistake(
                "C015",
                kind.span,
                format!("unknown kind of authentication `{other}`"),
                help,
            );
            return None;
        }
    };
    table.finish(page);
    auth
}

fn read_limits(page: &mut Page<'_>, root: &mut Table<'_, '_>) -> Limits {
    let Some(mut table) = root.table(page, "limits") else {
        return Limits {
            timeout_ms: VENDOR_REQUEST_MS,
        };
    };
    let timeout_ms = table
        .duration(page, "timeout", VENDOR_REQUEST_MS)
        .min(VENDOR_REQUEST_MS);
    table.finish(page);
    Limits { timeout_ms }
}

fn read_http(page: &mut Page<'_>, mut table: Table<'_, '_>) -> Vec<String> {
    let mut paths = Vec::new();
    for path in table.texts(page, "reads") {
        check_path(page, &path.value, path.span);
        paths.push(path.value);
    }
    table.finish(page);
    paths
}

fn check_path(page: &mut Page<'_>, path: &str, span: Range<usize>) {
    if super::egress::check_path(path).is_err() {
        page.mistake(
            "C018",
            span,
            format!("`{path}` is not a path"),
            "write the path alone, from its first `/` on, without query or `..`",
        );
    }
}

fn read_source(page: &mut Page<'_>, mut table: Table<'_, '_>) -> Option<Option<SourceSpec>> {
    let kinds = table.texts(page, "auth");
    if kinds.is_empty() {
        table.missing(page, "auth");
    }
    for kind in &kinds {
        if !SourceSpec::AUTH_KINDS.contains(&kind.value.as_str()) {
            let help = match nearest(&kind.value, SourceSpec::AUTH_KINDS) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("kinds are {}", listed(&SourceSpec::AUTH_KINDS)),
            };
            page.mistake(
                "C015",
                kind.span.clone(),
                format!("unknown kind of authentication `{}`", kind.value),
                help,
            );
        }
    }
    let delivery_id = match table.text(page, "delivery_id_header") {
        Some(header) => DeliveryId::Header(header.value.to_ascii_lowercase()),
        None => DeliveryId::BodyDigest,
    };
    let script = table.flag(page, "script");
    let finding_window_ms = table.duration(page, "finding_window", FINDING_WINDOW_MS);
    table.finish(page);
    Some(Some(SourceSpec {
        auth: kinds.into_iter().map(|kind| kind.value).collect(),
        delivery_id,
        script,
        finding_window_ms,
    }))
}

#[cfg(test)]
#[path = "manifest_tests.rs"]
mod tests;
