//! How long one finding takes to meet its triggers: 100, 1,000 and 10,000 of them, of which four match. The reach
//! is 50 µs for 1,000 and 300 µs for 10,000 (DESIGN §9).

#![allow(
    clippy::panic,
    reason = "a bench whose input does not load has nothing to measure"
)]

use cordon::clock::Time;
use cordon::finding::{Activity, Attack, Entity, EntityType, Finding, Role, Rule, SeverityId};
use cordon::trigger::{Index, Trigger};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use serde_json::json;

fn trigger(n: usize) -> Trigger {
    let search = match n % 4 {
        0 => format!("rule.uid: R-{n}, affected.type: service_account"),
        1 => format!("raw.search_name: 'search {n}', severity_id: 4"),
        2 => format!("affected.name: [svc-{n}, web-{n}], source: siem"),
        _ => format!("attack.technique: T{n:04}, product|contains: det"),
    };
    let source = format!(
        "title: trigger {n}\nlogsource: {{ product: cordon, category: finding }}\ndetection:\n  who: {{ {search} }}\n  \
         bad: {{ severity_id|gte: 3 }}\n  condition: who and bad\ncordon: {{ key: [affected.uid], window: 1h }}\n"
    );
    match Trigger::load("bench.yml", &source, "playbook") {
        Ok(trigger) => trigger,
        Err(errors) => panic!("{}", errors.iter().map(ToString::to_string).collect::<String>()),
    }
}

fn finding() -> Finding {
    Finding {
        id: Finding::id_for("siem", "f-1"),
        source: "siem".into(),
        uid: "f-1".into(),
        title: "Unusual sign-in of a service account".into(),
        message: "seen first from this network".into(),
        severity_id: SeverityId(4),
        severity: "high".into(),
        activity: Activity::Create,
        time: Time(1_795_000_000_000),
        rule: Rule {
            uid: "R-40".into(),
            name: "Unusual sign-in".into(),
        },
        product: "Detector".into(),
        attack: vec![Attack {
            technique: "T0043".into(),
            tactic: "TA0001".into(),
        }],
        url: "https://siem.example/f-1".into(),
        entities: [
            Entity::new(EntityType::ServiceAccount, Role::Affected, "svc-42"),
            Entity::new(EntityType::Ip, Role::Actor, "198.51.100.7"),
            Entity::new(EntityType::Host, Role::Observed, "gate-01.corp.example"),
        ]
        .into_iter()
        .flatten()
        .collect(),
        entities_left_out: 0,
        raw: json!({"search_name": "search 41", "sid": "s", "host": "log-01", "src_ip": "198.51.100.7", "count": "3"}),
    }
}

fn matching(criterion: &mut Criterion) {
    let finding = finding();
    let mut group = criterion.benchmark_group("match one finding");
    for n in [100, 1_000, 10_000] {
        let index = Index::build((0..n).map(trigger).collect());
        assert_eq!(
            index.matches(&finding).len(),
            4,
            "the four rules made for it, and no other"
        );
        group.bench_with_input(BenchmarkId::new("index", n), &index, |bencher, index| {
            bencher.iter(|| index.matches(std::hint::black_box(&finding)).len());
        });
    }
    group.finish();
}

criterion_group!(benches, matching);
criterion_main!(benches);
