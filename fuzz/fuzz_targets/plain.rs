//! Either side of a PLAIN handshake with an untrusted peer: the outcome does not depend on how the bytes come in pieces,
//! nobody is in whom the authenticator did not let in, and it was asked about what the client has really said.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oncue_core::connection::SocketType;
use oncue_core::mechanism::plain::{self, Login};
use oncue_core::mechanism::{Credentials, Security};
use oncue_fuzz::handshake::{greeting, play_both, put_command};

fuzz_target!(|data: &[u8]| {
    let Some((&choice, bytes)) = data.split_first() else { return };
    let (is_server, accepts) = (choice & 1 == 0, choice & 2 == 0);
    let greeted = (choice & 4 == 0).then(|| greeting(plain::NAME, choice & 8 != 0));
    let bytes = [&greeted.unwrap_or_default(), bytes].concat();
    let login = || Login::new(b"user".to_vec(), b"password".to_vec()).unwrap();
    let security = if is_server { Security::PlainServer } else { Security::PlainClient(login()) };
    let ours = if is_server { SocketType::XPub } else { SocketType::Sub };
    let outcome = play_both(security, ours, accepts, &bytes, 1 + usize::from(choice >> 4));
    let done = matches!(outcome.end, Ok(Some(_)));
    // A server lets nobody in unasked, but a peer of ZMTP 2.0 is not even a peer.
    assert!(!(outcome.asked.is_empty() && is_server && done));
    assert!(is_server || outcome.asked.is_empty());
    for asked in &outcome.asked {
        let Credentials::Plain { user, password } = asked else { panic!("{asked:?} is not of PLAIN") };
        let mut hello = Vec::new();
        put_command(&mut hello, "HELLO", &[&[user.len() as u8], user, &[password.len() as u8], password]);
        // The header may have been a long one.
        let body = &hello[if hello.len() > 257 { 9 } else { 2 }..];
        assert!(bytes.windows(body.len()).any(|part| part == body), "the client has not said this");
    }
});
