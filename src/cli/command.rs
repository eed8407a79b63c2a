//! The command line: every command in one list, and the way from arguments to an exit code.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use super::failure::{Done, Exit, Failure};
use super::{
    act, alerts, approvals, backup, cancel, check, connectors, contained, demo, explain, halt, init,
    matching, normalise, notify, output, permissions, plan, range, reload, resolve, retention, retry, run,
    runs, send, serve, show, status, store, testing, token, undo,
};

const EXIT_CODES: &str = "Exit codes:
  0  it was done
  1  it was tried and failed; with --wait: the run did not succeed
  2  the command line makes no sense
  3  the server refused it, or there is no such thing
  4  no server answers
  5  configuration, connectors, triggers or playbooks have errors

stdout is data, stderr is talk. Every reading command takes --json. Times are UTC.
Start with `cordon init`, or see `cordon demo`.";

/// Incident-response playbooks whose every change to the world is journalled, verified, leased and undoable
#[derive(Debug, Parser)]
#[command(name = "cordon", version, after_help = EXIT_CODES, max_term_width = 110)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the server: takes alerts, runs playbooks
    Serve(serve::Serve),
    /// Writes a configuration to start from
    Init(init::Init),
    /// Shows what Cordon does, on this machine alone
    Demo(demo::Demo),
    /// Runs stand-ins of vendors to try playbooks against
    Range(range::RangeArgs),
    /// Checks configuration, connectors, triggers and playbooks
    Check(check::Check),
    /// Runs the cases beside playbooks and connectors, offline
    Test(testing::Test),
    /// Prints the findings in a file, offline
    Normalise(normalise::Normalise),
    /// Says which triggers a file meets and why not, offline
    Match(matching::Match),
    /// Sends a file as a source would
    Send(send::Send),
    /// Lists alerts and what became of them
    Alerts(alerts::Alerts),
    /// Processes an alert once more
    Reprocess(alerts::Reprocess),
    /// Starts a playbook
    Run(run::Run),
    /// Says what a playbook would do, without doing it
    Plan(plan::Plan),
    /// Does one action by hand
    Act(act::Act),
    /// Lists runs
    Runs(runs::Runs),
    /// Shows one run, event by event
    Show(show::Show),
    /// Lists what people are asked to approve, and what became of it
    Approvals(approvals::Approvals),
    /// Agrees to what is asked
    Approve(approvals::Approve),
    /// Says no to what is asked
    Deny(approvals::Deny),
    /// Lists what is contained now
    Contained(contained::Contained),
    /// Restores what a run or an effect changed
    Undo(undo::Undo),
    /// Ends a run that is not over, and undoes what it did or lets it stay
    Cancel(cancel::Cancel),
    /// Takes a parked run up again
    Retry(retry::Retry),
    /// Says whether an effect in doubt happened
    Resolve(resolve::Resolve),
    /// Ends every containment of one entity
    Release(contained::Release),
    /// Stops every effect until someone resumes
    Halt(halt::Halt),
    /// Lets effects happen again
    Resume(halt::Resume),
    /// Lists what people were told, and how that went
    Notifications(notify::Notifications),
    /// Tests whether messages arrive
    Notify(notify::Notify),
    /// Says who is on call
    Oncall(notify::Oncall),
    /// Shows how the server and its store stand, and what must not be
    Status(status::Status),
    /// Writes everything a running server has to a file
    Backup(backup::Backup),
    /// Fills an empty store from a backup
    Restore(backup::Restore),
    /// Says what is kept for how long, and what would be forgotten now
    Retention(retention::Retention),
    /// Has the server load connectors, playbooks and triggers again
    Reload(reload::Reload),
    /// Looks after the store: what it lost, putting it back, moving it to another
    Store(store::Store),
    /// Makes and lists tokens for the API
    Token(token::Token),
    /// Lists connectors, their actions and permissions
    Connectors(connectors::Connectors),
    /// Says the least each vendor has to grant for the playbooks
    Permissions(permissions::Permissions),
    /// Explains an error code
    Explain(explain::Explain),
}

/// Reads the command line of this process and does what it says.
pub fn main() -> ExitCode {
    // Clap prints help to stdout with 0 and mistakes to stderr with 2, as documented.
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            return end(&Failure::new(Exit::Failed, format!("cannot start: {error}"), ""));
        }
    };
    match runtime.block_on(dispatch(cli.command)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => end(&failure),
    }
}

async fn dispatch(command: Command) -> Done {
    match command {
        Command::Serve(args) => serve::run(args).await,
        Command::Init(args) => init::run(&args),
        Command::Demo(args) => demo::run(args).await,
        Command::Range(args) => range::run(args).await,
        Command::Check(args) => check::run(&args),
        Command::Test(args) => testing::run(&args),
        Command::Normalise(args) => normalise::run(args).await,
        Command::Match(args) => matching::run(args).await,
        Command::Send(args) => send::run(args).await,
        Command::Alerts(args) => alerts::run(args).await,
        Command::Reprocess(args) => alerts::reprocess(args).await,
        Command::Run(args) => run::run(args).await,
        Command::Plan(args) => plan::run(args).await,
        Command::Act(args) => act::run(args).await,
        Command::Runs(args) => runs::run(args).await,
        Command::Show(args) => show::run(args).await,
        Command::Approvals(args) => approvals::run(args).await,
        Command::Approve(args) => approvals::approve(args).await,
        Command::Deny(args) => approvals::deny(args).await,
        Command::Contained(args) => contained::run(args).await,
        Command::Undo(args) => undo::run(args).await,
        Command::Cancel(args) => cancel::run(args).await,
        Command::Retry(args) => retry::run(args).await,
        Command::Resolve(args) => resolve::run(args).await,
        Command::Release(args) => contained::release(args).await,
        Command::Halt(args) => halt::run(args).await,
        Command::Resume(args) => halt::resume(args).await,
        Command::Notifications(args) => notify::notifications(args).await,
        Command::Notify(args) => notify::run(args).await,
        Command::Oncall(args) => notify::oncall(args).await,
        Command::Status(args) => status::run(args).await,
        Command::Backup(args) => backup::backup(args).await,
        Command::Restore(args) => backup::restore(args).await,
        Command::Retention(args) => retention::run(args).await,
        Command::Reload(args) => reload::run(args).await,
        Command::Store(args) => store::run(args).await,
        Command::Token(args) => token::run(args).await,
        Command::Connectors(args) => connectors::run(&args),
        Command::Permissions(args) => permissions::run(&args),
        Command::Explain(args) => explain::run(&args),
    }
}

fn end(failure: &Failure) -> ExitCode {
    if !failure.message.is_empty() {
        output::say(&format!("error: {failure}"));
    }
    ExitCode::from(failure.exit as u8)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_examples() {
        let command = Cli::command();
        for sub in command.get_subcommands() {
            let help = sub.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Examples:\n  cordon "), "{}", sub.get_name());
        }
    }

    #[test]
    fn reading_commands_take_json() {
        let reading = [
            "check",
            "test",
            "normalise",
            "match",
            "alerts",
            "runs",
            "show",
            "approvals",
            "contained",
            "connectors",
            "explain",
            "notifications",
            "oncall",
            "permissions",
            "plan",
            "retention",
            "status",
        ];
        let command = Cli::command();
        for name in reading {
            let sub = command.find_subcommand(name).unwrap();
            assert!(
                sub.get_arguments().any(|arg| arg.get_long() == Some("json")),
                "{name}"
            );
        }
    }
}
