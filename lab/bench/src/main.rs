//! The laboratory: one binary that is the runner (`run`) and each process that the runner starts (`pub`, `sub`, `drain`,
//! `market`, `raw-writer`, `ping`, `pong`, `catalogue`, `churn`, `proxy`, `trip`). This file only selects the role.

mod args;
mod control;
mod demand;
mod drivers;
mod frame;
mod histogram;
mod keys;
mod market;
mod measure;
mod raw;
mod roles;
mod runner;

use std::process::ExitCode;

use args::Args;

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let role = words.next().unwrap_or_else(|| "run".to_owned());
    let outcome = Args::parse(words).and_then(|args| match role.as_str() {
        "run" => runner::run(&args),
        "pub" => roles::publish(&args),
        "sub" => roles::subscribe(&args),
        "ping" => roles::ping(&args),
        "pong" => roles::pong(&args),
        "catalogue" => roles::produce_catalogue(&args),
        "proxy" => roles::forward(&args),
        "trip" => raw::trip::run(&args),
        "drain" => raw::drain::run(&args),
        "market" => raw::market::run(&args),
        "churn" => raw::churn::run(&args),
        "raw-writer" => raw::writer::run(&args),
        other => Err(format!("`{other}` is not a role").into()),
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("bench {role}: {why}");
            ExitCode::FAILURE
        }
    }
}

/// The error type of the whole program: reported to the user, never handled.
pub type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;
