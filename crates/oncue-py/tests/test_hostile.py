"""Callers who pass anything, call back from everywhere, and change their minds. Nothing panics, crashes or hangs."""

import asyncio
import gc
import threading

import numpy as np
import pytest

import oncue
from conftest import LIMIT, run, until

ROUTES = """
import asyncio, inspect, random, sys, threading, time
import numpy, oncue

class Raises:
    def __getattribute__(self, name):
        raise LookupError(name)

class Lies(str):
    def __str__(self): return 5
    def __hash__(self): raise LookupError
    def __eq__(self, other): raise LookupError

class Big(int):
    def __float__(self): raise LookupError
    def __index__(self): return -1

VALUES = [
    None, True, 0, 1, -1, 2**31, 2**63, 2**64, -(2**63), 10**30, 0.0, 0.001, -0.5, float("nan"), float("inf"), 1e300,
    "", "a", "x" * 300, "\\ud800", "\\0", "tcp://127.0.0.1:0", "inproc://fuzz", "a/{b}", b"", b"a", b"\\0a", b"\\1a", bytes(70_000),
    bytearray(b"ab"), memoryview(b"abc"), memoryview(b"abcdef")[::2], numpy.arange(5), numpy.arange(10)[::2], numpy.array([None]),
    numpy.float64(1), numpy.datetime64(1, "s"), (), ("a",), ("a", "b"), [], ["a", 1], {}, {"a": "b"}, {1: 2}, set(), object(), object,
    lambda *a, **k: None, lambda: 1 / 0, Raises(), Lies("x"), Big(3), Ellipsis, iter([b"a"]), range(3), slice(1), 1j,
]
"""


def test_no_call_of_a_socket_with_any_arguments_panics_or_crashes(program):
    ended = program(
        ROUTES
        + """
seed = random.Random(7)
sockets = [oncue.Pub(), oncue.Sub(), oncue.XPub(), oncue.XSub(), oncue.XPub(manual=True, verbose="all")]
sockets[1].connect(sockets[0].bind("inproc://one"))
sockets[3].connect(sockets[2].bind("inproc://two"))
sockets[1].subscribe("a")
sockets[3].subscribe("a")
closed = oncue.Sub()
closed.close()
others = [closed, sockets[2].demand(), sockets[2].subscriptions(), sockets[0].events(), oncue.Engine()]
sockets[0].wait_for_subscribers("a", timeout=20)
VALUES += [sockets[0].peers()[0].peer.key, sockets[0], closed, others[1]]
calls = 0
for target in sockets + others:
    names = [name for name in dir(target) if callable(getattr(target, name)) and (not name.startswith("_") or name in ("__next__", "__exit__"))]
    for name in names:
        for _ in range(60):
            arguments = [seed.choice(VALUES) for _ in range(seed.randrange(4))]
            named = {}
            # Whatever waits, waits for a moment.
            if name in ("recv", "recv_many", "event", "poll", "state", "missed", "next", "subscribe_wait", "wait_for_subscribers", "send_wait"):
                named["timeout"] = seed.choice([0, 0.001, -1, "x"])
                arguments = arguments[:2] if "wait" in name or "send" in name else []
            if name == "send_many":
                # An iterator that waits for ever.
                arguments = [argument for argument in arguments if argument is not others[1]]
            if name == "__next__" or name in ("close", "__exit__") and target is not closed:
                continue
            if name.startswith("a"):
                continue
            try:
                getattr(target, name)(*arguments, **named)
            except (Exception) as error:
                assert "panic" not in repr(error).lower(), (name, arguments, error)
            calls += 1
for kind in (oncue.Pub, oncue.Sub, oncue.XPub, oncue.XSub, oncue.Engine, oncue.Proxy):
    names = __import__("re").findall(r"``(\\w+)``", oncue._sockets.OPTIONS) + ["io_threads", "descriptors_reserved", "frontend", "backend", "of", "engine"]
    for name in names:
        for value in VALUES:
            try:
                made = kind(**{name: value})
                if hasattr(made, "close"):
                    made.close()
            except Exception as error:
                assert "panic" not in repr(error).lower(), (name, value, error)
            calls += 1
kinds = [oncue.CurveClient, oncue.PlainClient, oncue.curve.KeyPair, oncue.curve.Certificate, oncue.User, oncue.ClientRequest]
kinds += [lambda keys, clients: oncue.CurveServer(oncue.curve.generate(), clients=clients), lambda keys, users: oncue.PlainServer(users=users)]
kinds += [lambda key, user: oncue.CurveServer(keys, clients={key: user}), lambda keys, clients: oncue.CurveServer(keys, clients="any")]
kinds += [lambda path, name: oncue.curve.Certificate.read(path), lambda path, name: oncue.curve.Certificate(path).save(path, name)]
keys = oncue.curve.generate()
VALUES += [keys, oncue.curve.Certificate(keys.public), keys.public, oncue.curve.generate, oncue.PlainClient("a", "b")]
for kind in kinds:
    for first in VALUES:
        for second in VALUES:
            try:
                repr(kind(first, second))
            except Exception as error:
                assert "panic" not in repr(error).lower(), (kind, first, second, error)
            calls += 1
print(calls > 5000)
"""
    ).ended()
    # Numpy may warn of what the test does to it.
    assert (ended.code, ended.out) == (0, "True\n"), ended.err
    assert "panicked" not in ended.err


