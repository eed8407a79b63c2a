use proptest::prelude::*;
use rsigma_eval::{JsonEvent, evaluate_rule};
use rsigma_parser::parse_sigma_yaml;
use serde_json::json;

use super::{Index, Trigger};
use crate::clock::Time;
use crate::diagnostic::Diagnostic;
use crate::finding::{Activity, Attack, Entity, EntityType, Finding, Role, Rule, SeverityId};

const EXAMPLE: &str = "\
title: Service account used from an unusual place
id: 7f7cbd1e-6c0f-4d3e-9f0a-1d6f6a0f2a11
logsource: { product: cordon, category: finding }
detection:
  who: { affected.type: service_account }
  bad: { severity_id|gte: 4, attack.technique|contains: T1078 }
  condition: who and bad
level: high
cordon: { key: [affected.uid, rule.uid], window: 1h }
";

fn finding() -> Finding {
    Finding {
        id: Finding::id_for("siem", "f-1"),
        source: "siem".into(),
        uid: "f-1".into(),
        title: "Unusual sign-in".into(),
        message: String::new(),
        severity_id: SeverityId(4),
        severity: "High".into(),
        activity: Activity::Create,
        time: Time(1_795_000_000_000),
        rule: Rule {
            uid: "R-7".into(),
            name: "Unusual sign-in".into(),
        },
        product: "Detector".into(),
        attack: vec![Attack {
            technique: "T1078.004".into(),
            tactic: "TA0001".into(),
        }],
        url: String::new(),
        entities: vec![
            Entity::new(EntityType::ServiceAccount, Role::Affected, "svc-backup")
                .unwrap()
                .with_uid("u-2"),
            Entity::new(EntityType::AccessKey, Role::Affected, "AKIAEXAMPLE")
                .unwrap()
                .with_uid("u-1"),
            Entity::new(EntityType::Ip, Role::Actor, "198.51.100.7").unwrap(),
        ],
        entities_left_out: 0,
        raw: json!({"account": {"id": "012345678901"}, "count": 7, "tags": ["Alpha", "beta"]}),
    }
}

fn with_detection(detection: &str) -> Result<Trigger, Vec<Diagnostic>> {
    let source =
        format!("title: t\nlogsource: {{ product: cordon, category: finding }}\ndetection:\n{detection}\n");
    Trigger::load("trigger.yml", &source, "p")
}

fn met(detection: &str) -> bool {
    let trigger = with_detection(detection).unwrap_or_else(|errors| panic!("{detection}: {errors:?}"));
    !Index::build(vec![trigger]).matches(&finding()).is_empty()
}

fn codes(result: Result<Trigger, Vec<Diagnostic>>) -> Vec<&'static str> {
    result
        .map(|_| ())
        .unwrap_err()
        .iter()
        .map(|error| error.code)
        .collect()
}

#[test]
fn the_example_of_the_design_loads_and_matches() {
    let trigger = Trigger::load("trigger.yml", EXAMPLE, "compromised-service-account").unwrap();
    assert_eq!((trigger.level, trigger.window_ms), (SeverityId(4), 3_600_000));
    assert_eq!(trigger.key, ["affected.uid", "rule.uid"]);
    let index = Index::build(vec![trigger]);
    let found = finding();
    let matches = index.matches(&found);
    let [one] = matches.as_slice() else {
        panic!("{matches:?}")
    };
    assert_eq!(one.trigger.playbook, "compromised-service-account");
    assert_eq!(
        serde_json::to_value(&one.key).unwrap(),
        json!([["affected.uid", ["u-1", "u-2"]], ["rule.uid", "R-7"]])
    );
}

#[test]
fn a_finding_that_is_over_or_only_updated_starts_nothing() {
    let index = Index::build(vec![Trigger::load("trigger.yml", EXAMPLE, "p").unwrap()]);
    for activity in [Activity::Update, Activity::Close] {
        let finding = Finding {
            activity,
            ..finding()
        };
        assert!(index.matches(&finding).is_empty(), "{activity:?}");
    }
    let on_update = EXAMPLE.replace("window: 1h", "window: 1h, on: [create, update]");
    let index = Index::build(vec![Trigger::load("trigger.yml", &on_update, "p").unwrap()]);
    assert_eq!(
        index
            .matches(&Finding {
                activity: Activity::Update,
                ..finding()
            })
            .len(),
        1
    );
    assert_eq!(
        index
            .matches(&Finding {
                activity: Activity::Close,
                ..finding()
            })
            .len(),
        0
    );
}

