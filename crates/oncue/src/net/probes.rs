//! How the system detects that the other side of a TCP connection has vanished: keepalive while the connection is idle, and
//! a bound on how long written data may be unacknowledged.

use std::io;
use std::time::Duration;

use socket2::{Socket, TcpKeepalive};

/// Has the system fail the connection when the other side has answered nothing for `timeout`; it is probed after `idle`.
/// What the user has set for keepalive stays if it fails the connection at least as soon, and likewise the time for an
/// acknowledgement.
pub(super) fn set(socket: &Socket, idle: Duration, timeout: Duration) -> io::Result<()> {
    let probes = Probes::within(idle, timeout);
    let total = Duration::from_secs(probes.total_secs());
    if !fails_within(socket, total)? {
        let keepalive = TcpKeepalive::new()
            .with_time(Duration::from_secs(probes.idle_secs))
            .with_interval(Duration::from_secs(probes.interval_secs))
            .with_retries(probes.count);
        socket.set_tcp_keepalive(&keepalive)?;
    }
    match socket.tcp_user_timeout()? {
        Some(time) if time <= total => Ok(()),
        _ => socket.set_tcp_user_timeout(Some(total)),
    }
}

/// Whether keepalive is on and fails an idle connection in this time.
fn fails_within(socket: &Socket, time: Duration) -> io::Result<bool> {
    if !socket.keepalive()? {
        return Ok(false);
    }
    let probed = socket.tcp_keepalive_interval()? * socket.tcp_keepalive_retries()?;
    Ok(socket.tcp_keepalive_time()? + probed <= time)
}

/// When the system probes an idle peer, in whole seconds. Data that is not acknowledged, or that the peer has no room for,
/// may wait as long as all probes take.
#[derive(Debug, PartialEq, Eq)]
struct Probes {
    idle_secs: u64,
    interval_secs: u64,
    count: u32,
}

impl Probes {
    /// The most probes, among which the time is divided.
    const COUNT_MAX: u64 = 5;
    /// The longest idle time and interval that Linux accepts.
    const SECS_MAX: u64 = 32_767;

    fn within(idle: Duration, timeout: Duration) -> Probes {
        let secs = |time: Duration| {
            let rounded_up = time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0));
            rounded_up.clamp(1, Probes::SECS_MAX)
        };
        let idle_secs = secs(idle);
        let left = secs(timeout).saturating_sub(idle_secs).max(1);
        let interval_secs = left.div_ceil(Probes::COUNT_MAX);
        let count = left.div_ceil(interval_secs) as u32;
        Probes { idle_secs, interval_secs, count }
    }

    fn total_secs(&self) -> u64 {
        self.idle_secs + self.interval_secs * u64::from(self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_take_as_long_as_the_timeout_in_whole_seconds() {
        let probes =
            |idle, timeout| Probes::within(Duration::from_millis(idle), Duration::from_millis(timeout));
        assert_eq!(probes(5000, 15_000), Probes { idle_secs: 5, interval_secs: 2, count: 5 });
        for (idle, timeout, total) in
            [(5000, 15_000, 15), (1000, 3000, 3), (300, 1000, 2), (1, 1, 2), (1500, 2500, 3)]
        {
            assert_eq!(probes(idle, timeout).total_secs(), total, "{idle} {timeout}");
        }
        for idle in 1..40 {
            for timeout in 2 * idle..100 {
                let total = probes(idle * 1000, timeout * 1000).total_secs();
                assert!((timeout..timeout + Probes::COUNT_MAX).contains(&total), "{idle} {timeout}: {total}");
            }
        }
        let longest = Probes::within(Duration::MAX, Duration::MAX);
        assert!(longest.idle_secs <= Probes::SECS_MAX && longest.interval_secs <= Probes::SECS_MAX);
    }

    #[test]
    fn a_tcp_stream_takes_the_probes() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let socket = Socket::from(stream);
        set(&socket, Duration::from_secs(5), Duration::from_secs(15)).unwrap();
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(5));
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), Duration::from_secs(2));
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), 5);
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(Duration::from_secs(15)));
    }

    #[test]
    fn the_stricter_of_heartbeats_and_keepalive_counts() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let probed = |idle: u64, interval: u64, count: u32, user_timeout: u64| {
            let socket = Socket::from(std::net::TcpStream::connect(at).unwrap());
            let secs = Duration::from_secs;
            let own =
                TcpKeepalive::new().with_time(secs(idle)).with_interval(secs(interval)).with_retries(count);
            socket.set_tcp_keepalive(&own).unwrap();
            socket.set_tcp_user_timeout(Some(secs(user_timeout))).unwrap();
            set(&socket, secs(5), secs(15)).unwrap();
            let time = socket.tcp_keepalive_time().unwrap().as_secs();
            let interval = socket.tcp_keepalive_interval().unwrap().as_secs();
            let timeout = socket.tcp_user_timeout().unwrap().unwrap().as_secs();
            (time, interval, socket.tcp_keepalive_retries().unwrap(), timeout)
        };
        assert_eq!(probed(3, 1, 2, 4), (3, 1, 2, 4), "what fails sooner stays");
        assert_eq!(probed(60, 10, 3, 90), (5, 2, 5, 15), "what fails later does not");
        assert_eq!(probed(60, 10, 3, 4), (5, 2, 5, 4), "each on its own");
    }
}
