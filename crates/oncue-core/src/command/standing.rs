//! A question of Oncue and its answer: what has become of a subscription.

use alloc::vec::Vec;

use super::extension::{KIND_ANSWER, KIND_QUESTION, ONCUE_COMMAND};
use super::wire::put_command;

/// The longest prefix that can be asked about, in bytes.
pub const QUESTION_PREFIX_BYTES_MAX: usize = 60_000;

/// What has become of a peer's subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is in force: what is sent from now on reaches the peer.
    InForce,
    /// It is not decided yet. A second answer follows the decision.
    Deferred,
    /// It is not in force: it was rejected or revoked, or cancelled by the peer itself.
    Absent,
}

impl Standing {
    const ALL: [Standing; 3] = [Standing::InForce, Standing::Deferred, Standing::Absent];

    fn number(self) -> u8 {
        match self {
            Standing::InForce => 1,
            Standing::Deferred => 2,
            Standing::Absent => 3,
        }
    }
}

/// A subscriber asks what has become of its subscription to `prefix`, as of all that it has sent before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question<'a> {
    /// The answer has the same number.
    pub number: u64,
    /// The prefix, at most [`QUESTION_PREFIX_BYTES_MAX`] bytes.
    pub prefix: &'a [u8],
}

/// The answer to a [`Question`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// That of the question.
    pub number: u64,
    /// What has become of the subscription.
    pub standing: Standing,
}

pub(super) fn parse_question(data: &[u8]) -> Option<Question<'_>> {
    let (number, prefix) = data.split_first_chunk()?;
    let fits = prefix.len() <= QUESTION_PREFIX_BYTES_MAX;
    fits.then_some(Question { number: u64::from_be_bytes(*number), prefix })
}

pub(super) fn parse_answer(data: &[u8]) -> Option<Answer> {
    let (number, rest) = data.split_first_chunk()?;
    let standing = Standing::ALL.into_iter().find(|standing| rest.first() == Some(&standing.number()))?;
    Some(Answer { number: u64::from_be_bytes(*number), standing })
}

/// Appends a question.
///
/// # Panics
/// When the prefix is longer than [`QUESTION_PREFIX_BYTES_MAX`].
pub fn put_question(out: &mut Vec<u8>, question: &Question<'_>) {
    assert!(question.prefix.len() <= QUESTION_PREFIX_BYTES_MAX, "the prefix is too long to be asked about");
    put_command(out, ONCUE_COMMAND, &[&[KIND_QUESTION], &question.number.to_be_bytes(), question.prefix]);
}

/// Appends an answer.
pub fn put_answer(out: &mut Vec<u8>, answer: Answer) {
    let (number, standing) = (answer.number.to_be_bytes(), [answer.standing.number()]);
    put_command(out, ONCUE_COMMAND, &[&[KIND_ANSWER], &number, &standing]);
}
