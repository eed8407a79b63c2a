//! `cordon connectors`: what can be done, by whom, and which permission each action needs.

use clap::Args;
use serde_json::json;

use super::content::{self, Place};
use super::failure::Done;
use super::output;
use crate::action::{ActionSpec, Class};

/// Arguments.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cordon connectors
  cordon connectors --json | jq '.[].actions[].permission'
  cordon connectors --markdown > reference.md")]
pub struct Connectors {
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Print a page with everything the manifests say
    #[arg(long, conflicts_with = "json")]
    markdown: bool,
    #[command(flatten)]
    place: Place,
}

/// Runs it.
///
/// # Errors
/// A connector does not load.
pub fn run(args: &Connectors) -> Done {
    let config = args.place.config()?;
    let catalog = content::connectors(&config)?;
    if args.json {
        let list: Vec<_> = catalog
            .connectors()
            .map(|one| {
                let manifest = &one.manifest;
                json!({
                    "name": manifest.name,
                    "title": manifest.title,
                    "version": manifest.version,
                    "digest": one.digest.to_string(),
                    "takes_alerts": manifest.source.is_some(),
                    "alert_auth": manifest.source.as_ref().map(|source| &source.auth),
                    "actions": manifest.actions.iter().map(action).collect::<Vec<_>>(),
                })
            })
            .collect();
        return output::json(&list);
    }
    if args.markdown {
        return output::data(&crate::connector::reference(&catalog));
    }
    let mut text = String::new();
    for one in catalog.connectors() {
        let manifest = &one.manifest;
        text.push_str(&format!("{} ({})\n", manifest.name, manifest.title));
        if let Some(source) = &manifest.source {
            text.push_str(&format!(
                "  takes alerts, authenticated by {}\n",
                source.auth.join(", ")
            ));
        }
        let rows: Vec<Vec<String>> = manifest
            .actions
            .iter()
            .map(|spec| {
                vec![
                    spec.name.to_string(),
                    class(spec.class).to_owned(),
                    spec.provides.as_ref().map_or("-".to_owned(), ToString::to_string),
                    if spec.undo.is_some() { "yes" } else { "-" }.to_owned(),
                    spec.permission.clone(),
                ]
            })
            .collect();
        if !rows.is_empty() {
            let table = output::table(&["ACTION", "CLASS", "PROVIDES", "UNDO", "PERMISSION"], &rows);
            text.extend(table.lines().map(|line| format!("  {line}\n")));
        }
    }
    output::data(&text)
}

fn action(spec: &ActionSpec) -> serde_json::Value {
    json!({
        "name": spec.name,
        "title": spec.title,
        "class": spec.class,
        "provides": spec.provides,
        "targets": spec.targets,
        "undo": spec.undo.as_ref().map(|undo| &undo.action),
        "permission": spec.permission,
        "d3fend": spec.d3fend,
    })
}

fn class(class: Class) -> &'static str {
    match class {
        Class::Read => "read",
        Class::Set => "set",
        Class::Keyed => "keyed",
        Class::Create => "create",
        Class::Opaque => "opaque",
    }
}
