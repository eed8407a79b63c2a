//! A client that talks as a connector does, and the estate it talks about.

use std::time::Duration;

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::range::{Host, Range, RangeConfig, RunningRange};

pub const DEVICES: &str = "/devices/entities/devices/v2";
pub const CONTAIN: &str = "/devices/entities/devices-actions/v2?action_name=contain";
pub const LIFT: &str = "/devices/entities/devices-actions/v2?action_name=lift_containment";

/// Two hosts that share a name, and a laptop that is switched off.
pub fn estate() -> RangeConfig {
    let seed = vec![
        Host::new("aid-1", "WEB-01"),
        Host::new("aid-2", "web-01"),
        Host::new("aid-3", "DB-01"),
        Host::new("aid-4", "LAPTOP-7").offline(),
    ];
    RangeConfig {
        seed,
        ..RangeConfig::default()
    }
}

pub async fn start(config: RangeConfig) -> (RunningRange, Caller) {
    let range = Range::start(config).await.unwrap();
    let mut caller = Caller::new(&range.base_url());
    caller.log_in().await;
    (range, caller)
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: Value,
}

pub struct Caller {
    client: reqwest::Client,
    base_url: String,
    pub token: String,
}

impl Caller {
    pub fn new(base_url: &str) -> Caller {
        // Fails when another test was first, and then it is done.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .no_proxy()
            // A defect ends the test instead of hanging it.
            .timeout(Duration::from_secs(20))
            .build()
            .unwrap();
        Caller {
            client,
            base_url: base_url.to_owned(),
            token: String::new(),
        }
    }

    pub async fn log_in(&mut self) {
        let answer = self.token("range-client", "range-secret").await;
        assert_eq!(answer.status, 201, "{answer:?}");
        self.token = answer.body["access_token"].as_str().unwrap().to_owned();
    }

    pub async fn token(&self, id: &str, secret: &str) -> Answer {
        let form = [("client_id", id), ("client_secret", secret)];
        answer(self.request(Method::POST, "/oauth2/token").form(&form))
            .await
            .unwrap()
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client
            .request(method, format!("{}{path}", self.base_url))
            .bearer_auth(&self.token)
    }

    pub async fn post(&self, path: &str, body: Value) -> Result<Answer, reqwest::Error> {
        answer(self.request(Method::POST, path).json(&body)).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        answer(self.request(Method::GET, path)).await.unwrap()
    }

    pub async fn find(&self, filter: &str) -> Answer {
        let request = self.request(Method::GET, "/devices/queries/devices/v1");
        answer(request.query(&[("filter", filter)])).await.unwrap()
    }

    pub async fn contain(&self, id: &str) -> Result<Answer, reqwest::Error> {
        self.post(CONTAIN, json!({ "ids": [id] })).await
    }

    pub async fn lift(&self, id: &str) -> Result<Answer, reqwest::Error> {
        self.post(LIFT, json!({ "ids": [id] })).await
    }

    /// The status that details tell.
    pub async fn status(&self, id: &str) -> String {
        let answer = self.post(DEVICES, json!({ "ids": [id] })).await.unwrap();
        answer.body["resources"][0]["status"]
            .as_str()
            .unwrap_or_else(|| panic!("{answer:?}"))
            .to_owned()
    }
}

pub async fn answer(request: RequestBuilder) -> Result<Answer, reqwest::Error> {
    let response = request.send().await?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let body = response.bytes().await?;
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    Ok(Answer {
        status,
        headers,
        body,
    })
}
