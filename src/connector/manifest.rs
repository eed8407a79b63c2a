//! What a connector is, read from its `connector.toml`: how to log in, which hosts it may reach, one table per
//! action and, for senders, how alerts arrive. Reads text and nothing else; `catalog` holds it against the
//! connector's scripts.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::de::DeTable;

use super::auth_spec::{self, AuthSpec};
use super::egress::HostPattern;
use super::sender::{Challenge, LookUpSpec, SettingKind};
use super::settings::{self, SettingSpec};
use super::{action_table, rules, sender};
use crate::action::{ActionName, ActionSpec};
use crate::diagnostic::{Diagnostic, nearest};
use crate::limits::VENDOR_REQUEST_MS;
use crate::page::{Codes, Page, Table, listed};

/// Of the mistakes that every manifest can have.
const CODES: Codes = Codes {
    unknown: "C002",
    missing: "C003",
    wrong: "C004",
    duration: "C008",
};

/// A connector, as its manifest says.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// The name of its folder and the namespace of its actions.
    pub name: String,
    /// One line for people.
    pub title: String,
    /// The version of the vendor's interface, or the connector's own.
    pub version: String,
    /// What its scripts speak.
    pub transport: Transport,
    /// How requests are authenticated.
    pub auth: AuthSpec,
    /// The hosts it may reach. The first that is no pattern is used where an instance names no `base_url`.
    pub hosts: Vec<HostPattern>,
    /// True for `hosts = "instance"`: each instance lists the hosts itself.
    pub hosts_by_instance: bool,
    /// What an instance may or has to say beside its credentials.
    pub settings: BTreeMap<String, SettingSpec>,
    /// Bounds of its requests.
    pub limits: Limits,
    /// What its requests mean.
    pub http: HttpSpec,
    /// Parts of results that are secret, per verb: paths of member names below the result.
    pub secrets: BTreeMap<String, Vec<Vec<String>>>,
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

/// What a connector's scripts speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// HTTP, by `http::` words.
    #[default]
    Http,
    /// LDAP, by `ldap::` words.
    Ldap,
    /// SMTP, by `smtp::` words.
    Smtp,
}

impl Transport {
    /// All of them.
    pub const ALL: [Transport; 3] = [Transport::Http, Transport::Ldap, Transport::Smtp];

    /// The word in a manifest, which is also the namespace of its words.
    pub fn word(self) -> &'static str {
        match self {
            Transport::Http => "http",
            Transport::Ldap => "ldap",
            Transport::Smtp => "smtp",
        }
    }

    /// The schemes of a `base_url`: the one with TLS from the first byte, and the one that becomes so.
    pub fn schemes(self) -> [&'static str; 2] {
        match self {
            Transport::Http => ["https", "http"],
            Transport::Ldap => ["ldaps", "ldap"],
            Transport::Smtp => ["smtps", "smtp"],
        }
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
    /// A header that says what a POST does, and its values that only read: `x-amz-target` and the like.
    pub reads_header: Option<(String, Vec<String>)>,
    /// A form field that says what a POST does, and its values that only read: `Action` and the like.
    pub reads_form: Option<(String, Vec<String>)>,
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
    /// What the sender asks before its first alert.
    pub challenge: Option<Challenge>,
    /// What the script may look up.
    pub lookup: Option<LookUpSpec>,
    /// What a source of this sender may be told, for the script.
    pub settings: BTreeMap<String, SettingKind>,
}

