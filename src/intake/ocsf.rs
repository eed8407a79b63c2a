//! OCSF Detection Finding (class 2004, schema 1.9; objects read in ocsf/ocsf-schema) as a finding. Roles are given
//! only where the schema says who is who: `resources` and `device` are affected; a person under `actor` acted; a
//! service account, key or workload under `actor` is affected, because it has no will of its own and whoever holds
//! it acted; everything in `evidences` and `observables` is otherwise only observed.

use serde_json::{Map, Value};

use super::draft::{self, clean};
use super::entities::Entities;
use super::instant;
use super::unreadable::Unreadable;
use crate::clock::Time;
use crate::digest::Digest;
use crate::finding::{Activity, Attack, EntityType, Finding, Role, Rule, SeverityId, is_placeholder};
use crate::limits::ALERT_TEXT_CHARS_MAX;

const DETECTION_FINDING: i64 = 2004;

/// The finding of one OCSF event.
pub(super) fn finding(source: &str, event: &Value, received: Time) -> Result<Finding, Unreadable> {
    class(event)?;
    let info = event.get("finding_info").filter(|info| info.is_object());
    let info = info.ok_or_else(|| Unreadable::because("an OCSF detection finding without `finding_info`"))?;
    let title = match text(info, "title") {
        title if is_placeholder(&title) => text(event, "message"),
        title => title,
    };
    if is_placeholder(&title) {
        return Err(Unreadable::because(
            "an OCSF detection finding without `finding_info.title` and `message`",
        ));
    }
    let uid = match info.get("uid").and_then(Value::as_str).map(str::trim) {
        Some(uid) if is_placeholder(uid) => Digest::of_json(event).to_string(),
        Some(uid) if uid.chars().count() > ALERT_TEXT_CHARS_MAX || uid.chars().any(char::is_control) => {
            Digest::of(uid.as_bytes()).to_string()
        }
        Some(uid) => uid.to_owned(),
        None => Digest::of_json(event).to_string(),
    };
    let message = match text(event, "message") {
        message if message.is_empty() => text(info, "desc"),
        message => message,
    };
    let analytic = info.get("analytic").unwrap_or(&Value::Null);
    let name = text(analytic, "name");
    let rule_uid = text(analytic, "uid");
    let (entities, entities_left_out) = entities(event).finish();
    Ok(Finding {
        id: Finding::id_for(source, &uid),
        source: source.to_owned(),
        uid,
        title,
        message,
        severity_id: severity(event),
        severity: text(event, "severity"),
        activity: activity(event),
        time: event
            .get("time")
            .and_then(instant::milliseconds)
            .or_else(|| event.get("time").and_then(instant::read))
            .unwrap_or(received),
        rule: Rule {
            uid: if is_placeholder(&rule_uid) {
                name.clone()
            } else {
                rule_uid
            },
            name,
        },
        product: event
            .pointer("/metadata/product/name")
            .and_then(Value::as_str)
            .map(clean)
            .unwrap_or_default(),
        attack: attacks(event, info),
        url: link(info),
        entities,
        entities_left_out,
        raw: event.clone(),
    })
}

fn class(event: &Value) -> Result<(), Unreadable> {
    match number(event, "class_uid") {
        Some(DETECTION_FINDING) => Ok(()),
        Some(2003) => Err(Unreadable::because(
            "OCSF class 2003 is a compliance finding, which starts nothing",
        )),
        Some(other) => Err(Unreadable::because(format!(
            "OCSF class {other} is not a detection finding (2004)"
        ))),
        None => Err(Unreadable::because("an OCSF event without a `class_uid` number")),
    }
}

fn number(value: &Value, name: &str) -> Option<i64> {
    value.get(name).and_then(Value::as_i64)
}

fn text(value: &Value, name: &str) -> String {
    value
        .get(name)
        .and_then(Value::as_str)
        .map(clean)
        .unwrap_or_default()
}

