//! A route as it was described, and whether it can be.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use oncue_core::backoff::Backoff;
use oncue_core::feeds::{Limits, Route};
use oncue_pattern::{Pattern, PatternError, PrefixMeaning, Template};

use crate::demand::feed::{FeedRoute, Keep, LastLimits, Layout};
use crate::demand::producers::{FillFn, Lister, Producer};
use crate::demand::runner::{AdmitFn, Guard, Listed, Planned, RouteRun};
use crate::error::{Error, Result};
use crate::options::OnFull;
use crate::socket::XPub;

const HIDDEN_TOPIC: &str = "has more than the topic in the first frame, by which `OnFull::Latest` tells topics apart; begin \
                            `frames` with \"{topic}\", or choose another policy";

/// The pauses before a feed that failed starts again, unless its route says otherwise.
const BACKOFF: Backoff = Backoff { min: Duration::from_millis(100), max: Duration::from_secs(30) };

/// What holds for all routes that say nothing else.
#[derive(Debug, Clone, Default)]
pub(crate) struct Defaults {
    pub(crate) grace: Duration,
    pub(crate) limits: Limits,
    /// Where states of topics are published.
    pub(crate) status_prefix: Option<Arc<[u8]>>,
    /// How many feeds a user may start in a minute, if that was set.
    pub(crate) starts_per_minute_max: Option<u32>,
}

/// The settings of a route.
pub(crate) struct Draft {
    /// The route as the state machine knows it, but for defaults.
    pub(crate) route: Route,
    /// Why the pattern cannot be read; the one in the route is then its text.
    pub(crate) unreadable: Option<PatternError>,
    pub(crate) grace: Option<Duration>,
    pub(crate) key: Option<String>,
    pub(crate) spacing: Duration,
    pub(crate) pace: Option<Duration>,
    pub(crate) keep: Option<LastLimits>,
    pub(crate) on_full: Option<OnFull>,
    pub(crate) fresh: Option<Duration>,
    pub(crate) once: bool,
    /// The frames of its messages, as they were written.
    pub(crate) frames: Option<Vec<String>>,
    pub(crate) fill: Option<FillFn>,
    pub(crate) admit: Option<AdmitFn>,
    pub(crate) lister: Option<Lister>,
    /// The socket had an endpoint, and so possibly subscribers, when the route was added.
    pub(crate) late: bool,
}

impl Draft {
    pub(crate) fn new(pattern: Pattern, unreadable: Option<PatternError>) -> Draft {
        Draft {
            route: Route { backoff: Some(BACKOFF), ..Route::new(pattern) },
            unreadable,
            grace: None,
            key: None,
            spacing: Duration::ZERO,
            pace: None,
            keep: None,
            on_full: None,
            fresh: None,
            once: false,
            frames: None,
            fill: None,
            admit: None,
            lister: None,
            late: false,
        }
    }

    /// The route's own rule about who may subscribe.
    pub(crate) fn guard(&self) -> Option<Guard> {
        let admit = self.admit.clone()?;
        Some(Guard { pattern: self.route.pattern.clone(), admit: Some(admit), fills: false })
    }

    /// Whether the socket can send the values of the route.
    ///
    /// # Errors
    /// What contradicts the options of the socket.
    pub(crate) fn fits(&self, socket: &XPub) -> Result<()> {
        let pattern = &self.route.pattern;
        if self.on_full.unwrap_or(socket.policy()) == OnFull::Latest && self.hides_topic() {
            return Err(Error::misuse(format!("the route `{pattern}` {HIDDEN_TOPIC}")));
        }
        let Some(on_full) = self.on_full else { return Ok(()) };
        let refused = |error: Error| Error::misuse(format!("the route `{pattern}`: {error}"));
        socket.check_policy(on_full).map_err(refused)
    }

    /// Whether the first frame of its messages is more than the topic.
    fn hides_topic(&self) -> bool {
        self.frames.as_ref().is_some_and(|frames| frames.first().is_some_and(|first| first != "{topic}"))
    }

