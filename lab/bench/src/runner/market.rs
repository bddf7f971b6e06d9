//! W11: the highest rate at which every delivery arrives in time, and the latency at a given rate.

use std::time::Duration;

use super::cases::Case;
use super::child::Process;
use super::run::{Figures, Player, Times, options};
use super::search::Search;
use crate::Outcome;
use crate::market;
use crate::measure::{Latency, Report};

/// Messages a second: where the search begins, and where it gives up.
const GUESS: f64 = 8000.0;
const RATE_MIN: f64 = 50.0;

/// A rate is sustained if 99% of the deliveries take at most this share of the run: an overload of 5% exceeds it.
const LATENCY_SHARE: f64 = 0.05;

/// When a run of the search ends at the latest, in lengths of a run, and a run at a given rate, in seconds after its length.
const CUT: f64 = 1.25;
const PATIENCE: f64 = 2.0;

/// What connections and subscriptions may take: a search has many runs.
const TO_BEGIN: Duration = Duration::from_secs(5);

/// How many runs of a search may fail to begin.
const UNBEGUN_MAX: u32 = 3;

/// What happened at one rate.
struct Trial {
    received: Report,
    sent: Report,
    latency: Latency,
    /// Deliveries to the subscribers with fixed topics that did not arrive.
    lost: f64,
}

/// Searches the highest rate that is sustained, beginning with that of the case.
pub fn sustained(case: &Case, player: &Player, times: Times) -> Outcome<Figures> {
    let mut search = match case.rate {
        Some(earlier) => Search::near(earlier, RATE_MIN),
        None => Search::from(GUESS, RATE_MIN),
    };
    let (mut best, mut began, mut unbegun) = (None, false, 0);
    while let Some(rate) = search.next() {
        let trial = match at_rate(case, player, rate, times.seconds * CUT, times) {
            // Some implementations do not begin every time; one that never or seldom does has failed.
            Err(_) if began && unbegun < UNBEGUN_MAX => {
                unbegun += 1;
                None
            }
            trial => trial?,
        };
        began = true;
        let limit = times.seconds * LATENCY_SHARE * 1e6;
        let held = trial.as_ref().is_some_and(|trial| trial.lost == 0.0 && trial.latency.p99 <= limit);
        search.tell(held);
        if held {
            best = trial;
        }
    }
    let best = best.ok_or_else(|| format!("not even {RATE_MIN} messages a second arrive in time"))?;
    let deliveries = best.received.messages as f64;
    Ok(Figures::from([
        ("per second", deliveries / best.received.seconds),
        ("messages per second", best.sent.messages as f64 / best.sent.seconds),
        ("publisher ns each", best.sent.cpu * 1e9 / deliveries),
        ("drain ns each", best.received.cpu * 1e9 / deliveries),
    ]))
}

/// Offers the rate of the case.
pub fn offered(case: &Case, player: &Player, times: Times) -> Outcome<Figures> {
    let rate = case
        .rate
        .ok_or("no rate is known: `sustained` of the same size must run before, or --offered be given")?;
    let trial =
        at_rate(case, player, rate, times.seconds + PATIENCE, times)?.ok_or("the run did not end in time")?;
    let deliveries = trial.received.messages as f64;
    Ok(Figures::from([
        ("us p50", trial.latency.p50),
        ("us p99", trial.latency.p99),
        ("us p99.9", trial.latency.p999),
        ("publisher ns each", trial.sent.cpu * 1e9 / deliveries),
        ("drain ns each", trial.received.cpu * 1e9 / deliveries),
        ("offered per second", rate),
        ("unaccounted", trial.lost),
    ]))
}

/// One run at one rate, which ends `cut` seconds after the first message whatever is on its way; `None` if a process does not
/// report in time. A run that does not even begin has failed.
fn at_rate(
    case: &Case,
    player: &Player,
    rate: f64,
    cut: f64,
    Times { seconds, limit }: Times,
) -> Outcome<Option<Trial>> {
    let mut options = options(&Case { rate: Some(rate), ..case.clone() }, player, seconds);
    options.extend(["--cut".to_owned(), cut.to_string()]);
    let mut publisher = Process::start("pub", &options)?;
    let port = publisher.bound()?.to_string();
    let with_port: Vec<String> = options.into_iter().chain(["--port".to_owned(), port]).collect();
    let mut subscribers = Process::start("market", &with_port)?;
    subscribers.connected(limit.min(TO_BEGIN))?;
    publisher.say("probe")?;
    subscribers.ready(limit.min(TO_BEGIN))?;
    // Wait until the work after the handshakes is done.
    std::thread::sleep(Duration::from_millis(50));
    publisher.say("go")?;
    let Ok(received) = subscribers.done(limit) else { return Ok(None) };
    publisher.end();
    // A publisher that waits for room goes on when its subscribers have gone.
    subscribers.end();
    let Ok(sent) = publisher.done(Duration::from_secs(1)) else { return Ok(None) };
    let Some(latency) = received.latency.filter(|_| received.messages > 0) else { return Ok(None) };
    let lost = market::deliveries(sent.messages) as f64 - received.fixed as f64;
    Ok(Some(Trial { received, sent, latency, lost }))
}
