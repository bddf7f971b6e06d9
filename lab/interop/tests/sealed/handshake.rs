//! The handshake: its commands, what is wrong with them, and sides that stall or close.

use oncue::curve::{self, CurveError};
use oncue::{Case, Cause, ConnectionEventKind as Kind};
use oncue_core::command::Metadata;
use oncue_core::frame::ProtocolError;
use oncue_interop::raw::{frame, greeting};
use oncue_interop::sealed::{COMMAND, LONG, Sealed, answer, client, greet, hello, socket_type};
use oncue_interop::{PATIENCE, within_a_minute};
use std::time::{Duration, Instant};

use super::{Client, ORDER, Server, broke, next};

#[test]
fn a_server_need_not_say_that_it_is_one() {
    within_a_minute(|| {
        let ours = Client::new();
        ours.socket.subscribe("a").unwrap();
        // libzmq's servers say nothing in byte 32 of the greeting, those of pyomq do.
        for as_server in [false, true] {
            let mut peer = Sealed::server(ours.accept(), 1, as_server, ours.mechanism());
            peer.expect(ORDER, b"\x09SUBSCRIBEa");
        }
    });
}

#[test]
fn the_commands_of_a_handshake_are_those_of_the_rfc() {
    within_a_minute(|| {
        let ours = Client::new();
        let mut raw = ours.accept();
        let mut mechanism = ours.mechanism();
        greet(&mut raw, 1, false, false);
        let (flags, hello) = raw.read_frame();
        assert_eq!((flags, hello.len()), (COMMAND, 200));
        assert!(hello.starts_with(b"\x05HELLO\x01\0") && hello[8..80].iter().all(|&byte| byte == 0));
        assert_eq!(hello[112..120], 1_u64.to_be_bytes());
        raw.write(&answer(&mut mechanism, &hello));
        let (flags, initiate) = raw.read_frame();
        assert_eq!(flags, COMMAND | LONG);
        assert!(initiate.starts_with(b"\x08INITIATE") && initiate.len() > 257);
        assert_eq!(initiate[105..113], 2_u64.to_be_bytes());

        let ours = Server::new();
        let mut raw = ours.connect();
        let mut mechanism = ours.mechanism(socket_type("SUB"));
        greet(&mut raw, 1, false, true);
        raw.write(&self::hello(&mut mechanism));
        let (flags, welcome) = raw.read_frame();
        assert_eq!((flags, welcome.len()), (COMMAND, 168));
        assert!(welcome.starts_with(b"\x07WELCOME"));
        raw.write(&answer(&mut mechanism, &welcome));
        let (flags, ready) = raw.read_frame();
        assert!(flags == COMMAND && ready.starts_with(b"\x05READY"));
        assert_eq!(ready[6..14], 1_u64.to_be_bytes());
    });
}

#[test]
fn a_cookie_is_good_on_its_own_connection_alone_and_a_hello_on_any() {
    within_a_minute(|| {
        let ours = Server::new();
        let (mut one, mut other) = (ours.connect(), ours.connect());
        let mut mechanism = ours.mechanism(socket_type("SUB"));
        let bytes = hello(&mut mechanism);
        for raw in [&mut one, &mut other] {
            greet(raw, 1, false, true);
            raw.write(&bytes);
        }
        let (_, welcome) = one.read_frame();
        // The same HELLO is answered on the other connection, with a cookie of its own.
        let (_, others) = other.read_frame();
        assert!(others.len() == welcome.len() && others != welcome);
        let initiate = answer(&mut mechanism, &welcome);
        other.write(&initiate);
        assert_eq!(ours.cause(), broke(CurveError::Cookie));
        other.expect_end();
        // Here it is good, also after a while: nothing but the deadline of the handshake bounds it.
        std::thread::sleep(Duration::from_millis(300));
        one.write(&initiate);
        let (_, ready) = one.read_frame();
        assert!(ready.starts_with(b"\x05READY"));
        // A replay on a third connection.
        let mut third = ours.connect();
        greet(&mut third, 1, false, true);
        third.write(&bytes);
        third.read_frame();
        third.write(&initiate);
        assert_eq!(ours.cause(), broke(CurveError::Cookie));
        third.expect_end();
    });
}

