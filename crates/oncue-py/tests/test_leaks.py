"""What is left behind after thousands of each: references, descriptors, memory."""

import asyncio
import gc
import os
import sys
import threading
import weakref

import numpy as np
import pytest

import oncue
from conftest import LIMIT, run, until

MANY = 10_000


def descriptors():
    return len(os.listdir("/proc/self/fd"))


def resident():
    with open("/proc/self/statm") as told:
        return int(told.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture
def nothing_left():
    """Descriptors and threads are as before, and memory nearly."""
    oncue.Pub().close()
    gc.collect()
    before = descriptors(), threading.active_count(), resident()
    yield
    gc.collect()
    until(lambda: descriptors() <= before[0])
    until(lambda: threading.active_count() <= before[1])
    assert resident() - before[2] < 40 << 20


def alive(*kinds):
    """How many of these there are. Other tests may have left some, in exceptions that pytest holds."""
    return sum(isinstance(thing, kinds) for thing in gc.get_objects())


def subscribed(endpoint, *prefixes):
    sub = oncue.Sub()
    sub.connect(endpoint)
    for prefix in prefixes:
        sub.subscribe(prefix)
    return sub


class Value:
    """What can be watched for its end. A payload that shows memory of its own."""

    def __init__(self):
        self.data = np.zeros(10)

    def __array__(self, *_, **__):
        return self.data


def test_ten_thousand_sockets(nothing_left):
    for n in range(MANY):
        socket = (oncue.Pub, oncue.Sub, oncue.XPub, oncue.XSub)[n % 4]()
        if n % 3 == 0:
            socket.fileno()
        if n % 2 == 0:
            socket.close()


def test_a_thousand_sockets_that_have_connected(nothing_left):
    with oncue.XPub() as xpub:
        endpoint = xpub.bind("inproc://leaks")
        for _ in range(1000):
            sub = oncue.Sub()
            sub.connect(endpoint)
            sub.subscribe("a")
            assert xpub.event(LIMIT) == oncue.Wanted(b"a")
            sub.close()
            assert xpub.event(LIMIT) == oncue.Unwanted(b"a")


def test_ten_thousand_feeds_of_generators_and_functions(nothing_left):
    on = oncue.OnDemand("inproc://feeds")
    before = alive(Value, oncue.Feed)

    @on.stream("s/{n}")
    def s(n, feed):
        yield Value()
        feed.wait_stopped(LIMIT)

    @on.every("e/{n}", seconds=60)
    def e(n):
        return Value()

    with on:
        subscriber = subscribed(on.endpoint)
        for start in range(0, MANY // 2, 250):
            topics = [f"{kind}/{n}" for n in range(start, start + 250) for kind in "se"]
            for topic in topics:
                subscriber.subscribe(topic)
            got = 0
            while got < len(topics):
                got += len(subscriber.recv_many(LIMIT))
            for topic in topics:
                subscriber.unsubscribe(topic)
        until(lambda: on.stats().now.running + on.stats().now.stopping == 0)
        assert on.stats().done.started == MANY
        assert on.stats().done.failed == 0
    del on, s, e, subscriber
    gc.collect()
    # A thread or a task may hold the last one for a moment more.
    until(lambda: gc.collect() >= 0 and alive(Value, oncue.Feed) <= before)


def test_ten_thousand_feeds_of_coroutines(nothing_left):
    before = alive(oncue.Feed, oncue._tasks.Started)
    on = oncue.OnDemand("inproc://tasks")

    @on.stream("s/{n}")
    async def s(n):
        yield n
        await asyncio.sleep(LIMIT)

    with on:
        subscriber = subscribed(on.endpoint)
        for start in range(0, MANY, 500):
            topics = [f"s/{n}" for n in range(start, start + 500)]
            for topic in topics:
                subscriber.subscribe(topic)
            got = 0
            while got < len(topics):
                got += len(subscriber.recv_many(LIMIT))
            for topic in topics:
                subscriber.unsubscribe(topic)
        until(lambda: on.stats().now.running == 0)
        assert on.stats().done.started == MANY
    del on, s, subscriber
    gc.collect()
    # A thread or a task may hold the last one for a moment more.
    until(lambda: gc.collect() >= 0 and alive(oncue.Feed, oncue._tasks.Started) <= before)


def test_ten_thousand_exceptions(nothing_left):
    class Mine(Exception):
        pass

    failures = []
    on = oncue.OnDemand("inproc://failures", on_failure=lambda *told: failures.append(1))

    @on.every("e/{n}", seconds=60, backoff=(0.001, 0.001))
    def e(n):
        raise Mine(Value())

    with on:
        subscriber = subscribed(on.endpoint, *(f"e/{n}" for n in range(100)))
        until(lambda: len(failures) >= MANY)
    del on, e, subscriber
    gc.collect()
    assert alive(Mine) == 0
    pub = oncue.Pub()
    for _ in range(MANY):
        with pytest.raises(TypeError):
            pub.send("a", object())
        with pytest.raises(oncue.MisuseError):
            pub.bind("nonsense")
    pub.close()


def test_ten_thousand_messages_in_each_form(nothing_left):
    pub, sub = oncue.Pub(), oncue.Sub()
    sub.connect(pub.bind("inproc://pair"))
    sub.subscribe_wait("", timeout=LIMIT)
    payload, view = np.zeros(100), memoryview(bytes(100))
    references = sys.getrefcount(payload), sys.getrefcount(view)
    for n in range(MANY):
        pub.send("t", payload)
        sub.recv(LIMIT, copy=n % 2 == 0)
        if n % 10 == 0:
            pub.send_many([("t", view)] * 10)
            got = 0
            while got < 10:
                got += len(sub.recv_many(LIMIT, copy=n % 20 == 0))
    gc.collect()
    assert (sys.getrefcount(payload), sys.getrefcount(view)) == references
    pub.close()
    sub.close()


def test_ten_thousand_waits_on_a_loop(nothing_left):
    pub, sub = oncue.Pub(), oncue.Sub()
    sub.connect(pub.bind("inproc://pair"))
    sub.subscribe_wait("", timeout=LIMIT)

    async def main():
        for n in range(MANY):
            waiting = asyncio.ensure_future(sub.arecv(LIMIT))
            await asyncio.sleep(0)
            if n % 2:
                waiting.cancel()
                await asyncio.wait([waiting])
            else:
                pub.send("x")
                await waiting

    run(main())
    gc.collect()
    assert len(oncue._sockets._waiting_of) == 0
    pub.close()
    sub.close()


def test_five_hundred_starts_and_stops(nothing_left):
    for n in range(500):
        on = oncue.OnDemand(f"inproc://starts-{n}")
        on.every("a", seconds=1)(lambda: "x")
        gone = weakref.ref(on)
        if n % 5 == 0:

            async def main(on=on):
                async with on:
                    pass

            run(main())
            del main
        elif n % 5 == 1:
            on.start()
        else:
            with on:
                pass
        del on
        assert gone() is None or gc.collect() and gone() is None


def test_a_thousand_reloads(nothing_left):
    on = oncue.OnDemand("inproc://reloads")

    class Producer:
        def __call__(self):
            return "x"

    on.every("a", seconds=1)(lambda: "x")
    with on:
        subscriber = subscribed(on.endpoint, "b")
        subscriber.fileno()
        for _ in range(1000):
            on.every("b", seconds=1)(Producer())
        on.remove("b")
        until(lambda: gc.collect() >= 0 and alive(Producer) == 0)


def test_watches_engines_and_proxies(nothing_left):
    for _ in range(300):
        engine = oncue.Engine()
        with oncue.XPub(engine=engine) as back, oncue.XSub(engine=engine) as front:
            proxy = oncue.Proxy(front, back)
            for watch in (back.demand(), back.subscriptions(), front.events()):
                watch.fileno()
            proxy.stop()
        engine.close()
        del engine, proxy, watch, back, front
