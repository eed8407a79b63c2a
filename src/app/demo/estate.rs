//! The demo's estate: the range's small company, and a `cordon.toml` that knows it. Written as an operator would
//! write it, secrets in files beside it.

use std::fs;
use std::path::Path;

use anyhow::anyhow;

use crate::config::Config;
use crate::range::{Channel, RangeConfig, RunningRange};

/// The host that ransomware is seen on.
pub(super) const HOST: &str = "web-07";
/// The account that is used from an unusual place, and one of its keys.
pub(super) const ACCOUNT: &str = "svc-build";
pub(super) const STOLEN_KEY: &str = "AKIARANGE000BUILD001";
/// The key that stands in a public repository.
pub(super) const LEAKED_KEY: &str = "AKIARANGE00REPORT001";
/// Who leaves.
pub(super) const LEAVER: &str = "kim";
/// Who decides about identities, and who about keys in the cloud.
pub(super) const IDENTITY_LEAD: &str = "ana";
pub(super) const CLOUD_LEAD: &str = "ben";

pub(super) fn range() -> RangeConfig {
    RangeConfig::example(&[HOST, "dc-01"])
}

/// Writes secrets and `cordon.toml` into `dir` and reads it back as a server does.
pub(super) fn configure(dir: &Path, range: &RunningRange, key: &str) -> anyhow::Result<Config> {
    let vendors = self::range();
    let (client_id, client_secret) = &vendors.credentials;
    for (name, text) in [
        ("webhook", key),
        ("falcon-id", client_id.as_str()),
        ("falcon-secret", client_secret.expose()),
        ("okta", vendors.okta.token.expose()),
        ("aws-id", vendors.aws.access_key_id.as_str()),
        ("aws-secret", vendors.aws.secret_access_key.expose()),
        ("slack", vendors.slack.token.expose()),
        ("mail-user", vendors.mail.user.as_str()),
        ("mail-password", vendors.mail.password.expose()),
    ] {
        fs::write(dir.join(name), text)?;
    }
    let path = dir.join("cordon.toml");
    fs::write(&path, text(range))?;
    Config::load(&path).map_err(|found| {
        let texts: Vec<String> = found.iter().map(|mistake| mistake.render(false)).collect();
        anyhow!("{}", texts.join("\n"))
    })
}

fn text(range: &RunningRange) -> String {
    let (base, mail) = (range.base_url(), range.mail_url());
    let user = |login: &str| range.user(login).map(|user| user.id).unwrap_or_default();
    let source = |name: &str, connector: &str| {
        format!(
            "[[source]]\nname = \"{name}\"\nuse = \"{connector}\"\n\
             auth = {{ kind = \"header\", header = \"x-cordon-key\", secrets = [\"file:webhook\"] }}\n"
        )
    };
    let sources = [
        source("splunk", "splunk"),
        source("siem", "generic"),
        source("scanner", "generic"),
        source("hr", "generic"),
    ]
    .join("\n");
    format!(
        r#"
[server]
listen = "127.0.0.1:0"

[store]
url = "sqlite:demo.db"

{sources}
[connectors.crowdstrike]
base_url = "{base}"
credentials = {{ client_id = "file:falcon-id", client_secret = "file:falcon-secret" }}

[connectors.okta]
base_url = "{base}"
credentials = {{ token = "file:okta" }}

[connectors.aws]
base_url = "{base}"
settings = {{ region = "eu-central-1" }}
credentials = {{ access_key_id = "file:aws-id", secret_access_key = "file:aws-secret" }}

[connectors.secretsmanager]
base_url = "{base}"
settings = {{ region = "eu-central-1" }}
credentials = {{ access_key_id = "file:aws-id", secret_access_key = "file:aws-secret" }}

[connectors.slack]
base_url = "{base}"
credentials = {{ token = "file:slack" }}

[connectors.email]
base_url = "{mail}"
tls = "none"
settings = {{ from = "cordon@corp.example" }}
credentials = {{ username = "file:mail-user", password = "file:mail-password" }}

[identities.{ACCOUNT}]
type = "service_account"
aliases = ["{ACCOUNT}@corp.example"]
okta = "{build}"
aws = "{ACCOUNT}"

[identities.{LEAVER}]
type = "user"
aliases = ["{LEAVER}@corp.example"]
okta = "{leaver}"
aws = "{LEAVER}"

[policy]
protected = [{{ type = "host", name = "dc-*", why = "domain controllers" }}]

[groups]
identity-leads = ["{IDENTITY_LEAD}"]
cloud-leads = ["{CLOUD_LEAD}"]
access-approvers = ["{CLOUD_LEAD}"]

[notify]
default = ["channel:incidents"]

[notify.channels.incidents]
use = "slack"
to = "{incidents}"

[notify.channels.identity]
use = "email"
to = "identity@corp.example"

[notify.people.{IDENTITY_LEAD}]
email = "{IDENTITY_LEAD}@corp.example"

[notify.people.{CLOUD_LEAD}]
email = "{CLOUD_LEAD}@corp.example"

[notify.teams.identity-operations]
to = ["channel:identity"]

[notify.teams.identity-leads]
to = ["person:{IDENTITY_LEAD}"]

[notify.teams.cloud-leads]
to = ["person:{CLOUD_LEAD}"]
"#,
        build = user(ACCOUNT),
        leaver = user(LEAVER),
        incidents = Channel::new("incidents").id,
    )
}
