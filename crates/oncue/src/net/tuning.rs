//! What the user has set for the system's sockets ([`NetOptions`]), applied to one socket.

use std::io;
use std::net::SocketAddr;

use socket2::{SockAddr, Socket, TcpKeepalive, Type};

use crate::options::{IpVersions, NetOptions};

/// A stream socket of the address's family that never blocks.
pub(super) fn open(addr: &SockAddr) -> io::Result<Socket> {
    Socket::new(addr.domain(), Type::STREAM.nonblocking().cloexec(), None)
}

/// A TCP socket that is to be bound or connected: some options count only if they are set before.
pub(super) fn open_tcp(addr: &SocketAddr, options: &NetOptions) -> io::Result<Socket> {
    let socket = open(&(*addr).into())?;
    if addr.is_ipv6() {
        socket.set_only_v6(options.ip_versions == IpVersions::V6)?;
    }
    if let Some(device) = &options.device {
        said(format!("the device {device:?} (bind_to_device)"), socket.bind_device(Some(device.as_bytes())))?;
    }
    tune_tcp(&socket, addr.is_ipv6(), options)?;
    Ok(socket)
}

/// Sets what holds for listening, connecting and accepted TCP sockets. Not all of it passes from a listener to what it
/// accepts.
pub(super) fn tune_tcp(socket: &Socket, v6: bool, options: &NetOptions) -> io::Result<()> {
    if let Some(byte) = options.type_of_service {
        let name = || format!("the type of service {byte:#x} (type_of_service)");
        // A socket of IPv6 may have a peer of IPv4.
        said(name(), socket.set_tos_v4(byte.into()))?;
        if v6 {
            said(name(), socket.set_tclass_v6(byte.into()))?;
        }
    }
    // The system derives a priority from the type of service.
    if let Some(priority) = options.priority {
        said(format!("the priority {priority} (socket_priority)"), socket.set_priority(priority))?;
    }
    if let Some(time) = options.user_timeout {
        said("tcp_user_timeout".into(), socket.set_tcp_user_timeout(Some(time)))?;
    }
    keep_alive(socket, options)?;
    set_buffers(socket, options);
    Ok(())
}

fn keep_alive(socket: &Socket, options: &NetOptions) -> io::Result<()> {
    let keepalive = &options.keepalive;
    let Some(on) = keepalive.is_on() else { return Ok(()) };
    let mut set = TcpKeepalive::new();
    if let Some(time) = keepalive.idle {
        set = set.with_time(time);
    }
    if let Some(time) = keepalive.interval {
        set = set.with_interval(time);
    }
    if let Some(count) = keepalive.count {
        set = set.with_retries(count);
    }
    said("tcp_keepalive".into(), socket.set_tcp_keepalive(&set).and_then(|()| socket.set_keepalive(on)))
}

/// The system clamps any number to its bounds.
pub(super) fn set_buffers(socket: &Socket, options: &NetOptions) {
    if let Some(bytes) = options.send_buffer {
        let _ = socket.set_send_buffer_size(bytes as usize);
    }
    if let Some(bytes) = options.recv_buffer {
        let _ = socket.set_recv_buffer_size(bytes as usize);
    }
}

fn said(what: String, result: io::Result<()>) -> io::Result<()> {
    result.map_err(|e| io::Error::new(e.kind(), format!("the system refuses {what}: {e}")))
}
