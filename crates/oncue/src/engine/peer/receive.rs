//! What a peer's bytes contain: messages for the user, cut out of the read buffer, and subscriptions and commands.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Waker;
use std::time::Duration;

use oncue_core::command::{Standing, Subscription};
use oncue_core::connection::SocketType;
use oncue_core::frame::{self, Scan, Scanner, Stop};

use super::commands::{Answers, Heard, Wish, take_command, take_publishers};
use super::end::End;
use super::intake::Intake;
use super::partial::Left;
use super::publisher::Brought;
use super::rare::Rare;
use super::{Context, Peer, Phase, Traffic};
use crate::buffer::{Buffer, READ_BYTES};
use crate::engine::hub::Hub;
use crate::engine::hub::inbox::Arrival;
use crate::engine::hub::inbox::flow::Flow;
use crate::net::Stream;
use crate::permission::PeerKey;
use crate::sync::read_lock;

/// From this size on, the read buffer itself is handed over; below it the messages are copied out.
const HAND_OVER_BYTES_MIN: usize = READ_BYTES / 4;

impl<S: Stream> Peer<S> {
    /// Hands the messages of a publisher to the user; the buffer goes with them.
    pub(crate) fn process_messages(
        &mut self,
        mut buffer: Vec<u8>,
        start: usize,
        cx: &mut Context<'_>,
    ) -> Result<(), End> {
        let Phase::Traffic(Traffic {
            scanner,
            flow: Some(_),
            paused,
            expected,
            asking: Some(asking),
            publisher: Some(publisher),
            ..
        }) = &mut self.phase
        else {
            return Ok(());
        };
        let mut gaps = Vec::new();
        let (mut consumed, mut answers, mut asks) = (start, Answers::default(), Vec::new());
        let mut spans = Vec::with_capacity(*expected);
        let (mut messages, mut inside) = (0, 0..0);
        let mut needs = None;
        let (result, version) = {
            let subscriptions = read_lock(&self.hub.subscriptions);
            let filter = self.hub.socket_type == SocketType::Sub && !subscriptions.everything();
            let keep = |spans: &mut Vec<(u32, u32)>, buffer: &[u8], start: usize, end: usize| {
                if !filter || subscriptions.wants(frame::topic(&buffer[start..end])) {
                    spans.push((start as u32, end as u32));
                }
            };
            let result = loop {
                let base = consumed;
                let batch = scanner.scan_messages(&buffer[base..], usize::MAX, |start, end| {
                    messages += 1;
                    keep(&mut spans, &buffer, base + start, base + end);
                });
                consumed += batch.consumed;
                match batch.stop {
                    Stop::Incomplete { need_min } => {
                        needs = Some(need_min);
                        break Ok(());
                    }
                    Stop::Enough => break Ok(()),
                    Stop::Command => {}
                    Stop::Error(e) => break Err(End::from(e)),
                }
                let item = match scanner.next(&mut buffer[consumed..]) {
                    Ok(item) => item,
                    Err(e) => break Err(End::from(e)),
                };
                match item {
                    Scan::Incomplete { need_min } => {
                        needs = Some(need_min);
                        break Ok(());
                    }
                    Scan::Message { len, wire_len } => {
                        messages += 1;
                        keep(&mut spans, &buffer, consumed, consumed + len);
                        consumed += wire_len;
                    }
                    Scan::Command { len, body } => {
                        inside = consumed + body.start..consumed + body.end;
                        consumed += len;
                    }
                    Scan::CommandInside { body } => inside = consumed + body.start..consumed + body.end,
                }
                let body = &buffer[std::mem::take(&mut inside)];
                let taken = take_publishers(body, &mut answers, |heard| match heard {
                    Heard::State(news) if !filter || subscriptions.wants(news.topic) => {
                        self.hub.states.hear(&news, cx.wakes);
                    }
                    Heard::State(_) => {}
                    Heard::Answer(answer) => asking.answer(answer, &mut asks, cx.wakes),
                    Heard::Pong(context) => asking.pong(context, &mut asks, cx.wakes),
                    Heard::Missed(news) => gaps.push((spans.len(), publisher.missed(&news))),
                });
                if let Err(end) = taken {
                    break Err(end);
                }
            };
            (result, subscriptions.version())
        };
        self.hub.counters.received.fetch_add(messages, Ordering::Relaxed);
        self.received += messages;
        publisher.count(messages, consumed - start);
        *paused = false;
        *expected = spans.len();
        self.partial.needs(needs);
        // Complete messages count, even if what follows them is wrong.
        self.hand_over(buffer, consumed, Brought { spans, gaps }, version, cx);
        self.out.control(|out| out.append(&mut asks));
        let flushed = self.answer(answers, cx.now);
        result.and(flushed)
    }

