//! Looking at a program before it runs: it compiles, every name is known, nothing forbidden is in it, and
//! the mistakes that the language allows but an author will regret are pointed out.

use std::collections::BTreeMap;

use rhai::{AST, Engine, LexError, ParseError, ParseErrorType, Scope, Stmt};

use super::advance::Position;
use super::engine::{self, build};
use super::evaluators::on_own_thread;
use super::library::{Layout, kept_name, known, own_name, spoken};
use super::lint::lint;
use super::literal::Literal;
use super::machine::scope_of;
use super::program::{Inputs, Job, Program};
use super::state::State;
use super::vocabulary::{OWN_WORDS, Vocabulary, is_reserved};
use crate::diagnostic::{Diagnostic, nearest};
use crate::limits;

/// What can be said of a program without running it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// Every call of a word of the vocabulary, in the order of the text.
    pub calls: Vec<Call>,
    /// The same of each file of the library, in the order of its files.
    pub library: Vec<Vec<Call>>,
    /// The functions the program defines, with how many arguments each takes.
    pub functions: Vec<(String, usize)>,
    /// What the author should look at although the program runs.
    pub warnings: Vec<Diagnostic>,
}

/// One call of a word.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The word, with its namespace.
    pub name: String,
    /// Where in its file.
    pub at: Position,
    /// Whether it stands in the body of a `for`, `while` or `loop` of the same function.
    pub in_loop: bool,
    /// The arguments as they stand in the text.
    pub args: Vec<Literal>,
}

/// Checks a program against the words it may call and the inputs it will be given.
///
/// # Errors
///
/// Every error found, those of its library too; the parser stops at its first one in each file. Codes `P001` to
/// `P006`, `P009` and `P030`.
pub fn check(program: &Program, vocabulary: &Vocabulary, inputs: &[&str]) -> Result<Facts, Vec<Diagnostic>> {
    engine::seed();
    on_own_thread(|| {
        let state = State::new();
        let engine = build(&state, vocabulary);
        let given: Inputs = inputs
            .iter()
            .map(|name| ((*name).to_owned(), serde_json::Value::Null))
            .collect();
        // The natives that refuse a second `finding` look at the job of the moment.
        let words = std::sync::Arc::new(vocabulary.clone());
        state.begin(&Job::new(program.clone(), words, std::sync::Arc::new(given)));
        compile(&engine, &state, program, vocabulary, inputs).map(|(_, facts)| facts)
    })
    .unwrap_or_else(|| {
        let help = "report the script as a defect, or give the process more memory";
        Err(vec![Diagnostic::whole_file(
            "P001",
            "the script could not be looked at",
            program.name(),
            help,
        )])
    })
}

/// Compiles and lints on the thread at hand, which must have a large stack.
pub(super) fn compile(
    engine: &Engine,
    state: &State,
    program: &Program,
    vocabulary: &Vocabulary,
    inputs: &[&str],
) -> Result<(AST, Facts), Vec<Diagnostic>> {
    let layout = Layout::of(program);
    let mut found: Vec<Diagnostic> = [program]
        .into_iter()
        .chain(program.library().files())
        .filter_map(too_large)
        .collect();
    if layout.lines() > limits::SCRIPT_LINES_MAX {
        let message = format!(
            "the script and its library have more than {} lines",
            limits::SCRIPT_LINES_MAX
        );
        let help = "take out of the library what nothing uses";
        found.push(Diagnostic::whole_file("P009", message, program.name(), help));
    }
    if !found.is_empty() {
        return Err(found);
    }
    let reading = Reading {
        layout: &layout,
        vocabulary,
        inputs,
    };
    let scope = scope_of(inputs.iter().copied());
    let compiled = reading.part(program, |text| engine.compile_with_scope(&scope, text));
    let mut whole = compiled.map_err(|error| found.push(*error)).ok();
    let mut defined: BTreeMap<(String, usize), String> = BTreeMap::new();
    for (before, file) in layout.library() {
        // Its lines count on from those before it, so that a place says which file it is in.
        let reading = Reading {
            inputs: &[],
            ..reading
        };
        state.compile_library(true);
        let compiled = reading.part(file, |text| {
            engine.compile_with_scope(&Scope::new(), "\n".repeat(before) + text)
        });
        state.compile_library(false);
        match compiled {
            Ok(part) => {
                found.extend(not_a_library(&part, file, &layout));
                found.extend(defined_twice(&part, file, &mut defined));
                if let Some(whole) = &mut whole {
                    whole.combine(part);
                }
            }
            Err(error) => found.push(*error),
        }
    }
    match whole {
        Some(ast) if found.is_empty() => {
            let facts = lint(engine, &ast, &layout, vocabulary, inputs)?;
            Ok((ast, facts))
        }
        _ => Err(found),
    }
}

fn too_large(file: &Program) -> Option<Diagnostic> {
    (file.text().len() > limits::SCRIPT_BYTES_MAX).then(|| {
        let message = format!("the script is larger than {} bytes", limits::SCRIPT_BYTES_MAX);
        Diagnostic::whole_file("P009", message, file.name(), "move parts of it elsewhere")
    })
}

/// A file of the library has functions and nothing that would be done by itself.
fn not_a_library(part: &AST, file: &Program, layout: &Layout) -> Option<Diagnostic> {
    let first = part
        .statements()
        .iter()
        .find(|statement| !matches!(statement, Stmt::Noop(_)))?;
    let at = first.position();
    let (_, line) = layout.locate(at.line().unwrap_or(0));
    let (file, text) = (file.name(), file.text());
    Some(Diagnostic::error_at(
        "P030",
        "a file of the library has functions only",
        file,
        text,
        (line.max(1), at.position().unwrap_or(1)),
        "move the statement into a function, or into the playbook",
    ))
}