#[test]
fn detections_mean_what_sigma_says() {
    for (expected, detection) in [
        (
            true,
            "  a: { affected.type: [host, service_account] }\n  condition: a",
        ),
        (true, "  a: { affected.name: SVC-BACKUP }\n  condition: a"),
        (false, "  a: { affected.name|cased: SVC-BACKUP }\n  condition: a"),
        (
            true,
            "  a: { affected.type|all: [service_account, access_key] }\n  condition: a",
        ),
        (
            false,
            "  a: { affected.type|all: [service_account, host] }\n  condition: a",
        ),
        (true, "  a: { actor.name|cidr: 198.51.100.0/24 }\n  condition: a"),
        (true, "  a: { title|re: '^Unusual' }\n  condition: a"),
        (false, "  a: { title|re: '^unusual' }\n  condition: a"),
        (true, "  a: { title|re|i: '^unusual' }\n  condition: a"),
        (true, "  a: { observed.name: null }\n  condition: a"),
        (true, "  a: { observed.name|exists: false }\n  condition: a"),
        (false, "  a: { source|neq: SIEM }\n  condition: a"),
        (true, "  a: { raw.account.id: '012345678901' }\n  condition: a"),
        (true, "  a: { raw.count|gt: 6.5 }\n  condition: a"),
        (true, "  a: { raw.tags: BETA }\n  condition: a"),
        (
            true,
            "  a:\n    - { source: other }\n    - { rule.uid: r-7 }\n  condition: a",
        ),
        (true, "  a: [unusual sign]\n  condition: a"),
        (
            false,
            "  a: { source: siem }\n  b: { affected.name: svc-* }\n  condition: a and not b",
        ),
        (
            true,
            "  a1: { source: other }\n  a2: { source: siem }\n  condition: 1 of a*",
        ),
        (
            false,
            "  a1: { source: other }\n  a2: { source: siem }\n  condition: all of them",
        ),
    ] {
        assert_eq!(met(detection), expected, "{detection}");
    }
}

#[test]
fn what_was_checked_is_what_rsigma_itself_would_read() {
    let ours = Trigger::load("trigger.yml", EXAMPLE, "p").unwrap();
    let theirs = parse_sigma_yaml(EXAMPLE).unwrap();
    assert_eq!(ours.detection, theirs.rules[0].detection);
}

#[test]
fn broken_triggers_point_at_what_is_wrong() {
    let folder = format!("{}/tests/data/broken/triggers", env!("CARGO_MANIFEST_DIR"));
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(files.len() >= 8);
    for path in files {
        let source = std::fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let errors = Trigger::load(&name, &source, "p").unwrap_err();
        let text: Vec<String> = errors.iter().map(|error| error.render(false)).collect();
        insta::assert_snapshot!(name.replace(".yml", ""), text.join("\n\n"));
    }
}

#[test]
fn a_place_after_letters_of_several_bytes_is_still_the_place() {
    let text = "title: 'Überfällig 見つけた 🦀'\n# ein Kommentar mit Ä\nlogsource: { product: cordon, category: finding } # äöü 見つけた\ndetection: # ÄÖÜ\n  \
                who: { title: 'é🦀', affected.tpye: host }\n  condition: who\n";
    let errors = Trigger::load("f", text, "p").unwrap_err();
    assert_eq!(
        (errors[0].code, errors[0].line, errors[0].column),
        ("T008", 5, 23)
    );
    assert!(errors[0].render(false).contains("^^^^^^^^^^^^^"));
}

#[test]
fn a_large_file_of_long_letters_loads_in_one_pass() {
    let values = vec!["'é'"; 9_000].join(", ");
    let trigger = with_detection(&format!("  a: {{ title: [{values}] }}\n  condition: a"));
    assert!(trigger.is_ok(), "{trigger:?}");
}

#[test]
fn every_code_has_its_page() {
    for n in 1..=17 {
        let page = format!("{}/docs/errors/T{n:03}.md", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&page).unwrap_or_else(|_| panic!("{page} is missing"));
        assert!(text.starts_with(&format!("# T{n:03}: ")), "{page}");
    }
}

