//! The ways of `[notify]`: each address held against the connector instances there are, and the action that sends.

use super::notify::WayDraft;
use super::resolve::Work;
use crate::diagnostic::nearest;
use crate::notify;
use crate::page::listed;

impl Work<'_> {
    /// `[notify]`, with the action behind each way.
    pub(super) fn notify(&mut self) -> notify::Plan {
        let config = self.config;
        let draft = &config.notify;
        let mut plan = notify::Plan {
            public_url: config.public_url.clone(),
            teams: draft.teams.clone(),
            rotas: draft.rotas.clone(),
            first_rota: draft.first_rota.clone(),
            routes: draft.routes.clone(),
            all_routes: draft.all_routes,
            default: draft.default.clone(),
            fallback: draft.fallback.clone(),
            window_ms: draft.window_ms,
            group_by: draft.group_by,
            ..notify::Plan::default()
        };
        for (name, way) in &draft.channels {
            if let Some(way) = self.way(way) {
                plan.channels.insert(name.clone(), way);
            }
        }
        for (name, ways) in &draft.people {
            let ways = ways.iter().filter_map(|way| self.way(way)).collect();
            plan.people.insert(name.clone(), ways);
        }
        plan
    }

    fn way(&mut self, draft: &WayDraft) -> Option<notify::Way> {
        let name = &draft.instance.value;
        let config = self.config;
        let Some(instance) = config.instances.iter().find(|one| one.name.value == *name) else {
            let names = config.instances.iter().map(|one| one.name.value.as_str());
            let help = match nearest(name, names) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("add `[connectors.{name}]`"),
            };
            let message = format!("no connector instance has the name `{name}`");
            self.mistake("K021", &draft.instance.span, message, help);
            return None;
        };
        // A connector that is not there has been told of where the instance stands.
        let connector = self.catalog.connector(&instance.connector.value)?;
        let sends = |word: &str| {
            connector.manifest.actions.iter().find(|spec| {
                spec.provides
                    .as_ref()
                    .is_some_and(|name| name.to_string() == word)
            })
        };
        match notify::Way::SENDING.into_iter().find_map(sends) {
            Some(spec) => Some(notify::Way {
                instance: name.clone(),
                action: spec.name.clone(),
                to: draft.to.clone(),
            }),
            None => {
                self.mistake(
                    "K021",
                    &draft.instance.span,
                    format!(
                        "`{}`, which `{name}` uses, sends no messages",
                        instance.connector.value
                    ),
                    format!(
                        "use a connector whose manifest provides one of {}",
                        listed(&notify::Way::SENDING)
                    ),
                );
                None
            }
        }
    }
}
