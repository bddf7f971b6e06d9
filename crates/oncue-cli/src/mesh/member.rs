//! This process as a member of a mesh. A reload has it leave, and join again with what is new.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use oncue_mesh::{Mesh, MeshError, MeshErrorKind, MeshOptions, MeshViewer};
use oncue_observe::schema;

use super::{failed, options, said};
use crate::config::mesh::Site;
use crate::fail::Fail;

/// How long a port may stay taken by the session that was closed.
const PORT_WAIT: Duration = Duration::from_secs(5);
const PORT_LOOK: Duration = Duration::from_millis(100);

/// Joins a mesh with these options and the sockets of the process.
type Join = Box<dyn Fn(MeshOptions) -> Result<Mesh, MeshError>>;

/// A process in a mesh. It leaves when this is dropped.
pub(crate) struct Member {
    join: Join,
    /// The prefix of the topics about this process, if it has any.
    observe: Option<String>,
    site: Site,
    /// A hash of the files that the site names, so that renewed certificates are noticed.
    files: u64,
    /// None only after it has left.
    mesh: Option<Mesh>,
    seen: Seen,
}

/// Reads the status of the mesh, also after it was joined again.
#[derive(Clone)]
pub(crate) struct Seen(Arc<Mutex<MeshViewer>>);

impl Seen {
    /// What is known now.
    pub(crate) fn said(&self) -> schema::Mesh {
        let viewer = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        said(viewer.status())
    }
}

impl Member {
    /// Joins for the first time. `observe`: the prefix of the topics about this process, if it has any.
    pub(crate) fn join(
        site: &Site,
        observe: Option<&str>,
        join: impl Fn(MeshOptions) -> Result<Mesh, MeshError> + 'static,
    ) -> Result<Member, Fail> {
        let files = files(site);
        let mesh = join(options(site, observe)).map_err(failed)?;
        let seen = Seen(Arc::new(Mutex::new(mesh.viewer())));
        let (join, observe, site) = (Box::new(join), observe.map(str::to_owned), site.clone());
        Ok(Member { join, observe, site, files, mesh: Some(mesh), seen })
    }

    /// Puts this site in the place of the one before, but for where subscribers connect. If nothing has changed, nothing happens;
    /// otherwise the process leaves the mesh and joins again. Returns whether it has.
    ///
    /// # Errors
    /// Why it could not join; it is in the mesh as before, if that can be.
    pub(crate) fn reload(&mut self, site: &Site) -> Result<bool, MeshError> {
        let site = Site { subscribers: self.site.subscribers.clone(), ..site.clone() };
        let files = files(&site);
        if (&site, files) == (&self.site, self.files) {
            return Ok(false);
        }
        self.mesh = None;
        match self.rejoin(&site) {
            Ok(()) => {
                (self.site, self.files) = (site, files);
                Ok(true)
            }
            Err(why) => {
                // What is in the files now may be the reason, so this may fail as well; then the next reload tries again.
                let before = self.site.clone();
                self.files = 0;
                Err(self.rejoin(&before).err().unwrap_or(why))
            }
        }
    }

    /// The config was not replaced. Zenoh reads the files of a certificate when it dials, so what is in them may have been used for a link
    /// meanwhile: then the next reload joins again also if all is as it was.
    pub(crate) fn doubt(&mut self) {
        if files(&self.site) != self.files {
            self.files = 0;
        }
    }

    fn rejoin(&mut self, site: &Site) -> Result<(), MeshError> {
        let until = Instant::now() + PORT_WAIT;
        let mesh = loop {
            match (self.join)(options(site, self.observe.as_deref())) {
                Err(why) if why.kind() == MeshErrorKind::Config && Instant::now() < until => {
                    thread::sleep(PORT_LOOK);
                }
                joined => break joined?,
            }
        };
        *self.seen.0.lock().unwrap_or_else(PoisonError::into_inner) = mesh.viewer();
        self.mesh = Some(mesh);
        Ok(())
    }

    /// Waits until it has left the mesh by itself for good, and gives the reason. For ever, if it is not in the mesh.
    pub(crate) async fn ended(&self) -> MeshError {
        match &self.mesh {
            Some(mesh) => mesh.ended().await,
            None => std::future::pending().await,
        }
    }

    /// What reads the status.
    pub(crate) fn seen(&self) -> Seen {
        self.seen.clone()
    }

    /// Leaves the mesh: other sites know at once.
    pub(crate) fn leave(&mut self) {
        self.mesh = None;
    }
}

/// A hash of what is in the files of a site. One that cannot be read counts as empty.
fn files(site: &Site) -> u64 {
    let mut hasher = DefaultHasher::new();
    if let Some(tls) = &site.link.tls {
        for file in [&tls.authority, &tls.certificate, &tls.key] {
            fs::read(file).unwrap_or_default().hash(&mut hasher);
        }
    }
    hasher.finish()
}
