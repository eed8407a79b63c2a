//! The shipped cases pass; every kind of expectation fails when it is wrong, and says so at its line; every mistake in
//! a case is one.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use super::*;
use crate::connector;
use crate::playbook;

static CONNECTORS: LazyLock<Arc<connector::Catalog>> =
    LazyLock::new(|| Arc::new(connector::Catalog::embedded().unwrap()));
static PLAYBOOKS: LazyLock<playbook::Catalog> =
    LazyLock::new(|| playbook::Catalog::embedded(&CONNECTORS).unwrap());
static SUITE: LazyLock<Suite> = LazyLock::new(|| Suite::new(CONNECTORS.clone(), 2).unwrap());

/// What a case of the shipped playbook for malware on a host comes to.
fn play(text: &str) -> Vec<String> {
    let playbook = PLAYBOOKS.get("malware-on-host").unwrap().clone();
    said(suite::of_playbook(playbook, &files(text)))
}

/// What a case of a shipped connector comes to.
fn connect(name: &str, text: &str) -> Vec<String> {
    said(suite::of_connector(
        CONNECTORS.connector(name).unwrap().clone(),
        &files(text),
    ))
}

fn files(text: &str) -> BTreeMap<String, String> {
    BTreeMap::from([
        ("tests/case.toml".to_owned(), text.to_owned()),
        (
            "tests/alert.json".to_owned(),
            r#"{"sid": "s", "result": {"dest": "web-07"}}"#.to_owned(),
        ),
    ])
}

/// `CODE:LINE message` of everything that is wrong.
fn said(found: Found) -> Vec<String> {
    let verdicts = SUITE.run(&found, &|_| {}).unwrap();
    let failures = verdicts.into_iter().flat_map(|verdict| verdict.failures);
    let all = found.mistakes.into_iter().chain(failures);
    all.map(|one| format!("{}:{} {}", one.code, one.line, one.message))
        .collect()
}

const ONE_HOST: &str = r#"
instances = ["crowdstrike"]
[[finding]]
title = "Ransomware on web-07"
severity = "high"
uid = "f-1"
entities = [{ type = "host", role = "affected", name = "web-07" }]
"#;

