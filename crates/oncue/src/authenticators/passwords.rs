//! Clients by user name and password. Passwords are kept as hashes of Argon2 (RFC 9106), which take time to check: that is
//! done by a thread of its own.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, RwLock};
use std::thread;

use argon2::password_hash::phc::{PasswordHash, Salt};
use argon2::password_hash::{CustomizedPasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use oncue_core::mechanism::Credentials;

use super::followed::{Changed, Followed};
use super::keys::{Look, read_text};
use crate::authentication::{Authenticator, Case};
use crate::curve::random;
use crate::error::{Error, Result};
use crate::sync::{read_lock, write_lock};
use crate::user::User;

/// How many clients wait for the hash of their password to be computed. One takes some 20 ms: others come again.
const WAITING_MAX: usize = 64;
/// The most memory that the hash of a password may ask for, in KiB.
const MEMORY_KIB_MAX: u32 = 1 << 20;
/// The most work: memory times passes, in KiB. That is some seconds, in which nobody else's password is checked.
const WORK_KIB_MAX: u64 = 4 << 20;

/// Lets in the clients that say the password of one of the users in a file (PLAIN). Each line is
/// `NAME:HASH`, the hash as [`hash_password`] and `oncue passwd` write it (PHC string format, Argon2); an empty line and one
/// that begins with `#` mean nothing. The file is read again when it changes. All clones are one.
///
/// Hashes are computed on one thread; at most 64 clients wait for it, others are refused and may come again.
#[derive(Clone)]
pub struct Passwords(Arc<Shared>);

struct Shared {
    path: PathBuf,
    users: RwLock<HashMap<String, Arc<str>>>,
    /// How often the password of a user has changed.
    versions: RwLock<HashMap<String, u64>>,
    followed: Arc<Followed>,
    checks: SyncSender<Check>,
}

/// What the file looked like when it was read, and at the last look.
struct Looks {
    read: Option<Look>,
    last: Option<Look>,
}

/// A client whose password is to be checked.
struct Check {
    case: Case,
    hash: Option<Arc<str>>,
    /// That of the user when the hash was looked up.
    version: u64,
}

impl Passwords {
    /// Reads the file, and goes on looking at it.
    ///
    /// # Errors
    /// [`Io`](crate::ErrorKind::Io) if it cannot be read; [`Misuse`](crate::ErrorKind::Misuse) for a line that is wrong, which
    /// the text names.
    pub fn open(path: impl Into<PathBuf>) -> Result<Passwords> {
        let (checks, waiting) = sync_channel(WAITING_MAX);
        let shared = Arc::new(Shared {
            path: path.into(),
            users: RwLock::default(),
            versions: RwLock::default(),
            followed: Arc::default(),
            checks,
        });
        let name = shared.path.display().to_string();
        // Before it is read: what is written meanwhile is a change.
        let mut looks = Looks { read: shared.status(), last: None };
        let text = read_text(&shared.path)
            .map_err(|error| Error::io(format!("the file of passwords {name} cannot be read"), error))?;
        let users = users_of(&text).map_err(|why| Error::misuse(format!("{name}: {why}")))?;
        *write_lock(&shared.users) = users;
        let worker = thread::Builder::new().name("oncue passwords".to_owned());
        worker
            .spawn(move || check_all(&waiting))
            .map_err(|error| Error::io("a thread that checks passwords was not started", error))?;
        shared.followed.follow(&shared, move |shared| shared.look(&mut looks))?;
        Ok(Passwords(shared))
    }

    /// Has `tell` called after each change, on a thread of this object's own.
    pub fn on_change(&self, tell: impl Fn(&Changed) + Send + Sync + 'static) {
        self.0.followed.tell(tell);
    }
}

impl Authenticator for Passwords {
    fn authenticate(&self, case: Case) {
        let Credentials::Plain { user, .. } = &case.credentials else {
            return case.refuse("it has no password: this side knows clients by their passwords");
        };
        // A user that is not known takes the same time: who is known cannot be found out by it.
        let known = std::str::from_utf8(user).ok();
        let (hash, version) = {
            // The version changes under the lock of the users.
            let users = read_lock(&self.0.users);
            let hash = known.and_then(|user| users.get(user).cloned());
            (hash, known.map_or(0, |user| self.0.version(user)))
        };
        match self.0.checks.try_send(Check { case, hash, version }) {
            Ok(()) => {}
            Err(TrySendError::Full(check) | TrySendError::Disconnected(check)) => {
                check.case.put_off("too many passwords are checked at the same time");
            }
        }
    }

    fn still_knows(&self, user: &User) -> bool {
        read_lock(&self.0.users).contains_key(&user.id) && self.0.version(&user.id) == user.version
    }
}

impl Shared {
    fn version(&self, id: &str) -> u64 {
        read_lock(&self.versions).get(id).copied().unwrap_or_default()
    }

    fn status(&self) -> Option<Look> {
        fs::metadata(&self.path).ok().map(|status| Look::of(&status))
    }

    /// Reads the file if it has changed.
    fn look(&self, looks: &mut Looks) -> Changed {
        let status = self.status();
        // A file that is being written is not read: two looks must agree.
        let settled = std::mem::replace(&mut looks.last, status) == status;
        if status == looks.read || !settled {
            return Changed::default();
        }
        looks.read = status;
        let problem = |why: String| Changed {
            problems: vec![format!("{}: {why}", self.path.display())],
            ..Changed::default()
        };
        let users =
            match read_text(&self.path).map_err(|error| error.to_string()).and_then(|text| users_of(&text)) {
                Ok(users) => users,
                Err(why) => return problem(why),
            };
        let mut known = write_lock(&self.users);
        let changed = Changed::between(&known, &users, |id, _| id.clone());
        // Before the new passwords are in force: who was let in by an old one has an older version.
        let mut versions = write_lock(&self.versions);
        changed.removed.iter().for_each(|id| *versions.entry(id.clone()).or_default() += 1);
        *known = users;
        changed
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.followed.end();
    }
}

/// The users of a file, and the hashes of their passwords.
pub(crate) fn users_of(text: &str) -> std::result::Result<HashMap<String, Arc<str>>, String> {
    let mut users = HashMap::new();
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let wrong = |why: &str| format!("line {}: {why}", at + 1);
        let (name, hash) = line
            .split_once(':')
            .ok_or_else(|| wrong("there is no `:` between a name and the hash of a password"))?;
        let parsed = PasswordHash::new(hash).map_err(|error| {
            wrong(&format!("the hash cannot be read: {error}; make one with `oncue passwd`"))
        })?;
        // What is not checked here would refuse its user for ever, without a word.
        let params = Algorithm::try_from(parsed.algorithm.as_str())
            .and_then(|_| Params::try_from(&parsed))
            .map_err(|error| wrong(&format!("not a hash of Argon2: {error}")))?;
        if parsed.salt.is_none() || parsed.hash.is_none() {
            return Err(wrong("the hash is not complete; make one with `oncue passwd`"));
        }
        if params.m_cost() > MEMORY_KIB_MAX {
            return Err(wrong("the hash asks for more than 1 GiB of memory"));
        }
        if u64::from(params.m_cost()) * u64::from(params.t_cost()) > WORK_KIB_MAX {
            return Err(wrong("the hash asks for more passes than 4 over 1 GiB of memory"));
        }
        users.insert(name.to_owned(), hash.into());
    }
    Ok(users)
}

