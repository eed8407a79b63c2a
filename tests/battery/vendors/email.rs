//! A mail server as the range stands in for one: it wants a password, and keeps what it takes.

use std::collections::BTreeSet;

use async_trait::async_trait;
use cordon::connector::Instance;
use cordon::range::{Fault, FaultKind, LateAnswer, Range, RangeConfig, RunningRange};
use serde_json::{Value, json};

use crate::counterparty::{Counterparty, LATE_MS, Trouble};
use crate::double::instance;
use crate::row::{Lost, Open, Row, Twice};

struct Mail(RunningRange);

async fn open() -> Box<dyn Counterparty> {
    let config = RangeConfig {
        log_reads: true,
        ..RangeConfig::default()
    };
    Box::new(Mail(Range::start(config).await.unwrap()))
}

#[async_trait]
impl Counterparty for Mail {
    fn instance(&self) -> Instance {
        let credentials = [("username", "range-mail"), ("password", "range-mail-secret")];
        let mut instance = instance("email", &self.0.mail_url(), &credentials);
        instance
            .settings
            .insert("from".to_owned(), json!("Cordon <cordon@corp.example>"));
        // On loopback, where the range has no TLS.
        instance.without_tls = true;
        instance
    }

    fn trouble(&self, trouble: Trouble) {
        let fault = match trouble {
            Trouble::LoseAnswer => Fault::on_action("send", FaultKind::LoseAnswer),
            // A mail server names no time to come back, so pauses grow: three of them are more than a second.
            Trouble::TooMany => Fault::on_action("send", FaultKind::TooMany { retry_after_s: 1 }).times(3),
            Trouble::Late => Fault::on_action(
                "send",
                FaultKind::Late {
                    ms: LATE_MS,
                    answer: LateAnswer::Cut,
                },
            ),
            Trouble::EndToken => Fault::on_action("auth", FaultKind::ExpireToken),
        };
        self.0.fault(fault).unwrap();
    }

    fn changes(&self) -> usize {
        self.0.ledger().applied_anywhere("send")
    }

    fn requests(&self) -> usize {
        let ledger = self.0.ledger();
        ledger
            .lines()
            .iter()
            .filter(|line| line.vendor == "mail" && line.request > 0)
            .count()
    }

    fn told_apart(&self) -> Option<usize> {
        let mails = self.0.mails();
        let ids: BTreeSet<_> = mails.iter().map(|mail| mail.header("message-id")).collect();
        Some(ids.len())
    }

    fn state(&self) -> Value {
        self.0
            .mails()
            .iter()
            .map(|mail| json!([mail.to, mail.subject()]))
            .collect()
    }
}

const OPEN: Open = || Box::pin(open());

pub fn rows() -> Vec<Row> {
    let message = |to: Value| json!({ "to": to, "subject": "Contained svc-backup", "text": "see the run" });
    vec![
        // A repeat carries the same Message-ID, by which mailboxes know it.
        Row::new("email::send", OPEN, Value::Null)
            .options(message(json!("oncall@corp.example")))
            .nobody(message(json!("nobody")))
            .twice(Twice::Again)
            .lost(Lost::Repeated),
    ]
}