/// Each of these is right, and wrong with the word after the arrow in place of the one before it.
const EXPECTATIONS: &[(&str, &str, &str, &str)] = &[
    (
        "",
        "starts = 1",
        "starts = 2",
        "1 run(s) were started, expected 2",
    ),
    (
        "",
        "end = 'succeeded'",
        "end = 'kept'",
        "the run ended `succeeded`, expected `kept`",
    ),
    (
        "",
        "why = 'seen in force'",
        "why = 'cancelled'",
        "the reason of its end does not contain `cancelled`",
    ),
    (
        "",
        "end = 'succeeded'\nsteps = ['endpoint::isolate']",
        "end = 'succeeded'\nsteps = ['wait']",
        "step 1 is `endpoint::isolate`, expected `wait`",
    ),
    (
        "",
        "steps = ['endpoint::isolate']",
        "steps = []",
        "a step too many: `endpoint::isolate`",
    ),
    (
        "",
        "steps = ['endpoint::isolate']",
        "steps = ['endpoint::isolate', 'wait']",
        "there is no step 2, expected `wait`",
    ),
    (
        "",
        "notes = ['isolating 1', '1 of 1']",
        "notes = ['1 of 1', 'isolating 1']",
        "no note contains `isolating 1`, in this order",
    ),
    (
        "",
        "alarms = []",
        "alarms = ['contradicted']",
        "there is no alarm 1, expected `contradicted`",
    ),
    (
        "",
        "not_called = ['endpoint::release']",
        "not_called = ['endpoint::isolate']",
        "`endpoint::isolate` was called",
    ),
    (
        "",
        "not_called = ['crowdstrike::lift_containment']",
        "not_called = ['crowdstrike::contain_host']",
        "`crowdstrike::contain_host` was called",
    ),
    (
        "",
        "end = 'succeeded'",
        "returns = { x = 1 }",
        "what the script returned is not as expected: it is `null`",
    ),
    (
        "[[target]]\nname = 'web-07'\nmissing = true",
        "error = 'not-isolated'",
        "error = 'other'",
        "the script failed with `not-isolated`, expected `other`",
    ),
    (
        "",
        "effect = [{ action = 'endpoint::isolate' }]",
        "effect = []",
        "there are 1 effect(s), expected 0",
    ),
    (
        "",
        "effect = [{ action = 'endpoint::isolate' }]",
        "effect = [{ action = 'endpoint::release' }]",
        "the action is `crowdstrike::contain_host`, expected `endpoint::release`",
    ),
    (
        "",
        "effect = [{ action = 'endpoint::isolate', target = 'web-07' }]",
        "effect = [{ action = 'endpoint::isolate', target = 'web-08' }]",
        "the target is host web-07, expected `web-08`",
    ),
    (
        "",
        "effect = [{ action = 'endpoint::isolate', how = 'acted' }]",
        "effect = [{ action = 'endpoint::isolate', how = 'observed' }]",
        "the way it came to be done is `acted`, expected `observed`",
    ),
    (
        "",
        "effect = [{ action = 'endpoint::isolate', verified = 'yes' }]",
        "effect = [{ action = 'endpoint::isolate', verified = 'pending' }]",
        "the verification is `yes`, expected `pending`",
    ),
    (
        "[[target]]\nname = 'web-07'\nmissing = true",
        "effect = [{ action = 'endpoint::isolate', error = 'target-not-found' }]",
        "effect = [{ action = 'endpoint::isolate', error = 'permission' }]",
        "the error is `target-not-found`, expected `permission`",
    ),
    (
        "",
        "effect = [{ action = 'endpoint::isolate', args = {} }]",
        "effect = [{ action = 'endpoint::isolate', args = { tag = 1 } }]",
        "the arguments are not as expected: `tag` is not there",
    ),
    (
        "",
        "effect = [{ action = 'endpoint::isolate', lease = '4h' }]",
        "effect = [{ action = 'endpoint::isolate', lease = '5h' }]",
        "the lease is `4h`, expected `5h`",
    ),
    (
        "",
        "effect = [{ action = 'endpoint::isolate', attempts = 1 }]",
        "effect = [{ action = 'endpoint::isolate', attempts = 2 }]",
        "there were 1 attempt(s), expected 2",
    ),
    (
        "",
        "effect = [{ action = 'endpoint::isolate', undoes = false }]",
        "effect = [{ action = 'endpoint::isolate', undoes = true }]",
        "that it restores is `false`, expected `true`",
    ),
    (
        "",
        "message = [{ to = 'oncall' }]",
        "message = []",
        "1 message(s) were sent, expected 0",
    ),
    (
        "",
        "message = [{ to = 'oncall' }]",
        "message = [{ to = 'team soc' }]",
        "the message went to `oncall`, expected `team soc`",
    ),
    (
        "",
        "message = [{ subject = '1 of 1' }]",
        "message = [{ subject = '0 of 1' }]",
        "which does not contain `0 of 1`",
    ),
    (
        "",
        "message = [{ data = { severity = 'high' } }]",
        "message = [{ data = { severity = 'low' } }]",
        "the message is not as expected: `severity` is `high`, expected `low`",
    ),
    (
        "",
        "hold = [{ target = 'web-07' }]",
        "hold = []",
        "1 hold(s) are left, expected 0",
    ),
    (
        "",
        "hold = [{ target = 'web-07' }]",
        "hold = [{ target = 'web-08' }]",
        "nothing holds `web-08`",
    ),
    (
        "",
        "hold = [{ target = 'web-07', facet = 'network' }]",
        "hold = [{ target = 'web-07', facet = 'login' }]",
        "nothing holds login of `web-07`",
    ),
    (
        "",
        "hold = [{ target = 'web-07', until = '4h' }]",
        "hold = [{ target = 'web-07', until = '5h' }]",
        "no lease on `web-07` ends 5h after the beginning",
    ),
    (
        "",
        "state = [{ target = 'web-07', state = 'contained' }]",
        "state = [{ target = 'web-07', state = 'normal' }]",
        "`web-07` reads `contained`, expected `normal`",
    ),
    (
        "",
        "state = [{ target = 'web-07', state = 'contained' }]",
        "state = [{ target = 'web-7', state = 'contained' }]",
        "nobody looked at `web-7`",
    ),
    (
        "",
        "state = [{ target = 'web-07', state = 'contained', facet = 'network' }]",
        "state = [{ target = 'web-07', state = 'contained', facet = 'login' }]",
        "nobody looked at `web-07`",
    ),
    (
        "[[later]]\nafter = '0s'\nhalt = 'ana'",
        "end = 'open'",
        "end = 'succeeded'",
        "the run ended `open`, expected `succeeded`",
    ),
    (
        "[[later]]\nafter = '0s'\nhalt = 'ana'",
        "waits_for = 'cordon resume'",
        "waits_for = 'approval'",
        "expected `approval`",
    ),
];

#[test]
fn every_expectation_of_a_playbook_can_fail_and_says_where() {
    for (world, right, wrong, says) in EXPECTATIONS {
        let before = format!("{ONE_HOST}{world}\n[expect]\n");
        let line = before.lines().count() + wrong.lines().count();
        assert_eq!(
            play(&format!("{before}{right}\n")),
            Vec::<String>::new(),
            "{right}"
        );
        let found = play(&format!("{before}{wrong}\n"));
        let [only] = found.as_slice() else {
            panic!("{wrong}: {found:?}");
        };
        assert!(only.contains(says), "{wrong}: {only}");
        assert!(
            only.starts_with(&format!("S011:{line} ")),
            "{wrong} at {line}: {only}"
        );
    }
}

#[test]
fn an_instance_other_than_expected_fails() {
    let case = |effect: &str, state: &str| {
        let named = ONE_HOST.replace(
            "[\"crowdstrike\"]",
            "{ a = { use = 'crowdstrike' }, b = { use = 'crowdstrike' } }",
        );
        format!(
            "{named}\n[expect]\neffect = [{{ action = 'endpoint::isolate', instance = '{effect}' }}, {{ action = 'endpoint::isolate' }}]\nstate = [{{ target = 'web-07', instance = '{state}', state = 'contained' }}]\n[[action]]\nname = 'endpoint::isolate'\ninstance = 'b'\ncontradicted = true\n"
        )
    };
    assert_eq!(play(&case("a", "a")), Vec::<String>::new());
    assert_eq!(
        play(&case("b", "a")),
        ["S011:10 the instance is `a`, expected `b`"]
    );
    assert_eq!(
        play(&case("a", "b")),
        ["S011:11 `web-07` reads `normal`, expected `contained`"]
    );
}