fn defined_twice(
    part: &AST,
    file: &Program,
    defined: &mut BTreeMap<(String, usize), String>,
) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for function in part.iter_functions() {
        let Some(name) = own_name(function.name) else {
            continue;
        };
        let key = (name.to_owned(), function.params.len());
        if let Some(other) = defined.insert(key, file.name().to_owned()) {
            let text = file.text();
            let at = text.find(&format!("fn {name}")).map_or(0, |at| at + 3);
            let message = format!("`lib::{name}` is defined in another file of the library too");
            let help = format!("give one of the two another name; the other is in `{other}`");
            let (file, span) = (file.name(), at..at + name.len());
            found.push(Diagnostic::error("P030", message, file, text, span, help));
        }
    }
    found
}

/// What a file is read against.
#[derive(Clone, Copy)]
struct Reading<'a> {
    layout: &'a Layout,
    vocabulary: &'a Vocabulary,
    inputs: &'a [&'a str],
}

impl Reading<'_> {
    /// Compiles one file.
    fn part(
        &self,
        file: &Program,
        compile: impl FnOnce(&str) -> Result<AST, ParseError>,
    ) -> Result<AST, Box<Diagnostic>> {
        if let Some(at) = kept_name(file.text()) {
            let (name, text) = (file.name(), file.text());
            let message = "names that begin with `lib__` are kept for the library";
            let help =
                "write `lib::name(…)` to call a function of the library, and choose another name otherwise";
            let span = at..at + "lib__".len();
            return Err(Box::new(Diagnostic::error(
                "P005", message, name, text, span, help,
            )));
        }
        compile(&known(file.text())).map_err(|error| Box::new(self.parse_error(&error, file)))
    }

    fn parse_error(&self, error: &ParseError, file: &Program) -> Diagnostic {
        let (code, message, help) = explain(error.err_type(), file, self.vocabulary, self.inputs);
        let last = file.text().lines().count().max(1);
        let at = error.position();
        let (_, line) = at.line().map_or((file, last), |line| self.layout.locate(line));
        // An end that comes too early is reported behind the last line.
        let place = (line.min(last), at.position().unwrap_or(1));
        Diagnostic::error_at(code, spoken(&message), file.name(), file.text(), place, help)
    }
}

fn explain(
    error: &ParseErrorType,
    program: &Program,
    vocabulary: &Vocabulary,
    inputs: &[&str],
) -> (&'static str, String, String) {
    match error {
        ParseErrorType::VariableUndefined(name) => {
            let declared = program.text().split("let ").skip(1).filter_map(|rest| {
                rest.split(|c: char| !c.is_alphanumeric() && c != '_')
                    .find(|word| !word.is_empty())
            });
            let help = match nearest(name, declared.chain(inputs.iter().copied())) {
                Some(known) => format!("did you mean `{known}`?"),
                None if inputs.is_empty() => {
                    format!("a function knows what it is given: add `{name}` to its parameters")
                }
                None => format!("declare it first, as in `let {name} = …;`"),
            };
            ("P004", format!("unknown variable `{name}`"), help)
        }
        ParseErrorType::ModuleUndefined(name) => {
            let known = vocabulary.words().filter_map(|word| word.namespace());
            let help = match nearest(name, known) {
                Some(known) => format!("did you mean `{known}::`?"),
                None => "no connector or capability of this name is set up".to_owned(),
            };
            ("P002", format!("unknown namespace `{name}`"), help)
        }
        ParseErrorType::ForbiddenVariable(name) => (
            "P005",
            format!("`{name}` is an input of the script and cannot be declared again"),
            "choose another name".to_owned(),
        ),
        ParseErrorType::Reserved(name) => reserved(name),
        ParseErrorType::BadInput(LexError::ImproperSymbol(name, _)) if is_reserved(name) => reserved(name),
        ParseErrorType::ExprTooDeep => (
            "P009",
            "the expression is nested too deeply".to_owned(),
            "give parts of it a name with `let`, or move them into a function".to_owned(),
        ),
        ParseErrorType::TooManyFunctions => (
            "P009",
            "the script has too many functions and closures".to_owned(),
            "split the script".to_owned(),
        ),
        ParseErrorType::LiteralTooLarge(..) => (
            "P009",
            "the text or list written here is too large".to_owned(),
            "scripts are not the place for data, pass it in".to_owned(),
        ),
        other => {
            let text = other.to_string();
            let mut letters = text.chars();
            let lower = letters
                .next()
                .map(|first| first.to_lowercase().chain(letters).collect::<String>());
            let help = "look for a missing bracket, comma or semicolon here or just before".to_owned();
            ("P001", lower.unwrap_or_default().replace('\'', "`"), help)
        }
    }
}

fn reserved(name: &str) -> (&'static str, String, String) {
    if ["eval", "curry", "import", "export"].contains(&name) {
        let help = "the script must stand on its own; write the code out".to_owned();
        return ("P006", format!("`{name}` is not allowed in scripts"), help);
    }
    let help = if OWN_WORDS.contains(&name) {
        "choose another name".to_owned()
    } else {
        format!("choose another name; for a property write `[\"{name}\"]`")
    };
    ("P005", format!("`{name}` is a reserved word"), help)
}
