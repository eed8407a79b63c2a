//! The file, table by table. Judges what can be judged from the file alone.

use std::net::SocketAddr;
use std::path::Path;

use super::{Config, identity, instance, policy, source, store};
use crate::diagnostic::nearest;
use crate::finding::EntityType;
use crate::page::{Page, Placed, Table};

pub(super) fn config(page: &mut Page<'_>, mut root: Table<'_, '_>, dir: &Path) -> Config {
    let mut config = Config {
        file: page.file.to_owned(),
        text: page.text.to_owned(),
        ..Config::empty(dir)
    };
    if let Some(mut server) = root.table(page, "server") {
        if let Some(listen) = server.text(page, "listen") {
            match listen.value.parse::<SocketAddr>() {
                Ok(address) => config.listen = address,
                Err(_) => page.mistake(
                    "K004",
                    listen.span,
                    format!("`{}` is not an address to listen on", listen.value),
                    "write address and port, such as `127.0.0.1:8765`",
                ),
            }
        }
        if let Some(url) = server.text(page, "public_url") {
            config.public_url = public_url(page, url);
        }
        server.finish(page);
    }
    if let Some(table) = root.table(page, "store") {
        let (url, settings) = store::read(page, table, dir);
        config.store = url.unwrap_or(config.store);
        config.store_settings = settings;
    }
    if let Some(table) = root.table(page, "retention") {
        config.retention = super::retention::read(page, table);
    }
    if let Some(mut content) = root.table(page, "content") {
        config.playbooks = content
            .text(page, "playbooks")
            .map(|folder| dir.join(folder.value));
        config.connectors = content
            .text(page, "connectors")
            .map(|folder| dir.join(folder.value));
        config.author = policy::author(page, &mut content);
        content.finish(page);
    }
    for table in root.list(page, "source") {
        if let Some(draft) = source::read(page, table, dir) {
            twice(
                page,
                config.sources.iter().map(|known| &known.name),
                &draft.name,
                "source",
            );
            config.sources.push(draft);
        }
    }
    for (name, table) in root.named(page, "connectors") {
        if let Some(draft) = instance::read(page, name, table, dir) {
            config.instances.push(draft);
        }
    }
    if let Some(bind) = root.table(page, "bind") {
        config.bind = bind.every_text(page);
    }
    for (name, table) in root.named(page, "identities") {
        if let Some(draft) = identity::read(page, name, table) {
            config.identities.push(draft);
        }
    }
    let groups = root
        .table(page, "groups")
        .map(|table| policy::groups(page, table));
    if let Some(table) = root.table(page, "policy") {
        let (policy, actions) = policy::read(page, table, groups.clone().unwrap_or_default());
        config.policy = policy;
        config.approval_actions = actions;
    }
    config.policy.groups = groups.unwrap_or_default();
    if let Some(table) = root.table(page, "notify") {
        config.notify = super::notify::read(page, table);
    }
    if let Some(mut log) = root.table(page, "log") {
        config.log_json = log.is_set(page, "json");
        log.finish(page);
    }
    root.finish(page);
    config
}

/// Where people reach the server: without a `/` at its end, a query or a user's name.
fn public_url(page: &mut Page<'_>, text: Placed<String>) -> Option<String> {
    let fits = |url: &url::Url| {
        matches!(url.scheme(), "https" | "http")
            && url.host_str().is_some()
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
    };
    match url::Url::parse(&text.value) {
        Ok(url) if fits(&url) => Some(url.as_str().trim_end_matches('/').to_owned()),
        _ => {
            page.mistake(
                "K026",
                text.span,
                format!("`{}` is not an address that people can open", text.value),
                "write scheme and host, such as `https://cordon.example.com`",
            );
            None
        }
    }
}

fn twice<'a>(
    page: &mut Page<'_>,
    mut known: impl Iterator<Item = &'a Placed<String>>,
    name: &Placed<String>,
    what: &str,
) {
    if known.any(|known| known.value == name.value) {
        page.mistake(
            "K010",
            name.span.clone(),
            format!("two of the name `{}`", name.value),
            format!("give each {what} a name of its own"),
        );
    }
}

pub(super) fn entity_type(page: &mut Page<'_>, word: &Placed<String>) -> Option<EntityType> {
    let kind = EntityType::from_word(&word.value);
    if kind.is_none() {
        let help = match nearest(&word.value, EntityType::ALL.iter().map(|kind| kind.word())) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!(
                "types are {}",
                crate::page::listed(&EntityType::ALL.map(EntityType::word))
            ),
        };
        page.mistake(
            "K004",
            word.span.clone(),
            format!("`{}` is no type of entity", word.value),
            help,
        );
    }
    kind
}

/// True for what can stand in an address and in a journal: letters, digits, `-`, `_`.
pub(super) fn is_name(text: &str) -> bool {
    text.len() <= 64
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_'))
}
