//! Routes being put together, one call a route.

use std::collections::VecDeque;
use std::os::fd::RawFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use oncue::demand::{Builder, Change, Failure, Feed, LastLimits, Pattern, RouteBuilder};
use oncue::{Admission, OnDemand, SubscribeRequest};
use pyo3::exceptions::PyTypeError;
use pyo3::types::{PyAnyMethods as _, PyBytes, PyDict, PyDictMethods as _, PyString, PyTuple};
use pyo3::{Bound, Py, PyAny, PyResult, Python, pyclass, pymethods};

use super::feed::{PyFeed, Raised, topics};
use super::produce::Function;
use super::serving::Serving;
use crate::calls::{log, tell};
use crate::engine::engine;
use crate::errors::{OrRaise as _, misuse};
use crate::ffi::{self, attach};
use crate::frames::body;
use crate::inlet::Signal;
use crate::options::{self, on_full};
use crate::publisher::PyXPub;
use crate::records::{PeerKey, record};
use crate::user::shown;
use crate::wait::{Deciding, duration};

/// How many threads produce for periodic routes and batches, at most: as many functions may block at a time.
const WORKERS_MAX: usize = 256;
/// How long a function may take before another thread does what is due beside it. Functions that are quick share one thread,
/// since there is one lock of the interpreter.
const PATIENCE: Duration = Duration::from_millis(2);

/// Routes being put together. Each method adds one.
#[pyclass(frozen, module = "oncue._oncue")]
pub(crate) struct Routes(Mutex<Option<Builder>>);

impl Routes {
    fn lock(&self) -> MutexGuard<'_, Option<Builder>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> PyResult<Builder> {
        self.lock().take().ok_or_else(|| misuse("these routes have been started"))
    }

    /// Adds a route; if it cannot be added, the others stay.
    fn add(
        &self,
        pattern: &Pattern,
        settings: &Bound<'_, PyDict>,
        produce: impl FnOnce(RouteBuilder) -> Builder,
    ) -> PyResult<()> {
        let mut routes = self.lock();
        // Read before the routes are taken.
        let settings = Settings::read(pattern, settings)?;
        let Some(builder) = routes.take() else { return Err(misuse("these routes have been started")) };
        *routes = Some(produce(settings.apply(builder.route_pattern(pattern.clone()))));
        Ok(())
    }
}

/// A pattern, or the exception that says what is wrong with it.
fn pattern(text: &str) -> PyResult<Pattern> {
    Pattern::parse(text).map_err(|error| misuse(error.to_string()))
}

/// What a route is told beside its producer.
#[derive(Default)]
struct Settings(Vec<Box<dyn FnOnce(RouteBuilder) -> RouteBuilder>>);

impl Settings {
    fn apply(self, route: RouteBuilder) -> RouteBuilder {
        self.0.into_iter().fold(route, |route, set| set(route))
    }

    fn set(&mut self, set: impl FnOnce(RouteBuilder) -> RouteBuilder + 'static) {
        self.0.push(Box::new(set));
    }

