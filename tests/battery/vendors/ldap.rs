//! A directory that speaks LDAP (RFC 4511) as far as the connector asks: bind, search by equalities, modify. It has no
//! TLS and listens on loopback; a real one is asked in `tests/counterparties`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use cordon::connector::Instance;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::counterparty::{Counterparty, LATE_MS, Trouble};
use crate::double::instance;
use crate::row::{Open, Row, entity};

const PASSWORD: &str = "password-of-the-battery";
/// How often a server that is busy says so: pauses grow, and three are more than a second.
const BUSY_TIMES: usize = 3;

type Attributes = BTreeMap<String, Vec<String>>;

struct Inner {
    entries: BTreeMap<String, Attributes>,
    troubles: Vec<Trouble>,
    reads: bool,
    requests: usize,
    changes: usize,
}

#[derive(Clone)]
struct Directory {
    port: u16,
    inner: Arc<Mutex<Inner>>,
}

/// One BER element, taken apart: its tag, its content, and what follows it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first - 0x80))?;
            (
                digits.iter().fold(0, |sum, digit| sum << 8 | usize::from(*digit)),
                rest,
            )
        }
        short => (usize::from(*short), rest),
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*tag, content, rest))
}

fn elements(mut bytes: &[u8]) -> Vec<(u8, &[u8])> {
    let mut list = Vec::new();
    while let Some((tag, content, rest)) = element(bytes) {
        list.push((tag, content));
        bytes = rest;
    }
    list
}

fn written(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap().to_be_bytes();
    [&[tag, 0x84][..], &length, content].concat()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn result(tag: u8, code: u8) -> Vec<u8> {
    let parts = [written(0x0a, &[code]), written(0x04, b""), written(0x04, b"")];
    written(tag, &parts.concat())
}

/// Whether an entry meets a filter: `and`, equality, presence.
fn meets(entry: &Attributes, tag: u8, filter: &[u8]) -> bool {
    match tag {
        0xa0 => elements(filter)
            .iter()
            .all(|(tag, inner)| meets(entry, *tag, inner)),
        0xa3 => {
            let parts = elements(filter);
            let (name, wanted) = (text(parts[0].1).to_lowercase(), text(parts[1].1));
            entry
                .get(&name)
                .is_some_and(|values| values.iter().any(|value| value.eq_ignore_ascii_case(&wanted)))
        }
        0x87 => entry.contains_key(&text(filter).to_lowercase()),
        other => panic!("the directory has no filter {other:#x}"),
    }
}

/// `<GUID=…>` names an entry as a DN does; the first three groups of the text are little-endian numbers.
fn guid(entry: &Attributes) -> String {
    let bytes = entry["objectguid"][0].as_bytes();
    let hex = |at: &[usize]| {
        at.iter()
            .map(|n| format!("{:02x}", bytes[*n]))
            .collect::<String>()
    };
    let groups = [
        hex(&[3, 2, 1, 0]),
        hex(&[5, 4]),
        hex(&[7, 6]),
        hex(&[8, 9]),
        hex(&[10, 11, 12, 13, 14, 15]),
    ];
    format!("<GUID={}>", groups.join("-"))
}

impl Inner {
    fn search(&self, parts: &[(u8, &[u8])]) -> Vec<Vec<u8>> {
        let (mut base, one) = (text(parts[0].1), parts[1].1 == [0]);
        if let Some((dn, _)) = self.entries.iter().find(|(_, entry)| guid(entry) == base) {
            base = dn.clone();
        }
        let (tag, filter) = parts[6];
        if one && !self.entries.contains_key(&base) {
            return vec![result(0x65, 32)];
        }
        let found = self.entries.iter().filter(|(dn, entry)| {
            (if one { **dn == base } else { dn.ends_with(&base) }) && meets(entry, tag, filter)
        });
        let mut answers: Vec<Vec<u8>> = found
            .map(|(dn, entry)| {
                let list: Vec<u8> = entry
                    .iter()
                    .flat_map(|(name, values)| {
                        let values: Vec<u8> = values
                            .iter()
                            .flat_map(|value| written(0x04, value.as_bytes()))
                            .collect();
                        written(
                            0x30,
                            &[written(0x04, name.as_bytes()), written(0x31, &values)].concat(),
                        )
                    })
                    .collect();
                written(
                    0x64,
                    &[written(0x04, dn.as_bytes()), written(0x30, &list)].concat(),
                )
            })
            .collect();
        answers.push(result(0x65, 0));
        answers
    }

    fn modify(&mut self, parts: &[(u8, &[u8])]) -> u8 {
        let Some(entry) = self.entries.get_mut(&text(parts[0].1)) else {
            return 32;
        };
        for (_, change) in elements(parts[1].1) {
            let change = elements(change);
            let attribute = elements(change[1].1);
            let name = text(attribute[0].1).to_lowercase();
            let values: Vec<String> = elements(attribute[1].1)
                .iter()
                .map(|(_, value)| text(value))
                .collect();
            let present = entry.entry(name).or_default();
            match change[0].1 {
                [0] if values.iter().any(|value| present.contains(value)) => return 68,
                [0] => present.extend(values),
                [1] if !values.iter().all(|value| present.contains(value)) => return 53,
                [1] => present.retain(|value| !values.contains(value)),
                [2] => *present = values,
                other => panic!("no such change: {other:?}"),
            }
        }
        self.changes += 1;
        0
    }

    /// The trouble of a request that matters.
    fn trouble(&mut self, changes: bool) -> Option<Trouble> {
        (changes != self.reads && !self.troubles.is_empty()).then(|| self.troubles.remove(0))
    }
}

impl Directory {
    async fn serve(&self, mut stream: TcpStream) -> Option<()> {
        let mut bytes = Vec::new();
        loop {
            while let Some((_, message, rest)) = element(&bytes) {
                let parts = elements(message);
                let (id, (tag, operation)) = (parts[0].1.to_vec(), parts[1]);
                let answers = self.answer(tag, &elements(operation))?;
                let taken = bytes.len() - rest.len();
                for answer in answers {
                    let message = written(0x30, &[written(0x02, &id), answer].concat());
                    stream.write_all(&message).await.ok()?;
                }
                bytes.drain(..taken);
            }
            let mut chunk = [0; 4096];
            let n = stream.read(&mut chunk).await.ok().filter(|n| *n > 0)?;
            bytes.extend_from_slice(&chunk[..n]);
        }
    }

    /// The answers, or none where the connection ends without one.
    fn answer(&self, tag: u8, parts: &[(u8, &[u8])]) -> Option<Vec<Vec<u8>>> {
        let mut inner = self.inner.lock().unwrap();
        match tag {
            0x60 => {
                let ended = inner.troubles.first() == Some(&Trouble::EndToken);
                let right = text(parts[2].1) == PASSWORD && !ended;
                Some(vec![result(0x61, if right { 0 } else { 49 })])
            }
            0x63 => {
                inner.requests += 1;
                match inner.trouble(false) {
                    Some(Trouble::TooMany) => Some(vec![result(0x65, 51)]),
                    Some(Trouble::LoseAnswer) => None,
                    _ => Some(inner.search(parts)),
                }
            }
            0x66 => {
                inner.requests += 1;
                let trouble = inner.trouble(true);
                if trouble == Some(Trouble::TooMany) {
                    return Some(vec![result(0x67, 51)]);
                }
                if trouble == Some(Trouble::Late) {
                    let (late, parts) = (
                        self.clone(),
                        parts
                            .iter()
                            .map(|(tag, part)| (*tag, part.to_vec()))
                            .collect::<Vec<_>>(),
                    );
                    tokio::spawn(async move {
                        tokio::time::sleep(Duration::from_millis(LATE_MS)).await;
                        let parts: Vec<(u8, &[u8])> =
                            parts.iter().map(|(tag, part)| (*tag, &part[..])).collect();
                        late.inner.lock().unwrap().modify(&parts);
                    });
                    return None;
                }
                let code = inner.modify(parts);
                (trouble != Some(Trouble::LoseAnswer)).then(|| vec![result(0x67, code)])
            }
            _ => None,
        }
    }
}

async fn open(reads: bool) -> Box<dyn Counterparty> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let entry = |kind: &str, name: &str, more: &[(&str, &str)]| {
        let dn = format!("CN={name},DC=corp,DC=example");
        let mut attributes = Attributes::from([
            ("objectclass".to_owned(), vec!["top".to_owned(), kind.to_owned()]),
            (
                "samaccountname".to_owned(),
                vec![name.split('/').next().unwrap().to_owned()],
            ),
            (
                "objectguid".to_owned(),
                vec![format!("{name:*<16}")[..16].to_owned()],
            ),
        ]);
        for (name, value) in more {
            attributes
                .entry((*name).to_owned())
                .or_default()
                .push((*value).to_owned());
        }
        (dn, attributes)
    };
    let entries = BTreeMap::from([
        entry("user", "svc-backup", &[("useraccountcontrol", "66048")]),
        entry("user", "svc-old", &[("useraccountcontrol", "514")]),
        entry("user", "twin/a", &[("useraccountcontrol", "512")]),
        entry("user", "twin/b", &[("useraccountcontrol", "512")]),
        entry("group", "admins", &[("member", "CN=svc-old,DC=corp,DC=example")]),
    ]);
    let directory = Directory {
        port: listener.local_addr().unwrap().port(),
        inner: Arc::new(Mutex::new(Inner {
            entries,
            troubles: Vec::new(),
            reads,
            requests: 0,
            changes: 0,
        })),
    };
    let serving = directory.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let directory = serving.clone();
            tokio::spawn(async move { directory.serve(stream).await });
        }
    });
    Box::new(directory)
}

