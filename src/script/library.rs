//! Functions that scripts share: the files of `playbooks/lib`. A script calls one as `lib::name(…)`; it is compiled
//! together with the script, so that closures go back and forth freely, and each file keeps its own lines.
//!
//! Rhai's modules are not used for it: what they resolve at run time depends on where a closure was made. Instead
//! a function `name` of the library is known to the language as `lib__name`, which no script may write itself.

use std::sync::Arc;

use super::advance::Position;
use super::code::code_of;
use super::program::Program;
use crate::digest::Digest;

/// What a script writes before the name of a function of the library.
const SPOKEN: &str = "lib::";
/// What the language sees; as long as what was written, so that columns stay.
const KNOWN: &str = "lib__";

/// The files of a library. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Library(Arc<Vec<Program>>);

impl Library {
    /// A library of these files, in the order of their names.
    pub fn new(files: impl IntoIterator<Item = Program>) -> Library {
        let mut files: Vec<Program> = files.into_iter().collect();
        files.sort_by(|one, two| one.name().cmp(two.name()));
        Library(Arc::new(files))
    }

    /// Its files.
    pub fn files(&self) -> &[Program] {
        &self.0
    }

    /// True when it has no file.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The digest of a script together with this library.
    pub(super) fn digest_with(&self, text: &str) -> Digest {
        if self.is_empty() {
            return Digest::of(text.as_bytes());
        }
        let files = self.0.iter().flat_map(|file| [file.name(), file.text()]);
        Digest::of_parts(&[text].into_iter().chain(files).collect::<Vec<_>>())
    }
}

/// A script's text as the language gets it: calls of the library under the names it knows.
pub(super) fn known(text: &str) -> String {
    let code = code_of(text);
    let mut known = text.to_owned();
    for (at, _) in code.match_indices(SPOKEN) {
        let alone = !code.get(..at).unwrap_or("").ends_with(is_word);
        if alone {
            known.replace_range(at..at + SPOKEN.len(), KNOWN);
        }
    }
    known
}

/// The byte at which a script writes a name that is kept for the library.
pub(super) fn kept_name(text: &str) -> Option<usize> {
    let code = code_of(text);
    code.match_indices(KNOWN)
        .map(|(at, _)| at)
        .find(|at| !code.get(..*at).unwrap_or("").ends_with(is_word))
}

/// The name under which the language knows a function of the library.
pub(super) fn known_name(name: &str) -> String {
    format!("{KNOWN}{name}")
}

/// The library function behind a name of the language.
pub(super) fn own_name(name: &str) -> Option<&str> {
    name.strip_prefix(KNOWN)
}

/// A text for people, with functions of the library as they are written.
pub(super) fn spoken(text: &str) -> String {
    text.replace(KNOWN, SPOKEN)
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// A program and its library as one: which lines are whose. Lines count on from one file to the next.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    program: Program,
    /// Each file with the number of lines before it.
    library: Vec<(usize, Program)>,
    lines: usize,
}

impl Layout {
    pub(super) fn of(program: &Program) -> Layout {
        let length = |file: &Program| file.text().lines().count().max(1);
        let mut lines = length(program);
        let mut library = Vec::new();
        for file in program.library().files() {
            library.push((lines, file.clone()));
            lines += length(file);
        }
        Layout {
            program: program.clone(),
            library,
            lines,
        }
    }

    /// The program itself.
    pub(super) fn program(&self) -> &Program {
        &self.program
    }

    /// Lines of all files together.
    pub(super) fn lines(&self) -> usize {
        self.lines
    }

    /// The files of the library, each with the number of lines before it.
    pub(super) fn library(&self) -> impl Iterator<Item = (usize, &Program)> {
        self.library.iter().map(|(before, file)| (*before, file))
    }

    /// The number of the library file a line belongs to, if it is not the program's own.
    pub(super) fn number(&self, line: usize) -> Option<usize> {
        self.library.iter().rposition(|(before, _)| *before < line)
    }

    /// The file a line belongs to, and the line there.
    pub(super) fn locate(&self, line: usize) -> (&Program, usize) {
        match self.number(line).and_then(|n| self.library.get(n)) {
            Some((before, file)) => (file, line - before),
            None => (&self.program, line),
        }
    }

    /// A place as everything outside this room sees it, and the library file it is in.
    pub(super) fn place(&self, at: Position) -> (Option<String>, Position) {
        let (file, line) = self.locate(at.line);
        let name = self.number(at.line).map(|_| file.name().to_owned());
        (name, Position { line, ..at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_of_the_library_keep_their_columns_and_texts_stay() {
        let text = "lib::a(1); mylib::b(); \"lib::c\"; `${lib::d()} lib::e`; // lib::f";
        let got = known(text);
        assert_eq!(
            got,
            "lib__a(1); mylib::b(); \"lib::c\"; `${lib__d()} lib::e`; // lib::f"
        );
        assert_eq!(spoken(&known_name("a")), "lib::a");
        assert_eq!(kept_name("let a = lib__b;"), Some(8));
        assert_eq!(kept_name("\"lib__b\" + mylib__c"), None);
    }

    #[test]
    fn each_line_belongs_to_one_file() {
        let library = Library::new([Program::new("b", "1\n2"), Program::new("a", "1\n2\n3\n")]);
        let layout = Layout::of(&Program::new("main", "1\n2\n").with_library(&library));
        let places: Vec<(String, usize)> = (1..=layout.lines())
            .map(|line| layout.locate(line))
            .map(|(file, line)| (file.name().to_owned(), line))
            .collect();
        let named = |name: &str, lines: usize| (1..=lines).map(|n| (name.to_owned(), n)).collect::<Vec<_>>();
        assert_eq!(places, [named("main", 2), named("a", 3), named("b", 2)].concat());
    }
}
