"""Routes whose producers are coroutines."""

import asyncio
import functools
import gc
import threading
import time

import pytest

import oncue
from conftest import LIMIT, run, until


async def get(subscriber, topic):
    """The next value of this topic."""
    while True:
        message = await subscriber.arecv(LIMIT)
        if message[0] == topic.encode():
            return message[1]


async def holds(condition):
    end = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < end
        await asyncio.sleep(0.005)


def counting(on, pattern, ended, period=0.005):
    """An async generator that counts, and tells its end and its loop."""

    async def count():
        n = 0
        try:
            while True:
                yield str(n)
                n += 1
                await asyncio.sleep(period)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise
        finally:
            ended.append(asyncio.get_running_loop())

    on.stream(pattern)(count)


def test_an_async_generator_runs_on_the_running_loop_and_is_cancelled_at_its_end(on, sub):
    ended = []
    counting(on, "ticks/{s}", ended)

    async def main():
        async with on:
            subscriber = sub(on.endpoint, "ticks/A")
            assert [await get(subscriber, "ticks/A") for _ in range(3)] == [b"0", b"1", b"2"]
            subscriber.unsubscribe("ticks/A")
            await holds(lambda: len(ended) == 2)
            assert ended == ["cancelled", asyncio.get_running_loop()]

    run(main())


def test_without_a_running_loop_it_runs_on_one_of_ours(on, sub):
    ended = []
    counting(on, "ticks", ended)
    on.start()
    subscriber = sub(on.endpoint, "ticks")
    assert subscriber.recv(LIMIT) == (b"ticks", b"0")
    on.stop()
    assert ended[0] == "cancelled" and ended[1].is_closed()


def test_stop_waits_for_the_cleanup_of_coroutines(on, sub):
    cleaned = []

    @on.stream("s")
    async def s():
        try:
            while True:
                yield "x"
                await asyncio.sleep(0.01)
        finally:
            await asyncio.sleep(0.1)
            cleaned.append(1)

    on.start()
    sub(on.endpoint, "s").recv(LIMIT)
    on.stop()
    assert cleaned == [1]


def test_every_and_batch_and_fill_may_be_coroutines(on, sub):
    async def fill(x):
        await asyncio.sleep(0)
        return f"filled {x}"

    @on.every("e/{x}", seconds=60)
    async def e(x, feed):
        await asyncio.sleep(0)
        return f"{x} {feed.topic.decode()}"

    @on.batch("b/{x}", seconds=60)
    async def b(topics):
        await asyncio.sleep(0)
        return {t: "batch" for t in topics}

    on.every("f/{x}", seconds=60, fill=fill)(lambda: None)
    on.start()
    for topic, value in [("e/1", b"1 e/1"), ("b/1", b"batch"), ("f/1", b"filled 1")]:
        assert sub(on.endpoint, topic).recv(LIMIT)[1] == value


def test_a_coroutine_that_is_no_generator_publishes_by_its_feed(on, sub):
    @on.stream("s")
    async def s(feed):
        while True:
            feed.publish("x")
            await asyncio.sleep(0.01)

    async def main():
        async with on:
            subscriber = sub(on.endpoint, "s")
            assert await get(subscriber, "s") == b"x"
            subscriber.unsubscribe("s")
            await holds(lambda: on.stats().now.running == 0)

    run(main())


def test_partials_methods_and_objects_may_be_coroutines(on, sub):
    class Source:
        async def method(self, x):
            return f"method {x}"

        async def __call__(self, x):
            return f"call {x}"

    async def add(y, x):
        return y + x

    on.every("m/{x}", seconds=60)(Source().method)
    on.every("c/{x}", seconds=60)(Source())
    on.every("p/{x}", seconds=60)(functools.partial(add, "partial "))
    on.start()
    for topic, value in [("m/1", b"method 1"), ("c/1", b"call 1"), ("p/1", b"partial 1")]:
        assert sub(on.endpoint, topic).recv(LIMIT)[1] == value


