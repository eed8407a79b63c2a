//! A small company for `cordon range` and the demo: the same names and ids each time, so that what one page shows is
//! what another finds. Nouns only.

use super::aws::{AccessKey, AwsConfig, Identity, StoredSecret};
use super::config::RangeConfig;
use super::crowdstrike::Host;
use super::okta::{Group, OktaConfig, User};
use super::slack::{Channel, SlackConfig};
use crate::digest::Digest;

impl RangeConfig {
    /// Hosts of these names; a service account `svc-build` known to Okta and to AWS, with two access keys; `svc-report`
    /// with one; two people, `kim` and `ben`, in groups; a role to assume, a secret, two channels.
    pub fn example(hosts: &[&str]) -> RangeConfig {
        let corp = |name: &str| format!("{name}@corp.example");
        let user = |name: &str| User::new(okta_id("00u", name), corp(name));
        let member = |name: &str| okta_id("00u", name);
        RangeConfig {
            seed: hosts
                .iter()
                .map(|name| Host::new(device_id(name), *name))
                .collect(),
            okta: OktaConfig {
                users: vec![
                    user("svc-build")
                        .token(okta_id("oar", "svc-build artifact-store"), "artifact-store")
                        .api_token(okta_id("00T", "svc-build deploy"), "deploy"),
                    user("svc-report").token(okta_id("oar", "svc-report warehouse"), "warehouse"),
                    user("kim")
                        .token(okta_id("oar", "kim mail-app"), "mail-app")
                        .token(okta_id("oar", "kim wiki"), "wiki")
                        .api_token(okta_id("00T", "kim export"), "export"),
                    user("ben"),
                ],
                groups: vec![
                    Group::new(okta_id("00g", "engineering"), "engineering")
                        .member(member("kim"))
                        .member(member("ben")),
                    Group::new(okta_id("00g", "production-admins"), "production-admins")
                        .member(member("ben")),
                ],
                ..OktaConfig::default()
            },
            aws: AwsConfig {
                identities: vec![
                    Identity::user("svc-build"),
                    Identity::user("svc-report"),
                    Identity::user("kim"),
                    Identity::role("cordon-responder"),
                ],
                keys: vec![
                    AccessKey::new("AKIARANGE000BUILD001", "svc-build"),
                    AccessKey::new("AKIARANGE000BUILD002", "svc-build"),
                    AccessKey::new("AKIARANGE00REPORT001", "svc-report"),
                    AccessKey::new("AKIARANGE00000KIM001", "kim"),
                ],
                secrets: vec![
                    StoredSecret::new("prod/deploy"),
                    StoredSecret::new("prod/warehouse"),
                ],
                ..AwsConfig::default()
            },
            slack: SlackConfig {
                channels: vec![Channel::new("incidents"), Channel::new("identity")],
                ..SlackConfig::default()
            },
            ..RangeConfig::default()
        }
    }
}

/// An id as Falcon gives them, 32 hexadecimal digits; the same for the same name.
fn device_id(name: &str) -> String {
    Digest::of(name.as_bytes()).to_string().chars().take(32).collect()
}

/// An id as Okta gives them, 20 letters and digits with a kind in front; the same for the same name.
fn okta_id(kind: &str, name: &str) -> String {
    let digits = Digest::of(name.as_bytes()).to_string();
    format!("{kind}{}", digits.get(..17).unwrap_or_default())
}
