//! The door for alerts: who knocks, is it them, is it small enough, is it kept. Answers only when the delivery
//! is durable; everything else happens afterwards.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::headers::Headers;
use super::profile::{Profile, Profiles};
use super::signature::{Auth, Refused, Verified, verify};
use super::sns::{self, Certificates, NotProven};
use crate::clock::{Clock, Time};
use crate::connector::DeliveryId;
use crate::digest::Digest;
use crate::id::AlertId;
use crate::journal::{ChainId, Event, seal};
use crate::limits::{ALERT_BODY_BYTES_MAX, CHALLENGE_CHARS_MAX};
use crate::store::{Accepted, Error, NewAlert, Store};

/// A delivery that was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The alert.
    pub alert: AlertId,
    /// How often it has been delivered, this time counted.
    pub times: u64,
}

/// A delivery that was not kept.
#[derive(Debug, thiserror::Error)]
pub enum Turned {
    /// No source of this name (404).
    #[error("there is no source `{0}`: add a `[[source]]` of that name to the configuration")]
    Unknown(String),
    /// It did not prove itself (401).
    #[error(transparent)]
    Refused(#[from] Refused),
    /// Whether it did cannot be told now (503): the sender has to send it again.
    #[error("{0}")]
    Unproven(String),
    /// Too large (413).
    #[error("the body is larger than {ALERT_BODY_BYTES_MAX} bytes: send fewer findings at a time")]
    TooLarge,
    /// The store cannot take it now (503): the sender has to send it again.
    #[error(transparent)]
    Store(#[from] Error),
    /// It could not be written down (500).
    #[error("the alert cannot be recorded: {0}")]
    Defect(String),
}

/// Headers that are kept beside the one that tells deliveries apart: what a reader of alerts needs. All others
/// may carry a secret under a name nobody thought of.
const KEPT: [&str; 11] = [
    "content-type",
    "user-agent",
    "webhook-id",
    "webhook-timestamp",
    "x-github-event",
    "x-github-delivery",
    "x-amz-sns-message-type",
    "x-amz-sns-message-id",
    "x-amz-sns-topic-arn",
    "x-amz-sns-rawdelivery",
    "x-request-id",
];

/// The door.
pub struct Gate {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    profiles: Arc<Profiles>,
    kept: mpsc::Sender<AlertId>,
    certificates: Certificates,
}

/// What a sender asks before its first alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// This sender asks nothing.
    Nothing,
    /// The question is missing, or not one.
    NoQuestion,
    /// Answer with this.
    Echo(String),
}

impl Gate {
    /// A door to these sources. Kept alerts are announced on `kept`; one that finds no room there is found by
    /// the pipeline's next look.
    pub fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        profiles: Arc<Profiles>,
        kept: mpsc::Sender<AlertId>,
    ) -> Gate {
        Gate {
            store,
            clock,
            profiles,
            kept,
            certificates: Certificates::default(),
        }
    }

    /// The same with certificates that are fetched where a sender signs by one.
    pub fn with_certificates(mut self, certificates: Certificates) -> Gate {
        self.certificates = certificates;
        self
    }

    /// The answer to the question a sender asks before its first alert, for senders that ask one.
    pub fn challenge(&self, source: &str, headers: &Headers) -> Asked {
        let Some(challenge) = self.profiles.get(source).and_then(|profile| profile.challenge) else {
            return Asked::Nothing;
        };
        match headers.one(challenge.header()) {
            Ok(Some(question)) if !question.is_empty() && question.len() <= CHALLENGE_CHARS_MAX => {
                Asked::Echo(question.to_owned())
            }
            _ => Asked::NoQuestion,
        }
    }

    /// The sources.
    pub fn profiles(&self) -> &Arc<Profiles> {
        &self.profiles
    }

    /// Takes one delivery. `Ok` means that it survives any crash from here on.
    pub async fn receive(&self, source: &str, headers: &Headers, body: &[u8]) -> Result<Kept, Turned> {
        let profile = self
            .profiles
            .get(source)
            .ok_or_else(|| Turned::Unknown(source.to_owned()))?;
        if body.len() > ALERT_BODY_BYTES_MAX {
            return Err(Turned::TooLarge);
        }
        let now = self.clock.now();
        let verified = self.prove(profile, headers, body, now).await?;
        let digest = Digest::of(body);
        let delivery = verified
            .delivery_id
            .clone()
            .or_else(|| from_header(profile, headers));
        // The body counts as well: another body under a known delivery id is another alert, not a repeat.
        let parts = [
            source.to_owned(),
            delivery.clone().unwrap_or_default(),
            digest.to_string(),
        ];
        let alert = AlertId::derive(&parts);
        let event = Event::AlertAccepted {
            alert,
            source: source.to_owned(),
            delivery: delivery.unwrap_or_else(|| digest.to_string()),
            body: digest,
            bytes: u64::try_from(body.len()).unwrap_or(u64::MAX),
            proof: if verified.weak {
                format!("{} (weak)", verified.rule)
            } else {
                verified.rule.to_owned()
            },
        };
        let mut salt = [0; 16];
        getrandom::fill(&mut salt).map_err(|error| Turned::Defect(error.to_string()))?;
        let entry = seal(ChainId::Alert(alert), &Digest::ZERO, 0, now, &event, salt)
            .map_err(|error| Turned::Defect(error.to_string()))?;
        let new = NewAlert {
            id: alert,
            source: source.to_owned(),
            received_at: now,
            headers: worth_keeping(profile, headers),
            body: body.to_vec(),
            entry,
        };
        match self.store.accept(alert.partition(), new).await? {
            Accepted::New => {
                // A full channel is no loss: the pipeline looks for unprocessed alerts by itself.
                let _ = self.kept.try_send(alert);
                Ok(Kept { alert, times: 1 })
            }
            Accepted::Repeat { times } => Ok(Kept { alert, times }),
        }
    }
}

impl Gate {
    async fn prove(
        &self,
        profile: &Profile,
        headers: &Headers,
        body: &[u8],
        now: Time,
    ) -> Result<Verified, Turned> {
        let Auth::Sns(subscription) = &profile.auth else {
            return Ok(verify(&profile.auth, headers, body, now)?);
        };
        let proven = sns::verify(subscription, &self.certificates, headers, body, now).await;
        proven.map_err(|why| match why {
            NotProven::Refused(why) => Turned::Refused(NotProven::refused(why)),
            NotProven::Later(why) => Turned::Unproven(why),
        })
    }
}

fn from_header(profile: &Profile, headers: &Headers) -> Option<String> {
    match &profile.delivery {
        DeliveryId::Header(name) => headers.one(name).ok().flatten().map(str::to_owned),
        DeliveryId::BodyDigest => None,
    }
}

fn worth_keeping(profile: &Profile, headers: &Headers) -> Vec<(String, String)> {
    let tells_apart = match &profile.delivery {
        DeliveryId::Header(name) => Some(name.as_str()),
        DeliveryId::BodyDigest => None,
    };
    headers
        .iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .filter(|(name, _)| KEPT.contains(&name.as_str()) || tells_apart == Some(name.as_str()))
        .collect()
}
