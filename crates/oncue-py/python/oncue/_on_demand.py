"""Production on demand: routes over topics, and functions that run only while somebody wants what they produce."""

from __future__ import annotations

import asyncio
import atexit
import itertools
import signal
import threading
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, TypeVar
from weakref import WeakSet

from . import _log, _oncue
from ._call import adapted, is_async
from ._errors import MisuseError
from ._oncue import Engine, Feed
from ._records import OnDemandStats, RouteStats, TopicStats
from ._sockets import XPub
from ._tasks import Tasks

_F = TypeVar("_F", bound=Callable[..., Any])
_Add = Callable[[_oncue.Routes], None]

#: The answer of a function given as ``admit`` that decides later, by ``XPub.admit`` or ``XPub.reject``.
DEFER = ...

_running: WeakSet[OnDemand] = WeakSet()


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
        on_list_failure: Callable[[str, str], object] = _log.list_failed,
        on_unserved: Callable[[bytes, str], object] = _log.unserved,
        **options: Any,
    ) -> None:
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
        self._serving: _oncue.Serving | None = None
        self._tasks = Tasks()
        self._stopped = _Stopped()
        self._lock = threading.RLock()

    # Routes.

    def every(self, pattern: str, *, seconds: float, **settings: Any) -> Callable[[_F], _F]:
        """A function that returns one value: it is called at once, and then every ``seconds``, while the topic is wanted.

        It is called with the parameters of the route that it has as arguments, and with ``feed``. It returns ``str``, ``bytes``, any
        buffer, a tuple of frames, or ``None`` for nothing now. When it raises, the topic is stale, and it is called again
        after the backoff. It may be a coroutine.

        ``settings`` of all routes: ``grace``, ``min_run``, ``feeds_max``, ``backoff`` (two times, or ``None`` for no restart),
        ``min_interval`` (the shortest time between two values), ``on_full``, ``pace``, ``keep_last``, ``keep_last_age``,
        ``keep_last_bytes``, ``keep_last_outlive``, ``fresh_for``, ``once``, ``frames``, ``fill`` (a function that has a value for a
        new subscriber), ``admit`` (a function that decides about a ``SubscribeRequest``), ``catalogue`` (topics, or the values of
        the parameters; or a function that lists them, each ``catalogue_seconds``).
        """

        def add(function: _F) -> _F:
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
            call = self._awaited(function) if is_async(function) else function
            self._add(pattern, settings, lambda routes, given: routes.batch(pattern, given, seconds, call))
            return function

        return add

    def _adapted(self, function: Callable[..., Any], pattern: str, settings: dict[str, Any]) -> Any:
        names = _oncue.pattern_names(pattern)
        fill = settings.get("fill")
        if callable(fill):
            settings["fill"] = adapted(fill, pattern, names)
        return adapted(function, pattern, names)

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
        self._add(pattern, settings, lambda routes, given: routes.manual(pattern, given, tasks.changes))

    def _add(self, pattern: str, settings: dict[str, Any], add: Callable[[_oncue.Routes, dict[str, Any]], None]) -> None:
        # Another key than that of a route of the same pattern before, which it replaces.
        given = {"key": str(next(_keys)), **settings}
        with self._lock:
            before = self._routes.get(pattern)
            self._routes[pattern] = lambda routes: add(routes, given)
            try:
                routes = self._built()
                if self._serving is not None:
                    routes.reload(self._serving)
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
                if self._serving is not None:
                    self._built().reload(self._serving)
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

    def _start(self, loop: asyncio.AbstractEventLoop | None) -> None:
        with self._lock:
            if self._serving is not None:
                raise MisuseError("these routes run already")
            routes = self._built()
            self._stopped.clear()
            self._tasks.start(loop)
            try:
                self._serving = routes.start(*self._open)
            except BaseException:
                self._end_tasks()
                raise
            _running.add(self)

    def stop(self) -> None:
        """Stops all producers, waits until they have ended, and closes the socket, unless it was made elsewhere.

        On the event loop of its coroutines it cannot wait for these: they are cancelled, and end when the loop goes on. There
        ``async with`` or ``serve`` wait.
        """
        with self._lock:
            serving, self._serving = self._serving, None
        if serving is None:
            return
        self._tasks.cancel()
        socket = None if self._open[2] is not None else serving.socket()
        try:
            # In another thread, so that Ctrl-C is seen while a producer takes its time to end.
            _in_thread(serving.stop)
            self._end_tasks()
            if socket is not None:
                socket.close()
        finally:
            _running.discard(self)
            self._stopped.set()

    def _end_tasks(self) -> None:
        if self._tasks.is_here():
            self._tasks.end_later()
        else:
            _in_thread(self._tasks.end)

    def __del__(self) -> None:
        if getattr(self, "_serving", None) is not None:
            self.stop()

    def wait(self, timeout: float | None = None) -> bool:
        """Waits until the routes are stopped, for at most ``timeout`` seconds. Returns whether they are."""
        return self._stopped.wait(timeout)

    def run(self) -> None:
        """Starts, and produces until Ctrl-C or SIGTERM; then stops, and returns."""
        self._start(None)
        restore = _on_terminate(self._stopped.set)
        try:
            self._stopped.wait()
        except KeyboardInterrupt:
            pass
        finally:
            restore()
            self.stop()

    async def serve(self) -> None:
        """Starts, and produces until it is cancelled; then stops. Coroutines run on the running loop."""
        await self.__aenter__()
        try:
            await self._stopped.awaited()
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
        stopping = asyncio.ensure_future(asyncio.to_thread(self.stop))
        try:
            await asyncio.shield(stopping)
        except asyncio.CancelledError:
            await stopping
            raise

    # What is known of them.

    @property
    def endpoint(self) -> str | None:
        """The first endpoint, as the system resolved it; ``None`` before the start, or without one."""
        return next(iter(self.endpoints), None)

    @property
    def endpoints(self) -> list[str]:
        """The endpoints, as the system resolved them."""
        return [] if self._serving is None else self._serving.endpoints

    def xpub(self) -> XPub:
        """The socket: for more endpoints, other messages, its own counts."""
        return XPub(socket=self._at_work().socket())

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
        serving = self._serving
        if serving is None:
            raise MisuseError("the routes do not run; start them")
        return serving

    def __repr__(self) -> str:
        return f"<OnDemand {' '.join(list(self._routes))} at {' '.join(self.endpoints) or 'no endpoint yet'}>"


