use super::*;
use crate::finding::Role;

fn connector(name: &str, provides: &str, targets: &str) -> Connector {
    let manifest = format!(
        r#"
name = "{name}"
title = "T"
version = "1"
hosts = ["api.example.com"]
[actions.isolate_it]
title = "Isolates"
class = "set"
provides = "{provides}"
targets = [{targets}]
irreversible = true
permission = "p"
verify = {{ read = "state", in_force = ["x"], lag = "7s" }}
[actions.post]
title = "Posts"
class = "opaque"
irreversible = true
permission = "p"
args = {{ text = "required" }}
"#
    );
    let script = "fn isolate_it(t, a) { #{} } fn post(t, a) { #{} } fn state(t) { #{} }";
    let files = [("connector.toml", manifest.as_str()), ("actions.rhai", script)]
        .map(|(n, t)| (n.to_owned(), t.to_owned()));
    match Connector::parse(&files.into(), name) {
        Ok(connector) => connector,
        Err(mistakes) => panic!("{}", mistakes[0].render(false)),
    }
}

fn catalog() -> Catalog {
    Catalog::of([
        connector("edr_a", "endpoint::isolate", "\"host\""),
        connector("edr_b", "endpoint::isolate", "\"host\""),
        connector("idp", "identity::suspend", "\"user\""),
    ])
}

fn instance(name: &str, connector: &str, when: &[Owns]) -> Instance {
    Instance {
        name: name.into(),
        connector: connector.into(),
        base_url: None,
        credentials: BTreeMap::new(),
        when: when.to_vec(),
        overrides: Overrides::default(),
        ..Instance::default()
    }
}

fn named(pattern: &str) -> Owns {
    Owns {
        names: vec![pattern.into()],
        ..Owns::default()
    }
}

fn host(name: &str) -> Entity {
    Entity::new(EntityType::Host, Role::Affected, name).unwrap()
}

/// The names of the instances, or the code of the fault.
fn goes(all: Vec<Instance>, bind_table: &[(&str, &str)], action: &str, entity: Option<&Entity>) -> String {
    goes_to(all, bind_table, action, entity, None)
}

fn goes_to(
    all: Vec<Instance>,
    bind_table: &[(&str, &str)],
    action: &str,
    entity: Option<&Entity>,
    choice: Option<&str>,
) -> String {
    let bind_table = bind_table
        .iter()
        .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
        .collect();
    let instances = Instances {
        all,
        bind: bind_table,
        identities: Vec::new(),
    };
    match bind(&catalog(), &instances, &action.parse().unwrap(), entity, choice) {
        Ok(bound) => bound
            .iter()
            .map(|bound| bound.instance.name.as_str())
            .collect::<Vec<_>>()
            .join(" "),
        Err(fault) => {
            assert!(fault.message.len() > 20, "{fault}");
            fault.code
        }
    }
}

#[test]
fn the_only_provider_is_bound_without_being_told() {
    let all = vec![instance("one", "edr_a", &[]), instance("idp", "idp", &[])];
    assert_eq!(
        goes(all.clone(), &[], "endpoint::isolate", Some(&host("a"))),
        "one"
    );
    assert_eq!(goes(all, &[], "edr_a::isolate_it", Some(&host("a"))), "one");
}

#[test]
fn what_nobody_provides_or_has_configured_is_unbound() {
    let all = vec![instance("one", "edr_a", &[])];
    for (action, entity) in [
        ("endpoint::lookup", Some(host("a"))),
        ("identity::suspend", Some(host("a"))),
        ("edr_b::isolate_it", Some(host("a"))),
        ("nobody::anything", None),
        ("endpoint::isolate", None),
        (
            "endpoint::isolate",
            Entity::new(EntityType::User, Role::Affected, "ann"),
        ),
    ] {
        assert_eq!(
            goes(all.clone(), &[], action, entity.as_ref()),
            "unbound",
            "{action}"
        );
    }
}

#[test]
fn every_owner_of_an_entity_acts_on_it() {
    let all = vec![
        instance("a", "edr_a", &[named("*.eu.example")]),
        instance("b", "edr_b", &[named("web-*")]),
        instance("silent", "edr_b", &[]),
    ];
    let go = |name: &str| goes(all.clone(), &[], "endpoint::isolate", Some(&host(name)));
    assert_eq!(go("WEB-07.eu.example"), "a b");
    assert_eq!(go("db.EU.example"), "a");
    assert_eq!(go("web-1"), "b");
    // Nobody owns it, and one says nothing about what it owns.
    assert_eq!(go("db"), "silent");
}

