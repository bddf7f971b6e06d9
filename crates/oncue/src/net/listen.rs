//! Listening sockets of the system: TCP, and Unix sockets with their files.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use socket2::{SockAddr, Socket};

use super::tuning::{open, open_tcp};
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
    let socket = unix(&SockAddr::unix(path)?, options)?;
    Ok((SocketFile::bound(path)?, socket))
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
    fn bound(path: &Path) -> io::Result<SocketFile> {
        let path = std::path::absolute(path)?;
        let meta = std::fs::symlink_metadata(&path)?;
        Ok(SocketFile { path, device: meta.dev(), inode: meta.ino() })
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