#[test]
fn a_handshake_out_of_order_or_shape_is_refused_and_named() {
    within_a_minute(|| {
        let ours = Server::new();
        let first = |bytes: &[u8]| {
            let mut raw = ours.connect();
            greet(&mut raw, 1, false, true);
            raw.write(bytes);
            let cause = ours.cause();
            let left = raw.expect_end();
            assert!(left.is_empty(), "libzmq sends no ERROR here, nor do we: {}", left.escape_ascii());
            cause
        };
        let good = || {
            let frame = hello(&mut ours.mechanism(socket_type("SUB")));
            frame[2..].to_vec()
        };
        let with = |at: usize, byte: u8| {
            let mut body = good();
            body[at] = byte;
            frame(COMMAND, &body)
        };
        let malformed = broke(CurveError::Malformed("HELLO"));
        let unexpected = Cause::Protocol(ProtocolError::UnexpectedInHandshake);
        for (what, bytes, expected) in [
            ("one byte too few", frame(COMMAND, &good()[..199]), malformed.clone()),
            ("one byte too many", frame(COMMAND, &[&good()[..], b"x"].concat()), malformed.clone()),
            ("version 1.1", with(7, 1), broke(CurveError::Version { major: 1, minor: 1 })),
            ("version 2.0", with(6, 2), broke(CurveError::Version { major: 2, minor: 0 })),
            ("a byte in the padding", with(50, 1), malformed),
            ("a changed box", with(150, 0x5a), broke(CurveError::Box("HELLO"))),
            // libzmq takes it; pyomq does not. RFC 37 says "command".
            ("no COMMAND flag", frame(0, &good()), unexpected.clone()),
            ("READY of NULL", frame(COMMAND, b"\x05READY"), unexpected.clone()),
            (
                "INITIATE first",
                frame(COMMAND, &[b"\x08INITIATE".as_slice(), &[0; 300]].concat()),
                unexpected.clone(),
            ),
            ("traffic", frame(0, b"\x01a"), unexpected.clone()),
        ] {
            assert_eq!(first(&bytes), expected, "{what}");
        }
        // A second HELLO.
        let mut raw = ours.connect();
        greet(&mut raw, 1, false, true);
        let bytes = hello(&mut ours.mechanism(socket_type("SUB")));
        raw.write(&bytes);
        raw.read_frame();
        raw.write(&bytes);
        assert_eq!(ours.cause(), unexpected);
        raw.expect_end();
        // A changed INITIATE: the cookie, the box.
        for (at, fault) in [(30, CurveError::Cookie), (200, CurveError::Box("INITIATE"))] {
            let mut raw = ours.connect();
            let mut mechanism = ours.mechanism(socket_type("SUB"));
            greet(&mut raw, 1, false, true);
            raw.write(&hello(&mut mechanism));
            let (_, welcome) = raw.read_frame();
            let mut initiate = answer(&mut mechanism, &welcome);
            initiate[9 + at] ^= 1;
            raw.write(&initiate);
            assert_eq!(ours.cause(), broke(fault));
            raw.expect_end();
        }
    });
}

#[test]
fn the_names_of_properties_may_be_in_lower_case_and_the_type_must_fit() {
    within_a_minute(|| {
        let ours = Server::new();
        let property = |name: &str, value: &str| {
            let mut metadata = Metadata::new();
            metadata.add(name.as_bytes(), value.as_bytes());
            metadata
        };
        // RFC 37 says that case does not matter; libzmq 4.3.5 does not recognise it, pyomq does.
        let mut peer = Sealed::client(ours.connect(), 1, ours.mechanism(property("socket-type", "XSUB")));
        peer.command(b"\x09SUBSCRIBEa");
        assert_eq!(ours.hears(), "+a");
        let profile = ours.socket.peers().unwrap()[0].profile.clone();
        assert_eq!(profile.socket_type.name(), "XSUB");
        drop(peer);
        assert_eq!(ours.hears(), "-a");
        assert_eq!(ours.cause(), Cause::Closed);
        for name in ["Socket-Type", "socket-type"] {
            let mut raw = ours.connect();
            let mut mechanism = ours.mechanism(property(name, "PULL"));
            greet(&mut raw, 1, false, true);
            raw.write(&hello(&mut mechanism));
            let (_, welcome) = raw.read_frame();
            raw.write(&answer(&mut mechanism, &welcome));
            assert_eq!(ours.cause().to_string(), "it is a PULL, not a subscriber");
            raw.expect_end();
        }
    });
}

