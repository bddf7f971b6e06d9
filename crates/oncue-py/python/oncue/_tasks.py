"""Producers that are coroutines: a task for each topic, on one event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any

from ._errors import Stopped
from ._oncue import Changes, Feed

Produce = Callable[[Feed], Any]


class Tasks:
    """The event loop of the routes that are coroutines: one that runs already, or one of our own on a thread."""

    def __init__(self) -> None:
        self.changes = Changes()
        self.produce: dict[str, Produce] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._of_topic: dict[bytes, asyncio.Task[None]] = {}
        self._pending: set[Future[Any]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        #: What ends the tasks, so that it is not collected before it has.
        self._last: asyncio.Task[None] | None = None

    def start(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """On this loop, which runs in this thread; or on one of our own."""
        if self._loop is not None:
            return
        if loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._run, name="oncue-tasks", daemon=True)
            self._thread.start()
            self._loop.call_soon_threadsafe(self._watch)
        else:
            self._loop = loop
            self._watch()

    def _run(self) -> None:
        assert self._loop is not None
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def _watch(self) -> None:
        assert self._loop is not None
        self._loop.add_reader(self.changes.fileno(), self._take, self._loop)

    def _take(self, loop: asyncio.AbstractEventLoop) -> None:
        for started, route, feed in self.changes.take():
            if started:
                before = self._of_topic.get(feed.topic)
                task = loop.create_task(self._produce(route, feed, before), name=f"oncue {feed!r}")
                self._tasks[feed.generation] = self._of_topic[feed.topic] = task
                task.add_done_callback(lambda task, feed=feed: self._forget(task, feed))  # type: ignore[misc]
            elif feed.generation in self._tasks:
                self._tasks[feed.generation].cancel()

    def _forget(self, task: asyncio.Task[None], feed: Feed) -> None:
        self._tasks.pop(feed.generation, None)
        if self._of_topic.get(feed.topic) is task:
            del self._of_topic[feed.topic]

    async def _produce(self, route: str, feed: Feed, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            # A topic never has two producers at once: the one before cleans up first.
            await asyncio.wait([before])
        try:
            made = self.produce[route](feed)
            if hasattr(made, "__aiter__"):
                await self._pass_on(feed, made)
            else:
                await made
            feed.finish()
        except asyncio.CancelledError:
            # Nobody wants the topic any more; or somebody else has cancelled the task.
            feed.finish()
            raise
        except Stopped:
            pass
        except BaseException as error:
            feed.fail(error)
            if not isinstance(error, Exception):
                raise

    async def _pass_on(self, feed: Feed, values: Any) -> None:
        try:
            async for value in values:
                feed.publish(value)
                while feed.room() == "congested":
                    await asyncio.sleep(0.01)
        finally:
            # Its `finally` runs now, not when it is collected.
            close = getattr(values, "aclose", None)
            if close is not None:
                await close()

    def result(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Runs a coroutine on the loop, and waits for it on this thread, which is not that of the loop."""
        assert self._loop is not None
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        self._pending.add(future)
        try:
            return future.result()
        finally:
            self._pending.discard(future)

    def cancel(self) -> None:
        """Gives up the coroutines that threads wait for: the routes are about to stop."""
        for future in list(self._pending):
            future.cancel()

    async def finish(self) -> None:
        """Waits on the loop until all tasks have ended. Their feeds have stopped."""
        loop = asyncio.get_running_loop()
        loop.remove_reader(self.changes.fileno())
        self._take(loop)
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def is_here(self) -> bool:
        """Whether this thread runs the loop."""
        return self._loop is not None and asyncio._get_running_loop() is self._loop

    def end_later(self) -> None:
        """On the loop: cancels all tasks, which end when it goes on."""
        assert self._loop is not None
        self._last = self._loop.create_task(self.finish())
        self._loop = None

    def end(self) -> None:
        """Ends all tasks, from a thread that is not that of the loop."""
        loop, thread = self._loop, self._thread
        self._loop = self._thread = None
        if loop is None or loop.is_closed():
            return
        asyncio.run_coroutine_threadsafe(self.finish(), loop).result()
        if thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()
