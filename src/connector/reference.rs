//! The page about every connector, written from the manifests: what can be done, to whom, with what, how it is
//! undone and seen, and what to grant. Says nothing that a manifest does not say.

use std::fmt::Write as _;

use super::catalog::{Catalog, Connector};
use super::manifest::DeliveryId;
use super::settings::SettingSpec;
use crate::action::{ActionSpec, Class};
use crate::clock::duration_text;

/// The page, as Markdown. The same connectors always give the same text.
pub fn reference(catalog: &Catalog) -> String {
    let mut page = String::from(
        "# Connector reference\n\nWritten by `cordon connectors --markdown` from the manifests; edit those. What the words mean \
         is in [connectors](connectors.md).\n\n",
    );
    page.push_str("| Capability | Done by |\n| --- | --- |\n");
    for (capability, by) in capabilities(catalog) {
        // A text is written to a `String`, which cannot fail.
        let _ = writeln!(page, "| `{capability}` | {by} |");
    }
    for connector in catalog.connectors() {
        page.push_str(&section(connector));
    }
    page
}

fn capabilities(catalog: &Catalog) -> std::collections::BTreeMap<String, String> {
    let mut by: std::collections::BTreeMap<String, String> = std::collections::BTreeMap::new();
    let specs = catalog.connectors().flat_map(|one| &one.manifest.actions);
    for spec in specs {
        if let Some(capability) = &spec.provides {
            let done_by = by.entry(capability.to_string()).or_default();
            if !done_by.is_empty() {
                done_by.push_str(", ");
            }
            let _ = write!(done_by, "`{}`", spec.name);
        }
    }
    by
}

fn section(connector: &Connector) -> String {
    let manifest = &connector.manifest;
    let mut text = format!(
        "\n## {}\n\n{}, version {}.",
        manifest.name, manifest.title, manifest.version
    );
    let credentials = manifest.auth.credentials();
    if !manifest.actions.is_empty() && !credentials.is_empty() {
        let _ = write!(text, " Credentials: {}.", quoted(credentials));
    }
    let optional = manifest.auth.optional_credentials();
    if !manifest.actions.is_empty() && !optional.is_empty() {
        let _ = write!(text, " Credentials it may have: {}.", quoted(&optional));
    }
    if !manifest.settings.is_empty() {
        let settings = manifest.settings.iter().map(|(name, spec)| match spec {
            SettingSpec::Required => format!("`{name}` (required)"),
            SettingSpec::Optional => format!("`{name}`"),
            SettingSpec::Default(value) => format!("`{name}` (`{value}` where nothing is said)"),
        });
        let _ = write!(text, " Settings: {}.", settings.collect::<Vec<_>>().join(", "));
    }
    let hosts: Vec<String> = manifest.hosts.iter().map(ToString::to_string).collect();
    if !hosts.is_empty() {
        let _ = write!(text, " Hosts: {}.", quoted(&hosts));
    }
    if let Some(source) = &manifest.source {
        let delivery = match &source.delivery_id {
            DeliveryId::Header(name) => format!("the header `{name}`"),
            DeliveryId::BodyDigest => "the digest of its body".to_owned(),
        };
        let _ = write!(
            text,
            "\n\nSends alerts, authenticated by {}; one delivery is told from another by {delivery}.",
            quoted(&source.auth)
        );
    }
    text.push('\n');
    for spec in &manifest.actions {
        text.push_str(&action(spec));
    }
    text
}

fn action(spec: &ActionSpec) -> String {
    let mut text = format!(
        "\n### `{}`\n\n{}.\n\n| | |\n| --- | --- |\n",
        spec.name, spec.title
    );
    let mut row = |name: &str, value: String| {
        let _ = writeln!(text, "| {name} | {} |", value.replace('|', "\\|"));
    };
    if let Some(capability) = &spec.provides {
        row("capability", format!("`{capability}`"));
    }
    row("class", class(spec.class).to_owned());
    let targets: Vec<&str> = spec.targets.iter().map(|kind| kind.word()).collect();
    row(
        "target",
        if targets.is_empty() {
            "none".to_owned()
        } else {
            quoted(&targets)
        },
    );
    if !spec.args.is_empty() {
        let args = spec.args.iter().map(|(name, required)| {
            if *required {
                format!("`{name}` (required)")
            } else {
                format!("`{name}`")
            }
        });
        row("arguments", args.collect::<Vec<_>>().join(", "));
    }
    if spec.changes() {
        row(
            "undone by",
            match &spec.undo {
                Some(undo) => format!("`{}`", undo.action),
                None => "nothing".to_owned(),
            },
        );
        if let Some(facet) = spec.facet.as_ref().filter(|_| spec.undo.is_some()) {
            row("holds", format!("`{facet}`; can be leased"));
        }
        row(
            "seen by",
            match &spec.verify {
                Some(verify) => {
                    let pending = match verify.pending.is_empty() {
                        true => String::new(),
                        false => format!(", asked for while {}", quoted(&verify.pending)),
                    };
                    let within = duration_text(spec.propagation_ms);
                    format!(
                        "reading back {}{pending}; within {within}",
                        quoted(&verify.in_force)
                    )
                }
                None => "nothing: `unverifiable`".to_owned(),
            },
        );
    }
    row("permission", spec.permission.clone());
    if let Some(technique) = &spec.d3fend {
        row("D3FEND", technique.clone());
    }
    text
}

fn class(class: Class) -> &'static str {
    match class {
        Class::Read => "`read`: changes nothing",
        Class::Set => "`set`: without an answer it is looked at, and repeated only where it is not so",
        Class::Keyed => "`keyed`: without an answer it is repeated under the same key",
        Class::Create => "`create`: without an answer our tag is looked for",
        Class::Opaque => "`opaque`: without an answer it is never repeated, a person says what happened",
    }
}

fn quoted<T: AsRef<str>>(words: &[T]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("`{}`", word.as_ref())).collect();
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_in_the_guide_is_the_one_the_manifests_make() {
        let written = std::fs::read_to_string("docs/guide/connector-reference.md").unwrap_or_default();
        let page = reference(&Catalog::embedded().unwrap());
        assert!(
            written == page,
            "write it again: `cargo run -- connectors --markdown > docs/guide/connector-reference.md`"
        );
    }

    #[test]
    fn every_action_is_on_the_page_with_what_to_grant() {
        let catalog = Catalog::embedded().unwrap();
        let page = reference(&catalog);
        for spec in catalog.connectors().flat_map(|one| &one.manifest.actions) {
            assert!(page.contains(&format!("### `{}`", spec.name)), "{}", spec.name);
            assert!(
                page.contains(&spec.permission.replace('|', "\\|")),
                "{}",
                spec.name
            );
        }
    }
}