#[test]
fn what_a_case_overrides_has_to_come_to_pass() {
    let with = |more: &str| play(&format!("{ONE_HOST}{more}\n[expect]\nend = 'succeeded'\n"));
    assert_eq!(
        with("[[target]]\nname = 'web-7'\nstate = 'contained'"),
        ["S006:9 nobody ever looked at what is said of `web-7`"]
    );
    assert_eq!(
        with("[[action]]\nname = 'endpoint::isolate'\ntarget = 'web-08'\nnot_done = 'x'"),
        ["S013:9 `endpoint::isolate` never went this way"]
    );
    assert_eq!(
        with("[[action]]\nname = 'endpoint::release'\ncontradicted = true"),
        ["S013:9 `endpoint::release` never went this way"]
    );
}

#[test]
fn an_alert_that_starts_nothing_fails_and_says_why() {
    let low = ONE_HOST.replace("high", "low");
    let found = play(&format!("{low}[expect]\neffect = []\n"));
    assert_eq!(found, ["S011:1 no run was started"]);
    assert_eq!(
        play(&format!("{low}[expect]\nstarts = 0\n")),
        Vec::<String>::new()
    );
    assert_eq!(
        play(&format!("{low}[expect]\nstarts = 1\n")),
        ["S011:9 0 run(s) were started, expected 1"]
    );
}

/// Each of these is a mistake in a case of a playbook.
#[test]
fn every_mistake_in_a_case_is_one() {
    for (text, says) in [
        ("x = ", "S001:1 this is not TOML"),
        ("[expect]\nend = 'kept'", "S009:1 a case begins with an"),
        (
            "[alert]\n[[finding]]\ntitle='t'\n[expect]\nend = 'kept'",
            "S009:1 a case begins with an",
        ),
        ("[inputs]", "S003:1 the file has no `expect`"),
        ("[inputs]\n[expect]", "S010:2 the case expects nothing"),
        (
            "[inputs]\n[expect]\nedn = 'kept'\nend = 'kept'",
            "S002:3 unknown key `edn`",
        ),
        (
            "utnil = '5h'\n[inputs]\n[expect]\nend = 'kept'",
            "S002:1 unknown key `utnil`",
        ),
        (
            "until = 'soon'\n[inputs]\n[expect]\nend = 'kept'",
            "S004:1 `soon` is not a duration",
        ),
        (
            "now = 'noon'\n[inputs]\n[expect]\nend = 'kept'",
            "S004:1 `now` is not a moment",
        ),
        (
            "[inputs]\n[expect]\nend = 'success'",
            "S004:3 `success` is no value of `end`",
        ),
        (
            "[inputs]\n[expect]\nnot_called = ['isolate']",
            "S005:3 `isolate` is not an action name",
        ),
        (
            "[inputs]\n[expect]\nnot_called = ['endpoint::isolat']",
            "S005:3 `endpoint::isolat` is no action",
        ),
        (
            "[inputs]\n[expect]\nsteps = ['wiat']",
            "S005:3 `wiat` is nothing a playbook can ask for",
        ),
        (
            "[inputs]\n[expect]\neffect = [{ target = 'x' }]",
            "S003:3 `expect.effect` has no `action`",
        ),
        (
            "[inputs]\n[expect]\neffect = [{ action = 'a::b', how = 'done' }]",
            "S004:3 `done` is no value of `how`",
        ),
        (
            "[inputs]\n[expect]\nend = 'kept'\n[[action]]\nname = 'endpoint::isolate'",
            "S003:4 it does not say how",
        ),
        (
            "[inputs]\n[expect]\nend = 'kept'\n[[action]]\nname = 'a::b'\nlost = 'done'\npending = true",
            "S003:4 it does not say how",
        ),
        (
            "[inputs]\n[expect]\nend = 'kept'\n[[action]]\nname = 'a::b'\nlost = 'done'\nretry = 'never'",
            "S003:4 `message` and `retry` belong",
        ),
        (
            "[inputs]\n[expect]\nend = 'kept'\n[[action]]\nname = 'a::b'\nnot_done = 'x'\nretry = 'soon'",
            "S004:7 `soon` is no value of `retry`",
        ),
        (
            "[inputs]\n[expect]\nend = 'kept'\n[[action]]\nname = 'a::b'\nlost = 'done'",
            "S005:5 `a::b` is no action",
        ),
        (
            "[inputs]\n[expect]\nend = 'kept'\n[[target]]\nname = 'x'",
            "S003:4 nothing is said of `x`",
        ),
        (
            "[inputs]\n[expect]\nend = 'kept'\n[[later]]\nafter = '1h'",
            "S003:4 it does not say what happens",
        ),
        (
            "[inputs]\n[expect]\nend = 'kept'\n[[later]]\nundo = 'ana'",
            "S003:4 `later` has no `after`",
        ),
        (
            "instances = ['crowdstrik']\n[inputs]\n[expect]\nend = 'kept'",
            "S007:1 `crowdstrik` is no connector",
        ),
        (
            "[inputs]\n[expect]\nend = 'kept'\n[bind]\nendpoint = 'edr'",
            "S007:5 `edr` is no instance",
        ),
        (
            "[alert]\nsource = 'splnk'\nbody = 'x'\n[expect]\nend = 'kept'",
            "S007:2 `splnk` is no connector",
        ),
        (
            "[alert]\nsource = 'splunk'\nfile = 'x.json'\n[expect]\nend = 'kept'",
            "S008:3 there is no file `tests/x.json`",
        ),
        (
            "[alert]\nsource = 'splunk'\n[expect]\nend = 'kept'",
            "S003:1 a delivery is exactly one of",
        ),
        (
            "[alert]\nsource = 'splunk'\nbody = 'x'\n[expect]\nend = 'kept'",
            "S014:1 the delivery cannot be read",
        ),
        (
            "[[finding]]\nseverity = 'high'\n[expect]\nend = 'kept'",
            "S014:1 the delivery cannot be read",
        ),
        (
            "[[case]]\n[inputs]\n[expect]\nend = 'kept'",
            "S003:1 `case` has no `name`",
        ),
        (
            "edn = 1\n[[case]]\nname = 'a'\ninputs = {}\nexpect = { end = 'kept' }",
            "S002:1 unknown key `edn`",
        ),
    ] {
        let found = play(text);
        assert!(
            found.iter().any(|one| one.starts_with(says)),
            "{text}\n{found:#?}"
        );
    }
}

