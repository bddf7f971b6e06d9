//! A server as a site of a mesh.

use oncue::{Engine, Options, XPub};
use oncue_mesh::Mesh;
use oncue_observe::Observe;

use super::program::journal::{complain, record, remark};
use super::web::Pages;
use crate::config::mesh::Site;
use crate::config::{Config, Problem};
use crate::fail::Fail;
use crate::mesh::{self, LEAVING, Member, Teller};
use crate::security::Security;
use crate::signals::Stop;
use crate::{connections, publisher};

/// A server in the mesh. It leaves when this is dropped.
pub(super) struct Membership {
    member: Member,
    /// Where subscribers get what all sites publish.
    subscribers: Option<XPub>,
}

/// Checks what the reader of configs does not know.
pub(super) fn check(config: &Config) -> Result<(), Problem> {
    let (Some(site), Some(places)) = (&config.mesh, &config.link_at) else { return Ok(()) };
    mesh::check(site, config.observe.as_deref(), places)
}

/// Whether this build can be a site, if the config wants it.
pub(super) fn is_possible(_: &Config) -> Result<(), Fail> {
    Ok(())
}

/// Sees to Zenoh's threads, before anything is opened or started.
pub(super) fn settle(config: &Config) {
    config.mesh.iter().for_each(|site| mesh::settle(site, "serve"));
}

impl Membership {
    /// Joins the mesh with the server's own socket, of which each other site is a peer. `subscribers`: the options of a socket for
    /// subscribers, before those of security.
    pub(super) fn join(
        site: &Site,
        prefix: Option<&str>,
        (engine, socket): (&Engine, &XPub),
        (subscribers, security): (Options, &Security),
        stop: &Stop,
    ) -> Result<Membership, Fail> {
        let mut local = None;
        if !site.subscribers.is_empty() {
            let socket = XPub::new(engine, security.set_server(subscribers))?;
            security.follow(&socket, "serve");
            connections::follow(&socket, "serve", stop)?;
            local = Some(socket);
        }
        let (engine, socket, subscribers) = (engine.clone(), socket.clone(), local.clone());
        let member = Member::join(site, prefix, move |options| {
            let mesh = Mesh::builder(&engine, options).publisher(&socket);
            let mesh = subscribers.iter().fold(mesh, |mesh, socket| mesh.subscribers(socket));
            let mut teller = Teller::new();
            mesh.on_event(move |event| teller.tell(&event, record)).start()
        })?;
        stop.allow(LEAVING);
        Ok(Membership { member, subscribers: local })
    }

    /// Joins again if the site has changed, or a file that it names; says so.
    pub(super) fn reload(&mut self, site: &Site) {
        match self.member.reload(site) {
            Ok(false) => {}
            Ok(true) => remark("left the mesh, and joins it again with the new [mesh]"),
            Err(why) => complain(format!("[mesh] was not replaced: {why}")),
        }
    }

    /// The config was not replaced.
    pub(super) fn doubt(&mut self) {
        self.member.doubt();
    }

    /// Has the server tell about the mesh from now on.
    pub(super) fn tell(&self, observe: Option<&Observe>, pages: &Pages) {
        let seen = self.member.seen();
        let read = move || Some(seen.said());
        observe.iter().for_each(|observe| observe.mesh(read.clone()));
        pages.joined(read);
    }

    /// Where subscribers get what all sites publish, if there is such a socket.
    pub(super) fn subscribers(&self) -> Option<&XPub> {
        self.subscribers.as_ref()
    }

    /// Leaves the mesh: other sites know at once.
    pub(super) fn leave(&mut self) {
        self.member.leave();
    }

    /// Closes the socket for subscribers.
    pub(super) fn close(&self, stop: &Stop) {
        self.subscribers.iter().for_each(|socket| publisher::close_and_say(socket, "serve", stop));
    }
}
