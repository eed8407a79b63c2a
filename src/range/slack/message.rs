//! Channels and what was posted to them. Nouns only.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::vendor::{Thing, record};

/// A channel.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Channel {
    /// The vendor's id, `C` and ten capitals or digits there.
    pub id: String,
    /// Its name, without `#`.
    pub name: String,
}

impl Channel {
    /// A channel of this name; its id follows from the name.
    pub fn new(name: impl Into<String>) -> Channel {
        let name = name.into();
        let digits = crate::digest::Digest::of(name.as_bytes()).short().to_uppercase();
        Channel {
            id: format!("C{}", digits.chars().take(10).collect::<String>()),
            name,
        }
    }

    pub(in crate::range) fn thing(&self) -> Thing {
        Thing {
            kind: "channel",
            id: self.id.clone(),
            name: Some(self.name.clone()),
            state: None,
            record: record(&Kept::SlackChannel(self.clone())).unwrap_or_default(),
        }
    }
}

/// A message as it stands now.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ChatMessage {
    /// Name of the channel.
    pub channel: String,
    /// When it was posted, which is its id within the channel: seconds, a point and six digits.
    pub ts: String,
    /// The first message of its thread, where it is in one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread_ts: Option<String>,
    /// The text as it came, in the vendor's markup.
    pub text: String,
    /// Blocks as they came.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub blocks: Value,
    /// What the app that posted it attached, which people do not see.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub metadata: Value,
    /// How often it was edited.
    #[serde(default)]
    pub edits: u32,
}

impl ChatMessage {
    pub(in crate::range) fn thing(&self) -> Thing {
        Thing {
            kind: "message",
            id: self.ts.clone(),
            name: Some(self.channel.clone()),
            state: None,
            record: record(&Kept::SlackMessage(self.clone())).unwrap_or_default(),
        }
    }
}

/// What ledger lines keep of this vendor.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kept {
    SlackChannel(Channel),
    SlackMessage(ChatMessage),
}
