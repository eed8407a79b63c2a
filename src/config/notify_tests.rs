//! What `[notify]` says once it is understood.

use std::path::Path;

use super::tests::{catalog, machine};
use super::*;
use crate::clock::Time;
use crate::notify::{GroupBy, Plan, Way};

fn plan(text: &str) -> Plan {
    let config = Config::parse("cordon.toml", text, Path::new("/etc/cordon")).unwrap();
    config.resolve(&catalog(), &machine()).unwrap().notify
}

const TEXT: &str = r##"
    [server]
    public_url = "https://cordon.example.com/soc/"

    [connectors.slack]
    credentials = { token = "env:EDR_KEY" }
    [connectors.chat-2]
    use = "slack"
    credentials = { token = "env:EDR_KEY" }

    [notify]
    default = ["channel:soc", "oncall"]
    fallback = "second"
    window = "2m"
    group_by = "subject"
    match = "all"

    [notify.channels]
    soc = { use = "slack", to = "C024BE91L" }
    second = { use = "chat-2", to = "C024BE91M" }

    [notify.people.ana]
    chat-2 = "C0000ANA2"
    slack = "C0000ANA1"
    prefer = ["slack"]
    [notify.people.ben]
    chat-2 = "C0000BEN2"
    slack = "C0000BEN1"

    [notify.teams.identity]
    to = ["channel:soc", "oncall:eu"]

    [notify.oncall.eu]
    zone = "Europe/Berlin"
    people = ["ana", "ben"]
    begins = 2026-01-05T09:00:00
    overrides = [{ person = "ben", from = "2026-01-06T00:00", until = "2026-01-07T00:00" }]
    [notify.oncall.us]
    zone = "America/New_York"
    people = ["ben"]
    begins = "2026-01-05T09:00"
    every = "1d"

    [[notify.routes]]
    severity = "high"
    about = ["alarm", "approval"]
    playbook = ["cloud/*", "leaver"]
    to = ["oncall"]
    [[notify.routes]]
    team = "identity"
    to = ["person:ana"]
"##;

#[test]
fn everything_that_can_be_said_of_people_is_heard() {
    let plan = plan(TEXT);
    assert_eq!(plan.public_url.as_deref(), Some("https://cordon.example.com/soc"));
    let way = |instance: &str, to: &str| Way {
        instance: instance.into(),
        action: "slack::send_message".parse().unwrap(),
        to: to.into(),
    };
    assert_eq!(plan.channels["soc"], way("slack", "C024BE91L"));
    assert_eq!(
        plan.people["ana"],
        [way("slack", "C0000ANA1"), way("chat-2", "C0000ANA2")],
        "in the order she prefers"
    );
    assert_eq!(
        plan.people["ben"],
        [way("chat-2", "C0000BEN2"), way("slack", "C0000BEN1")],
        "in the order of the file"
    );
    assert_eq!(
        (plan.window_ms, plan.group_by, plan.all_routes),
        (120_000, GroupBy::Subject, true)
    );
    assert_eq!(plan.first_rota.as_deref(), Some("eu"));
    let at = |rota: &str, moment: &str| plan.rotas[rota].at(Time::parse(moment).unwrap()).unwrap().person;
    assert_eq!(at("eu", "2026-01-05T12:00:00Z"), "ana");
    assert_eq!(at("eu", "2026-01-06T12:00:00Z"), "ben", "who stands in");
    assert_eq!(at("us", "2026-01-06T12:00:00Z"), "ben");
    assert_eq!(plan.routes.len(), 2);
    assert_eq!(plan.routes[0].severity, Some(crate::finding::SeverityId(4)));
    assert_eq!(plan.routes[1].team.as_deref(), Some("identity"));
    assert_eq!(plan.fallback.as_deref(), Some("second"));
}

#[test]
fn without_notify_everything_goes_to_the_log_and_that_is_a_warning() {
    let plan = plan("");
    assert_eq!(plan.unrouted(), ["log".parse().unwrap()]);
    assert!(plan.at_start().1);
    assert_eq!(plan.window_ms, crate::limits::NOTIFY_WINDOW_MS);
}
