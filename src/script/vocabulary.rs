//! The names a script may call that leave it, and how: an ask waits for its answer, a tell does not. Never
//! what the names mean; that is for the rooms that answer.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use crate::digest::Digest;

/// Most arguments a word may take.
const ARGUMENTS_MAX: usize = 6;

/// Names that belong to the script room or to the language.
pub(super) const OWN_WORDS: [&str; 4] = ["all", "attempt", "each", "error"];

/// Whether a script waits for a word's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The script goes on when there is an answer.
    Ask,
    /// The script goes on at once, with `()`.
    Tell,
}

/// One name a script may call that leaves the script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// `note`, or with one namespace `endpoint::isolate`.
    pub name: String,
    /// Whether the script waits for the answer.
    pub kind: Kind,
    /// How many arguments it takes; at most six.
    pub arity: RangeInclusive<usize>,
    /// One line for the author, shown by the editor and in diagnostics.
    pub help: String,
}

impl Word {
    /// A word the script waits for.
    pub fn ask(name: impl Into<String>, arity: RangeInclusive<usize>, help: impl Into<String>) -> Word {
        Word {
            name: name.into(),
            kind: Kind::Ask,
            arity,
            help: help.into(),
        }
    }

    /// A word the script does not wait for.
    pub fn tell(name: impl Into<String>, arity: RangeInclusive<usize>, help: impl Into<String>) -> Word {
        Word {
            name: name.into(),
            kind: Kind::Tell,
            arity,
            help: help.into(),
        }
    }

    /// The namespace, if the name has one.
    pub fn namespace(&self) -> Option<&str> {
        self.name.split_once("::").map(|(namespace, _)| namespace)
    }

    /// The name after the namespace.
    pub fn local(&self) -> &str {
        self.name
            .split_once("::")
            .map_or(self.name.as_str(), |(_, local)| local)
    }
}

/// A name that cannot be a word.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NotAWord {
    /// Scripts could not spell it.
    #[error("`{0}` cannot be a word: use letters, digits and `_`, with at most one `::`")]
    Name(String),
    /// The language or the script room keeps the name.
    #[error("`{0}` is a word of the language, choose another name")]
    Reserved(String),
    /// Too many arguments.
    #[error("`{0}` takes more than six arguments, take a map instead")]
    Arguments(String),
}

/// A set of words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vocabulary {
    words: BTreeMap<String, Word>,
    digest: Digest,
}

impl Vocabulary {
    /// The set of these words; of two with one name the later counts.
    ///
    /// # Errors
    ///
    /// A name that a script could not call, or a word with too many arguments.
    pub fn new(words: impl IntoIterator<Item = Word>) -> Result<Vocabulary, NotAWord> {
        let words: BTreeMap<String, Word> = words.into_iter().map(|word| (word.name.clone(), word)).collect();
        let mut parts: Vec<String> = Vec::with_capacity(words.len() * 3);
        for word in words.values() {
            acceptable(word)?;
            parts.push(word.name.clone());
            parts.push(if word.kind == Kind::Ask { "ask" } else { "tell" }.to_owned());
            parts.push(format!("{}-{}", word.arity.start(), word.arity.end()));
        }
        let digest = Digest::of_parts(&parts);
        Ok(Vocabulary { words, digest })
    }

    /// The words, by name.
    pub fn words(&self) -> impl Iterator<Item = &Word> {
        self.words.values()
    }

    /// The word of this name, written with its namespace.
    pub fn get(&self, name: &str) -> Option<&Word> {
        self.words.get(name)
    }

    /// Whether any word has this namespace.
    pub fn has_namespace(&self, namespace: &str) -> bool {
        self.words().any(|word| word.namespace() == Some(namespace))
    }

    /// The digest of names, kinds and arities; help texts do not count.
    pub fn digest(&self) -> Digest {
        self.digest
    }
}

/// Words of the Rhai language (1.27), used or kept for later: no name of a variable, function, property or
/// namespace may be one of them.
const RESERVED: [&str; 63] = [
    "true",
    "false",
    "let",
    "const",
    "is_shared",
    "if",
    "else",
    "switch",
    "do",
    "while",
    "until",
    "loop",
    "for",
    "in",
    "continue",
    "break",
    "fn",
    "private",
    "return",
    "throw",
    "try",
    "catch",
    "import",
    "export",
    "as",
    "global",
    "Fn",
    "call",
    "curry",
    "this",
    "type_of",
    "print",
    "debug",
    "eval",
    "is_def_fn",
    "is_def_var",
    "var",
    "static",
    "shared",
    "is",
    "goto",
    "exit",
    "match",
    "case",
    "public",
    "protected",
    "new",
    "use",
    "with",
    "module",
    "package",
    "super",
    "spawn",
    "thread",
    "go",
    "sync",
    "async",
    "await",
    "yield",
    "default",
    "void",
    "null",
    "nil",
];

/// Whether the language keeps this name.
pub(super) fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name)
}

/// Whether a script can read a variable of this name: one it can spell and that nobody keeps.
pub fn is_variable(name: &str) -> bool {
    rhai::is_valid_identifier(name) && !is_reserved(name) && !OWN_WORDS.contains(&name)
}

fn acceptable(word: &Word) -> Result<(), NotAWord> {
    let parts: Vec<&str> = word.name.split("::").collect();
    if parts.len() > 2 || !parts.iter().all(|part| rhai::is_valid_identifier(part)) {
        return Err(NotAWord::Name(word.name.clone()));
    }
    if parts.iter().any(|part| is_reserved(part))
        || (parts.len() == 1 && OWN_WORDS.contains(&word.name.as_str()))
    {
        return Err(NotAWord::Reserved(word.name.clone()));
    }
    if *word.arity.end() > ARGUMENTS_MAX {
        return Err(NotAWord::Arguments(word.name.clone()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(name: &str, arguments: usize) -> Result<Vocabulary, NotAWord> {
        Vocabulary::new([Word::ask(name, 0..=arguments, "")])
    }

    #[test]
    fn a_word_must_be_callable() {
        assert!(one("endpoint::isolate", 2).is_ok());
        for name in ["", "a-b", "a::b::c", "::a", "a b", "1a"] {
            assert_eq!(one(name, 0), Err(NotAWord::Name(name.to_owned())));
        }
        for name in ["case::create", "all", "import", "print", "eval", "spawn"] {
            assert_eq!(one(name, 0), Err(NotAWord::Reserved(name.to_owned())));
        }
        assert_eq!(one("a", 7), Err(NotAWord::Arguments("a".to_owned())));
    }

    #[test]
    fn the_digest_follows_what_a_script_can_notice() {
        let of = |arity, help: &str| Vocabulary::new([Word::ask("a", arity, help)]).unwrap().digest();
        assert_eq!(of(0..=1, "x"), of(0..=1, "y"));
        assert_ne!(of(0..=1, "x"), of(0..=2, "x"));
    }
}
