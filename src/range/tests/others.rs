//! An estate at the other vendors, and a client for each that signs in as connectors do.

use reqwest::Method;
use serde_json::{Value, json};

use super::caller::Answer;
use crate::clock::{Clock, SystemClock};
use crate::range::{
    AccessKey, AwsConfig, Channel, Group, Identity, OktaConfig, Range, RangeConfig, RunningRange, Signer,
    SlackConfig, StoredSecret, User, sign,
};

pub const KEY: &str = "AKIARANGE000BUILD001";
pub const OTHER_KEY: &str = "AKIARANGE000BUILD002";
pub const LOGIN: &str = "svc-build@corp.example";

/// One service account known to Okta and AWS, a second person, a role, a secret, a channel.
pub fn estate() -> RangeConfig {
    let mut role = Identity::role("cordon-responder");
    role.external_id = Some("range-external".to_owned());
    RangeConfig {
        okta: OktaConfig {
            users: vec![
                User::new("00u1", LOGIN)
                    .token("oar1", "ci-client")
                    .api_token("00T1", "ci"),
                User::new("00u2", "ana@corp.example"),
            ],
            groups: vec![Group::new("00g1", "production-admins").member("00u2")],
            ..OktaConfig::default()
        },
        aws: AwsConfig {
            identities: vec![Identity::user("svc-build"), role],
            keys: vec![
                AccessKey::new(KEY, "svc-build"),
                AccessKey::new(OTHER_KEY, "svc-build").inactive(),
            ],
            secrets: vec![StoredSecret::new("prod/db")],
            ..AwsConfig::default()
        },
        slack: SlackConfig {
            channels: vec![Channel::new("incidents")],
            ..SlackConfig::default()
        },
        ..RangeConfig::default()
    }
}

pub async fn start() -> (RunningRange, Client) {
    started(estate()).await
}

pub async fn started(config: RangeConfig) -> (RunningRange, Client) {
    // Fails when another test was first, and then it is done.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let range = Range::start(config).await.unwrap();
    let client = Client {
        base_url: range.base_url(),
        http: reqwest::Client::builder().no_proxy().build().unwrap(),
    };
    (range, client)
}

pub struct Client {
    pub base_url: String,
    pub http: reqwest::Client,
}

/// Who signs a request to AWS.
pub struct Hand {
    pub key_id: String,
    pub secret: String,
    pub token: Option<String>,
}

impl Hand {
    /// Whoever holds the configured key.
    pub fn configured() -> Hand {
        Hand {
            key_id: "AKIARANGE00000CORDON".to_owned(),
            secret: "range-aws-secret".to_owned(),
            token: None,
        }
    }

    /// Whoever holds a user's key.
    pub fn of(range: &RunningRange, key_id: &str) -> Hand {
        Hand {
            key_id: key_id.to_owned(),
            secret: range.secret_of(key_id),
            token: None,
        }
    }
}

impl Client {
    pub async fn okta(&self, method: Method, path: &str) -> Answer {
        self.okta_as("range-okta-token", method, path).await
    }

    pub async fn okta_as(&self, token: &str, method: Method, path: &str) -> Answer {
        let request = self
            .http
            .request(method, format!("{}/api/v1{path}", self.base_url));
        let request = request.header("authorization", format!("SSWS {token}"));
        super::caller::answer(request).await.unwrap()
    }

    pub async fn slack(&self, method: &str, body: Value) -> Answer {
        let request = self.http.post(format!("{}/api/{method}", self.base_url));
        super::caller::answer(request.bearer_auth("xoxb-range").json(&body))
            .await
            .unwrap()
    }

    /// A call of IAM or STS; status and XML.
    pub async fn aws(&self, hand: &Hand, service: &str, fields: &[(&str, &str)]) -> (u16, String) {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(fields);
        let body = form.finish();
        self.signed(
            hand,
            service,
            body,
            &[("content-type", "application/x-www-form-urlencoded")],
        )
        .await
    }

    /// A call of Secrets Manager; status and JSON.
    pub async fn secret(&self, hand: &Hand, action: &str, body: Value) -> (u16, Value) {
        let target = format!("secretsmanager.{action}");
        let headers = [
            ("content-type", "application/x-amz-json-1.1"),
            ("x-amz-target", target.as_str()),
        ];
        let (status, text) = self
            .signed(hand, "secretsmanager", body.to_string(), &headers)
            .await;
        (status, serde_json::from_str(&text).unwrap_or(json!(text)))
    }

    async fn signed(
        &self,
        hand: &Hand,
        service: &str,
        body: String,
        headers: &[(&str, &str)],
    ) -> (u16, String) {
        let signer = Signer {
            key_id: &hand.key_id,
            secret: &hand.secret,
            region: "eu-central-1",
            service,
        };
        let host = self.base_url.trim_start_matches("http://");
        let mut request = self.http.post(&self.base_url);
        for (name, value) in sign(&signer, host, body.as_bytes(), SystemClock.now()) {
            request = request.header(name, value);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(token) = &hand.token {
            request = request.header("x-amz-security-token", token);
        }
        let answer = request.body(body).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }
}

/// The text of the first element of this name.
pub fn element(xml: &str, name: &str) -> String {
    let (_, rest) = xml
        .split_once(&format!("<{name}>"))
        .unwrap_or_else(|| panic!("no {name} in {xml}"));
    rest.split('<').next().unwrap().to_owned()
}
