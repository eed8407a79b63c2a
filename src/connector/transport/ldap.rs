//! LDAP: one connection for one operation, bound with the instance's name and password, over TLS from the first
//! byte (`ldaps`) or from `StartTLS` on (`ldap`). What breaks before a change is written is *not done*; what breaks
//! after it is *unknown*.

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use base64::Engine as _;
use futures_util::FutureExt;
use ldap3::{Ldap, LdapConnAsync, LdapConnSettings, LdapResult, SearchEntry, SearchOptions, StdStream};
use serde_json::{Value, json};
use url::Url;

use super::super::auth;
use super::super::auth_spec::AuthSpec;
use super::super::client::{Broken, shown};
use super::super::dial::unreachable;
use super::super::egress::is_loopback;
use super::super::settle::{Change, Stop};
use super::super::wire::Wire;
use super::attempt::{Attempt, never};
use super::ldap_call::Call;
use super::scrub::scrubbed;
use super::wired;
use crate::action::{Fault, Request, Retry};
use crate::limits::{LDAP_ENTRIES_MAX, VENDOR_BODY_BYTES_MAX, VENDOR_CONNECT_MS};
use crate::script::Asked;

/// How far an operation got, so that what breaks is judged rightly.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reached {
    /// The operation was not written.
    Before,
    /// It was, perhaps.
    Sent,
}