/// Checks passwords until no authenticator is left.
fn check_all(waiting: &Receiver<Check>) {
    // For users that are not known.
    let decoy = hash_password(b"nobody knows this one");
    while let Ok(Check { case, hash, version }) = waiting.recv() {
        let Credentials::Plain { user, password } = &case.credentials else { continue };
        let known = hash.as_deref();
        let genuine = known.or(decoy.as_deref().ok()).is_some_and(|hash| verifies(hash, password));
        match genuine && known.is_some() {
            true => {
                let id = String::from_utf8_lossy(user).into_owned();
                case.accept(User { version, ..User::new(id) });
            }
            false => case.refuse("user name or password is wrong"),
        }
    }
}

fn verifies(hash: &str, password: &[u8]) -> bool {
    PasswordHash::new(hash).is_ok_and(|hash| Argon2::default().verify_password(password, &hash).is_ok())
}

/// The hash of a password for a file of [`Passwords`]: Argon2id with 19 MiB and 2 passes (RFC 9106; the parameters are
/// OWASP's), and a random salt, in PHC string format.
///
/// # Errors
/// [`Misuse`](crate::ErrorKind::Misuse) for a password that is longer than 255 bytes, which PLAIN does not carry.
pub fn hash_password(password: &[u8]) -> Result<String> {
    if password.len() > oncue_core::mechanism::plain::CREDENTIAL_BYTES_MAX {
        return Err(Error::misuse("a password has at most 255 bytes (PLAIN); choose a shorter one"));
    }
    let mut salt = [0; Salt::RECOMMENDED_LENGTH];
    random(&mut salt);
    let hash = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::default());
    let hash = hash.hash_password_customized(password, &salt, None, None, Params::default());
    let hash = hash.map_err(|error| Error::misuse(format!("the password cannot be hashed: {error}")))?;
    Ok(PasswordHash::to_string(&hash))
}

