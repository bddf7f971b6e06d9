//! `--stats`: what came, how fast, how late, and what is missing.

use std::time::Instant;

use oncue::{Msg, PublisherStats};
use serde_json::Value;

use super::latency::Latency;
use super::moment::Arrival;
use crate::json;
use crate::output::counted;

/// What came in all.
#[derive(Default)]
pub(super) struct Tally {
    messages: u64,
    /// Of their frames.
    bytes: u64,
    /// When the first and the last message came.
    span: Option<(Instant, Instant)>,
    latency: Option<Latency>,
}

impl Tally {
    /// Of nothing yet. `latency`: where the stamps are, and what is known of them.
    pub(super) fn new(latency: Option<Latency>) -> Tally {
        Tally { latency, ..Tally::default() }
    }

    pub(super) fn take(&mut self, message: &Msg, arrival: &Arrival) {
        self.messages += 1;
        self.bytes += message.frames().map(|frame| frame.len() as u64).sum::<u64>();
        let now = arrival.instant;
        self.span = Some((self.span.map_or(now, |(first, _)| first), now));
        if let Some(latency) = &mut self.latency {
            latency.take(message, arrival.at);
        }
    }

    /// The seconds between the first message and the last, and the messages and bytes a second in between; `None` for fewer
    /// than two messages.
    fn rates(&self) -> Option<[f64; 3]> {
        let (first, last) = self.span?;
        let seconds = last.duration_since(first).as_secs_f64();
        let after_the_first = self.messages as f64 - 1.0;
        let part = after_the_first / self.messages as f64;
        (after_the_first > 0.0 && seconds > 0.0)
            .then(|| [seconds, after_the_first / seconds, self.bytes as f64 * part / seconds])
    }

    /// The lines for people: one for all publishers, and one for each.
    pub(super) fn words(&self, publishers: &[PublisherStats]) -> Vec<String> {
        let (messages, bytes) = (counted(self.messages, "message"), counted(self.bytes, "byte"));
        let mut all = format!("{messages}, {bytes} in their frames");
        if let Some([seconds, messages, bytes]) = self.rates() {
            all += &format!(" in {seconds:.3} s: {messages:.1} messages/s, {bytes:.0} bytes/s");
        }
        let latency = self.latency.iter().map(Latency::words);
        [all].into_iter().chain(latency).chain(publishers.iter().map(in_words)).collect()
    }

    /// The same for programs: lines of JSON.
    pub(super) fn json(&self, publishers: &[PublisherStats]) -> Vec<Vec<u8>> {
        let rates = self.rates().map(|rates| rates.map(Value::from));
        let [seconds, messages, bytes] = rates.unwrap_or([Value::Null, Value::Null, Value::Null]);
        let mut fields = vec![
            ("messages", self.messages.into()),
            ("frame_bytes", self.bytes.into()),
            ("seconds", seconds),
            ("messages_per_second", messages),
            ("frame_bytes_per_second", bytes),
        ];
        fields.extend(self.latency.iter().map(|latency| ("latency_seconds", latency.json())));
        let all = json::object(&fields).to_string().into_bytes();
        [all].into_iter().chain(publishers.iter().map(in_json)).collect()
    }
}

fn in_json(publisher: &PublisherStats) -> Vec<u8> {
    let PublisherStats { connected, connections, received, bytes, missed, unseen, gaps, .. } = *publisher;
    let address = publisher.address.map_or(Value::Null, |address| address.to_string().into());
    let fields = [
        ("endpoint", publisher.endpoint.to_string().into()),
        ("address", address),
        ("connected", connected.into()),
        ("connections", connections.into()),
        ("received", received.into()),
        ("bytes", bytes.into()),
        ("missed", missed.into()),
        ("unseen", unseen.into()),
        ("gaps", gaps.into()),
    ];
    json::object(&fields).to_string().into_bytes()
}

fn in_words(publisher: &PublisherStats) -> String {
    let PublisherStats { endpoint, received, bytes, missed, unseen, gaps, .. } = publisher;
    let mut text = format!(
        "{endpoint}: {}, {}, {missed} missed",
        counted(*received, "message"),
        counted(*bytes, "byte")
    );
    if *unseen > 0 {
        text.push_str(&format!(", perhaps up to {unseen} more"));
    }
    if *gaps > 0 {
        text.push_str(&format!(", {}", counted(*gaps, "gap")));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::moment::Arrivals;
    use super::*;

    #[test]
    fn rates_are_of_the_time_between_the_first_message_and_the_last() {
        let (start, mut arrivals, mut tally) = (Instant::now(), Arrivals::default(), Tally::default());
        assert_eq!(tally.words(&[]), ["0 messages, 0 bytes in their frames"]);
        for millis in [1000, 1100, 1500] {
            let now = start + Duration::from_millis(millis);
            tally.take(&Msg::from_frames(["ab", "c"]), &arrivals.next(now, 1));
        }
        let words = "3 messages, 9 bytes in their frames in 0.500 s: 4.0 messages/s, 12 bytes/s";
        assert_eq!(tally.words(&[]), [words]);
        let json: Value = serde_json::from_slice(&tally.json(&[])[0]).expect("JSON");
        assert_eq!((&json["messages"], &json["messages_per_second"]), (&3.into(), &4.0.into()));
        assert_eq!(json.get("latency_seconds"), None);
    }
}