/// Only an event that says it is new is new. Whatever its activity, a finding that was resolved, suppressed,
/// archived, deleted, or judged false or benign, is over.
fn activity(event: &Value) -> Activity {
    let over = matches!(number(event, "status_id"), Some(3..=6))
        || matches!(number(event, "verdict_id"), Some(1 | 5));
    let id = number(event, "activity_id")
        .or_else(|| number(event, "type_uid").map(|uid| uid - DETECTION_FINDING * 100));
    match id {
        _ if over => Activity::Close,
        Some(1) => Activity::Create,
        Some(3) => Activity::Close,
        _ => Activity::Update,
    }
}

fn severity(event: &Value) -> SeverityId {
    match number(event, "severity_id") {
        Some(n @ 0..=6) => SeverityId(u8::try_from(n).unwrap_or(0)),
        Some(_) => SeverityId(99),
        None => SeverityId::from_word(&text(event, "severity")),
    }
}

fn attacks(event: &Value, info: &Value) -> Vec<Attack> {
    let lists = [info.get("attacks"), event.get("attacks")];
    let mut found: Vec<Attack> = Vec::new();
    for one in lists
        .into_iter()
        .flatten()
        .filter_map(Value::as_array)
        .flatten()
        .take(50)
    {
        let pick = |names: &[&str]| {
            let at = |name: &&str| one.pointer(name).and_then(Value::as_str).map(clean);
            names
                .iter()
                .find_map(|name| at(name).filter(|text| !is_placeholder(text)))
                .unwrap_or_default()
        };
        let technique = pick(&["/sub_technique/uid", "/technique/uid", "/technique/name"]);
        let tactic = pick(&["/tactic/uid", "/tactic/name", "/tactics/0/uid", "/tactics/0/name"]);
        let technique = if technique.is_empty() {
            technique
        } else {
            draft::reference(&technique).technique
        };
        let attack = Attack { technique, tactic };
        if attack != Attack::default() && !found.contains(&attack) {
            found.push(attack);
        }
    }
    found
}

fn link(info: &Value) -> String {
    let link = text(info, "src_url");
    match url::Url::parse(&link) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => link,
        _ => String::new(),
    }
}

fn entities(event: &Value) -> Entities {
    let mut found = Entities::default();
    let evidences = list(event, "evidences");
    if let Some(device) = event.get("device") {
        host(&mut found, device, Role::Affected);
    }
    for resource in list(event, "resources") {
        resource_of(&mut found, resource);
    }
    if let Some(actor) = event.get("actor") {
        actor_of(&mut found, actor, Role::Actor);
    }
    if let Some(user) = event.get("user") {
        user_of(&mut found, user, Role::Affected);
    }
    // One device in all evidence is where it happened; of several, the schema does not say which.
    let device_role = if event.get("device").is_none() && names_one_device(evidences) {
        Role::Affected
    } else {
        Role::Observed
    };
    for evidence in evidences {
        // What the sender itself judged false, benign or a test incriminates nobody.
        let cleared = matches!(number(evidence, "verdict_id"), Some(1 | 3 | 5 | 6));
        let role = |role: Role| if cleared { Role::Observed } else { role };
        if let Some(device) = evidence.get("device") {
            host(&mut found, device, role(device_role));
        }
        if let Some(actor) = evidence.get("actor") {
            actor_of(&mut found, actor, role(Role::Actor));
        }
        if let Some(user) = evidence.get("user") {
            user_of(&mut found, user, Role::Observed);
        }
        if let Some(source) = evidence.get("src_endpoint") {
            endpoint(&mut found, source, role(Role::Actor));
        }
        if let Some(destination) = evidence.get("dst_endpoint") {
            endpoint(&mut found, destination, Role::Observed);
        }
        artefacts(&mut found, evidence);
    }
    observables(&mut found, list(event, "observables"));
    found
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value
        .get(name)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

fn names_one_device(evidences: &[Value]) -> bool {
    let name = |device: &Value| first(device, &["uid", "hostname", "name"]).map(str::to_lowercase);
    let mut names: Vec<String> = evidences
        .iter()
        .filter_map(|evidence| evidence.get("device"))
        .filter_map(name)
        .collect();
    names.sort();
    names.dedup();
    names.len() == 1
}

/// The first of these members that is a real text.
fn first<'a>(value: &'a Value, names: &[&str]) -> Option<&'a str> {
    let real = |name: &&str| {
        value
            .get(name)
            .and_then(Value::as_str)
            .filter(|text| !is_placeholder(text))
    };
    names.iter().find_map(real)
}