    /// Hands messages to the user, with what was missed before some of them, and keeps what follows the first `consumed`
    /// bytes.
    fn hand_over(
        &mut self,
        mut buffer: Vec<u8>,
        consumed: usize,
        brought: Brought,
        version: u64,
        cx: &mut Context<'_>,
    ) {
        let Phase::Traffic(Traffic { flow: Some(flow), paused, publisher: Some(publisher), .. }) =
            &mut self.phase
        else {
            return;
        };
        let inbound = &self.hub.inbound;
        if brought.spans.is_empty() && brought.gaps.is_empty() || inbound.keeps_latest {
            let Brought { spans, gaps } = brought;
            gaps.into_iter().for_each(|(_, missed)| inbound.miss(missed, cx.wakes));
            if !spans.is_empty() {
                inbound.put_latest(&buffer, &spans, (flow.source, version), cx.wakes);
            }
            self.partial.keep(buffer, consumed, cx.now, cx.pool);
        } else {
            let rest = buffer[consumed..].to_vec();
            let bytes = match consumed >= HAND_OVER_BYTES_MIN {
                true => {
                    buffer.truncate(consumed);
                    cx.pool.share(buffer)
                }
                false => {
                    let bytes = Buffer::from(buffer[..consumed].to_vec());
                    cx.pool.put(buffer);
                    bytes
                }
            };
            self.partial.keep_rest(rest, consumed, cx.now);
            for (spans, gap) in publisher.split(brought) {
                let bytes = if spans.is_empty() { Buffer::from(Vec::new()) } else { bytes.clone() };
                inbound.push(Arrival { bytes, spans, flow: flow.clone(), version, gap }, cx.wakes);
            }
        }
        *paused = inbound.pause(flow);
    }

    /// The connection was lost while this socket was subscribed, and is made again.
    pub(crate) fn tell_reconnected(&mut self, wakes: &mut Vec<Waker>) {
        let Phase::Traffic(Traffic { flow: Some(flow), publisher: Some(publisher), .. }) = &mut self.phase
        else {
            return;
        };
        let (missed, inbound) = (publisher.reconnected(), &self.hub.inbound);
        if inbound.keeps_latest {
            return inbound.miss(missed, wakes);
        }
        for (spans, gap) in publisher.split(Brought { spans: Vec::new(), gaps: vec![(0, missed)] }) {
            let bytes = Buffer::from(Vec::new());
            inbound.push(Arrival { bytes, spans, flow: flow.clone(), version: 0, gap }, wakes);
        }
    }

    /// The intake for a subscriber's subscriptions, and the scanner of its bytes.
    pub(crate) fn intake<'a>(
        &'a mut self,
        cx: &'a mut Context<'_>,
    ) -> Option<(Intake<'a, S>, &'a mut Scanner)> {
        let rate = self.change_rate();
        let Peer { phase, out, hub, joined, owed, changes, .. } = self;
        let Phase::Traffic(Traffic { scanner, ledger: Some(peer), understands, profile, .. }) = phase else {
            return None;
        };
        let intake = Intake {
            hub,
            peer: *peer,
            key: PeerKey { shard: cx.shard, slot: cx.slot, uid: self.uid },
            user: profile.user.as_deref(),
            understands: *understands,
            out,
            owed,
            wakes: cx.wakes,
            now: cx.now,
            unrouted: cx.unrouted.map(|unrouted| unrouted.max((*joined, 0))),
            edit: None,
            fresh: Vec::new(),
            turns: 0,
            work: &mut cx.work,
            changes,
            rate,
        };
        Some((intake, scanner))
    }

    /// Takes subscriptions and commands from a subscriber. Returns how many bytes it consumed.
    pub(crate) fn process_demand(&mut self, buffer: &mut [u8], cx: &mut Context<'_>) -> Result<usize, End> {
        let to_user = self.hub.takes_messages();
        let mut begun = match &mut self.phase {
            Phase::Traffic(traffic) => traffic.begun.take(),
            _ => None,
        };
        let mut later = self.later.take();
        let Some((mut intake, scanner)) = self.intake(cx) else { return Ok(0) };
        let (mut consumed, mut answers, mut upstream) = (0, Answers::default(), Upstream::default());
        let mut standings = Vec::new();
        let mut grant = |wish: Wish<'_>, intake: &mut Intake<'_, S>| match wish {
            Wish::Subscription(subscription) => intake.take(subscription),
            Wish::Question(question) => {
                let standing = intake.standing(question.prefix);
                // A proxy's publishers are asked first, if the answer can be given later.
                let questions = &intake.hub.questions;
                let relayed = standing == Standing::InForce && later.has_room() && questions.are_relayed();
                let at_once = if relayed { Standing::Deferred } else { standing };
                if later.answer(&question, at_once, &mut standings)
                    && relayed
                    && !questions.push(intake.key, question.prefix, intake.wakes)
                {
                    // The proxy has ended just now.
                    later.decided(question.prefix, standing, &mut standings);
                }
                Ok(())
            }
        };
        let result = loop {
            if let Some((wire, from)) = begun.as_deref_mut() {
                match upstream.take_message(wire, from, to_user, &mut intake) {
                    Ok(true) => begun = None,
                    Ok(false) => break Ok(()),
                    Err(end) => break Err(end),
                }
            }
            if intake.has_done_enough() {
                break Ok(());
            }
            let rest = &mut buffer[consumed..];
            let item = match scanner.next(rest) {
                Ok(item) => item,
                Err(e) => break Err(End::from(e)),
            };
            let step = match item {
                Scan::Incomplete { .. } => break Ok(()),
                Scan::Message { len, wire_len } => {
                    consumed += wire_len;
                    let mut from = 0;
                    let taken = upstream.take_message(&rest[..len], &mut from, to_user, &mut intake);
                    taken.map(|all| {
                        if !all {
                            begun = Some(Box::new((rest[..len].to_vec(), from)));
                        }
                    })
                }
                Scan::Command { len, body } => {
                    consumed += len;
                    take_command(&rest[body], &mut answers, |wish| grant(wish, &mut intake))
                }
                Scan::CommandInside { body } => {
                    take_command(&rest[body], &mut answers, |wish| grant(wish, &mut intake))
                }
            };
            if let Err(end) = step {
                break Err(end);
            }
        };
        let (left, rests) = (intake.has_done_enough(), intake.rests());
        let result = result.and(intake.finish());
        if left && result.is_ok() {
            self.left = Left::Items;
        }
        if rests && result.is_ok() {
            self.rest(cx);
        }
        self.later = if later.is_empty() { Rare::default() } else { later.into() };
        self.out.answer_questions(standings);
        if let Phase::Traffic(traffic) = &mut self.phase {
            traffic.begun = begun;
        }
        if let Phase::Traffic(Traffic { flow: Some(flow), .. }) = &self.phase {
            self.received += upstream.hand_over(&self.hub, flow, cx);
        }
        let flushed = self.answer(answers, cx.now);
        result.and(flushed).map(|()| consumed)
    }

    /// Sends the answers, and notes what the peer said about itself.
    fn answer(&mut self, answers: Answers, now: Duration) -> Result<(), End> {
        if let Some(ttl_ds) = answers.ttl_ds {
            self.pulse.hear_ping(ttl_ds, now);
        }
        self.out.answer(answers.control);
        self.out.flush()
    }
}

