//! Looking at a program before it runs: it compiles, every name is known, nothing forbidden is in it, and
//! the mistakes that the language allows but an author will regret are pointed out.

use rhai::{AST, Engine, LexError, ParseError, ParseErrorType};

use super::advance::Position;
use super::engine::{self, build};
use super::evaluators::on_own_thread;
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
    /// Where in the program.
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
/// Every error found; the parser stops at its first one. Codes `P001` to `P006` and `P009`.
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
        compile(&engine, program, vocabulary, inputs).map(|(_, facts)| facts)
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
    program: &Program,
    vocabulary: &Vocabulary,
    inputs: &[&str],
) -> Result<(AST, Facts), Vec<Diagnostic>> {
    if program.text().len() > limits::SCRIPT_BYTES_MAX {
        let message = format!("the script is larger than {} bytes", limits::SCRIPT_BYTES_MAX);
        return Err(vec![Diagnostic::whole_file(
            "P009",
            message,
            program.name(),
            "move parts of it elsewhere",
        )]);
    }
    let scope = scope_of(inputs.iter().copied());
    let ast = engine
        .compile_with_scope(&scope, program.text())
        .map_err(|error| vec![parse_error(&error, program, vocabulary, inputs)])?;
    let facts = lint(engine, &ast, program, vocabulary, inputs)?;
    Ok((ast, facts))
}

fn parse_error(
    error: &ParseError,
    program: &Program,
    vocabulary: &Vocabulary,
    inputs: &[&str],
) -> Diagnostic {
    let (code, message, help) = explain(error.err_type(), program, vocabulary, inputs);
    let last = program.text().lines().count().max(1);
    let at = error.position();
    let place = (at.line().unwrap_or(last), at.position().unwrap_or(1));
    Diagnostic::error_at(code, message, program.name(), program.text(), place, help)
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
