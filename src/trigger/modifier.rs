//! What may follow a field's name: our own list of Sigma modifiers and of the chains that mean something. A
//! modifier that the evaluator would ignore is refused here, because a dropped `all` or `neq` turns a containment
//! rule into its opposite. Facts about rsigma 0.23 were read in its source (`compiler/`, `lower/`).

use rsigma_parser::Modifier;

/// Every modifier a trigger may use, as Sigma 2.1.0 names it.
const KNOWN: [(&str, Modifier); 30] = [
    ("contains", Modifier::Contains),
    ("startswith", Modifier::StartsWith),
    ("endswith", Modifier::EndsWith),
    ("all", Modifier::All),
    ("cased", Modifier::Cased),
    ("neq", Modifier::Neq),
    ("re", Modifier::Re),
    ("i", Modifier::IgnoreCase),
    ("m", Modifier::Multiline),
    ("s", Modifier::DotAll),
    ("cidr", Modifier::Cidr),
    ("exists", Modifier::Exists),
    ("fieldref", Modifier::FieldRef),
    ("gt", Modifier::Gt),
    ("gte", Modifier::Gte),
    ("lt", Modifier::Lt),
    ("lte", Modifier::Lte),
    ("windash", Modifier::WindAsh),
    ("base64", Modifier::Base64),
    ("base64offset", Modifier::Base64Offset),
    ("wide", Modifier::Wide),
    ("utf16le", Modifier::Wide),
    ("utf16be", Modifier::Utf16be),
    ("utf16", Modifier::Utf16),
    ("minute", Modifier::Minute),
    ("hour", Modifier::Hour),
    ("day", Modifier::Day),
    ("week", Modifier::Week),
    ("month", Modifier::Month),
    ("year", Modifier::Year),
];

/// The modifier of this name.
pub(super) fn known(name: &str) -> Option<Modifier> {
    KNOWN
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, modifier)| *modifier)
}

/// Every name, for "did you mean".
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    KNOWN.iter().map(|(name, _)| *name)
}

/// How a chain compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    /// Text or number, equal or in part.
    Text,
    /// By regular expression.
    Expression,
    /// By network.
    Network,
    /// Field there or not.
    Existence,
    /// With another field.
    Field,
    /// As numbers, by size.
    Size,
    /// By a part of a time.
    TimePart,
}

/// The comparison a chain makes, or why the chain means nothing.
pub(super) fn comparison(chain: &[Modifier]) -> Result<Comparison, String> {
    use Modifier::*;
    let has = |modifier: Modifier| chain.contains(&modifier);
    for (n, modifier) in chain.iter().enumerate() {
        if chain.iter().skip(n + 1).any(|other| other == modifier) {
            return Err("the same modifier is here twice".into());
        }
    }
    let operators = [
        (&[Contains, StartsWith, EndsWith][..], Comparison::Text),
        (&[Re][..], Comparison::Expression),
        (&[Cidr][..], Comparison::Network),
        (&[Exists][..], Comparison::Existence),
        (&[Gt, Gte, Lt, Lte][..], Comparison::Size),
        (&[Minute, Hour, Day, Week, Month, Year][..], Comparison::TimePart),
    ];
    let mut chosen: Vec<Comparison> = Vec::new();
    for (members, kind) in operators {
        chosen.extend(members.iter().filter(|member| has(**member)).map(|_| kind));
    }
    let comparison = match chosen.as_slice() {
        [] if has(FieldRef) => Comparison::Field,
        [] => Comparison::Text,
        [Comparison::Text] if has(FieldRef) => Comparison::Field,
        [one] if !has(FieldRef) => *one,
        _ => return Err("it compares in two ways at once".into()),
    };
    if has(Exists) && chain.len() > 1 {
        return Err("nothing may stand beside `exists`; for the opposite write `exists: false`".into());
    }
    if has(Cased) && !matches!(comparison, Comparison::Text | Comparison::Field) {
        return Err("`cased` has no effect here; regular expressions mind case unless `i` follows".into());
    }
    if (has(IgnoreCase) || has(Multiline) || has(DotAll)) && comparison != Comparison::Expression {
        return Err("`i`, `m` and `s` belong to `re`".into());
    }
    if has(All)
        && !matches!(
            comparison,
            Comparison::Text | Comparison::Expression | Comparison::Network
        )
    {
        return Err("`all` has no meaning with this comparison".into());
    }
    if has(FieldRef)
        && chain
            .iter()
            .take_while(|m| **m != FieldRef)
            .any(|m| matches!(m, Contains | StartsWith | EndsWith))
    {
        return Err("`contains`, `startswith` and `endswith` stand after `fieldref`".into());
    }
    encoding(chain, comparison)?;
    Ok(comparison)
}

