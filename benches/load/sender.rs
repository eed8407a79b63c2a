//! Sends alerts: as fast as they are taken, or at a steady rate whatever happens. One that is not answered 202 is sent
//! again, as a SIEM does, and its time goes on.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::content;
use crate::node::{Cluster, KEY};
use crate::sink::Took;

/// How often one alert is sent before it counts as lost.
const TRIES: usize = 100;

#[derive(Clone)]
pub struct Sender {
    client: reqwest::Client,
    hooks: Arc<Vec<String>>,
    sent: Arc<Mutex<HashMap<String, Instant>>>,
    took: Arc<Mutex<Vec<Duration>>>,
}

impl Sender {
    pub fn new(cluster: &Cluster) -> Sender {
        Sender {
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
            hooks: Arc::new(cluster.urls().map(|url| format!("{url}/hooks/load")).collect()),
            sent: Arc::default(),
            took: Arc::default(),
        }
    }

    async fn one(&self, rule: &str, n: usize) {
        let body = content::alert(rule, n);
        let began = Instant::now();
        self.sent.lock().unwrap().insert(format!("{rule}-{n}"), began);
        for k in 0..TRIES {
            let hook = &self.hooks[(n + k) % self.hooks.len()];
            let sent = self
                .client
                .post(hook)
                .header("x-load", KEY)
                .header("content-type", "application/json")
                .body(body.clone())
                .send()
                .await;
            if sent.is_ok_and(|answer| answer.status() == 202) {
                self.took.lock().unwrap().push(began.elapsed());
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn took(&self) -> Took {
        Took::new(std::mem::take(&mut *self.took.lock().unwrap()))
    }

    /// When each alert was sent first.
    pub fn sent(&self) -> HashMap<String, Instant> {
        self.sent.lock().unwrap().clone()
    }

    /// Sends `count` alerts, always `at_once` under way.
    pub async fn flood(&self, rule: &str, count: usize, at_once: usize) -> Took {
        let next = Arc::new(AtomicUsize::new(0));
        let mut senders = JoinSet::new();
        for _ in 0..at_once {
            let (sender, next, rule) = (self.clone(), next.clone(), rule.to_owned());
            senders.spawn(async move {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= count {
                        return;
                    }
                    sender.one(&rule, n).await;
                }
            });
        }
        senders.join_all().await;
        self.took()
    }

    /// Sends so many alerts a second, on time whether earlier ones are answered or not.
    pub async fn steady(&self, rule: &str, per_second: usize, seconds: u64) -> Took {
        let mut tick = tokio::time::interval(Duration::from_secs_f64(1.0 / per_second as f64));
        let mut under_way = JoinSet::new();
        for n in 0..per_second * seconds as usize {
            tick.tick().await;
            let (sender, rule) = (self.clone(), rule.to_owned());
            under_way.spawn(async move { sender.one(&rule, n).await });
            while under_way.try_join_next().is_some() {}
        }
        under_way.join_all().await;
        self.took()
    }
}
