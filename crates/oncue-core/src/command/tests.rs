//! Commands and metadata against literal bytes.

use alloc::vec;

use super::*;
use oncue_testing::for_seeds;

fn put(fill: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = vec![];
    fill(&mut out);
    out
}

#[test]
fn commands_are_encoded_as_the_rfc_says() {
    assert_eq!(put(|out| put_ping(out, 300, b"ctx")), b"\x04\x0a\x04PING\x01\x2cctx");
    assert_eq!(put(|out| put_pong(out, b"ctx")), b"\x04\x08\x04PONGctx");
    assert_eq!(put(|out| put_error(out, "no way\n")), b"\x04\x0e\x05ERROR\x07no-way-");
}

#[test]
fn subscriptions_take_the_form_that_the_peer_understands() {
    let subscribe = |version, prefix: &[u8]| put(|out| put_subscribe(out, version, prefix));
    let cancel = |version, prefix: &[u8]| put(|out| put_cancel(out, version, prefix));
    assert_eq!(subscribe(Version::V3_1, b"A"), b"\x04\x0b\x09SUBSCRIBEA");
    assert_eq!(cancel(Version::V3_1, b"A"), b"\x04\x08\x06CANCELA");
    for version in [Version::V3_0, Version::V2_0] {
        assert_eq!(subscribe(version, b"A"), b"\x00\x02\x01A");
        assert_eq!(cancel(version, b""), b"\x00\x01\x00");
    }
    // The length byte and the name in front of the prefix count: these bodies have 256 bytes.
    assert_eq!(subscribe(Version::V3_0, &[b'x'; 255])[..10], [2, 0, 0, 0, 0, 0, 0, 1, 0, 1]);
    assert_eq!(subscribe(Version::V3_1, &[b'x'; 246])[..10], [6, 0, 0, 0, 0, 0, 0, 1, 0, 9]);
    assert_eq!(cancel(Version::V3_1, &[b'x'; 248])[..3], [4, 255, 6]);
}

#[test]
fn the_longest_prefix_just_fits() {
    let wire = put(|out| put_subscribe(out, Version::V3_1, &vec![b'x'; PREFIX_BYTES_MAX]));
    assert_eq!(wire[1..9], COMMAND_BYTES_MAX.to_be_bytes());
}

#[test]
fn commands_are_read() {
    let parse = |body| Command::parse(body);
    assert_eq!(parse(b"\x05READYxyz"), Ok(Command::Ready { metadata: b"xyz" }));
    assert_eq!(parse(b"\x05ERROR\x02no and more"), Ok(Command::Error { reason: b"no" }));
    assert_eq!(parse(b"\x09SUBSCRIBE"), Ok(Command::Subscribe(b"")));
    assert_eq!(parse(b"\x09SUBSCRIBE\x00\xff"), Ok(Command::Subscribe(b"\x00\xff")));
    assert_eq!(parse(b"\x06CANCELA"), Ok(Command::Cancel(b"A")));
    assert_eq!(parse(b"\x04PING\x01\x2c"), Ok(Command::Ping { ttl_ds: 300, context: b"" }));
    assert_eq!(parse(b"\x04PONGab"), Ok(Command::Pong { context: b"ab" }));
    assert_eq!(parse(b"\x05HELLO..."), Ok(Command::Unknown { name: b"HELLO" }));
    assert_eq!(parse(b"\x09subscribeA"), Ok(Command::Unknown { name: b"subscribe" }));
}

#[test]
fn the_state_of_a_topic() {
    let news = StateNews { state: State::Stale, topic: b"prices/AAPL", text: b"no source" };
    let wire = put(|out| put_state(out, &news));
    assert_eq!(wire, b"\x04\x1e\x05ONCUE\x01\x02\x00\x0bprices/AAPLno source");
    assert_eq!(Command::parse(&wire[2..]), Ok(Command::State(news)));
    for number in 0..=255 {
        assert!(State::from_number(number).is_none_or(|state| state.number() == number));
    }
    // The longest topic and text.
    let news = StateNews { state: State::Closed, topic: &[7; STATE_TOPIC_BYTES_MAX], text: &[b'x'; 255] };
    let wire = put(|out| put_state(out, &news));
    assert!(wire.len() as u64 <= COMMAND_BYTES_MAX);
    assert_eq!(Command::parse(&wire[9..]), Ok(Command::State(news)));
    // A text that is too long is cut. Unknown kinds are ignored, as RFC 37 says of unknown commands.
    let long = [&b"\x05ONCUE\x01\x01\x00\x01t"[..], &[b'x'; 300]].concat();
    let cut = StateNews { state: State::Active, topic: b"t", text: &[b'x'; 255] };
    assert_eq!(Command::parse(&long), Ok(Command::State(cut)));
    for data in [&b""[..], b"\x01\x01\x00", b"\x01\x01\x00\x02t", b"\x01\x06\x00\x00", b"\xff\x01\x00\x00"] {
        let body = [b"\x05ONCUE", data].concat();
        assert_eq!(Command::parse(&body), Ok(Command::Unknown { name: b"ONCUE" }));
    }
}

