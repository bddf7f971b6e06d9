//! Clients by their public keys.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};
use std::time::SystemTime;

use oncue_core::mechanism::Credentials;
use oncue_core::mechanism::curve::{Certificate, PublicKey};

use super::FILE_BYTES_MAX;
use super::followed::{Changed, Followed};
use crate::authentication::{Authenticator, Case};
use crate::error::{Error, Result};
use crate::sync::{read_lock, write_lock};
use crate::user::User;

/// The most certificates in one directory.
const CERTIFICATES_MAX: usize = 100_000;

/// Lets in the clients that have one of these keys.
///
/// ```
/// use oncue::authenticators::StaticKeys;
/// use oncue::{Options, User, curve};
/// let ann = curve::generate();
/// let clients = StaticKeys::new().with(*ann.public(), User::new("ann").with("role", "desk"));
/// let options = Options::new().curve_server(curve::generate(), clients);
/// # let _ = options;
/// ```
#[derive(Clone, Debug, Default)]
pub struct StaticKeys(HashMap<PublicKey, User>);

impl StaticKeys {
    /// No key.
    pub fn new() -> StaticKeys {
        StaticKeys::default()
    }

    /// Adds the key of a user, who may have several.
    pub fn with(mut self, key: PublicKey, user: User) -> StaticKeys {
        self.0.insert(key, user);
        self
    }
}

impl Authenticator for StaticKeys {
    fn authenticate(&self, case: Case) {
        answer(case, |key| self.0.get(key).cloned());
    }
}

fn answer(case: Case, find: impl Fn(&PublicKey) -> Option<User>) {
    match &case.credentials {
        Credentials::Curve(key) => match find(key) {
            Some(user) => case.accept(user),
            None => {
                let reason = format!("nobody is known by the key {key}");
                case.refuse(reason);
            }
        },
        _ => case.refuse("it has no key: this side knows clients by their keys"),
    }
}

/// Lets in the clients whose public certificates are in a directory: the files `NAME.key`, as `oncue keygen`, pyzmq and czmq
/// write them. A client's user id is NAME, its attributes are the properties of the section `metadata`. The directory is
/// looked at about three times a second; [`on_change`](Self::on_change) tells of changes. A file that cannot be read after a
/// change leaves its former key in force, as long as it exists. All clones are one.
///
/// A client whose certificate is removed is let in no more; a connection that it has ends with
/// [`XPub::reconsider`](crate::XPub::reconsider).
#[derive(Clone)]
pub struct KeyDirectory(Arc<Directory>);

struct Directory {
    path: PathBuf,
    known: RwLock<Known>,
    followed: Arc<Followed>,
}

#[derive(Default)]
struct Known {
    /// By path: what the file looked like, and whom it lets in.
    files: BTreeMap<PathBuf, (Look, (PublicKey, User))>,
    users: HashMap<PublicKey, User>,
    /// What could not be read, and has been told.
    broken: BTreeMap<PathBuf, Look>,
}

/// What tells whether a file has changed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Look {
    changed: Option<SystemTime>,
    bytes: u64,
    /// Another file may have the same time and length: its number, and when its status changed.
    file: (u64, u64),
    status_changed: (i64, i64),
}

impl Look {
    pub(super) fn of(status: &fs::Metadata) -> Look {
        Look {
            changed: status.modified().ok(),
            bytes: status.len(),
            file: (status.dev(), status.ino()),
            status_changed: (status.ctime(), status.ctime_nsec()),
        }
    }
}

impl KeyDirectory {
    /// Reads the directory, and goes on looking at it.
    ///
    /// # Errors
    /// [`Io`](crate::ErrorKind::Io) if it cannot be read; [`Misuse`](crate::ErrorKind::Misuse) if a certificate in it is wrong:
    /// the text names the file and the line.
    pub fn open(path: impl Into<PathBuf>) -> Result<KeyDirectory> {
        let directory =
            Arc::new(Directory { path: path.into(), known: RwLock::default(), followed: Arc::default() });
        let changed = directory.look().map_err(|error| {
            Error::io(format!("the directory of keys {} cannot be read", directory.path.display()), error)
        })?;
        if let Some(problem) = changed.problems.first() {
            return Err(Error::misuse(problem.clone()));
        }
        directory.followed.follow(&directory, |directory| {
            directory.look().unwrap_or_else(|error| Changed {
                problems: vec![format!("{} cannot be read: {error}", directory.path.display())],
                ..Changed::default()
            })
        })?;
        Ok(KeyDirectory(directory))
    }

    /// Has `tell` called after each change, on a thread of this object's own.
    pub fn on_change(&self, tell: impl Fn(&Changed) + Send + Sync + 'static) {
        self.0.followed.tell(tell);
    }

    /// How many keys are let in.
    pub fn len(&self) -> usize {
        read_lock(&self.0.known).users.len()
    }

    /// Whether nobody is let in.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Authenticator for KeyDirectory {
    fn authenticate(&self, case: Case) {
        answer(case, |key| read_lock(&self.0.known).users.get(key).cloned());
    }

    fn still_knows(&self, user: &User) -> bool {
        // One with other attributes connects again.
        let same = |now: &User| now.id == user.id && now.attributes == user.attributes;
        user.key.is_none_or(|key| read_lock(&self.0.known).users.get(&key).is_some_and(same))
    }
}

