//! The PLAIN mechanism (RFC 24): user name and password, readable by everybody on the way.
//!
//! Order on the wire: client HELLO - server WELCOME - client INITIATE - server READY.

use alloc::vec::Vec;
use core::fmt;

use zeroize::Zeroizing;

use super::step::{Credentials, Step};
use crate::command::{Command, Metadata, put_command, put_error, put_ready, split_short};
use crate::frame::{COMMAND, ProtocolError, put_header};
use crate::greeting::MechanismName;

/// PLAIN in the greeting.
pub const NAME: MechanismName = MechanismName::new("PLAIN");
/// The longest user name and password, in bytes.
pub const CREDENTIAL_BYTES_MAX: usize = 255;

/// How libzmq 4.3 begins an ERROR under PLAIN: the length byte of the name and its first letter are one wrong byte.
const REFUSAL_OF_LIBZMQ: &[u8] = b"^RROR";

/// A client's user name and password.
#[derive(Clone)]
pub struct Login {
    user: Vec<u8>,
    password: Zeroizing<Vec<u8>>,
}

impl Login {
    /// `None` if one of them is longer than [`CREDENTIAL_BYTES_MAX`].
    pub fn new(user: Vec<u8>, password: Vec<u8>) -> Option<Login> {
        let password = Zeroizing::new(password);
        let fits = user.len() <= CREDENTIAL_BYTES_MAX && password.len() <= CREDENTIAL_BYTES_MAX;
        fits.then_some(Login { user, password })
    }
}

/// Without the password.
impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Login({})", self.user.escape_ascii())
    }
}

/// One client's handshake.
#[derive(Debug)]
pub struct Client {
    login: Login,
    metadata: Metadata,
    welcomed: bool,
}

/// One handshake of a server.
#[derive(Debug)]
pub struct Server {
    metadata: Metadata,
    state: State,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Hello,
    Decision,
    Initiate,
}

impl Client {
    /// A handshake that sends `metadata`.
    pub fn new(login: Login, metadata: Metadata) -> Client {
        Client { login, metadata, welcomed: false }
    }

    /// Sends HELLO.
    pub(super) fn start(&mut self, out: &mut Vec<u8>) {
        let Login { user, password } = &self.login;
        put_command(out, "HELLO", &[&[user.len() as u8], user, &[password.len() as u8], password]);
    }

    pub(super) fn receive(&mut self, body: &[u8], out: &mut Vec<u8>) -> Result<Step, ProtocolError> {
        match Command::split(body) {
            Some((b"WELCOME", data)) if !self.welcomed => {
                if !data.is_empty() {
                    return Err(ProtocolError::CommandMalformed("WELCOME"));
                }
                self.welcomed = true;
                let mut metadata = Vec::new();
                self.metadata.put(&mut metadata);
                put_command(out, "INITIATE", &[&metadata]);
                Ok(Step::Continue)
            }
            Some((b"READY", data)) if self.welcomed => Ok(Step::Done(Metadata::parse(data)?)),
            Some((b"HELLO", _)) => Err(ProtocolError::SameRole { servers: false }),
            _ => refused_or(body),
        }
    }
}

impl Server {
    /// A handshake that sends `metadata`.
    pub fn new(metadata: Metadata) -> Server {
        Server { metadata, state: State::Hello }
    }

    pub(super) fn receive(&mut self, body: &[u8], out: &mut Vec<u8>) -> Result<Step, ProtocolError> {
        match (Command::split(body), &self.state) {
            (Some((b"HELLO", data)), State::Hello) => {
                let credentials = split_hello(data).ok_or(ProtocolError::CommandMalformed("HELLO"))?;
                self.state = State::Decision;
                Ok(Step::Authenticate(credentials))
            }
            (Some((b"INITIATE", data)), State::Initiate) => {
                let metadata = Metadata::parse(data)?;
                put_ready(out, &self.metadata);
                Ok(Step::Done(metadata))
            }
            _ => refused_or(body),
        }
    }

    /// The client is accepted: sends WELCOME.
    pub(super) fn accept(&mut self, out: &mut Vec<u8>) {
        if self.state == State::Decision {
            self.state = State::Initiate;
            put_command(out, "WELCOME", &[]);
        }
    }

    /// The client is refused: sends ERROR with a status code of ZAP (RFC 27). libzmq 4.3 spells its name otherwise under
    /// PLAIN, and takes nothing else; `as_libzmq` spells it like that.
    pub(super) fn refuse(&mut self, status: &str, as_libzmq: bool, out: &mut Vec<u8>) {
        match as_libzmq {
            true => {
                put_header(out, COMMAND, (REFUSAL_OF_LIBZMQ.len() + 1 + status.len()) as u64);
                out.extend_from_slice(REFUSAL_OF_LIBZMQ);
                out.push(status.len() as u8);
                out.extend_from_slice(status.as_bytes());
            }
            false => put_error(out, status),
        }
    }
}

