//! What scripts share: callable as `lib::name`, checked like a script, and every place names its file.

use serde_json::json;

use super::*;

fn over(text: &str, files: &[(&str, &str)]) -> Program {
    let files = files.iter().map(|(name, text)| Program::new(*name, *text));
    Program::new("playbook.rhai", text).with_library(&Library::new(files))
}

fn with_library(text: &str, files: &[(&str, &str)]) -> Job {
    Job {
        program: over(text, files),
        ..job("")
    }
}

fn mistakes(text: &str, files: &[(&str, &str)]) -> Vec<String> {
    let found = check(&over(text, files), &vocabulary(), &["finding"]);
    let line = |one: &crate::diagnostic::Diagnostic| {
        format!(
            "{} {}:{}:{} {} | {}",
            one.code, one.file, one.line, one.column, one.message, one.help
        )
    };
    match found {
        Ok(facts) => facts.warnings.iter().map(line).collect(),
        Err(found) => found.iter().map(line).collect(),
    }
}

const NAMES: (&str, &str) = (
    "lib/names.rhai",
    "/// Names.\nfn names(list) {\n    list.map(|item| lib::name(item))\n}\n\nfn name(item) { item.name }\n",
);

#[test]
fn a_function_of_the_library_is_called_with_its_prefix() {
    let text = "lib::names(finding.all(\"host\"))";
    let (end, _) = run(with_library(text, &[NAMES]), |_| Ok(json!(1)));
    let Advance::Returned { value, .. } = end else {
        panic!("{end:?}")
    };
    assert_eq!(value, json!(["ws-1", "ws-2"]));
}

#[test]
fn closures_go_there_and_come_back() {
    let files = [(
        "lib/f.rhai",
        "fn twice(f) { [f.call(1), f.call(2)] }\nfn adder(n) { |x| x + n + lib::one() }\nfn one() { 1 }",
    )];
    let text = "let k = 10;\nlet add = lib::adder(k);\n[lib::twice(|x| x + k), lib::twice(add), add.call(5)]";
    let (end, _) = run(with_library(text, &files), |_| Ok(json!(1)));
    let Advance::Returned { value, .. } = end else {
        panic!("{end:?}")
    };
    assert_eq!(value, json!([[11, 12], [12, 13], 16]));
}

#[test]
fn an_ask_in_the_library_says_which_file_it_stands_in_and_branches_work() {
    let files = [
        NAMES,
        (
            "lib/stop.rhai",
            "fn stop(hosts) {\n    each(hosts, |host|\n        endpoint::isolate(host, #{ by: lib::name(host) }))\n}",
        ),
    ];
    let text =
        "// one\nlet all = lib::stop(finding.all(\"host\"));\nnote(\"done\");\nall.map(|one| one.value)";
    let job = with_library(text, &files);
    let asked = waiting(advance(&job));
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[1].file.as_deref(), Some("lib/stop.rhai"));
    assert_eq!((asked[1].at.line, asked[1].at.column), (3, 19));
    assert_eq!(asked[1].args[1], json!({ "by": "ws-2" }));
    let (end, evaluations) = run(job, |asked| Ok(asked.args[0]["uid"].clone()));
    assert_eq!(evaluations, 2);
    let Advance::Returned { value, told } = end else {
        panic!("{end:?}")
    };
    assert_eq!(value, json!(["h1", "h2"]));
    assert_eq!((told[0].at.line, told[0].file.clone()), (3, None));
}

#[test]
fn a_failure_in_the_library_names_its_file_and_the_playbooks_line() {
    let text = "\nlet a = 1;\nlib::names([#{ nome: a }])";
    let Advance::Failed { error, .. } = advance(&with_library(text, &[NAMES])) else {
        panic!()
    };
    assert_eq!(error.file.as_deref(), Some("lib/names.rhai"));
    assert_eq!(error.at, Some(Position { line: 6, column: 22 }));
    assert!(
        error.message.contains("unknown property `name`"),
        "{}",
        error.message
    );
    assert_eq!(error.chain.last().unwrap(), "in call to `lib::names` (line 3)");
    assert!(!format!("{error:?}").contains("lib__"), "{error:?}");
}

