//! What a server says about itself when it is asked, and at its end.

use oncue::OnDemand;
use oncue::demand::RouteStats;
use oncue_observe::Observe;

use super::produce::Tools;
use super::program::journal::remark;
use crate::output::counted;

/// A count: the number, what is counted, and what else is said of it.
type Count = (u64, &'static str, &'static str);

/// A line for each route, and one for all.
pub(super) fn report(on_demand: &OnDemand, observe: Option<&Observe>, tools: &Tools) {
    for route in routes(on_demand, observe) {
        let done = route.done;
        let mut text = format!(
            "route {}: {} wanted, {} produced now; since the start {} by {}",
            route.pattern,
            counted(route.now.wanted as u64, "topic"),
            route.now.running,
            counted(done.produced, "value"),
            counted(done.started, "feed")
        );
        let counts: [Count; 9] = [
            (route.now.waiting as u64, "topic", " waiting for room"),
            (route.now.failing as u64, "topic", " waiting for the next start"),
            (done.offered, "message", " offered"),
            (done.failed, "failure", ""),
            (done.superseded, "value", " replaced by newer ones"),
            (done.ticks_skipped, "run", " skipped because the one before had not ended"),
            (done.ticks_congested, "run", FULL),
            (done.ticks_fresh, "run", FRESH),
            (route.avoided, "value", " not produced because nobody wanted the topic"),
        ];
        add(&mut text, &counts);
        if !done.producing.is_zero() {
            text.push_str(&format!(", {:.1?} spent on them", done.producing));
        }
        let feeds = u32::try_from(route.first_values).ok();
        if let Some(mean) = feeds.and_then(|feeds| route.first_value_time.checked_div(feeds)) {
            text.push_str(&format!(", the first of each after {mean:.1?} on average"));
        }
        remark(text);
    }
    sum_up(on_demand, observe, tools);
}

/// The routes of the config.
fn routes(on_demand: &OnDemand, observe: Option<&Observe>) -> impl Iterator<Item = RouteStats> {
    on_demand.route_stats().into_iter().filter(move |route| !is_own(route, observe))
}

/// Whether a route is about the server itself.
fn is_own(route: &RouteStats, observe: Option<&Observe>) -> bool {
    observe.is_some_and(|observe| observe.is_own(route.pattern.as_bytes()))
}

/// A line for all routes.
pub(super) fn sum_up(on_demand: &OnDemand, observe: Option<&Observe>, tools: &Tools) {
    let (stats, socket, programs) = (on_demand.stats(), on_demand.xpub().stats(), tools.counts.totals());
    let mut done = stats.done;
    let routes = on_demand.route_stats();
    for own in routes.iter().filter(|route| is_own(route, observe)) {
        done.produced = done.produced.saturating_sub(own.done.produced);
        done.started = done.started.saturating_sub(own.done.started);
    }
    let mut text = format!("{} sent by {}", counted(done.produced, "value"), counted(done.started, "feed"));
    let counts: [Count; 12] = [
        (programs.programs, "program", " run"),
        (programs.failures, "failure", ""),
        (done.ticks_congested, "run", FULL),
        (done.ticks_fresh, "run", FRESH),
        (programs.refused, "topic", " refused"),
        (stats.unserved_total, "topic", " wanted that no route serves"),
        (programs.unwanted, "value", " of topics that nobody wanted"),
        (programs.skipped, "line", " skipped"),
        (stats.starts_deferred, "start", " held (starts_per_minute_max)"),
        (stats.starts_rejected, "start", " refused (starts_per_minute_max)"),
        (socket.delivered, "message", " delivered"),
        (socket.missed, "message", " missed by subscribers that were full"),
    ];
    add(&mut text, &counts);
    remark(text);
}

const FULL: &str = " skipped because all subscribers were full";
const FRESH: &str = " saved because the value was fresh";

/// Adds the counts that are not 0.
fn add(text: &mut String, counts: &[Count]) {
    for (number, noun, rest) in counts.iter().filter(|(number, ..)| *number > 0) {
        text.push_str(&format!(", {}{rest}", counted(*number, noun)));
    }
}