    /// The route as the state machine knows it. `guarded`: the socket asks the rules of routes.
    ///
    /// # Errors
    /// What is wrong with this route by itself.
    pub(crate) fn checked(&self, producer: &Producer, defaults: &Defaults, guarded: bool) -> Result<Route> {
        if let Some(error) = &self.unreadable {
            return Err(Error::misuse(error.to_string()).because(error.clone()));
        }
        let Route { pattern, backoff, .. } = &self.route;
        let status = defaults.status_prefix.as_deref();
        let age_max = self.keep.and_then(|keep| keep.age_max);
        let wrong = if self.admit.is_some() && !guarded {
            "asks who may subscribe, but the socket was made elsewhere; make it by `OnDemand::new`, or give it the rule \
             by `Options::admission`"
        } else if self.admit.is_some() && self.late {
            "asks who may subscribe, but some may have done so already; bind after it"
        } else if status.is_some_and(|status| pattern.prefix(status) != PrefixMeaning::None) {
            "has topics that begin with the status prefix; choose another prefix"
        } else if self.on_full == Some(OnFull::Refuse) {
            "has the policy `OnFull::Refuse`, but its producer does not wait for room; choose another"
        } else if self.on_full == Some(OnFull::Latest) && self.hides_topic() {
            HIDDEN_TOPIC
        } else if self.pace.is_some_and(|pace| pace.is_zero()) {
            "has a pace of 0 s; give it one above zero"
        } else if producer.period() == Some(Duration::ZERO) {
            "is produced every 0 s; give it a period above zero"
        } else if self.lister.as_ref().is_some_and(|lister| lister.period.is_zero()) {
            "is listed every 0 s; give it a period above zero"
        } else if self.fresh == Some(Duration::ZERO) {
            "has values that are fresh for 0 s; give `fresh_for` a time above zero"
        } else if age_max.zip(self.fresh).is_some_and(|(age_max, fresh)| age_max < fresh) {
            "keeps values for a shorter time than they are fresh for; make `age_max` at least as long as `fresh_for`, or \
             leave it out"
        } else if self.once && !producer.may_rest() {
            "is produced once, but by a task or by hand, which publishes as often as it does; produce it by `every`, \
             `batch` or `thread`"
        } else if backoff.is_some_and(|backoff| backoff.min.is_zero() || backoff.min > backoff.max) {
            "has a backoff that begins with 0 s or ends before it begins; give it both in order"
        } else {
            self.frames()?;
            return Ok(Route { grace: self.grace.unwrap_or(defaults.grace), ..self.route.clone() });
        };
        Err(Error::misuse(format!("the route `{pattern}` {wrong}")))
    }

    /// The limits of the values that are kept, if they are.
    fn limits(&self) -> Option<LastLimits> {
        let implied = self.once || self.fresh.is_some();
        self.keep.or(implied.then(LastLimits::default))
    }

    /// The frames of its messages, where they are not topic and value.
    fn frames(&self) -> Result<Option<Vec<Template>>> {
        let Some(texts) = &self.frames else { return Ok(None) };
        let pattern = &self.route.pattern;
        let wrong = |why: String| Error::misuse(format!("the route `{pattern}` {why}"));
        if let Some(name) = Layout::NAMES.into_iter().find(|name| pattern.names().any(|known| known == *name))
        {
            let why = format!("has a parameter `{{{name}}}`, which is something else in frames; rename it");
            return Err(wrong(why));
        }
        let mut frames = Vec::with_capacity(texts.len());
        for text in texts {
            let frame = Template::parse(text)
                .map_err(|error| wrong(format!("has a wrong frame: {error}")).because(error))?;
            if let Some(name) = frame
                .names()
                .find(|name| !Layout::NAMES.contains(name) && pattern.names().all(|known| known != *name))
            {
                return Err(wrong(format!(
                    "has the frame `{text}`, but there is no parameter `{{{name}}}`; write a parameter of the topic, \
                     {{topic}}, {{value}} or {{count}}"
                )));
            }
            frames.push(frame);
        }
        if !texts.first().is_some_and(|first| first.starts_with("{topic}")) {
            let why = "has a first frame that does not begin with `{topic}`, so that no subscriber would get the messages; \
                       begin it so";
            return Err(wrong(why.to_owned()));
        }
        let plain = texts.iter().map(String::as_str).eq(["{topic}", "{value}"]);
        Ok((!plain).then_some(frames))
    }

    pub(crate) fn plan(self, producer: Producer, defaults: &Defaults, guarded: bool) -> Result<Planned> {
        let route = self.checked(&producer, defaults, guarded)?;
        let feeds = FeedRoute {
            spacing: (!self.spacing.is_zero()).then_some(self.spacing),
            on_full: self.on_full,
            layout: self.frames()?.map(Layout::new),
            keep: self.limits().map(|limits| Keep::new(limits, self.fresh)),
            once: self.once,
            paced: self.pace.is_some(),
            ..FeedRoute::default()
        };
        let run = RouteRun {
            pattern: route.pattern.clone(),
            key: self.key,
            pace: producer.period().or(self.pace),
            producer,
            lister: self.lister.map(|lister| Lister { always: self.route.catalogue, ..lister }),
            fill: self.fill,
            admit: self.admit,
            feeds: Arc::new(feeds),
            listed: Mutex::new(Listed::default()),
            avoided_most: AtomicU64::new(0),
        };
        Ok(Planned { route, run: Arc::new(run) })
    }
}
