//! The command line, one file a command. Offline commands read folders of this machine; the others talk to a
//! running server over its API and never open its store. stdout is data, stderr is talk.

mod act;
mod alerts;
mod approvals;
mod backup;
mod cancel;
mod check;
mod client;
mod command;
mod connectors;
mod contained;
mod content;
mod demo;
mod explain;
mod failure;
mod findings;
mod halt;
mod init;
mod losses;
mod matching;
mod migrate;
mod normalise;
mod notify;
mod output;
mod permissions;
mod plan;
mod progress;
mod range;
mod reload;
mod resolve;
mod retention;
mod retry;
mod run;
mod runs;
mod send;
mod serve;
mod show;
mod status;
mod store;
mod testing;
mod token;
mod undo;
mod waiting;

pub use command::{Cli, main};
