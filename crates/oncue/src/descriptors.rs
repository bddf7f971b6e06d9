//! How many files, sockets among them, this process may have open.

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};

/// Raises the soft limit of this process's open descriptors to the hard one, if the system allows it, and returns the
/// previous soft limit (`None`: there was no limit). A connection takes one descriptor, and the usual soft limit of 1024
/// exists for programs that use `select`.
///
/// Programs that this process starts inherit the limit. Give them the old one if they may use `select`, which breaks above
/// 1024.
pub fn raise_descriptor_limit() -> Option<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    // If it is refused, the program goes on with fewer.
    let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    (soft != RLIM_INFINITY).then_some(soft)
}

/// Whether a descriptor that was just opened, and got this number, leaves fewer than `reserved` to be opened, or than a
/// quarter of all if that is less. The system assigns the lowest free number: all below it are in use.
pub(crate) fn are_short(number: u64, reserved: u64) -> bool {
    getrlimit(Resource::RLIMIT_NOFILE).is_ok_and(|(limit, _)| number + reserved.min(limit / 4) >= limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_short_when_few_are_left() {
        let limit = getrlimit(Resource::RLIMIT_NOFILE).unwrap().0;
        assert!(!are_short(3, 8));
        assert!(!are_short(limit - 9, 8) && are_short(limit - 8, 8));
        assert!(!are_short(limit - limit / 4 - 1, u64::MAX) && are_short(limit - limit / 4, u64::MAX));
    }
}
