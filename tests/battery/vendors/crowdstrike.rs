//! CrowdStrike Falcon as the range stands in for it: tokens are issued and end, containment settles, names repeat.

use async_trait::async_trait;
use cordon::connector::Instance;
use cordon::range::{Fault, FaultKind, Host, LateAnswer, Range, RangeConfig, RunningRange, Status};
use serde_json::{Value, json};

use crate::counterparty::{Counterparty, LATE_MS, Trouble};
use crate::double::instance;
use crate::row::{Open, Row, Token, entity};

struct Falcon {
    range: RunningRange,
    /// What the range calls the request that the trouble befalls.
    asks: &'static str,
}

async fn open(asks: &'static str) -> Box<dyn Counterparty> {
    let host = |digit: &str, name: &str, status| {
        let mut host = Host::new(digit.repeat(32), name);
        host.status = status;
        host
    };
    let config = RangeConfig {
        seed: vec![
            host("a", "web-07", Status::Normal),
            host("b", "web-08", Status::Contained),
            host("c", "twin", Status::Normal),
            host("d", "twin", Status::Normal),
        ],
        log_reads: true,
        ..RangeConfig::default()
    };
    let range = Range::start(config).await.unwrap();
    Box::new(Falcon { range, asks })
}

#[async_trait]
impl Counterparty for Falcon {
    fn instance(&self) -> Instance {
        let credentials = [("client_id", "range-client"), ("client_secret", "range-secret")];
        instance("crowdstrike", &self.range.base_url(), &credentials)
    }

    fn trouble(&self, trouble: Trouble) {
        let kind = match trouble {
            Trouble::LoseAnswer => FaultKind::LoseAnswer,
            Trouble::TooMany => FaultKind::TooMany { retry_after_s: 1 },
            Trouble::Late => FaultKind::Late {
                ms: LATE_MS,
                answer: LateAnswer::Cut,
            },
            Trouble::EndToken => FaultKind::ExpireToken,
        };
        self.range.fault(Fault::on_action(self.asks, kind)).unwrap();
    }

    fn changes(&self) -> usize {
        let ledger = self.range.ledger();
        ledger.applied_anywhere("contain") + ledger.applied_anywhere("lift_containment")
    }

    fn requests(&self) -> usize {
        let asked =
            |action: &str| ["contain", "lift_containment", "read", "find", "unknown"].contains(&action);
        self.range
            .ledger()
            .lines()
            .iter()
            .filter(|line| asked(&line.action))
            .count()
    }

    fn state(&self) -> Value {
        let hosts = self.range.hosts();
        hosts
            .iter()
            .map(|host| json!([host.device_id, host.status.as_str()]))
            .collect()
    }
}

const CONTAIN: Open = || Box::pin(open("contain"));
const LIFT: Open = || Box::pin(open("lift_containment"));
const READ: Open = || Box::pin(open("read"));

pub fn rows() -> Vec<Row> {
    let row = |action, open, name| {
        Row::new(action, open, entity("host", name))
            .token(Token::Renewed)
            .unknown(entity("host", "web-99"))
            .ambiguous(entity("host", "twin"))
    };
    vec![
        row("crowdstrike::contain_host", CONTAIN, "web-07"),
        row("crowdstrike::lift_containment", LIFT, "web-08"),
        row("crowdstrike::lookup_host", READ, "web-07"),
    ]
}