    fn read(pattern: &Pattern, given: &Bound<'_, PyDict>) -> PyResult<Settings> {
        let mut settings = Settings::default();
        let mut limits = LastLimits::default();
        let mut keep_last = false;
        let mut period = Duration::from_secs(60);
        for (name, value) in given.iter() {
            let name: String = name.extract()?;
            let time = || options::time(&name, &value);
            match name.as_str() {
                "catalogue_seconds" => period = time()?,
                "keep_last" => keep_last = value.extract()?,
                "keep_last_age" => limits.age_max = Some(time()?),
                "keep_last_bytes" => limits.bytes_max = Some(value.extract()?),
                "keep_last_outlive" => limits.outlive = value.extract()?,
                _ => {}
            }
        }
        for (name, value) in given.iter() {
            let name: String = name.extract()?;
            let time = || options::time(&name, &value);
            match name.as_str() {
                "key" => settings.set({
                    let key: String = value.extract()?;
                    move |route| route.key(key)
                }),
                "grace" => settings.set({
                    let time = time()?;
                    move |route| route.grace(time)
                }),
                "min_run" => settings.set({
                    let time = time()?;
                    move |route| route.min_run(time)
                }),
                "feeds_max" => settings.set({
                    let feeds = value.extract()?;
                    move |route| route.feeds_max(feeds)
                }),
                "backoff" if value.is_none() => settings.set(RouteBuilder::no_restart),
                "backoff" => settings.set({
                    let (min, max) = options::two_times(&name, &value)?;
                    move |route| route.backoff(min, max)
                }),
                "min_interval" => settings.set({
                    let time = time()?;
                    move |route| route.max_rate(time)
                }),
                "on_full" => settings.set({
                    let policy = on_full(&value)?;
                    move |route| route.on_full(policy)
                }),
                "pace" => settings.set({
                    let time = time()?;
                    move |route| route.pace(time)
                }),
                "fresh_for" => settings.set({
                    let time = time()?;
                    move |route| route.fresh_for(time)
                }),
                "once" => settings.set({
                    let once = value.extract()?;
                    move |route| route.once(once)
                }),
                "frames" => settings.set({
                    let frames: Vec<String> = value.extract()?;
                    move |route| route.frames(frames)
                }),
                "fill" => settings.set({
                    let (fill, arguments): (Py<PyAny>, Vec<String>) = value.extract()?;
                    let function = Function::new(fill, pattern, arguments);
                    move |route| route.fill(move |feed| function.fill(feed))
                }),
                "admit" => settings.set({
                    let decide = value.unbind();
                    move |route| route.admit(move |request| admit(&decide, request))
                }),
                "catalogue" => settings.catalogue(pattern, &value, period)?,
                "catalogue_seconds" | "keep_last" | "keep_last_age" | "keep_last_bytes"
                | "keep_last_outlive" => {}
                _ => return Err(PyTypeError::new_err(format!("a route has no setting {name:?}"))),
            }
        }
        if keep_last || limits != LastLimits::default() {
            settings.set(move |route| route.keep_last_with(limits));
        }
        Ok(settings)
    }

    fn catalogue(&mut self, pattern: &Pattern, listed: &Bound<'_, PyAny>, period: Duration) -> PyResult<()> {
        if listed.is_instance_of::<PyString>() || listed.is_instance_of::<PyBytes>() {
            return Err(PyTypeError::new_err(
                "catalogue must be a list of topics, or a function that lists them; write [topic]",
            ));
        }
        if listed.is_callable() {
            let (list, pattern) = (listed.clone().unbind(), pattern.clone());
            self.set(move |route| {
                route.try_catalogue_with(period, move || {
                    attach(|py| {
                        let listed = ffi::call(list.bind(py), &PyTuple::empty(py));
                        let listed = listed.and_then(|listed| topics(&pattern, &listed));
                        listed.map_err(|error| Raised::new(py, error).into())
                    })
                })
            });
        } else {
            let topics = topics(pattern, listed)?;
            self.set(move |route| route.catalogue(topics));
        }
        Ok(())
    }
}

fn admit(decide: &Py<PyAny>, request: &SubscribeRequest<'_>) -> Admission {
    let _deciding = Deciding::begin();
    attach(|py| {
        let ask = || {
            let asked = record!(py, "SubscribeRequest", {
                peer: PeerKey(request.peer),
                address: request.address.to_string(),
                prefix: PyBytes::new(py, request.prefix),
                user: shown(py, request.user)?,
                in_force: request.in_force,
            })?;
            let answer = ffi::call(decide.bind(py), &PyTuple::new(py, [asked])?)?;
            if let Ok(accepted) = answer.extract::<bool>() {
                return Ok(if accepted {
                    Admission::Accept
                } else {
                    Admission::Reject(String::new().into())
                });
            }
            match answer.extract::<String>() {
                Ok(reason) => Ok(Admission::Reject(reason.into())),
                Err(_) if answer.is(py.Ellipsis()) => Ok(Admission::Defer),
                Err(_) => Err(PyTypeError::new_err(
                    "admit returns True, False, the reason of a refusal, or oncue.DEFER",
                )),
            }
        };
        ask().unwrap_or_else(|error: pyo3::PyErr| {
            log(py, "admit_failed", &request.prefix.escape_ascii().to_string(), &error.into_value(py));
            Admission::Reject("the publisher could not decide".into())
        })
    })
}

