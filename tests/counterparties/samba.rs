//! Samba as an Active Directory domain controller. Its ports are fixed and it lives in a network namespace of its own,
//! so these tests are run there: `ip netns exec "$CORDON_SAMBA_NETNS"`, which `scripts/test` does.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cordon::connector::{Ca, Catalog, Instance};
use cordon::journal::End;
use ldap3::{Ldap, LdapConnAsync, LdapConnSettings, Mod, Scope, SearchEntry};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};

use crate::engine::{Ended, Engine};
use crate::{account, instance, told};

const PASSWORD: &str = "Sommer!2026-geheim";

fn url(scheme: &str) -> String {
    format!("{scheme}://{}", told("CORDON_SAMBA_URL"))
}

fn base() -> String {
    told("CORDON_SAMBA_BASE")
}

fn pem() -> String {
    std::fs::read_to_string(told("CORDON_SAMBA_CA")).unwrap()
}

/// A name of its own for each test: they share the directory.
fn fresh(name: &str) -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    format!(
        "{name}-{}-{}",
        std::process::id() % 10_000,
        COUNT.fetch_add(1, Ordering::SeqCst)
    )
}

async fn connection() -> Ldap {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(pem().as_bytes()).map(Result::unwrap));
    let config = rustls::ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let settings = LdapConnSettings::new().set_config(Arc::new(config));
    let (connection, ldap) = LdapConnAsync::with_settings(settings, &url("ldaps"))
        .await
        .expect("Samba is reached in its own namespace: run `scripts/test`");
    tokio::spawn(async move { drop(connection.drive().await) });
    ldap
}

async fn admin() -> Ldap {
    let mut ldap = connection().await;
    let bound = ldap
        .simple_bind(&told("CORDON_SAMBA_ADMIN"), &told("CORDON_SAMBA_ADMIN_PASSWORD"))
        .await
        .unwrap();
    bound.success().unwrap();
    ldap
}

fn principal(name: &str) -> String {
    format!("{name}@{}", told("CORDON_SAMBA_REALM"))
}

fn dn(name: &str) -> String {
    format!("CN={name},CN=Users,{}", base())
}

/// An account that may log in with [`PASSWORD`], or is disabled; with further bits of `userAccountControl`.
async fn made(name: &str, control: u32) {
    let mut ldap = admin().await;
    let one = |text: &str| HashSet::from([text.as_bytes().to_vec()]);
    let quoted: Vec<u8> = format!("\"{PASSWORD}\"")
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let attributes: Vec<(Vec<u8>, HashSet<Vec<u8>>)> = vec![
        (b"objectClass".to_vec(), one("user")),
        (b"sAMAccountName".to_vec(), one(name)),
        (b"userPrincipalName".to_vec(), one(&principal(name))),
        (b"unicodePwd".to_vec(), HashSet::from([quoted])),
        (b"userAccountControl".to_vec(), one(&control.to_string())),
    ];
    ldap.add(&dn(name), attributes).await.unwrap().success().unwrap();
}

async fn group(name: &str) {
    let mut ldap = admin().await;
    let attributes = vec![
        ("objectClass", HashSet::from(["group"])),
        ("sAMAccountName", HashSet::from([name])),
    ];
    ldap.add(&dn(name), attributes).await.unwrap().success().unwrap();
}

async fn values(name: &str, attribute: &str) -> Vec<String> {
    let mut ldap = admin().await;
    let (entries, _) = ldap
        .search(&dn(name), Scope::Base, "(objectClass=*)", vec![attribute])
        .await
        .unwrap()
        .success()
        .unwrap();
    let entry = SearchEntry::construct(entries.into_iter().next().unwrap());
    entry.attrs.get(attribute).cloned().unwrap_or_default()
}

async fn control(name: &str) -> u32 {
    values(name, "userAccountControl").await[0].parse().unwrap()
}

/// What the directory says to the account's own login: 0, or a code and its words.
async fn login(name: &str) -> (u32, String) {
    let bound = connection()
        .await
        .simple_bind(&principal(name), PASSWORD)
        .await
        .unwrap();
    (bound.rc, bound.text)
}

fn directory(scheme: &str, user: &str, password: &str) -> Instance {
    Instance {
        ca: Some(Ca::parse(&pem()).unwrap()),
        settings: [("base".to_owned(), json!(base()))].into(),
        ..instance(
            "ldap",
            &url(scheme),
            &[("username", user), ("password", password)],
        )
    }
}

fn engine_by(scheme: &str) -> Engine {
    let (user, password) = (told("CORDON_SAMBA_ADMIN"), told("CORDON_SAMBA_ADMIN_PASSWORD"));
    Engine::open(
        &Catalog::embedded().unwrap(),
        vec![directory(scheme, &user, &password)],
    )
}