/// The messages of a subscriber that one read brought.
#[derive(Default)]
pub(crate) struct Upstream {
    wire: Vec<u8>,
    spans: Vec<(u32, u32)>,
}

impl Upstream {
    /// Looks for a subscription in each frame of a subscriber's message (RFC 29), from frame `from` on; the other
    /// frames are the user's. Returns whether the message is done; if not, the peer's share of work is used up, and
    /// `from` is where to go on.
    pub(crate) fn take_message<S: Stream>(
        &mut self,
        wire: &[u8],
        from: &mut usize,
        to_user: bool,
        intake: &mut Intake<'_, S>,
    ) -> Result<bool, End> {
        let is_data = |body: &[u8]| Subscription::from_message_frame(body).is_none();
        let all_data = intake.hub.options.only_first_subscribe && is_data(frame::topic(wire));
        // The work counts also where no frame is looked at.
        for body in frame::frames(wire).skip(*from) {
            if intake.has_done_enough() {
                return Ok(false);
            }
            *intake.work += 1;
            if let Some(subscription) = Subscription::from_message_frame(body).filter(|_| !all_data) {
                intake.take(subscription)?;
            }
            *from += 1;
        }
        let is_users = |body: &&[u8]| to_user && (all_data || is_data(body));
        let rest: Vec<_> = frame::frames(wire).filter(is_users).collect();
        if !rest.is_empty() {
            let start = self.wire.len() as u32;
            frame::put_message(&mut self.wire, rest);
            self.spans.push((start, self.wire.len() as u32));
        }
        Ok(true)
    }

    /// Hands the messages to the XPUB's user, which may not read them: beyond the peer's mark or the socket's bound
    /// they are dropped. Returns how many it gets.
    pub(crate) fn hand_over(mut self, hub: &Hub, flow: &Arc<Flow>, cx: &mut Context<'_>) -> u64 {
        let room = if hub.inbound.is_full() { 0 } else { flow.room() };
        let taken = self.spans.len().min(usize::try_from(room).unwrap_or(usize::MAX));
        let missed = (self.spans.len() - taken) as u64;
        if missed > 0 {
            hub.counters.received_missed.fetch_add(missed, Ordering::Relaxed);
        }
        self.spans.truncate(taken);
        let Some(&(_, end)) = self.spans.last() else { return 0 };
        hub.counters.received.fetch_add(taken as u64, Ordering::Relaxed);
        self.wire.truncate(end as usize);
        self.wire.shrink_to_fit();
        let (bytes, spans) = (Buffer::from(self.wire), self.spans);
        hub.inbound.push(Arrival { bytes, spans, flow: flow.clone(), version: 0, gap: None }, cx.wakes);
        taken as u64
    }
}
