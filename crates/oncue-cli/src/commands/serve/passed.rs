//! Sockets that a supervisor has passed to this process (socket activation, sd_listen_fds(3)), by their names.

use std::fs;
use std::os::fd::OwnedFd;

use rustix::io::{FdFlags, fcntl_setfd};

use super::program::launch::ACTIVATION;
use crate::config::PASSED;
use crate::output::escaped;

/// The number of the first descriptor that is passed (`SD_LISTEN_FDS_START`).
const FIRST: u32 = 3;
/// The most sockets that may be passed.
const PASSED_MAX: u32 = 1024;
/// In `/proc/self/fdinfo`: the descriptor is closed by exec.
const CLOSED_BY_EXEC: u32 = 0o2_000_000;
/// The name of a socket that has none.
const NAMELESS: &str = "unknown";

/// The sockets that were passed.
pub(crate) struct Passed(Vec<(String, OwnedFd)>);

impl Passed {
    /// Those of the environment. To be called once.
    ///
    /// # Errors
    /// Why what the environment says cannot be right.
    pub(crate) fn of_environment() -> Result<Passed, String> {
        let [count, process, _] = ACTIVATION;
        let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u32>().ok());
        if number(process) != Some(std::process::id()) {
            // They were passed to another process, of which this one has inherited the variables.
            return Ok(Passed(Vec::new()));
        }
        let promised = number(count).filter(|count| *count <= PASSED_MAX);
        let promised = promised.ok_or_else(|| format!("{count} is not a number up to {PASSED_MAX}"))?;
        for fd in FIRST..FIRST + promised {
            // Descriptors of this process's own are closed by exec.
            if !is_inherited(fd) {
                return Err(format!("{count}={promised}, but the descriptor {fd} was not passed"));
            }
        }
        let passed = sd_listen_fds::get().map_err(|error| error.to_string())?;
        let passed = passed.into_iter().map(|(name, fd)| {
            let fd = fd.into_std();
            fcntl_setfd(&fd, FdFlags::CLOEXEC).map_err(|error| error.to_string())?;
            Ok((name.filter(|name| !name.is_empty()).unwrap_or(NAMELESS.into()), fd))
        });
        Ok(Passed(passed.collect::<Result<_, String>>()?))
    }

    /// The sockets that an endpoint of a config means; those of before stay here, for the time when it is read again.
    ///
    /// # Errors
    /// When there are none, or the process has no descriptor left.
    pub(crate) fn get(&self, text: &str) -> Result<Vec<OwnedFd>, String> {
        let wanted = text.strip_prefix(PASSED).unwrap_or(text);
        let found = self.0.iter().filter(|(name, _)| wanted.is_empty() || name == wanted);
        let found: Result<Vec<_>, _> = found.map(|(_, fd)| fd.try_clone()).collect();
        match found {
            Ok(found) if found.is_empty() => {
                Err(format!("cannot bind {text}: {}; start oncue by a socket unit (LISTEN_FDS)", self.told()))
            }
            Ok(found) => Ok(found),
            Err(error) => Err(format!("cannot bind {text}: {error}")),
        }
    }

    /// What is said if a config uses none of them.
    pub(crate) fn unused(&self, bind: &[String]) -> Option<String> {
        let is_used = |name: &str| {
            bind.iter()
                .filter_map(|text| text.strip_prefix(PASSED))
                .any(|used| used.is_empty() || used == name)
        };
        let unused = self.0.iter().any(|(name, _)| !is_used(name));
        unused
            .then(|| format!("{}; the config does not use all of them: add bind = \"{PASSED}\"", self.told()))
    }

    /// What was passed, in words.
    fn told(&self) -> String {
        let names: Vec<_> =
            self.0.iter().map(|(name, _)| format!("`{}`", escaped(name.as_bytes()))).collect();
        match names.len() {
            0 => "no socket was passed".to_owned(),
            1 => format!("the socket {} was passed", names[0]),
            _ => format!("the sockets {} were passed", names.join(", ")),
        }
    }
}

/// Whether a descriptor was open when this program began.
fn is_inherited(fd: u32) -> bool {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).unwrap_or_default();
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
    let flags = flags.and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok());
    flags.is_some_and(|flags| flags & CLOSED_BY_EXEC == 0)
}
