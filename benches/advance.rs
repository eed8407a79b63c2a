//! What a playbook costs in script time over its whole run: every evaluation from the top, from the first ask to
//! the end, one answer more each time. The reach is 2 ms for twenty steps (DESIGN §9).

#![allow(
    clippy::panic,
    reason = "a bench whose script does not run has nothing to measure"
)]

use std::sync::{Arc, mpsc};

use cordon::script::{Advance, Answer, Answers, Evaluators, Inputs, Job, Program, Told, Vocabulary, Word};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use serde_json::{Value, json};

/// A playbook that isolates one host after the other, and decides by what came back.
fn sequence(steps: usize) -> Program {
    let mut text =
        String::from("let hosts = finding.all(\"host\");\nlet done = 0;\nnote(`${finding.title}`);\n");
    for step in 0..steps {
        text.push_str(&format!(
            "let r{step} = endpoint::isolate(hosts[{}], #{{ lease: \"4h\" }});\nif r{step}.verified == \"yes\" {{ \
             done += 1; }}\n",
            step % 8
        ));
    }
    text.push_str("note(`${done} isolated`);\ndone\n");
    Program::new("bench.rhai", text)
}

/// The same number of hosts at once: two evaluations, whatever the number.
fn fan_out() -> Program {
    let text = "let results = each(finding.all(\"host\"), |host| endpoint::isolate(host, #{ lease: \"4h\" }));\n\
                results.filter(|result| result.ok).len()\n";
    Program::new("bench.rhai", text)
}

fn inputs(hosts: usize) -> Arc<Inputs> {
    let entities: Vec<Value> = (0..hosts)
        .map(|n| json!({ "type": "host", "role": "affected", "name": format!("web-{n:03}"), "uid": format!("{n:032x}") }))
        .collect();
    let finding = json!({
        "title": "Ransomware behaviour",
        "severity": "high",
        "entities": entities,
        "raw": { "search_name": "Ransomware", "result": { "dest": "web-000", "count": "17" } },
    });
    Arc::new(Inputs::from([("finding".to_owned(), finding)]))
}

fn vocabulary() -> Arc<Vocabulary> {
    let words = [
        Word::tell("note", 1..=1, "writes a line into the timeline"),
        Word::ask("endpoint::isolate", 1..=2, "isolates a host"),
    ];
    match Vocabulary::new(words) {
        Ok(vocabulary) => Arc::new(vocabulary),
        Err(error) => panic!("{error}"),
    }
}

fn evaluate(evaluators: &Evaluators, job: Job) -> Advance {
    let (answer, evaluated) = mpsc::sync_channel(1);
    let reply = move |advance| {
        // The other end waits for exactly this.
        let _ = answer.send(advance);
    };
    evaluators.evaluate(job, Box::new(reply));
    match evaluated.recv() {
        Ok(advance) => advance,
        Err(error) => panic!("{error}"),
    }
}

/// A whole run: answers whatever is asked until the script ends. Answers how many evaluations it took.
fn whole_run(evaluators: &Evaluators, first: &Job) -> usize {
    let mut job = first.clone();
    let mut answers = Answers::new();
    let mut recorded = Told::new();
    for evaluations in 1.. {
        match evaluate(evaluators, job.clone()) {
            Advance::Asks { waiting, told } => {
                recorded.extend(told.into_iter().map(|tell| (tell.step, tell.digest)));
                for asked in waiting {
                    let receipt = json!({ "action": asked.name, "verified": "yes", "until": "2026-11-23T20:00:00.000Z" });
                    answers.insert(asked.step.clone(), Answer::to(&asked, Ok(receipt)));
                }
            }
            Advance::Returned { .. } => return evaluations,
            other => panic!("{other:?}"),
        }
        job.answers = Arc::new(answers.clone());
        job.told = Arc::new(recorded.clone());
    }
    0
}

fn replays(criterion: &mut Criterion) {
    let evaluators = match Evaluators::start(1) {
        Ok(evaluators) => evaluators,
        Err(error) => panic!("{error}"),
    };
    let vocabulary = vocabulary();
    let mut group = criterion.benchmark_group("script time of a whole run");
    for steps in [3, 20, 200] {
        let job = Job::new(sequence(steps), vocabulary.clone(), inputs(8));
        assert_eq!(
            whole_run(&evaluators, &job),
            steps + 1,
            "one evaluation for each answer, and the first"
        );
        group.throughput(Throughput::Elements(steps as u64));
        if steps == 200 {
            group.sample_size(10);
        }
        group.bench_with_input(BenchmarkId::new("sequence", steps), &job, |bencher, job| {
            bencher.iter(|| whole_run(&evaluators, job));
        });
    }
    let job = Job::new(fan_out(), vocabulary, inputs(20));
    assert_eq!(whole_run(&evaluators, &job), 2, "all are asked at once");
    group.throughput(Throughput::Elements(20));
    group.bench_with_input(BenchmarkId::new("each", 20), &job, |bencher, job| {
        bencher.iter(|| whole_run(&evaluators, job));
    });
    group.finish();
}

criterion_group!(benches, replays);
criterion_main!(benches);
