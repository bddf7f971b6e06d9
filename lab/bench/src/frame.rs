//! The format of the messages of a run, and the prefixes that are subscribed to: the same for every implementation.
//! A message is one frame: its topic, its sequence number, and a pattern that differs from message to message.

use std::str::FromStr;

use crate::market;

/// The sequence number of messages sent before the run, which show that the subscriptions are in force.
pub const PROBE: u64 = u64::MAX - 1;
/// The sequence number of the messages that end a run.
pub const FIN: u64 = u64::MAX;

/// How many topics the hard fan-out (`Topics::Ring`) has, and how many of them each of its connections wants.
pub const RING: u64 = 1000;
const WANTED_OF_RING: u64 = 10;

/// The topics of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topics {
    /// Messages without a topic, wanted by all (`""`).
    None,
    /// One topic that every connection wants.
    All,
    /// One topic that every connection wants, and for each connection one of its own: no two sets of prefixes are equal.
    Own,
    /// A topic that fills the buffers of peers that never read; the other peers do not subscribe to it.
    Fill,
    /// 1000 topics in turn; connection i wants ten of them, and no two connections want the same ten.
    Ring,
    /// As many topics of 20 bytes as there are prefixes, drawn at random; one connection wants them all.
    Random(Keys, u64),
    /// The topics and the subscribers of W11. The sequence number of a message is the time when it was to be sent.
    Market,
}

/// The form of a large number of prefixes. It decides what they cost a trie, which shares common beginnings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// Text with a common beginning that counts up.
    Names,
    /// Bytes without any order, like identifiers and digests.
    Digests,
}

impl FromStr for Topics {
    type Err = String;

    fn from_str(text: &str) -> Result<Topics, String> {
        match text.split_once(':') {
            None if text == "none" => Ok(Topics::None),
            None if text == "all" => Ok(Topics::All),
            None if text == "fill" => Ok(Topics::Fill),
            None if text == "own" => Ok(Topics::Own),
            None if text == "ring" => Ok(Topics::Ring),
            None if text == "market" => Ok(Topics::Market),
            Some((keys @ ("names" | "digests"), count)) => {
                let keys = if keys == "names" { Keys::Names } else { Keys::Digests };
                count.parse().map(|count| Topics::Random(keys, count)).map_err(|_| text.to_owned())
            }
            _ => Err(text.to_owned()),
        }
    }
}

impl Topics {
    /// The length of every topic of the run, in bytes.
    #[inline]
    pub fn len(self) -> usize {
        match self {
            Topics::None => 0,
            Topics::All | Topics::Own | Topics::Fill => 4,
            Topics::Ring => 8,
            Topics::Market => 12,
            Topics::Random(..) => 20,
        }
    }

    /// How many different topics there are.
    pub fn count(self) -> u64 {
        match self {
            Topics::None | Topics::All | Topics::Own | Topics::Fill => 1,
            Topics::Ring => RING,
            Topics::Market => market::TOPICS,
            Topics::Random(_, count) => count,
        }
    }

    /// Whether every connection wants every message.
    pub fn all_wanted(self) -> bool {
        !matches!(self, Topics::Ring | Topics::Market)
    }

    /// The topics whose arrival shows that all subscriptions are in force, and that end a run.
    pub fn edges(self) -> std::ops::Range<u64> {
        match self {
            Topics::None | Topics::All | Topics::Own | Topics::Fill => 0..1,
            Topics::Ring => 0..RING,
            Topics::Market => market::MARK..market::MARK + 1,
            Topics::Random(_, count) => count.saturating_sub(1)..count,
        }
    }

