//! A TCP connection in the making, to the first address of its host that answers (RFC 8305).

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rustix::io::Errno;
use socket2::Socket;

use super::address;
use super::poller::Poller;
use super::resolver::Answer;
use super::socks::{Conversation, Script};
use super::tuning::open_tcp;
use crate::connection::{Cause, ProxyFailure};
use crate::endpoint::Source;
use crate::options::NetOptions;

/// A connection that is not made yet. Its addresses are tried in order: the next one when one has failed, or in parallel
/// with those being tried when [`try_next`](Dialing::try_next) is called.
pub(crate) struct Dialing {
    poller: Arc<Poller>,
    token: usize,
    source: Option<Source>,
    options: Arc<NetOptions>,
    /// The addresses, until they are there.
    answer: Option<Answer>,
    /// By how many places the list of addresses is rotated.
    turn: u32,
    left: VecDeque<SocketAddr>,
    trying: Vec<Socket>,
    /// The error of the last address that failed.
    failure: Option<io::Error>,
    /// What is said to the proxy to which the addresses belong, and the conversation once the proxy is there.
    script: Option<Script>,
    conversation: Option<Conversation>,
}

impl Dialing {
    /// A connection to the addresses of `answer`; readiness is reported with `token`. The first address to be tried is
    /// `turn` places after the first in the list. With a `script` they are those of a proxy.
    pub(super) fn new(
        poller: Arc<Poller>,
        token: usize,
        source: Option<Source>,
        answer: Answer,
        turn: u32,
        script: Option<Script>,
        options: Arc<NetOptions>,
    ) -> Dialing {
        let (answer, left, trying) = (Some(answer), VecDeque::new(), Vec::new());
        let (failure, conversation) = (None, None);
        Dialing { poller, token, source, options, answer, turn, left, trying, failure, script, conversation }
    }

    /// Checks for progress. Returns the connection once there is one, and an error when all addresses have failed.
    pub(super) fn step(&mut self) -> io::Result<Option<(Socket, SocketAddr)>> {
        if self.conversation.is_none() {
            let reached = self.reach().map_err(|e| match &self.script {
                Some(script) => script.failed(ProxyFailure::NotReached(Box::new(Cause::of_connect(&e)))),
                None => e,
            })?;
            let Some((socket, address)) = reached else { return Ok(None) };
            let Some(script) = &self.script else { return Ok(Some((socket, address))) };
            self.left.clear();
            self.trying.drain(..).for_each(|other| self.poller.deregister(other));
            self.conversation = Some(Conversation::new(socket, address, script));
        }
        let (Some(script), Some(conversation)) = (&self.script, &mut self.conversation) else {
            return Ok(None);
        };
        match conversation.step(script)? {
            true => Ok(self.conversation.take().map(|done| (done.socket, done.address))),
            false => Ok(None),
        }
    }

    /// As [`step`](Self::step), up to the proxy if there is one.
    fn reach(&mut self) -> io::Result<Option<(Socket, SocketAddr)>> {
        if let Some(answer) = &self.answer {
            let Some(found) = answer.take() else { return Ok(None) };
            self.answer = None;
            self.left = address::allowed(found?, &"the host", self.options.ip_versions)?.into();
            let places = self.turn as usize % self.left.len().max(1);
            self.left.rotate_left(places);
        }
        let mut i = 0;
        while i < self.trying.len() {
            match made(&self.trying[i]) {
                Ok(Some(address)) => return Ok(Some((self.trying.swap_remove(i), address))),
                Ok(None) => i += 1,
                Err(e) => {
                    self.failure = Some(e);
                    self.poller.deregister(self.trying.swap_remove(i));
                }
            }
        }
        while self.trying.is_empty() {
            if self.left.is_empty() {
                return Err(self.failure.take().unwrap_or_else(|| io::ErrorKind::NotFound.into()));
            }
            self.try_next();
        }
        Ok(None)
    }

    /// The cause of the failure, if nothing more comes.
    pub(super) fn awaits(&self) -> Cause {
        let awaits = match self.answer {
            Some(_) => Cause::ResolverUnavailable,
            None => Cause::NoAnswer,
        };
        match (&self.script, &self.conversation) {
            (None, _) => awaits,
            (Some(_), None) => Cause::Proxy(ProxyFailure::NotReached(Box::new(awaits))),
            (Some(_), Some(_)) => Cause::Proxy(ProxyFailure::NoAnswer),
        }
    }

