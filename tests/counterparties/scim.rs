//! scim2-server: a user is deactivated and comes back, a version that went stale is refused and read again.

use cordon::connector::Catalog;
use cordon::journal::End;
use serde_json::{Value, json};

use crate::engine::{Ended, Engine};
use crate::relay::{Meddling, Relay};
use crate::{account, instance, told};

const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
const PATCH: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";

struct Directory {
    http: reqwest::Client,
    url: String,
    token: String,
    relay: Relay,
    engine: Engine,
}

impl Directory {
    async fn open() -> Directory {
        let (url, token) = (told("CORDON_SCIM_URL"), told("CORDON_SCIM_TOKEN"));
        let relay = Relay::to(&url).await;
        let engine = Engine::open(
            &Catalog::embedded().unwrap(),
            vec![instance("scim", &relay.base, &[("token", &token)])],
        );
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Directory {
            http,
            url,
            token,
            relay,
            engine,
        }
    }

    async fn ask(&self, method: reqwest::Method, path: &str, body: Option<Value>) -> Value {
        let mut request = self
            .http
            .request(method, format!("{}{path}", self.url))
            .bearer_auth(&self.token);
        if let Some(body) = body {
            request = request
                .header("content-type", "application/scim+json")
                .body(body.to_string());
        }
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "{answer:?}");
        serde_json::from_str(&answer.text().await.unwrap()).unwrap_or(Value::Null)
    }

    /// Makes a user and answers its id. Names are unique among tests, which share the server.
    async fn user(&self, name: &str, active: bool) -> String {
        let body = json!({ "schemas": [USER], "userName": name, "active": active });
        let made = self.ask(reqwest::Method::POST, "/Users", Some(body)).await;
        made["id"].as_str().unwrap().to_owned()
    }

    async fn get(&self, path: &str) -> Value {
        self.ask(reqwest::Method::GET, path, None).await
    }

    async fn is_active(&self, id: &str) -> bool {
        self.get(&format!("/Users/{id}")).await["active"]
            .as_bool()
            .unwrap()
    }

    async fn act(&self, action: &str, name: &str) -> Ended {
        self.engine.act(action, &account(name), &json!({})).await
    }

    fn statuses(&self) -> Vec<u16> {
        self.relay
            .changes()
            .iter()
            .map(|exchange| exchange.status)
            .collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_is_suspended_and_comes_back_by_undo() {
    let directory = Directory::open().await;
    let id = directory.user("svc \"backup\" (\\suspended)", true).await;
    let done = directory
        .act("identity::suspend", "svc \"backup\" (\\suspended)")
        .await
        .succeeded();
    assert!(!directory.is_active(&id).await);
    directory.engine.undo(done.run).await.unwrap().succeeded();
    assert!(directory.is_active(&id).await);
    assert_eq!(directory.relay.changes().len(), 2);
    directory.engine.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_that_was_inactive_before_stays_so_after_undo() {
    let directory = Directory::open().await;
    let id = directory.user("svc-gone", false).await;
    let done = directory.act("scim::suspend_user", "svc-gone").await.succeeded();
    directory.engine.undo(done.run).await.unwrap().succeeded();
    assert!(!directory.is_active(&id).await);
    assert!(directory.relay.changes().is_empty());
    directory.engine.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_by_another_in_between_is_a_412_that_is_read_again_and_not_overwritten() {
    let directory = Directory::open().await;
    let id = directory.user("svc-busy", true).await;
    let other = json!({ "schemas": [PATCH], "Operations": [{ "op": "replace", "path": "displayName", "value": "renamed meanwhile" }] });
    directory.relay.meddle(Meddling::PatchFirst(other.to_string()));
    directory.act("scim::suspend_user", "svc-busy").await.succeeded();
    let [first, second] = directory.statuses()[..] else {
        panic!("{:?}", directory.relay.changes())
    };
    assert_eq!(first, 412);
    assert!((200..300).contains(&second), "{second}");
    let user = directory.get(&format!("/Users/{id}")).await;
    assert_eq!(
        (&user["active"], &user["displayName"]),
        (&json!(false), &json!("renamed meanwhile"))
    );
    directory.engine.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_was_lost_is_looked_for_and_nothing_is_sent_twice() {
    let directory = Directory::open().await;
    let id = directory.user("svc-lost", true).await;
    directory.relay.meddle(Meddling::LoseAnswer);
    directory.act("scim::suspend_user", "svc-lost").await.succeeded();
    assert!(!directory.is_active(&id).await);
    assert_eq!(directory.relay.changes().len(), 1);
    directory.engine.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_membership_is_granted_taken_back_and_leaves_the_others() {
    let directory = Directory::open().await;
    let (mine, other) = (
        directory.user("svc-member", true).await,
        directory.user("svc-other", true).await,
    );
    let body =
        json!({ "schemas": [GROUP], "displayName": "Backup Operators", "members": [{ "value": other }] });
    let group = directory.ask(reqwest::Method::POST, "/Groups", Some(body)).await["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let options = json!({ "group": "Backup Operators" });
    let members = async || {
        let group = directory.get(&format!("/Groups/{group}")).await;
        let list = group["members"].as_array().cloned().unwrap_or_default();
        list.iter()
            .map(|member| member["value"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let granted = directory
        .engine
        .act("identity::grant", &account("svc-member"), &options)
        .await
        .succeeded();
    assert_eq!(members().await, [other.clone(), mine.clone()]);
    directory.engine.undo(granted.run).await.unwrap().succeeded();
    assert_eq!(members().await, std::slice::from_ref(&other));
    let taken = directory
        .engine
        .act("scim::remove_member", &account("svc-other"), &options)
        .await
        .succeeded();
    assert!(members().await.is_empty());
    directory.engine.undo(taken.run).await.unwrap().succeeded();
    assert_eq!(members().await, [other]);
    directory.engine.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_of_that_name_and_a_token_that_is_refused_are_told_apart() {
    let directory = Directory::open().await;
    let nobody = directory.act("scim::suspend_user", "svc-nobody").await;
    assert_eq!(
        (nobody.end, nobody.code().as_str()),
        (End::Kept, "target-not-found")
    );
    let mut by_id = account("svc-nobody");
    by_id["ids"] = json!({ "scim": "no-such-id" });
    let nobody = directory
        .engine
        .act("scim::suspend_user", &by_id, &json!({}))
        .await;
    assert_eq!(
        (nobody.end, nobody.code().as_str()),
        (End::Kept, "target-not-found")
    );
    let wrong = instance("scim", &directory.url, &[("token", "not the token")]);
    let engine = Engine::open(&Catalog::embedded().unwrap(), vec![wrong]);
    let refused = engine
        .act("scim::suspend_user", &account("svc-backup"), &json!({}))
        .await;
    assert_eq!((refused.end, refused.code().as_str()), (End::Kept, "credentials"));
    assert!(directory.relay.changes().is_empty());
    engine.close().await;
    directory.engine.close().await;
}
