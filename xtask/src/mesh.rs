//! The laboratory of the mesh, lab/mesh: `cargo xtask mesh-faults`, what failures do to demand, beside a chain of libzmq's
//! proxies; `cargo xtask mesh-bench`, what a mesh costs (W14).

use std::process::Command;

use crate::workspace::{cargo, target};
use crate::{Trouble, python};

/// What is run if nothing is named. The rivals need a Python with pyzmq.
const SYSTEMS: [&str; 5] = ["peers", "routers", "libzmq", "libzmq-tuned", "libzmq-proxies"];

pub(crate) fn faults(args: &[String]) -> Result<(), Trouble> {
    let mut args = args.to_vec();
    if !args.iter().any(|arg| arg == "--system") {
        args.extend(SYSTEMS.iter().flat_map(|system| ["--system".to_owned(), (*system).to_owned()]));
    }
    let mut lab = laboratory();
    if args.iter().any(|arg| arg.starts_with("libzmq")) {
        let python = python::with_pyzmq().map_err(Trouble::Cannot)?;
        if let Some(packages) = &python.packages {
            lab.env("PYTHONPATH", packages);
        }
        println!("== mesh-faults: {}", python.versions);
        lab.arg("faults").arg("--python").arg(&python.program).args(args);
    } else {
        lab.arg("faults").args(args);
    }
    built(lab)
}

pub(crate) fn bench(args: &[String]) -> Result<(), Trouble> {
    let mut lab = laboratory();
    lab.arg("bench").args(args);
    built(lab)
}

fn laboratory() -> Command {
    Command::new(target().join("release").join("mesh-lab"))
}

/// Builds it with its progress shown, since Zenoh takes minutes at first, and runs it.
fn built(lab: Command) -> Result<(), Trouble> {
    for mut command in [cargo(&["build", "--release", "--package", "oncue-mesh-lab"]), lab] {
        match command.status() {
            Ok(status) if status.success() => {}
            Ok(_) => return Err(Trouble::Failed),
            Err(why) => return Err(Trouble::Cannot(format!("{command:?} could not be started: {why}"))),
        }
    }
    Ok(())
}
