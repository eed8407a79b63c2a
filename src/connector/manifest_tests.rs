use super::*;
use crate::limits::FINDING_WINDOW_MS;

const SOURCE: &str = r#"
name = "splunk"
title = "Splunk"
version = "1"
[source]
auth = ["header", "none"]
delivery_id_header = "X-Splunk-Id"
script = true
finding_window = "2d"
"#;

fn codes(text: &str) -> Vec<&'static str> {
    match Manifest::parse("connector.toml", text) {
        Ok(_) => Vec::new(),
        Err(mistakes) => mistakes.iter().map(|mistake| mistake.code).collect(),
    }
}

#[test]
fn a_connector_may_only_send_alerts() {
    let manifest = Manifest::parse("connector.toml", SOURCE).unwrap();
    assert_eq!(
        manifest.source,
        Some(SourceSpec {
            auth: vec!["header".into(), "none".into()],
            delivery_id: DeliveryId::Header("x-splunk-id".into()),
            script: true,
            finding_window_ms: 2 * 86_400_000,
            challenge: None,
            lookup: None,
            settings: BTreeMap::new(),
        })
    );
    assert!(manifest.actions.is_empty() && manifest.hosts.is_empty());
    assert_eq!(manifest.auth, AuthSpec::None);
}

#[test]
fn what_a_sender_leaves_out_has_a_meaning() {
    let short = "name = \"a\"\ntitle = \"A\"\nversion = \"1\"\n[source]\nauth = \"bearer\"\n";
    let source = Manifest::parse("connector.toml", short).unwrap().source.unwrap();
    assert_eq!(source.delivery_id, DeliveryId::BodyDigest);
    assert_eq!(
        (source.script, source.finding_window_ms),
        (false, FINDING_WINDOW_MS)
    );
}

#[test]
fn each_kind_of_authentication_names_its_credentials() {
    for (table, auth) in [
        ("kind = \"none\"", AuthSpec::None),
        ("kind = \"bearer\"", AuthSpec::Bearer),
        ("kind = \"basic\"", AuthSpec::Basic),
        (
            "kind = \"header\"\nheader = \"Authorization\"\nprefix = \"SSWS \"",
            AuthSpec::Header {
                name: "authorization".into(),
                prefix: "SSWS ".into(),
            },
        ),
        (
            "kind = \"oauth2\"\ntoken_path = \"/token\"\nscope = \"s\"\noptional = [\"cid\"]",
            AuthSpec::Oauth2 {
                token_path: "/token".into(),
                scope: Some("s".into()),
                optional: vec!["cid".into()],
            },
        ),
    ] {
        let text = format!("{SOURCE}\n[auth]\n{table}\n");
        assert_eq!(Manifest::parse("connector.toml", &text).unwrap().auth, auth);
        assert_eq!(auth.credentials().is_empty(), auth == AuthSpec::None);
    }
    assert_eq!(codes(&format!("{SOURCE}\n[auth]\nkind = \"oauth\"\n")), ["C015"]);
    assert_eq!(codes(&format!("{SOURCE}\n[auth]\nkind = \"header\"\n")), ["C003"]);
    assert_eq!(
        codes(&format!(
            "{SOURCE}\n[auth]\nkind = \"oauth2\"\ntoken_path = \"//x\"\n"
        )),
        ["C018"]
    );
}

#[test]
fn an_empty_manifest_says_everything_it_lacks() {
    assert_eq!(codes(""), ["C003", "C003", "C003"]);
    assert_eq!(codes("name = \"a\"\ntitle = \"A\"\nversion = \"1\"\n"), ["C003"]);
    assert_eq!(
        codes("name = \"A-1\"\ntitle = \"A\"\nversion = \"1\"\n"),
        ["C005"]
    );
}

#[test]
fn a_request_may_not_be_given_more_time_than_there_is() {
    let text = format!("{SOURCE}\n[limits]\ntimeout = \"1h\"\n");
    assert_eq!(
        Manifest::parse("connector.toml", &text)
            .unwrap()
            .limits
            .timeout_ms,
        VENDOR_REQUEST_MS
    );
}

#[test]
fn an_effect_that_nothing_can_show_says_why() {
    let action = |verify: &str| {
        let text = format!(
            "name = \"a\"\ntitle = \"A\"\nversion = \"1\"\nhosts = [\"api.a.example\"]\n[actions.end_sessions]\n\
             title = \"End\"\nclass = \"keyed\"\nirreversible = true\npermission = \"p\"\nverify = {verify}\n"
        );
        (codes(&text), Manifest::parse("connector.toml", &text).ok())
    };
    let (none, manifest) = action("{ none = \"the vendor lists no sessions\" }");
    assert_eq!(none, Vec::<String>::new());
    let spec = manifest.unwrap().actions.remove(0);
    assert_eq!(
        (spec.verify, spec.unseen.as_deref()),
        (None, Some("the vendor lists no sessions"))
    );
    assert_eq!(action("{ none = \" \" }").0, ["C004"]);
    assert_eq!(action("{ none = \"x\", read = \"y\" }").0, ["C002"]);
}