#[test]
fn nothing_is_guessed_between_two_that_say_nothing() {
    let all = vec![instance("a", "edr_a", &[]), instance("b", "edr_b", &[])];
    let here = Some(host("x"));
    assert_eq!(
        goes(all.clone(), &[], "endpoint::isolate", here.as_ref()),
        "ambiguous-binding"
    );
    for table in [[("endpoint::isolate", "b")], [("endpoint", "b")]] {
        assert_eq!(goes(all.clone(), &table, "endpoint::isolate", here.as_ref()), "b");
    }
    assert_eq!(
        goes(
            all.clone(),
            &[("endpoint", "c")],
            "endpoint::isolate",
            here.as_ref()
        ),
        "unbound"
    );
    assert_eq!(
        goes_to(all.clone(), &[], "endpoint::isolate", here.as_ref(), Some("a")),
        "a"
    );
    assert_eq!(
        goes_to(all, &[], "endpoint::isolate", here.as_ref(), Some("z")),
        "unbound"
    );
}

#[test]
fn who_says_what_it_owns_owns_nothing_else() {
    let all = vec![instance("a", "edr_a", &[named("x")])];
    assert_eq!(goes(all, &[], "endpoint::isolate", Some(&host("y"))), "unbound");
}

#[test]
fn an_id_decides_and_an_ambiguous_id_does_not() {
    let mut known = host("x");
    known.ids.insert("edr_b".into(), "id-1".into());
    let two = vec![instance("a", "edr_a", &[]), instance("b", "edr_b", &[])];
    assert_eq!(goes(two, &[], "endpoint::isolate", Some(&known)), "b");
    let twins = vec![instance("b1", "edr_b", &[]), instance("b2", "edr_b", &[])];
    assert_eq!(
        goes(twins.clone(), &[], "endpoint::isolate", Some(&known)),
        "ambiguous-binding"
    );
    known.ids.insert("b2".into(), "id-2".into());
    assert_eq!(goes(twins.clone(), &[], "endpoint::isolate", Some(&known)), "b2");
    assert_eq!(goes(twins, &[], "edr_b::isolate_it", Some(&known)), "b2");
}

#[test]
fn a_vendors_action_goes_to_one_account_only() {
    let all = vec![
        instance("b1", "edr_b", &[named("*")]),
        instance("b2", "edr_b", &[named("x*")]),
    ];
    assert_eq!(
        goes(all.clone(), &[], "edr_b::isolate_it", Some(&host("x1"))),
        "ambiguous-binding"
    );
    assert_eq!(
        goes(all.clone(), &[], "edr_b::isolate_it", Some(&host("y"))),
        "b1"
    );
    assert_eq!(
        goes(all.clone(), &[], "endpoint::isolate", Some(&host("x1"))),
        "b1 b2"
    );
    assert_eq!(
        goes(all, &[("edr_b", "b2")], "edr_b::isolate_it", Some(&host("x1"))),
        "b2"
    );
}

#[test]
fn an_action_without_a_target_needs_one_account_or_a_word() {
    let one = vec![instance("b1", "edr_b", &[])];
    assert_eq!(goes(one, &[], "edr_b::post", None), "b1");
    let two = vec![instance("b1", "edr_b", &[]), instance("b2", "edr_b", &[])];
    assert_eq!(goes(two.clone(), &[], "edr_b::post", None), "ambiguous-binding");
    assert_eq!(goes(two, &[("edr_b::post", "b2")], "edr_b::post", None), "b2");
}

#[test]
fn conditions_hold_together() {
    let mut entity = host("web-07.example");
    entity.attributes.insert("region".into(), "eu".into());
    let condition = |names: &[&str], kinds: &[EntityType], region: Option<&str>| Owns {
        kinds: kinds.to_vec(),
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        attributes: region
            .map(|region| ("region".to_owned(), region.to_owned()))
            .into_iter()
            .collect(),
    };
    for (owns, expected) in [
        (condition(&[], &[], None), true),
        (
            condition(&["web-07.example"], &[EntityType::Host], Some("eu")),
            true,
        ),
        (
            condition(&["web-07.example"], &[EntityType::User], Some("eu")),
            false,
        ),
        (condition(&["web-07.example"], &[], Some("us")), false),
        (condition(&["db", "*07*"], &[], None), true),
        (condition(&["*"], &[], None), true),
        (condition(&["web"], &[], None), false),
        (condition(&["*.com"], &[], None), false),
    ] {
        assert_eq!(owns.owns(&entity), expected, "{owns:?}");
    }
}

#[test]
fn an_instance_may_say_other_times_than_the_manifest() {
    let mut one = instance("one", "edr_a", &[]);
    one.overrides = Overrides {
        lag_ms: Some(1),
        in_flight_ms: Some(2),
        propagation_ms: Some(3),
        timeout_ms: None,
    };
    let instances = Instances {
        all: vec![one],
        bind: BTreeMap::new(),
        identities: Vec::new(),
    };
    let action = "endpoint::isolate".parse().unwrap();
    let bound = bind(&catalog(), &instances, &action, Some(&host("x")), None).unwrap();
    let spec = &bound[0].spec;
    assert_eq!(
        (
            spec.verify.as_ref().unwrap().lag_ms,
            spec.in_flight_ms,
            spec.propagation_ms
        ),
        (1, 2, 3)
    );
    assert_eq!(
        bound[0]
            .connector
            .manifest
            .action("isolate_it")
            .unwrap()
            .verify
            .as_ref()
            .unwrap()
            .lag_ms,
        7_000
    );
}
