//! Whether a delivery comes from a topic of ours. The order: password, envelope, topic, age, certificate, signature;
//! nothing is fetched for a message that does not name a topic of ours.

use std::sync::Arc;

use data_encoding::BASE64;
use serde_json::Value;

use super::certificate::Certificate;
use super::certificates::Certificates;
use super::message::Message;
use super::place::{self, Topic};
use super::subscription::Subscription;
use crate::clock::Time;
use crate::intake::headers::Headers;
use crate::intake::signature::{self, Auth, Refused, Verified};
use crate::intake::strict_json;
use crate::limits::{SIGNATURE_AGE_MS, SNS_AGE_MS};
use crate::secret::Secret;

const RULE: &str = "sns";

/// Why a delivery is not believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::intake) enum NotProven {
    /// It is not from a topic of ours, or was changed.
    Refused(&'static str),
    /// It cannot be told now; SNS sends again.
    Later(String),
}

impl NotProven {
    pub(in crate::intake) fn refused(why: &'static str) -> Refused {
        Refused { rule: RULE, why }
    }
}

/// Judges one delivery; `now` is the present.
///
/// # Errors
/// Why it is refused, or why it cannot be judged now.
pub(in crate::intake) async fn verify(
    subscription: &Subscription,
    certificates: &Certificates,
    headers: &Headers,
    body: &[u8],
    now: Time,
) -> Result<Verified, NotProven> {
    subscription
        .check()
        .map_err(|_| NotProven::Refused("the source's authentication is not configured"))?;
    if !subscription.secrets.is_empty() {
        let basic: Auth<Secret> = Auth::Basic {
            user: subscription.user.clone().unwrap_or_default(),
            secrets: subscription.secrets.clone(),
        };
        signature::verify(&basic, headers, body, now).map_err(|refused| NotProven::Refused(refused.why))?;
    }
    if headers.has("x-amz-sns-rawdelivery") {
        return raw(subscription, headers);
    }
    let value = strict_json::parse(body).map_err(|_| NotProven::Refused("the body is not JSON"))?;
    let message = Message::read(&value).map_err(NotProven::Refused)?;
    let topic = subscription
        .topic(&message.topic)
        .ok_or(NotProven::Refused("its topic is none of the source's `topics`"))?;
    let sent = Time::parse(&message.timestamp).ok_or(NotProven::Refused("its `Timestamp` is no moment"))?;
    if now.since_ms(sent) > SNS_AGE_MS {
        return Err(NotProven::Refused("it is older than SNS would repeat a delivery"));
    }
    if sent.since_ms(now) > SIGNATURE_AGE_MS {
        return Err(NotProven::Refused("its `Timestamp` lies in the future"));
    }
    let signature = BASE64
        .decode(message.signature.as_bytes())
        .map_err(|_| NotProven::Refused("its `Signature` is not base64"))?;
    let text = message.signed_text();
    let mut expired = false;
    for certificate in candidates(subscription, certificates, &message, &topic, now).await? {
        if !certificate.counts_at(sent) {
            expired = true;
        } else if certificate.signed(message.version, text.as_bytes(), &signature) {
            return Ok(Verified {
                rule: RULE,
                delivery_id: Some(message.id),
                weak: false,
            });
        }
    }
    Err(NotProven::Refused(if expired {
        "its certificate did not count when it was sent"
    } else {
        "the signature is not of this message"
    }))
}

/// The certificates that may have signed it: the pinned ones, else the one it names at the topic's host.
async fn candidates(
    subscription: &Subscription,
    certificates: &Certificates,
    message: &Message,
    topic: &Topic,
    now: Time,
) -> Result<Vec<Arc<Certificate>>, NotProven> {
    if !subscription.certificates.is_empty() {
        return Ok(subscription
            .certificates
            .iter()
            .filter_map(|pem| Certificate::from_pem(pem.expose().as_bytes()).ok())
            .map(Arc::new)
            .collect());
    }
    let endpoint = subscription.endpoint();
    let place =
        place::certificate(&message.certificate, topic, endpoint.as_ref()).map_err(NotProven::Refused)?;
    let certificate = certificates.at(&place, now).await?;
    if !certificate.is_for(&topic.host()) {
        return Err(NotProven::Refused("its certificate was not made out to SNS"));
    }
    Ok(vec![certificate])
}

/// A raw delivery: no envelope and no signature, the topic's name in a header.
fn raw(subscription: &Subscription, headers: &Headers) -> Result<Verified, NotProven> {
    if !subscription.raw {
        return Err(NotProven::Refused(
            "it is a raw delivery, which is not signed, and the source does not say `raw = true`",
        ));
    }
    let one = |name: &str| headers.one(name).ok().flatten();
    let known = one("x-amz-sns-topic-arn").and_then(|arn| subscription.topic(arn));
    if known.is_none() {
        return Err(NotProven::Refused("its topic is none of the source's `topics`"));
    }
    Ok(Verified {
        rule: "sns raw",
        delivery_id: one("x-amz-sns-message-id").map(str::to_owned),
        weak: true,
    })
}

/// The envelope in a body that was verified before, and its topic.
pub(super) fn envelope(subscription: &Subscription, body: &[u8]) -> Option<(Message, Topic)> {
    let value: Value = strict_json::parse(body).ok()?;
    let message = Message::read(&value).ok()?;
    let topic = subscription.topic(&message.topic)?;
    Some((message, topic))
}
