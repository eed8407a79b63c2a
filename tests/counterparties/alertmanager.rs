//! Prometheus Alertmanager fires and resolves into a running server.

use cordon::store::Disposition;
use serde_json::{Value, json};

use crate::serving::{Serving, watch};
use crate::told;

async fn post(serving: &Serving, alerts: Value) {
    let url = format!("{}/api/v2/alerts", told("CORDON_ALERTMANAGER_URL"));
    let answer = serving.http.post(url).json(&alerts).send().await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.status());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fires_starts_one_run_and_what_is_resolved_none() {
    let dir = tempfile::tempdir().unwrap();
    watch(dir.path(), "KeyUsedFromElsewhere");
    std::fs::write(dir.path().join("token"), told("CORDON_ALERTMANAGER_TOKEN")).unwrap();
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:{}\"\n[content]\nplaybooks = \"playbooks\"\n\
         [[source]]\nname = \"alertmanager\"\nuse = \"alertmanager\"\n\
         auth = {{ kind = \"bearer\", secrets = [\"file:token\"] }}\n",
        told("CORDON_ALERTMANAGER_HOOK_PORT")
    );
    let serving = Serving::start(dir.path(), &text).await;
    let begun = jiff::Timestamp::now();
    let alert = |ends: Option<jiff::Timestamp>| {
        let mut alert = json!({
            "labels": { "alertname": "KeyUsedFromElsewhere", "severity": "critical", "instance": "web-07:9100" },
            "annotations": { "summary": "A key was used from elsewhere" },
            "startsAt": begun.to_string(),
        });
        if let Some(ends) = ends {
            alert["endsAt"] = ends.to_string().into();
        }
        json!([alert])
    };
    post(&serving, alert(None)).await;
    let fired = serving.all_disposed("alertmanager", 1).await;
    assert_eq!(fired[0].0, Disposition::Split, "{}", fired[0].1);
    assert!(fired[0].1.contains("A key was used from elsewhere") && fired[0].1.contains("matched"));
    assert_eq!(serving.runs().await, 1);

    post(&serving, alert(Some(jiff::Timestamp::now()))).await;
    let both = serving.all_disposed("alertmanager", 2).await;
    assert_eq!(both[1].0, Disposition::Split, "{}", both[1].1);
    assert!(both[1].1.contains("unmatched"), "{}", both[1].1);
    assert_eq!(serving.runs().await, 1, "what is over starts nothing");
    let resolved: Value = serde_json::from_slice(&serving.alerts("alertmanager").await[1].body).unwrap();
    assert_eq!(resolved["alerts"][0]["status"], "resolved", "{resolved}");
    serving.server.stop().await.unwrap();
}
