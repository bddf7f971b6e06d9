//! In place of `site`, in a build without the feature `mesh`: no server is a site of a mesh.

use oncue::{Engine, Options, XPub};
use oncue_observe::Observe;

use super::web::Pages;
use crate::config::mesh::Site;
use crate::config::{Config, Problem};
use crate::fail::Fail;
use crate::security::Security;
use crate::signals::Stop;

/// Of which there is none.
pub(super) enum Membership {}

/// Every site is refused by [`is_possible`].
pub(super) fn check(_: &Config) -> Result<(), Problem> {
    Ok(())
}

/// Whether this build can be a site, if the config wants it.
pub(super) fn is_possible(config: &Config) -> Result<(), Fail> {
    if config.mesh.is_some() { Err(refused()) } else { Ok(()) }
}

/// Without Zenoh there is nothing to do.
pub(super) fn settle(_: &Config) {}

fn refused() -> Fail {
    let why = "this oncue was built without the feature `mesh`, which [mesh] needs; install it with --features full";
    Fail::Runtime(why.to_owned())
}

impl Membership {
    pub(super) fn join(
        _: &Site,
        _: Option<&str>,
        _: (&Engine, &XPub),
        _: (Options, &Security),
        _: &Stop,
    ) -> Result<Membership, Fail> {
        Err(refused())
    }

    pub(super) fn reload(&mut self, _: &Site) {
        match *self {}
    }

    pub(super) fn doubt(&mut self) {
        match *self {}
    }

    pub(super) fn tell(&self, _: Option<&Observe>, _: &Pages) {
        match *self {}
    }

    pub(super) fn subscribers(&self) -> Option<&XPub> {
        match *self {}
    }

    pub(super) fn leave(&mut self) {
        match *self {}
    }

    pub(super) fn close(&self, _: &Stop) {
        match *self {}
    }
}
