//! `cordon demo` as somebody runs it who has never seen Cordon: it ends well, and shows what the guide says it shows.

use super::cordon;

#[test]
fn the_demo_shows_three_alerts_a_storm_and_a_leaver() {
    let dir = tempfile::tempdir().unwrap();
    let output = cordon(dir.path(), &["demo"]);
    let shown = String::from_utf8(output.stdout).unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{shown}\n{told}");
    let sections: Vec<&str> = shown
        .lines()
        .filter(|line| {
            line.split_once(". ")
                .is_some_and(|(n, _)| n.parse::<u32>().is_ok())
        })
        .collect();
    assert_eq!(sections.len(), 8, "{sections:#?}");
    for shows in [
        "in force: reads `contained`",
        "250 were counted as repeats of an alert, 250 kept as alerts of their own: 0 further runs",
        "tries it: 200, it opens the account",
        "tries again: 403 ",
        "GRANTED, approved by ana",
        "ben says no to deleting it",
        "- account kim",
        "mail to identity@corp.example: ",
        "NOT restored: ",
        "Inactive -> Deleted",
        "each carried out once",
    ] {
        assert!(shown.contains(shows), "{shows} is not in\n{shown}");
    }
    assert!(
        std::fs::read_dir(dir.path()).unwrap().next().is_none(),
        "it leaves nothing behind"
    );
}
