//! The playbooks that the load starts. Each has a rule of its own, by which its alerts are known.

/// A playbook.
#[derive(Clone, Copy)]
pub struct Playbook {
    /// Its id, and the rule its alerts carry.
    pub id: &'static str,
    /// Its script.
    pub script: &'static str,
}

/// Three posts to the vendor, one after the other, each under its key.
pub const THREE_POSTS: Playbook = Playbook {
    id: "three",
    script: r#"
for n in 1..=3 {
    http::post_keyed(#{ url: "/act", json: #{ alert: finding.uid, n: n } });
}
"#,
};

/// One post.
pub const ONE_POST: Playbook = Playbook {
    id: "one",
    script: r#"
http::post_keyed(#{ url: "/act", json: #{ alert: finding.uid, n: 1 } });
"#,
};

/// Three hosts contained one after the other.
pub const THREE_HOSTS: Playbook = Playbook {
    id: "hosts",
    script: r#"
for host in finding.all("host") {
    endpoint::isolate(host);
}
"#,
};

/// A run that waits for people.
pub const WAITING: Playbook = Playbook {
    id: "waiting",
    script: r#"
let answer = approve(#{ ask: `Go on with ${finding.uid}?`, by: "leads", quorum: 1, within: "20d" });
answer.granted
"#,
};

impl Playbook {
    /// Its manifest.
    pub fn manifest(&self) -> String {
        format!(
            "id = \"{}\"\ntitle = \"Load\"\nkind = \"response\"\nauthor = \"load\"\nowner = \"load\"\n[limits]\ndeadline = \"21d\"\n",
            self.id
        )
    }

    /// Its trigger: one run for each alert.
    pub fn trigger(&self) -> String {
        format!(
            "title: Load {id}\nlogsource: {{ product: cordon, category: finding }}\ndetection:\n  \
             rule: {{ rule.uid: {id} }}\n  condition: rule\nlevel: high\n\
             cordon: {{ key: [uid, rule.uid], window: 1h }}\n",
            id = self.id
        )
    }
}

/// The body of an alert.
pub fn alert(rule: &str, n: usize) -> String {
    let host = |k: usize| {
        let name = host_name(n, k);
        serde_json::json!({ "type": "host", "role": "affected", "name": name })
    };
    serde_json::json!({
        "uid": format!("{rule}-{n}"),
        "title": "Load",
        "severity": "high",
        "rule": { "uid": rule, "name": rule },
        "entities": [host(0), host(1), host(2)],
    })
    .to_string()
}

/// The `k`-th host of the `n`-th alert.
pub fn host_name(n: usize, k: usize) -> String {
    format!("h{n}-{k}")
}
