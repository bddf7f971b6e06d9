"""Production on demand: routes over topics, and functions that run only while somebody wants what they produce."""

from __future__ import annotations

import asyncio
import atexit
import itertools
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, TypeVar
from weakref import WeakSet

from . import _log, _oncue
from ._call import adapted, is_async, is_generator
from ._errors import MisuseError
from ._oncue import Engine, Feed
from ._records import OnDemandStats, RouteStats, TopicStats
from ._sockets import XPub
from ._tasks import Started, Tasks

_F = TypeVar("_F", bound=Callable[..., Any])
_T = TypeVar("_T")
_Add = Callable[[_oncue.Routes], None]

#: The answer of a function given as ``admit`` that decides later, by ``XPub.admit`` or ``XPub.reject``.
DEFER = ...

#: Those that have started and were not stopped.
_running: WeakSet[OnDemand] = WeakSet()
#: The starts whose stop has begun, and has not ended.
_ending: set[_Run] = set()
#: In a fork: what runs in the process before.
_left: list[_Run | None] = []


class OnDemand:
    """Routes over topics, such as ``prices/{symbol}``, and how their values are produced while they are wanted.

    ``endpoints`` are bound, those of ``connect`` are connected to, when the routes start. ``options`` are those of the socket
    (see ``help(oncue.XPub)``); with ``socket``, an ``XPub`` that exists, there are none, and others may send on it as well.

    ``grace``: how many seconds a topic is still produced after its last subscriber has gone. ``feeds_max``: the most topics at
    once. ``workers``: how many functions of ``every`` and ``batch`` may block at once, 256 by default. ``status_prefix``: topics
    with this prefix tell the states of topics. ``on_failure(topic, generation, why)``, ``on_list_failure(pattern, why)`` and
    ``on_unserved(topic, reason)`` are called on a thread of the library; without them the logger ``oncue`` tells.
    """

    def __init__(
        self,
        *endpoints: str,
        connect: Iterable[str] = (),
        socket: _oncue.XPub | None = None,
        engine: Engine | None = None,
        grace: float = 0.0,
        feeds_max: int | None = None,
        catalogue_topics_max: int | None = None,
        workers: int | None = None,
        status_prefix: str | bytes | None = None,
        tell_unserved: bool | None = None,
        on_failure: Callable[[bytes, int, BaseException | str], object] = _log.failed,
        on_list_failure: Callable[[str, BaseException | str], object] = _log.list_failed,
        on_unserved: Callable[[bytes, str], object] = _log.unserved,
        **options: Any,
    ) -> None:
        for name, told in (("on_failure", on_failure), ("on_list_failure", on_list_failure), ("on_unserved", on_unserved)):
            _check_callable(name, told)
        connect = [connect] if isinstance(connect, str) else list(connect)
        if socket is not None and (engine is not None or options):
            raise MisuseError("a socket that exists has its options and its engine; give these to oncue.XPub")
        if socket is None and not endpoints and not connect:
            raise MisuseError('there is no endpoint; give one, such as OnDemand("tcp://127.0.0.1:8888")')
        self._open = (list(endpoints), connect, socket, engine, options)
        settings = {
            "grace": grace,
            "feeds_max": feeds_max,
            "catalogue_topics_max": catalogue_topics_max,
            "workers": workers,
            "status_prefix": status_prefix,
            "tell_unserved": tell_unserved,
            "failed": on_failure,
            "list_failed": on_list_failure,
            "unserved": on_unserved,
        }
        self._settings = {name: value for name, value in settings.items() if value is not None}
        self._routes: dict[str, _Add] = {}
        self._tasks = Tasks()
        #: From a start until its stop begins.
        self._run: _Run | None = None
        #: The last start, until it has ended.
        self._last: _Run | None = None
        self._lock = threading.RLock()
        #: The variables of the notebook or prompt in which it is made; none in a module, which has a file.
        space = sys._getframe(1).f_globals
        self._space = None if "__file__" in space else id(space)

    # Routes.

    def every(self, pattern: str, *, seconds: float, **settings: Any) -> Callable[[_F], _F]:
        """A function that returns one value: it is called at once, and then every ``seconds``, while the topic is wanted.

        It is called with the parameters of the route that it has as arguments, and with ``feed``. It returns ``str``, ``bytes``, any
        buffer, a tuple of frames, or ``None`` for nothing now. When it raises, the topic is stale, and it is called again
        after the backoff. It may be a coroutine.

        ``settings`` of all routes: ``grace``, ``min_run``, ``feeds_max``, ``backoff`` (two times, or ``None`` for no restart),
        ``min_interval`` (the shortest time between two values), ``on_full``, ``pace``, ``keep_last``, ``keep_last_age``,
        ``keep_last_bytes``, ``keep_last_outlive``, ``fresh_for``, ``once``, ``frames``, ``fill`` (a function that has a value for a
        topic that has none: when its feed starts, or its last value is too old), ``admit`` (a function that decides about a
        ``SubscribeRequest``), ``catalogue`` (topics, or the values of
        the parameters; or a function that lists them, each ``catalogue_seconds``).
        """

        def add(function: _F) -> _F:
            _check_callable("a route", function)
            if is_generator(function):
                raise MisuseError(f"{function!r} is a generator, and every needs a function that returns a value; use stream")
            call, names = self._adapted(function, pattern, settings)
            if is_async(function):
                call = self._awaited(call)
            self._add(pattern, settings, lambda routes, given: routes.every(pattern, given, seconds, call, names))
            return function

        return add

    def stream(self, pattern: str, **settings: Any) -> Callable[[_F], _F]:
        """A generator that yields values: it runs while the topic is wanted, on a thread of its own.

        When nobody wants the topic any more, it ends with ``GeneratorExit`` at its ``yield``. An async generator is a task on the event
        loop, and is cancelled. A function that is no generator publishes by its argument ``feed``. ``settings`` as for ``every``.
        """

        def add(function: _F) -> _F:
            _check_callable("a route", function)
            call, names = self._adapted(function, pattern, settings)
            if is_async(function):
                self._add_task(pattern, settings, call, names)
            else:
                self._add(pattern, settings, lambda routes, given: routes.stream(pattern, given, call, names))
            return function

        return add

    def batch(self, pattern: str, *, seconds: float, **settings: Any) -> Callable[[_F], _F]:
        """A function that produces all topics that are wanted in one call, every ``seconds``, and at once for new ones.

        It is called with a list of feeds (``feed.topic``, ``feed.params``), and returns or yields ``{topic: value}``; the
        keys are topics or feeds. ``settings`` as for ``every``.
        """

        def add(function: _F) -> _F:
            _check_callable("a route", function)
            if is_generator(function) and is_async(function):
                raise MisuseError(f"{function!r} is an async generator; batch needs a coroutine that returns {{topic: value}}")
            call = self._awaited(function) if is_async(function) else function
            self._adapted_fill(pattern, settings)
            self._add(pattern, settings, lambda routes, given: routes.batch(pattern, given, seconds, call))
            return function

        return add

    def _adapted(self, function: Callable[..., Any], pattern: str, settings: dict[str, Any]) -> Any:
        self._adapted_fill(pattern, settings)
        return adapted(function, pattern, _oncue.pattern_names(pattern))

    def _adapted_fill(self, pattern: str, settings: dict[str, Any]) -> None:
        fill = settings.get("fill")
        if callable(fill):
            call, names = adapted(fill, pattern, _oncue.pattern_names(pattern))
            settings["fill"] = (self._awaited(call) if is_async(fill) else call, names)

    def _awaited(self, call: Callable[..., Any]) -> Callable[..., Any]:
        # The tasks, not this: routes must not keep it alive.
        tasks = self._tasks

        def wait(*values: Any) -> Any:
            return tasks.result(call(*values))

        return wait

    def _add_task(self, pattern: str, settings: dict[str, Any], call: Callable[..., Any], names: list[str]) -> None:
        tasks = self._tasks

        def produce(feed: Feed) -> Any:
            values = feed.params
            return call(*(feed if name == "feed" and name not in values else values[name] for name in names))

        tasks.produce[pattern] = produce
        self._add(pattern, settings, lambda routes, given: routes.manual(pattern, given, tasks.now.changes))

    def _add(self, pattern: str, settings: dict[str, Any], add: Callable[[_oncue.Routes, dict[str, Any]], None]) -> None:
        if "admit" in settings:
            _check_callable("admit", settings["admit"])
        # Another key than that of a route of the same pattern before, which it replaces.
        given = {"key": str(next(_keys)), **settings}
        with self._lock:
            before = self._routes.get(pattern)
            self._routes[pattern] = lambda routes: add(routes, given)
            try:
                routes = self._built()
                if self._run is not None:
                    routes.reload(self._run.serving)
            except BaseException:
                if before is None:
                    del self._routes[pattern]
                else:
                    self._routes[pattern] = before
                raise

    def _built(self) -> _oncue.Routes:
        routes = _oncue.Routes(**self._settings)
        for add in self._routes.values():
            add(routes)
        routes.check()
        return routes

    def remove(self, pattern: str) -> None:
        """Removes a route. Its feeds are stopped. At least one route must stay while they run."""
        with self._lock:
            removed = self._routes.pop(pattern)
            try:
                if self._run is not None:
                    self._built().reload(self._run.serving)
            except BaseException:
                self._routes[pattern] = removed
                raise

    # Their life.

    def start(self) -> OnDemand:
        """Opens the endpoints, and begins to produce what is wanted. Returns itself.

        Coroutines run on the event loop that runs in this thread, if one does; otherwise on one of our own.
        """
        try:
            loop: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            loop = None
        self._start(loop)
        return self

    def _start(self, loop: asyncio.AbstractEventLoop | None) -> _Run:
        # Without the lock: what ends may wait for it.
        if self._run is None:
            if self._last is not None:
                self._last.wait()
            self._stop_replaced()
        with self._lock:
            if self._run is not None:
                raise MisuseError("these routes run already")
            tasks = self._tasks.renew()
            routes = self._built()
            try:
                # First of all, so that the exit of the interpreter stops what an interrupted start leaves.
                _running.add(self)
                tasks.start(loop)
                serving = routes.start(*self._open)
                owns_socket = self._open[2] is None
                run = self._run = self._last = _Run(serving, tasks, owns_socket)
                return run
            except BaseException:
                _running.discard(self)
                tasks.cancel()
                if tasks.is_here():
                    tasks.end_later()
                else:
                    tasks.end()
                raise

    def _stop_replaced(self) -> None:
        """Stops what an earlier run of the same cell of a notebook has started at these endpoints, and the notebook still
        holds, for example as the cell's output."""
        mine = {endpoint for endpoint in self._open[0] if not endpoint.endswith((":0", ":*"))}
        for other in _listed(_running):
            if self._space is not None and self._space == other._space and not mine.isdisjoint(other._open[0]):
                _log.replaced(repr(other))
                other.stop()

    def stop(self) -> None:
        """Stops all producers, waits until they have ended, and closes the socket, unless it was made elsewhere.

        In a producer or another function that the routes call, it does not wait: the stop goes on in a thread of its own. On the
        event loop of its coroutines it cannot wait for these: they are cancelled, and end when the loop goes on. There
        ``async with`` or ``serve`` wait.
        """
        run = self._taken()
        if run is not None:
            run.stop()

    def _taken(self) -> _Run | None:
        """The last start, which is to be stopped, or may have been already."""
        with self._lock:
            self._run = None
            _running.discard(self)
            return self._last

    def __del__(self) -> None:
        if getattr(self, "_run", None) is not None:
            self.stop()

    def wait(self, timeout: float | None = None) -> bool:
        """Waits until the routes are stopped, for at most ``timeout`` seconds. Returns whether they are."""
        last = self._last
        return last is None or last.ended.wait(timeout)

    def run(self) -> None:
        """Starts, and produces until Ctrl-C or SIGTERM; then stops, and returns."""
        run = self._start(None)
        restore = _on_terminate()
        try:
            run.ended.wait()
        except KeyboardInterrupt:
            pass
        finally:
            restore()
            self.stop()

    async def serve(self) -> None:
        """Starts, and produces until it is cancelled; then stops. Coroutines run on the running loop."""
        run = self._start(asyncio.get_running_loop())
        try:
            await run.ended.awaited()
        finally:
            await self.__aexit__(None, None, None)

    def __enter__(self) -> OnDemand:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> OnDemand:
        self._start(asyncio.get_running_loop())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        run = self._taken()
        if run is not None:
            run.begin_to_stop(here=False)
            await _until_ended(run.ended)

    # What is known of them.

    @property
    def endpoint(self) -> str | None:
        """The first endpoint, as the system resolved it; ``None`` before the start, or without one."""
        return next(iter(self.endpoints), None)

    @property
    def endpoints(self) -> list[str]:
        """The endpoints, as the system resolved them."""
        run = self._run
        return [] if run is None else run.serving.endpoints

    def xpub(self) -> XPub:
        """The socket: for more endpoints, other messages, its own counts."""
        return XPub(of=self._at_work())

    def stats(self) -> OnDemandStats:
        """Counts of all routes."""
        return self._at_work().stats()

    def route_stats(self) -> list[RouteStats]:
        """Counts of each route."""
        return self._at_work().route_stats()

    def topic_stats(self) -> list[TopicStats]:
        """Counts of each topic that is produced now."""
        return self._at_work().topic_stats()

    def revoke(self, prefix: str | bytes, reason: str = "") -> None:
        """Ends the subscriptions of all peers to exactly this prefix. A peer that subscribes again is asked about again."""
        self._at_work().revoke(prefix, reason)

    def responds_within(self, seconds: float) -> bool:
        """Whether the threads of the library react within this time: for a watchdog."""
        return self._at_work().responds_within(seconds)

    def _at_work(self) -> _oncue.Serving:
        run = self._run
        if run is None:
            raise MisuseError("the routes do not run; start them")
        return run.serving

    def __repr__(self) -> str:
        return f"<OnDemand {' '.join(list(self._routes))} at {' '.join(self.endpoints) or 'no endpoint yet'}>"


