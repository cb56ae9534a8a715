//! The command line of longshore. `main` reads the arguments and dispatches; each command is a module of its own.

mod ci;
mod cli;
mod cloud;
mod commands;
mod exit;
mod project;
mod release;
mod report;
mod sources;
mod testing;
mod ui;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    // The task runner enters this program again inside a new namespace. That must come before anything else: no threads, no arguments of ours.
    if let Some(code) = commands::local::sandbox_entry() {
        return code;
    }
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Nothing can be done about a closed standard error.
            let _ = error.print();
            return if error.use_stderr() {
                exit::BAD_INPUT.into()
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    let releases = cli.command.releases();
    match commands::run(cli) {
        // What was to be read is not there. A release's code says what became of the service, and stays.
        Ok(code) if code == ExitCode::SUCCESS && ui::lost_output() && !releases => {
            exit::STAGE_FAILED.into()
        }
        Ok(code) => code,
        Err(error) => exit::explain(&error),
    }
}
