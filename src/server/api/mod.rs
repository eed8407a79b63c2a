//! The API of people and of the command line: JSON in and out, every action with the name of who took it and a
//! reason. Each file is one noun; none of them decides what a run does.

mod alerts;
mod approvals;
mod backup;
mod contained;
mod content;
mod halt;
mod looking;
mod notifications;
mod plan;
mod playbooks;
mod retention;
mod routes;
mod runs;
mod speaking;
mod start;
mod status;
mod store;
mod tokens;
mod undo;

pub(super) use routes::routes;
