//! Configurations that read, and every kind that does not. Each file under `tests/data/broken/config` is a
//! mistake people make; its snapshot is what they are told.

use std::collections::BTreeMap;
use std::path::Path;

use super::source::KINDS;
use super::*;
use crate::connector::{Catalog, Connector, SourceSpec};
use crate::finding::EntityType;
use crate::guardrail::{Approvers, Mode};
use crate::intake::{Auth, Normaliser};

/// A machine that has only what a test says.
pub(super) struct Has(BTreeMap<&'static str, &'static str>);

impl Secrets for Has {
    fn env(&self, name: &str) -> Option<String> {
        self.0.get(name).map(|text| (*text).to_owned())
    }

    fn file(&self, path: &Path) -> Result<String, String> {
        let name = path.to_string_lossy().into_owned();
        self.0
            .get(name.as_str())
            .map(|text| (*text).to_owned())
            .ok_or_else(|| "no such file".to_owned())
    }

    fn command(&self, line: &str) -> Result<String, String> {
        self.0
            .get(line)
            .map(|text| (*text).to_owned())
            .ok_or_else(|| "it ended with 1".to_owned())
    }
}

const WEBHOOK: &str = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";

pub(super) fn machine() -> Has {
    Has(BTreeMap::from([
        ("EDR_KEY", "k-1"),
        ("BLANK", " "),
        ("FALCON_ID", "id-1"),
        ("print-secret --now", "from-a-command\n"),
        ("/etc/cordon/not-a-certificate.pem", "not a certificate"),
        (
            "/etc/cordon/secrets/edr",
            "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\n",
        ),
        (
            "/etc/cordon/secrets/example-webhook",
            "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\n",
        ),
    ]))
}

/// The connectors in the binary; one whose sender can only sign, one with a server, one whose instances list hosts.
pub(super) fn catalog() -> Catalog {
    let action = "[actions.ping]\ntitle = \"Pings\"\nclass = \"read\"\npermission = \"none\"\n";
    let directory = "transport = \"ldap\"\n[settings]\nbase = \"required\"\nsite = { default = \"a\" }\n";
    let caller = "hosts = \"instance\"\n";
    let regional = "hosts = [\"api.{region}.example.com\"]\n[settings]\nregion = { default = \"eu\" }\n";
    let own = [
        ("signing", "[source]\nauth = [\"hmac\"]\n".to_owned()),
        ("directory", format!("{directory}{action}")),
        ("caller", format!("{caller}{action}")),
        ("regional", format!("{regional}{action}")),
    ];
    let own = own.map(|(name, rest)| {
        let manifest = format!("name = \"{name}\"\ntitle = \"T\"\nversion = \"1\"\n{rest}");
        let script = "fn ping(target, args) { #{ done: true } }";
        let files = BTreeMap::from([
            ("connector.toml".to_owned(), manifest),
            ("actions.rhai".to_owned(), script.to_owned()),
        ]);
        Connector::parse(&files, &format!("connectors/{name}")).unwrap()
    });
    let embedded = Catalog::embedded().unwrap();
    Catalog::of(embedded.connectors().map(|one| (**one).clone()).chain(own))
}

fn told(text: &str) -> String {
    let read = Config::parse("cordon.toml", text, Path::new("/etc/cordon"));
    let found = match read {
        Err(found) => found,
        Ok(config) => config.resolve(&catalog(), &machine()).unwrap_err(),
    };
    for one in &found {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("docs/errors/{}.md", one.code));
        assert!(page.is_file(), "{} has no page", one.code);
    }
    found
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n\n")
}

#[test]
fn broken_configurations_are_told_what_is_wrong_and_what_to_do() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/broken/config");
    let mut files: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(files.len() >= 12);
    for file in files {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        insta::assert_snapshot!(name, told(&std::fs::read_to_string(&file).unwrap()));
    }
}

#[test]
fn a_secret_in_the_file_is_never_shown() {
    let text = include_str!("../../tests/data/broken/config/literal_secrets.toml");
    let told = told(text);
    assert!(told.contains("K007"));
    assert!(!told.contains("hunter2") && !told.contains("s3cr3t"), "{told}");
}

#[test]
fn the_configuration_of_init_reads() {
    let config = Config::parse("cordon.toml", TEMPLATE, Path::new("/etc/cordon")).unwrap();
    let resolved = config.resolve(&catalog(), &machine()).unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:8765");
    assert_eq!(
        config.store,
        StoreUrl::Sqlite("/etc/cordon/cordon-data/cordon.db".into())
    );
    assert_eq!(
        config.playbooks.as_deref(),
        Some(Path::new("/etc/cordon/playbooks"))
    );
    assert!(resolved.profiles.contains_key("example"));
    assert_eq!(config.connector_of("example"), Some("generic"));
}