#[async_trait]
impl Counterparty for Directory {
    fn instance(&self) -> Instance {
        let credentials = [("username", "cordon@corp.example"), ("password", PASSWORD)];
        let mut instance = instance("ldap", &format!("ldap://127.0.0.1:{}", self.port), &credentials);
        instance
            .settings
            .insert("base".to_owned(), json!("DC=corp,DC=example"));
        instance.without_tls = true;
        instance
    }

    fn trouble(&self, trouble: Trouble) {
        let times = if trouble == Trouble::TooMany {
            BUSY_TIMES
        } else {
            1
        };
        self.inner.lock().unwrap().troubles.extend(vec![trouble; times]);
    }

    fn changes(&self) -> usize {
        self.inner.lock().unwrap().changes
    }

    fn requests(&self) -> usize {
        self.inner.lock().unwrap().requests
    }

    fn state(&self) -> Value {
        json!(self.inner.lock().unwrap().entries)
    }
}

const CHANGES: Open = || Box::pin(open(false));
const READS: Open = || Box::pin(open(true));

pub fn rows() -> Vec<Row> {
    let row = |action, open, name| {
        Row::new(action, open, entity("service_account", name))
            .unknown(entity("user", "svc-nobody"))
            .ambiguous(entity("user", "twin"))
    };
    let group = || json!({ "group": "admins" });
    vec![
        row("ldap::disable_account", CHANGES, "svc-backup"),
        row("ldap::enable_account", CHANGES, "svc-old"),
        row("ldap::add_member", CHANGES, "svc-backup").options(group()),
        row("ldap::remove_member", CHANGES, "svc-old").options(group()),
        row("ldap::lookup", READS, "svc-backup"),
    ]
}