const CONTAIN: &str = r#"
act = "contain_host"
target = { type = "host", id = "0123456789abcdef0123456789abcdef" }
[[request]]
METHOD
path = "/devices/entities/devices-actions/v2"
MORE
answer = ANSWER
[expect]
"#;
const TAKEN: &str = "{ status = 202, json = { resources = [{ id = '0123456789abcdef0123456789abcdef' }] } }";

fn contain(more: &str, answer: &str, expect: &str) -> Vec<String> {
    let text = CONTAIN
        .replace("METHOD", "method = 'POST'")
        .replace("MORE", more)
        .replace("ANSWER", answer);
    connect("crowdstrike", &format!("{text}{expect}\n"))
}

#[test]
fn every_expectation_of_a_call_can_fail_and_says_where() {
    for (answer, right, wrong, says) in [
        (
            TAKEN,
            "outcome = 'done'",
            "outcome = 'already'",
            "the outcome is `done`, expected `already`",
        ),
        (
            TAKEN,
            "outcome = 'done'\nresult = {}",
            "outcome = 'done'\nresult = { id = 'x' }",
            "the result is not as expected: `id` is",
        ),
        (
            "{ status = 403 }",
            "code = 'permission'",
            "code = 'refused'",
            "the code is `permission`, expected `refused`",
        ),
        (
            "{ status = 403 }",
            "code = 'permission'\nmessage = 'Hosts: write'",
            "code = 'permission'\nmessage = 'Users'",
            "which does not contain `Users`",
        ),
        (
            "{ status = 403 }",
            "code = 'permission'\nretry = 'never'",
            "code = 'permission'\nretry = 'backoff'",
            "the retry is `never`, expected `backoff`",
        ),
        (
            "'refused'",
            "code = 'unreachable'\nretry = 'backoff'",
            "code = 'unreachable'\nretry = '9s'",
            "the retry is `backoff`, expected `9s`",
        ),
        (
            "{ status = 429, headers = { Retry-After = '9' } }",
            "code = 'rate-limited'\nretry = '9s'",
            "code = 'rate-limited'\nretry = '8s'",
            "the retry is `9s`, expected `8s`",
        ),
        (
            "'lost'",
            "outcome = 'unknown'",
            "outcome = 'not_done'",
            "the outcome is `unknown`, expected `not_done`",
        ),
    ] {
        assert_eq!(contain("", answer, right), Vec::<String>::new(), "{right}");
        let found = contain("", answer, wrong);
        let line = 9 + wrong.lines().count();
        assert!(
            matches!(found.as_slice(), [only] if only.starts_with(&format!("S011:{line} ")) && only.contains(says)),
            "{wrong}: {found:?}"
        );
    }
}

#[test]
fn every_expectation_of_a_request_can_fail_and_says_where() {
    for (right, wrong, says) in [
        (
            "query = { action_name = 'contain' }",
            "query = { action_name = 'lift' }",
            "the query of the request is not as expected: `action_name` is `contain`, expected `lift`",
        ),
        (
            "json = { ids = ['0123456789abcdef0123456789abcdef'] }",
            "json = { ids = [] }",
            "the JSON body of the request is not as expected: `ids` has 1 member(s), expected 0",
        ),
        (
            "headers = { Accept = 'application/json' }",
            "headers = { Accept = 'text/html' }",
            "the headers of the request is not as expected: `accept` is",
        ),
        (
            "host = 'api.crowdstrike.com'",
            "host = 'elsewhere.example'",
            "the host of the request is not as expected",
        ),
        ("body = 'ids'", "body = 'names'", "which does not contain `names`"),
        (
            "",
            "form = { a = 'b' }",
            "the form of the request is not as expected",
        ),
    ] {
        assert_eq!(
            contain(right, TAKEN, "outcome = 'done'"),
            Vec::<String>::new(),
            "{right}"
        );
        let found = contain(wrong, TAKEN, "outcome = 'done'");
        assert!(
            matches!(found.as_slice(), [only] if only.starts_with("S012:7 ") && only.contains(says)),
            "{wrong}: {found:?}"
        );
    }
    let text = CONTAIN
        .replace("METHOD", "")
        .replace("MORE", "")
        .replace("ANSWER", TAKEN);
    let found = connect("crowdstrike", &format!("{text}outcome = 'done'\n"));
    assert_eq!(
        found,
        ["S012:4 the method of the request is not as expected: it is `POST`, expected `GET`"]
    );
    let found = connect(
        "crowdstrike",
        &format!("{text}outcome = 'done'\n").replace("path = \"/d", "path = \"/x"),
    );
    assert!(
        found[1].starts_with("S012:6 the path of the request is not as expected"),
        "{found:?}"
    );
}

