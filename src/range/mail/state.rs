//! What the mail server knows, and how a range sees it. State changes only by replay of ledger lines.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::ledger::LedgerLine;
use super::super::vendor::{At, Body, Call, Door, Effect, No, Reply, Request, StandIn, Thing, record};
use super::NAME;
use super::message::MailMessage;
use crate::secret::Secret;

/// How the mail server is set up.
#[derive(Debug, Clone)]
pub struct MailConfig {
    /// Where to listen: loopback only; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Who may send.
    pub user: String,
    /// With which password.
    pub password: Secret,
}

impl Default for MailConfig {
    /// A free loopback port, `range-mail` with `range-mail-secret`.
    fn default() -> MailConfig {
        MailConfig {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            user: "range-mail".to_owned(),
            password: Secret::new("range-mail-secret"),
        }
    }
}

/// What the mail server knows.
pub(in crate::range) struct Mail {
    config: MailConfig,
    messages: Vec<MailMessage>,
}

/// What a session sends as the body of an `AUTH`.
#[derive(Serialize, Deserialize)]
pub(super) struct Login {
    pub(super) user: String,
    pub(super) password: String,
}

/// What ledger lines keep of this vendor.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kept {
    MailMessage(MailMessage),
}

impl Mail {
    pub(in crate::range) fn new(config: MailConfig) -> Mail {
        Mail {
            config,
            messages: Vec::new(),
        }
    }

    /// Every message, oldest first.
    pub(in crate::range) fn messages(&self) -> Vec<MailMessage> {
        self.messages.clone()
    }

    fn keep(&self, request: &Request, at: At) -> Reply {
        let Ok(message) = serde_json::from_slice::<MailMessage>(&request.body) else {
            return say(554, "5.6.0 message not understood");
        };
        let number = at.number;
        let effects = message.to.iter().enumerate().map(|(index, to)| Effect {
            action: "send",
            target: Some(to.clone()),
            target_name: Some(message.subject()),
            applied: true,
            before: None,
            after: Some("kept".to_owned()),
            // One line a recipient, the message itself once.
            record: (index == 0)
                .then(|| record(&Kept::MailMessage(message.clone())))
                .flatten(),
        });
        say(250, &format!("2.0.0 kept as {number}")).with(effects.collect())
    }
}

impl StandIn for Mail {
    fn name(&self) -> &'static str {
        NAME
    }

    fn understand(&self, request: &Request) -> Option<Call> {
        if request.door != Door::Smtp {
            return None;
        }
        Some(match request.method.as_str() {
            "AUTH" => Call {
                guarded: false,
                ..Call::reading(NAME, "auth")
            },
            "RCPT" => Call::reading(NAME, "recipient").of(request.path.clone()),
            _ => {
                let message = serde_json::from_slice::<MailMessage>(&request.body).unwrap_or_default();
                Call {
                    targets: message.to,
                    mutates: true,
                    ..Call::reading(NAME, "send")
                }
            }
        })
    }

    /// A session lets nobody send who did not sign in; what comes here has.
    fn admit(&self, request: &Request, call: &Call, _: At) -> Result<(), Reply> {
        if call.action != "auth" {
            return Ok(());
        }
        let login = serde_json::from_slice::<Login>(&request.body).ok();
        let right = login.is_some_and(|login| {
            login.user == self.config.user && login.password == self.config.password.expose()
        });
        if right {
            Ok(())
        } else {
            Err(say(535, "5.7.8 authentication failed"))
        }
    }

    fn answer(&self, request: &Request, call: &Call, at: At, _: Option<&str>) -> Reply {
        match call.action {
            "auth" => say(235, "2.7.0 signed in").with(vec![Effect::read("auth")]),
            "recipient" => say(250, "2.1.5 recipient ok").with(self.untouched(call)),
            _ => self.keep(request, at),
        }
    }

    fn untouched(&self, call: &Call) -> Vec<Effect> {
        let effect = |target: Option<String>| Effect {
            action: call.action,
            target,
            ..Effect::default()
        };
        if call.targets.is_empty() {
            return vec![effect(None)];
        }
        call.targets.iter().cloned().map(Some).map(effect).collect()
    }

    fn replay(&mut self, line: &LedgerLine) {
        if line.action == "reset" {
            self.messages.clear();
        }
        if let Some(Kept::MailMessage(message)) = line.kept::<Kept>() {
            self.messages.push(message);
        }
    }

    fn decline(&self, no: &No, _: &Call, _: At) -> Reply {
        match no {
            No::Failed(_, text) => say(451, &format!("4.3.0 {text}")),
            No::TooMany(_) => say(451, "4.7.1 too many messages, try again later"),
            No::Expired => say(535, "5.7.8 authentication failed"),
        }
    }

    fn things(&self) -> Vec<Thing> {
        let messages = self.messages.iter();
        messages.map(|message| thing(message.clone())).collect()
    }

    fn thing(&self, record: &Value) -> Option<Thing> {
        let Kept::MailMessage(message) = Kept::deserialize(record).ok()?;
        Some(thing(message))
    }

    fn seed(&self) -> Vec<Thing> {
        Vec::new()
    }
}

fn thing(message: MailMessage) -> Thing {
    Thing {
        kind: "mail",
        id: message.header("message-id").unwrap_or_default(),
        name: Some(message.subject()),
        state: None,
        record: record(&Kept::MailMessage(message)).unwrap_or_default(),
    }
}

fn say(code: u16, text: &str) -> Reply {
    Reply::new(code, Body::Text(text.to_owned()))
}