impl SourceSpec {
    /// Ways a sender can authenticate a delivery: those that intake can verify.
    pub const AUTH_KINDS: [&'static str; 7] = [
        "standard-webhooks",
        "hmac",
        "sns",
        "bearer",
        "basic",
        "header",
        "none",
    ];
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
        let mut page = Page::new(file, text, CODES);
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
        && (root.has("actions") || !is_senders_name(&name.value))
    {
        page.mistake(
            "C005",
            name.span.clone(),
            format!("`{}` cannot name a connector", name.value),
            "use lower-case letters, digits and `_`, beginning with a letter; one that only sends may have a `-` inside",
        );
        return None;
    }
    let transport = read_transport(page, &mut root);
    let (hosts, hosts_by_instance) = read_hosts(page, &mut root, transport);
    let auth_span = root.place_of("auth");
    let auth = root
        .table(page, "auth")
        .map(|table| auth_spec::read(page, table, transport));
    let settings = root
        .table(page, "settings")
        .map_or_else(BTreeMap::new, |table| settings::read(page, &table));
    if let Some(Some(AuthSpec::Sigv4 { .. })) = &auth
        && !settings.contains_key("region")
    {
        page.mistake(
            "C021",
            auth_span,
            "`sigv4` signs for a region, and the manifest declares no setting `region`",
            "add `region = \"required\"` under `[settings]`, or `region = { default = \"…\" }`",
        );
    }
    for name in hosts.iter().flat_map(HostPattern::settings) {
        if !matches!(
            settings.get(name),
            Some(SettingSpec::Required | SettingSpec::Default(_))
        ) {
            page.mistake(
                "C021",
                root.place_of("hosts"),
                format!("a host names the setting `{name}`, which may be absent"),
                format!("declare `{name}` under `[settings]` as \"required\" or with a default"),
            );
        }
    }
    let limits = read_limits(page, &mut root);
    let http = root.table(page, "http").map(|table| read_http(page, table));
    let source = root.table(page, "source").map(|table| sender::read(page, table));
    let mut tables = Vec::new();
    for (verb, table) in root.named(page, "actions") {
        let verb = verb.value;
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
    let looks_up = source
        .as_ref()
        .is_some_and(|read| read.as_ref().is_some_and(|spec| spec.lookup.is_some()));
    let needs_hosts = transport == Transport::Http && !hosts_by_instance;
    if (!tables.is_empty() || looks_up) && needs_hosts && hosts.is_empty() && page.mistakes.is_empty() {
        page.mistake(
            "C003",
            0..0,
            "the manifest has no `hosts`",
            "list the hosts that may be reached, such as `hosts = [\"api.example.com\"]`",
        );
    }
    root.finish(page);

    let mut http = http.unwrap_or_default();
    let mut secrets = BTreeMap::new();
    let mut functions: Vec<FunctionUse> = Vec::new();
    let mut actions = Vec::new();
    for table in tables {
        if !table.not_applied.is_empty() {
            http.not_applied
                .insert(table.spec.name.verb().to_owned(), table.not_applied);
        }
        if !table.secrets.is_empty() {
            secrets.insert(table.spec.name.verb().to_owned(), table.secrets);
        }
        functions.extend(table.functions);
        actions.push(table.spec);
    }
    Some(Manifest {
        name: name?.value,
        title: title?.value,
        version: version?.value,
        transport,
        auth: auth.unwrap_or(Some(AuthSpec::None))?,
        hosts,
        hosts_by_instance,
        settings,
        limits,
        http,
        secrets,
        actions,
        source: match source {
            Some(read) => Some(read?),
            None => None,
        },
        functions,
    })
}

/// True for the name of a connector without actions, which is no namespace: `aws-guardduty`.
fn is_senders_name(name: &str) -> bool {
    name.split('-').all(|part| !part.is_empty()) && ActionName::new(&name.replace('-', "_"), "verb").is_ok()
}

fn read_limits(page: &mut Page<'_>, root: &mut Table<'_, '_>) -> Limits {
    let Some(mut table) = root.table(page, "limits") else {
        return Limits {
            timeout_ms: VENDOR_REQUEST_MS,
        };
    };
    let timeout_ms = table
        .ms(page, "timeout")
        .unwrap_or(VENDOR_REQUEST_MS)
        .min(VENDOR_REQUEST_MS);
    table.finish(page);
    Limits { timeout_ms }
}

fn read_http(page: &mut Page<'_>, mut table: Table<'_, '_>) -> HttpSpec {
    let mut http = HttpSpec::default();
    for path in table.texts(page, "reads") {
        check_path(page, &path.value, path.span);
        http.reads.push(path.value);
    }
    http.reads_header = read_told_by(page, &mut table, "reads_header");
    http.reads_form = read_told_by(page, &mut table, "reads_form");
    table.finish(page);
    http
}

/// `{ name, values }`: what names the operation, and the operations that only read.
fn read_told_by(
    page: &mut Page<'_>,
    table: &mut Table<'_, '_>,
    key: &'static str,
) -> Option<(String, Vec<String>)> {
    let mut told = table.table(page, key)?;
    let name = told.needed_text(page, "name");
    let values = told.texts(page, "values");
    told.finish(page);
    let values = values.into_iter().map(|text| text.value).collect();
    name.map(|name| (name.value, values))
}

fn read_transport(page: &mut Page<'_>, root: &mut Table<'_, '_>) -> Transport {
    let Some(word) = root.text(page, "transport") else {
        return Transport::Http;
    };
    let found = Transport::ALL
        .into_iter()
        .find(|transport| transport.word() == word.value);
    found.unwrap_or_else(|| {
        let words = Transport::ALL.map(Transport::word);
        let help = match nearest(&word.value, words) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("transports are {}", listed(&words)),
        };
        page.mistake(
            "C020",
            word.span,
            format!("unknown transport `{}`", word.value),
            help,
        );
        Transport::Http
    })
}

/// The hosts, and whether each instance lists its own.
fn read_hosts(
    page: &mut Page<'_>,
    root: &mut Table<'_, '_>,
    transport: Transport,
) -> (Vec<HostPattern>, bool) {
    let texts = root.texts(page, "hosts");
    if let (Some(first), true) = (texts.first(), transport != Transport::Http) {
        page.mistake(
            "C020",
            first.span.clone(),
            format!("a connector that speaks {} names no hosts", transport.word()),
            "remove `hosts`: each instance names its server with `base_url`",
        );
        return (Vec::new(), false);
    }
    if let [only] = texts.as_slice()
        && only.value == "instance"
    {
        return (Vec::new(), true);
    }
    let hosts = texts.into_iter().filter_map(|host| {
        HostPattern::parse(&host.value)
            .map_err(|why| page.mistake("C009", host.span.clone(), why.message(&host.value), why.help()))
            .ok()
    });
    (hosts.collect(), false)
}

pub(super) fn check_path(page: &mut Page<'_>, path: &str, span: Range<usize>) {
    if super::egress::check_path(path).is_err() {
        page.mistake(
            "C018",
            span,
            format!("`{path}` is not a path"),
            "write the path alone, from its first `/` on, without query or `..`",
        );
    }
}

#[cfg(test)]
#[path = "manifest_tests.rs"]
mod tests;
