//! Values of several feeds that are sent together: a lock, a wake-up of the I/O thread and the counts are paid for once.

use std::sync::{Arc, MutexGuard};

use super::outlet::Outlet;
use super::{Feed, Put};
use crate::batch::Batch;
use crate::sync::lock;

/// What a message takes on the wire beside its topic and its value, in bytes: two headers at most.
const HEADERS_BYTES: usize = 18;

/// A feed whose outlet is locked, and how many values of it are in the batch.
struct Open<'f> {
    feed: &'f Feed,
    outlet: MutexGuard<'f, Outlet>,
    values: u64,
}

impl Feed {
    /// Publishes values of several feeds in this order, each as [`publish`](Feed::publish) would. For a producer that gets
    /// many values at once, such as the lines of a program, this is several times as fast. Where a route spaces or keeps its
    /// values, and where two routes have different policies, they are published one by one.
    ///
    /// Returns how many were not sent, because their feeds had stopped.
    ///
    /// ```
    /// # use oncue::demand::Feed;
    /// fn quotes(apple: &Feed, microsoft: &Feed) -> usize {
    ///     Feed::publish_all(&[(apple, b"187.20"), (microsoft, b"402.10"), (apple, b"187.25")])
    /// }
    /// ```
    pub fn publish_all(values: &[(&Feed, &[u8])]) -> usize {
        let Some((first, _)) = values.first() else { return 0 };
        let desk = &first.0.of.desk;
        let on_full = first.0.of.route.on_full;
        let together = |feed: &Feed| {
            let route = &feed.0.of.route;
            route.only_sends() && route.on_full == on_full && Arc::ptr_eq(desk, &feed.0.of.desk)
        };
        if values.len() == 1 || !values.iter().all(|(feed, _)| together(feed)) {
            return values.iter().filter(|(feed, value)| feed.publish(value).is_err()).count();
        }
        let mut feeds: Vec<&Feed> = values.iter().map(|(feed, _)| *feed).collect();
        feeds.dedup_by_key(|feed| feed.generation());
        // In one order everywhere, so that no two calls wait for each other.
        feeds.sort_unstable_by_key(|feed| feed.generation());
        feeds.dedup_by_key(|feed| feed.generation());
        let open = feeds.into_iter().map(|feed| Open { feed, outlet: lock(&feed.0.outlet), values: 0 });
        send(&mut open.collect::<Vec<_>>(), values)
    }
}

/// Sends the values of feeds of one socket; `open` is ordered by generation.
fn send(open: &mut [Open<'_>], values: &[(&Feed, &[u8])]) -> usize {
    let bytes = values.iter().map(|(feed, value)| feed.topic().len() + value.len() + HEADERS_BYTES).sum();
    let (mut batch, mut unsent) = (Batch::with_capacity(bytes, values.len()), 0);
    for run in values.chunk_by(|(one, _), (next, _)| one.generation() == next.generation()) {
        let Some((feed, _)) = run.first() else { continue };
        let Ok(at) = open.binary_search_by_key(&feed.generation(), |open| open.feed.generation()) else {
            continue;
        };
        let Some(of) = open.get_mut(at) else { continue };
        if of.outlet.socket().is_none() {
            unsent += run.len();
            feed.count(|counters| &counters.late, run.len() as u64);
            continue;
        }
        for (_, value) in run {
            match of.outlet.add_to(&mut batch, &feed.subject(), value, of.values) {
                Ok(()) => of.values += 1,
                Err(_) => feed.count(|counters| &counters.refused, 1),
            }
        }
    }
    let active = open.iter().find_map(|open| Some((&open.feed.0.of.route, open.outlet.socket()?)));
    let Some((route, socket)) = active else { return unsent };
    let batched = batch.len();
    match Put::from(route.send_many(socket, &mut batch)) {
        Put::Sent => {
            for of in open {
                of.outlet.count(&of.feed.subject(), of.values);
                of.feed.sent(&mut of.outlet, of.values);
            }
        }
        Put::Closed => unsent += batched,
        _ => open.iter().for_each(|open| open.feed.count(|counters| &counters.refused, open.values)),
    }
    unsent
}