impl Directory {
    /// Reads what is new.
    fn look(&self) -> std::io::Result<Changed> {
        let mut found = BTreeMap::new();
        for entry in fs::read_dir(&self.path)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "key") {
                // A file that is gone meanwhile is not there.
                if let Ok(status) = fs::metadata(&path)
                    && status.is_file()
                {
                    found.insert(path, Look::of(&status));
                }
            }
        }
        let mut changed = Changed::default();
        if found.len() > CERTIFICATES_MAX {
            changed.problems.push(format!(
                "{} has more than {CERTIFICATES_MAX} certificates; none is read",
                self.path.display()
            ));
            return Ok(changed);
        }
        let known = read_lock(&self.known);
        if found.len() == known.files.len()
            && found.iter().all(|(path, look)| known.files.get(path).is_some_and(|(known, _)| known == look))
        {
            return Ok(changed);
        }
        let (mut files, mut users, mut broken) = (BTreeMap::new(), HashMap::new(), BTreeMap::new());
        for (path, look) in found {
            let before = known.files.get(&path);
            let user = match before.filter(|(known, _)| *known == look) {
                Some((_, user)) => Some(user.clone()),
                None => match read(&path) {
                    Ok(user) => Some(user),
                    Err(why) => {
                        if known.broken.get(&path) != Some(&look) {
                            changed.problems.push(format!("{}: {why}", path.display()));
                        }
                        broken.insert(path.clone(), look);
                        before.map(|(_, user)| user.clone())
                    }
                },
            };
            if let Some((key, user)) = user {
                users.entry(key).or_insert_with(|| user.clone());
                files.insert(path, (look, (key, user)));
            }
        }
        let problems = changed.problems;
        changed = Changed::between(&known.users, &users, |_, user| user.id.clone());
        changed.problems = problems;
        drop(known);
        *write_lock(&self.known) = Known { files, users, broken };
        Ok(changed)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        self.followed.end();
    }
}

/// The key and the user of a certificate.
fn read(path: &Path) -> std::result::Result<(PublicKey, User), String> {
    let text = read_text(path).map_err(|error| error.to_string())?;
    let certificate = Certificate::parse(&text).map_err(|error| error.to_string())?;
    let id = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let mut user = User::new(id);
    user.attributes = certificate.metadata;
    Ok((certificate.public, user))
}

/// The text of a file that is not large.
pub(super) fn read_text(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    let file = fs::File::open(path)?;
    file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    match text.len() as u64 > FILE_BYTES_MAX {
        true => Err(std::io::Error::new(ErrorKind::FileTooLarge, "it is longer than 1 MiB")),
        false => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use oncue_interop::directory::Directory as Place;
    use oncue_interop::until;

    use super::*;
    use crate::curve;

    fn write(place: &Place, name: &str, key: &PublicKey) {
        let certificate =
            Certificate { public: *key, secret: None, metadata: vec![("role".into(), name.into())] };
        fs::write(place.path(name), certificate.write("a test", false).as_bytes()).unwrap();
    }

    #[test]
    fn a_directory_is_read_again_when_it_changes_and_a_broken_file_loses_nothing() {
        let place = Place::new();
        let (ann, bob) = (curve::generate(), curve::generate());
        write(&place, "ann.key", ann.public());
        fs::write(place.path("ann.key_secret"), "not read").unwrap();
        let keys = KeyDirectory::open(place.path("")).unwrap();
        let changes: Arc<std::sync::Mutex<Vec<Changed>>> = Arc::default();
        let noted = changes.clone();
        keys.on_change(move |changed| noted.lock().unwrap().push(changed.clone()));
        let user = read_lock(&keys.0.known).users[ann.public()].clone();
        assert_eq!((&user.id[..], user.attribute("role")), ("ann", Some("ann.key")));
        write(&place, "bob.key", bob.public());
        until("bob is known", || keys.len() == 2);
        fs::write(place.path("bob.key"), "half").unwrap();
        let problems = || changes.lock().unwrap().iter().filter(|c| !c.problems.is_empty()).count();
        fs::write(place.path("new.key"), "half").unwrap();
        until("the problems are told", || {
            changes.lock().unwrap().iter().any(|c| c.problems.iter().any(|p| p.contains("new.key")))
        });
        let told = problems();
        std::thread::sleep(std::time::Duration::from_millis(1000));
        assert_eq!(problems(), told, "a problem is told once");
        fs::remove_file(place.path("new.key")).unwrap();
        assert_eq!(keys.len(), 2);
        let known = User { key: Some(*bob.public()), ..User::new("bob").with("role", "bob.key") };
        assert!(keys.still_knows(&known));
        fs::remove_file(place.path("bob.key")).unwrap();
        until("bob is gone", || keys.len() == 1);
        assert!(!keys.still_knows(&known));
        until("it is told", || changes.lock().unwrap().iter().any(|c| c.removed == ["bob"]));
        assert!(changes.lock().unwrap().iter().any(|c| c.added == ["bob"]));
    }

    #[test]
    fn what_is_wrong_at_the_start_is_an_error_that_names_the_file() {
        let place = Place::new();
        fs::write(place.path("x.key"), "curve\n  public-key = \"short\"").unwrap();
        let error = KeyDirectory::open(place.path("")).map(drop).unwrap_err().to_string();
        assert!(error.contains("x.key") && error.contains("line 2"), "{error}");
        assert!(KeyDirectory::open(place.path("none")).is_err());
    }
}
