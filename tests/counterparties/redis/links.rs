//! Every kind of link to a server: TLS with a certificate authority of one's own, a password, a user with the rights that the
//! manual lists and no more, a service that forbids CONFIG, and servers without functions. Through each of them every
//! kind of record is written, read, moved and put back, and nodes race.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use cordon::secret::Secret;
use cordon::store::Feed as _;
use cordon::store::redis::{Address, NotOpened, Options, Promise, RedisStore};

use super::servers::{Own, STRICT, free_port};
use super::stores::prefix;
use crate::cases;
use crate::cases::fixture::Any;

/// How operators are told to make the user.
const MANUAL: &str = include_str!("../../../docs/operate/redis.md");

#[derive(Clone, Default)]
struct Link {
    url: String,
    password: Option<&'static str>,
    ca: Option<String>,
    managed: Option<String>,
    replicas: Option<u32>,
}

impl Link {
    async fn open(&self, prefix: &str) -> Result<RedisStore, NotOpened> {
        RedisStore::open(Options {
            address: Address::parse(&format!("{}?prefix={prefix}", self.url)).unwrap(),
            password: self.password.map(Secret::new),
            sentinel_password: None,
            ca: self.ca.clone(),
            promise: Promise {
                managed: self.managed.clone(),
                replicas: self.replicas,
                ..Promise::default()
            },
            node: "linked".to_owned(),
            witness: None,
        })
        .await
    }

    async fn refused(&self) -> String {
        self.open(&prefix()).await.expect_err("it is refused").to_string()
    }

    async fn works(&self) {
        self.works_below(&prefix()).await;
    }

    /// The core of the contract, each case below a prefix of its own.
    async fn works_below(&self, prefix: &str) {
        let empty = async |n: u32| -> Any {
            let store: Any = Arc::new(self.open(&format!("{prefix}{n}:")).await.unwrap());
            store
        };
        cases::dump::everything_goes_out_and_into_another_store_and_back(empty(1).await).await;
        cases::runs_claims::a_stale_epoch_is_fenced(empty(2).await).await;
        cases::runs_claims::a_worker_gives_all_its_claims_back(empty(3).await).await;
        cases::holds::only_the_last_end_restores(empty(4).await).await;
        cases::budgets::many_race_for_the_places_of_a_budget(empty(5).await).await;
        cases::signals::a_signal_is_kept_once_and_wakes_its_run(empty(6).await).await;
        empty(7).await.ready().await.unwrap();
    }
}

fn openssl(dir: &Path, words: &str) {
    let made = Command::new("openssl")
        .args(words.split(' '))
        .current_dir(dir)
        .output()
        .expect("openssl is installed");
    assert!(
        made.status.success(),
        "{words}: {}",
        String::from_utf8_lossy(&made.stderr)
    );
}

