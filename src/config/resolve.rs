//! The second step: the configuration held against the connectors there are, with its secrets read. What comes
//! out is what intake and engine work with.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use serde_json::{Map, Value};

use super::secret_ref::{SecretRef, Secrets};
use super::{Config, IdentityDraft, InstanceDraft, SourceDraft, in_order};
use crate::action::ActionName;
use crate::connector::{Catalog, Connector, Identity, Instance, Instances, SettingKind, SourceSpec};
use crate::diagnostic::{Diagnostic, nearest};
use crate::finding::EntityType;
use crate::guardrail::is_like;
use crate::intake::{Auth, LookUp, Normaliser, Profile, Profiles};
use crate::notify;
use crate::page::{Placed, listed};
use crate::secret::Secret;

/// What a configuration says, ready to be used.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The sources.
    pub profiles: Profiles,
    /// Where actions go.
    pub instances: Instances,
    /// Who is told.
    pub notify: notify::Plan,
}

impl Config {
    /// Looks connectors up in `catalog` and reads secrets from `secrets`.
    ///
    /// # Errors
    /// Everything that does not fit, with places. Codes `K006` and `K011` are about secrets alone.
    pub fn resolve(&self, catalog: &Catalog, secrets: &dyn Secrets) -> Result<Resolved, Vec<Diagnostic>> {
        let mut work = Work {
            config: self,
            catalog,
            secrets,
            mistakes: Vec::new(),
        };
        let mut profiles = Profiles::new();
        for draft in &self.sources {
            if let Some(profile) = work.profile(draft) {
                profiles.insert(profile.name.clone(), profile);
            }
        }
        let all: Vec<Instance> = self
            .instances
            .iter()
            .filter_map(|draft| work.instance(draft))
            .collect();
        let bind = work.bind();
        work.approval_actions();
        let identities = work.identities();
        let notify = work.notify();
        if work.mistakes.is_empty() {
            Ok(Resolved {
                profiles,
                instances: Instances {
                    all,
                    bind,
                    identities,
                },
                notify,
            })
        } else {
            Err(in_order(work.mistakes))
        }
    }

    /// Where actions go, without the secrets to go there: for looking at what a configuration means.
    ///
    /// # Errors
    /// Everything about instances, `[bind]` and `[identities]` that does not fit.
    pub fn instances(&self, catalog: &Catalog) -> Result<Instances, Vec<Diagnostic>> {
        let mut work = Work {
            config: self,
            catalog,
            secrets: &Withheld,
            mistakes: Vec::new(),
        };
        let all = self.instances.iter().filter_map(|draft| work.instance(draft));
        let instances = Instances {
            all: all.collect(),
            bind: work.bind(),
            identities: work.identities(),
        };
        if work.mistakes.is_empty() {
            Ok(instances)
        } else {
            Err(in_order(work.mistakes))
        }
    }

    /// One source alone, as [`Config::resolve`] would have it: for a sender, who has its secret and no other.
    ///
    /// # Errors
    /// Everything about this source that does not fit.
    pub fn resolve_source(
        &self,
        name: &str,
        catalog: &Catalog,
        secrets: &dyn Secrets,
    ) -> Result<Option<Profile>, Vec<Diagnostic>> {
        let Some(draft) = self.sources.iter().find(|draft| draft.name.value == name) else {
            return Ok(None);
        };
        let mut work = Work {
            config: self,
            catalog,
            secrets,
            mistakes: Vec::new(),
        };
        match work.profile(draft) {
            Some(profile) if work.mistakes.is_empty() => Ok(Some(profile)),
            _ => Err(in_order(work.mistakes)),
        }
    }
}

