//! The fixture: runs in a memory store, scripted channels, a plan with a few people in it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use serde_json::{Map, Value, json};

use crate::action::{ActionName, ActionSpec, Class, Done, Fault, Outcome, ReadBack, Reading, Retry, Target};
use crate::clock::{Clock as _, SetClock, Time};
use crate::connector::{Acted, Catalog, Looked};
use crate::digest::Digest;
use crate::finding::{Activity, Entity, EntityType, Finding, Role, SeverityId};
use crate::id::{AlertId, FindingId, Partition, RunId};
use crate::journal::{Cause, ChainId, ENGINE_ABI, Entry, Event, Header, OnFailure, PlaybookKind, seal};
use crate::notify::plan::{Plan, Way};
use crate::notify::{Follower, Parts, Sender, View};
use crate::playbook::Loaded;
use crate::run::{Binding, Vendors};
use crate::store::memory::MemoryStore;
use crate::store::{NewRun, NoticeQuery, NoticeState, Notices as _, RunRow, RunStatus, RunUpdate, Runs as _};

pub const NOW: Time = Time(1_795_000_000_000);

/// One message that reached a channel.
#[derive(Clone, Debug)]
pub struct Sent {
    pub instance: String,
    pub to: String,
    pub subject: String,
    pub text: String,
    pub html: String,
    pub thread: Option<String>,
    pub key: String,
}

/// Channels: what each instance says next, `Done` where nothing is scripted, and what reached it.
#[derive(Default)]
pub struct Channels {
    pub script: Mutex<BTreeMap<String, VecDeque<Outcome>>>,
    pub sent: Mutex<Vec<Sent>>,
    /// Tries, also those that were refused.
    pub tries: Mutex<Vec<(String, String)>>,
    pub class: Mutex<BTreeMap<String, Class>>,
    pub looks: Mutex<u32>,
}

impl Channels {
    pub fn says(&self, instance: &str, outcomes: impl IntoIterator<Item = Outcome>) {
        let mut script = self.script.lock().unwrap();
        script.entry(instance.into()).or_default().extend(outcomes);
    }

    pub fn sent(&self) -> Vec<Sent> {
        self.sent.lock().unwrap().clone()
    }

    pub fn tries(&self, instance: &str) -> Vec<String> {
        let tries = self.tries.lock().unwrap();
        let ours = tries.iter().filter(|(at, _)| at == instance);
        ours.map(|(_, key)| key.clone()).collect()
    }
}

pub fn refused() -> Outcome {
    Outcome::NotDone {
        fault: Fault::new("permission", "the token lacks a scope"),
        retry: Retry::Never,
    }
}

pub fn later(ms: u64) -> Outcome {
    Outcome::NotDone {
        fault: Fault::new("rate-limited", "too many"),
        retry: Retry::AfterMs(ms),
    }
}

pub fn broken() -> Outcome {
    Outcome::NotDone {
        fault: Fault::new("unreachable", "connection refused"),
        retry: Retry::Backoff,
    }
}

pub fn unknown() -> Outcome {
    Outcome::Unknown {
        fault: Fault::new("timeout", "no answer"),
    }
}

#[async_trait]
impl Vendors for Channels {
    fn bind(&self, _: &Loaded, _: &ActionName, _: Option<&Entity>) -> Result<Vec<Binding>, Fault> {
        Err(Fault::new("unbound", "a message names its instance"))
    }

    fn binding(&self, _: &Loaded, instance: &str, action: &ActionName) -> Result<Binding, Fault> {
        if instance == "gone" {
            return Err(Fault::new(
                "unbound",
                "the connector instance `gone` is not configured",
            ));
        }
        let class = self.class.lock().unwrap().get(instance).copied();
        let args = ["to", "subject", "text", "html", "thread", "severity"];
        Ok(Binding {
            instance: instance.into(),
            spec: ActionSpec {
                name: action.clone(),
                title: "Send".into(),
                class: class.unwrap_or(Class::Keyed),
                provides: Some("chat::send".parse().unwrap()),
                targets: vec![],
                args: args.iter().map(|name| ((*name).to_owned(), false)).collect(),
                facet: None,
                resolve: None,
                capture: None,
                verify: Some(ReadBack {
                    read: "message_state".into(),
                    in_force: vec!["posted".into()],
                    pending: vec![],
                    lag_ms: 0,
                }),
                ..spec_rest()
            },
        })
    }

    async fn resolve(&self, _: &Loaded, _: &Binding, _: &Entity) -> Looked<Target> {
        unreachable!("a message has no target")
    }