#[test]
fn a_peer_of_2_0_or_without_curve_is_refused_by_name() {
    within_a_minute(|| {
        let ours = Server::new();
        // Signature, revision 1, SUB, no identity.
        let mut raw = ours.connect();
        raw.write(b"\xff\0\0\0\0\0\0\0\x01\x7f\x01\x02\0\0\0\x02\x01a");
        assert_eq!(ours.cause().to_string(), "it has no CURVE");
        raw.expect_end();
        for (minor, mechanism, phrase) in [
            (1, "NULL", "it has no CURVE"),
            (0, "NULL", "it has no CURVE"),
            (1, "PLAIN", "it wants PLAIN"),
            (1, "curve", "it wants curve"),
        ] {
            let mut raw = ours.connect();
            raw.write(&greeting(minor, mechanism, false));
            assert_eq!(ours.cause().to_string(), phrase);
            raw.expect_end();
        }
        assert!(ours.socket.try_event().unwrap().is_none());
    });
}

#[test]
fn an_error_of_a_server_is_named_at_each_step() {
    within_a_minute(|| {
        let ours = Client::new();
        // After the greeting, after HELLO, after INITIATE. A reason that is no status is shown as it is.
        for (step, reason) in [(0, "400"), (1, "300"), (2, "500"), (0, "no"), (1, "")] {
            let mut raw = ours.accept();
            let mut mechanism = ours.mechanism();
            greet(&mut raw, 1, false, false);
            if step > 0 {
                let (_, hello) = raw.read_frame();
                if step > 1 {
                    raw.write(&answer(&mut mechanism, &hello));
                    raw.read_frame();
                }
            }
            raw.write(&frame(
                COMMAND,
                &[b"\x05ERROR", &[reason.len() as u8][..], reason.as_bytes()].concat(),
            ));
            assert_eq!(ours.cause(), Cause::RefusedByPeer(reason.to_owned()), "step {step}");
            raw.expect_end();
        }
        // Without a length.
        let mut raw = ours.accept();
        greet(&mut raw, 1, false, false);
        raw.write(&frame(COMMAND, b"\x05ERROR"));
        assert!(matches!(ours.cause(), Cause::Protocol(_)));
        raw.expect_end();
    });
}

#[test]
fn a_changed_welcome_or_ready_is_refused() {
    within_a_minute(|| {
        let ours = Client::new();
        let mut raw = ours.accept();
        let mut mechanism = ours.mechanism();
        greet(&mut raw, 1, false, false);
        let (_, hello) = raw.read_frame();
        let mut welcome = answer(&mut mechanism, &hello);
        welcome[100] ^= 1;
        raw.write(&welcome);
        assert_eq!(ours.cause(), broke(CurveError::Box("WELCOME")));
        raw.expect_end();

        let mut raw = ours.accept();
        let mut mechanism = ours.mechanism();
        greet(&mut raw, 1, false, false);
        let (_, hello) = raw.read_frame();
        raw.write(&answer(&mut mechanism, &hello));
        let (_, initiate) = raw.read_frame();
        answer(&mut mechanism, &initiate);
        let mut ready = Vec::new();
        mechanism.accept(&mut ready);
        ready[40] ^= 1;
        raw.write(&ready);
        assert_eq!(ours.cause(), broke(CurveError::Box("READY")));
        raw.expect_end();
    });
}

#[test]
fn a_server_that_closes_at_any_step_leaves_a_hint() {
    within_a_minute(|| {
        let hint =
            "perhaps this side has another server key than the peer's, the peer does not let this side in";
        for step in 0..3 {
            let ours = Client::new();
            let mut raw = ours.accept();
            let mut mechanism = ours.mechanism();
            greet(&mut raw, 1, false, false);
            if step > 0 {
                let (_, hello) = raw.read_frame();
                if step > 1 {
                    raw.write(&answer(&mut mechanism, &hello));
                    raw.read_frame();
                }
            }
            drop(raw);
            loop {
                if let Kind::Failed { cause, error, .. } = next(&ours.events) {
                    assert_eq!(cause, Cause::ClosedInHandshake, "step {step}");
                    assert!(error.to_string().contains(hint), "step {step}: {error}");
                    break;
                }
            }
        }
    });
}

/// A deadline that leaves a loaded machine enough time for the steps before.
const DEADLINE: Duration = Duration::from_millis(700);

