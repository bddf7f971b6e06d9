//! A server as a site of a mesh.

use oncue::{Engine, Options, XPub};
use oncue_mesh::Mesh;
use oncue_observe::Observe;

use super::program::journal::record;
use super::web::Pages;
use crate::config::mesh::Site;
use crate::fail::Fail;
use crate::mesh::{LEAVING, failed, options, said, tell};
use crate::security::Security;
use crate::signals::Stop;
use crate::{connections, publisher};

/// A server in the mesh. It leaves when this is dropped.
pub(super) struct Membership {
    /// None after it has left.
    mesh: Option<Mesh>,
    /// Where subscribers get what all sites publish.
    subscribers: Option<XPub>,
}

/// Checks what the reader of configs does not know. `prefix`: that of the topics about the server.
pub(super) fn check(site: &Site, prefix: Option<&str>) -> Result<(), Fail> {
    options(site, prefix).check().map_err(|why| Fail::Usage(format!("[mesh]: {why}")))
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
        check(site, prefix)?;
        let mut mesh = Mesh::builder(engine, options(site, prefix)).publisher(socket);
        let mut local = None;
        if !site.subscribers.is_empty() {
            let socket = XPub::new(engine, security.set_server(subscribers))?;
            security.follow(&socket, "serve");
            connections::follow(&socket, "serve", stop)?;
            mesh = mesh.subscribers(&socket);
            local = Some(socket);
        }
        let mesh = mesh.on_event(|event| tell(&event, record)).start().map_err(failed)?;
        stop.allow(LEAVING);
        Ok(Membership { mesh: Some(mesh), subscribers: local })
    }

    /// Has the server tell about the mesh from now on.
    pub(super) fn tell(&self, observe: Option<&Observe>, pages: &Pages) {
        let Some(mesh) = &self.mesh else { return };
        let viewer = mesh.viewer();
        let read = move || Some(said(viewer.status()));
        observe.iter().for_each(|observe| observe.mesh(read.clone()));
        pages.joined(read);
    }

    /// Where subscribers get what all sites publish, if there is such a socket.
    pub(super) fn subscribers(&self) -> Option<&XPub> {
        self.subscribers.as_ref()
    }

    /// Leaves the mesh: other sites know at once.
    pub(super) fn leave(&mut self) {
        self.mesh = None;
    }

    /// Closes the socket for subscribers.
    pub(super) fn close(&self, stop: &Stop) {
        self.subscribers.iter().for_each(|socket| publisher::close_and_say(socket, "serve", stop));
    }
}
