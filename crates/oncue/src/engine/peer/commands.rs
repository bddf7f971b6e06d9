//! Commands during traffic, and what each leads to. Which peer sent them, and what a subscription does, is not known
//! here.

use oncue_core::command::{self, Command, StateNews, Subscription};

use crate::engine::peer::end::End;

/// What the commands of one read lead to.
#[derive(Default)]
pub(crate) struct Answers {
    /// The bytes to send.
    pub(crate) control: Vec<u8>,
    /// The TTL of the last PING.
    pub(crate) ttl_ds: Option<u16>,
}

/// Takes a command. The answer to it, if any, goes to `answers`.
pub(crate) fn take_command(
    body: &[u8],
    answers: &mut Answers,
    mut subscription: impl FnMut(Subscription<'_>) -> Result<(), End>,
) -> Result<(), End> {
    match Command::parse(body)? {
        Command::Subscribe(prefix) => subscription(Subscription::Subscribe(prefix)),
        Command::Cancel(prefix) => subscription(Subscription::Cancel(prefix)),
        Command::Ping { ttl_ds, context } => {
            answers.ttl_ds = Some(ttl_ds);
            command::put_pong(&mut answers.control, context);
            Ok(())
        }
        Command::Error { reason } => Err(End::by_peer(reason)),
        Command::Pong { .. } | Command::Ready { .. } | Command::State(_) | Command::Unknown { .. } => Ok(()),
    }
}

/// Takes a publisher's command; an empty body is none. A publisher subscribes to nothing: only PING and the states of
/// topics matter.
pub(crate) fn take_publishers(
    body: &[u8],
    answers: &mut Answers,
    mut hear: impl FnMut(&StateNews<'_>),
) -> Result<(), End> {
    if body.is_empty() {
        return Ok(());
    }
    if let Ok(Command::State(news)) = Command::parse(body) {
        hear(&news);
    }
    take_command(body, answers, |_| Ok(()))
}
