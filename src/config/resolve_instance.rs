//! One instance held against its connector's manifest: the credentials, settings, hosts and server that it asks
//! for, and no others.

use std::collections::BTreeMap;

use super::InstanceDraft;
use super::resolve::Work;
use crate::connector::{Ca, Connector, Instance, Manifest, SettingSpec, Settings, Transport, is_loopback};
use crate::diagnostic::nearest;
use crate::page::listed;
use crate::secret::Secret;

impl Work<'_> {
    pub(super) fn instance(&mut self, draft: &InstanceDraft) -> Option<Instance> {
        let connector = self.connector(&draft.connector)?;
        let credentials = self.credentials(draft, &connector);
        let settings = self.settings(draft, &connector.manifest);
        self.server(draft, connector.manifest.transport);
        self.hosts(draft, &connector.manifest);
        let ca = self.ca(draft);
        Some(Instance {
            name: draft.name.value.clone(),
            connector: draft.connector.value.clone(),
            base_url: draft.base_url.as_ref().map(|url| url.value.clone()),
            credentials,
            settings,
            hosts: draft.hosts.iter().map(|host| host.value.clone()).collect(),
            ca,
            without_tls: draft.without_tls.is_some(),
            when: draft.when.clone(),
            overrides: draft.overrides.clone(),
        })
    }

    fn credentials(&mut self, draft: &InstanceDraft, connector: &Connector) -> BTreeMap<String, Secret> {
        let auth = &connector.manifest.auth;
        let needed = auth.credentials();
        let mut known = needed.to_vec();
        known.extend(auth.optional_credentials());
        for name in needed {
            if !draft.credentials.iter().any(|(given, _)| given.value == *name) {
                self.mistake(
                    "K014",
                    &draft.name.span,
                    format!("`{}` has no credential `{name}`", draft.name.value),
                    format!("add `credentials = {{ {name} = \"env:…\" }}`"),
                );
            }
        }
        let mut credentials = BTreeMap::new();
        for (name, reference) in &draft.credentials {
            if !known.contains(&name.value.as_str()) {
                let help = match nearest(&name.value, known.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None if known.is_empty() => "it takes none: remove it".to_owned(),
                    None => format!("it takes {}", listed(&known)),
                };
                let message = format!("`{}` takes no credential `{}`", draft.connector.value, name.value);
                self.mistake("K014", &name.span, message, help);
                continue;
            }
            if let Some(secret) = self.secret(reference) {
                credentials.insert(name.value.clone(), secret);
            }
        }
        credentials
    }

    fn settings(&mut self, draft: &InstanceDraft, manifest: &Manifest) -> Settings {
        let mut settings = Settings::new();
        for (name, value) in &draft.settings {
            if !manifest.settings.contains_key(&name.value) {
                let known: Vec<&str> = manifest.settings.keys().map(String::as_str).collect();
                let help = match nearest(&name.value, known.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None if known.is_empty() => "it takes none: remove it".to_owned(),
                    None => format!("it takes {}", listed(&known)),
                };
                let message = format!("`{}` takes no setting `{}`", manifest.name, name.value);
                self.mistake("K016", &name.span, message, help);
                continue;
            }
            settings.insert(name.value.clone(), value.value.clone());
        }
        for (name, spec) in &manifest.settings {
            if *spec == SettingSpec::Required && !settings.contains_key(name) {
                self.mistake(
                    "K016",
                    &draft.name.span,
                    format!("`{}` has no setting `{name}`", draft.name.value),
                    format!("add `settings = {{ {name} = … }}`; the connector's README says what it means"),
                );
            }
        }
        // Only what was given can be wrong here: defaults are the manifest's.
        let given = serde_json::to_value(&settings).unwrap_or_default();
        for host in &manifest.hosts {
            let named: Vec<&str> = host.settings().collect();
            let all_given = named.iter().all(|name| settings.contains_key(*name));
            if let (Some(name), true, None) = (named.first(), all_given, host.filled(&given)) {
                let span = draft
                    .settings
                    .iter()
                    .find(|(given, _)| given.value == **name)
                    .map_or(&draft.name.span, |(_, value)| &value.span);
                self.mistake(
                    "K016",
                    span,
                    format!("`{name}` becomes part of the host `{host}`, and this cannot be"),
                    "write lower-case letters, digits and `-`",
                );
            }
        }
        settings
    }

    /// The server of a transport that has one, and whether TLS may be left out.
    fn server(&mut self, draft: &InstanceDraft, transport: Transport) {
        let schemes = transport.schemes();
        match &draft.base_url {
            Some(url) if !schemes.contains(&url.value.scheme()) => self.mistake(
                "K018",
                &url.span,
                format!(
                    "`{}` does not speak `{}`",
                    draft.connector.value,
                    url.value.scheme()
                ),
                format!("write a URL that begins with `{}://`", schemes[0]),
            ),
            None if transport != Transport::Http => self.mistake(
                "K018",
                &draft.name.span,
                format!("`{}` names no server", draft.name.value),
                format!("add `base_url = \"{}://HOST\"`", schemes[0]),
            ),
            _ => {}
        }
        let Some(span) = &draft.without_tls else { return };
        let on_loopback = draft
            .base_url
            .as_ref()
            .is_some_and(|url| is_loopback(&url.value) && url.value.scheme() == schemes[1]);
        if transport == Transport::Http || !on_loopback {
            self.mistake(
                "K018",
                span,
                "TLS cannot be left out here",
                format!(
                    "remove `tls`: without it is for a server on this machine, such as `{}://127.0.0.1`",
                    Transport::Ldap.schemes()[1]
                ),
            );
        }
    }

    fn hosts(&mut self, draft: &InstanceDraft, manifest: &Manifest) {
        match draft.hosts.first() {
            Some(host) if !manifest.hosts_by_instance => self.mistake(
                "K019",
                &host.span,
                format!("`{}` names its hosts itself", manifest.name),
                "remove `hosts`; `base_url` takes the place of the manifest's hosts where the vendor's address is another",
            ),
            None if manifest.hosts_by_instance && draft.base_url.is_none() => self.mistake(
                "K019",
                &draft.name.span,
                format!("`{}` names no host", draft.name.value),
                "add `hosts = [\"api.example.com\"]`: nothing else is ever reached",
            ),
            _ => {}
        }
    }

    fn ca(&mut self, draft: &InstanceDraft) -> Option<Ca> {
        let place = draft.ca.as_ref()?;
        let read = self.secrets.file(&place.value).and_then(|text| Ca::parse(&text));
        match read {
            Ok(ca) => Some(ca),
            Err(why) => {
                self.mistake(
                    "K017",
                    &place.span,
                    format!("the certificates cannot be had: {why}"),
                    "name a PEM file with the root certificates this instance's server is signed by",
                );
                None
            }
        }
    }
}
