//! The capabilities a playbook may hope for, whether or not a connector here provides them: so that one nobody
//! provides is told from one that does not exist.

use crate::action::ActionName;
use crate::connector::{CAPABILITIES, Catalog, VERBS};
use crate::script::Word;

/// The capabilities that no connector provides, as words, so that a script with one still compiles for `check`.
pub(super) fn unprovided(connectors: &Catalog) -> Vec<Word> {
    let names = CAPABILITIES
        .iter()
        .flat_map(|group| VERBS.iter().map(move |verb| ActionName::new(group, verb)));
    names
        .flatten()
        .filter(|name| connectors.providers(name).next().is_none())
        .map(|name| Word::ask(name.to_string(), 0..=2, "no connector here provides it"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_connector_provides_is_a_capability_and_the_rest_is_unprovided() {
        let connectors = Catalog::embedded().unwrap();
        let unprovided: Vec<String> = unprovided(&connectors)
            .into_iter()
            .map(|word| word.name)
            .collect();
        let provided = connectors
            .connectors()
            .flat_map(|connector| connector.manifest.actions.clone());
        let provided: Vec<String> = provided
            .filter_map(|spec| spec.provides)
            .map(|name| name.to_string())
            .collect();
        assert!(provided.contains(&"endpoint::isolate".to_owned()));
        assert!(unprovided.contains(&"hr::lookup".to_owned()));
        assert!(provided.iter().all(|name| !unprovided.contains(name)));
        let all = unprovided.len() + provided.iter().collect::<std::collections::BTreeSet<_>>().len();
        assert_eq!(
            all,
            CAPABILITIES.len() * VERBS.len(),
            "a connector provides something that is not listed here"
        );
    }
}
