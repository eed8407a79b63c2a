//! The systems of the battery, as the range stands in for them, and the configuration of a server that reaches them.

use std::path::Path;

use cordon::range::{Channel, Range, RangeConfig, RunningRange};

pub const KEY: &str = "a key for tests, not secret";
pub const LEDGER: &str = "ledger.jsonl";
/// Who may approve.
pub const APPROVER: &str = "ana";

/// The systems that are there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Estate {
    /// Falcon alone; nobody is told anything.
    Falcon,
    /// Falcon, Okta, AWS, Slack and mail of a small company; people are told, and approve.
    Company,
}

/// A playbook of the battery's own, started by findings with its rule; those that are shipped come beside it.
pub struct Playbook {
    pub id: &'static str,
    /// As its manifest says it.
    pub on_failure: &'static str,
    pub script: &'static str,
}

impl Playbook {
    pub fn manifest(&self) -> String {
        format!(
            "id = \"{}\"\ntitle = \"Of the battery\"\nkind = \"response\"\nowner = \"tests\"\non_failure = \"{}\"\n",
            self.id, self.on_failure
        )
    }

    pub fn trigger(&self) -> String {
        format!(
            "title: Start {rule}\nlogsource: {{ product: cordon, category: finding }}\ndetection:\n  \
             rule: {{ rule.uid: {rule} }}\n  condition: rule\nlevel: high\n\
             cordon: {{ window: 1h }}\n",
            rule = self.id
        )
    }
}

/// The channel people are told in.
pub fn channel() -> String {
    Channel::new("incidents").id
}

/// The range of a scenario, with its ledger in `dir`.
pub async fn range(hosts: &[&str], dir: &Path) -> RunningRange {
    let config = RangeConfig {
        ledger: Some(dir.join(LEDGER)),
        ..RangeConfig::example(hosts)
    };
    Range::start(config).await.unwrap()
}

/// `[store]` for a database in a file.
pub fn store_in_file(path: &str) -> String {
    format!("url = \"sqlite:{path}\"")
}

/// `[store]` for a node of this name that shares a Redis, under a prefix of the test's own.
pub fn store_on_redis(url: &str, prefix: &str, node: &str) -> String {
    format!("url = \"{url}?prefix={prefix}\"\nkey = \"file:store-key\"\nnode = \"{node}\"")
}

/// Writes the configuration, and the secrets it names, for a server that reaches the range. `store` is what stands in
/// `[store]`.
pub fn write(dir: &Path, estate: Estate, range: &RunningRange, store: &str) {
    let example = RangeConfig::example(&[]);
    for (name, text) in [
        ("key", KEY),
        ("client-id", "range-client"),
        ("client-secret", "range-secret"),
        ("okta", example.okta.token.expose()),
        ("aws-id", &example.aws.access_key_id),
        ("aws", example.aws.secret_access_key.expose()),
        ("slack", example.slack.token.expose()),
        ("mail-user", &example.mail.user),
        ("mail", example.mail.password.expose()),
        ("store-key", &"7".repeat(64)),
    ] {
        std::fs::write(dir.join(name), text).unwrap();
    }
    let url = range.base_url();
    let short = "lag = \"200ms\"\nin_flight = \"300ms\"\npropagation = \"2s\"\ntimeout = \"2s\"";
    let mut text = format!(
        r#"
[server]
listen = "127.0.0.1:0"
[store]
{store}
[content]
playbooks = "playbooks"
author = "eve"
[[source]]
name = "generic"
use = "generic"
auth = {{ kind = "header", header = "x-cordon-key", secrets = ["file:key"] }}
[connectors.crowdstrike]
base_url = "{url}"
credentials = {{ client_id = "file:client-id", client_secret = "file:client-secret" }}
{short}
"#
    );
    if estate == Estate::Company {
        text += &company(&url, &range.mail_url(), short);
    }
    std::fs::write(dir.join("cordon.toml"), text).unwrap();
}

fn company(url: &str, mail: &str, short: &str) -> String {
    let aws = "credentials = { access_key_id = \"file:aws-id\", secret_access_key = \"file:aws\" }";
    let channel = channel();
    format!(
        r#"
[connectors.okta]
base_url = "{url}"
credentials = {{ token = "file:okta" }}
{short}
[connectors.aws]
base_url = "{url}"
{aws}
{short}
[connectors.secretsmanager]
base_url = "{url}"
settings = {{ region = "us-east-1" }}
{aws}
{short}
[connectors.slack]
base_url = "{url}"
credentials = {{ token = "file:slack" }}
{short}
[connectors.email]
base_url = "{mail}"
tls = "none"
settings = {{ from = "cordon@corp.example" }}
credentials = {{ username = "file:mail-user", password = "file:mail" }}
[notify]
default = ["channel:incidents"]
[notify.channels.incidents]
use = "slack"
to = "{channel}"
[notify.channels.identity]
use = "email"
to = "identity@corp.example"
[notify.teams.identity-operations]
to = ["channel:identity"]
[groups]
identity-leads = ["{APPROVER}"]
cloud-leads = ["{APPROVER}"]
[[policy.approval]]
actions = ["okta::suspend_user"]
names = ["svc-report*"]
by = "identity-leads"
quorum = 1
within = "1h"
why = "reports go out every night"
[identities.kim]
type = "user"
aliases = ["kim@corp.example"]
aws = "kim"
[identities.svc-build]
type = "service_account"
aliases = ["svc-build@corp.example"]
aws = "svc-build"
"#
    )
}

/// Writes a playbook of the battery's own.
pub fn write_playbook(dir: &Path, playbook: &Playbook) {
    let folder = dir.join("playbooks").join(playbook.id);
    std::fs::create_dir_all(&folder).unwrap();
    for (name, text) in [
        ("playbook.toml", playbook.manifest()),
        ("playbook.rhai", playbook.script.to_owned()),
        ("trigger.yml", playbook.trigger()),
    ] {
        std::fs::write(folder.join(name), text).unwrap();
    }
}