/// The rules of encodings: rsigma ignores `wide` and its kin without base64, and `windash` with it.
fn encoding(chain: &[Modifier], comparison: Comparison) -> Result<(), String> {
    use Modifier::*;
    let at = |wanted: &[Modifier]| chain.iter().position(|modifier| wanted.contains(modifier));
    let count = |wanted: &[Modifier]| chain.iter().filter(|modifier| wanted.contains(modifier)).count();
    let wide = at(&[Wide, Utf16, Utf16be]);
    let base64 = at(&[Base64, Base64Offset]);
    if (wide.is_some() || base64.is_some() || chain.contains(&WindAsh)) && comparison != Comparison::Text {
        return Err("an encoding works on text, not with this comparison".into());
    }
    if count(&[Wide, Utf16, Utf16be]) > 1 || count(&[Base64, Base64Offset]) > 1 {
        return Err("two encodings of the same kind".into());
    }
    match (wide, base64) {
        (Some(_), None) => {
            return Err(
                "`wide`, `utf16le`, `utf16be` and `utf16` need `base64` or `base64offset` after them".into(),
            );
        }
        (Some(wide), Some(base64)) if wide > base64 => {
            return Err("`wide` and its kin stand before `base64`".into());
        }
        _ => {}
    }
    if chain.contains(&WindAsh) && base64.is_some() {
        return Err("`windash` has no effect together with base64".into());
    }
    if chain.contains(&Base64Offset) && (chain.contains(&StartsWith) || chain.contains(&EndsWith)) {
        return Err("`base64offset` finds the text anywhere; use it with `contains`".into());
    }
    Ok(())
}

/// True when the chain encodes its value, which then may hold no wildcards.
pub(super) fn encodes(chain: &[Modifier]) -> bool {
    use Modifier::*;
    chain
        .iter()
        .any(|m| matches!(m, Wide | Utf16 | Utf16be | Base64 | Base64Offset | WindAsh))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(text: &str) -> Vec<Modifier> {
        text.split('|').map(|name| known(name).unwrap()).collect()
    }

    #[test]
    fn chains_that_mean_something_are_taken() {
        for good in [
            "contains",
            "contains|all",
            "startswith|cased",
            "re|i",
            "re|all",
            "cidr",
            "exists",
            "gte",
            "neq",
            "contains|neq",
            "fieldref",
            "fieldref|endswith",
            "utf16le|base64offset|contains",
            "hour",
            "windash|contains",
            "all",
            "lt|neq",
        ] {
            assert!(comparison(&chain(good)).is_ok(), "{good}");
        }
    }

    #[test]
    fn chains_that_the_evaluator_would_ignore_in_part_are_refused() {
        for bad in [
            "contains|contains",
            "contains|startswith",
            "exists|neq",
            "re|cased",
            "contains|i",
            "gte|all",
            "gte|lt",
            "wide|contains",
            "base64|wide",
            "windash|base64",
            "base64offset|startswith",
            "re|base64",
            "cidr|contains",
            "contains|fieldref",
            "exists|all",
            "hour|day",
            "gte|cased",
            "utf16|wide|base64",
        ] {
            assert!(comparison(&chain(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_name_means_the_same_to_the_parser_we_hand_it_to() {
        for (name, modifier) in KNOWN {
            assert_eq!(name.parse::<Modifier>(), Ok(modifier), "{name}");
        }
    }
}