#[test]
fn a_context_too_long_is_cut() {
    let body = b"\x04PING\x00\x00+123456789abcdef+";
    assert_eq!(Command::parse(body), Ok(Command::Ping { ttl_ds: 0, context: b"+123456789abcdef" }));
    assert_eq!(
        Command::parse(b"\x04PONG0123456789abcdefg"),
        Ok(Command::Pong { context: b"0123456789abcdef" })
    );
}

#[test]
fn malformed_commands_are_named() {
    let fault = |body| match Command::parse(body) {
        Err(ProtocolError::CommandMalformed(name)) => name,
        other => panic!("{other:?}"),
    };
    assert_eq!(fault(b""), "");
    assert_eq!(fault(b"\x00PING"), "");
    assert_eq!(fault(b"\x05PING"), "");
    assert_eq!(fault(b"\x04PING\x00"), "PING");
    assert_eq!(fault(b"\x05ERROR"), "ERROR");
    assert_eq!(fault(b"\x05ERROR\x03no"), "ERROR");
}

#[test]
fn subscriptions_in_messages_are_recognised() {
    let read = |body| Subscription::from_message_frame(body);
    assert_eq!(read(b"\x01A"), Some(Subscription::Subscribe(b"A")));
    assert_eq!(read(b"\x00"), Some(Subscription::Cancel(b"")));
    assert_eq!(read(b"\x02A"), None);
    assert_eq!(read(b""), None);
}

#[test]
fn metadata_is_written_and_read_alike() {
    let mut metadata = Metadata::new();
    metadata.add(b"Socket-Type", b"SUB");
    metadata.add(b"X-a", b"");
    let wire = put(|out| metadata.put(out));
    assert_eq!(wire, b"\x0bSocket-Type\0\0\0\x03SUB\x03X-a\0\0\0\0");
    assert_eq!(metadata.wire_len(), wire.len());
    assert_eq!(Metadata::parse(&wire), Ok(metadata));
    assert_eq!(Metadata::parse(b""), Ok(Metadata::new()));
    for end in 1..wire.len() {
        if end != 19 {
            assert_eq!(Metadata::parse(&wire[..end]), Err(ProtocolError::MetadataMalformed), "{end} bytes");
        }
    }
}

#[test]
fn names_are_compared_without_case_and_the_first_value_counts() {
    let metadata = Metadata::parse(b"\x01A\0\0\0\x011\x01a\0\0\0\x012\x01b\0\0\0\0").unwrap();
    assert_eq!(metadata.get(b"a"), Some(b"1".as_slice()));
    assert_eq!(metadata.iter().count(), 2);
    let mut metadata = metadata;
    assert_eq!(metadata.remove(b"B"), Some(vec![]));
    assert_eq!(metadata.get(b"b"), None);
}

#[test]
fn metadata_beyond_its_bounds_is_refused() {
    assert_eq!(Metadata::parse(b"\0\0\0\0\0"), Err(ProtocolError::MetadataMalformed));
    assert_eq!(Metadata::parse(b"\x01a\x80\0\0\0"), Err(ProtocolError::MetadataMalformed));
    let many = |count: usize| Metadata::parse(&b"\x01a\0\0\0\0".repeat(count));
    assert!(many(PROPERTIES_MAX).is_ok());
    assert_eq!(many(PROPERTIES_MAX + 1), Err(ProtocolError::TooManyProperties { max: PROPERTIES_MAX }));
}

#[test]
fn property_names_follow_the_grammar() {
    assert!(is_property_name(b"X-Own_1.0+") && is_property_name(&[b'a'; 255]));
    for wrong in [b"".as_slice(), b"a b", b"\xc3\xa4", &[b'a'; 256]] {
        assert!(!is_property_name(wrong), "{}", wrong.escape_ascii());
    }
}

