//! Entities nothing may be done to, whatever an alert says: domain controllers, the identity provider's own
//! service account, the responders' machines.

use serde::{Deserialize, Serialize};

use crate::finding::EntityType;

/// One pattern of protected entities. Every part that is given must fit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Protected {
    /// Only entities of this type.
    pub kind: Option<EntityType>,
    /// Name or vendor id, without case; `*` stands for any run of characters.
    pub name: String,
    /// Why, shown to whoever is refused.
    pub why: String,
}

/// The pattern would protect nothing or is not one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPattern {
    /// No letters at all.
    #[error("a protected entity needs a name: write `name = \"dc-*\"`")]
    Empty,
}

impl Protected {
    /// A pattern of this name, checked.
    pub fn new(kind: Option<EntityType>, name: &str, why: &str) -> Result<Protected, BadPattern> {
        if name.trim().is_empty() {
            return Err(BadPattern::Empty);
        }
        Ok(Protected {
            kind,
            name: name.trim().to_owned(),
            why: why.to_owned(),
        })
    }

    /// True when the pattern fits this type and any of these names. A host name also fits without its domain:
    /// `dc-01` protects `dc-01.corp.example`.
    pub fn fits<'a>(&self, kind: EntityType, names: impl IntoIterator<Item = &'a str>) -> bool {
        if self.kind.is_some_and(|wanted| wanted != kind) {
            return false;
        }
        let pattern = self.name.to_lowercase();
        names.into_iter().any(|name| {
            let name = name.trim().trim_end_matches('.').to_lowercase();
            let short = name.split('.').next().unwrap_or("");
            glob(pattern.as_bytes(), name.as_bytes())
                || (kind == EntityType::Host
                    && !short.is_empty()
                    && glob(pattern.as_bytes(), short.as_bytes()))
        })
    }
}

/// True when a pattern, in which `*` stands for any run of characters, fits a text.
pub fn is_like(pattern: &str, text: &str) -> bool {
    glob(pattern.as_bytes(), text.as_bytes())
}

/// Matches with `*` only, in linear memory and at worst quadratic time over short names.
pub(super) fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let mut rest = text;
    let mut parts = pattern.split(|byte| *byte == b'*');
    let Some(first) = parts.next() else {
        return text.is_empty();
    };
    let Some(after) = rest.strip_prefix(first) else {
        return false;
    };
    rest = after;
    let mut last: Option<&[u8]> = None;
    for part in parts {
        if let Some(middle) = last.take()
            && !middle.is_empty()
        {
            match rest.windows(middle.len()).position(|window| window == middle) {
                Some(at) => rest = rest.get(at + middle.len()..).unwrap_or(&[]),
                None => return false,
            }
        }
        last = Some(part);
    }
    match last {
        None => rest.is_empty(),
        Some(end) => rest.ends_with(end),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_names_without_case_and_without_domain() {
        let dc = Protected::new(Some(EntityType::Host), "dc-*", "domain controller").unwrap();
        assert!(dc.fits(EntityType::Host, ["DC-01.corp.example"]));
        assert!(dc.fits(EntityType::Host, ["web-07", "dc-01"]), "an alias counts");
        assert!(!dc.fits(EntityType::Host, ["web-07"]));
        assert!(!dc.fits(EntityType::User, ["dc-01"]));
        let exact = Protected::new(None, "dc-01", "").unwrap();
        assert!(exact.fits(EntityType::Host, ["dc-01.corp.example."]));
        assert!(!exact.fits(EntityType::Host, ["dc-011"]));
        assert_eq!(Protected::new(None, " ", ""), Err(BadPattern::Empty));
    }

    #[test]
    fn stars_match_any_run_of_characters() {
        for (pattern, text, fits) in [
            ("*", "", true),
            ("a*b", "ab", true),
            ("a*b", "axxb", true),
            ("a*b", "axxc", false),
            ("*mid*", "xmidy", true),
            ("a*a", "a", false),
            ("", "", true),
            ("", "x", false),
            ("a*b*c", "abbc", true),
            ("*ab", "aab", true),
        ] {
            assert_eq!(
                glob(pattern.as_bytes(), text.as_bytes()),
                fits,
                "{pattern} {text}"
            );
        }
    }
}
