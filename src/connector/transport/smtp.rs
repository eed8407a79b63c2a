//! SMTP: one message. Until its first byte is written nothing can have happened; from then on only the server's own
//! word says what did. Who of the recipients is refused is told apart, not lost in one error.

use std::time::{Duration, Instant};

use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::{Data, Mail as MailFrom, Rcpt};
use lettre::transport::smtp::extension::{Extension, MailParameter};
use serde_json::{Value, json};
use url::Url;

use super::super::client::shown;
use super::super::settle::{Change, Stop};
use super::super::wire::Wire;
use super::attempt::{Attempt, never};
use super::mail::Mail;
use super::scrub::scrubbed;
use super::wired;
use crate::action::{Fault, Request, Retry};
use crate::script::Asked;

/// What the server said of the recipients, and of the message.
struct Sent {
    accepted: Vec<String>,
    refused: Vec<Value>,
    response: String,
}

impl Attempt<'_> {
    pub(super) async fn smtp(&mut self, asked: &Asked) -> Result<Value, Stop> {
        let mail = Mail::read(self, asked)?;
        self.admit(false, "SEND")?;
        let url = self
            .egress
            .server()
            .map_err(|refused| never(Fault::new("egress-refused", refused.0)))?
            .clone();
        let mut line = Request {
            method: "SEND".to_owned(),
            url: shown(&url),
            peer: None,
            status: None,
            error: None,
            duration_ms: 0,
        };
        let started = Instant::now();
        let mut begun = false;
        let wait = Duration::from_millis(self.timeout_ms());
        let sent = match tokio::time::timeout(wait, self.deliver(&url, &mail, &mut line, &mut begun)).await {
            Ok(sent) => sent,
            Err(_) => {
                line.error = Some("no answer in time".to_owned());
                let fault = self.fault("timeout", "no answer in time");
                Err(if begun {
                    Stop::Unknown(fault)
                } else {
                    Stop::NotDone(fault, Retry::Backoff)
                })
            }
        };
        line.duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.requests.push(line);
        let sent = sent?;
        self.change = Change::Accepted;
        let secrets = self.secrets();
        Ok(json!({
            "accepted": sent.accepted,
            "refused": sent.refused,
            "response": scrubbed(sent.response, &secrets),
        }))
    }

    async fn deliver(
        &self,
        url: &Url,
        mail: &Mail,
        line: &mut Request,
        begun: &mut bool,
    ) -> Result<Sent, Stop> {
        if let Some(wire) = self.invoker.client.wire() {
            return self.over(wire, url, mail, line);
        }
        let mut session = self.session(url, line).await?;
        let mut options = Vec::new();
        if !mail.is_ascii() {
            if !session.server_info().supports_feature(Extension::SmtpUtfEight) {
                let message = "the server takes no addresses with letters beyond ASCII";
                return Err(never(self.fault("refused", message)));
            }
            options.push(MailParameter::SmtpUtfEight);
        }
        session
            .command(MailFrom::new(Some(mail.from.clone()), options))
            .await
            .map_err(|error| self.refused_early(&error, line))?;
        let (accepted, refused) = self.ask_for(&mut session, mail, line).await?;
        if accepted.is_empty() {
            session.abort().await;
            return Err(self.nobody(refused, line));
        }
        session
            .command(Data)
            .await
            .map_err(|error| self.refused_early(&error, line))?;
        crate::crash::point("vendor.before-request");
        *begun = true;
        let answer = session.message(&mail.bytes).await;
        crate::crash::point("vendor.after-request");
        match answer {
            Ok(response) => {
                line.status = Some(u16::from(response.code()));
                // The server has the message; how we part changes nothing.
                let _ = session.quit().await;
                Ok(Sent {
                    accepted,
                    refused,
                    response: response.message().collect::<Vec<_>>().join(" "),
                })
            }
            // A clear no to the whole message is a no; anything else may have been a yes that was lost.
            Err(error) if error.status().is_some() => Err(self.refused_early(&error, line)),
            Err(_) => {
                let message = "the connection broke before the server said whether it took the message";
                line.error = Some(message.to_owned());
                Err(Stop::Unknown(self.fault("connection-lost", message)))
            }
        }
    }

    /// The same message over a wire in place of the network.
    fn over(&self, wire: &dyn Wire, url: &Url, mail: &Mail, line: &mut Request) -> Result<Sent, Stop> {
        let told = wired::smtp(wire, url, mail).map_err(|nothing| match nothing {
            wired::Nothing::Refused => {
                let fault = self.fault("unreachable", "the host cannot be connected to");
                Stop::NotDone(fault, Retry::Backoff)
            }
            wired::Nothing::Lost => {
                let message = "the connection broke before the server said whether it took the message";
                Stop::Unknown(self.fault("connection-lost", message))
            }
        })?;
        line.status = Some(told.status);
        match told.status {
            code @ 400..=499 => {
                let message = format!("the server answered {code}: try later");
                return Err(Stop::NotDone(self.fault("vendor-busy", &message), Retry::Backoff));
            }
            code @ 500.. => {
                let message = format!("the server answered {code}");
                return Err(never(self.fault("refused", &message)));
            }
            _ => {}
        }
        let refused = match told.rest.get("refused") {
            Some(Value::Array(refused)) => refused.clone(),
            _ => Vec::new(),
        };
        let is_refused = |to: &String| refused.iter().any(|one| one.get("to") == Some(&json!(to)));
        let all = mail.to.iter().map(ToString::to_string);
        let accepted: Vec<String> = all.filter(|to| !is_refused(to)).collect();
        if accepted.is_empty() {
            return Err(self.nobody(refused, line));
        }
        Ok(Sent {
            accepted,
            refused,
            response: told.message,
        })
    }

    /// Names each recipient: those the server takes, and those it does not with its reasons.
    async fn ask_for(
        &self,
        session: &mut AsyncSmtpConnection,
        mail: &Mail,
        line: &mut Request,
    ) -> Result<(Vec<String>, Vec<Value>), Stop> {
        let secrets = self.secrets();
        let (mut accepted, mut refused) = (Vec::new(), Vec::new());
        for address in &mail.to {
            match session.command(Rcpt::new(address.clone(), Vec::new())).await {
                Ok(_) => accepted.push(address.to_string()),
                Err(error) => {
                    let Some(code) = error.status().map(u16::from) else {
                        return Err(self.refused_early(&error, line));
                    };
                    let text = std::error::Error::source(&error).map_or(String::new(), ToString::to_string);
                    refused.push(json!({
                        "to": address.to_string(),
                        "code": code,
                        "text": scrubbed(text, &secrets),
                    }));
                }
            }
        }
        Ok((accepted, refused))
    }

    /// No recipient is left. Where one of them was refused for now alone, later may be better.
    fn nobody(&self, refused: Vec<Value>, line: &mut Request) -> Stop {
        let code = |one: &Value| one.get("code").and_then(Value::as_u64).unwrap_or(0);
        let later = refused.iter().any(|one| (400..500).contains(&code(one)));
        line.status = refused.first().and_then(|one| u16::try_from(code(one)).ok());
        let named: Vec<String> = refused
            .iter()
            .map(|one| {
                let to = one.get("to").and_then(Value::as_str).unwrap_or_default();
                format!("`{to}` ({})", code(one))
            })
            .collect();
        let mut fault = self.fault(
            if later { "vendor-busy" } else { "refused" },
            &format!("the server takes none of the recipients: {}", named.join(", ")),
        );
        fault.data = json!({ "refused": refused });
        let retry = if later { Retry::Backoff } else { Retry::Never };
        Stop::NotDone(fault, retry)
    }
}