#[test]
fn a_request_too_many_and_one_that_never_comes_fail() {
    let act = "act = 'contain_host'\ntarget = { type = 'host', id = '0123456789abcdef0123456789abcdef' }\n";
    let found = connect("crowdstrike", &format!("{act}[expect]\noutcome = 'unknown'\n"));
    assert_eq!(
        found,
        ["S012:1 a request too many: POST /devices/entities/devices-actions/v2?action_name=contain"]
    );
    let more = format!("answer = {TAKEN}\n[[request]]\npath = '/never'");
    assert_eq!(
        contain(&more, "{}", "outcome = 'done'"),
        ["S012:8 GET /never was never sent"]
    );
}

const RESOLVE: &str = r#"
resolve = "contain_host"
target = { type = "host", name = "web-07" }
[[request]]
path = "/devices/queries/devices/v1"
answer = { json = { resources = ["0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"] } }
[[request]]
method = "POST"
path = "/devices/entities/devices/v2"
answer = { json = { resources = DEVICES } }
[expect]
"#;

#[test]
fn every_expectation_of_a_look_can_fail() {
    let one =
        "[{ device_id = '0123456789abcdef0123456789abcdef', hostname = 'WEB-07', local_ip = '10.0.0.7' }]";
    let two = "[{ device_id = '0123456789abcdef0123456789abcdef', hostname = 'WEB-07' }, { device_id = 'fedcba9876543210fedcba9876543210', hostname = 'WEB-07' }]";
    let id = "id = '0123456789abcdef0123456789abcdef'\n";
    for (devices, right, wrong, says) in [
        (one, id.to_owned(), "id = 'x'".to_owned(), "the id is `0123456789abcdef0123456789abcdef`, expected `x`"),
        (one, format!("{id}name = 'WEB-07'"), format!("{id}name = 'web'"), "the name is `WEB-07`, expected `web`"),
        (one, format!("{id}aliases = ['WEB-07', '10.0.0.7']"), format!("{id}aliases = []"), "the aliases are `[\"WEB-07\",\"10.0.0.7\"]`, expected `[]`"),
        (two, "code = 'ambiguous-target'\ncandidates = ['0123456789abcdef0123456789abcdef', 'fedcba9876543210fedcba9876543210']".to_owned(), "code = 'ambiguous-target'\ncandidates = ['x']".to_owned(), "the candidates are"),
    ] {
        let with = |expect: &str| connect("crowdstrike", &format!("{}{expect}\n", RESOLVE.replace("DEVICES", devices)));
        assert_eq!(with(&right), Vec::<String>::new(), "{right}");
        let found = with(&wrong);
        assert!(matches!(found.as_slice(), [only] if only.starts_with("S011:") && only.contains(says)), "{found:?}");
    }
    let read = |expect: &str| {
        let request = "[[request]]\nmethod = 'POST'\npath = '/devices/entities/devices/v2'\nanswer = { json = { resources = [{ device_id = '0123456789abcdef0123456789abcdef', status = 'contained' }] } }";
        let target = "target = { type = 'host', id = '0123456789abcdef0123456789abcdef' }";
        connect(
            "crowdstrike",
            &format!("read = 'contain_host'\n{target}\n{request}\n[expect]\n{expect}\n"),
        )
    };
    assert_eq!(
        read("state = 'contained'\nstanding = 'in_force'\nfields = { hostname = '' }"),
        Vec::<String>::new()
    );
    assert_eq!(
        read("state = 'normal'"),
        ["S011:8 the state is `contained`, expected `normal`"]
    );
    assert_eq!(
        read("state = 'contained'\nstanding = 'absent'"),
        ["S011:9 the standing is `in_force`, expected `absent`"]
    );
    assert!(
        read("state = 'contained'\nfields = { hostname = 'x' }")[0].starts_with("S011:9 the fields read")
    );
}

#[test]
fn every_expectation_of_a_delivery_can_fail() {
    let splunk = |text: &str| connect("splunk", text);
    let right = "alert = { file = 'alert.json' }\n[[expect.finding]]\ntitle = 'Splunk alert'\n";
    assert_eq!(splunk(right), Vec::<String>::new());
    for (text, says) in [
        (
            "alert = { file = 'alert.json' }\n[[expect.finding]]\ntitle = 'Other'\n",
            "S011:2 the finding is not as expected: `title` is",
        ),
        (
            "alert = { file = 'alert.json' }\n[expect]\nfinding = []\n",
            "S011:3 there are 1 finding(s), expected 0",
        ),
        (
            "alert = { file = 'alert.json' }\n[expect]\ncontrol = true\n",
            "S011:3 that it is a message about the channel is `false`, expected `true`",
        ),
        (
            "alert = { file = 'alert.json' }\n[expect]\nunreadable = 'x'\n",
            "S011:3 expected that it cannot be read because of `x`",
        ),
        (
            "alert = { body = 'x' }\n[expect]\nunreadable = 'other'\n",
            "S011:3 expected that it cannot be read because of `other`",
        ),
        (
            "alert = { body = 'x' }\n[expect]\ncontrol = true\n",
            "S011:1 the delivery cannot be read",
        ),
        (
            "alert = { body = 'x' }\n[expect]\n",
            "S010:2 the case expects nothing",
        ),
    ] {
        let found = splunk(text);
        assert!(
            found.iter().any(|one| one.starts_with(says)),
            "{text}\n{found:#?}"
        );
    }
    let found = connect(
        "crowdstrike",
        "alert = { body = '{}' }\nexpect = { control = true }\n",
    );
    assert_eq!(found, ["S009:1 the connector `crowdstrike` takes no alerts"]);
}

