//! Listening sockets of the system: TCP, and Unix sockets with their files.

use std::fs::{File, Permissions};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::{AtFlags, Gid, Mode, OFlags, Uid};
use socket2::{SockAddr, Socket, Type};

use super::tuning::{open, open_tcp};
use crate::endpoint::Endpoint;
use crate::options::NetOptions;

/// Listens at a TCP address.
pub(super) fn tcp(addr: SocketAddr, options: &NetOptions) -> io::Result<Socket> {
    let socket = open_tcp(&addr, options)?;
    socket.set_reuse_address(true)?;
    socket.bind(&addr.into())?;
    listening(socket, options)
}

/// The address of a name in Linux's abstract namespace.
pub(super) fn abstract_addr(name: &str) -> io::Result<SockAddr> {
    SockAddr::unix(format!("\0{name}"))
}

/// Listens at an address of a Unix socket.
pub(super) fn unix(addr: &SockAddr, options: &NetOptions) -> io::Result<Socket> {
    let socket = open(addr)?;
    socket.bind(addr)?;
    listening(socket, options)
}

/// Listens at a path. A file left behind by a process that no longer listens is replaced.
pub(super) fn path(path: &Path, options: &NetOptions) -> io::Result<(SocketFile, Socket)> {
    remove_stale(path)?;
    let addr = SockAddr::unix(path)?;
    let socket = open(&addr)?;
    socket.bind(&addr)?;
    let (file, opened) = SocketFile::bound(path)?;
    // Before the socket listens no peer can connect.
    permit(&opened, path, options)?;
    Ok((file, listening(socket, options)?))
}

/// A socket that was passed to this process, if it listens, and its endpoint.
pub(super) fn passed(passed: OwnedFd) -> io::Result<(Socket, Endpoint)> {
    let wrong = |why: &str| io::Error::new(io::ErrorKind::InvalidInput, why);
    let socket = Socket::from(passed);
    let kind = socket.r#type().map_err(|_| wrong("it is not a socket"))?;
    if kind != Type::STREAM || !socket.is_listener()? {
        return Err(wrong("it does not listen; pass a stream socket after bind and listen"));
    }
    let local = socket.local_addr()?;
    let endpoint = if let Some(addr) = local.as_socket() {
        Endpoint::from_tcp(addr)
    } else if let Some(path) = local.as_pathname() {
        Endpoint::Ipc(path.to_owned())
    } else if let Some(name) = local.as_abstract_namespace() {
        Endpoint::Abstract(String::from_utf8_lossy(name).into_owned())
    } else {
        return Err(wrong("it is neither a TCP nor a Unix socket"));
    };
    socket.set_nonblocking(true)?;
    socket.set_cloexec(true)?;
    Ok((socket, endpoint))
}

/// A path for `ipc://*`, unused by this process.
pub(super) fn fresh_path() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("oncue-{}-{n}.sock", std::process::id()))
}

fn listening(socket: Socket, options: &NetOptions) -> io::Result<Socket> {
    // The system caps it.
    socket.listen(i32::try_from(options.listen_backlog).unwrap_or(i32::MAX))?;
    Ok(socket)
}