def test_no_declaration_with_any_arguments_panics_or_crashes(program):
    ended = program(
        ROUTES
        + """
seed = random.Random(9)
SETTINGS = ["seconds", "grace", "min_run", "feeds_max", "backoff", "min_interval", "on_full", "pace", "keep_last", "keep_last_age",
    "keep_last_bytes", "keep_last_outlive", "fresh_for", "once", "frames", "fill", "admit", "catalogue", "catalogue_seconds", "key"]
OPTIONS = ["connect", "socket", "engine", "grace", "feeds_max", "catalogue_topics_max", "workers", "status_prefix", "tell_unserved",
    "on_failure", "on_list_failure", "on_unserved", "linger"]
TIMES = [0.001, 1, 3600, float("inf"), 1e300, (0.001, 1), (float("inf"), float("inf")), (1e300, 1e300)]
made = 0
for turn in range(1500):
    # Mostly what can be right, so that much of it starts.
    def value():
        return seed.choice(VALUES if seed.random() < 0.5 else TIMES)
    options = {name: value() for name in seed.sample(OPTIONS, seed.randrange(2))}
    settings = {name: value() for name in seed.sample(SETTINGS, seed.randrange(3))}
    settings.setdefault("seconds", 0.001)
    try:
        on = oncue.OnDemand(f"inproc://d{turn}", **options)
        kind = seed.choice([on.every, on.stream, on.batch])
        function = (lambda topics: seed.choice(VALUES)) if kind == on.batch else (lambda: seed.choice(VALUES))
        if kind == on.stream:
            settings.pop("seconds", None)
        if seed.random() < 0.1:
            function = seed.choice(VALUES)
        kind(seed.choice(["a", "a/{b}", "a/{n:int}", "{b}"]), **settings)(function)
        with on:
            made += 1
            sub = oncue.Sub()
            sub.connect(f"inproc://d{turn}")
            for topic in ("a", "a/", "a/1", "a/x", ""):
                sub.subscribe(topic)
            try:
                sub.recv(0.003)
            except oncue.TimeoutError:
                pass
            on.stats(), on.route_stats(), on.topic_stats()
            sub.close()
    except Exception as error:
        assert "panic" not in repr(error).lower(), (options, settings, error)
print(made)
"""
    ).ended(40)
    assert ended.code == 0, ended.err
    assert int(ended.out) > 100
    assert "panicked" not in ended.err


def test_threads_that_use_and_close_sockets_at_random_do_no_harm(program):
    assert (
        program(
            """
            import gc, random, threading, time, oncue

            end = time.monotonic() + 2
            sockets = [None] * 8
            odd = []

            def turn(number):
                seed = random.Random(number)
                while time.monotonic() < end:
                    at = seed.randrange(8)
                    socket = sockets[at]
                    try:
                        if socket is None or seed.random() < 0.02:
                            sockets[at] = seed.choice([oncue.Pub, oncue.Sub, oncue.XPub, oncue.XSub])()
                        elif seed.random() < 0.02:
                            socket.close(0, wait=seed.random() < 0.5)
                        elif isinstance(socket, oncue._oncue.Subscriber):
                            seed.choice([
                                lambda: socket.connect(f"inproc://r{seed.randrange(4)}"),
                                lambda: socket.subscribe(seed.choice("ab")),
                                lambda: socket.unsubscribe(seed.choice("ab")),
                                lambda: socket.recv(0.001, copy=False),
                                lambda: socket.recv_many(0.001),
                                lambda: socket.poll(0.001),
                                lambda: socket.fileno(),
                                lambda: socket.stats(),
                            ])()
                        else:
                            seed.choice([
                                lambda: socket.bind(f"inproc://r{seed.randrange(4)}"),
                                lambda: socket.send(seed.choice("ab"), bytes(seed.choice([1, 50_000]))),
                                lambda: socket.send_many([(seed.choice("ab"), b"x")] * 5),
                                lambda: socket.peers(),
                                lambda: socket.poll(0.001),
                                lambda: socket.wait_for_subscribers("a", timeout=0.001),
                                lambda: socket.demand().try_next() if isinstance(socket, oncue.XPub) else None,
                            ])()
                    except oncue.Error:
                        pass
                    except BaseException as error:
                        odd.append(error)

            threads = [threading.Thread(target=turn, args=(n,)) for n in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(20)
                assert not thread.is_alive()
            assert odd == [], odd
            """
        )
        .ended()
        .well()
        == []
    )