async fn act(engine: &Engine, action: &str, target: &Value, options: Value) -> Ended {
    engine.act(action, target, &options).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_account_cannot_log_in_and_can_again_after_undo() {
    for scheme in ["ldaps", "ldap"] {
        let name = fresh("svc-backup");
        // NORMAL_ACCOUNT and DONT_EXPIRE_PASSWORD: bits that have to survive.
        made(&name, 0x1_0200).await;
        assert_eq!(login(&name).await.0, 0);
        let engine = engine_by(scheme);
        let done = act(&engine, "identity::suspend", &account(&name), json!({}))
            .await
            .succeeded();
        let (code, text) = login(&name).await;
        assert_eq!(code, 49, "{text}");
        assert!(text.contains("data 533"), "{text}");
        assert_eq!(control(&name).await, 0x1_0202);
        engine.undo(done.run).await.unwrap().succeeded();
        assert_eq!(control(&name).await, 0x1_0200);
        assert_eq!(login(&name).await.0, 0);
        engine.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_disabled_before_the_incident_stays_so_after_undo() {
    let name = fresh("svc-gone");
    made(&name, 0x202).await;
    let engine = engine_by("ldaps");
    let done = act(&engine, "ldap::disable_account", &account(&name), json!({}))
        .await
        .succeeded();
    engine.undo(done.run).await.unwrap().succeeded();
    assert_eq!(control(&name).await, 0x202);
    assert!(login(&name).await.1.contains("data 533"));
    engine.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_found_by_each_of_its_names_and_by_no_part_of_one() {
    let name = fresh("svc-named");
    made(&name, 0x200).await;
    let engine = engine_by("ldaps");
    let seen = act(&engine, "ldap::lookup", &account(&name), json!({}))
        .await
        .succeeded();
    let cordon::action::Outcome::Done { result, .. } = seen.outcome() else {
        panic!("{seen:#?}")
    };
    let guid = result["id"].as_str().unwrap().to_owned();
    assert_eq!(guid.len(), 36, "{result}");
    for by in [
        principal(&name),
        format!("CORDON\\{name}"),
        dn(&name),
        guid.clone(),
        name.to_uppercase(),
    ] {
        let seen = act(&engine, "ldap::lookup", &account(&by), json!({}))
            .await
            .succeeded();
        let cordon::action::Outcome::Done { result, .. } = seen.outcome() else {
            panic!("{seen:#?}")
        };
        assert_eq!(result["id"], guid.as_str(), "{by}");
    }
    for by in [
        name[..name.len() - 1].to_owned(),
        format!("{name}*"),
        format!("{name})(objectClass=*"),
        format!("CN=nobody,CN=Users,{}", base()),
    ] {
        let ended = act(&engine, "ldap::disable_account", &account(&by), json!({})).await;
        assert_eq!(
            (ended.end, ended.code().as_str()),
            (End::Kept, "target-not-found"),
            "{by}"
        );
    }
    assert_eq!(control(&name).await, 0x200);
    engine.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_without_the_right_is_told_which_one_to_grant() {
    let (name, low) = (fresh("svc-target"), fresh("low"));
    made(&name, 0x200).await;
    made(&low, 0x200).await;
    let weak = directory("ldaps", &principal(&low), PASSWORD);
    let engine = Engine::open(&Catalog::embedded().unwrap(), vec![weak]);
    let ended = act(&engine, "identity::suspend", &account(&name), json!({})).await;
    assert_eq!((ended.end, ended.code().as_str()), (End::Kept, "permission"));
    assert!(format!("{:?}", ended.state).contains("Write userAccountControl"));
    assert_eq!(control(&name).await, 0x200);
    engine.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_is_refused_and_a_server_of_another_authority_are_clear() {
    let name = fresh("svc-target");
    made(&name, 0x200).await;
    let disabled = fresh("cordon-disabled");
    made(&disabled, 0x202).await;
    let admin = (told("CORDON_SAMBA_ADMIN"), told("CORDON_SAMBA_ADMIN_PASSWORD"));
    let mut untrusted = directory("ldaps", &admin.0, &admin.1);
    untrusted.ca = None;
    let mut untrusted_later = directory("ldap", &admin.0, &admin.1);
    untrusted_later.ca = None;
    for (instance, code) in [
        (directory("ldaps", &admin.0, "not-the-password"), "credentials"),
        (directory("ldap", &principal(&disabled), PASSWORD), "credentials"),
        (untrusted, "unreachable"),
        (untrusted_later, "unreachable"),
    ] {
        let engine = Engine::open(&Catalog::embedded().unwrap(), vec![instance]);
        let ended = act(&engine, "ldap::disable_account", &account(&name), json!({})).await;
        assert_eq!((ended.end, ended.code().as_str()), (End::Kept, code));
        engine.close().await;
    }
    assert_eq!(control(&name).await, 0x200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_membership_is_granted_taken_back_and_leaves_the_others() {
    let (mine, other, ops) = (fresh("svc-member"), fresh("svc-other"), fresh("ops"));
    made(&mine, 0x200).await;
    made(&other, 0x200).await;
    group(&ops).await;
    let member = Mod::Add(b"member".to_vec(), HashSet::from([dn(&other).into_bytes()]));
    admin()
        .await
        .modify(&dn(&ops), vec![member])
        .await
        .unwrap()
        .success()
        .unwrap();
    let engine = engine_by("ldap");
    let options = json!({ "group": ops });
    let granted = act(&engine, "identity::grant", &account(&mine), options.clone())
        .await
        .succeeded();
    assert_eq!(values(&ops, "member").await.len(), 2);
    engine.undo(granted.run).await.unwrap().succeeded();
    assert_eq!(values(&ops, "member").await, [dn(&other)]);
    // Who was a member before stays one.
    let again = act(&engine, "ldap::add_member", &account(&other), options.clone())
        .await
        .succeeded();
    engine.undo(again.run).await.unwrap().succeeded();
    assert_eq!(values(&ops, "member").await, [dn(&other)]);
    let taken = act(&engine, "ldap::remove_member", &account(&other), options)
        .await
        .succeeded();
    assert!(values(&ops, "member").await.is_empty());
    engine.undo(taken.run).await.unwrap().succeeded();
    assert_eq!(values(&ops, "member").await, [dn(&other)]);
    engine.close().await;
}
