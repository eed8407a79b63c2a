//! moto with authorisation switched on: signatures are checked and policies are weighed, so what a deny policy does is
//! tried and not only read. What moto does not do is refuse keys that are `Inactive`; there the status is read.

use std::sync::atomic::{AtomicUsize, Ordering};

use cordon::clock::{Clock as _, SystemClock};
use cordon::connector::{Catalog, Instance};
use cordon::journal::End;
use cordon::range::{Signer, sign};
use serde_json::{Value, json};

use crate::engine::{Ended, Engine};
use crate::{account, instance, told};

/// Somebody who holds a key.
#[derive(Clone)]
struct Hand {
    id: String,
    secret: String,
    session: Option<String>,
}

struct Account {
    http: reqwest::Client,
    url: String,
    root: Hand,
}

/// What every part of a policy is, but for the actions.
fn allow(actions: &[&str]) -> String {
    json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow", "Action": actions, "Resource": "*" }] }).to_string()
}

/// A name of its own for each test: they share the server.
fn fresh(name: &str) -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    format!(
        "{name}-{}-{}",
        std::process::id(),
        COUNT.fetch_add(1, Ordering::SeqCst)
    )
}

/// The text of the first element of this name.
fn element<'a>(xml: &'a str, name: &str) -> &'a str {
    let after = xml
        .split(&format!("<{name}>"))
        .nth(1)
        .unwrap_or_else(|| panic!("no {name} in {xml}"));
    after.split('<').next().unwrap()
}

impl Account {
    fn open() -> Account {
        let _ = rustls::crypto::ring::default_provider().install_default();
        Account {
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            url: told("CORDON_MOTO_URL"),
            root: Hand {
                id: told("CORDON_MOTO_KEY"),
                secret: told("CORDON_MOTO_SECRET"),
                session: None,
            },
        }
    }