    async fn read(
        &self,
        _: &Loaded,
        binding: &Binding,
        _: &str,
        target: &Target,
        _: &Map<String, Value>,
    ) -> Looked<Reading> {
        *self.looks.lock().unwrap() += 1;
        let there = self
            .sent()
            .into_iter()
            .find(|sent| sent.instance == binding.instance && sent.key == target.id);
        let reading = match there {
            Some(_) => Reading {
                state: "posted".into(),
                fields: json!({ "id": "seen" }),
            },
            None => Reading {
                state: "absent".into(),
                fields: Value::Null,
            },
        };
        Looked {
            result: Ok(reading),
            requests: vec![],
        }
    }

    async fn act(
        &self,
        _: &Loaded,
        binding: &Binding,
        target: Option<&Target>,
        args: &Map<String, Value>,
        key: &str,
    ) -> Acted {
        assert_eq!(target, None);
        let instance = binding.instance.clone();
        self.tries
            .lock()
            .unwrap()
            .push((instance.clone(), key.to_owned()));
        let next = {
            let mut script = self.script.lock().unwrap();
            script.get_mut(&instance).and_then(VecDeque::pop_front)
        };
        let arrives = matches!(next, None | Some(Outcome::Unknown { .. } | Outcome::Done { .. }));
        let mut sent = self.sent.lock().unwrap();
        if arrives {
            let text = |name: &str| args.get(name).and_then(Value::as_str).map(str::to_owned);
            sent.push(Sent {
                instance,
                to: text("to").unwrap(),
                subject: text("subject").unwrap(),
                text: text("text").unwrap(),
                html: text("html").unwrap(),
                thread: text("thread"),
                key: key.to_owned(),
            });
        }
        let id = sent.len().to_string();
        let outcome = next.unwrap_or(Outcome::Done {
            how: Done::Acted,
            result: json!({ "id": id, "thread": format!("thread-{id}") }),
        });
        Acted {
            outcome,
            requests: vec![],
        }
    }
}

/// What no message depends on.
fn spec_rest() -> ActionSpec {
    let text = json!({
        "name": "chat_double::send", "title": "", "class": "keyed", "targets": [], "args": {},
        "permission": "", "propagation_ms": 0, "in_flight_ms": 0,
    });
    serde_json::from_value(text).unwrap()
}

pub struct Office {
    pub store: Arc<MemoryStore>,
    pub clock: Arc<SetClock>,
    pub channels: Arc<Channels>,
    pub plan: Plan,
}

pub fn way(instance: &str, to: &str) -> Way {
    Way {
        instance: instance.into(),
        action: "chat_double::send".parse().unwrap(),
        to: to.into(),
    }
}

impl Office {
    /// Ana, who prefers chat to mail, gets what nothing else takes; `ops` is the fallback; windows of five minutes.
    pub fn open() -> Office {
        let mut plan = Plan {
            public_url: Some("https://cordon.example.com".into()),
            default: vec!["person:ana".parse().unwrap()],
            fallback: Some("ops".into()),
            window_ms: 300_000,
            ..Plan::default()
        };
        plan.channels
            .insert("ops".into(), way("backup", "ops@example.com"));
        plan.channels.insert("soc".into(), way("chat", "#soc"));
        plan.people.insert(
            "ana".into(),
            vec![way("chat", "@ana-id"), way("mail", "ana@example.com")],
        );
        plan.teams
            .insert("soc".into(), vec!["channel:soc".parse().unwrap()]);
        Office {
            store: Arc::default(),
            clock: Arc::new(SetClock::at(NOW)),
            channels: Arc::default(),
            plan,
        }
    }

    pub fn follower(&self, holder: &str) -> Follower {
        let channels: Arc<dyn Vendors> = self.channels.clone();
        let catalog = Catalog::of([]);
        Follower::new(Parts {
            store: self.store.clone(),
            clock: self.clock.clone(),
            plan: Arc::new(self.plan.clone()),
            sender: Sender::new(channels, &catalog, self.clock.clone()).unwrap(),
            key: [3; 32],
            holder: holder.into(),
        })
    }

    /// Looks until there is nothing to do now.
    pub async fn settle(&self, follower: &mut Follower) {
        for _ in 0..10_000 {
            let moved = follower.look().await;
            let ended = follower.wait().await.unwrap();
            if moved + ended == 0 {
                return;
            }
        }
        panic!("there is always something to do");
    }