#[test]
fn mistakes_in_the_library_are_told_with_their_file_and_line() {
    let wrong = |text: &'static str| mistakes("note(finding.title);\n1", &[("lib/a.rhai", text)]);
    assert_eq!(
        wrong("fn a(x) {\n    nonsense(x)\n}"),
        ["P002 lib/a.rhai:2:5 unknown function `nonsense` | define it with `fn`, or look up its name"]
    );
    assert_eq!(
        wrong("\nfn a() { finding.title }"),
        [
            "P004 lib/a.rhai:2:10 unknown variable `finding` | a function knows what it is given: add `finding` to its parameters"
        ]
    );
    assert_eq!(
        wrong("fn a() {\n"),
        [
            "P001 lib/a.rhai:1:1 expecting `}` to terminate this block | look for a missing bracket, comma or semicolon here or just before"
        ]
    );
    assert_eq!(
        wrong("fn a() { 1 }\nnote(\"x\");"),
        [
            "P030 lib/a.rhai:2:1 a file of the library has functions only | move the statement into a function, or into the playbook"
        ]
    );
    assert_eq!(
        wrong("fn a(x) { x }\nfn b() { a(1) }"),
        [
            "P002 lib/a.rhai:2:10 unknown function `a` | write `lib::a`: functions of the library have their prefix everywhere"
        ]
    );
}

#[test]
fn mistakes_in_calls_of_the_library_are_told_in_the_playbook() {
    assert_eq!(
        mistakes("lib::nmes([])", &[NAMES]),
        ["P002 playbook.rhai:1:1 the library has no function `nmes` | did you mean `lib::names`?"]
    );
    assert_eq!(
        mistakes("lib::names()", &[NAMES]),
        ["P003 playbook.rhai:1:1 `lib::names` does not take 0 arguments | it takes 1"]
    );
    assert_eq!(
        mistakes("lib::names([])", &[]),
        [
            "P002 playbook.rhai:1:1 the library has no function `names` | there is no `lib/*.rhai` beside the playbooks"
        ]
    );
    assert_eq!(
        mistakes("let lib__a = 1;", &[NAMES]),
        [
            "P005 playbook.rhai:1:5 names that begin with `lib__` are kept for the library | write `lib::name(…)` to call a function of the library, and choose another name otherwise"
        ]
    );
}

#[test]
fn one_name_has_one_function() {
    let again = ("lib/other.rhai", "fn name(x) { x }");
    assert_eq!(
        mistakes("1", &[NAMES, again]),
        [
            "P030 lib/other.rhai:1:4 `lib::name` is defined in another file of the library too | give one of the two another name; the other is in `lib/names.rhai`"
        ]
    );
    // A playbook's own functions are another matter.
    assert_eq!(
        mistakes("fn name(x) { 2 }\nname(1) + lib::names([]).len()", &[NAMES]),
        [""; 0]
    );
}

#[test]
fn the_calls_of_the_library_are_facts_of_their_own_files() {
    let files = [("lib/a.rhai", "fn a(x) {\n    endpoint::isolate(x)\n}"), NAMES];
    let facts = check(&over("lib::a(finding)", &files), &vocabulary(), &["finding"]).unwrap();
    assert_eq!(facts.calls, []);
    assert_eq!(facts.library.len(), 2);
    assert_eq!(facts.library[0][0].name, "endpoint::isolate");
    assert_eq!(facts.library[0][0].at, Position { line: 2, column: 5 });
    assert_eq!(facts.functions, []);
}

#[test]
fn a_changed_library_is_another_program() {
    let digest = |text| over("1", &[("a", text)]).digest();
    assert_ne!(digest("fn a() {1}"), digest("fn a() {2}"));
    assert_ne!(digest("fn a() {1}"), Program::new("playbook.rhai", "1").digest());
}
