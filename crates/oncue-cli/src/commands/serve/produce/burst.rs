//! The values of one read of a program's output, which are published together.

use oncue::demand::Feed;

/// From this size on, a value is worth a message of its own: it is not copied here, in bytes.
const ALONE_BYTES_MIN: usize = 16 << 10;

/// Values that have not been published yet, in the order in which they came.
#[derive(Default)]
pub(super) struct Burst {
    feeds: Vec<Feed>,
    /// Of each value the place of its feed, and where it ends in `bytes`.
    values: Vec<(usize, usize)>,
    bytes: Vec<u8>,
    unsent: u64,
}

impl Burst {
    /// Whether a value is published at once, with those before it.
    pub(super) fn is_alone(value: &[u8]) -> bool {
        value.len() >= ALONE_BYTES_MIN
    }

    pub(super) fn add(&mut self, feed: &Feed, value: &[u8]) {
        if Burst::is_alone(value) {
            self.publish();
            self.unsent += u64::from(feed.publish(value).is_err());
            return;
        }
        if self.feeds.last().is_none_or(|last| last.generation() != feed.generation()) {
            self.feeds.push(feed.clone());
        }
        self.bytes.extend_from_slice(value);
        self.values.push((self.feeds.len() - 1, self.bytes.len()));
    }

    /// Publishes what was added. Returns how many values were not sent since this was last called, because their feeds had
    /// stopped.
    pub(super) fn flush(&mut self) -> u64 {
        self.publish();
        std::mem::take(&mut self.unsent)
    }

    fn publish(&mut self) {
        let mut start = 0;
        let values = self.values.iter().filter_map(|(feed, end)| {
            let value = self.bytes.get(std::mem::replace(&mut start, *end)..*end)?;
            Some((self.feeds.get(*feed)?, value))
        });
        self.unsent += Feed::publish_all(&values.collect::<Vec<_>>()) as u64;
        self.feeds.clear();
        self.values.clear();
        self.bytes.clear();
    }
}