_keys = itertools.count()


def _check_callable(what: str, value: object) -> None:
    if not callable(value):
        raise TypeError(f"{what} needs a function, not {value!r}")


class _Run:
    """One start of routes. It does not know the ``OnDemand``, which may be collected while this ends."""

    def __init__(self, serving: _oncue.Serving, tasks: Started, owns_socket: bool) -> None:
        self.serving = serving
        self._tasks = tasks
        self._owns_socket = owns_socket
        self.ended = _Ended()
        self._lock = threading.Lock()
        self._begun = False

    def begin_to_stop(self, here: bool) -> None:
        """Begins, unless it has begun. ``here``: this thread is that of the event loop, and will not let it go on meanwhile."""
        if self._begun:
            return
        self._tasks.cancel()
        _ending.add(self)
        try:
            # In another thread, so that Ctrl-C is seen while a producer takes its time to end.
            threading.Thread(target=self._end, args=(here,), name="oncue-stop", daemon=True).start()
        except RuntimeError:
            # The interpreter ends, and starts no threads any more.
            self._end(here)
        self._begun = True
        if here:
            self._tasks.end_later()

    def wait(self) -> None:
        """Waits until a stop that has begun is done, unless it cannot be before this returns."""
        if not _oncue.is_inside() and not self._tasks.is_here():
            self._wait()

    def stop(self) -> None:
        """Waits until all has ended, where that is possible."""
        begun, here = self._begun, self._tasks.is_here()
        self.begin_to_stop(here)
        # On the loop, it cannot end what another thread has begun to stop, and which waits for the loop.
        if not _oncue.is_inside() and not (here and begun):
            self._wait()

    def _wait(self) -> None:
        try:
            self.ended.wait()
        except BaseException:
            # A second Ctrl-C: the exit of the interpreter does not wait either.
            _ending.discard(self)
            raise

    def _end(self, here: bool) -> None:
        # Twice, if Ctrl-C came when it had just begun.
        with self._lock:
            if self.ended.is_set():
                return
            try:
                socket = XPub(of=self.serving) if self._owns_socket else None
                self.serving.stop()
                if not here:
                    self._tasks.end()
                if socket is not None:
                    socket.close(wait=not _oncue.is_inside())
            finally:
                _ending.discard(self)
                self.ended.set()


