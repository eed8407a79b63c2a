use super::*;

const MANIFEST_TEXT: &str = r#"
name = "crowdstrike"
title = "Ours"
version = "9"
hosts = ["api.ours.example"]
[actions.ping]
title = "Pings"
class = "read"
permission = "none"
"#;

fn shown(mistakes: &[Diagnostic]) -> String {
    mistakes
        .iter()
        .map(|mistake| mistake.render(false))
        .collect::<Vec<_>>()
        .join("\n\n")
}

#[test]
fn the_shipped_connectors_load() {
    let catalog = Catalog::embedded().unwrap_or_else(|mistakes| panic!("{}", shown(&mistakes)));
    let (connector, spec) = catalog
        .action(&"crowdstrike::contain_host".parse().unwrap())
        .unwrap();
    assert_eq!(connector.manifest.title, "CrowdStrike Falcon");
    assert_eq!(spec.capture.as_deref(), Some("host_state"));
    assert_eq!(
        spec.undo.as_ref().unwrap().action.to_string(),
        "crowdstrike::lift_containment"
    );
    assert!(connector.files.contains_key("README.md"));
    let isolate = "endpoint::isolate".parse().unwrap();
    assert_eq!(catalog.providers(&isolate).count(), 1);
    assert!(catalog.knows(&isolate) && !catalog.knows(&"endpoint::suspend".parse().unwrap()));
    assert!(catalog.action(&"crowdstrike::nothing".parse().unwrap()).is_none());
}

#[test]
fn words_say_how_many_arguments_an_action_takes() {
    let catalog = crate::connector::tests::catalog();
    let words = catalog.words();
    let arity = |name: &str| {
        words
            .iter()
            .find(|word| word.name == name)
            .map(|word| word.arity.clone())
    };
    assert_eq!(arity("endpoint::isolate"), Some(1..=2));
    assert_eq!(arity("crowdstrike::contain_host"), Some(1..=2));
    assert_eq!(arity("probe::one_change"), Some(0..=1));
    assert_eq!(arity("probe::goes_elsewhere"), Some(1..=1));
    assert_eq!(arity("probe::set_status"), Some(2..=2));
    assert!(crate::script::Vocabulary::new(words).is_ok());
}

#[test]
fn a_folder_of_the_same_name_takes_the_place_of_a_shipped_one() {
    let dir = tempfile::tempdir().unwrap();
    let own = dir.path().join("crowdstrike");
    fs::create_dir_all(own.join("tests")).unwrap();
    fs::create_dir_all(dir.path().join(".git")).unwrap();
    fs::write(own.join("connector.toml"), MANIFEST_TEXT).unwrap();
    fs::write(
        own.join("actions.rhai"),
        "fn ping(target, args) { #{ done: true } }",
    )
    .unwrap();
    fs::write(own.join("tests/ping.toml"), "x = 1").unwrap();
    let catalog = Catalog::load(Some(dir.path())).unwrap_or_else(|mistakes| panic!("{}", shown(&mistakes)));
    let connector = catalog.connector("crowdstrike").unwrap();
    assert_eq!(connector.manifest.title, "Ours");
    assert!(connector.files.contains_key("tests/ping.toml"));
    let shipped = Catalog::embedded().unwrap();
    assert_ne!(connector.digest, shipped.connector("crowdstrike").unwrap().digest);
}

#[test]
fn the_digest_follows_what_a_connector_does_and_not_its_readme() {
    let parse = |readme: &str, script: &str| {
        let files = [
            ("connector.toml", MANIFEST_TEXT),
            ("actions.rhai", script),
            ("README.md", readme),
        ]
        .map(|(name, text)| (name.to_owned(), text.to_owned()));
        Connector::parse(&files.into(), "x/crowdstrike").unwrap().digest
    };
    let script = "fn ping(target, args) { #{ done: true } }";
    assert_eq!(parse("a", script), parse("b", script));
    assert_ne!(
        parse("a", script),
        parse("a", "fn ping(target, args) { #{ done: false } }")
    );
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let mistakes = Catalog::load(Some(Path::new("/nowhere/connectors"))).unwrap_err();
    assert_eq!((mistakes.len(), mistakes[0].code), (1, "C017"));
    assert_eq!(mistakes[0].file, "/nowhere/connectors");
}

/// Every folder of `tests/data/broken/connectors` fails to load, and says why with a caret.
#[test]
fn broken_connectors_say_what_is_wrong_and_where() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/broken/connectors");
    let mut names: Vec<String> = fs::read_dir(&root)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert!(names.len() >= 8);
    for name in names {
        let mut files = BTreeMap::new();
        own_files(&root.join(&name), &root.join(&name), FOLDERS_MAX, &mut files).unwrap();
        let mistakes = Connector::parse(&files, &format!("connectors/{name}")).expect_err(&name);
        // Pages of the script's own codes are the script room's.
        for mistake in mistakes.iter().filter(|mistake| mistake.code.starts_with('C')) {
            let page = format!("{}/docs/errors/{}.md", env!("CARGO_MANIFEST_DIR"), mistake.code);
            assert!(Path::new(&page).exists(), "{page}");
        }
        insta::assert_snapshot!(format!("broken_{name}"), shown(&mistakes));
    }
}