#[pymethods]
impl Routes {
    /// `settings`: grace, feeds_max, catalogue_topics_max, status_prefix, workers, tell_unserved; and functions: failed(topic,
    /// generation, exception or text), list_failed(pattern, exception or text), unserved(topic, reason).
    #[new]
    #[pyo3(signature = (**settings))]
    fn new(settings: Option<&Bound<'_, PyDict>>) -> PyResult<Routes> {
        let mut builder = OnDemand::routes().workers(WORKERS_MAX).worker_patience(PATIENCE);
        for (name, value) in settings.iter().flat_map(|settings| settings.iter()) {
            let name: String = name.extract()?;
            builder = match name.as_str() {
                "grace" => builder.grace(duration(&name, value.extract()?)?),
                "feeds_max" => builder.feeds_max(value.extract()?),
                "catalogue_topics_max" => builder.catalogue_topics_max(value.extract()?),
                "status_prefix" => builder.status_prefix(body(&value)?.bytes()),
                "workers" => builder.workers(value.extract()?),
                "tell_unserved" => builder.tell_unserved(value.extract()?),
                "failed" => {
                    let report = value.unbind();
                    builder.on_failure(move |feed, failure| failed(&report, feed, failure))
                }
                "list_failed" => {
                    let report = value.unbind();
                    builder.on_list_failure(move |pattern, failure| {
                        tell(&report, |py| Ok((pattern.to_string(), why(py, failure))));
                    })
                }
                "unserved" => {
                    let report = value.unbind();
                    builder.on_unserved(move |topic, reason| {
                        tell(&report, |py| Ok((PyBytes::new(py, topic).unbind(), reason.to_owned())));
                    })
                }
                _ => return Err(PyTypeError::new_err(format!("there is no setting {name:?}"))),
            };
        }
        Ok(Routes(Mutex::new(Some(builder))))
    }

    /// One value every `seconds`: what `call` returns.
    fn every(
        &self,
        pattern: &str,
        settings: &Bound<'_, PyDict>,
        seconds: f64,
        call: Py<PyAny>,
        arguments: Vec<String>,
    ) -> PyResult<()> {
        let (pattern, period) = (self::pattern(pattern)?, duration("seconds", seconds)?);
        let function = Function::new(call, &pattern, arguments);
        self.add(&pattern, settings, |route| route.every(period, move |feed| function.value(feed)))
    }

    /// A thread for each topic: what the generator yields that `call` returns.
    fn stream(
        &self,
        pattern: &str,
        settings: &Bound<'_, PyDict>,
        call: Py<PyAny>,
        arguments: Vec<String>,
    ) -> PyResult<()> {
        let pattern = self::pattern(pattern)?;
        let function = Function::new(call, &pattern, arguments);
        self.add(&pattern, settings, |route| route.thread(move |feed| function.stream(&feed)))
    }

    /// All topics by one call every `seconds`: the dict that `call` returns or yields.
    fn batch(
        &self,
        pattern: &str,
        settings: &Bound<'_, PyDict>,
        seconds: f64,
        call: Py<PyAny>,
    ) -> PyResult<()> {
        let (pattern, period) = (self::pattern(pattern)?, duration("seconds", seconds)?);
        let function = Function::new(call, &pattern, Vec::new());
        self.add(&pattern, settings, |route| route.batch(period, move |set| function.batch(set)))
    }

    /// Feeds that somebody else produces for: `changes` gets each that starts or stops.
    fn manual(&self, pattern: &str, settings: &Bound<'_, PyDict>, changes: &Changes) -> PyResult<()> {
        let pattern = self::pattern(pattern)?;
        let (queue, ints) = (changes.0.clone(), super::feed::ints_of(&pattern));
        let text: Arc<str> = pattern.to_string().into();
        self.add(&pattern, settings, |route| {
            route.manual(move |change| {
                let (started, feed) = match change {
                    Change::Started(feed) => (true, feed),
                    Change::Stopped(feed) => (false, feed),
                };
                queue.push(Told { started, route: text.clone(), feed, ints: ints.clone() });
            })
        })
    }

