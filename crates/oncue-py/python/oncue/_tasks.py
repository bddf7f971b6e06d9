"""Producers that are coroutines: a task for each topic, on one event loop."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from ._errors import Stopped
from ._oncue import Changes, Feed

Produce = Callable[[Feed], Any]

#: After this number of values, a producer that awaits nothing lets other tasks run.
_READY_MAX = 64
#: How often, in seconds, a thread that waits for the end of the tasks looks whether their loop still runs.
_LOOP_LOOK = 0.2


class _Task(asyncio.Task):  # type: ignore[type-arg]
    """A task that knows whether somebody has cancelled it, which may also be the end of its loop."""

    was_cancelled = False

    def cancel(self, *arguments: Any, **named: Any) -> bool:
        self.was_cancelled = True
        return super().cancel(*arguments, **named)


class Tasks:
    """The routes that are coroutines, and their tasks from a start until its stop."""

    def __init__(self) -> None:
        self.produce: dict[str, Produce] = {}
        self.now = Started(self.produce)

    def renew(self) -> Started:
        """For a start, which has nothing in common with the one before: that may not have ended yet."""
        self.now = Started(self.produce)
        return self.now

    def result(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Runs a coroutine on the loop, and waits for it on this thread, which is not that of the loop."""
        return self.now.result(coroutine)


class Started:
    """The tasks of one start, on an event loop: one that runs already, or one of our own on a thread."""

    def __init__(self, produce: dict[str, Produce]) -> None:
        self.changes = Changes()
        self._produce_of = produce
        self._tasks: dict[int, _Task] = {}
        self._of_topic: dict[bytes, asyncio.Task[None]] = {}
        self._lock = threading.Lock()
        self._pending: set[concurrent.futures.Future[Any]] = set()
        self._cancelled = False
        #: Until its end begins.
        self._loop: asyncio.AbstractEventLoop | None = None
        #: The same, for ever.
        self._home: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        #: Whether the thread has made its loop, or failed to.
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        #: What ends the tasks, so that it is not collected before it has.
        self._last: asyncio.Task[None] | None = None

    def start(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """On this loop, which runs in this thread; or on one of our own."""
        if loop is not None:
            self._watch(loop)
            return
        self._thread = threading.Thread(target=self._run, name="oncue-tasks", daemon=True)
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        # Made here, where no signal interrupts it.
        try:
            loop = asyncio.new_event_loop()
            asyncio.set_event_loop(loop)
            self._watch(loop)
        except BaseException as error:
            self._failure = error
            return
        finally:
            self._ready.set()
        try:
            loop.run_forever()
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            loop.close()

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.add_reader(self.changes.fileno(), self._take, loop)
        self._loop = self._home = loop

    def _take(self, loop: asyncio.AbstractEventLoop) -> None:
        for started, route, feed in self.changes.take():
            if started:
                before = self._of_topic.get(feed.topic)
                task = _Task(self._produce(route, feed, before), loop=loop, name=f"oncue {feed!r}")
                self._tasks[feed.generation] = self._of_topic[feed.topic] = task
                task.add_done_callback(lambda task, feed=feed: self._forget(task, feed))  # type: ignore[misc]
            else:
                self._end(feed.generation)

    def _end(self, generation: int) -> None:
        """Cancels a task, unless it was: a second time would interrupt what it does in its `finally`."""
        task = self._tasks.get(generation)
        if task is not None and not task.was_cancelled:
            task.cancel()

    def _forget(self, task: asyncio.Task[None], feed: Feed) -> None:
        self._tasks.pop(feed.generation, None)
        if self._of_topic.get(feed.topic) is task:
            del self._of_topic[feed.topic]
        # A task that is cancelled before it runs for the first time has told nothing.
        feed.finish()

    async def _produce(self, route: str, feed: Feed, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            # A topic never has two producers at once: the one before cleans up first.
            await asyncio.wait([before])
        try:
            made = self._produce_of[route](feed)
            if hasattr(made, "__aiter__"):
                await self._pass_on(feed, made)
            else:
                await made
            feed.finish()
        except (asyncio.CancelledError, GeneratorExit):
            # Nobody wants the topic any more; or somebody else has cancelled the task, or closed its loop.
            feed.finish()
            raise
        except Stopped:
            pass
        except BaseException as error:
            feed.fail(error)
            # On a loop of our own, nobody else can catch it, and the other tasks go on.
            if not isinstance(error, Exception) and self._thread is None:
                raise

    async def _pass_on(self, feed: Feed, values: Any) -> None:
        ready = 0
        try:
            async for value in values:
                feed.publish(value)
                while feed.room() == "congested":
                    await asyncio.sleep(0.01)
                ready += 1
                if ready >= _READY_MAX:
                    ready = 0
                    await asyncio.sleep(0)
        finally:
            # Its `finally` runs now, not when it is collected.
            close = getattr(values, "aclose", None)
            if close is not None:
                await close()

    def result(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Runs a coroutine on the loop, and waits for it on this thread, which is not that of the loop."""
        with self._lock:
            if self._cancelled or self._loop is None:
                coroutine.close()
                raise Stopped("the routes have stopped")
            try:
                future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
            except BaseException:
                coroutine.close()
                raise
            self._pending.add(future)
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            if self._cancelled:
                raise Stopped("the routes have stopped") from None
            raise
        finally:
            self._pending.discard(future)

    def cancel(self) -> None:
        """Gives up the coroutines that threads wait for, now and later: the routes are about to stop."""
        with self._lock:
            self._cancelled = True
            pending = list(self._pending)
        for future in pending:
            future.cancel()

    async def _finish(self, loop: asyncio.AbstractEventLoop) -> None:
        """Waits on the loop until all tasks have ended. Their feeds have stopped."""
        loop.remove_reader(self.changes.fileno())
        self._take(loop)
        tasks = list(self._tasks.values())
        for generation in list(self._tasks):
            self._end(generation)
        if tasks:
            await asyncio.wait(tasks)

    def is_here(self) -> bool:
        """Whether this thread runs the loop."""
        return self._home is not None and asyncio._get_running_loop() is self._home

    def end_later(self) -> None:
        """On the loop: cancels all tasks, which end when it goes on."""
        loop, self._loop = self._loop, None
        if loop is None:
            return
        self._last = loop.create_task(self._finish(loop))
        if self._thread is not None:
            self._last.add_done_callback(lambda task: loop.stop())

    def end(self) -> None:
        """Ends all tasks, from a thread that is not that of the loop."""
        if self._thread is not None and self._thread.ident is not None:
            self._ready.wait()
        loop, thread = self._loop, self._thread
        self._loop = self._thread = None
        if loop is None or loop.is_closed():
            return
        if thread is None and not loop.is_running():
            # It waits for somebody who runs it again, as between two cells of a notebook without a loop of its own.
            loop.run_until_complete(self._finish(loop))
            return
        finished = asyncio.run_coroutine_threadsafe(self._finish(loop), loop)
        while not concurrent.futures.wait([finished], _LOOP_LOOK).done:
            if not (loop.is_running() if thread is None else thread.is_alive()):
                # It has ended meanwhile, and its tasks with it.
                return
        if thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
