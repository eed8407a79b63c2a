//! Users, roles, access keys and secrets, as the vendor knows them. Nouns only.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::super::vendor::{Thing, record};
use super::ACCOUNT;

/// What kind of principal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdentityKind {
    /// Has access keys of its own.
    #[default]
    User,
    /// Is assumed; has sessions.
    Role,
}

impl IdentityKind {
    /// The word in resource names and in the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            IdentityKind::User => "user",
            IdentityKind::Role => "role",
        }
    }
}

/// A user or a role.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// User or role.
    #[serde(default)]
    pub kind: IdentityKind,
    /// Its name, unlike any other's of its kind.
    pub name: String,
    /// Inline policies: documents under their names.
    #[serde(default)]
    pub policies: BTreeMap<String, String>,
    /// What whoever assumes the role has to give as external id.
    #[serde(default)]
    pub external_id: Option<String>,
}

impl Identity {
    /// A user without policies.
    pub fn user(name: impl Into<String>) -> Identity {
        Identity {
            name: name.into(),
            ..Identity::default()
        }
    }

    /// A role without policies.
    pub fn role(name: impl Into<String>) -> Identity {
        Identity {
            kind: IdentityKind::Role,
            ..Identity::user(name)
        }
    }

    /// Its resource name.
    pub fn arn(&self) -> String {
        format!("arn:aws:iam::{ACCOUNT}:{}/{}", self.kind.as_str(), self.name)
    }

    /// The vendor's unique id of it, which follows from its name here.
    pub fn unique_id(&self) -> String {
        let prefix = match self.kind {
            IdentityKind::User => "AIDA",
            IdentityKind::Role => "AROA",
        };
        format!(
            "{prefix}{}",
            letters(&format!("{}/{}", self.kind.as_str(), self.name), 17)
        )
    }

    pub(in crate::range) fn thing(&self) -> Thing {
        Thing {
            kind: self.kind.as_str(),
            id: format!("{}/{}", self.kind.as_str(), self.name),
            name: Some(self.name.clone()),
            state: None,
            record: record(&Kept::Identity(self.clone())).unwrap_or_default(),
        }
    }
}

/// Whether a key works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum KeyStatus {
    /// It works.
    #[default]
    Active,
    /// It is there and does not work.
    Inactive,
    /// It is gone for good.
    Deleted,
}

impl KeyStatus {
    /// The word on the wire and in the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            KeyStatus::Active => "Active",
            KeyStatus::Inactive => "Inactive",
            KeyStatus::Deleted => "Deleted",
        }
    }
}

/// An access key of a user.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessKey {
    /// `AKIA` and 16 capitals or digits at the real vendor; any text here.
    pub id: String,
    /// Name of the user it belongs to.
    pub user: String,
    /// Whether it works.
    #[serde(default)]
    pub status: KeyStatus,
}

impl AccessKey {
    /// An active key.
    pub fn new(id: impl Into<String>, user: impl Into<String>) -> AccessKey {
        AccessKey {
            id: id.into(),
            user: user.into(),
            status: KeyStatus::Active,
        }
    }

    /// The same key, inactive.
    pub fn inactive(mut self) -> AccessKey {
        self.status = KeyStatus::Inactive;
        self
    }

    pub(in crate::range) fn thing(&self) -> Thing {
        Thing {
            kind: "key",
            id: self.id.clone(),
            name: Some(self.user.clone()),
            state: Some(self.status.as_str().to_owned()),
            record: record(&Kept::Key(self.clone())).unwrap_or_default(),
        }
    }
}

/// A secret that can be rotated. Its value is nowhere: only how often it changed.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredSecret {
    /// Its name.
    pub name: String,
    /// The client token of each rotation, oldest first; the vendor's version ids.
    #[serde(default)]
    pub rotations: Vec<String>,
    /// When it was last rotated, ms since 1970.
    #[serde(default)]
    pub rotated_at_ms: Option<i64>,
}

impl StoredSecret {
    /// A secret that was never rotated.
    pub fn new(name: impl Into<String>) -> StoredSecret {
        StoredSecret {
            name: name.into(),
            ..StoredSecret::default()
        }
    }

    /// Its resource name.
    pub fn arn(&self) -> String {
        let tail = letters(&self.name, 6);
        format!(
            "arn:aws:secretsmanager:eu-central-1:{ACCOUNT}:secret:{}-{tail}",
            self.name
        )
    }

    pub(in crate::range) fn thing(&self) -> Thing {
        Thing {
            kind: "secret",
            id: self.name.clone(),
            name: None,
            state: Some(self.version()),
            record: record(&Kept::Secret(self.clone())).unwrap_or_default(),
        }
    }

    /// How often it was rotated, in words.
    pub(super) fn version(&self) -> String {
        format!("rotated {} times", self.rotations.len())
    }
}

/// What ledger lines keep of this vendor.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Kept {
    #[serde(rename = "aws_identity")]
    Identity(Identity),
    #[serde(rename = "aws_key")]
    Key(AccessKey),
    #[serde(rename = "aws_secret")]
    Secret(StoredSecret),
}

/// `count` capitals that follow from `seed`.
pub(super) fn letters(seed: &str, count: usize) -> String {
    let bytes = crate::digest::Digest::of(seed.as_bytes()).0;
    bytes
        .iter()
        .take(count)
        .map(|byte| char::from(b'A' + byte % 26))
        .collect()
}
