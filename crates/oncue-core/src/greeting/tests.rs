//! Greetings against literal bytes.

use alloc::string::ToString;

use super::*;

const FIRST: &[u8] = b"\xff\0\0\0\0\0\0\0\x01\x7f\x03";

#[test]
fn our_greeting_is_the_one_of_the_rfc() {
    let mut out = Vec::new();
    put_first_part(&mut out);
    assert_eq!(out, FIRST);
    put_rest(&mut out, MechanismName::new("NULL"), false);
    assert_eq!(out.len(), 64);
    assert_eq!(out[FIRST_PART_LEN..], *[&b"\x01NULL"[..], &[0; 16 + 1 + 31]].concat());
    let rest = parse_rest(3, &out[FIRST_PART_LEN..]).unwrap();
    let (version, mechanism) = (Version::V3_1, MechanismName::new("NULL"));
    assert_eq!(rest, Rest { version, mechanism, as_server: false });
}

#[test]
fn the_first_part_tells_the_revision_and_not_before_it_is_whole() {
    for end in 0..FIRST_PART_LEN {
        assert_eq!(parse_first_part(&FIRST[..end]), Ok(None), "{end} bytes");
    }
    let with = |revision| parse_first_part(&[&FIRST[..10], &[revision]].concat());
    assert_eq!(with(0), Err(ProtocolError::Version1));
    assert_eq!(with(1), Ok(Some(Revision::Two)));
    assert_eq!(with(2), Ok(Some(Revision::Two)));
    assert_eq!(with(3), Ok(Some(Revision::Three { major: 3 })));
    assert_eq!(with(255), Ok(Some(Revision::Three { major: 255 })));
    // The padding is not significant.
    let padded = b"\xff\xde\xad\xbe\xef\xde\xad\xbe\xef\x7f\x03";
    assert_eq!(parse_first_part(padded), Ok(Some(Revision::Three { major: 3 })));
}

#[test]
fn the_minor_version_decides_how_subscriptions_travel() {
    let version = |major, minor| parse_rest(major, &[&[minor][..], &[0; 52]].concat()).unwrap().version;
    assert_eq!(version(3, 0), Version::V3_0);
    assert_eq!(version(3, 1), Version::V3_1);
    assert_eq!(version(3, 9), Version::V3_1);
    assert_eq!(version(4, 0), Version::V3_1);
    assert_eq!(parse_rest(3, &[0; REST_LEN - 1]), None);
}

#[test]
fn version_1_is_recognised() {
    // Peers of 1.0: an anonymous one, one named "abc", and one whose identity has a long length field.
    for bytes in [b"\x01\x00".as_slice(), b"\x04\x00abc", b"\xff\0\0\0\0\0\0\x01\x2d\x00"] {
        assert_eq!(parse_first_part(bytes), Err(ProtocolError::Version1), "{}", bytes.escape_ascii());
    }
}

#[test]
fn strangers_are_named() {
    let seen = |bytes: &[u8]| parse_first_part(bytes).unwrap_err().to_string();
    assert_eq!(seen(b"GET / HTTP/1.1\r\n"), "the peer does not speak ZMTP: it looks like HTTP");
    assert_eq!(seen(b"PO"), "the peer does not speak ZMTP: it looks like HTTP");
    assert_eq!(seen(b"\x16\x03\x01\x02"), "the peer does not speak ZMTP: it looks like TLS");
    assert_eq!(seen(b"SSH-2.0-OpenSSH"), "the peer does not speak ZMTP: it looks like SSH");
    assert_eq!(seen(b"EHLO there"), "the peer does not speak ZMTP: it began with \"EHLO the\"");
    assert_eq!(seen(b"\0\0\n"), "the peer does not speak ZMTP: it began with \"\\x00\\x00\\n\"");
    assert_eq!(parse_first_part(b"G"), Ok(None));
}

#[test]
fn a_mechanism_is_named_without_its_padding() {
    assert_eq!(MechanismName::new("CURVE").to_string(), "CURVE");
    assert_eq!(MechanismName(*b"A\0\xff\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0").to_string(), "A\\x00\\xff");
    assert_ne!(MechanismName(*b"NULL\0x\0\0\0\0\0\0\0\0\0\0\0\0\0\0"), MechanismName::new("NULL"));
}