def test_a_coroutine_that_raises_is_a_failure_and_starts_again(on, sub, logged):
    starts = []

    @on.stream("s", backoff=(0.01, 0.1))
    async def s():
        starts.append(1)
        yield f"start {len(starts)}"
        if len(starts) == 1:
            raise LookupError("broken")
        await asyncio.sleep(LIMIT)

    on.start()
    subscriber = sub(on.endpoint, "s")
    assert [subscriber.recv(LIMIT)[1] for _ in range(2)] == [b"start 1", b"start 2"]
    assert logged() == ["the producer of s failed"]


def test_an_async_generator_that_ends_finishes_its_topic(on, sub):
    @on.stream("s")
    async def s():
        yield "only"

    on.start()
    subscriber = sub(on.endpoint, "s")
    assert subscriber.recv(LIMIT)[1] == b"only"
    until(lambda: subscriber.state(LIMIT).state == "closed")


def test_a_producer_that_never_awaits_lets_the_loop_go_on(on, sub):
    # Nothing makes it wait for its subscribers.
    @on.stream("busy", min_interval=60)
    async def busy():
        while True:
            yield "x"

    @on.stream("other")
    async def other():
        while True:
            yield "y"
            await asyncio.sleep(0.01)

    on.start()
    sub(on.endpoint, "busy")
    subscriber = sub(on.endpoint, "other")
    assert [subscriber.recv(LIMIT)[1] for _ in range(3)] == [b"y"] * 3


def test_a_producer_that_swallows_its_cancellation_ends_at_its_next_value(on, sub):
    swallowed = []

    @on.stream("s")
    async def s():
        while True:
            try:
                yield "x"
                await asyncio.sleep(0.01)
            except asyncio.CancelledError:
                swallowed.append(1)

    on.start()
    subscriber = sub(on.endpoint, "s")
    subscriber.recv(LIMIT)
    subscriber.unsubscribe("s")
    until(lambda: swallowed)
    on.stop()


def test_a_topic_never_has_two_producers_at_once(on, sub):
    running, most = [0], []

    @on.stream("s")
    async def s():
        running[0] += 1
        most.append(running[0])
        try:
            while True:
                yield "x"
                await asyncio.sleep(0.005)
        finally:
            await asyncio.sleep(0.05)
            running[0] -= 1

    on.start()
    subscriber = sub(on.endpoint)
    for _ in range(8):
        subscriber.subscribe("s")
        subscriber.recv(LIMIT)
        subscriber.unsubscribe("s")
    until(lambda: running[0] == 0)
    assert max(most) == 1 and len(most) >= 2


def test_topics_that_come_and_go_faster_than_the_loop_leave_nothing_behind(on, sub):
    ended = []
    counting(on, "t/{x}", ended)

    async def main():
        async with on:
            subscriber = sub(on.endpoint)
            for _ in range(30):
                # The loop stands still meanwhile.
                subscriber.subscribe_wait("t/a", timeout=LIMIT)
                subscriber.unsubscribe("t/a")
            await holds(lambda: on.stats().now.wanted == on.stats().now.stopping == on.stats().now.running == 0)
            subscriber.subscribe("t/a")
            assert await get(subscriber, "t/a")
            assert on.stats().done.failed == 0

    run(main())


def test_a_task_that_somebody_else_cancels_finishes_its_topic(on, sub):
    @on.stream("s")
    async def s():
        yield "x"
        await asyncio.sleep(LIMIT)

    async def main():
        async with on:
            subscriber = sub(on.endpoint, "s")
            await get(subscriber, "s")
            (task,) = [task for task in asyncio.all_tasks() if task.get_name().startswith("oncue")]
            task.cancel()
            await holds(lambda: on.stats().now.running == 0)

    run(main())


