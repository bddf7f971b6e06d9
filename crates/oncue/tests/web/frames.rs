//! WebSocket frames that are unusual, or wrong.

use std::time::Duration;

use oncue::{Cause, Options, XPub, XPubEvent};

use crate::peer::{BINARY, CLOSE, PING, PONG, Raw, TEXT, event, frame, publisher};

/// What a bare subscriber gets for these bytes: the code of the close frame, after which the connection ends; and the cause that
/// the publisher knows.
fn refusal(publisher: &XPub, port: u16, bytes: &[u8]) -> (u16, String) {
    let mut raw = Raw::bare(port);
    raw.send(bytes);
    let (opcode, payload) = raw.frame();
    assert_eq!(opcode, CLOSE);
    let code = u16::from_be_bytes([payload[0], payload[1]]);
    raw.rest();
    (code, publisher.refused().pop().unwrap().error.to_string())
}

#[test]
fn what_breaks_the_protocol_is_closed_with_its_code_and_named() {
    let (publisher, port) = publisher(Options::new());
    let masked = |first, payload: &[u8]| frame(first, payload, true);
    for (bytes, code, part) in [
        (masked(0x80 | TEXT, b"{}"), 1003, "text"),
        (frame(0x80 | BINARY, b"\0\x01a", false), 1002, "not masked"),
        (masked(0xc2, b"\0\x01a"), 1002, "reserved bits"),
        (masked(0x83, b""), 1002, "opcode 3"),
        (masked(0x09, b""), 1002, "control frame"),
        (masked(0x80 | PING, &[0; 126]), 1002, "control frame"),
        (masked(0x80, b"\0"), 1002, "fragments"),
        ([masked(BINARY, b"\0"), masked(0x82, b"\0")].concat(), 1002, "fragments"),
        (masked(0x82, b""), 1002, "flags byte"),
        (masked(0x82, b"\x04x"), 1002, "flags 0x04"),
        (masked(0x88, b"x"), 1002, "close frame"),
        (b"\x82\xff\0\0\0\0\0\x20\0\0\x01\x02\x03\x04".to_vec(), 1009, "2097151 bytes"),
        (
            [masked(BINARY, &[0; 60_000]), masked(0, &[0; 60_000]), masked(0, &[0; 60_000])].concat(),
            1009,
            "179999",
        ),
    ] {
        let (told, error) = refusal(&publisher, port, &bytes);
        assert!(told == code && error.contains(part), "{code} {part}: {told} {error}");
    }
    assert!(matches!(publisher.refused().pop().unwrap().cause, Cause::BoundExceeded));
    // The first message is the routing id.
    let (mut raw, _) = Raw::client(port, "ZWS2.0");
    raw.message(b"\x02\x05READY");
    raw.next();
    assert_eq!(raw.frame().0, CLOSE);
    assert!(publisher.refused().pop().unwrap().error.to_string().contains("routing id"));
}

#[test]
fn fragments_make_up_a_message_and_control_frames_may_come_between_them() {
    let (publisher, port) = publisher(Options::new());
    let mut raw = Raw::bare(port);
    raw.put(BINARY, b"");
    raw.put(0, b"\0");
    raw.put(0x80 | PING, b"between");
    raw.put(0, b"\x01to");
    assert_eq!(raw.frame(), (PONG, b"between".to_vec()));
    raw.put(0x80 | PONG, b"not asked for");
    raw.put(0x80, b"pic");
    assert!(matches!(event(&publisher), XPubEvent::Wanted(prefix) if &prefix[..] == b"topic"));
    publisher.send("topic").unwrap();
    assert_eq!(raw.next(), b"\0topic");
}

#[test]
fn a_message_in_fragments_that_stalls_does_not_hold_memory_for_ever() {
    let options = Options::new().message_timeout(Duration::from_millis(50));
    let (publisher, port) = publisher(options);
    let mut raw = Raw::bare(port);
    raw.put(BINARY, &[0; 1000]);
    assert_eq!(raw.frame().0, CLOSE);
    raw.rest();
    let refused = publisher.refused().pop().unwrap();
    assert!(refused.error.to_string().contains("message_timeout"), "{refused:?}");
}

#[test]
fn a_side_that_leaves_says_so_and_the_other_need_not_answer() {
    let (publisher, port) = publisher(Options::new());
    let mut raw = Raw::bare(port);
    raw.message(b"\0\x01x");
    event(&publisher);
    raw.put(0x80 | CLOSE, b"\x03\xe8");
    // The demand ends with the close frame, though the stream is open still.
    assert!(matches!(event(&publisher), XPubEvent::Unwanted(_)));
    // It is answered with its own code.
    while raw.frame() != (CLOSE, b"\x03\xe8".to_vec()) {}
    let mut raw = Raw::bare(port);
    raw.message(b"\0\x01y");
    event(&publisher);
    publisher.close().wait();
    assert_eq!(raw.frame(), (CLOSE, b"\x03\xe8".to_vec()));
    assert!(raw.rest().is_empty());
}

#[test]
fn a_bare_peer_that_is_disconnected_reads_the_reason_in_the_close_frame() {
    let (publisher, port) = publisher(Options::new().prefix_length_max(3));
    let mut raw = Raw::bare(port);
    raw.message(b"\0\x01long prefix");
    let (opcode, payload) = raw.frame();
    assert_eq!((opcode, &payload[..2]), (CLOSE, &1008_u16.to_be_bytes()[..]));
    assert!(String::from_utf8_lossy(&payload[2..]).contains("prefix_length_max"), "{payload:?}");
    drop(publisher);
}
