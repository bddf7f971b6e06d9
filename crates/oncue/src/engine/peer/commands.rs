//! Commands during traffic, and what each leads to. Which peer sent them, and what a subscription does, is not known
//! here.

use oncue_core::command::{self, Answer, Command, MissedNews, Question, StateNews, Subscription};

use crate::engine::peer::end::End;

/// What the commands of one read lead to.
#[derive(Default)]
pub(crate) struct Answers {
    /// The bytes to send.
    pub(crate) control: Vec<u8>,
    /// The TTL of the last PING.
    pub(crate) ttl_ds: Option<u16>,
}

/// What a subscriber wants.
pub(crate) enum Wish<'a> {
    Subscription(Subscription<'a>),
    /// To know what has become of a subscription.
    Question(Question<'a>),
}

/// What a publisher says.
pub(crate) enum Heard<'a> {
    State(StateNews<'a>),
    /// About a subscription.
    Answer(Answer),
    /// It has read what was sent before the PING with this context.
    Pong(&'a [u8]),
    /// Messages are missing here.
    Missed(MissedNews<'a>),
}

/// Takes a command. The answer to it, if any, goes to `answers`.
pub(crate) fn take_command(
    body: &[u8],
    answers: &mut Answers,
    mut wish: impl FnMut(Wish<'_>) -> Result<(), End>,
) -> Result<(), End> {
    match Command::parse(body)? {
        Command::Subscribe(prefix) => wish(Wish::Subscription(Subscription::Subscribe(prefix))),
        Command::Cancel(prefix) => wish(Wish::Subscription(Subscription::Cancel(prefix))),
        Command::Question(question) => wish(Wish::Question(question)),
        Command::Ping { ttl_ds, context } => {
            answers.ttl_ds = Some(ttl_ds);
            command::put_pong(&mut answers.control, context);
            Ok(())
        }
        Command::Error { reason } => Err(End::by_peer(reason)),
        Command::Pong { .. }
        | Command::Ready { .. }
        | Command::State(_)
        | Command::Answer(_)
        | Command::Missed(_)
        | Command::Unknown { .. } => Ok(()),
    }
}

/// Takes a publisher's command; an empty body is none. A publisher subscribes to nothing.
pub(crate) fn take_publishers(
    body: &[u8],
    answers: &mut Answers,
    mut hear: impl FnMut(Heard<'_>),
) -> Result<(), End> {
    if body.is_empty() {
        return Ok(());
    }
    match Command::parse(body) {
        Ok(Command::State(news)) => hear(Heard::State(news)),
        Ok(Command::Answer(answer)) => hear(Heard::Answer(answer)),
        Ok(Command::Pong { context }) => hear(Heard::Pong(context)),
        Ok(Command::Missed(news)) => hear(Heard::Missed(news)),
        _ => {}
    }
    take_command(body, answers, |_| Ok(()))
}
