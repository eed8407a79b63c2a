//! The handshake: a topic asks whether we want its messages, and we say yes, once the message that asks was verified
//! and kept. Only for topics of the source, only at the host of SNS in the topic's region.

use super::message::Kind;
use super::place;
use super::subscription::Subscription;
use super::verify::envelope;
use crate::connector::{Fetcher, NotFetched};

/// What a handshake came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::intake) enum Handshake {
    /// The message is no handshake.
    No,
    /// It is over; in words for people.
    Over(String),
}

/// Why a subscription was not confirmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::intake) enum NotConfirmed {
    /// Try again.
    Later(String),
    /// SNS, or the message, says no.
    Never(String),
}

/// Answers a verified message, if it is one that asks. Repeating it changes nothing: SNS answers the same.
///
/// # Errors
/// Why there is no answer.
pub(in crate::intake) async fn handshake(
    subscription: &Subscription,
    fetcher: Option<&Fetcher>,
    body: &[u8],
) -> Result<Handshake, NotConfirmed> {
    let Some((message, topic)) = envelope(subscription, body) else {
        return Ok(Handshake::No);
    };
    let arn = &topic.arn;
    let (token, address) = match (message.kind, &message.asks) {
        (Kind::Notification, _) | (_, None) => return Ok(Handshake::No),
        (Kind::UnsubscribeConfirmation, _) => {
            tracing::warn!(topic = %arn, "a subscription was ended: its messages will not come here any more");
            return Ok(Handshake::Over(format!(
                "the subscription to {arn} was ended: its messages will not come here any more"
            )));
        }
        (Kind::SubscriptionConfirmation, Some(asks)) => asks,
    };
    let endpoint = subscription.endpoint();
    let place = place::confirmation(address, token, &topic, endpoint.as_ref())
        .map_err(|why| NotConfirmed::Never(format!("the subscription to {arn} is not confirmed: {why}")))?;
    let Some(fetcher) = fetcher else {
        return Err(NotConfirmed::Later("nothing here can answer SNS".into()));
    };
    match fetcher.get(&place.url, place.by_operator).await {
        Ok(_) => Ok(Handshake::Over(format!(
            "the subscription to {arn} was confirmed"
        ))),
        Err(NotFetched::Later(why)) => Err(NotConfirmed::Later(format!(
            "the subscription to {arn} could not be confirmed: {why}"
        ))),
        Err(NotFetched::Never(why)) => Err(NotConfirmed::Never(format!(
            "the subscription to {arn} was not confirmed: {why}; ask SNS to confirm it again"
        ))),
    }
}