    /// Writes topic number `index` into `out`, which is as long as a topic.
    #[inline]
    pub fn write(self, index: u64, out: &mut [u8]) {
        match self {
            Topics::None => {}
            Topics::All | Topics::Own => out.copy_from_slice(b"all/"),
            Topics::Fill => out.copy_from_slice(b"fill"),
            Topics::Ring => {
                let digits = [index / 100 % 10, index / 10 % 10, index % 10].map(|digit| b'0' + digit as u8);
                out[..4].copy_from_slice(b"ring");
                out[4..7].copy_from_slice(&digits);
                out[7] = b'/';
            }
            Topics::Market => {
                out.copy_from_slice(b"market/00000");
                add_number(index, &mut out[7..]);
            }
            Topics::Random(Keys::Names, _) => {
                out.copy_from_slice(b"prices/0000000000000");
                add_number(index, &mut out[7..]);
            }
            Topics::Random(Keys::Digests, _) => {
                let (a, b) = (mix(index), mix(index ^ (1 << 63)));
                out[..8].copy_from_slice(&a.to_le_bytes());
                out[8..16].copy_from_slice(&b.to_le_bytes());
                out[16..].copy_from_slice(&(index as u32).to_le_bytes());
            }
        }
    }

    /// The topic of message `seq`.
    pub fn of_message(self, seq: u64) -> u64 {
        match self {
            Topics::None | Topics::All | Topics::Own | Topics::Fill => 0,
            Topics::Ring => seq % RING,
            Topics::Market => market::topic_of(seq),
            Topics::Random(_, count) => mix(seq) % count,
        }
    }

    /// The prefixes that connection `connection` subscribes to.
    pub fn prefixes(self, connection: u64) -> Vec<Vec<u8>> {
        let of = |index| {
            let mut prefix = vec![0; self.len()];
            self.write(index, &mut prefix);
            prefix
        };
        match self {
            Topics::None | Topics::All | Topics::Fill => vec![of(0)],
            Topics::Own => vec![of(0), format!("own/{connection}").into_bytes()],
            Topics::Ring => (0..WANTED_OF_RING).map(|i| of((connection + i * 97) % RING)).collect(),
            Topics::Market if market::wants_everything(connection) => vec![Vec::new()],
            Topics::Market => market::held(connection).0.into_iter().chain([market::MARK]).map(of).collect(),
            Topics::Random(_, count) => (0..count).map(of).collect(),
        }
    }
}

/// Adds a number to digits that are all zero.
fn add_number(mut number: u64, digits: &mut [u8]) {
    for digit in digits.iter_mut().rev() {
        *digit += (number % 10) as u8;
        number /= 10;
    }
}

/// The properties that all messages of a run share.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Bytes of each message.
    pub size: usize,
    /// The topics of the messages.
    pub topics: Topics,
}

impl Shape {
    /// Message `seq`, of topic number `topic`, in a buffer of its own.
    pub fn owned(&self, topic: u64, seq: u64) -> Vec<u8> {
        let mut message = vec![seq as u8; self.size];
        self.stamp(topic, seq, &mut message);
        message
    }

    /// Fills a buffer of a message's size with message `seq`, of topic number `topic`. All implementations pay the same for
    /// it, so it costs as little as filling a payload can.
    #[inline]
    pub fn fill(&self, topic: u64, seq: u64, message: &mut [u8]) {
        let at = self.stamp(topic, seq, message);
        let pattern = &mut message[at..];
        match <&mut [u8; 8]>::try_from(&mut *pattern) {
            Ok(few) => *few = [seq as u8; 8],
            Err(_) => pattern.fill(seq as u8),
        }
    }

    /// Writes the topic and the sequence number before the pattern; returns their length.
    #[inline]
    fn stamp(&self, topic: u64, seq: u64, message: &mut [u8]) -> usize {
        let at = self.topics.len();
        self.topics.write(topic, &mut message[..at]);
        message[at..at + 8].copy_from_slice(&seq.to_le_bytes());
        at + 8
    }

    /// The sequence number in a message, or `None` if the message does not belong to this run.
    #[inline]
    pub fn seq(&self, message: &[u8]) -> Option<u64> {
        let at = self.topics.len();
        let bytes = message.get(at..at + 8)?;
        (message.len() == self.size).then(|| u64::from_le_bytes(bytes.try_into().expect("8 bytes")))
    }
}

/// A pseudo-random number derived from `n` (the finaliser of splitmix64).
pub fn mix(n: u64) -> u64 {
    let mut z = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