impl Attempt<'_> {
    pub(super) async fn ldap(&mut self, asked: &Asked) -> Result<Value, Stop> {
        let call = Call::read(self, asked)?;
        let changes = matches!(call, Call::Modify { .. });
        self.admit(!changes, call.word())?;
        let url = self
            .egress
            .server()
            .map_err(|refused| never(Fault::new("egress-refused", refused.0)))?
            .clone();
        let mut line = Request {
            method: call.word().to_owned(),
            url: shown(&url),
            peer: None,
            status: None,
            error: None,
            duration_ms: 0,
        };
        let started = Instant::now();
        let mut reached = Reached::Before;
        let wait = Duration::from_millis(self.timeout_ms());
        let speaking = self.speak(&url, call, &mut line, &mut reached);
        // The client library gives up by a panic on an answer that is no LDAP.
        let spoken = tokio::time::timeout(wait, AssertUnwindSafe(speaking).catch_unwind()).await;
        let answer = match spoken {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(Failed::Broke(lost("the server's answer cannot be read"))),
            Err(_) => Err(Failed::Broke(Broken {
                code: "timeout",
                message: "no answer in time".into(),
            })),
        };
        line.duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        if let Err(Failed::Broke(broken)) = &answer {
            line.error = Some(broken.message.clone());
        }
        self.requests.push(line);
        match answer {
            Ok(answer) => self.answered(answer, changes),
            Err(Failed::Stop(stop)) => Err(stop),
            Err(Failed::Broke(broken)) if changes && reached == Reached::Sent => {
                Err(Stop::Unknown(self.fault(broken.code, &broken.message)))
            }
            Err(Failed::Broke(broken)) => Err(self.not_sent(&broken)),
        }
    }

    /// Connects, binds, and does it.
    async fn speak(
        &self,
        url: &Url,
        call: Call,
        line: &mut Request,
        reached: &mut Reached,
    ) -> Result<Answer, Failed> {
        if let Some(wire) = self.invoker.client.wire() {
            return over(wire, url, &call, reached);
        }
        let tls = url.scheme() == "ldaps";
        let plain = !tls && self.bound.instance.without_tls && is_loopback(url);
        let port = url.port().unwrap_or(if tls { 636 } else { 389 });
        let stream = self
            .invoker
            .dialer
            .connect(url, port)
            .await
            .map_err(Failed::Broke)?;
        line.peer = stream.peer_addr().ok().map(|peer| peer.to_string());
        let stream = stream
            .into_std()
            .map_err(|error| Failed::Broke(unreachable(error.to_string())))?;
        let config = self
            .invoker
            .dialer
            .tls(self.bound.instance.ca.as_ref())
            .map_err(Failed::Broke)?;
        let settings = LdapConnSettings::new()
            .set_std_stream(StdStream::Tcp(stream))
            .set_config(config)
            .set_starttls(!tls && !plain);
        // A server that ends the connection instead of starting TLS is not noticed by the library.
        let wait = Duration::from_millis(VENDOR_CONNECT_MS.min(self.timeout_ms() / 2));
        let secured = tokio::time::timeout(wait, LdapConnAsync::with_settings(settings, url.as_str())).await;
        let (connection, mut ldap) = match secured {
            Ok(Ok(pair)) => pair,
            Ok(Err(error)) => {
                return Err(Failed::Broke(unreachable(format!(
                    "no TLS with the server: {error}"
                ))));
            }
            Err(_) => {
                return Err(Failed::Broke(unreachable(
                    "the server starts no TLS in time".into(),
                )));
            }
        };
        let work = async {
            self.bind(&mut ldap).await?;
            let answer = operate(&mut ldap, call, reached).await;
            // A courtesy to the server: whatever comes of it, the answer is here.
            let _ = ldap.unbind().await;
            answer
        };
        // The connection moves bytes for the work; when it ends first, it broke.
        tokio::select! {
            biased;
            answer = work => answer,
            ended = connection.drive() => {
                let why = ended.err().map_or(String::new(), |error| format!(": {error}"));
                Err(Failed::Broke(lost(&format!("the connection broke before the answer was complete{why}"))))
            }
        }
        .inspect(|answer| line.status = u16::try_from(answer.code()).ok())
    }

    async fn bind(&self, ldap: &mut Ldap) -> Result<(), Failed> {
        if self.bound.connector.manifest.auth == AuthSpec::None {
            return Ok(());
        }
        let instance = &self.bound.instance;
        let user = auth::credential(instance, "username").map_err(|fault| Failed::Stop(never(fault)))?;
        let word = auth::credential(instance, "password").map_err(|fault| Failed::Stop(never(fault)))?;
        let bound = ldap
            .simple_bind(user.expose(), word.expose())
            .await
            .map_err(|error| Failed::Broke(lost(&format!("the connection broke while binding: {error}"))))?;
        match bound.rc {
            0 => Ok(()),
            49 => {
                let why = reason(&bound.text).map_or(String::new(), |why| format!(": {why}"));
                let message = format!("the server does not accept our credentials{why}");
                Err(Failed::Stop(never(self.fault("credentials", &message))))
            }
            8 | 13 => {
                let message = "the server takes no password without TLS: remove `tls` of the instance";
                Err(Failed::Stop(never(self.fault("tls-required", message))))
            }
            51 | 52 => Err(Failed::Stop(self.busy(&bound))),
            _ => {
                let message = format!("the server refuses to bind: {}", named(bound.rc));
                Err(Failed::Stop(never(self.fault("refused", &message))))
            }
        }
    }

    fn busy(&self, result: &LdapResult) -> Stop {
        let message = format!("the server is {}", named(result.rc));
        Stop::NotDone(self.fault("vendor-busy", &message), Retry::Backoff)
    }

    /// What every connector would say of a code is said here; the rest is for the script.
    fn answered(&mut self, answer: Answer, changes: bool) -> Result<Value, Stop> {
        let result = match &answer {
            Answer::Found(_, result) | Answer::Modified(result) => result.clone(),
        };
        match result.rc {
            50 => return Err(self.no_permission()),
            51 | 52 => return Err(self.busy(&result)),
            3 | 4 | 11 if !changes => {
                let message = format!("the search was cut off: {}", named(result.rc));
                return Err(never(self.fault("too-large", &message)));
            }
            _ => {}
        }
        if changes {
            self.change = match u16::try_from(result.rc) {
                Ok(0) => Change::Accepted,
                Ok(code) => Change::Refused(code),
                Err(_) => Change::Refused(u16::MAX),
            };
        }
        let secrets = self.secrets();
        let mut value = json!({
            "code": result.rc,
            "name": named(result.rc),
            "message": scrubbed(result.text.trim_end_matches('\0').trim().to_owned(), &secrets),
        });
        if let (Answer::Found(entries, _), Some(members)) = (answer, value.as_object_mut()) {
            let text = Value::Array(entries).to_string();
            if text.len() > VENDOR_BODY_BYTES_MAX {
                let message = format!("the answer is longer than {VENDOR_BODY_BYTES_MAX} bytes");
                return Err(never(self.fault("too-large", &message)));
            }
            let entries = serde_json::from_str(&scrubbed(text, &secrets)).unwrap_or_default();
            members.insert("entries".into(), entries);
        }
        Ok(value)
    }
}

