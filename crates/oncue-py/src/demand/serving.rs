//! Routes at work.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use oncue::OnDemand;
use oncue::demand::{Done, FeedCounts};
use pyo3::types::PyBytes;
use pyo3::{Py, PyAny, PyResult, Python, pyclass, pymethods};

use crate::errors::misuse;
use crate::frames::body;
use crate::records::{copied, record};
use crate::wait::{Detached, duration};

/// Routes at work: values are produced while this lives, and somebody wants them.
#[pyclass(frozen, module = "oncue._oncue")]
pub(crate) struct Serving(Detached<Mutex<Option<Arc<OnDemand>>>>);

impl Serving {
    pub(crate) fn new(od: OnDemand) -> Serving {
        Serving(Detached::new(Mutex::new(Some(Arc::new(od)))))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<OnDemand>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn on_demand(&self) -> PyResult<Arc<OnDemand>> {
        self.lock().clone().ok_or_else(|| misuse("the routes were stopped; start them again"))
    }
}

fn counts(py: Python<'_>, now: &FeedCounts) -> PyResult<Py<PyAny>> {
    copied!(py, "FeedCounts", now, { wanted, running, in_grace, stopping, waiting, failing, listed })
}

fn done(py: Python<'_>, done: &Done) -> PyResult<Py<PyAny>> {
    record!(py, "Done", {
        started: done.started,
        produced: done.produced,
        offered: done.offered,
        late: done.late,
        refused: done.refused,
        superseded: done.superseded,
        failed: done.failed,
        ticks_skipped: done.ticks_skipped,
        ticks_congested: done.ticks_congested,
        ticks_fresh: done.ticks_fresh,
        producing: done.producing.as_secs_f64(),
    })
}

#[pymethods]
impl Serving {
    /// The endpoints, as the system resolved them.
    #[getter]
    fn endpoints(&self) -> PyResult<Vec<String>> {
        Ok(self.on_demand()?.endpoints().iter().map(ToString::to_string).collect())
    }

    /// Counts of all: an `OnDemandStats`.
    fn stats(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let od = self.on_demand()?;
        let stats = py.detach(|| od.stats());
        record!(py, "OnDemandStats", {
            now: counts(py, &stats.now)?,
            done: done(py, &stats.done)?,
            stopped: stats.stopped,
            ended: stats.ended,
            revived: stats.revived,
            unserved: stats.unserved,
            unserved_total: stats.unserved_total,
            lists_failed: stats.lists_failed,
        })
    }

    /// Counts of each route: `RouteStats`.
    fn route_stats(&self, py: Python<'_>) -> PyResult<Vec<Py<PyAny>>> {
        let od = self.on_demand()?;
        let of_route = |route: &oncue::demand::RouteStats| {
            record!(py, "RouteStats", {
                pattern: &route.pattern,
                now: counts(py, &route.now)?,
                done: done(py, &route.done)?,
                avoided: route.avoided,
                first_values: route.first_values,
                first_value_time: route.first_value_time.as_secs_f64(),
                first_value_time_longest: route.first_value_time_longest.as_secs_f64(),
            })
        };
        py.detach(|| od.route_stats()).iter().map(of_route).collect()
    }

    /// Counts of each feed that has not ended: `TopicStats`, ordered by topic.
    fn topic_stats(&self, py: Python<'_>) -> PyResult<Vec<Py<PyAny>>> {
        let od = self.on_demand()?;
        let of_topic = |topic: &oncue::demand::TopicStats| {
            record!(py, "TopicStats", {
                topic: PyBytes::new(py, &topic.topic),
                generation: topic.generation,
                subscribers: topic.subscribers,
                done: done(py, &topic.done)?,
                first_value_time: topic.first_value_time.map(|time| time.as_secs_f64()),
            })
        };
        py.detach(|| od.topic_stats()).iter().map(of_topic).collect()
    }

    /// Ends the subscriptions of all peers to exactly this prefix.
    #[pyo3(signature = (prefix, reason = ""))]
    fn revoke(&self, prefix: &pyo3::Bound<'_, PyAny>, reason: &str) -> PyResult<()> {
        self.on_demand()?.revoke(body(prefix)?.bytes(), reason.to_owned());
        Ok(())
    }

    /// Whether the threads of the routes and the I/O threads react within this time.
    fn responds_within(&self, py: Python<'_>, seconds: f64) -> PyResult<bool> {
        let (od, time) = (self.on_demand()?, duration("seconds", seconds)?);
        Ok(py.detach(|| od.responds_within(time)))
    }

    /// Stops all feeds, and waits until their threads have returned.
    fn stop(&self, py: Python<'_>) {
        let Ok(od) = self.on_demand() else { return };
        py.detach(|| od.stop());
        let taken = self.lock().take();
        py.detach(|| drop((taken, od)));
    }
}