async def _until_ended(ended: _Ended) -> None:
    """Waits also when this is cancelled, once."""
    try:
        await ended.awaited()
    except asyncio.CancelledError:
        await ended.awaited()
        raise


def _on_terminate() -> Callable[[], None]:
    """Has SIGTERM do what Ctrl-C does, unless the program has a handler of its own. Returns what undoes that."""

    def nothing() -> None:
        pass

    def interrupt(number: int, frame: object) -> None:
        # An event cannot be set here: this thread may be in the middle of waiting for it.
        raise KeyboardInterrupt

    def restore() -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    if threading.current_thread() is not threading.main_thread():
        return nothing
    if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        return nothing
    signal.signal(signal.SIGTERM, interrupt)
    return restore


class _Ended:
    """Set when a start of routes has ended: to be waited for, or awaited.

    Ctrl-C may come at any moment of a wait. An event of ``threading`` would then keep its lock, and could not be set any more;
    here each waiter has a lock of its own.
    """

    def __init__(self) -> None:
        self._set = False
        self._waiting: list[threading.Lock] = []
        self._awaiting: set[asyncio.Future[None]] = set()

    def set(self) -> None:
        self._set = True
        for lock in list(self._waiting):
            lock.release()
        for future in list(self._awaiting):
            try:
                future.get_loop().call_soon_threadsafe(_done, future)
            except RuntimeError:
                # The loop was closed while it waited.
                pass

    def is_set(self) -> bool:
        return self._set

    def wait(self, timeout: float | None = None) -> bool:
        lock = threading.Lock()
        lock.acquire()
        self._waiting.append(lock)
        try:
            # Looked at after it can be woken, so that it is not missed.
            if not self._set:
                lock.acquire(timeout=-1 if timeout is None else min(max(timeout, 0), threading.TIMEOUT_MAX))
        finally:
            self._waiting.remove(lock)
        return self._set

    async def awaited(self) -> None:
        future = asyncio.get_running_loop().create_future()
        self._awaiting.add(future)
        try:
            if not self._set:
                await future
        finally:
            self._awaiting.discard(future)


def _done(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _listed(things: Iterable[_T]) -> list[_T]:
    while True:
        try:
            return list(things)
        except RuntimeError:
            # Another thread has changed it meanwhile.
            continue


@atexit.register
def _stop_all() -> None:
    for on in _listed(_running):
        on.stop()
    for run in _listed(_ending):
        run.stop()


def _forked() -> None:
    """In a fork there are none of the threads: nothing runs there, and nothing can be waited for."""
    _ending.clear()
    for on in _listed(_running):
        on._lock = threading.RLock()
        # Not to be released here: its threads and its event loop belong to the other process.
        _left.append(on._run)
        on._run = on._last = None
        on._tasks.renew()
    _running.clear()


os.register_at_fork(after_in_child=_forked)
