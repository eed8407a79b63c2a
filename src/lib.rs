//! Cordon runs incident-response playbooks whose every change to the world is a journalled effect.
//!
//! ```text
//! alert -> intake -> finding -> trigger -> run
//!   run: fold(journal) -> next -> perform -> append, again and again
//!        advance(script) -> ask -> resolve -> capture -> weigh -> intend -> act -> outcome -> verify
//!   settled; followers read the journal: notify, containment, metrics
//! ```
//!
//! Rooms and floors: `docs/ARCHITECTURE.md`. A room imports rooms on lower floors only (`tests/tidy.rs`).

// floor 0: ground
pub mod clock;
pub mod crash;
pub mod diagnostic;
pub mod digest;
pub mod id;
pub mod limits;
pub mod page;
pub mod secret;

// floor 1: nouns
pub mod action;
pub mod finding;

// floor 2: rules
pub mod approval;
pub mod guardrail;
pub mod script;
pub mod trigger;
pub mod upkeep;

// floor 3
pub mod journal;

// floor 4
pub mod store;

// floor 5
pub mod connector;

// floor 6
pub mod playbook;

// floor 7: engine
pub mod run;

// floor 8: edges
pub mod containment;
pub mod evidence;
pub mod intake;
pub mod notify;
pub mod telemetry;

// floor 9: surfaces
pub mod range;
pub mod server;
pub mod simulate;

// floor 10: roof
pub mod app;
pub mod cli;
pub mod config;
