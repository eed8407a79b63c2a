//! Scripts: playbooks and connector scripts in Rhai, evaluated as pure functions of their inputs and of the
//! answers recorded so far. The only room that builds a Rhai engine. A script has no clock, no chance and no
//! way out but its words: `advance` runs it from the top, and every word that has no answer yet comes back
//! as an ask. What the words mean is not known here. Evaluation happens on threads of this room's own,
//! because a script needs a large stack; the deadline and the stop flag are passed in.

mod advance;
mod branch;
mod check;
mod code;
mod data;
mod engine;
mod error;
mod evaluators;
mod isolate;
mod json;
mod library;
mod lint;
mod literal;
mod machine;
mod program;
mod state;
mod step;
mod text;
mod value;
mod vocabulary;
mod word;

pub use advance::{Advance, Answer, Answers, Asked, Failure, Interrupted, Position, Thrown, Told, describe};
pub use check::{Call, Facts, check};
pub use code::code_of;
pub use evaluators::{Evaluators, advance};
pub use library::Library;
pub use literal::Literal;
pub use program::{Entry, Inputs, Job, Program};
pub use step::{NotAStep, StepId};
pub use vocabulary::{Kind, NotAWord, Vocabulary, Word, is_variable};

#[cfg(test)]
mod tests;
