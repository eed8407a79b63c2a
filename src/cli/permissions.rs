//! `cordon permissions`: the least each vendor has to grant so that the playbooks can do what they say.

use clap::Args;
use serde_json::{Map, Value};

use super::content::{self, Place};
use super::failure::{Done, Exit, Failure};
use super::output;
use crate::connector::{Instance, Instances};
use crate::diagnostic::nearest;
use crate::playbook::{self, Need, Needs, needs};

/// Arguments.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cordon permissions
  cordon permissions --playbook malware-on-host --json
  cordon permissions --aws > policy.json
  cordon permissions --markdown > grant.md

Counts the actions that playbooks can come to, through the functions they call in `lib` too; what undoes them; and what finds,
reads before and reads back. A capability counts at every configured instance that provides it. Where no instance is configured
at all, each connector counts as one.")]
pub struct Permissions {
    /// Only for this playbook; may be repeated
    #[arg(long = "playbook", value_name = "ID")]
    playbooks: Vec<String>,
    /// Print a page to hand to whoever grants them
    #[arg(long, group = "form")]
    markdown: bool,
    /// Print a policy document for AWS IAM; by instance where several need one
    #[arg(long, group = "form")]
    aws: bool,
    /// Print JSON
    #[arg(long, group = "form")]
    json: bool,
    #[command(flatten)]
    place: Place,
}

/// Runs it.
///
/// # Errors
/// Content does not load, or there is no such playbook.
pub fn run(args: &Permissions) -> Done {
    let config = args.place.config()?;
    let connectors = content::connectors(&config)?;
    let playbooks = content::playbooks(&config, &connectors)?;
    let mut instances = config
        .instances(&connectors)
        .map_err(|found| content::not_loaded(&found))?;
    if instances.all.is_empty() {
        instances = each_connector(&connectors);
    }
    for id in &args.playbooks {
        if playbooks.get(id).is_none() {
            let known = playbooks.all().map(|one| one.manifest.id.as_str());
            let help = nearest(id, known).map_or_else(
                || "`cordon check` counts what there is".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            return Err(Failure::new(
                Exit::Refused,
                format!("there is no playbook `{id}`"),
                help,
            ));
        }
    }
    let asked = |one: &&std::sync::Arc<playbook::Playbook>| {
        args.playbooks.is_empty() || args.playbooks.contains(&one.manifest.id)
    };
    let needs = needs(
        playbooks.all().filter(asked).map(|one| &**one),
        &connectors,
        &instances,
    );
    for (call, by) in &needs.unbound {
        let by: Vec<&str> = by.iter().map(String::as_str).collect();
        output::say(&format!(
            "no instance here can do {call}, which {} would call",
            by.join(", ")
        ));
    }
    if args.json {
        output::json(&needs)
    } else if args.aws {
        aws(&needs, &instances)
    } else if args.markdown {
        output::data(&markdown(&needs, &instances))
    } else {
        output::data(&text(&needs))
    }
}

/// Each connector as if it were configured once, under its own name.
fn each_connector(connectors: &crate::connector::Catalog) -> Instances {
    let instance = |name: &str| Instance {
        name: name.to_owned(),
        connector: name.to_owned(),
        ..Instance::default()
    };
    Instances {
        all: connectors
            .connectors()
            .map(|one| instance(&one.manifest.name))
            .collect(),
        ..Instances::default()
    }
}

/// With a role the policy is the role's, and whoever assumes it needs one thing more.
fn say_whose(instances: &Instances, name: &str) {
    let role = instances
        .named(name)
        .and_then(|instance| instance.settings.get("role_arn"))
        .and_then(Value::as_str);
    if let Some(role) = role {
        output::say(&format!(
            "`{name}`: the policy is that of the role {role}; whoever assumes it needs `sts:AssumeRole` on it and nothing else"
        ));
    }
}

/// What an instance of AWS is limited to: its setting `resources`, a list of ARNs.
fn resources(instances: &Instances, name: &str) -> Vec<String> {
    let setting = instances
        .named(name)
        .and_then(|instance| instance.settings.get("resources"));
    match setting {
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        Some(Value::String(one)) => vec![one.clone()],
        _ => Vec::new(),
    }
}

/// One document where one instance needs one, so that it can be handed to IAM as it is; else one by instance.
fn aws(needs: &Needs, instances: &Instances) -> Done {
    let mut documents: Vec<(&String, Value)> = needs
        .instances
        .iter()
        .filter_map(|(name, need)| Some((name, need.iam_policy(&resources(instances, name))?)))
        .collect();
    for (name, _) in &documents {
        say_whose(instances, name);
    }
    match documents.as_mut_slice() {
        [] => Err(Failure::new(
            Exit::Refused,
            "no playbook needs anything of AWS here",
            "configure an instance of the connector `aws`, or leave `--aws` out",
        )),
        [(_, document)] => output::json(document),
        several => output::json(&Value::Object(
            several
                .iter_mut()
                .map(|(name, document)| ((*name).clone(), std::mem::take(document)))
                .collect::<Map<_, _>>(),
        )),
    }
}

fn title(name: &str, need: &Need) -> String {
    if name == need.connector {
        name.to_owned()
    } else {
        format!("{name} ({})", need.connector)
    }
}

/// Why an action is among them: the playbooks, or what it undoes.
fn why(reason: &playbook::Reason) -> String {
    let playbooks: Vec<&str> = reason.playbooks.iter().map(String::as_str).collect();
    let undoes: Vec<String> = reason.undoes.iter().map(ToString::to_string).collect();
    let undoes = match undoes.is_empty() {
        true => String::new(),
        false => format!(", undoes {}", undoes.join(", ")),
    };
    format!("{}{undoes}", playbooks.join(", "))
}

fn text(needs: &Needs) -> String {
    let mut text = String::new();
    for (name, need) in &needs.instances {
        text.push_str(&format!("{}\n", title(name, need)));
        for permission in &need.permissions {
            text.push_str(&format!("  {permission}\n"));
        }
        let rows: Vec<Vec<String>> = need
            .actions
            .iter()
            .map(|(action, reason)| vec![action.to_string(), why(reason)])
            .collect();
        let table = output::table(&["FOR", "OF"], &rows);
        text.extend(table.lines().map(|line| format!("    {line}\n")));
    }
    text
}

fn markdown(needs: &Needs, instances: &Instances) -> String {
    let mut page = "# Permissions to grant\n\nThe least that the playbooks need, and no more.\n".to_owned();
    for (name, need) in &needs.instances {
        page.push_str(&format!("\n## {}\n\n", title(name, need)));
        for permission in &need.permissions {
            page.push_str(&format!("- {permission}\n"));
        }
        page.push_str("\n| Action | Needs | Because of |\n| --- | --- | --- |\n");
        for (action, reason) in &need.actions {
            page.push_str(&format!(
                "| `{action}` | {} | {} |\n",
                reason.permission,
                why(reason)
            ));
        }
        if let Some(document) = need.iam_policy(&resources(instances, name)) {
            page.push_str(&format!("\n```json\n{document:#}\n```\n"));
        }
    }
    if !needs.unbound.is_empty() {
        page.push_str("\n## Not granted, because nothing here does it\n\n");
        for (call, by) in &needs.unbound {
            let by: Vec<&str> = by.iter().map(String::as_str).collect();
            page.push_str(&format!("- `{call}`: {}\n", by.join(", ")));
        }
    }
    page
}