#[test]
fn random_bodies_do_no_harm() {
    for_seeds(20_000, |rng| {
        let names = [
            &b"\x05READY\x0bSocket-Type\0\0\0\x03SUB\x03X-a\0\0\0\0"[..],
            b"\x05ERROR\x03abc",
            b"\x04PING\0\0abc",
        ];
        let mut body = names[rng.below(3)].to_vec();
        rng.damage(&mut body);
        match Command::parse(&body) {
            Ok(Command::Ready { metadata }) => {
                if let Ok(parsed) = Metadata::parse(metadata) {
                    assert!(parsed.wire_len() <= metadata.len());
                }
            }
            Ok(Command::Ping { context, .. } | Command::Pong { context }) => {
                assert!(context.len() <= PING_CONTEXT_BYTES_MAX);
            }
            _ => {}
        }
    });
}

#[test]
fn the_standing_of_a_subscription() {
    let question = Question { number: 0x102, prefix: b"prices/" };
    let wire = put(|out| put_question(out, &question));
    assert_eq!(wire, b"\x04\x16\x05ONCUE\x02\0\0\0\0\0\0\x01\x02prices/");
    assert_eq!(Command::parse(&wire[2..]), Ok(Command::Question(question)));
    for (standing, number) in [(Standing::InForce, 1), (Standing::Deferred, 2), (Standing::Absent, 3)] {
        let answer = Answer { number: 0x102, standing };
        let wire = put(|out| put_answer(out, answer));
        assert_eq!(wire, [&b"\x04\x10\x05ONCUE\x03\0\0\0\0\0\0\x01\x02"[..], &[number]].concat());
        assert_eq!(Command::parse(&wire[2..]), Ok(Command::Answer(answer)));
        // Later versions may say more.
        let longer = [&wire[2..], b"more"].concat();
        assert_eq!(Command::parse(&longer), Ok(Command::Answer(answer)));
    }
    let long = Question { number: u64::MAX, prefix: &[b'x'; QUESTION_PREFIX_BYTES_MAX] };
    let wire = put(|out| put_question(out, &long));
    assert_eq!(Command::parse(&wire[9..]), Ok(Command::Question(long)));
    let too_long = [&wire[9..], b"x"].concat();
    for body in [
        &too_long[..],
        b"\x05ONCUE\x02\0\0\0",
        b"\x05ONCUE\x03\0\0\0\0\0\0\0\0",
        b"\x05ONCUE\x03\0\0\0\0\0\0\0\0\x09",
    ] {
        assert_eq!(Command::parse(body), Ok(Command::Unknown { name: b"ONCUE" }));
    }
}

#[test]
fn a_level_that_is_not_a_number_is_the_first() {
    let level = |value: &str| oncue_level(value.as_bytes());
    assert_eq!([level("1"), level("2"), level("17")], [1, 2, 17]);
    assert_eq!([level(""), level("0"), level("two"), level("-1"), level("99999999999")], [1; 5]);
    assert_eq!(oncue_level(b"\xff"), 1);
}

#[test]
fn what_a_peer_has_missed() {
    let topics = [(&b"a"[..], 2), (b"", 1)];
    let wire = put(|out| put_missed(out, 0x103, 5, topics));
    let topics_wire = b"\0\0\0\x02\0\x01a\0\0\0\x01\0\0";
    let numbers = b"\x04\0\0\0\0\0\0\x01\x03\0\0\0\0\0\0\0\x05";
    assert_eq!(wire, [&b"\x04\x24\x05ONCUE"[..], numbers, topics_wire].concat());
    let Ok(Command::Missed(news)) = Command::parse(&wire[2..]) else { panic!("a notice") };
    assert_eq!((news.messages, news.unseen), (0x103, 5));
    assert_eq!(news.topics.collect::<Vec<_>>(), topics);
    // A topic that is cut off is none.
    let Ok(Command::Missed(news)) = Command::parse(&wire[2..wire.len() - 1]) else { panic!("a notice") };
    assert_eq!(news.topics.collect::<Vec<_>>(), topics[..1]);
    // Topics that do not fit are left out.
    let (long, longer) = ([b'x'; 1000], [b'y'; 2000]);
    let wire =
        put(|out| put_missed(out, 9, 0, [(&longer[..], 1), (&long[..], 3), (&long[..], 4), (b"b", 1)]));
    let Ok(Command::Missed(news)) = Command::parse(&wire[9..]) else { panic!("a notice") };
    assert_eq!(news.topics.collect::<Vec<_>>(), [(&long[..], 3), (b"b", 1)]);
    for short in [&b""[..], &numbers[1..16]] {
        let body = [b"\x05ONCUE\x04", short].concat();
        assert_eq!(Command::parse(&body), Ok(Command::Unknown { name: b"ONCUE" }));
    }
}
