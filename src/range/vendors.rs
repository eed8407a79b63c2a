//! The vendors of a range. Adding one is a folder, a field here, and a line in each of the two lists.

use serde_json::Value;

use super::aws::Aws;
use super::config::RangeConfig;
use super::crowdstrike::{self, CrowdStrike};
use super::ledger::LedgerLine;
use super::mail::Mail;
use super::okta::Okta;
use super::slack::Slack;
use super::vendor::{Call, Request, StandIn, Thing};

pub(super) struct Vendors {
    pub(super) crowdstrike: CrowdStrike,
    pub(super) okta: Okta,
    pub(super) aws: Aws,
    pub(super) slack: Slack,
    pub(super) mail: Mail,
}

impl Vendors {
    /// The vendors as the configuration describes them, before anything happened.
    pub(super) fn new(config: &RangeConfig) -> Vendors {
        Vendors {
            crowdstrike: CrowdStrike::new(
                config.credentials.clone(),
                config.token_ms,
                config.settle,
                config.seed.clone(),
            ),
            okta: Okta::new(config.okta.clone()),
            aws: Aws::new(config.aws.clone()),
            slack: Slack::new(config.slack.clone()),
            mail: Mail::new(config.mail.clone()),
        }
    }

    /// Which call of which vendor this is. Vendors are told apart by path and header, so that one address
    /// serves all of them; paths nobody knows go to CrowdStrike, which answers 404.
    pub(super) fn understand(&self, request: &Request) -> Call {
        let calls = self.all().into_iter();
        calls
            .filter_map(|vendor| vendor.understand(request))
            .next()
            .unwrap_or_else(crowdstrike::no_such_path)
    }

    /// The vendor a call belongs to.
    pub(super) fn of(&self, call: &Call) -> &dyn StandIn {
        let owner = self.all().into_iter().find(|vendor| vendor.name() == call.vendor);
        owner.unwrap_or(&self.crowdstrike)
    }

    pub(super) fn seed(&self) -> Vec<Thing> {
        self.all().into_iter().flat_map(StandIn::seed).collect()
    }

    /// What there is now, at every vendor.
    pub(super) fn things(&self) -> Vec<Thing> {
        self.all().into_iter().flat_map(StandIn::things).collect()
    }

    /// What a record of a control call is.
    pub(super) fn thing(&self, record: &Value) -> Option<Thing> {
        self.all().into_iter().find_map(|vendor| vendor.thing(record))
    }

    pub(super) fn replay(&mut self, line: &LedgerLine) {
        for vendor in self.all_mut() {
            vendor.replay(line);
        }
    }

    pub(super) fn looked_at(&mut self, call: &Call) {
        for vendor in self.all_mut() {
            if vendor.name() == call.vendor {
                vendor.looked_at(&call.targets);
            }
        }
    }

    fn all(&self) -> [&dyn StandIn; 5] {
        [&self.crowdstrike, &self.okta, &self.aws, &self.slack, &self.mail]
    }

    fn all_mut(&mut self) -> [&mut dyn StandIn; 5] {
        [
            &mut self.crowdstrike,
            &mut self.okta,
            &mut self.aws,
            &mut self.slack,
            &mut self.mail,
        ]
    }
}
