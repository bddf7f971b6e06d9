//! A pattern and a topic from any text: match, prefixes, values and the topic made of them say the same, and the pattern that
//! is written is the pattern that was read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oncue_pattern::{Pattern, PrefixMeaning, Template};

fuzz_target!(|data: &[u8]| {
    let Some((&at, rest)) = data.split_first() else { return };
    let (text, topic) = rest.split_at(usize::from(at).min(rest.len()));
    let Ok(text) = std::str::from_utf8(text) else { return };
    if let Err(error) = Template::parse(text) {
        assert!(error.at() <= text.len() && !error.to_string().is_empty());
    }
    let pattern = match Pattern::parse(text) {
        Ok(pattern) => pattern,
        Err(error) => return assert!(error.at() <= text.len() && !error.to_string().is_empty()),
    };
    let params = pattern.match_topic(topic);
    assert_eq!(pattern.matches(topic), params.is_some());
    assert_eq!(pattern.prefix(topic) == PrefixMeaning::Exact, params.is_some());
    let prefixes = (0..topic.len()).map(|len| pattern.prefix(&topic[..len]));
    if let Some(params) = &params {
        assert!(prefixes.clone().all(|meaning| meaning != PrefixMeaning::None));
        let values: Vec<_> = params.iter().map(|(name, range)| (name, &topic[range])).collect();
        assert!(values.iter().all(|(_, value)| !value.is_empty() && !value.contains(&b'/')));
        assert_eq!(pattern.topic(&values).as_deref(), Ok(topic));
    }
    // A prefix of what means nothing may mean something, and never the other way round.
    let dead = prefixes.clone().position(|meaning| meaning == PrefixMeaning::None);
    assert!(dead.is_none_or(|at| prefixes.clone().skip(at).all(|meaning| meaning == PrefixMeaning::None)));
    // Control characters are written escaped, which is not read back.
    if !text.chars().any(char::is_control) {
        let written = pattern.to_string();
        let again = Pattern::parse(&written).unwrap_or_else(|error| panic!("{written}: {error}"));
        assert_eq!((again.to_string(), again.matches(topic)), (written, params.is_some()));
    }
});
