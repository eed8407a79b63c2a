//! A person or service account as Okta knows it, what it holds, and the machine of its status. Pure.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::super::vendor::{Thing, record};

/// Where a user stands, in the vendor's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum UserStatus {
    /// Made, never activated.
    Staged,
    /// May sign in.
    #[default]
    Active,
    /// Must choose a new password.
    PasswordExpired,
    /// May not sign in, keeps everything.
    Suspended,
    /// Left: keeps nothing but its entry.
    Deprovisioned,
}

impl UserStatus {
    /// The word on the wire and in the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            UserStatus::Staged => "STAGED",
            UserStatus::Active => "ACTIVE",
            UserStatus::PasswordExpired => "PASSWORD_EXPIRED",
            UserStatus::Suspended => "SUSPENDED",
            UserStatus::Deprovisioned => "DEPROVISIONED",
        }
    }
}

impl fmt::Display for UserStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The arrows of the lifecycle: verb, from where it may be asked, where it leads.
pub(super) const STEPS: &[(&str, &[UserStatus], UserStatus)] = {
    use UserStatus::{Active, Deprovisioned, PasswordExpired, Staged, Suspended};
    &[
        ("suspend", &[Active], Suspended),
        ("unsuspend", &[Suspended], Active),
        ("expire_password", &[Active, PasswordExpired], PasswordExpired),
        (
            "deactivate",
            &[Staged, Active, PasswordExpired, Suspended],
            Deprovisioned,
        ),
        ("activate", &[Staged, Deprovisioned], Active),
    ]
};

/// A refresh token of an app for a user.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OauthToken {
    /// Okta's id of it.
    pub id: String,
    /// The app that holds it.
    pub client: String,
}

/// Something a user has allowed an app.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// Okta's id of it.
    pub id: String,
    /// The app that was allowed.
    pub client: String,
    /// What it was allowed.
    pub scope: String,
}

/// A token of the management API that belongs to a user.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiToken {
    /// Okta's id of it.
    pub id: String,
    /// What its owner called it.
    pub name: String,
}

/// A person or service account.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// The vendor's id: 20 characters at the real vendor, any text here.
    pub id: String,
    /// The name to sign in with; unlike any other's.
    pub login: String,
    /// Address for mail.
    #[serde(default)]
    pub email: String,
    /// Name for people.
    #[serde(default)]
    pub display_name: String,
    /// Where it stands.
    #[serde(default)]
    pub status: UserStatus,
    /// Sessions that are open now.
    #[serde(default)]
    pub sessions: u32,
    /// When sessions were last cleared, ms since 1970.
    #[serde(default)]
    pub sessions_cleared_at_ms: Option<i64>,
    /// Refresh tokens of apps.
    #[serde(default)]
    pub tokens: Vec<OauthToken>,
    /// What apps were allowed.
    #[serde(default)]
    pub grants: Vec<Grant>,
    /// Tokens of the management API.
    #[serde(default)]
    pub api_tokens: Vec<ApiToken>,
}

impl User {
    /// An active user with one open session.
    pub fn new(id: impl Into<String>, login: impl Into<String>) -> User {
        let login = login.into();
        User {
            id: id.into(),
            email: login.clone(),
            display_name: login.split('@').next().unwrap_or_default().to_owned(),
            login,
            sessions: 1,
            ..User::default()
        }
    }

    /// The same user with a refresh token that an app holds.
    pub fn token(mut self, id: impl Into<String>, client: impl Into<String>) -> User {
        self.tokens.push(OauthToken {
            id: id.into(),
            client: client.into(),
        });
        self
    }

    /// The same user with a token of the management API.
    pub fn api_token(mut self, id: impl Into<String>, name: impl Into<String>) -> User {
        self.api_tokens.push(ApiToken {
            id: id.into(),
            name: name.into(),
        });
        self
    }

    /// The same user in this status.
    pub fn status(mut self, status: UserStatus) -> User {
        self.status = status;
        self
    }

    /// Sessions and tokens in one word, for the ledger.
    pub(super) fn access(&self) -> String {
        format!("{} sessions, {} tokens", self.sessions, self.tokens.len())
    }

    pub(in crate::range) fn thing(&self) -> Thing {
        Thing {
            kind: "user",
            id: self.id.clone(),
            name: Some(self.login.clone()),
            state: Some(self.status.to_string()),
            record: record(&Kept::OktaUser(self.clone())).unwrap_or_default(),
        }
    }
}

/// A group and who is in it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// The vendor's id.
    pub id: String,
    /// Its name; unlike any other's.
    pub name: String,
    /// Ids of its members.
    #[serde(default)]
    pub members: Vec<String>,
}

impl Group {
    /// An empty group.
    pub fn new(id: impl Into<String>, name: impl Into<String>) -> Group {
        Group {
            id: id.into(),
            name: name.into(),
            members: Vec::new(),
        }
    }

    /// The same group with one more member.
    pub fn member(mut self, id: impl Into<String>) -> Group {
        self.members.push(id.into());
        self
    }

    pub(in crate::range) fn thing(&self) -> Thing {
        Thing {
            kind: "group",
            id: self.id.clone(),
            name: Some(self.name.clone()),
            state: None,
            record: record(&Kept::OktaGroup(self.clone())).unwrap_or_default(),
        }
    }
}

/// What ledger lines keep of this vendor.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kept {
    OktaUser(User),
    OktaGroup(Group),
}
