//! Somebody who holds a stolen access key and tries what it opens: a request of its own to the range, signed with the
//! key's real secret, as AWS would get it. No part of Cordon is involved.

use std::time::Duration;

use crate::clock::{Clock as _, SystemClock};
use crate::range::{RunningRange, Signer, sign};

const QUESTION: &str = "Action=ListAccessKeys&UserName=svc-build&Version=2010-05-08";

/// What AWS answers to who signs with this key, in a few words.
pub(super) async fn tries(range: &RunningRange, key_id: &str) -> anyhow::Result<String> {
    let secret = range.secret_of(key_id);
    let signer = Signer {
        key_id,
        secret: &secret,
        region: "eu-central-1",
        service: "iam",
    };
    let client = reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(10))
        .build()?;
    let mut request = client
        .post(range.base_url())
        .header("content-type", "application/x-www-form-urlencoded")
        .body(QUESTION);
    for (name, value) in sign(
        &signer,
        &range.address().to_string(),
        QUESTION.as_bytes(),
        SystemClock.now(),
    ) {
        request = request.header(name, value);
    }
    let answer = request.send().await?;
    let status = answer.status();
    let body = answer.text().await?;
    let code = body
        .split("<Code>")
        .nth(1)
        .and_then(|rest| rest.split('<').next());
    Ok(match code {
        Some(code) => format!("{} {code}", status.as_u16()),
        None => format!("{}, it opens the account", status.as_u16()),
    })
}
