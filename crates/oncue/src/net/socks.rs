//! The way through a SOCKS5 proxy (RFC 1928, RFC 1929): what is said to it before a connection is the peer's. It never waits,
//! and reads not a byte beyond the proxy's last answer: what follows is the peer's.

use std::io;
use std::net::{IpAddr, SocketAddr};

use rustix::io::retry_on_intr;
use socket2::Socket;

use crate::connection::{ProxyFailure, ViaProxy};
use crate::endpoint::Host;
use crate::options::SocksProxy;

const VERSION: u8 = 5;
const LOGIN_VERSION: u8 = 1;
const NO_LOGIN: u8 = 0;
const LOGIN: u8 = 2;
const CONNECT: u8 = 1;
const BY_IPV4: u8 = 1;
const BY_NAME: u8 = 3;
const BY_IPV6: u8 = 4;
/// What an answer to CONNECT has besides an address: version, code, a reserved byte, the type of the address, a port.
const ANSWER_BYTES: usize = 6;

/// Everything that will be said to a proxy.
#[derive(Debug)]
pub(super) struct Script {
    proxy: String,
    offer: Vec<u8>,
    login: Option<Login>,
    request: Vec<u8>,
}

/// A user name and a password as they are sent. Not to be printed.
struct Login(Vec<u8>);

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("...")
    }
}

impl Script {
    /// To be connected to a host, whose name the proxy looks up.
    pub(super) fn new(proxy: &SocksProxy, host: &Host, port: u16) -> io::Result<Script> {
        let mut request = vec![VERSION, CONNECT, 0];
        match host {
            Host::Ip(IpAddr::V4(ip)) => {
                request.push(BY_IPV4);
                request.extend(ip.octets());
            }
            Host::Ip(IpAddr::V6(ip)) => {
                request.push(BY_IPV6);
                request.extend(ip.octets());
            }
            Host::Name(name) => {
                request.push(BY_NAME);
                put_short(&mut request, name)?;
            }
            Host::Any | Host::Scoped(..) => return Err(io::ErrorKind::InvalidInput.into()),
        }
        request.extend(port.to_be_bytes());
        let mut offer = vec![VERSION, 1, NO_LOGIN];
        let mut login = None;
        if let Some((username, password)) = &proxy.credentials {
            offer = vec![VERSION, 2, NO_LOGIN, LOGIN];
            let mut bytes = vec![LOGIN_VERSION];
            put_short(&mut bytes, username)?;
            put_short(&mut bytes, password)?;
            login = Some(Login(bytes));
        }
        Ok(Script { proxy: proxy.to_string(), offer, login, request })
    }

    /// The proxy has not made the connection.
    pub(super) fn failed(&self, why: ProxyFailure) -> io::Error {
        ViaProxy::error(&self.proxy, why)
    }
}