    async fn ask(&self, hand: &Hand, service: &str, body: String, headers: &[(&str, &str)]) -> (u16, String) {
        let signer = Signer {
            key_id: &hand.id,
            secret: &hand.secret,
            region: "us-east-1",
            service,
        };
        let host = self.url.trim_start_matches("http://");
        let mut request = self.http.post(format!("{}/", self.url));
        for (name, value) in sign(&signer, host, body.as_bytes(), SystemClock.now()) {
            request = request.header(name, value);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(session) = &hand.session {
            request = request.header("x-amz-security-token", session);
        }
        let answer = request.body(body).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    async fn call(&self, hand: &Hand, service: &str, fields: &[(&str, &str)]) -> (u16, String) {
        let version = if service == "iam" {
            "2010-05-08"
        } else {
            "2011-06-15"
        };
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(fields).append_pair("Version", version);
        let kind = [("content-type", "application/x-www-form-urlencoded")];
        // moto writes the form again, by other rules for this sign, before it checks the signature.
        self.ask(hand, service, form.finish().replace('*', "%2A"), &kind)
            .await
    }

    /// Set up by who may do everything.
    async fn iam(&self, fields: &[(&str, &str)]) -> String {
        let (status, text) = self.call(&self.root, "iam", fields).await;
        assert_eq!(status, 200, "{fields:?}: {text}");
        text
    }

    /// A user with a key and these permissions.
    async fn user(&self, name: &str, actions: &[&str]) -> Hand {
        self.user_with(name, &allow(actions)).await
    }

    /// A user with a key and this policy.
    async fn user_with(&self, name: &str, document: &str) -> Hand {
        self.iam(&[("Action", "CreateUser"), ("UserName", name)]).await;
        self.iam(&[
            ("Action", "PutUserPolicy"),
            ("UserName", name),
            ("PolicyName", "own"),
            ("PolicyDocument", document),
        ])
        .await;
        let key = self
            .iam(&[("Action", "CreateAccessKey"), ("UserName", name)])
            .await;
        Hand {
            id: element(&key, "AccessKeyId").to_owned(),
            secret: element(&key, "SecretAccessKey").to_owned(),
            session: None,
        }
    }

    async fn role(&self, name: &str, actions: &[&str]) -> String {
        let trust = json!({ "Version": "2012-10-17", "Statement": [
            { "Effect": "Allow", "Principal": { "AWS": "*" }, "Action": "sts:AssumeRole" }] })
        .to_string();
        let made = self
            .iam(&[
                ("Action", "CreateRole"),
                ("RoleName", name),
                ("AssumeRolePolicyDocument", &trust),
            ])
            .await;
        let document = allow(actions);
        self.iam(&[
            ("Action", "PutRolePolicy"),
            ("RoleName", name),
            ("PolicyName", "own"),
            ("PolicyDocument", &document),
        ])
        .await;
        element(&made, "Arn").to_owned()
    }

    async fn session(&self, role_arn: &str) -> Hand {
        let fields = [
            ("Action", "AssumeRole"),
            ("RoleArn", role_arn),
            ("RoleSessionName", "someone"),
        ];
        let (status, text) = self.call(&self.root, "sts", &fields).await;
        assert_eq!(status, 200, "{text}");
        Hand {
            id: element(&text, "AccessKeyId").to_owned(),
            secret: element(&text, "SecretAccessKey").to_owned(),
            session: Some(element(&text, "SessionToken").to_owned()),
        }
    }

    /// Whether somebody may list users, which is what the permissions of these tests allow.
    async fn may(&self, hand: &Hand) -> bool {
        let (status, text) = self.call(hand, "iam", &[("Action", "ListUsers")]).await;
        match status {
            200 => true,
            403 => {
                assert!(
                    text.contains("AccessDenied") || text.contains("InvalidClientTokenId"),
                    "{text}"
                );
                false
            }
            other => panic!("{other}: {text}"),
        }
    }

    async fn status_of(&self, user: &str, key: &str) -> Option<String> {
        let list = self
            .iam(&[("Action", "ListAccessKeys"), ("UserName", user)])
            .await;
        let member = list.split("<member>").find(|part| part.contains(key))?;
        Some(element(member, "Status").to_owned())
    }

    fn cordon(&self, hand: &Hand) -> Instance {
        let credentials = [
            ("access_key_id", hand.id.as_str()),
            ("secret_access_key", hand.secret.as_str()),
        ];
        instance("aws", &self.url, &credentials)
    }

    fn engine(&self, hand: &Hand) -> Engine {
        Engine::open(&Catalog::embedded().unwrap(), vec![self.cordon(hand)])
    }
}

fn key(id: &str, owner: Option<&str>) -> Value {
    let mut entity = json!({ "type": "access_key", "role": "affected", "name": id, "uid": id });
    if let Some(owner) = owner {
        entity["attributes"] = json!({ "owner": owner });
    }
    entity
}

/// What the manifest says an action needs.
fn permissions(action: &str) -> Vec<String> {
    let catalog = Catalog::embedded().unwrap();
    let (_, spec) = catalog.action(&action.parse().unwrap()).unwrap();
    spec.permission.split(", ").map(str::to_owned).collect()
}

async fn act(engine: &Engine, action: &str, target: &Value) -> Ended {
    engine.act(action, target, &json!({})).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leaked_key_is_deactivated_and_reads_so_and_undo_makes_it_active_again() {
    let aws = Account::open();
    let name = fresh("svc-leaked");
    let leaked = aws.user(&name, &["iam:ListUsers"]).await;
    let engine = aws.engine(&aws.root);
    // The alert names the key alone; whose it is is asked for.
    let done = act(&engine, "cloud::deactivate_key", &key(&leaked.id, None))
        .await
        .succeeded();
    assert_eq!(
        aws.status_of(&name, &leaked.id).await.as_deref(),
        Some("Inactive")
    );
    engine.undo(done.run).await.unwrap().succeeded();
    assert_eq!(aws.status_of(&name, &leaked.id).await.as_deref(), Some("Active"));
    engine.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_was_inactive_before_stays_so_after_undo() {
    let aws = Account::open();
    let name = fresh("svc-inactive");
    let old = aws.user(&name, &["iam:ListUsers"]).await;
    let fields = [
        ("Action", "UpdateAccessKey"),
        ("UserName", name.as_str()),
        ("AccessKeyId", &old.id),
        ("Status", "Inactive"),
    ];
    aws.iam(&fields).await;
    let engine = aws.engine(&aws.root);
    let done = act(&engine, "cloud::deactivate_key", &key(&old.id, Some(&name)))
        .await
        .succeeded();
    engine.undo(done.run).await.unwrap().succeeded();
    assert_eq!(aws.status_of(&name, &old.id).await.as_deref(), Some("Inactive"));
    engine.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_key_is_gone_and_its_holder_is_nobody() {
    let aws = Account::open();
    let name = fresh("svc-deleted");
    let leaked = aws.user(&name, &["iam:ListUsers"]).await;
    assert!(aws.may(&leaked).await);
    let engine = aws.engine(&aws.root);
    act(&engine, "cloud::delete_key", &key(&leaked.id, Some(&name)))
        .await
        .succeeded();
    assert_eq!(aws.status_of(&name, &leaked.id).await, None);
    assert!(!aws.may(&leaked).await);
    engine.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denied_user_really_may_nothing_and_may_again_after_undo() {
    let aws = Account::open();
    let name = fresh("svc-denied");
    let hand = aws.user(&name, &["iam:ListUsers"]).await;
    assert!(aws.may(&hand).await);
    let engine = aws.engine(&aws.root);
    let done = act(&engine, "cloud::deny", &account(&name)).await.succeeded();
    assert!(!aws.may(&hand).await);
    let policy = aws
        .iam(&[
            ("Action", "GetUserPolicy"),
            ("UserName", &name),
            ("PolicyName", "CordonDeny"),
        ])
        .await;
    assert!(
        policy.contains("aws:TokenIssueTime") || policy.contains("aws%3ATokenIssueTime"),
        "{policy}"
    );
    engine.undo(done.run).await.unwrap().succeeded();
    assert!(aws.may(&hand).await);
    let fields = [
        ("Action", "GetUserPolicy"),
        ("UserName", name.as_str()),
        ("PolicyName", "CordonDeny"),
    ];
    assert_eq!(aws.call(&aws.root, "iam", &fields).await.0, 404);
    // What it may do of its own was not touched.
    aws.iam(&[
        ("Action", "GetUserPolicy"),
        ("UserName", &name),
        ("PolicyName", "own"),
    ])
    .await;
    engine.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_a_denied_role_ends_and_works_again_after_undo() {
    let aws = Account::open();
    let name = fresh("worker");
    let arn = aws.role(&name, &["iam:ListUsers"]).await;
    let session = aws.session(&arn).await;
    assert!(aws.may(&session).await);
    let engine = aws.engine(&aws.root);
    let mut role = account(&name);
    role["ids"] = json!({ "aws": arn });
    let done = act(&engine, "cloud::deny", &role).await.succeeded();
    assert!(!aws.may(&session).await);
    engine.undo(done.run).await.unwrap().succeeded();
    assert!(aws.may(&session).await);
    engine.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_that_was_denied_before_the_incident_stays_denied_after_undo() {
    let aws = Account::open();
    let name = fresh("svc-denied-before");
    let hand = aws.user(&name, &["iam:ListUsers"]).await;
    let engine = aws.engine(&aws.root);
    act(&engine, "aws::deny", &account(&name)).await.succeeded();
    engine.close().await;
    // Another Cordon, which knows nothing of that.
    let engine = aws.engine(&aws.root);
    let done = act(&engine, "aws::deny", &account(&name)).await.succeeded();
    engine.undo(done.run).await.unwrap().succeeded();
    assert!(!aws.may(&hand).await);
    engine.close().await;
}

/// What each action's `permission` names is enough for it, and without its last part, the change itself, it is not.
#[tokio::test(flavor = "multi_thread")]
async fn the_permissions_of_the_manifest_are_enough_and_less_is_not() {
    let aws = Account::open();
    for (verb, lacking) in [
        ("deactivate_key", "iam:UpdateAccessKey"),
        ("reactivate_key", "iam:UpdateAccessKey"),
        ("delete_key", "iam:DeleteAccessKey"),
        ("deny", "iam:PutUserPolicy"),
        ("undeny", "iam:DeleteUserPolicy"),
        ("list_keys", "iam:ListAccessKeys"),
        ("lookup", "iam:GetUser"),
    ] {
        let action = format!("aws::{verb}");
        let needed = permissions(&action);
        let named: Vec<&str> = needed.iter().map(String::as_str).collect();
        let less: Vec<&str> = named.iter().copied().filter(|one| *one != lacking).collect();
        assert_eq!(less.len() + 1, named.len(), "{action} does not name {lacking}");
        let owner = fresh("svc-target");
        let target = aws.user(&owner, &["iam:ListUsers"]).await;
        let entity = if verb.ends_with("_key") {
            key(&target.id, Some(&owner))
        } else {
            account(&owner)
        };
        let before = match verb {
            "undeny" => Some("aws::deny"),
            "reactivate_key" => Some("aws::deactivate_key"),
            _ => None,
        };
        if let Some(before) = before {
            let engine = aws.engine(&aws.root);
            act(&engine, before, &entity).await.succeeded();
            engine.close().await;
        }
        let weak = aws.user(&fresh("cordon-less"), &less).await;
        let engine = aws.engine(&weak);
        let ended = act(&engine, &action, &entity).await;
        assert_eq!(
            (ended.end, ended.code().as_str()),
            (End::Kept, "permission"),
            "{action} with {less:?}"
        );
        engine.close().await;
        let enough = aws.user(&fresh("cordon-enough"), &named).await;
        let engine = aws.engine(&enough);
        let ended = act(&engine, &action, &entity).await;
        assert_eq!(
            ended.end,
            End::Succeeded,
            "{action} with {named:?}: {:#?}",
            ended.state.settled
        );
        engine.close().await;
    }
}

/// What `cordon permissions --aws` prints for a playbook is a policy that AWS takes as it is, enough for everything the
/// playbook does and undoes; without any one of its changes it is not.
#[tokio::test(flavor = "multi_thread")]
async fn the_policy_that_permissions_prints_is_enough_and_less_is_not() {
    let aws = Account::open();
    let printed = std::process::Command::new(env!("CARGO_BIN_EXE_cordon"))
        .args(["permissions", "--aws", "--playbook", "leaked-access-key"])
        .current_dir(std::env::temp_dir())
        .output()
        .unwrap();
    assert!(printed.status.success(), "{printed:?}");
    let policies: Value = serde_json::from_slice(&printed.stdout).unwrap();
    // One document alone where one instance needs one, else by instance.
    let policy = policies.get("aws").unwrap_or(&policies).clone();
    let changes = [
        ("aws::deactivate_key", "iam:UpdateAccessKey"),
        ("aws::deny", "iam:PutUserPolicy"),
        ("aws::delete_key", "iam:DeleteAccessKey"),
    ];

    let owner = fresh("svc-leaked");
    let leaked = aws.user(&owner, &["iam:ListUsers"]).await;
    let entity = |action: &str| {
        if action == "aws::deny" {
            account(&owner)
        } else {
            key(&leaked.id, Some(&owner))
        }
    };
    for (action, change) in changes {
        let mut less = policy.clone();
        let actions = less["Statement"][0]["Action"].as_array_mut().unwrap();
        let before = actions.len();
        actions.retain(|one| one != change);
        assert_eq!(actions.len() + 1, before, "{policy:#} does not name {change}");
        let weak = aws.user_with(&fresh("cordon-less"), &less.to_string()).await;
        let engine = aws.engine(&weak);
        let ended = act(&engine, action, &entity(action)).await;
        assert_eq!(
            (ended.end, ended.code().as_str()),
            (End::Kept, "permission"),
            "{action} without {change}"
        );
        engine.close().await;
    }
    let enough = aws.user_with(&fresh("cordon-enough"), &policy.to_string()).await;
    let engine = aws.engine(&enough);
    let deactivated = act(&engine, "aws::deactivate_key", &entity("aws::deactivate_key"))
        .await
        .succeeded();
    let denied = act(&engine, "aws::deny", &entity("aws::deny")).await.succeeded();
    for done in [denied, deactivated] {
        engine.undo(done.run).await.unwrap().succeeded();
    }
    act(&engine, "aws::delete_key", &entity("aws::delete_key"))
        .await
        .succeeded();
    assert_eq!(aws.status_of(&owner, &leaked.id).await, None);
    engine.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_is_assumed_and_its_permissions_are_what_counts() {
    let aws = Account::open();
    let owner = fresh("svc-by-role");
    let leaked = aws.user(&owner, &["iam:ListUsers"]).await;
    let needed = permissions("aws::deactivate_key");
    let named: Vec<&str> = needed.iter().map(String::as_str).collect();
    let arn = aws.role(&fresh("cordon"), &named).await;
    let keys = aws.user(&fresh("cordon-keys"), &["sts:AssumeRole"]).await;
    let mut own = aws.cordon(&keys);
    own.settings = [("role_arn", &arn), ("external_id", &"cordon".to_owned())]
        .map(|(name, text)| (name.to_owned(), json!(text)))
        .into();
    let engine = Engine::open(&Catalog::embedded().unwrap(), vec![own]);
    act(&engine, "aws::deactivate_key", &key(&leaked.id, Some(&owner)))
        .await
        .succeeded();
    assert_eq!(
        aws.status_of(&owner, &leaked.id).await.as_deref(),
        Some("Inactive")
    );
    engine.close().await;

    let engine = aws.engine(&keys);
    let ended = act(&engine, "aws::reactivate_key", &key(&leaked.id, Some(&owner))).await;
    assert_eq!((ended.end, ended.code().as_str()), (End::Kept, "permission"));
    engine.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_keys_and_unknown_targets_are_told_apart() {
    let aws = Account::open();
    let owner = fresh("svc-known");
    aws.user(&owner, &["iam:ListUsers"]).await;
    let wrong = Hand {
        secret: "not-the-secret".to_owned(),
        ..aws.root.clone()
    };
    for (hand, name, code) in [
        (&wrong, owner.as_str(), "credentials"),
        (&aws.root, "svc-nobody", "target-not-found"),
    ] {
        let engine = aws.engine(hand);
        let ended = act(&engine, "cloud::deny", &account(name)).await;
        assert_eq!((ended.end, ended.code().as_str()), (End::Kept, code));
        engine.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_a_users_and_a_roles_is_refused() {
    let aws = Account::open();
    let name = fresh("twin");
    let hand = aws.user(&name, &["iam:ListUsers"]).await;
    aws.role(&name, &["iam:ListUsers"]).await;
    let engine = aws.engine(&aws.root);
    let ended = act(&engine, "cloud::deny", &account(&name)).await;
    assert_eq!(
        (ended.end, ended.code().as_str()),
        (End::Kept, "ambiguous-target")
    );
    assert!(aws.may(&hand).await);
    engine.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_rotated_under_our_token_and_seen_by_it() {
    let aws = Account::open();
    let name = fresh("db-password");
    let headers = [
        ("content-type", "application/x-amz-json-1.1"),
        ("x-amz-target", "secretsmanager.CreateSecret"),
    ];
    let body =
        json!({ "Name": name, "SecretString": "hunter2", "ClientRequestToken": "a".repeat(32) }).to_string();
    let (status, text) = aws.ask(&aws.root, "secretsmanager", body, &headers).await;
    assert_eq!(status, 200, "{text}");
    let needed = permissions("secretsmanager::rotate");
    let named: Vec<&str> = needed.iter().map(String::as_str).collect();
    let hand = aws.user(&fresh("cordon-rotates"), &named).await;
    let credentials = [
        ("access_key_id", hand.id.as_str()),
        ("secret_access_key", hand.secret.as_str()),
    ];
    let mut own = instance("secretsmanager", &aws.url, &credentials);
    own.settings = [("region".to_owned(), json!("us-east-1"))].into();
    let engine = Engine::open(&Catalog::embedded().unwrap(), vec![own]);
    let secret = json!({ "type": "resource", "role": "affected", "name": name, "uid": name });
    let ended = act(&engine, "secret::rotate", &secret).await.succeeded();
    let version = ended.effect().last().unwrap().intent.key.clone();
    let headers = [
        ("content-type", "application/x-amz-json-1.1"),
        ("x-amz-target", "secretsmanager.DescribeSecret"),
    ];
    let (_, text) = aws
        .ask(
            &aws.root,
            "secretsmanager",
            json!({ "SecretId": name }).to_string(),
            &headers,
        )
        .await;
    assert!(text.contains(&version[..32]), "{version} in {text}");
    engine.close().await;
}