fn host(found: &mut Entities, device: &Value, role: Role) {
    let uid = first(device, &["uid", "instance_uid"]);
    match first(device, &["hostname", "name"]).or(uid) {
        Some(name) => found.add(EntityType::Host, role, name, uid),
        None if device.is_object() => found.leave_out(),
        None => {}
    }
    if let Some(ip) = first(device, &["ip"]) {
        found.add(EntityType::Ip, Role::Observed, ip, None);
    }
}

fn endpoint(found: &mut Entities, endpoint: &Value, role: Role) {
    if let Some(ip) = first(endpoint, &["ip"]) {
        found.add(EntityType::Ip, role, ip, None);
    }
    if let Some(name) = first(endpoint, &["hostname", "name"]) {
        found.add(
            EntityType::Host,
            Role::Observed,
            name,
            first(endpoint, &["uid", "instance_uid"]),
        );
    }
    if let Some(domain) = first(endpoint, &["domain"]) {
        found.add(EntityType::Domain, Role::Observed, domain, None);
    }
}

/// The role of a thing without a will of its own that stands where an actor does.
fn in_foreign_hands(role: Role) -> Role {
    match role {
        Role::Actor => Role::Affected,
        other => other,
    }
}

fn actor_of(found: &mut Entities, actor: &Value, role: Role) {
    if let Some(user) = actor.get("user") {
        user_of(found, user, role);
    }
    if let Some(session) = actor.get("session").and_then(|session| first(session, &["uid"])) {
        found.add(EntityType::Session, in_foreign_hands(role), session, None);
    }
    if let Some(app) = first(actor, &["app_name"]) {
        found.add(EntityType::App, Role::Observed, app, first(actor, &["app_uid"]));
    }
    if let Some(process) = actor.get("process") {
        process_of(found, process);
    }
}

/// A user, and the key it used. `type_id` 4 is a service account (dictionary of schema 1.9: 1 user, 2 admin,
/// 3 system, 4 service).
fn user_of(found: &mut Entities, user: &Value, role: Role) {
    let service = number(user, "type_id") == Some(4);
    let (kind, role) = if service {
        (EntityType::ServiceAccount, in_foreign_hands(role))
    } else {
        (EntityType::User, role)
    };
    let uid = first(user, &["uid", "uid_alt"]);
    let mut attributes = Map::new();
    for name in ["domain", "email_addr", "type"] {
        if let Some(value) = first(user, &[name]) {
            attributes.insert(name.to_owned(), Value::from(clean(value)));
        }
    }
    match first(user, &["name", "email_addr"]).or(uid) {
        Some(name) => found.add_with(kind, role, name, uid, attributes, []),
        None if user.is_object() => found.leave_out(),
        None => {}
    }
    let keys = list(user, "programmatic_credentials")
        .iter()
        .filter_map(|key| first(key, &["uid"]));
    for key in first(user, &["credential_uid"]).into_iter().chain(keys) {
        found.add(EntityType::AccessKey, in_foreign_hands(role), key, None);
    }
}