#[cfg(test)]
mod tests {
    use oncue_interop::directory::Directory as Place;
    use oncue_interop::until;

    use super::*;

    #[test]
    fn a_hash_fits_to_its_password_alone_and_has_its_own_salt() {
        let (one, other) = (hash_password(b"secret").unwrap(), hash_password(b"secret").unwrap());
        assert!(one.starts_with("$argon2id$v=19$m=19456,t=2,p=1$") && one != other, "{one}");
        assert!(verifies(&one, b"secret") && !verifies(&one, b"Secret"));
        assert!(hash_password(&[b'x'; 256]).is_err());
    }

    #[test]
    fn a_file_is_read_again_when_it_changes_and_a_wrong_line_is_named() {
        let place = Place::new();
        let file = place.path("users");
        let hash = hash_password(b"a").unwrap();
        fs::write(&file, format!("# users\n\nann:{hash}\n")).unwrap();
        let passwords = Passwords::open(&file).unwrap();
        assert!(passwords.still_knows(&User::new("ann")));
        fs::write(&file, format!("bobby:{hash}\n")).unwrap();
        until("it is read", || passwords.still_knows(&User::new("bobby")));
        assert!(!passwords.still_knows(&User::new("ann")));
        fs::write(&file, "bobby\n").unwrap();
        let error = Passwords::open(&file).map(drop).unwrap_err().to_string();
        assert!(error.contains("line 1"), "{error}");
        fs::write(&file, "\nbobby:$argon2id$v=19$m=9999999,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA\n")
            .unwrap();
        let error = Passwords::open(&file).map(drop).unwrap_err().to_string();
        assert!(error.contains("line 2") && error.contains("1 GiB"), "{error}");
        fs::write(&file, "bobby:$argon2id$v=19$m=19456,t=9999999,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA\n")
            .unwrap();
        let error = Passwords::open(&file).map(drop).unwrap_err().to_string();
        assert!(error.contains("line 1") && error.contains("passes"), "{error}");
        for (hash, why) in
            [("$scrypt$ln=16$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA", "Argon2"), ("$argon2id", "complete")]
        {
            fs::write(&file, format!("bobby:{hash}\n")).unwrap();
            let error = Passwords::open(&file).map(drop).unwrap_err().to_string();
            assert!(error.contains("line 1") && error.contains(why), "{error}");
        }
        assert!(passwords.still_knows(&User::new("bobby")), "what was read before stays");
    }
}