#[test]
fn everything_that_can_be_said_is_heard() {
    let text = r#"
        [server]
        listen = "127.0.0.1:0"
        [store]
        url = "memory:"
        [retention]
        runs = "never"
        alerts = "30d"
        [log]
        json = true
        [[source]]
        name = "edr"
        use = "generic"
        auth = { kind = "standard-webhooks", secrets = ["file:secrets/edr"] }
        finding_window = "1d"
        [[source]]
        name = "siem"
        use = "splunk"
        [source.auth]
        kind = "header"
        header = "x-cordon-key"
        secrets = ["env:EDR_KEY"]
        [connectors.falcon-eu]
        use = "crowdstrike"
        base_url = "https://api.eu-1.crowdstrike.com"
        credentials = { client_id = "env:FALCON_ID", client_secret = "exec:print-secret --now", member_cid = "env:EDR_KEY" }
        when = [{ type = "host", names = ["eu-*"] }, { type = ["host"], attributes = { site = "eu" } }]
        lag = "5s"
        in_flight = "10s"
        propagation = "20m"
        timeout = "3s"
        [bind]
        endpoint = "falcon-eu"
        "endpoint::isolate" = "falcon-eu"
        [content]
        author = "ana"
        [groups]
        soc-leads = ["ben", "eve"]
        [policy]
        mode = "approve"
        by = "soc-leads"
        quorum = 2
        protected = [{ type = "host", name = "dc-*", why = "domain controllers" }, { name = "root" }]
        [[policy.approval]]
        actions = ["endpoint::*"]
        types = ["host"]
        names = ["web-*"]
        irreversible = true
        by = "eve"
        quorum = 1
        within = "30m"
        why = "hosts are ours"
        [[policy.approval]]
        irreversible = true
    "#;
    let config = Config::parse("cordon.toml", text, Path::new("/etc/cordon")).unwrap();
    assert_eq!((config.store.clone(), config.log_json), (StoreUrl::Memory, true));
    assert_eq!(
        (config.retention.runs_ms, config.retention.alerts_ms),
        (None, Some(30 * 86_400_000))
    );
    assert_eq!(config.policy.protected.len(), 2);
    assert_eq!(config.policy.protected[0].kind, Some(EntityType::Host));
    assert_eq!(config.policy.protected[1].kind, None);
    assert_eq!(config.estate().author.as_deref(), Some("ana"));
    assert_eq!(config.policy.mode, Mode::Approve);
    let leads = Approvers {
        by: "soc-leads".into(),
        quorum: 2,
        within_ms: 8 * 3_600_000,
    };
    assert_eq!(config.policy.approvers, Some(leads.clone()));
    let [hosts, rest] = config.policy.approvals.as_slice() else {
        panic!("{:?}", config.policy.approvals);
    };
    assert_eq!(
        (hosts.approvers.by.as_str(), hosts.approvers.within_ms),
        ("eve", 1_800_000)
    );
    assert_eq!(
        rest.approvers, leads,
        "what a rule does not say is as in `[policy]`"
    );
    let resolved = config.resolve(&catalog(), &machine()).unwrap();
    let edr = &resolved.profiles["edr"];
    assert_eq!(edr.finding_window_ms, 86_400_000);
    assert!(matches!(edr.normaliser, Normaliser::Builtin));
    let Auth::StandardWebhooks { secrets } = &edr.auth else {
        panic!("{:?}", edr.auth)
    };
    assert_eq!(secrets[0].expose(), WEBHOOK);
    assert!(matches!(
        resolved.profiles["siem"].normaliser,
        Normaliser::Script(_)
    ));
    let falcon = resolved.instances.named("falcon-eu").unwrap();
    assert_eq!(falcon.credentials["client_secret"].expose(), "from-a-command");
    assert_eq!(falcon.when.len(), 2);
    assert_eq!(falcon.when[0].names, ["eu-*"]);
    assert_eq!(falcon.overrides.lag_ms, Some(5_000));
    assert_eq!(falcon.overrides.in_flight_ms, Some(10_000));
    assert_eq!(falcon.overrides.propagation_ms, Some(1_200_000));
    assert_eq!(falcon.overrides.timeout_ms, Some(3_000));
    assert_eq!(resolved.instances.bind["endpoint::isolate"], "falcon-eu");
}

#[test]
fn an_instance_says_what_its_connector_asks() {
    let text = r#"
        [connectors.ad]
        use = "directory"
        base_url = "ldap://127.0.0.1:389"
        tls = "none"
        ca = "roots.pem"
        settings = { base = "DC=example,DC=com" }
        [connectors.ad-far]
        use = "directory"
        base_url = "ldaps://dc1.example.com"
        [connectors.ad-far.settings]
        base = ["a", "b"]
        [connectors.hooks]
        use = "caller"
        hosts = ["hooks.example.com", "*.corp.example"]
        [connectors.region]
        use = "regional"
        settings = { region = "us-1" }
    "#;
    let config = Config::parse("cordon.toml", text, Path::new("/etc/cordon")).unwrap();
    let mut machine = machine();
    let pem = include_str!("../../tests/data/tls/ca.pem");
    machine.0.insert("/etc/cordon/roots.pem", pem);
    let resolved = config.resolve(&catalog(), &machine).unwrap();
    let near = resolved.instances.named("ad").unwrap();
    assert!(near.without_tls && near.ca.is_some());
    assert_eq!(near.settings["base"], "DC=example,DC=com");
    let far = resolved.instances.named("ad-far").unwrap();
    assert!(!far.without_tls && far.ca.is_none());
    assert_eq!(far.settings["base"], serde_json::json!(["a", "b"]));
    let hooks = resolved.instances.named("hooks").unwrap();
    let hosts: Vec<String> = hooks.hosts.iter().map(ToString::to_string).collect();
    assert_eq!(hosts, ["hooks.example.com", "*.corp.example"]);
    assert_eq!(
        resolved.instances.named("region").unwrap().settings["region"],
        "us-1"
    );
}