#[test]
fn every_mistake_in_a_case_of_a_connector_is_one() {
    for (text, says) in [
        (
            "[expect]\noutcome = 'done'",
            "S009:1 a case of a connector calls something",
        ),
        (
            "act = 'a'\nread = 'b'\n[expect]\noutcome = 'done'",
            "S009:1 a case calls exactly one of",
        ),
        (
            "act = 'contain'\n[expect]\noutcome = 'done'",
            "S005:1 `crowdstrike` has no action `contain`",
        ),
        (
            "act = 'contain_host'\n[expect]",
            "S010:2 the case expects nothing",
        ),
        (
            "act = 'contain_host'\n[expect]\noutcome = 'good'",
            "S004:3 `good` is no value of `outcome`",
        ),
        (
            "act = 'contain_host'\n[expect]\ncode = 'x'\nretry = 'often'",
            "S004:4 `often` is no value of `retry`",
        ),
        (
            "act = 'contain_host'\nfunction = 'f'\n[expect]\ncode = 'x'",
            "S009:2 `function` says which function reads",
        ),
        (
            "act = 'contain_host'\ntarget = { type = 'hots', id = 'x' }\n[expect]\ncode = 'x'",
            "S004:2 the target cannot be read",
        ),
        (
            "act = 'contain_host'\ntarget = { type = 'host', id = 'x', nmae = 'y' }\n[expect]\ncode = 'x'",
            "S004:2 the target cannot be read: it has no `nmae`",
        ),
        (
            "resolve = 'contain_host'\n[expect]\ncode = 'x'",
            "S003:1 the case has no `target`",
        ),
        (
            "read = 'contain_host'\n[expect]\ncode = 'x'",
            "S003:1 there is nothing to read",
        ),
        (
            "act = 'contain_host'\nbase_url = 'x'\n[expect]\ncode = 'x'",
            "S004:2 `x` is no address",
        ),
        (
            "act = 'contain_host'\n[expect]\ncode = 'x'\n[[request]]\npath = '/x'",
            "S003:4 `request` has no `answer`",
        ),
        (
            "act = 'contain_host'\n[expect]\ncode = 'x'\n[[request]]\nanswer = {}",
            "S003:4 `request` has no `path`",
        ),
        (
            "act = 'contain_host'\n[expect]\ncode = 'x'\n[[request]]\npath = '/x'\nanswer = 'gone'",
            "S004:4 an answer is a table",
        ),
        (
            "act = 'contain_host'\n[expect]\ncode = 'x'\n[[request]]\npath = '/x'\nanswer = { status = 7 }",
            "S004:6 `status` is from 100 to 599",
        ),
        (
            "act = 'contain_host'\n[expect]\ncode = 'x'\n[[request]]\npath = '/x'\nmethod = 'GTE'\nanswer = {}",
            "S004:6 `GTE` is no value of `method`",
        ),
    ] {
        let found = connect("crowdstrike", text);
        assert!(
            found.iter().any(|one| one.starts_with(says)),
            "{text}\n{found:#?}"
        );
    }
}

#[test]
fn a_failure_shows_the_line_of_the_case_and_that_of_the_playbook() {
    let playbook = PLAYBOOKS.get("malware-on-host").unwrap().clone();
    let text =
        format!("{ONE_HOST}[expect]\neffect = [{{ action = 'endpoint::isolate', verified = 'pending' }}]\n");
    let found = suite::of_playbook(playbook, &files(&text));
    let verdicts = SUITE.run(&found, &|_| {}).unwrap();
    insta::assert_snapshot!(verdicts[0].failures[0].render(false));
    assert!(
        verdicts[0].timeline.contains("crowdstrike::contain_host"),
        "{}",
        verdicts[0].timeline
    );
}

/// Everything in the repository's folders, not in the binary, so that a change of content is seen at once.
#[test]
fn every_shipped_case_passes_and_gives_the_same_every_time() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let connectors = connector::Catalog::load(Some(&root.join("connectors"))).unwrap();
    let playbooks = playbook::Catalog::load(&[root.join("playbooks")], &connectors).unwrap();
    let found = gather(&connectors, &playbooks);
    assert_eq!(found.mistakes, [], "mistakes in cases");
    assert!(found.len() > 40, "{}", found.len());
    let suite = Suite::new(Arc::new(connectors), 2).unwrap();
    let run = || {
        let began = std::time::Instant::now();
        let verdicts = suite.run(&found, &|_| {}).unwrap();
        let failed = verdicts.iter().filter(|verdict| !verdict.passed());
        let failed: Vec<String> = failed
            .map(|verdict| {
                let texts: Vec<String> = verdict.failures.iter().map(|one| one.render(false)).collect();
                format!(
                    "{} ({})\n{}\n{}",
                    verdict.name,
                    verdict.file,
                    texts.join("\n"),
                    verdict.timeline
                )
            })
            .collect();
        assert!(failed.is_empty(), "{}", failed.join("\n\n"));
        println!("{} cases in {:?}", verdicts.len(), began.elapsed());
    };
    run();
    run();
}