impl Config {
    /// The source of this name as its reader sees it: settings and look-ups, without its secrets and so without a
    /// way to judge deliveries. For reading files offline.
    ///
    /// # Errors
    /// Everything about its settings and look-ups that does not fit.
    pub fn reader(&self, name: &str, catalog: &Catalog) -> Result<Option<Profile>, Vec<Diagnostic>> {
        let Some(draft) = self.sources.iter().find(|draft| draft.name.value == name) else {
            return Ok(None);
        };
        let mut work = Work {
            config: self,
            catalog,
            secrets: &super::Machine { run_commands: false },
            mistakes: Vec::new(),
        };
        let profile = work.reader(draft);
        if work.mistakes.is_empty() {
            Ok(profile)
        } else {
            Err(in_order(work.mistakes))
        }
    }
}

/// Secrets for whoever only looks: every one is there and none is read.
struct Withheld;

impl Secrets for Withheld {
    fn env(&self, _: &str) -> Option<String> {
        Some("withheld".to_owned())
    }

    fn file(&self, _: &std::path::Path) -> Result<String, String> {
        Ok("withheld".to_owned())
    }

    fn command(&self, _: &str) -> Result<String, String> {
        Ok("withheld".to_owned())
    }
}

pub(super) struct Work<'a> {
    pub(super) config: &'a Config,
    pub(super) catalog: &'a Catalog,
    pub(super) secrets: &'a dyn Secrets,
    mistakes: Vec<Diagnostic>,
}