    pub async fn views(&self) -> Vec<View> {
        let mut views = Vec::new();
        for partition in Partition::all() {
            let query = NoticeQuery {
                limit: 10_000,
                ..NoticeQuery::default()
            };
            let found = self.store.notices(partition, &query).await.unwrap();
            views.extend(found.iter().map(View::of));
        }
        views.sort_by(|one, two| (one.at, &one.key).cmp(&(two.at, &two.key)));
        views
    }

    pub async fn count(&self, state: NoticeState) -> usize {
        let views = self.views().await;
        views.iter().filter(|view| view.state == state).count()
    }

    /// A run about a host, with these events after its start.
    pub async fn run(&self, host: &str, events: Vec<Event>) -> RunId {
        self.run_of(finding(&format!("Malware on {host}"), host), events)
            .await
    }

    pub async fn run_of(&self, finding: Finding, events: Vec<Event>) -> RunId {
        let id = RunId::derive(&["office", finding.uid.as_str(), &self.clock.now().0.to_string()]);
        let subject = finding.entities.first().map(Entity::label).unwrap_or_default();
        let header = json!({
            "run": id, "playbook": "endpoint/malware", "title": "Malware on a host",
            "kind": PlaybookKind::Response, "on_failure": OnFailure::Keep,
            "bundle": Digest::ZERO, "engine_abi": ENGINE_ABI,
            "cause": Cause::Trigger {
                trigger: "malware".into(),
                finding: finding.id,
                alert: AlertId::derive(&["a"]),
            },
            "inputs": { "finding": finding },
            "deadline": self.clock.now().plus_ms(3_600_000),
            "severity_id": SeverityId(4), "subject": subject,
        });
        let header: Header = serde_json::from_value(header).unwrap();
        self.begin(header, events).await
    }

    pub async fn begin(&self, header: Header, events: Vec<Event>) -> RunId {
        let (id, now) = (header.run, self.clock.now());
        let row = RunRow {
            id,
            playbook: header.playbook.clone(),
            title: header.title.clone(),
            subject: header.subject.clone(),
            cause: header.cause.line(),
            severity_id: header.severity_id,
            status: RunStatus::Open,
            end: None,
            started_at: now,
            updated_at: now,
            waits_for: String::new(),
            wake_at: Some(now),
            epoch: 0,
            worker: None,
            len: 1,
            last: Digest::ZERO,
        };
        let all = std::iter::once(Event::RunStarted(Box::new(header))).chain(events);
        let entries = sealed(id, now, all);
        let (first, rest) = entries.split_first().unwrap();
        let partition = id.partition();
        let new = NewRun {
            row,
            entry: first.clone(),
        };
        self.store.create_run(partition, new).await.unwrap();
        let claim = self
            .store
            .claim_run(partition, id, "w", now, now.plus_ms(1))
            .await;
        let update = RunUpdate {
            status: RunStatus::Open,
            end: None,
            wake_at: None,
            waits_for: String::new(),
            release: true,
            approvals: Vec::new(),
        };
        self.store
            .append(partition, &claim.unwrap().unwrap(), 1, now, rest.to_vec(), update)
            .await
            .unwrap();
        id
    }
}

fn sealed(run: RunId, now: Time, events: impl IntoIterator<Item = Event>) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for (seq, event) in (0..).zip(events) {
        let previous = entries.last().map_or(Digest::ZERO, |entry| entry.digest);
        entries.push(seal(ChainId::Run(run), &previous, seq, now, &event, [1; 16]).unwrap());
    }
    entries
}

pub fn finding(title: &str, host: &str) -> Finding {
    Finding {
        id: FindingId::derive(&[host]),
        source: "edr".into(),
        uid: host.into(),
        title: title.into(),
        message: String::new(),
        severity_id: SeverityId(4),
        severity: "high".into(),
        activity: Activity::Create,
        time: NOW,
        rule: Default::default(),
        product: "EDR".into(),
        attack: vec![],
        url: "https://edr.example.com/a/1".into(),
        entities: Entity::new(EntityType::Host, Role::Affected, host)
            .into_iter()
            .collect(),
        entities_left_out: 0,
        raw: Value::Null,
    }
}

/// `notify::…` with these arguments.
pub fn told(name: &str, args: Vec<Value>) -> Event {
    Event::StepTold {
        step: "0".parse().unwrap(),
        name: name.into(),
        args,
        digest: Digest::ZERO,
        line: 7,
        file: None,
    }
}

pub fn oncall(subject: &str) -> Event {
    told("notify::oncall", vec![json!({ "subject": subject })])
}

pub fn alarm(code: &str, message: &str) -> Event {
    Event::Alarmed {
        code: code.into(),
        message: message.into(),
        effect: None,
    }
}