/// A connector of two files that speaks something else than HTTP.
fn speaks(transport: &str, script: &str, text: &str) -> Vec<String> {
    let manifest = format!(
        "name = \"probe\"\ntitle = \"Probe\"\nversion = \"1\"\ntransport = \"{transport}\"\n[auth]\nkind = \"none\"\n\
         [actions.push_it]\ntitle = \"Go\"\nclass = \"opaque\"\nirreversible = true\npermission = \"none\"\n\
         verify = {{ none = \"nothing shows it\" }}\n"
    );
    let all = BTreeMap::from([
        ("connector.toml".to_owned(), manifest),
        ("actions.rhai".to_owned(), script.to_owned()),
    ]);
    let probe = connector::Connector::parse(&all, "connectors/probe").unwrap();
    said(suite::of_connector(Arc::new(probe), &files(text)))
}

#[test]
fn a_directory_is_asked_in_its_own_words() {
    let script = r#"fn push_it(target, args) {
        let found = ldap::search(#{ base: "dc=x", scope: "sub", filter: #{ uid: "a*" }, attributes: ["mail"] });
        if found.entries.len() != 1 { throw error("none", found.message); }
        let done = ldap::modify(found.entries[0].dn, #{ replace: #{ flag: ["512"] } });
        if done.code != 0 { return #{ not_done: true, code: done.name }; }
        #{ done: true, result: #{ mail: found.entries[0].attributes.mail[0] } }
    }"#;
    let case = |filter: &str, answer: &str, expect: &str| {
        let text = format!(
            "act = 'push_it'\nbase_url = 'ldaps://dc.example'\n[[request]]\nmethod = 'SEARCH'\n\
             json = {{ base = 'dc=x', scope = 'sub', filter = '{filter}', attributes = ['mail'] }}\n\
             answer = {{ json = {{ entries = [{{ dn = 'cn=a', attributes = {{ Mail = ['a@x'] }} }}] }} }}\n\
             [[request]]\nmethod = 'MODIFY'\njson = {{ dn = 'cn=a', replace = {{ flag = ['512'] }} }}\n\
             answer = {answer}\n[expect]\n{expect}\n"
        );
        speaks("ldap", script, &text)
    };
    let filter = "(uid=a\\2a)";
    assert_eq!(
        case(filter, "{}", "outcome = 'done'\nresult = { mail = 'a@x' }"),
        Vec::<String>::new()
    );
    assert_eq!(
        case(filter, "'lost'", "outcome = 'unknown'\ncode = 'connection-lost'"),
        Vec::<String>::new()
    );
    assert_eq!(
        case(filter, "'refused'", "outcome = 'not_done'\nretry = 'backoff'"),
        Vec::<String>::new()
    );
    assert_eq!(
        case(
            filter,
            "{ status = 50 }",
            "outcome = 'not_done'\ncode = 'permission'"
        ),
        Vec::<String>::new()
    );
    assert_eq!(
        case("(uid=a*)", "{}", "outcome = 'done'"),
        [
            "S012:5 the JSON body of the request is not as expected: `filter` is `(uid=a\\2a)`, expected `(uid=a*)`"
        ]
    );
    assert_eq!(
        case(filter, "{ status = 50 }", "outcome = 'done'"),
        ["S011:12 the outcome is `not_done`, expected `done`"]
    );
}

#[test]
fn a_mail_server_is_asked_in_its_own_words() {
    let script = r#"fn push_it(target, args) {
        let sent = smtp::send(#{ from: "c@x.example", to: ["a@x.example", "b@x.example"], subject: "Hello", text: "body" });
        #{ done: true, result: #{ accepted: sent.accepted, response: sent.response } }
    }"#;
    let case = |to: &str, answer: &str, expect: &str| {
        let text = format!(
            "act = 'push_it'\nbase_url = 'smtps://mail.example'\n[[request]]\nmethod = 'SEND'\n\
             headers = {{ x-envelope-to = '{to}' }}\nbody = 'Subject: Hello'\nanswer = {answer}\n[expect]\n{expect}\n"
        );
        speaks("smtp", script, &text)
    };
    let both = "a@x.example, b@x.example";
    let queued = "{ status = 250, json = { message = 'queued' } }";
    let one = "{ json = { refused = [{ to = 'a@x.example', code = 550, text = 'no' }] } }";
    let none =
        "{ json = { refused = [{ to = 'a@x.example', code = 450 }, { to = 'b@x.example', code = 550 }] } }";
    for (answer, expect) in [
        (queued, "outcome = 'done'\nresult = { response = 'queued' }"),
        (one, "outcome = 'done'\nresult = { accepted = ['b@x.example'] }"),
        (
            none,
            "outcome = 'not_done'\ncode = 'vendor-busy'\nretry = 'backoff'",
        ),
        (
            "{ status = 554 }",
            "outcome = 'not_done'\ncode = 'refused'\nretry = 'never'",
        ),
        (
            "{ status = 451 }",
            "outcome = 'not_done'\ncode = 'vendor-busy'\nretry = 'backoff'",
        ),
        ("'refused'", "outcome = 'not_done'\ncode = 'unreachable'"),
        ("'lost'", "outcome = 'unknown'\ncode = 'connection-lost'"),
    ] {
        assert_eq!(case(both, answer, expect), Vec::<String>::new(), "{answer}");
    }
    let found = case("a@x.example", queued, "outcome = 'done'");
    assert!(
        found[0].starts_with("S012:5 the headers of the request is not as expected"),
        "{found:?}"
    );
}

/// A playbook of one's own that people start: with inputs, a message without a target, and a value in the end.
#[test]
fn a_playbook_that_people_start_is_given_inputs_and_sends_messages() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write(
        "playbook.toml",
        "id = 'tell'\ntitle = 'Tell'\nkind = 'response'\nowner = 'us'\n[inputs]\naccount = 'required'\n",
    );
    write(
        "playbook.rhai",
        "let sent = chat::send(#{ to: \"#soc\", subject: `About ${account}`, text: \"t\" });\n\
         #{ about: account, id: sent.result.id, how: sent.how }\n",
    );
    std::fs::create_dir(folder.path().join("tests")).unwrap();
    write(
        "tests/tells.toml",
        "[inputs]\naccount = 'svc-backup'\n[expect]\nend = 'succeeded'\nsteps = ['chat::send']\n\
         returns = { about = 'svc-backup', how = 'acted' }\n\
         [[expect.effect]]\naction = 'chat::send'\nargs = { to = '#soc', subject = 'About svc-backup' }\n",
    );
    write(
        "tests/lost.toml",
        "instances = ['slack']\n[inputs]\naccount = 'svc-backup'\n\
         [[action]]\nname = 'slack::send_message'\nlost = 'done'\n[expect]\nend = 'succeeded'\n\
         returns = { id = 'simulated', how = 'observed' }\n\
         effect = [{ action = 'chat::send', instance = 'slack', how = 'observed', attempts = 1 }]\n",
    );
    write(
        "tests/wrong.toml",
        "instances = ['slack']\n[inputs]\naccount = 'svc-backup'\n[expect]\n\
         effect = [{ action = 'chat::send', args = { to = '#ops' } }]\n",
    );
    let playbooks = playbook::Catalog::load(&[folder.path().to_owned()], &CONNECTORS).unwrap();
    let tell = playbooks.get("tell").unwrap().clone();
    let found = suite::of_playbook(tell.clone(), &tell.tests);
    assert_eq!(found.len(), 3);
    assert_eq!(
        said(found),
        ["S011:5 the arguments are not as expected: `to` is `#soc`, expected `#ops`"]
    );
}

/// What cases of a playbook that asks two people come to.
#[test]
fn people_answer_what_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write(
        "playbook.toml",
        "id = 'asks'\ntitle = 'Asks'\nkind = 'response'\nowner = 'us'\nauthor = 'eve'\n",
    );
    write(
        "playbook.rhai",
        "let host = finding.affected(\"host\");\n\
         let answer = approve(#{ ask: `Isolate ${host.name}?`, by: \"leads\", quorum: 2, within: \"8h\",\n    \
         covers: [#{ action: \"endpoint::isolate\", target: host }] });\n\
         if answer.granted { endpoint::isolate(host); }\n\
         answer.by.len()\n",
    );
    let playbooks = playbook::Catalog::load(&[folder.path().to_owned()], &CONNECTORS).unwrap();
    let asks = playbooks.get("asks").unwrap();
    let case = |later: &[(&str, &str)], expect: &str| {
        let later: String = later
            .iter()
            .map(|(after, deed)| format!("[[later]]\nafter = '{after}'\n{deed}\n"))
            .collect();
        let text = format!(
            "groups = {{ leads = ['ana', 'ben', 'eve'] }}\nby = 'kim'{ONE_HOST}{later}[expect]\n{expect}\n"
        );
        said(suite::of_playbook(asks.clone(), &files(&text)))
    };
    let none = Vec::<String>::new();
    let both = [
        ("10m", "approve = 'ana'"),
        ("2h", "approve = 'ben'\nask = 'Isolate web-07'"),
    ];
    let granted = "end = 'succeeded'\nsteps = ['approve', 'endpoint::isolate']\nreturns = 2\n\
                   hold = [{ target = 'web-07' }]\neffect = [{ action = 'endpoint::isolate', verified = 'yes' }]";
    assert_eq!(case(&both, granted), none);
    let denied = "steps = ['approve']\neffect = []\nnot_called = ['endpoint::isolate']\nhold = []";
    assert_eq!(
        case(&[("10m", "approve = 'ana'"), ("2h", "deny = 'ben'")], denied),
        none
    );
    assert_eq!(
        case(&[("10m", "approve = 'ana'")], denied),
        none,
        "one of two is not enough"
    );
    assert_eq!(case(&[], denied), none, "no answer is a no");
    assert_eq!(
        case(&[("1m", "approve = 'eve'\nrefused = 'eve'")], denied),
        none,
        "the author may not"
    );
    assert_eq!(
        case(&[("1m", "approve = 'dan'\nrefused = 'dan'")], denied),
        none,
        "a stranger may not"
    );

    let found = case(&both[..1], granted);
    assert!(
        found
            .iter()
            .any(|one| one.starts_with("S011:") && one.contains("there is no step 2")),
        "{found:?}"
    );
    let refused = case(&[("1m", "approve = 'dan'")], denied);
    assert!(
        refused[0].starts_with("S014:") && refused[0].contains("`dan` was not taken"),
        "{refused:?}"
    );
    let taken = case(&[("1m", "approve = 'ana'\nrefused = 'x'")], denied);
    assert!(
        taken[0].starts_with("S014:") && taken[0].contains("the answer was taken"),
        "{taken:?}"
    );
    let late = case(&[("9h", "approve = 'ana'")], denied);
    assert!(
        late[0].contains("nobody is asked for approval by then"),
        "{late:?}"
    );
    let other = case(&[("1m", "approve = 'ana'\nask = 'Delete'")], denied);
    assert!(
        other[0].contains("nothing that is asked by then contains `Delete`"),
        "{other:?}"
    );
    let mistaken = case(&[("1m", "undo = 'ana'\nask = 'Delete'")], denied);
    assert!(mistaken[0].starts_with("S003:"), "{mistaken:?}");
}
