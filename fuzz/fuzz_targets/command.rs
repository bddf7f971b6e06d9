//! The body of a command, and the metadata in it: whatever parses is encoded to the same bytes again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oncue_core::command::{
    Command, ERROR_REASON_BYTES_MAX, MISSED_TOPICS_BYTES_MAX, Metadata, PING_CONTEXT_BYTES_MAX,
    PROPERTIES_MAX, Subscription, put_answer, put_cancel, put_ping, put_pong, put_question, put_state,
    put_subscribe,
};
use oncue_core::frame::{Version, parse_header};

/// The body of the one frame in `wire`.
fn body_of(wire: &[u8]) -> &[u8] {
    let header = parse_header(wire).unwrap().unwrap();
    assert_eq!(header.frame_len(), wire.len() as u64);
    &wire[header.header_len..]
}

fuzz_target!(|body: &[u8]| {
    let mut wire = Vec::new();
    match Command::parse(body) {
        Ok(Command::Ready { metadata }) => {
            let Ok(parsed) = Metadata::parse(metadata) else { return };
            assert!(parsed.iter().count() <= PROPERTIES_MAX && parsed.wire_len() <= metadata.len());
            parsed.put(&mut wire);
            assert_eq!(Metadata::parse(&wire), Ok(parsed));
        }
        Ok(Command::Subscribe(prefix)) => {
            put_subscribe(&mut wire, Version::V3_1, prefix);
            assert_eq!(body_of(&wire), body);
            wire.clear();
            put_subscribe(&mut wire, Version::V3_0, prefix);
            assert_eq!(
                Subscription::from_message_frame(body_of(&wire)),
                Some(Subscription::Subscribe(prefix))
            );
        }
        Ok(Command::Cancel(prefix)) => {
            put_cancel(&mut wire, Version::V3_1, prefix);
            assert_eq!(body_of(&wire), body);
            wire.clear();
            put_cancel(&mut wire, Version::V2_0, prefix);
            assert_eq!(Subscription::from_message_frame(body_of(&wire)), Some(Subscription::Cancel(prefix)));
        }
        Ok(Command::Ping { ttl_ds, context }) => {
            assert!(context.len() <= PING_CONTEXT_BYTES_MAX);
            put_ping(&mut wire, ttl_ds, context);
            assert!(body.starts_with(body_of(&wire)));
        }
        Ok(Command::Pong { context }) => {
            put_pong(&mut wire, context);
            assert!(body.starts_with(body_of(&wire)));
        }
        Ok(Command::Error { reason }) => assert!(reason.len() <= ERROR_REASON_BYTES_MAX),
        Ok(Command::State(news)) => {
            put_state(&mut wire, &news);
            assert!(body.starts_with(body_of(&wire)));
        }
        Ok(Command::Question(question)) => {
            put_question(&mut wire, &question);
            assert_eq!(body_of(&wire), body);
        }
        Ok(Command::Answer(answer)) => {
            put_answer(&mut wire, answer);
            assert_eq!(Command::parse(body_of(&wire)), Ok(Command::Answer(answer)));
        }
        Ok(Command::Missed(news)) => {
            let topics: usize = news.topics.map(|(topic, _)| topic.len()).sum();
            assert!(topics <= MISSED_TOPICS_BYTES_MAX);
        }
        Ok(Command::Unknown { name }) => assert!(!name.is_empty()),
        Err(fault) => assert!(!fault.to_string().is_empty()),
    }
});