/// A resource. `role_id` (1 target, 2 actor, 3 affected, 4 related) can only take weight away from it.
fn resource_of(found: &mut Entities, resource: &Value) {
    let kind = match first(resource, &["type"])
        .unwrap_or("")
        .to_ascii_lowercase()
        .replace([':', '_', ' ', '-'], "")
        .as_str()
    {
        "awsiamaccesskey" | "accesskey" => EntityType::AccessKey,
        "serviceaccount" | "iamserviceaccount" | "gcpserviceaccount" => EntityType::ServiceAccount,
        "awsiamuser" | "user" | "iamuser" => EntityType::User,
        "awsec2instance" | "instance" | "host" | "virtualmachine" => EntityType::Host,
        "container" | "pod" | "awslambdafunction" | "function" | "job" => EntityType::Workload,
        "repository" => EntityType::Repository,
        "application" | "oauthapp" | "serviceprincipal" => EntityType::App,
        _ => EntityType::Resource,
    };
    let role = match number(resource, "role_id") {
        Some(2) => in_foreign_hands_of(kind),
        Some(4) => Role::Observed,
        _ => Role::Affected,
    };
    let uid = first(resource, &["uid"]);
    match first(resource, &["name"]).or(uid) {
        Some(name) => found.add(kind, role, name, uid),
        None => found.leave_out(),
    }
}

fn in_foreign_hands_of(kind: EntityType) -> Role {
    match kind {
        EntityType::ServiceAccount | EntityType::AccessKey | EntityType::Workload => Role::Affected,
        _ => Role::Actor,
    }
}

fn process_of(found: &mut Entities, process: &Value) {
    let pid = number(process, "pid").map(|pid| pid.to_string());
    let uid = first(process, &["uid"]).map(str::to_owned).or(pid);
    if let Some(name) = first(process, &["name"]).or_else(|| {
        process
            .get("file")
            .and_then(|file| first(file, &["path", "name"]))
    }) {
        found.add(EntityType::Process, Role::Observed, name, uid.as_deref());
    }
    if let Some(file) = process.get("file") {
        file_of(found, file);
    }
}

fn file_of(found: &mut Entities, file: &Value) {
    // SHA-256 before others: `algorithm_id` 3 of the fingerprint object.
    let hash = list(file, "hashes")
        .iter()
        .find(|hash| number(hash, "algorithm_id") == Some(3))
        .and_then(|hash| first(hash, &["value"]));
    if let Some(name) = first(file, &["path", "name"]).or(hash) {
        found.add(EntityType::File, Role::Observed, name, hash);
    }
}

fn artefacts(found: &mut Entities, evidence: &Value) {
    if let Some(process) = evidence.get("process") {
        process_of(found, process);
    }
    if let Some(file) = evidence.get("file") {
        file_of(found, file);
    }
    let named = [
        ("url", &["url_string"][..], EntityType::Url),
        ("email", &["message_uid", "uid", "from"][..], EntityType::Email),
        ("container", &["name", "uid"][..], EntityType::Workload),
        ("job", &["name"][..], EntityType::Workload),
        ("query", &["hostname"][..], EntityType::Domain),
    ];
    for (name, members, kind) in named {
        if let Some(value) = evidence.get(name).and_then(|object| first(object, members)) {
            found.add(kind, Role::Observed, value, None);
        }
    }
    for resource in list(evidence, "resources") {
        if let Some(name) = first(resource, &["name", "uid"]) {
            found.add(
                EntityType::Resource,
                Role::Observed,
                name,
                first(resource, &["uid"]),
            );
        }
    }
}

/// The flat index of values, for what nothing above named. Types of the dictionary of schema 1.9.
fn observables(found: &mut Entities, observables: &[Value]) {
    for observable in observables {
        let kind = match number(observable, "type_id") {
            Some(1) => EntityType::Host,
            Some(2) => EntityType::Ip,
            Some(4) => EntityType::User,
            Some(5) => EntityType::Email,
            Some(6) => EntityType::Url,
            Some(7 | 8 | 45) => EntityType::File,
            Some(9) => EntityType::Process,
            Some(10) => EntityType::Resource,
            Some(19) => EntityType::AccessKey,
            _ => continue,
        };
        if let Some(value) = first(observable, &["value"]).filter(|value| !found.has(kind, value)) {
            found.add(kind, Role::Observed, value, None);
        }
    }
}
