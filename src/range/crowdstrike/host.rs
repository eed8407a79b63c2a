//! A computer as the endpoint vendor knows it, and the machine of its containment status. Pure: the moment
//! comes in as an argument.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::super::vendor::{Thing, record};

/// Containment status, in the vendor's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Free on the network.
    #[default]
    Normal,
    /// Asked to be contained; the sensor has not confirmed.
    ContainmentPending,
    /// Cut off from everything but the vendor's cloud.
    Contained,
    /// Asked to be released; the sensor has not confirmed.
    LiftContainmentPending,
}

impl Status {
    /// The word on the wire and in the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Normal => "normal",
            Status::ContainmentPending => "containment_pending",
            Status::Contained => "contained",
            Status::LiftContainmentPending => "lift_containment_pending",
        }
    }

    /// Reads the word.
    pub fn parse(word: &str) -> Option<Status> {
        let all = [
            Status::Normal,
            Status::ContainmentPending,
            Status::Contained,
            Status::LiftContainmentPending,
        ];
        all.into_iter().find(|status| status.as_str() == word)
    }

    /// Whether the sensor still has to confirm.
    pub fn is_pending(self) -> bool {
        self.settled() != self
    }

    /// Where the status ends once the sensor has confirmed.
    pub(super) fn settled(self) -> Status {
        match self {
            Status::Normal | Status::LiftContainmentPending => Status::Normal,
            Status::ContainmentPending | Status::Contained => Status::Contained,
        }
    }

    /// The status right after `contain` was accepted. Asking again changes nothing.
    pub(super) fn contain(self) -> Status {
        match self {
            Status::Normal | Status::LiftContainmentPending => Status::ContainmentPending,
            Status::ContainmentPending => Status::ContainmentPending,
            Status::Contained => Status::Contained,
        }
    }

    /// The status right after `lift_containment` was accepted. Asking again changes nothing.
    pub(super) fn lift(self) -> Status {
        match self {
            Status::Contained | Status::ContainmentPending => Status::LiftContainmentPending,
            Status::LiftContainmentPending => Status::LiftContainmentPending,
            Status::Normal => Status::Normal,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A computer with a sensor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Host {
    /// The vendor's id (`aid`), 32 hexadecimal digits at the real vendor; any text here.
    pub device_id: String,
    /// Name; several hosts may have the same.
    pub hostname: String,
    /// Containment status.
    #[serde(default)]
    pub status: Status,
    /// Whether the sensor reaches the vendor. An offline host stays pending.
    #[serde(default = "yes")]
    pub online: bool,
    /// Address on its own network.
    #[serde(default)]
    pub local_ip: String,
    /// When the sensor last reported, RFC 3339.
    #[serde(default)]
    pub last_seen: String,
    /// `Windows`, `Mac` or `Linux`.
    #[serde(default)]
    pub platform_name: String,
    /// Grouping tags.
    #[serde(default)]
    pub tags: Vec<String>,
}

impl Host {
    /// What the ledger keeps of it.
    pub(in crate::range) fn thing(&self) -> Thing {
        Thing {
            kind: "host",
            id: self.device_id.clone(),
            name: Some(self.hostname.clone()),
            state: Some(self.status.to_string()),
            record: record(self).unwrap_or_default(),
        }
    }

    /// An online, uncontained Windows host.
    pub fn new(device_id: impl Into<String>, hostname: impl Into<String>) -> Host {
        Host {
            device_id: device_id.into(),
            hostname: hostname.into(),
            status: Status::Normal,
            online: true,
            local_ip: "192.0.2.10".to_owned(),
            last_seen: "2026-11-23T12:00:00Z".to_owned(),
            platform_name: "Windows".to_owned(),
            tags: Vec::new(),
        }
    }

    /// The same host, switched off.
    pub fn offline(mut self) -> Host {
        self.online = false;
        self
    }
}

/// What to alter on a host, or the host to add where `device_id` is new (then `hostname` is needed).
/// Fields left out stay as they are.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HostChange {
    /// Which host.
    pub device_id: String,
    /// New name.
    pub hostname: Option<String>,
    /// Status, set at once without any pending.
    pub status: Option<Status>,
    /// Whether the sensor reaches the vendor.
    pub online: Option<bool>,
    /// New address.
    pub local_ip: Option<String>,
    /// New time of the last report, RFC 3339.
    pub last_seen: Option<String>,
    /// New platform.
    pub platform_name: Option<String>,
    /// New tags, in place of all the old ones.
    pub tags: Option<Vec<String>>,
}

impl HostChange {
    /// A change of this host that alters nothing yet.
    pub fn of(device_id: impl Into<String>) -> HostChange {
        HostChange {
            device_id: device_id.into(),
            ..HostChange::default()
        }
    }

    /// Switches the host on or off.
    pub fn online(mut self, online: bool) -> HostChange {
        self.online = Some(online);
        self
    }

    /// Sets the status, as if someone else had changed it at the vendor.
    pub fn status(mut self, status: Status) -> HostChange {
        self.status = Some(status);
        self
    }

    /// The host after the change; `None` for a new host without a name.
    pub(in crate::range) fn apply(self, before: Option<&Host>) -> Option<Host> {
        let mut host = match (before, &self.hostname) {
            (Some(host), _) => host.clone(),
            (None, Some(name)) if !self.device_id.is_empty() => Host::new(self.device_id, name.clone()),
            (None, _) => return None,
        };
        host.hostname = self.hostname.unwrap_or(host.hostname);
        host.status = self.status.unwrap_or(host.status);
        host.online = self.online.unwrap_or(host.online);
        host.local_ip = self.local_ip.unwrap_or(host.local_ip);
        host.last_seen = self.last_seen.unwrap_or(host.last_seen);
        host.platform_name = self.platform_name.unwrap_or(host.platform_name);
        host.tags = self.tags.unwrap_or(host.tags);
        Some(host)
    }
}

fn yes() -> bool {
    true
}