impl Work<'_> {
    pub(super) fn mistake(
        &mut self,
        code: &'static str,
        span: &Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.mistakes.push(Diagnostic::error(
            code,
            message,
            self.config.file.as_str(),
            &self.config.text,
            span.clone(),
            help,
        ));
    }

    pub(super) fn connector(&mut self, name: &Placed<String>) -> Option<std::sync::Arc<Connector>> {
        if let Some(connector) = self.catalog.connector(&name.value) {
            return Some(connector.clone());
        }
        let known: Vec<&str> = self
            .catalog
            .connectors()
            .map(|one| one.manifest.name.as_str())
            .collect();
        let help = match nearest(&name.value, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("connectors here are {}", listed(&known)),
        };
        self.mistake(
            "K005",
            &name.span,
            format!("there is no connector `{}`", name.value),
            help,
        );
        None
    }

    pub(super) fn secret(&mut self, reference: &Placed<SecretRef>) -> Option<Secret> {
        match reference.value.read(self.secrets) {
            Err(why) => {
                self.mistake("K006", &reference.span, why, reference.value.remedy());
                None
            }
            Ok(secret) if secret.is_blank() => {
                let help = reference.value.remedy();
                self.mistake("K011", &reference.span, "a secret is blank", help);
                None
            }
            Ok(secret) => Some(secret),
        }
    }

    fn profile(&mut self, draft: &SourceDraft) -> Option<Profile> {
        let connector = self.connector(&draft.connector)?;
        let Some(spec) = &connector.manifest.source else {
            self.mistake(
                "K005",
                &draft.connector.span,
                format!("the connector `{}` takes no alerts", draft.connector.value),
                "for a sender without a connector of its own write `use = \"generic\"`",
            );
            return None;
        };
        if !spec.auth.contains(&draft.kind.value) {
            self.mistake(
                "K008",
                &draft.kind.span,
                format!(
                    "`{}` cannot authenticate by `{}`",
                    draft.connector.value, draft.kind.value
                ),
                format!("its manifest lists {}", listed(&spec.auth)),
            );
        }
        // Every secret is looked at, so that all that are missing are named at once.
        let before = self.mistakes.len();
        let read = draft
            .auth
            .clone()
            .resolve(|place| Ok::<_, ()>(self.secret(&place).unwrap_or_else(|| Secret::new(""))));
        let auth = read.ok()?;
        if self.mistakes.len() > before {
            return None;
        }
        if let Err(why) = auth.check() {
            self.mistake(
                "K013",
                &draft.kind.span,
                why.to_string(),
                "a source that could never accept a delivery does not start",
            );
            return None;
        }
        let normaliser = reads(&connector);
        Some(Profile {
            delivery: spec.delivery_id.clone(),
            finding_window_ms: draft.finding_window_ms.unwrap_or(spec.finding_window_ms),
            settings: self.told(draft, spec),
            lookup: self.lookup(draft, spec),
            challenge: spec.challenge,
            ..Profile::new(
                draft.name.value.as_str(),
                draft.connector.value.as_str(),
                auth,
                normaliser,
            )
        })
    }

    fn reader(&mut self, draft: &SourceDraft) -> Option<Profile> {
        let connector = self.connector(&draft.connector)?;
        let spec = connector.manifest.source.as_ref()?;
        let anyone = Auth::None {
            anyone_may_send: true,
        };
        Some(Profile {
            settings: self.told(draft, spec),
            lookup: self.lookup(draft, spec),
            ..Profile::new(
                draft.name.value.as_str(),
                draft.connector.value.as_str(),
                anyone,
                reads(&connector),
            )
        })
    }

    /// The settings of a source, each that its connector has, `null` where the file says nothing.
    fn told(&mut self, draft: &SourceDraft, spec: &SourceSpec) -> Map<String, Value> {
        let known: Vec<&str> = spec.settings.keys().map(String::as_str).collect();
        let mut settings: Map<String, Value> = known
            .iter()
            .map(|name| ((*name).to_owned(), Value::Null))
            .collect();
        for (name, value) in &draft.settings {
            let Some(kind) = spec.settings.get(&name.value) else {
                let help = match nearest(&name.value, known.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None if known.is_empty() => "it has none: remove it".to_owned(),
                    None => format!("it has {}", listed(&known)),
                };
                let message = format!("`{}` has no setting `{}`", draft.connector.value, name.value);
                self.mistake("K037", &name.span, message, help);
                continue;
            };
            let fits = match kind {
                SettingKind::Text => value.is_string(),
                SettingKind::Texts => value.is_array(),
                SettingKind::Map => value.is_object(),
            };
            if !fits {
                let message = format!("the setting `{}` should be {}", name.value, kind.words());
                let help = format!("write {} for `{}`", kind.words(), name.value);
                self.mistake("K037", &name.span, message, help);
                continue;
            }
            settings.insert(name.value.clone(), value.clone());
        }
        settings
    }

    /// The instance that answers a source's look-ups: one of the source's own connector.
    fn lookup(&mut self, draft: &SourceDraft, spec: &SourceSpec) -> Option<LookUp> {
        let config = self.config;
        let Some(known) = &spec.lookup else {
            if let Some(named) = &draft.lookup {
                let message = format!("`{}` looks nothing up", draft.connector.value);
                self.mistake("K036", &named.span, message, "remove `lookup`");
            }
            return None;
        };
        let Some(named) = &draft.lookup else {
            return Some(LookUp {
                instance: String::new(),
                secrets: known.secrets.clone(),
            });
        };
        let connector = &draft.connector.value;
        let fits = |one: &&InstanceDraft| one.connector.value == *connector;
        let found = config.instances.iter().find(|one| one.name.value == named.value);
        match found {
            Some(one) if fits(&one) => {}
            Some(one) => {
                let message = format!("the instance `{}` is of `{}`", named.value, one.connector.value);
                let help = format!("name an instance of `{connector}`");
                self.mistake("K036", &named.span, message, help);
            }
            None => {
                let names = config.instances.iter().filter(fits);
                let help = match nearest(&named.value, names.map(|one| one.name.value.as_str())) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("add `[connectors.{}]` with `use = \"{connector}\"`", named.value),
                };
                let message = format!("no instance has the name `{}`", named.value);
                self.mistake("K036", &named.span, message, help);
            }
        }
        Some(LookUp {
            instance: named.value.clone(),
            secrets: known.secrets.clone(),
        })
    }

    /// A rule for an action that nobody has holds nothing: most likely it is a misspelt one.
    fn approval_actions(&mut self) {
        let specs = self.catalog.connectors().flat_map(|one| &one.manifest.actions);
        let known: Vec<String> = specs
            .flat_map(|spec| [Some(&spec.name), spec.provides.as_ref()])
            .flatten()
            .map(ActionName::to_string)
            .collect();
        for pattern in &self.config.approval_actions {
            let text = pattern.value.trim();
            if known.iter().any(|name| is_like(text, name)) {
                continue;
            }
            let help = match nearest(text, known.iter().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "`cordon connectors` lists the actions there are; `*` stands for anything".to_owned(),
            };
            let message = format!("`{text}` fits no action of any connector");
            self.mistake("K031", &pattern.span, message, help);
        }
    }

    fn bind(&mut self) -> BTreeMap<String, String> {
        let config = self.config;
        let names: Vec<&str> = config
            .instances
            .iter()
            .map(|one| one.name.value.as_str())
            .collect();
        let mut bind = BTreeMap::new();
        for (what, instance) in &config.bind {
            if !self.is_bindable(&what.value) {
                self.mistake(
                    "K015",
                    &what.span,
                    format!("nothing provides `{}`", what.value),
                    "write a capability such as `\"endpoint::isolate\"`, or a group such as `endpoint`",
                );
            }
            if !names.contains(&instance.value.as_str()) {
                let help = match nearest(&instance.value, names.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("add `[connectors.{}]`", instance.value),
                };
                let message = format!("no instance has the name `{}`", instance.value);
                self.mistake("K015", &instance.span, message, help);
            }
            bind.insert(what.value.clone(), instance.value.clone());
        }
        bind
    }

    /// Each id belongs to a system that is configured here, and no name or id is two principals'.
    fn identities(&mut self) -> Vec<Identity> {
        let config = self.config;
        let systems: BTreeSet<&str> = config
            .instances
            .iter()
            .flat_map(|one| [one.name.value.as_str(), one.connector.value.as_str()])
            .collect();
        let mut seen: BTreeMap<(EntityType, String, String), &str> = BTreeMap::new();
        for draft in &config.identities {
            let mut claims: Vec<(&str, &Placed<String>)> = vec![("", &draft.name)];
            claims.extend(draft.aliases.iter().map(|alias| ("", alias)));
            for (system, id) in &draft.ids {
                if !systems.contains(system.value.as_str()) {
                    let help = match nearest(&system.value, systems.iter().copied()) {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => format!("add `[connectors.{}]`", system.value),
                    };
                    let message = format!("no connector instance has the name `{}`", system.value);
                    self.mistake("K040", &system.span, message, help);
                }
                claims.push((&system.value, id));
            }
            for (system, what) in claims {
                let text = if system.is_empty() {
                    what.value.trim().to_lowercase()
                } else {
                    what.value.trim().to_owned()
                };
                let known = seen.insert((draft.kind, system.to_owned(), text), &draft.name.value);
                if let Some(other) = known.filter(|other| *other != draft.name.value) {
                    let message = format!("`{}` is already `{other}`", what.value);
                    let help =
                        "a name or id that is two principals' would act on the wrong one: keep them apart";
                    self.mistake("K041", &what.span, message, help);
                }
            }
        }
        config.identities.iter().map(IdentityDraft::identity).collect()
    }

    fn is_bindable(&self, text: &str) -> bool {
        match text.parse::<ActionName>() {
            Ok(name) => self.catalog.knows(&name),
            Err(_) => self
                .catalog
                .connectors()
                .flat_map(|one| &one.manifest.actions)
                .any(|spec| {
                    spec.name.namespace() == text
                        || spec
                            .provides
                            .as_ref()
                            .is_some_and(|name| name.namespace() == text)
                }),
        }
    }
}

/// Who reads what a connector sends.
fn reads(connector: &Connector) -> Normaliser {
    connector
        .source
        .clone()
        .map_or(Normaliser::Builtin, Normaliser::Script)
}