fn split_hello(data: &[u8]) -> Option<Credentials> {
    let (user, rest) = split_short(data)?;
    let (password, rest) = split_short(rest)?;
    let password = Zeroizing::new(password.to_vec());
    rest.is_empty().then(|| Credentials::Plain { user: user.to_vec(), password })
}

/// An ERROR, in either spelling, or something that has no place here.
fn refused_or(body: &[u8]) -> Result<Step, ProtocolError> {
    if let Some((reason, _)) = body.strip_prefix(REFUSAL_OF_LIBZMQ).and_then(split_short) {
        return Ok(Step::Refused(reason.to_vec()));
    }
    match Command::parse(body)? {
        Command::Error { reason } => Ok(Step::Refused(reason.to_vec())),
        _ => Err(ProtocolError::UnexpectedInHandshake),
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    fn metadata() -> Metadata {
        let mut metadata = Metadata::new();
        metadata.add(b"Socket-Type", b"SUB");
        metadata
    }

    fn client(user: &[u8], password: &[u8]) -> Client {
        Client::new(Login::new(user.to_vec(), password.to_vec()).unwrap(), metadata())
    }

    #[test]
    fn the_bytes_are_those_of_the_rfc() {
        let (mut client, mut server) = (client(b"admin", b"secret"), Server::new(metadata()));
        let mut wire = Vec::new();
        client.start(&mut wire);
        assert_eq!(wire, b"\x04\x13\x05HELLO\x05admin\x06secret");
        let Step::Authenticate(asked) = server.receive(&wire[2..], &mut Vec::new()).unwrap() else {
            panic!("a server asks")
        };
        let password = Zeroizing::new(b"secret".to_vec());
        assert_eq!(asked, Credentials::Plain { user: b"admin".to_vec(), password });
        wire.clear();
        server.accept(&mut wire);
        assert_eq!(wire, b"\x04\x08\x07WELCOME");
        let mut initiate = Vec::new();
        assert!(matches!(client.receive(&wire[2..], &mut initiate).unwrap(), Step::Continue));
        assert_eq!(initiate, b"\x04\x1c\x08INITIATE\x0bSocket-Type\0\0\0\x03SUB");
        wire.clear();
        assert!(matches!(server.receive(&initiate[2..], &mut wire).unwrap(), Step::Done(_)));
        assert_eq!(wire, b"\x04\x19\x05READY\x0bSocket-Type\0\0\0\x03SUB");
        assert!(matches!(client.receive(&wire[2..], &mut Vec::new()).unwrap(), Step::Done(_)));
    }

    #[test]
    fn both_spellings_of_a_refusal_are_understood_and_either_can_be_sent() {
        for as_libzmq in [false, true] {
            let mut wire = Vec::new();
            Server::new(metadata()).refuse("400", as_libzmq, &mut wire);
            let expected: &[u8] =
                if as_libzmq { b"\x04\x09^RROR\x03400" } else { b"\x04\x0a\x05ERROR\x03400" };
            assert_eq!(wire, expected);
            match client(b"", b"").receive(&wire[2..], &mut Vec::new()).unwrap() {
                Step::Refused(reason) => assert_eq!(reason, b"400"),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn what_has_no_place_is_refused() {
        let empty = vec![];
        for body in
            [&b"\x05HELLO"[..], b"\x05HELLO\x01a", b"\x05HELLO\0\0x", b"\x07WELCOME", b"\x08INITIATE", b""]
        {
            assert!(Server::new(metadata()).receive(body, &mut Vec::new()).is_err());
        }
        for body in [&b"\x07WELCOMEx"[..], b"\x05READY", b"^RROR\x04400", b"\x05HELLO\0\0", &empty] {
            assert!(client(b"", b"").receive(body, &mut Vec::new()).is_err());
        }
        // INITIATE before the decision, and a second HELLO.
        let mut server = Server::new(metadata());
        server.receive(b"\x05HELLO\0\0", &mut Vec::new()).unwrap();
        assert!(server.receive(b"\x08INITIATE", &mut Vec::new()).is_err());
        assert!(server.receive(b"\x05HELLO\0\0", &mut Vec::new()).is_err());
        assert!(Login::new(vec![0; 256], vec![]).is_none());
    }
}