#[test]
fn a_client_that_stalls_at_any_step_is_let_go_at_the_deadline() {
    within_a_minute(|| {
        let ours = Server::with(|options| options.handshake_timeout(DEADLINE));
        for step in 0..7 {
            let start = Instant::now();
            let mut raw = ours.connect();
            let mut mechanism = ours.mechanism(socket_type("SUB"));
            let greeting = greeting(1, "CURVE", false);
            let hello = hello(&mut mechanism);
            match step {
                0 => {}
                1 => raw.write(&greeting[..11]),
                2 => raw.write(&greeting),
                3 => raw.write(&[&greeting[..], &hello[..100]].concat()),
                _ => {
                    raw.write(&greeting);
                    raw.read(64);
                    raw.write(&hello);
                    let (_, welcome) = raw.read_frame();
                    let initiate = answer(&mut mechanism, &welcome);
                    match step {
                        4 => {}
                        5 => raw.write(&initiate[..8]),
                        _ => raw.write(&initiate[..initiate.len() - 1]),
                    }
                }
            }
            let expected = if step == 0 { Cause::SaysNothing } else { Cause::HandshakeTimeout };
            assert_eq!(ours.cause(), expected, "step {step}");
            assert!(start.elapsed() >= DEADLINE);
            raw.expect_end();
        }
    });
}

#[test]
fn a_server_that_stalls_at_any_step_is_let_go_at_the_deadline() {
    within_a_minute(|| {
        for step in 0..5 {
            let ours = Client::with(|options| options.handshake_timeout(DEADLINE));
            let mut raw = ours.accept();
            let mut mechanism = ours.mechanism();
            if step > 0 {
                greet(&mut raw, 1, false, false);
                let (_, hello) = raw.read_frame();
                let welcome = answer(&mut mechanism, &hello);
                match step {
                    1 => {}
                    2 => raw.write(&welcome[..20]),
                    _ => {
                        raw.write(&welcome);
                        let (_, initiate) = raw.read_frame();
                        answer(&mut mechanism, &initiate);
                        let mut ready = Vec::new();
                        mechanism.accept(&mut ready);
                        if step == 4 {
                            raw.write(&ready[..ready.len() - 1]);
                        }
                    }
                }
            }
            let expected = if step == 0 { Cause::SaysNothing } else { Cause::HandshakeTimeout };
            assert_eq!(ours.cause(), expected, "step {step}");
            raw.expect_end();
        }
    });
}

#[test]
fn a_refused_client_that_does_not_close_is_closed() {
    within_a_minute(|| {
        let keys = curve::generate();
        let refuse = |case: Case| case.refuse("no");
        let ours = Server::with(|options| {
            options.curve_server(keys.clone(), refuse).handshake_timeout(Duration::from_secs(600))
        });
        let mut raw = ours.connect();
        let mut mechanism = client(curve::generate(), keys.public(), socket_type("SUB"));
        greet(&mut raw, 1, false, true);
        raw.write(&hello(&mut mechanism));
        let (_, welcome) = raw.read_frame();
        raw.write(&answer(&mut mechanism, &welcome));
        // What libzmq may send at once behind its INITIATE is not read as anything.
        raw.write(&frame(0, &[0; 200]));
        assert_eq!(ours.cause(), Cause::NotLetIn);
        raw.expect("a status of ZAP", b"\x04\x0a\x05ERROR\x03400");
        assert_eq!(raw.expect_end(), b"");
        assert!(ours.socket.try_event().unwrap().is_none());
    });
}

#[test]
fn a_client_about_whom_nobody_decides_is_let_go_at_the_deadline() {
    within_a_minute(|| {
        let keys = curve::generate();
        let (keep, kept) = std::sync::mpsc::channel();
        let ours = Server::with(|options| {
            let ask = move |case: Case| keep.send(case).expect("the test lasts");
            options.curve_server(keys.clone(), ask).handshake_timeout(DEADLINE)
        });
        let mut raw = ours.connect();
        let mut mechanism = client(curve::generate(), keys.public(), socket_type("SUB"));
        greet(&mut raw, 1, false, true);
        raw.write(&hello(&mut mechanism));
        let (_, welcome) = raw.read_frame();
        raw.write(&answer(&mut mechanism, &welcome));
        let case = kept.recv_timeout(PATIENCE).expect("it is asked");
        assert_eq!(ours.cause(), Cause::NotLetIn);
        raw.expect_end();
        // Too late.
        case.accept(oncue::User::new("late"));
        assert!(ours.socket.try_event().unwrap().is_none());
    });
}
