//! The binary: arguments in, exit status out. The only place that prints an error.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use presence_tui::app::{self, Failure};
use presence_tui::cli::Cli;
use presence_tui::config::Environment;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let environment = Environment::of(std::env::vars_os());
    let (error, status) = match app::run(&cli, environment, &mut std::io::stdout()) {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Found(status)) => return ExitCode::from(status),
        Err(Failure::Usage(error)) => (error, 2),
        Err(Failure::Job(error)) => (error, 1),
        Err(Failure::Short(error)) => (error, 5),
    };
    let words: Vec<_> = format!("{error:#}").lines().map(|line| format!("error: {line}\n")).collect();
    // With stderr gone there is nobody left to tell; the status still says it.
    let _ = std::io::stderr().write_all(words.concat().as_bytes());
    ExitCode::from(status)
}