#[test]
fn a_trigger_cannot_exhaust_the_machine() {
    let long = format!("title: {}\n", "x".repeat(70_000));
    assert_eq!(codes(Trigger::load("f", &long, "p")), ["T001"]);
    let deep = format!("title: t\ndetection: {}x{}\n", "[".repeat(200), "]".repeat(200));
    assert_eq!(codes(Trigger::load("f", &deep, "p")), ["T001"]);
    for nested in ["(".repeat(60_000), "not ".repeat(15_000)] {
        let condition = format!("  a: {{ title: x }}\n  condition: {nested}a");
        assert_eq!(codes(with_detection(&condition)), ["T012"]);
    }
}

#[test]
fn values_that_yaml_would_bend_are_refused() {
    for value in [
        "9007199254740993",
        "0x1f",
        ".inf",
        "007",
        "!!str 7",
        "*a",
        "[]",
        "{ b: c }",
        "[a, null]",
    ] {
        let result = with_detection(&format!("  a: {{ raw.x: {value} }}\n  condition: a"));
        assert!(result.is_err(), "{value}");
    }
}

#[test]
fn an_explanation_names_what_stood_in_the_way() {
    let other = EXAMPLE
        .replace("service_account }", "host }")
        .replace("T1078", "T1486");
    let index = Index::build(vec![
        Trigger::load("other.yml", &other, "other").unwrap(),
        Trigger::load("trigger.yml", EXAMPLE, "p").unwrap(),
    ]);
    let found = finding();
    let explained = index.explain(&found);
    assert_eq!(
        explained.iter().map(|e| e.matched).collect::<Vec<_>>(),
        [true, false]
    );
    assert!(explained[0].misses.is_empty());
    let fields: Vec<&str> = explained[1]
        .misses
        .iter()
        .map(|miss| miss.field.as_str())
        .collect();
    assert_eq!(fields, ["affected.type", "attack.technique"]);
    assert!(
        explained[1].misses[0].why.contains("`host`"),
        "{:?}",
        explained[1].misses
    );
    assert_eq!(explained[1].held, 1);
    let closed = Finding {
        activity: Activity::Close,
        ..finding()
    };
    assert_eq!(index.explain(&closed)[0].misses[0].search, "on");
}

#[test]
fn a_key_field_the_finding_lacks_is_null() {
    let source = EXAMPLE.replace(
        "[affected.uid, rule.uid]",
        "[observed.uid, raw.nothing, actor.uid]",
    );
    let index = Index::build(vec![Trigger::load("f", &source, "p").unwrap()]);
    let found = finding();
    let key = index.matches(&found).remove(0).key;
    assert_eq!(
        serde_json::to_value(&key).unwrap(),
        json!([
            ["observed.uid", null],
            ["raw.nothing", null],
            ["actor.uid", ["198.51.100.7"]]
        ])
    );
}

#[test]
fn the_order_of_entities_does_not_make_another_case() {
    let index = Index::build(vec![Trigger::load("trigger.yml", EXAMPLE, "p").unwrap()]);
    let one = finding();
    let mut two = finding();
    two.entities.reverse();
    two.entities.extend(one.entities.first().cloned());
    assert_eq!(
        index.matches(&one)[0].key.digest(),
        index.matches(&two)[0].key.digest()
    );
    two.rule.uid = "R-8".into();
    assert_ne!(
        index.matches(&one)[0].key.digest(),
        index.matches(&two)[0].key.digest()
    );
}

fn any_word() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "siem", "SIEM", "edr", "İ", "4", "4.0", "true", "host", "a*", "web-07", "ß",
    ])
    .prop_map(str::to_owned)
}

fn any_item() -> impl Strategy<Value = String> {
    let field = prop::sample::select(vec![
        "source",
        "rule.uid",
        "title",
        "product",
        "raw.x",
        "raw.y.z",
        "affected.name",
        "entity.uid",
        "message",
    ]);
    let modifier = prop::sample::select(vec!["", "", "", "|contains", "|cased", "|neq", "|endswith"]);
    let text = (field, modifier, prop::collection::vec(any_word(), 1..4))
        .prop_map(|(field, modifier, words)| format!("{field}{modifier}: ['{}']", words.join("', '")));
    let number = (
        prop::sample::select(vec!["severity_id", "severity_id|gte", "raw.x", "raw.y.z|lt"]),
        0_u8..6,
    )
        .prop_map(|(field, n)| format!("{field}: {n}"));
    let typed = prop::sample::select(vec![
        "affected.type: host",
        "entity.type: user",
        "raw.x: true",
        "raw.y: null",
    ])
    .prop_map(str::to_owned);
    prop_oneof![4 => text, 1 => number, 1 => typed]
}