    /// Whether there are addresses that are not tried yet.
    pub(super) fn has_more(&self) -> bool {
        !self.left.is_empty()
    }

    /// Tries the next address in parallel with those being tried.
    pub(super) fn try_next(&mut self) {
        let Some(addr) = self.left.pop_front() else { return };
        match self.begin(&addr) {
            Ok(socket) => self.trying.push(socket),
            Err(e) => self.failure = Some(e),
        }
    }

    /// Begins to connect.
    fn begin(&self, to: &SocketAddr) -> io::Result<Socket> {
        let socket = open_tcp(to, &self.options)?;
        if let Some(source) = &self.source {
            if source.port != 0 {
                // Otherwise the port could not be used for a minute after each connection (TIME_WAIT).
                socket.set_reuse_address(true)?;
            }
            socket.bind(&address::to_connect_from(source, to)?.into())?;
        }
        match socket.connect(&(*to).into()) {
            Err(e) if Errno::from_io_error(&e) != Some(Errno::INPROGRESS) => return Err(e),
            _ => self.poller.register_both(&socket, self.token)?,
        }
        Ok(socket)
    }
}

impl Drop for Dialing {
    fn drop(&mut self) {
        let sockets = self.trying.iter().chain(self.conversation.as_ref().map(|talk| &talk.socket));
        sockets.for_each(|socket| self.poller.deregister(socket));
    }
}

/// The peer's address if the connection has been made; `None` if it has neither been made nor failed.
fn made(socket: &Socket) -> io::Result<Option<SocketAddr>> {
    if let Some(error) = socket.take_error()? {
        return Err(error);
    }
    match socket.peer_addr() {
        Ok(address) => Ok(address.as_socket()),
        Err(e) if e.kind() == io::ErrorKind::NotConnected => Ok(None),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::time::Duration;

    use super::super::poller::Report;
    use super::*;

    fn dial(addrs: Vec<SocketAddr>, turn: u32) -> io::Result<SocketAddr> {
        let poller = Arc::new(Poller::new().unwrap());
        let mut dialing =
            Dialing::new(poller.clone(), 1, None, Answer::known(addrs), turn, None, Arc::default());
        let mut report = Report::default();
        for _ in 0..100 {
            if let Some((_, address)) = dialing.step()? {
                return Ok(address);
            }
            poller.wait(&mut report, Some(Duration::from_millis(100)));
        }
        panic!("undecided after 10 s");
    }

    fn listener() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        (listener, addr)
    }

    /// An address without a listener.
    fn nobody() -> SocketAddr {
        listener().1
    }

    #[test]
    fn when_an_address_fails_the_next_one_is_tried_at_once() {
        let (_listener, there) = listener();
        assert_eq!(dial(vec![nobody(), nobody(), there], 0).unwrap(), there);
        let refused = dial(vec![nobody(), nobody()], 0).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(dial(Vec::new(), 0).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn an_address_that_led_nowhere_is_the_last_one_the_next_time() {
        let (listeners, addrs): (Vec<_>, Vec<_>) = (0..2).map(|_| listener()).unzip();
        for turn in 0..4 {
            assert_eq!(dial(addrs.clone(), turn).unwrap(), addrs[turn as usize % listeners.len()]);
        }
    }

    #[test]
    fn an_address_that_does_not_answer_is_overtaken() {
        let full = NetOptions { listen_backlog: 0, ..NetOptions::default() };
        // Its accept queue is full, so that the system answers no connection attempt.
        let silent = super::super::listen::tcp("127.0.0.1:0".parse().unwrap(), &full).unwrap();
        let at = silent.local_addr().unwrap().as_socket().unwrap();
        let _full: Vec<_> =
            (0..2).map(|_| std::net::TcpStream::connect_timeout(&at, Duration::from_millis(100))).collect();
        let (_listener, there) = listener();
        let poller = Arc::new(Poller::new().unwrap());
        let mut dialing =
            Dialing::new(poller.clone(), 1, None, Answer::known(vec![at, there]), 0, None, Arc::default());
        assert!(dialing.step().unwrap().is_none() && dialing.has_more());
        dialing.try_next();
        assert!(!dialing.has_more());
        let mut report = Report::default();
        let address = loop {
            if let Some((_, address)) = dialing.step().unwrap() {
                break address;
            }
            poller.wait(&mut report, Some(Duration::from_millis(100)));
        };
        assert_eq!(address, there);
    }
}
