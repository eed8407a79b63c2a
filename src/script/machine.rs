//! One engine with its vocabulary and the programs it compiled, on one evaluation thread. Compiles, lints,
//! runs, and turns what comes out into an `Advance`. A program that does not pass the lint does not run.

use std::rc::Rc;

use rhai::{AST, CallFnOptions, Dynamic, Engine, Scope};

use super::advance::{Advance, Failure, Position, Thrown};
use super::check::compile;
use super::engine;
use super::error::failure;
use super::json::{Json, Root};
use super::program::{Entry, Job};
use super::state::State;
use super::value::{Allowance, to_json};
use super::vocabulary::Vocabulary;
use crate::digest::Digest;

/// Programs one engine remembers; a compiled one is a few KiB.
const PROGRAMS_KEPT: usize = 64;
/// Engines one thread remembers; one is about 315 KiB.
const ENGINES_KEPT: usize = 8;

/// The engines of one thread, most recently used last.
#[derive(Default)]
pub(super) struct Machines(Vec<Machine>);

impl Machines {
    /// Evaluates a job. The caller's stack must be that of an evaluation thread, and nearly empty.
    pub(super) fn advance(&mut self, job: &Job) -> Advance {
        let vocabulary = job.vocabulary.digest();
        let mut machine = match self.0.iter().position(|machine| machine.vocabulary == vocabulary) {
            Some(n) => self.0.remove(n),
            None => Machine::new(&job.vocabulary),
        };
        let advance = machine.advance(job);
        if self.0.len() >= ENGINES_KEPT {
            self.0.remove(0);
        }
        self.0.push(machine);
        advance
    }
}

struct Machine {
    vocabulary: Digest,
    engine: Engine,
    state: Rc<State>,
    /// Most recently used last.
    programs: Vec<Remembered>,
}

/// A program as it was compiled for inputs of these names.
struct Remembered {
    digest: Digest,
    inputs: Vec<String>,
    program: Compiled,
}

/// A program, or why it does not compile.
type Compiled = Result<Rc<AST>, Rc<Failure>>;

impl Machine {
    fn new(vocabulary: &Vocabulary) -> Machine {
        let state = State::new();
        let engine = engine::build(&state, vocabulary);
        Machine {
            vocabulary: vocabulary.digest(),
            engine,
            state,
            programs: Vec::new(),
        }
    }

    fn advance(&mut self, job: &Job) -> Advance {
        self.state.begin(job);
        let compiled = self.compiled(job);
        let result = match compiled {
            Err(failure) => Err(Box::new(Failure::clone(&failure))),
            Ok(_) if self.state.is_ended() => Ok(serde_json::Value::Null),
            Ok(ast) => self.run(job, &ast),
        };
        self.state.finish(result)
    }

    fn run(&self, job: &Job, ast: &AST) -> Result<serde_json::Value, Box<Failure>> {
        let mut scope = scope_of(job.inputs.keys().map(String::as_str));
        let result = match &job.entry {
            Entry::Main => self.engine.eval_ast_with_scope::<Dynamic>(&mut scope, ast),
            Entry::Function { name, args } => {
                let own = |arg: &serde_json::Value| Json::answer(Root::Own(Rc::new(arg.clone())));
                let args: Vec<Dynamic> = args.iter().map(own).collect();
                let options = CallFnOptions::new();
                self.engine
                    .call_fn_with_options::<Dynamic>(options, &mut scope, ast, name, args)
            }
        };
        let value = result.map_err(|error| Box::new(failure(&error, &self.state)))?;
        if self.state.is_ended() {
            return Ok(serde_json::Value::Null);
        }
        let value = to_json(&value, &mut Allowance::new());
        if job.entry == Entry::Main {
            // What a playbook's last line happens to be must not fail a run that did all its work.
            return Ok(value.unwrap_or_default());
        }
        value.map_err(|error| {
            Box::new(Failure::of(
                Thrown::new("not-data", error.to_string()),
                None,
                Vec::new(),
            ))
        })
    }

    fn compiled(&mut self, job: &Job) -> Compiled {
        let digest = job.program.digest();
        let same = |known: &Remembered| known.digest == digest && known.inputs.iter().eq(job.inputs.keys());
        if let Some(n) = self.programs.iter().position(same) {
            let found = self.programs.remove(n);
            let program = found.program.clone();
            self.programs.push(found);
            return program;
        }
        let names: Vec<&str> = job.inputs.keys().map(String::as_str).collect();
        let program = match compile(&self.engine, &self.state, &job.program, &job.vocabulary, &names) {
            Ok((ast, _)) => Ok(Rc::new(ast)),
            Err(diagnostics) => {
                let first = diagnostics.first();
                let message = first.map(|first| format!("{}: {}", first.code, first.message));
                let at = first.map(|first| Position {
                    line: first.line,
                    column: first.column,
                });
                let thrown = Thrown::new("check", message.unwrap_or_default());
                Err(Rc::new(Failure::of(thrown, at, Vec::new())))
            }
        };
        if self.programs.len() >= PROGRAMS_KEPT {
            drop(self.programs.remove(0));
        }
        let inputs = job.inputs.keys().cloned().collect();
        self.programs.push(Remembered {
            digest,
            inputs,
            program: program.clone(),
        });
        program
    }
}

/// A scope in which the inputs are known by name; their values come from the state.
pub(super) fn scope_of<'a>(inputs: impl Iterator<Item = &'a str>) -> Scope<'static> {
    let mut scope = Scope::new();
    for name in inputs {
        scope.push_constant(name, ());
    }
    scope
}
