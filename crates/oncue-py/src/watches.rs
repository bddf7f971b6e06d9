//! Streams of what happens: connections, demand, and who has subscribed to what.

use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Duration;

use oncue::{ConnectionEvent, DemandEvent, SubscriptionEvent};
use pyo3::types::{PyAnyMethods as _, PyBytes, PyModule};
use pyo3::{Bound, Py, PyAny, PyRef, PyResult, Python, pyclass, pymethods};

use crate::errors::OrRaise as _;
use crate::inlet::{Inlet, Next, Source};
use crate::records::{connection, demand, held, subscription};
use crate::wait::{Detached, limit};

/// A watch as a source, and as a class that is an iterator. `$show` makes an item one for Python.
macro_rules! watch {
    ($(#[$doc:meta])* $class:ident, $item:ty, $show:expr, { $($own:tt)* }) => {
        impl Source for Arc<oncue::$class> {
            type Item = $item;

            fn try_next(&self) -> oncue::Result<Option<$item>> {
                oncue::$class::try_next(self)
            }

            fn wait_next(&self, time: Duration) -> Option<oncue::Result<$item>> {
                oncue::$class::next(self).wait_timeout(time)
            }

            fn next(&self) -> Next<$item> {
                let watch = self.clone();
                Box::pin(async move { oncue::$class::next(&watch).await })
            }
        }

        $(#[$doc])*
        #[pyclass(frozen, module = "oncue")]
        pub(crate) struct $class(Detached<Inlet<Arc<oncue::$class>>>);

        impl $class {
            pub(crate) fn new(watch: oncue::$class) -> $class {
                $class(Detached::new(Inlet::new(Arc::new(watch))))
            }
        }

        #[pymethods]
        impl $class {
            /// The next event. Waits for at most `timeout` seconds.
            #[pyo3(signature = (timeout = None))]
            fn next(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<Py<PyAny>> {
                $show(py, &self.0.take(py, limit(timeout)?)?)
            }

            /// The next event if there is one now; otherwise `None`.
            fn try_next(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
                let item = self.0.try_take().or_raise()?;
                item.map(|item| $show(py, &item)).transpose()
            }

            /// A descriptor that is readable while there is an event. Only to be polled. It belongs to the stream.
            fn fileno(&self) -> PyResult<RawFd> {
                self.0.fileno()
            }

            fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
                slf
            }

            /// Ends when the socket is closed.
            fn __next__(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
                match self.0.take_open(py)? {
                    Some(item) => $show(py, &item).map(Some),
                    None => Ok(None),
                }
            }

            /// The same, to be awaited.
            fn __aiter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
                PyModule::import(slf.py(), "oncue._sockets")?.getattr("each")?.call1((slf,))
            }

            $($own)*
        }
    };
}

watch!(
    /// What happens to the connections of a socket, from the call of `events` on: an iterator of `ConnectionEvent`s.
    ConnectionEvents,
    ConnectionEvent,
    connection,
    {
        /// How many events were dropped, since nobody took them.
        #[getter]
        fn missed(&self) -> u64 {
            self.0.source.missed()
        }
    }
);

watch!(
    /// What is wanted: a snapshot, and an iterator of `Wanted` and `Unwanted`, all changes after it.
    DemandWatch,
    DemandEvent,
    demand_event,
    {
        /// The prefixes that were wanted when the watch began.
        #[getter]
        fn snapshot<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, PyBytes>> {
            self.0.source.snapshot().iter().map(|prefix| PyBytes::new(py, prefix)).collect()
        }
    }
);

watch!(
    /// What each peer has subscribed to: a snapshot, and an iterator of `Subscribed` and `Unsubscribed`, all changes after it.
    SubscriptionWatch,
    SubscriptionEvent,
    subscription,
    {
        /// What each peer had when the watch began, each as a `Subscribed`.
        #[getter]
        fn snapshot(&self, py: Python<'_>) -> PyResult<Vec<Py<PyAny>>> {
            let snapshot = self.0.source.snapshot();
            snapshot.iter().map(|(peer, prefix)| held(py, "Subscribed", peer, prefix)).collect()
        }
    }
);

fn demand_event(py: Python<'_>, event: &DemandEvent) -> PyResult<Py<PyAny>> {
    match event {
        DemandEvent::Wanted(prefix) => demand(py, true, prefix),
        DemandEvent::Unwanted(prefix) => demand(py, false, prefix),
    }
}