/// A text with its length in a byte before it.
fn put_short(out: &mut Vec<u8>, text: &str) -> io::Result<()> {
    out.push(u8::try_from(text.len()).map_err(|_| io::ErrorKind::InvalidInput)?);
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

/// What is awaited from the proxy.
#[derive(Clone, Copy, Debug)]
enum Awaits {
    /// Which of the offered ways to log in it takes.
    Choice,
    /// Whether the login is right.
    Login,
    /// Whether it has made the connection.
    Answer,
}

/// A connection to a proxy on its way to be one to the peer.
#[derive(Debug)]
pub(super) struct Conversation {
    pub(super) socket: Socket,
    /// Where the proxy is.
    pub(super) address: SocketAddr,
    awaits: Awaits,
    /// What is not sent yet.
    unsent: Vec<u8>,
    /// What has come of the answer that is awaited.
    heard: Vec<u8>,
}

impl Conversation {
    pub(super) fn new(socket: Socket, address: SocketAddr, script: &Script) -> Conversation {
        let (awaits, unsent) = (Awaits::Choice, script.offer.clone());
        Conversation { socket, address, awaits, unsent, heard: Vec::new() }
    }

    /// Goes on as far as the system allows. Returns whether the connection is the peer's now.
    pub(super) fn step(&mut self, script: &Script) -> io::Result<bool> {
        loop {
            if !self.send(script)? || !self.hear(script)? {
                return Ok(false);
            }
            let heard = std::mem::take(&mut self.heard);
            match self.awaits {
                Awaits::Choice => match (heard[1], &script.login) {
                    _ if heard[0] != VERSION => return Err(script.failed(ProxyFailure::NotSocks5)),
                    (NO_LOGIN, _) => self.request(script),
                    (LOGIN, Some(Login(bytes))) => {
                        (self.awaits, self.unsent) = (Awaits::Login, bytes.clone());
                    }
                    _ => return Err(script.failed(ProxyFailure::NoCommonLogin)),
                },
                Awaits::Login if heard[0] != LOGIN_VERSION => {
                    return Err(script.failed(ProxyFailure::NotSocks5));
                }
                Awaits::Login if heard[1] != 0 => return Err(script.failed(ProxyFailure::LoginRefused)),
                Awaits::Login => self.request(script),
                Awaits::Answer if heard[0] != VERSION => {
                    return Err(script.failed(ProxyFailure::NotSocks5));
                }
                Awaits::Answer => {
                    return ProxyFailure::of_code(heard[1]).map_or(Ok(true), |why| Err(script.failed(why)));
                }
            }
        }
    }

    fn request(&mut self, script: &Script) {
        (self.awaits, self.unsent) = (Awaits::Answer, script.request.clone());
    }

    /// Whether everything is sent.
    fn send(&mut self, script: &Script) -> io::Result<bool> {
        while !self.unsent.is_empty() {
            match retry_on_intr(|| rustix::io::write(&self.socket, &self.unsent)).map_err(io::Error::from) {
                Ok(n) => drop(self.unsent.drain(..n)),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(e) => return Err(script.failed(ProxyFailure::of_stream(&e))),
            }
        }
        Ok(true)
    }

    /// Whether the whole answer has come that is awaited.
    fn hear(&mut self, script: &Script) -> io::Result<bool> {
        let mut space = [0; ANSWER_BYTES + 1 + u8::MAX as usize];
        while let Some(missing) = self.missing(script)? {
            let read = retry_on_intr(|| rustix::io::read(&self.socket, &mut space[..missing]));
            match read.map_err(io::Error::from) {
                Ok(0) => return Err(script.failed(ProxyFailure::Closed)),
                Ok(n) => self.heard.extend_from_slice(&space[..n]),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(e) => return Err(script.failed(ProxyFailure::of_stream(&e))),
            }
        }
        Ok(true)
    }

    /// How many bytes of the answer are missing, as far as its beginning tells; `None` if it is complete.
    fn missing(&self, script: &Script) -> io::Result<Option<usize>> {
        let length = match (self.awaits, &self.heard[..]) {
            (Awaits::Choice | Awaits::Login, _) => 2,
            // A refusal may come without the rest.
            (Awaits::Answer, [version, code, ..]) if *version != VERSION || *code != 0 => 2,
            (Awaits::Answer, [_, _, _, BY_IPV4, ..]) => ANSWER_BYTES + 4,
            (Awaits::Answer, [_, _, _, BY_IPV6, ..]) => ANSWER_BYTES + 16,
            (Awaits::Answer, [_, _, _, BY_NAME, length, ..]) => ANSWER_BYTES + 1 + usize::from(*length),
            (Awaits::Answer, [_, _, _, BY_NAME]) => 5,
            (Awaits::Answer, [_, _, _, _, ..]) => return Err(script.failed(ProxyFailure::NotSocks5)),
            (Awaits::Answer, [_, _, ..]) => 4,
            (Awaits::Answer, _) => 2,
        };
        Ok(length.checked_sub(self.heard.len()).filter(|missing| *missing > 0))
    }
}