def test_a_task_that_is_cancelled_before_it_has_begun_finishes_its_topic(on, sub):
    began = []

    @on.stream("s")
    async def s():
        began.append(1)
        yield "x"

    async def main():
        def cancel_all():
            # Each time before the loop comes to the first step of a new task.
            nonlocal cancelled
            for task in asyncio.all_tasks():
                if task.get_name().startswith("oncue"):
                    cancelled += task.cancel()
            asyncio.get_running_loop().call_soon(cancel_all)

        cancelled = 0
        async with on:
            cancel_all()
            sub(on.endpoint, "s")
            await holds(lambda: cancelled)
            await holds(lambda: on.stats().now.running == 0)
            assert began == []

    run(main())


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()], ids=repr)
def test_an_exception_that_would_end_a_loop_of_ours_is_a_failure_of_its_topic_alone(sub, error):
    failures = []
    on = oncue.OnDemand("tcp://127.0.0.1:0", on_failure=lambda *told: failures.append(told))
    ended = []
    counting(on, "good", ended)

    @on.stream("bad", backoff=None)
    async def bad():
        raise error
        yield

    with on:
        subscriber = sub(on.endpoint, "good", "bad")
        assert until(lambda: failures)[0][2] is error
        for _ in range(5):
            assert subscriber.recv(LIMIT)[0] == b"good"
    assert ended


# Their lives.


def test_two_of_them_run_on_one_loop(sub):
    one, two = oncue.OnDemand("tcp://127.0.0.1:0"), oncue.OnDemand("tcp://127.0.0.1:0")
    ended = []
    counting(one, "s", ended)
    counting(two, "s", ended)

    async def main():
        async with one:
            async with two:
                for on in (one, two):
                    assert await get(sub(on.endpoint, "s"), "s") == b"0"
            assert ended == ["cancelled", asyncio.get_running_loop()]
            assert await get(sub(one.endpoint, "s"), "s")
        assert len(ended) == 4

    run(main())


def test_stop_on_the_loop_itself_returns_and_the_tasks_end_when_it_goes_on(on, sub):
    ended = []
    counting(on, "s", ended)

    @on.every("e", seconds=0.01)
    async def e():
        await asyncio.sleep(0.005)
        return "e"

    async def main():
        on.start()
        subscriber = sub(on.endpoint, "s", "e")
        await get(subscriber, "s")
        await get(subscriber, "e")
        on.stop()
        assert on.endpoint is None and on.wait(0)
        await holds(lambda: ended)

    run(main())


def test_a_start_right_after_a_stop_on_the_loop_serves_again(on, sub):
    ended = []
    counting(on, "s", ended)

    async def main():
        for _ in range(3):
            on.start()
            assert await get(sub(on.endpoint, "s"), "s") == b"0"
            on.stop()
        on.start()
        await asyncio.sleep(0.05)
        assert await get(sub(on.endpoint, "s"), "s") == b"0"
        on.stop()
        await holds(lambda: ended.count("cancelled") == 4)

    run(main())


@pytest.mark.parametrize("ours", [False, True])
@pytest.mark.parametrize("kind", ["stream", "every"])
def test_a_coroutine_may_stop_its_routes(on, sub, kind, ours):
    if kind == "every":

        @on.every("s", seconds=0.01)
        async def every():
            on.stop()
            await asyncio.sleep(LIMIT)

    else:

        @on.stream("s")
        async def stream():
            on.stop()
            yield "x"

    async def main():
        on.start()
        subscriber = sub(on.endpoint, "s")
        await asyncio.to_thread(until, lambda: on.endpoint is None)
        await asyncio.to_thread(until, lambda: on.wait(0))
        subscriber.close()

    if ours:
        on.start()
        sub(on.endpoint, "s")
        assert on.wait(LIMIT)
        until(lambda: not [t for t in threading.enumerate() if t.name in ("oncue-tasks", "oncue-stop")])
    else:
        run(main())


def test_serve_runs_until_it_is_cancelled_and_cleans_up(on, sub):
    ended = []
    counting(on, "s", ended)

    async def main():
        serving = asyncio.ensure_future(on.serve())
        await holds(lambda: on.endpoint)
        await get(sub(on.endpoint, "s"), "s")
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving
        assert ended[0] == "cancelled" and on.endpoint is None

    run(main())