def test_routes_that_are_changed_stopped_and_started_by_threads_at_random_do_no_harm(program):
    ended = program(
        """
        import asyncio, random, threading, time, oncue

        end = time.monotonic() + 2.5
        on = oncue.OnDemand("inproc://busy", on_failure=lambda *told: None)
        odd = []

        def every(n): return "x"
        def stream(n, feed):
            while True:
                yield "x"
                feed.sleep(0.001)
        async def task(n):
            while True:
                yield "x"
                await asyncio.sleep(0.001)
        async def coroutine(n): return "x"
        def batch(topics): return {t: "x" for t in topics}
        def broken(n): raise ValueError

        on.every("keep/{n}", seconds=0.001)(every)

        def turn(number):
            seed = random.Random(number)
            while time.monotonic() < end:
                try:
                    pattern = seed.choice("abc") + "/{n}"
                    seed.choice([
                        on.start, on.stop, on.stats, on.topic_stats, on.xpub, lambda: on.wait(0.001), lambda: on.responds_within(1),
                        lambda: on.remove(pattern),
                        lambda: on.every(pattern, seconds=0.001)(seed.choice([every, coroutine, broken])),
                        lambda: on.stream(pattern)(seed.choice([stream, task, broken])),
                        lambda: on.batch(pattern, seconds=0.001)(batch),
                    ])()
                    time.sleep(0.001)
                except (oncue.Error, KeyError):
                    pass
                except BaseException as error:
                    odd.append(error)

        def subscribe(number):
            seed = random.Random(number)
            while time.monotonic() < end:
                sub = oncue.Sub(reconnect=(0.001, 0.01))
                sub.connect("inproc://busy")
                for _ in range(30):
                    topic = f"{seed.choice('abc')}/{seed.randrange(5)}"
                    sub.subscribe(topic) if seed.random() < 0.7 else sub.unsubscribe(topic)
                    try:
                        sub.recv(0.002)
                    except oncue.TimeoutError:
                        pass
                sub.close(0)

        threads = [threading.Thread(target=turn, args=(n,)) for n in range(4)]
        threads += [threading.Thread(target=subscribe, args=(n,)) for n in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
            assert not thread.is_alive()
        on.stop()
        assert odd == [], odd
        print("well")
        """
    ).ended()
    assert (ended.code, ended.out, ended.err) == (0, "well\n", "")


class Calls:
    """A value that calls back when it is turned into bytes."""

    def __init__(self, call):
        self.call = call

    def __array__(self, *_, **__):
        self.call()
        return np.arange(3)


def test_a_value_may_close_the_socket_that_sends_it(pair):
    pub, _ = pair
    with pytest.raises(oncue.ClosedError):
        pub.send("t", Calls(pub.close))


def test_a_value_may_send_on_the_socket_that_sends_it(pair):
    pub, sub = pair
    pub.send("outer", Calls(lambda: pub.send("inner")))
    assert [sub.recv(LIMIT)[0], sub.recv(LIMIT)[0]] == [b"inner", b"outer"]


def test_a_list_that_changes_while_it_is_sent_does_no_harm(pair):
    pub, sub = pair
    messages = []
    messages += ["first", Calls(messages.clear), "last"]
    pub.send_many(messages)
    assert sub.recv(LIMIT) == (b"first",)


def test_a_batch_may_return_a_dict_that_changes_meanwhile(sub):
    failures = []
    on = oncue.OnDemand("tcp://127.0.0.1:0", on_failure=lambda *told: failures.append(told))
    latest = {}
    calls = []

    @on.batch("q/{n}", seconds=0.002)
    def quotes(topics):
        calls.append(1)
        latest.clear()
        # Each value changes the dict in which it stands, as another thread might.
        for topic in topics:
            latest[topic.topic] = Calls(lambda: latest.update({f"q/{len(latest)}".encode(): "x"}))
        return latest

    with on:
        subscriber = sub(on.endpoint, *(f"q/{n}" for n in range(5)))
        until(lambda: len(calls) > 20)
        assert subscriber.recv(LIMIT)
    assert failures == []