    /// Checks the routes, without opening or starting anything.
    fn check(&self) -> PyResult<()> {
        self.lock().as_ref().map_or(Ok(()), |builder| builder.check().or_raise())
    }

    /// Starts them, on a socket that exists, or on one of their own with these endpoints and options.
    #[pyo3(signature = (bind, connect, socket = None, engine = None, options = None))]
    fn start(
        &self,
        py: Python<'_>,
        bind: Vec<String>,
        connect: Vec<String>,
        socket: Option<&Bound<'_, PyXPub>>,
        engine: Option<&Bound<'_, crate::engine::Engine>>,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Serving> {
        let builder = self.take()?;
        let builder = match socket {
            Some(socket) => builder.on((*socket.get().0).clone()).or_raise()?,
            None => {
                let engine = self::engine(engine.map(Bound::get))?;
                builder.with_engine(&engine, options::options(options)?).or_raise()?
            }
        };
        let open = || {
            let bound = bind.iter().try_fold(builder, |builder, endpoint| builder.bind(endpoint))?;
            let connected = connect.iter().try_fold(bound, |builder, endpoint| builder.connect(endpoint))?;
            connected.start()
        };
        // Producers may start at once, and need the interpreter.
        py.detach(open).or_raise().map(Serving::new)
    }

    /// Puts them in the place of those that run. Returns how many routes stay, come and go.
    fn reload(&self, py: Python<'_>, serving: &Bound<'_, Serving>) -> PyResult<(usize, usize, usize)> {
        let routes = self.take()?;
        let od = serving.get().on_demand()?;
        let done = py.detach(|| od.reload(routes)).or_raise()?;
        Ok((done.kept, done.added, done.removed))
    }
}

fn failed(report: &Py<PyAny>, feed: &Feed, failure: &Failure) {
    tell(report, |py| Ok((PyBytes::new(py, feed.topic()).unbind(), feed.generation(), why(py, failure))));
}

/// Why something failed: the exception, or a text.
fn why(py: Python<'_>, failure: &Failure) -> Py<PyAny> {
    let text = match failure {
        Failure::Error(error) => match error.downcast_ref::<Raised>() {
            Some(raised) => return raised.exception.clone_ref(py).into_any(),
            None => error.to_string(),
        },
        _ => failure.to_string(),
    };
    PyString::new(py, &text).into_any().unbind()
}

/// A change of a feed, for whoever produces it.
struct Told {
    started: bool,
    route: Arc<str>,
    feed: Feed,
    ints: Arc<[String]>,
}

/// The changes of manual feeds that were not taken yet, and a descriptor that is readable while there are any.
#[pyclass(frozen, module = "oncue._oncue")]
pub(crate) struct Changes(Arc<Queue>);

struct Queue {
    told: Mutex<VecDeque<Told>>,
    signal: Signal,
}

impl Queue {
    /// On the thread that serves all routes, without the interpreter.
    fn push(&self, told: Told) {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).push_back(told);
        self.signal.set();
    }
}

#[pymethods]
impl Changes {
    #[new]
    fn new() -> PyResult<Changes> {
        let signal = Signal::new("the changes")?;
        Ok(Changes(Arc::new(Queue { told: Mutex::default(), signal })))
    }

    /// A descriptor that is readable while there are changes.
    fn fileno(&self) -> RawFd {
        self.0.signal.fileno()
    }

    /// All changes, in order: whether the feed has started, its route, and the feed.
    fn take(&self) -> Vec<(bool, String, PyFeed)> {
        // Cleared before the queue is emptied, so that what comes after is told.
        self.0.signal.clear();
        let told = std::mem::take(&mut *self.0.told.lock().unwrap_or_else(PoisonError::into_inner));
        let change = |told: Told| (told.started, told.route.to_string(), PyFeed::new(told.feed, told.ints));
        told.into_iter().map(change).collect()
    }
}