fn any_detection() -> impl Strategy<Value = String> {
    let condition = prop::sample::select(vec![
        "s1 and s2 and s3",
        "s1 or s2 or s3",
        "s1 and not s2 and not s3",
        "1 of s*",
        "all of them",
        "2 of s*",
        "(s1 or s2) and s3",
        "s1 or (s2 and s3)",
        "not s1 and (s2 or not s3)",
        "[s1 and s2, s3]",
    ]);
    let search = prop::collection::vec(any_item(), 1..3).prop_map(|items| {
        // Two items of one field are a duplicate key, so they become a list of maps.
        items
            .iter()
            .map(|item| format!("      - {{ {item} }}\n"))
            .collect::<String>()
    });
    (prop::array::uniform3(search), condition).prop_map(|(searches, condition)| {
        let mut text = String::new();
        for (n, search) in searches.iter().enumerate() {
            text.push_str(&format!("  s{}:\n{search}", n + 1));
        }
        text + format!("  condition: {condition}").as_str()
    })
}

fn any_finding() -> impl Strategy<Value = Finding> {
    let raw = prop_oneof![
        any_word().prop_map(|word| json!(word)),
        (0_u8..6).prop_map(|n| json!(n)),
        Just(json!(4.0)),
        Just(json!(true)),
        Just(json!(null)),
        prop::collection::vec(any_word(), 0..3).prop_map(|words| json!(words)),
        any_word().prop_map(|word| json!({"z": word})),
        prop::collection::vec(any_word(), 0..3)
            .prop_map(|words| json!(words.iter().map(|word| json!({"z": word})).collect::<Vec<_>>())),
    ];
    (
        prop::array::uniform5(any_word()),
        0_u8..7,
        raw.clone(),
        raw,
        prop::collection::vec(any_word(), 0..3),
    )
        .prop_map(
            |([source, rule, title, product, message], severity, x, y, names)| Finding {
                source,
                title,
                product,
                message,
                rule: Rule {
                    uid: rule,
                    name: String::new(),
                },
                severity_id: SeverityId(severity),
                raw: json!({"x": x, "y": y}),
                entities: names
                    .iter()
                    .filter_map(|name| Entity::new(EntityType::Host, Role::Affected, name))
                    .collect(),
                ..finding()
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn the_index_finds_exactly_what_evaluating_every_rule_finds(
        detections in prop::collection::vec(any_detection(), 1..12),
        findings in prop::collection::vec(any_finding(), 1..8),
    ) {
        let triggers: Vec<Trigger> = detections.iter().filter_map(|text| with_detection(text).ok()).collect();
        prop_assume!(!triggers.is_empty());
        let index = Index::build(triggers.clone());
        for finding in &findings {
            let event = finding.as_event();
            let linear: Vec<_> = triggers
                .iter()
                .filter(|trigger| evaluate_rule(&trigger.rule, &JsonEvent::borrow(&event)).is_some())
                .map(|trigger| trigger.digest)
                .collect();
            let indexed: Vec<_> = index.matches(finding).iter().map(|found| found.trigger.digest).collect();
            prop_assert_eq!(&indexed, &linear);
            let explained = index.explain(finding);
            for one in explained {
                prop_assert_eq!(one.matched, linear.contains(&one.trigger.digest));
                prop_assert_eq!(one.matched, one.misses.is_empty());
            }
        }
    }

    #[test]
    fn no_text_makes_loading_panic(text in "[ -~\n]{0,300}") {
        let _: Result<Trigger, Vec<Diagnostic>> = Trigger::load("f", &text, "p");
    }

    #[test]
    fn no_mutation_of_a_trigger_makes_loading_panic(at in 0..EXAMPLE.len(), put in "[\\PC\n]{0,4}", cut in 0_usize..9) {
        let end = (at + cut).min(EXAMPLE.len());
        let text = format!("{}{put}{}", &EXAMPLE[..at], &EXAMPLE[end..]);
        if let Err(errors) = Trigger::load("f", &text, "p") {
            prop_assert!(errors.iter().all(|error| !error.render(false).is_empty()) && !errors.is_empty());
        }
    }
}