/// A server with TLS beside its plain port, and the certificate of who vouches for it.
fn with_tls(more: &[&str]) -> (Own, u16, String) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("san"), "subjectAltName=IP:127.0.0.1\n").unwrap();
    for words in [
        "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=tests",
        "req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj /CN=server",
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile san -out server.pem",
    ] {
        openssl(dir.path(), words);
    }
    let port = free_port();
    let file = |name: &str| dir.path().join(name).display().to_string();
    let (ca, cert, key, tls) = (
        file("ca.pem"),
        file("server.pem"),
        file("server.key"),
        port.to_string(),
    );
    let mut options = STRICT.to_vec();
    options.extend([
        "--tls-port",
        &tls,
        "--tls-cert-file",
        &cert,
        "--tls-key-file",
        &key,
    ]);
    options.extend(["--tls-ca-cert-file", &ca, "--tls-auth-clients", "no"]);
    options.extend(more);
    let server = Own::start(&options);
    (server, port, std::fs::read_to_string(&ca).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_with_a_certificate_authority_of_ones_own() {
    let (_server, port, ca) = with_tls(&[]);
    let link = Link {
        url: format!("rediss://127.0.0.1:{port}"),
        ca: Some(ca),
        ..Link::default()
    };
    link.works().await;
    let stranger = Link {
        ca: None,
        ..link.clone()
    };
    let why = stranger.refused().await;
    assert!(why.contains("no TLS with 127.0.0.1"), "{why}");
    // The certificate is for the number, not for this name.
    let other = Link {
        url: format!("rediss://localhost:{port}"),
        ..link
    };
    let why = other.refused().await;
    assert!(why.contains("no TLS with localhost"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_with_tls_and_a_password() {
    let (server, port, ca) = with_tls(&["--cluster-enabled", "yes", "--tls-cluster", "yes"]);
    assert!(
        server
            .ask(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"])
            .contains("OK")
    );
    server.wait_for(&["CLUSTER", "INFO"], |said| said.contains("cluster_state:ok"));
    server.ask(&["CONFIG", "SET", "requirepass", "hunter2"]);
    let link = Link {
        url: format!("rediss-cluster://127.0.0.1:{port}"),
        ca: Some(ca),
        password: Some("hunter2"),
        replicas: Some(0),
        ..Link::default()
    };
    link.works().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_needed_and_is_never_shown() {
    let server = Own::start(STRICT);
    server.ask(&["CONFIG", "SET", "requirepass", "hunter2"]);
    let link = Link {
        url: server.url(),
        password: Some("hunter2"),
        ..Link::default()
    };
    link.works().await;
    let wrong = Link {
        password: Some("hunter3"),
        ..link.clone()
    };
    let why = wrong.refused().await;
    assert!(why.contains("refuses user and password (WRONGPASS)"), "{why}");
    assert!(!why.contains("hunter"), "{why}");
    let why = Link {
        password: None,
        ..link
    }
    .refused()
    .await;
    assert!(why.contains("NOAUTH"), "{why}");
}

/// The rights as the manual lists them: the line that makes the user, without its name and password.
fn rights(heading: &str) -> Vec<&'static str> {
    let (_, rest) = MANUAL.split_once(heading).expect("the manual lists rights");
    let (line, _) = rest.split_once('\n').unwrap();
    line.split(' ').filter(|word| !word.is_empty()).collect()
}

/// Makes the user `cordon`, with these rights below a prefix.
fn user(server: &Own, rights: &[&str]) {
    let mut words = vec!["ACL", "SETUSER", "cordon", "reset", "on", ">hunter2", "~cordon:*"];
    words.extend(rights);
    assert_eq!(server.ask(&words).trim(), "OK", "{words:?}");
}

fn as_user(server: &Own) -> Link {
    Link {
        url: server.url().replace("redis://", "redis://cordon@"),
        password: Some("hunter2"),
        ..Link::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rights_that_the_manual_lists_are_enough_and_each_of_them_is_needed() {
    let server = Own::start(STRICT);
    let listed = rights("ACL SETUSER cordon on '>…' '~cordon:*' ");
    user(&server, &listed);
    let link = as_user(&server);
    link.works_below("cordon:enough:").await;
    let why = link.refused().await;
    assert!(
        why.contains("NOPERM") || why.contains("forbids"),
        "other keys: {why}"
    );
    // `select`, `wait` and `cluster|slots` are for set-ups other than this, `function|load` only until it has happened.
    // Without `echo` no answer can be told from another's, and that is what is said.
    let elsewhere = ["+select", "+wait", "+cluster|slots", "+function|load", "+echo"];
    for right in &listed {
        if elsewhere.contains(right) {
            continue;
        }
        let fewer: Vec<&str> = listed.iter().filter(|one| *one != right).copied().collect();
        user(&server, &fewer);
        let opened = link.open("cordon:enough:").await;
        let why = match opened {
            Ok(store) => store.ready().await.expect_err(right).to_string(),
            Err(why) => why.to_string(),
        };
        let word = right.trim_start_matches('+').split('|').next().unwrap();
        // Where functions are forbidden scripts are tried, and those are, too.
        let word = word.trim_end_matches("_ro");
        let is_named = why.to_lowercase().contains(word)
            || (word == "fcall" && ["evalsha", "script"].iter().any(|one| why.contains(one)));
        // What every function begins with is refused before rights are looked at, and the server does not say which it was.
        let is_first =
            ["exists", "get", "hget"].contains(&word) && why.contains("executing the script can't run");
        assert!(is_named || is_first, "without {right}: {why}");
        assert!(why.contains("grant"), "without {right}: {why}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_that_may_call_no_functions_sends_scripts() {
    let server = Own::start(STRICT);
    let mut listed = rights("ACL SETUSER cordon on '>…' '~cordon:*' ");
    listed.retain(|right| !right.starts_with("+fcall") && !right.starts_with("+function"));
    listed.extend(["+evalsha", "+script|load"]);
    user(&server, &listed);
    as_user(&server).works_below("cordon:scripts:").await;
    assert_eq!(server.ask(&["FUNCTION", "LIST"]).trim(), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_without_functions_are_sent_scripts() {
    let mut options = STRICT.to_vec();
    for command in ["FUNCTION", "FCALL", "FCALL_RO"] {
        options.extend(["--rename-command", command, ""]);
    }
    let server = Own::start(&options);
    let link = Link {
        url: server.url(),
        ..Link::default()
    };
    link.works().await;
    // Scripts are forgotten when a server ends; one that has lost them is given them again.
    let store = link.open(&prefix()).await.unwrap();
    server.ask(&["SCRIPT", "FLUSH"]);
    store.ready().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_forbids_config_is_believed_what_the_operator_states_of_it() {
    let mut options = STRICT.to_vec();
    options.extend(["--rename-command", "CONFIG", ""]);
    let server = Own::start(&options);
    let link = Link {
        url: server.url(),
        ..Link::default()
    };
    let why = link.refused().await;
    assert!(why.contains("K054") && why.contains("managed"), "{why}");
    let stated = Link {
        managed: Some("synced before each answer".to_owned()),
        ..link
    };
    stated.works().await;
    let store = stated.open(&prefix()).await.unwrap();
    let health = store.health().await.unwrap();
    assert_eq!(health.durability, "managed: synced before each answer");
}