/// The same operation over a wire in place of the network.
fn over(wire: &dyn Wire, url: &Url, call: &Call, reached: &mut Reached) -> Result<Answer, Failed> {
    let mut told = wired::ldap(wire, url, call).map_err(|nothing| match nothing {
        wired::Nothing::Refused => Failed::Broke(unreachable("the host cannot be connected to".into())),
        wired::Nothing::Lost => {
            *reached = Reached::Sent;
            Failed::Broke(lost("the connection broke before the answer was complete"))
        }
    })?;
    let result = wired::result(&told);
    Ok(match call {
        Call::Modify { .. } => Answer::Modified(result),
        Call::Search { .. } => match told.rest.remove("entries") {
            Some(Value::Array(entries)) => {
                let entries = entries.into_iter().map(with_lower_names).collect();
                Answer::Found(entries, result)
            }
            _ => Answer::Found(Vec::new(), result),
        },
    })
}

/// Names of attributes as the network's own entries have them, however a case writes them.
fn with_lower_names(mut entry: Value) -> Value {
    if let Some(Value::Object(attributes)) = entry.get_mut("attributes") {
        let lower = std::mem::take(attributes).into_iter();
        *attributes = lower
            .map(|(name, values)| (name.to_lowercase(), values))
            .collect();
    }
    entry
}

enum Failed {
    /// There is no answer.
    Broke(Broken),
    /// There is, and it ends the attempt.
    Stop(Stop),
}

enum Answer {
    Found(Vec<Value>, LdapResult),
    Modified(LdapResult),
}

impl Answer {
    fn code(&self) -> u32 {
        match self {
            Answer::Found(_, result) | Answer::Modified(result) => result.rc,
        }
    }
}

fn lost(message: &str) -> Broken {
    Broken {
        code: "connection-lost",
        message: message.to_owned(),
    }
}

async fn operate(ldap: &mut Ldap, call: Call, reached: &mut Reached) -> Result<Answer, Failed> {
    let broke = |error: ldap3::LdapError| Failed::Broke(lost(&format!("the connection broke: {error}")));
    match call {
        Call::Search {
            base,
            scope,
            filter,
            attributes,
        } => {
            let most = i32::try_from(LDAP_ENTRIES_MAX).unwrap_or(i32::MAX);
            ldap.with_search_options(SearchOptions::new().sizelimit(most));
            let mut stream = ldap
                .streaming_search(&base, scope, &filter, attributes)
                .await
                .map_err(broke)?;
            let mut entries = Vec::new();
            while let Some(entry) = stream.next().await.map_err(broke)? {
                // Referrals to other servers come as entries too; nobody follows them.
                if entry.is_ref() || entry.is_intermediate() {
                    continue;
                }
                if entries.len() >= LDAP_ENTRIES_MAX {
                    return Err(Failed::Broke(lost(
                        "the server answers with more entries than asked for",
                    )));
                }
                entries.push(entry_value(SearchEntry::construct(entry)));
            }
            Ok(Answer::Found(entries, stream.finish().await))
        }
        Call::Modify { dn, changes } => {
            crate::crash::point("vendor.before-request");
            *reached = Reached::Sent;
            let result = ldap.modify(&dn, changes).await.map_err(broke)?;
            crate::crash::point("vendor.after-request");
            Ok(Answer::Modified(result))
        }
    }
}

