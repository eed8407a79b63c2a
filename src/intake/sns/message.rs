//! The envelope of SNS, and the text it is signed over (AWS, "Verifying the signatures of Amazon SNS messages", read
//! November 2026: named fields, each as its name, a line break, its value, a line break).

use serde_json::Value;

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::intake) enum Kind {
    /// Something was published.
    Notification,
    /// Somebody wants a topic's messages to be sent here.
    SubscriptionConfirmation,
    /// A topic's messages will not be sent here any more.
    UnsubscribeConfirmation,
}

/// How it is signed: RSA over SHA-1 (version 1) or SHA-256 (version 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    Sha1,
    Sha256,
}

/// One message, in the parts that are signed or lead somewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) kind: Kind,
    pub(super) topic: String,
    pub(super) id: String,
    pub(super) timestamp: String,
    pub(super) version: Version,
    pub(super) signature: String,
    pub(super) certificate: String,
    /// Token and address of the two that ask to confirm something.
    pub(super) asks: Option<(String, String)>,
    body: String,
    subject: Option<String>,
}

impl Message {
    /// Reads an envelope.
    ///
    /// # Errors
    /// What is missing, in words without anything the sender sent.
    pub(super) fn read(value: &Value) -> Result<Message, &'static str> {
        let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        let kind = match value.get("Type").and_then(Value::as_str) {
            Some("Notification") => Kind::Notification,
            Some("SubscriptionConfirmation") => Kind::SubscriptionConfirmation,
            Some("UnsubscribeConfirmation") => Kind::UnsubscribeConfirmation,
            _ => return Err("the body is no message of SNS: no `Type` that SNS has"),
        };
        let asks = match kind {
            Kind::Notification => None,
            _ => Some((
                text("Token").ok_or("the message has no `Token`")?,
                text("SubscribeURL").ok_or("the message has no `SubscribeURL`")?,
            )),
        };
        Ok(Message {
            kind,
            topic: text("TopicArn").ok_or("the message has no `TopicArn`")?,
            id: text("MessageId").ok_or("the message has no `MessageId`")?,
            timestamp: text("Timestamp").ok_or("the message has no `Timestamp`")?,
            version: match value.get("SignatureVersion").and_then(Value::as_str) {
                Some("1") => Version::Sha1,
                Some("2") => Version::Sha256,
                _ => return Err("the message has no `SignatureVersion` that is known"),
            },
            signature: text("Signature").ok_or("the message has no `Signature`")?,
            certificate: text("SigningCertURL").ok_or("the message has no `SigningCertURL`")?,
            asks,
            body: text("Message").ok_or("the message has no `Message`")?,
            subject: text("Subject"),
        })
    }

    /// What is signed.
    pub(super) fn signed_text(&self) -> String {
        let mut text = String::new();
        let mut line = |name: &str, value: &str| {
            for part in [name, value] {
                text.push_str(part);
                text.push('\n');
            }
        };
        line("Message", &self.body);
        line("MessageId", &self.id);
        match &self.asks {
            None => {
                if let Some(subject) = &self.subject {
                    line("Subject", subject);
                }
                line("Timestamp", &self.timestamp);
            }
            Some((token, address)) => {
                line("SubscribeURL", address);
                line("Timestamp", &self.timestamp);
                line("Token", token);
            }
        }
        line("TopicArn", &self.topic);
        line(
            "Type",
            match self.kind {
                Kind::Notification => "Notification",
                Kind::SubscriptionConfirmation => "SubscriptionConfirmation",
                Kind::UnsubscribeConfirmation => "UnsubscribeConfirmation",
            },
        );
        text
    }
}