/// Gives a socket's file the owner and the mode that were asked for.
fn permit(file: &File, path: &Path, options: &NetOptions) -> io::Result<()> {
    let NetOptions { ipc_mode: mode, ipc_user: user, ipc_group: group, .. } = *options;
    let said = |what: String, remedy: &str, e: io::Error| {
        io::Error::new(e.kind(), format!("{} cannot have {what}: {e}{remedy}", path.display()))
    };
    if user.is_some() || group.is_some() {
        let (uid, gid) = (user.map(Uid::from_raw), group.map(Gid::from_raw));
        rustix::fs::chownat(file, "", uid, gid, AtFlags::EMPTY_PATH).map_err(|e| {
            let named = [("user", user, "ipc_user"), ("group", group, "ipc_group")];
            let named =
                named.into_iter().filter_map(|(what, id, name)| Some(format!("the {what} {} ({name})", id?)));
            let remedy = "; only root may choose another user, or a group of which it is not a member";
            said(named.collect::<Vec<_>>().join(" and "), remedy, e.into())
        })?;
    }
    if let Some(mode) = mode {
        // chmod(2) takes no descriptor of a file that is not open for reading or writing, but its name.
        let this = format!("/proc/self/fd/{}", file.as_raw_fd());
        let failed = |e| said(format!("the mode {mode:#o} (ipc_mode)"), "", e);
        std::fs::set_permissions(this, Permissions::from_mode(mode)).map_err(failed)?;
    }
    let meta = file.metadata()?;
    let is_so = |wanted: Option<u32>, is: u32| wanted.is_none_or(|wanted| wanted == is);
    match is_so(mode, meta.mode() & 0o7777) && is_so(user, meta.uid()) && is_so(group, meta.gid()) {
        true => Ok(()),
        false => {
            let why = format!("the file system of {} has no modes or owners of its own", path.display());
            Err(io::Error::new(io::ErrorKind::Unsupported, why))
        }
    }
}

/// The file of a Unix socket that is bound here. Dropping this removes the file, unless another process has replaced it. A
/// file that replaces it between the check and the removal is lost: the system has no conditional removal. It must be
/// dropped while the socket is open: until then no other file can have its inode.
pub(super) struct SocketFile {
    /// Absolute, so that it stays valid when the working directory changes.
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl SocketFile {
    /// The file at this path, where a socket of this process was just bound, and the file itself: it stays that whatever
    /// replaces it at its path.
    fn bound(path: &Path) -> io::Result<(SocketFile, File)> {
        let path = std::path::absolute(path)?;
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::open(&path, flags, Mode::empty())?);
        let meta = file.metadata()?;
        if !meta.file_type().is_socket() {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "another file has replaced that of the socket",
            ));
        }
        Ok((SocketFile { path, device: meta.dev(), inode: meta.ino() }, file))
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours = std::fs::symlink_metadata(&self.path)
            .is_ok_and(|meta| (meta.dev(), meta.ino()) == (self.device, self.inode));
        if ours {
            // It fails if the file is gone already, which is what is wanted.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Removes the socket file that a dead process left behind; a live socket, and any other kind of file, is left alone. Two
/// processes may do this at the same time, and the later one must not remove what the earlier one has bound: so the file is
/// checked once more, right before it is removed.
fn remove_stale(path: &Path) -> io::Result<()> {
    let Ok(meta) = std::fs::symlink_metadata(path) else { return Ok(()) };
    if !meta.file_type().is_socket() {
        return Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "a file that is not a socket is in the way",
        ));
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => {}
        // It is gone already.
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        _ => return Err(io::ErrorKind::AddrInUse.into()),
    }
    // The next file may have the same inode, but not the same change time.
    let same = |now: &std::fs::Metadata| {
        let key = |m: &std::fs::Metadata| (m.dev(), m.ino(), m.ctime(), m.ctime_nsec());
        key(now) == key(&meta)
    };
    match std::fs::symlink_metadata(path) {
        Ok(now) if same(&now) => std::fs::remove_file(path),
        Ok(_) => Err(io::ErrorKind::AddrInUse.into()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener as Other;

    use super::*;

    #[test]
    fn a_socket_file_is_removed_only_by_the_socket_that_made_it() {
        let at = fresh_path();
        let (file, listener) = path(&at, &NetOptions::default()).unwrap();
        drop(file);
        assert!(!at.exists());
        drop(listener);

        let (file, first) = path(&at, &NetOptions::default()).unwrap();
        std::fs::remove_file(&at).unwrap();
        let taken_over = Other::bind(&at).unwrap();
        drop((file, first));
        assert!(at.exists(), "the file of the socket that has taken over the path stays");
        let blocked = path(&at, &NetOptions::default()).err().expect("a socket listens there");
        assert_eq!(blocked.kind(), io::ErrorKind::AddrInUse);

        drop(taken_over);
        let (file, _listener) =
            path(&at, &NetOptions::default()).expect("what a dead process left is replaced");
        drop(file);
        assert!(!at.exists());
    }
}
