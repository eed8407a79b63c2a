//! Hostile scripts (`tests/data/hostile`): each ends cleanly within its limits, and the same pool serves on.

use std::path::Path;

use super::replay::on;
use super::*;

#[test]
fn every_hostile_script_ends_cleanly_and_the_pool_serves_on() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/hostile");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(files.len() >= 40, "{} hostile scripts", files.len());
    let evaluators = Evaluators::start(1).unwrap();
    for file in files {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&file).unwrap();
        // Longer than usual, so that the deepest values are built and not merely begun.
        let deadline = std::time::Duration::from_secs(10);
        let hostile = Job {
            program: Program::new(name.as_str(), text),
            deadline,
            ..job("")
        };
        let begun = std::time::Instant::now();
        let outcome = on(&evaluators, &hostile);
        let took = begun.elapsed();
        let summary = match &outcome {
            Advance::Failed { error, .. } => format!("failed: {} {}", error.code, error.message),
            Advance::Interrupted { why } => format!("interrupted: {why:?}"),
            Advance::Returned { value, .. } => format!("returned {}", value.to_string().len()),
            other => panic!("{name}: {other:?}"),
        };
        eprintln!("{name}: {summary} in {took:?}");
        assert!(!summary.contains("fault"), "{name}: {summary}");
        let next = on(&evaluators, &job("1 + 1"));
        assert_eq!(
            next,
            Advance::Returned {
                value: json!(2),
                told: vec![]
            },
            "after {name}"
        );
    }
}