#[test]
fn the_kinds_of_authentication_are_those_of_intake_and_of_manifests() {
    let written = |auth: Auth<String>| {
        serde_json::to_value(auth).unwrap()["kind"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let none: Auth<String> = Auth::None {
        anyone_may_send: true,
    };
    let header = Auth::Header {
        header: "x".into(),
        secrets: Vec::new(),
    };
    let all = [
        written(Auth::StandardWebhooks { secrets: Vec::new() }),
        "hmac".to_owned(),
        written(header),
        written(Auth::Bearer { secrets: Vec::new() }),
        written(Auth::Basic {
            user: "u".into(),
            secrets: Vec::new(),
        }),
        "sns".to_owned(),
        written(none),
    ];
    assert_eq!(all.map(String::from), KINDS.map(String::from));
    assert!(KINDS.iter().all(|kind| SourceSpec::AUTH_KINDS.contains(kind)));
}

#[test]
fn check_runs_no_commands() {
    let reference = SecretRef::parse("exec:touch /tmp/cordon-was-here", Path::new("")).unwrap();
    let error = reference.read(&Machine { run_commands: false }).unwrap_err();
    assert!(error.contains("not run"), "{error}");
}

#[test]
fn a_command_prints_a_secret() {
    let reference = SecretRef::parse("exec:printf abc", Path::new("")).unwrap();
    assert_eq!(
        reference.read(&Machine { run_commands: true }).unwrap().expose(),
        "abc"
    );
    let failing = SecretRef::parse("exec:false", Path::new("")).unwrap();
    assert!(
        failing
            .read(&Machine { run_commands: true })
            .unwrap_err()
            .contains("ended with")
    );
}

#[test]
fn a_reference_names_a_place() {
    let dir = Path::new("/etc/cordon");
    assert_eq!(SecretRef::parse("env:A", dir), Some(SecretRef::Env("A".into())));
    assert_eq!(
        SecretRef::parse("file:s/x", dir),
        Some(SecretRef::File("/etc/cordon/s/x".into()))
    );
    assert_eq!(
        SecretRef::parse("file:/run/x", dir),
        Some(SecretRef::File("/run/x".into()))
    );
    for literal in ["", "hunter2", "env:", "vault:x", "whsec_abc", "ENV:A"] {
        assert_eq!(SecretRef::parse(literal, dir), None, "{literal}");
    }
}

#[test]
fn a_source_is_told_its_settings_and_whom_it_may_ask() {
    let text = r#"
[[source]]
name = "github"
use = "github"
auth = { kind = "hmac", header = "x-hub-signature-256", prefix = "sha256=", secrets = ["env:EDR_KEY"] }
lookup = "github-org"

[[source]]
name = "monitoring"
use = "alertmanager"
auth = { kind = "bearer", secrets = ["env:EDR_KEY"] }
settings = { labels = { svc = "service_account" } }

[[source]]
name = "unset"
use = "alertmanager"
auth = { kind = "bearer", secrets = ["env:EDR_KEY"] }

[[source]]
name = "topic"
use = "aws-guardduty"
auth = { kind = "sns", topics = ["arn:aws:sns:eu-west-1:123456789012:alerts"], user = "sns", secrets = ["env:EDR_KEY"] }

[connectors.github-org]
use = "github"
credentials = { token = "env:EDR_KEY" }
"#;
    let config = Config::parse("cordon.toml", text, Path::new("/etc/cordon")).unwrap();
    let profiles = config.resolve(&catalog(), &machine()).unwrap().profiles;
    let github = profiles["github"].lookup.as_ref().unwrap();
    assert_eq!(
        (github.instance.as_str(), github.secrets.as_slice()),
        ("github-org", &["secret".to_owned()][..])
    );
    assert_eq!(
        profiles["monitoring"].settings["labels"]["svc"],
        "service_account"
    );
    assert!(
        profiles["unset"].settings["labels"].is_null(),
        "a setting that is not set is there"
    );
    let Auth::Sns(subscription) = &profiles["topic"].auth else {
        panic!("{:?}", profiles["topic"].auth)
    };
    assert_eq!(subscription.secrets[0].expose(), "k-1");
    assert!(!profiles["topic"].auth.is_weak());
    // For reading offline no secret is needed.
    let bare = Has(BTreeMap::new());
    assert!(config.resolve(&catalog(), &bare).is_err());
    let reader = config.reader("monitoring", &catalog()).unwrap().unwrap();
    assert_eq!(reader.settings["labels"]["svc"], "service_account");
}