def test_a_feed_that_has_stopped_stays_harmless(on, sub):
    kept = []

    @on.every("e/{n}", seconds=0.01)
    def e(feed):
        kept.append(feed)
        return "x"

    on.start()
    subscriber = sub(on.endpoint, "e/1")
    subscriber.recv(LIMIT)
    on.stop()
    feed = kept[0]
    assert (feed.topic, feed.params, feed.is_active, feed.room()) == (b"e/1", {"n": "1"}, False, "nobody")
    for call in (lambda: feed.publish("x"), lambda: feed.sleep(LIMIT), lambda: feed.wait_for_room(LIMIT)):
        with pytest.raises(oncue.Stopped):
            call()
    assert feed.wait_stopped(LIMIT) is True
    feed.finish()
    feed.fail("late")
    feed.fail(ValueError("late"))
    feed.skip_ticks(1)
    feed.spent(0.5)
    with pytest.raises(ValueError):
        feed.spent(-1)
    with pytest.raises(TypeError):
        feed.fail(5)
    repr(feed)


def test_feeds_are_used_by_other_threads_than_that_of_their_producer(on, sub):
    @on.stream("s")
    def s(feed):
        threads = [threading.Thread(target=lambda n=n: [feed.publish(f"{n}") for _ in range(50)]) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        feed.wait_stopped(LIMIT)

    on.start()
    subscriber = sub(on.endpoint, "s")
    got = sorted(subscriber.recv(LIMIT)[1] for _ in range(200))
    assert got == sorted(f"{n}".encode() for n in range(4) for _ in range(50))


def test_a_producer_may_fail_or_finish_its_own_feed(sub):
    failures = []
    on = oncue.OnDemand("tcp://127.0.0.1:0", on_failure=lambda *told: failures.append(told[2]))

    @on.stream("text", backoff=None)
    def text(feed):
        feed.fail("a text")

    @on.stream("error", backoff=None)
    def error(feed):
        feed.fail(LookupError("an error"))

    @on.stream("done")
    def done(feed):
        feed.finish()
        feed.finish()

    with on:
        subscriber = sub(on.endpoint, "text", "error", "done")
        until(lambda: len(failures) == 2)
        assert {str(why) for why in failures} == {"a text", "an error"}
        until(lambda: subscriber.state(LIMIT).topic == b"done")


def test_a_producer_may_subscribe_to_its_own_topics_and_wait_for_them(on):
    @on.stream("inner")
    def inner(feed):
        yield "value"
        feed.wait_stopped(LIMIT)

    @on.every("outer", seconds=60)
    def outer():
        with oncue.Sub(linger=0) as sub:
            sub.connect(on.endpoint)
            sub.subscribe("inner")
            return b"outer of " + sub.recv(LIMIT)[1]

    on.start()
    with oncue.Sub() as sub:
        sub.connect(on.endpoint)
        sub.subscribe("outer")
        assert sub.recv(LIMIT) == (b"outer", b"outer of value")


def test_the_garbage_collector_may_run_at_any_allocation(on, sub):
    @on.every("e/{n}", seconds=0.001)
    def e(n):
        cycle = []
        cycle.append(cycle)
        return n

    on.start()
    thresholds = gc.get_threshold()
    gc.set_threshold(1)
    try:
        subscriber = sub(on.endpoint, *(f"e/{n}" for n in range(5)))
        for n in range(200):
            subscriber.recv(LIMIT, copy=n % 2 == 0)
        on.stats(), on.topic_stats(), on.xpub().peers()
    finally:
        gc.set_threshold(*thresholds)


def test_an_event_loop_is_not_held_up_by_producers_that_block(on, sub):
    held = threading.Event()

    @on.stream("s")
    def s():
        yield "x"
        held.wait(LIMIT)

    async def main():
        async with on:
            await sub(on.endpoint, "s").arecv(LIMIT)
            timer = asyncio.get_running_loop().call_later(0.05, held.set)
            turns = 0
            closing = asyncio.ensure_future(on.__aexit__(None, None, None))
            while not closing.done():
                turns += 1
                await asyncio.sleep(0.001)
            assert turns > 5
            timer.cancel()

    run(main())


def test_seconds_of_all_kinds_of_numbers_are_taken(on, sub):
    for n, seconds in enumerate((1, 1.5, np.float64(2), np.int64(3), True)):
        on.every(f"a{n}", seconds=seconds, grace=seconds)(lambda: "x")
    on.start()
    assert sub(on.endpoint, "a3").recv(LIMIT) == (b"a3", b"x")


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("grace", "2", "grace='2'"),
        ("backoff", 3, "backoff must be two times"),
        ("catalogue", "q/x", "a list of topics"),
    ],
)
def test_a_setting_that_is_wrong_is_named(setting, value, words):
    with pytest.raises((TypeError, ValueError), match=words):
        oncue.OnDemand("tcp://127.0.0.1:0").every("q/{a}", seconds=1, **{setting: value})(lambda a: a)