_keys = itertools.count()


def _in_thread(call: Callable[[], None]) -> None:
    failure: list[BaseException] = []

    def run() -> None:
        try:
            call()
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=run, name="oncue-stop", daemon=True)
    thread.start()
    thread.join()
    if failure:
        raise failure[0]


def _on_terminate(stop: Callable[[], None]) -> Callable[[], None]:
    """Has SIGTERM call this, unless the program has a handler of its own. Returns what undoes that."""

    def nothing() -> None:
        pass

    def restore() -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    if threading.current_thread() is not threading.main_thread():
        return nothing
    if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        return nothing
    signal.signal(signal.SIGTERM, lambda number, frame: stop())
    return restore


class _Stopped:
    """Set when the routes are to stop, or have: to be waited for, or awaited."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._awaiting: set[asyncio.Future[None]] = set()

    def clear(self) -> None:
        self._event.clear()

    def set(self) -> None:
        self._event.set()
        for future in list(self._awaiting):
            future.get_loop().call_soon_threadsafe(_done, future)

    def wait(self, timeout: float | None = None) -> bool:
        return self._event.wait(timeout)

    async def awaited(self) -> None:
        future = asyncio.get_running_loop().create_future()
        self._awaiting.add(future)
        try:
            if not self._event.is_set():
                await future
        finally:
            self._awaiting.discard(future)


def _done(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


@atexit.register
def _stop_all() -> None:
    for on in list(_running):
        on.stop()
