//! The newest libzmq source under the version number that the `zmq` crate requires, with CURVE by libsodium.

use newest::LibLocation;

/// What `zmq-sys` calls to build libzmq.
#[derive(Default)]
pub struct Build(());

impl Build {
    /// The only way to build it.
    pub fn new() -> Build {
        Build(())
    }

    /// `zmq-sys` passes nothing here, which would be a libzmq without CURVE.
    pub fn with_libsodium(&mut self, _: Option<LibLocation>) -> &mut Build {
        self
    }

    /// Builds it, and says on the standard output what is to be linked.
    pub fn build(&mut self) {
        let libsodium = LibLocation::new(env!("SODIUM_LIB"), env!("SODIUM_INCLUDE"));
        newest::Build::new().with_libsodium(Some(libsodium)).build();
    }
}