def test_serve_returns_when_the_routes_are_stopped_from_a_thread_or_the_loop(on):
    ended = []
    counting(on, "s", ended)

    async def main():
        for stop in (lambda: asyncio.to_thread(on.stop), lambda: asyncio.sleep(0, on.stop())):
            serving = asyncio.ensure_future(on.serve())
            await holds(lambda: on.endpoint)
            await stop()
            await serving

    run(main())


def test_another_task_may_stop_what_async_with_is_about_to_stop(on, sub):
    ended = []
    counting(on, "s", ended)

    @on.stream("slow")
    async def slow():
        try:
            yield "x"
            await asyncio.sleep(LIMIT)
        finally:
            await asyncio.sleep(0.1)

    async def main():
        async with on:
            await get(sub(on.endpoint, "slow"), "slow")
            asyncio.get_running_loop().call_later(0.05, on.stop)
        assert on.wait(0)

    run(main())


def test_async_with_ends_also_when_all_threads_of_the_loop_are_busy(on):
    ended = []
    counting(on, "s", ended)
    held = threading.Event()

    async def main():
        async with on:
            busy = [asyncio.ensure_future(asyncio.to_thread(held.wait, LIMIT)) for _ in range(64)]
        held.set()
        await asyncio.gather(*busy)

    start = time.monotonic()
    run(main())
    assert time.monotonic() - start < LIMIT / 2


def test_an_exception_in_async_with_passes_after_the_cleanup(on, sub):
    ended = []
    counting(on, "s", ended)

    async def main():
        async with on:
            await get(sub(on.endpoint, "s"), "s")
            raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        run(main())
    assert ended[0] == "cancelled"


def test_a_loop_that_ends_without_a_stop_does_not_hold_up_the_stop(on, sub):
    ended = []
    counting(on, "s", ended)

    @on.every("e", seconds=0.01)
    async def e():
        return "e"

    async def main():
        on.start()
        await get(sub(on.endpoint, "s", "e"), "s")

    run(main())
    assert ended[0] == "cancelled"
    on.stop()


def test_stop_ends_the_tasks_of_a_loop_that_does_not_run_now(on, sub):
    ended = []
    counting(on, "s", ended)

    async def main():
        on.start()
        await get(sub(on.endpoint, "s"), "s")

    loop = asyncio.new_event_loop()
    loop.run_until_complete(main())
    on.stop()
    assert ended == ["cancelled", loop]
    loop.close()


def test_a_coroutine_that_waits_for_ever_does_not_hold_up_the_stop(on, sub, logged):
    began = threading.Event()

    @on.every("e", seconds=0.01)
    async def e():
        began.set()
        await asyncio.sleep(10 * LIMIT)

    on.start()
    sub(on.endpoint, "e")
    assert began.wait(LIMIT)
    on.stop()
    assert logged() == []


def test_coroutines_are_never_left_unawaited(on, sub, recwarn):
    @on.every("e", seconds=0.002)
    async def e():
        return "e"

    for _ in range(5):
        on.start()
        sub(on.endpoint, "e").recv(LIMIT)
        on.stop()
    gc.collect()
    # What is left of other tests may be collected here too.
    told = [str(warning.message) for warning in recwarn]
    assert [text for text in told if "left_unawaited" in text] == []


def test_a_route_of_a_coroutine_is_added_and_replaced_while_they_run(on, sub):
    ended = []
    on.every("first", seconds=60)(lambda: "first")

    async def main():
        async with on:
            counting(on, "s", ended)
            subscriber = sub(on.endpoint, "s")
            assert await get(subscriber, "s") == b"0"

            @on.stream("s")
            async def s():
                yield "replaced"
                await asyncio.sleep(LIMIT)

            while await get(subscriber, "s") != b"replaced":
                pass
            assert ended[0] == "cancelled"
            on.every("s", seconds=0.01)(lambda: "plain")
            while await get(subscriber, "s") != b"plain":
                pass

    run(main())