/// An entry as scripts read it: names in lower case, values as texts. An `objectGUID` is written as people write
/// one; other values that are no text are in base64.
fn entry_value(entry: SearchEntry) -> Value {
    let mut attributes = serde_json::Map::new();
    let mut values: Vec<(String, Vec<Vec<u8>>)> = Vec::new();
    for (name, texts) in entry.attrs {
        values.push((name, texts.into_iter().map(String::into_bytes).collect()));
    }
    values.extend(entry.bin_attrs);
    for (name, list) in values {
        let name = name.to_lowercase();
        let texts = list
            .into_iter()
            .map(|bytes| Value::String(value_text(&name, bytes)));
        let known = attributes.entry(name.clone()).or_insert_with(|| json!([]));
        if let Some(known) = known.as_array_mut() {
            known.extend(texts);
        }
    }
    json!({ "dn": entry.dn, "attributes": attributes })
}

fn value_text(name: &str, bytes: Vec<u8>) -> String {
    if name == "objectguid"
        && let Some(guid) = guid_text(&bytes)
    {
        return guid;
    }
    String::from_utf8(bytes)
        .unwrap_or_else(|error| base64::engine::general_purpose::STANDARD.encode(error.as_bytes()))
}

/// The first three groups stand in the order of little-endian numbers (MS-DTYP §2.3.4.2).
fn guid_text(bytes: &[u8]) -> Option<String> {
    let [a, b, c, d, e, f, g, h, rest @ ..] = bytes else {
        return None;
    };
    let [i, j, k, l, m, n, o, p] = rest else {
        return None;
    };
    Some(format!(
        "{d:02x}{c:02x}{b:02x}{a:02x}-{f:02x}{e:02x}-{h:02x}{g:02x}-{i:02x}{j:02x}-{k:02x}{l:02x}{m:02x}{n:02x}{o:02x}{p:02x}"
    ))
}

/// What Active Directory says of a bind it refuses: `data 533` and the like (MS-ERREF, Win32 codes).
fn reason(text: &str) -> Option<&'static str> {
    let code = text.split("data ").nth(1)?;
    match code.split([',', ' ', '\0']).next()? {
        "525" => Some("it knows no such account"),
        "52e" => Some("the password is wrong"),
        "530" => Some("the account may not log in at this time"),
        "531" => Some("the account may not log in from here"),
        "532" => Some("the password has expired"),
        "533" => Some("the account is disabled"),
        "701" => Some("the account has expired"),
        "773" => Some("the password has to be changed first"),
        "775" => Some("the account is locked"),
        _ => None,
    }
}

/// The name of a result code (RFC 4511 §4.1.9).
fn named(code: u32) -> &'static str {
    match code {
        0 => "success",
        1 => "operationsError",
        2 => "protocolError",
        3 => "timeLimitExceeded",
        4 => "sizeLimitExceeded",
        8 => "strongerAuthRequired",
        10 => "referral",
        11 => "adminLimitExceeded",
        13 => "confidentialityRequired",
        16 => "noSuchAttribute",
        17 => "undefinedAttributeType",
        19 => "constraintViolation",
        20 => "attributeOrValueExists",
        21 => "invalidAttributeSyntax",
        32 => "noSuchObject",
        34 => "invalidDNSyntax",
        48 => "inappropriateAuthentication",
        49 => "invalidCredentials",
        50 => "insufficientAccessRights",
        51 => "busy",
        52 => "unavailable",
        53 => "unwillingToPerform",
        64 => "namingViolation",
        65 => "objectClassViolation",
        68 => "entryAlreadyExists",
        80 => "other",
        _ => "unknown",
    }
}

#[cfg(test)]
#[path = "ldap_tests.rs"]
mod tests;
