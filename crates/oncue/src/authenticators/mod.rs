//! Ready-made authenticators: keys in a directory of certificates, and users with hashed passwords in a file. Both are read
//! again when they change. They use only the public interface.

mod followed;
mod keys;
mod passwords;

pub use self::followed::Changed;
pub use self::keys::{KeyDirectory, StaticKeys};
#[cfg(fuzzing)]
pub(crate) use self::passwords::users_of;
pub use self::passwords::{Passwords, hash_password};

/// What is read of one file at most, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;
