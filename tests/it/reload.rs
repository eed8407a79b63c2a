//! Content that changes under a running server: taken when it is sound, refused when it is not, and never by a run
//! that is under way.

use std::path::Path;

use cordon::app::{ServeOptions, Server};
use cordon::config::Config;
use serde_json::{Value, json};

use crate::house::Way;

struct Soc {
    dir: tempfile::TempDir,
    server: Server,
    way: Way,
}

fn write(dir: &Path, script: &str) {
    let folder = dir.join("playbooks/own/greet");
    std::fs::create_dir_all(&folder).unwrap();
    let manifest = "id = \"greet\"\ntitle = \"Greet\"\nkind = \"response\"\nowner = \"us\"\n";
    std::fs::write(folder.join("playbook.toml"), manifest).unwrap();
    std::fs::write(folder.join("playbook.rhai"), script).unwrap();
}

impl Soc {
    async fn with(script: &str) -> Soc {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), script);
        let config = "[server]\nlisten = \"127.0.0.1:0\"\n[store]\nurl = \"memory:\"\n[content]\nplaybooks = \"playbooks\"\n";
        let file = dir.path().join("cordon.toml");
        std::fs::write(&file, config).unwrap();
        let config = Config::load(&file).unwrap();
        let server = Server::start(&config, &ServeOptions::default()).await.unwrap();
        let token = server.first_token.clone().unwrap();
        let way = Way::to(format!("http://{}", server.address), token);
        Soc { dir, server, way }
    }

    async fn reload(&self) -> Value {
        let answer = self.way.post("/api/reload", json!({})).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.body
    }

    async fn start(&self) -> String {
        let answer = self
            .way
            .post("/api/runs", json!({ "playbook": "greet", "reason": "test" }))
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.body["run"].as_str().unwrap().to_owned()
    }

    /// The notes of a run, once it is over.
    async fn notes(&self, run: &str) -> Vec<String> {
        self.way.over(run).await;
        let whole = self.way.get(&format!("/api/runs/{run}")).await;
        let mut notes = Vec::new();
        gather(&whole.body, &mut notes);
        notes
    }
}

/// Every note anywhere in an answer, in its order.
fn gather(value: &Value, notes: &mut Vec<String>) {
    if let Some(told) = value.get("step_told").filter(|told| told["name"] == "note") {
        notes.push(told["args"][0].as_str().unwrap().to_owned());
    }
    match value {
        Value::Array(items) => items.iter().for_each(|item| gather(item, notes)),
        Value::Object(members) => members.values().for_each(|item| gather(item, notes)),
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn new_runs_use_new_content_and_runs_under_way_keep_theirs() {
    let soc = Soc::with("note(\"one\");\nwait(\"2s\");\nnote(\"still one\");\n").await;
    let first = soc.start().await;
    write(soc.dir.path(), "note(\"two\");\n");
    soc.reload().await;
    let second = soc.start().await;
    assert_eq!(soc.notes(&second).await, ["two"]);
    assert_eq!(soc.notes(&first).await, ["one", "still one"]);
    assert_eq!(soc.reload().await["outcome"], "same");
    soc.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn content_with_errors_is_refused_and_says_so_until_it_is_mended() {
    let soc = Soc::with("note(\"one\");\n").await;
    write(soc.dir.path(), "nonsense(1);\n");
    let answer = soc.reload().await;
    assert_eq!(answer["outcome"], "refused");
    let status = soc.way.get("/api/status").await.body;
    assert_eq!(status["content"]["refused"]["errors"], 1);
    let told = status["content"]["refused"]["told"][0].as_str().unwrap();
    assert!(
        told.contains("unknown function `nonsense`") && told.contains("playbook.rhai:1:1"),
        "{told}"
    );
    let metrics = soc.way.get("/metrics").await.text;
    assert!(metrics.contains("cordon_content_refused 1"), "{metrics}");
    let run = soc.start().await;
    assert_eq!(soc.notes(&run).await, ["one"]);
    write(soc.dir.path(), "note(\"two\");\n");
    soc.reload().await;
    let status = soc.way.get("/api/status").await.body;
    assert_eq!(status["content"]["refused"], Value::Null);
    let run = soc.start().await;
    assert_eq!(soc.notes(&run).await, ["two"]);
    soc.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_seen_without_anybody_asking() {
    let soc = Soc::with("note(\"one\");\n").await;
    write(soc.dir.path(), "note(\"another\");\n");
    soc.way
        .until("/api/status", |status| status["content"]["reloads"] == 1)
        .await;
    let run = soc.start().await;
    assert_eq!(soc.notes(&run).await, ["another"]);
    soc.server.stop().await.unwrap();
}
