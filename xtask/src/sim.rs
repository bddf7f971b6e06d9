//! `cargo xtask sim`: the production shard on the simulated network, from given seeds.

use crate::step::shown;
use crate::workspace::cargo;
use crate::{Trouble, nothing_left, take_flag, take_number};

pub(crate) fn run(args: &[String]) -> Result<(), Trouble> {
    let mut args = args.to_vec();
    let seed = take_number(&mut args, "--seed")?;
    let seeds = take_number(&mut args, "--seeds")?;
    let release = take_flag(&mut args, "--release");
    nothing_left(&args)?;
    let mut command = cargo(&["test", "--package", "oncue", "--lib", "simulation::"]);
    if release {
        command.arg("--release");
    }
    command.args(["--", "--nocapture"]);
    match (seed, seeds) {
        (Some(_), Some(_)) => return Err(Trouble::Usage("--seed and --seeds exclude each other".to_owned())),
        (Some(seed), None) => command.env("ONCUE_SIM_SEED", seed.to_string()),
        (None, Some(seeds)) => command.env("ONCUE_SIM_SEEDS", seeds.to_string()),
        (None, None) => &mut command,
    };
    println!("== sim: {}", shown(&command));
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err(Trouble::Failed),
        Err(why) => Err(Trouble::Cannot(format!("cargo could not be started: {why}"))),
    }
}
