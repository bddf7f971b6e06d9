"""Routes whose producers are functions and generators."""

import functools
import logging
import threading
import time

import pytest
import zmq

import oncue
from conftest import LIMIT, until


class Gate:
    """Producers that tell when they begin and end, and are held until they may go on."""

    def __init__(self):
        self.began, self.ended, self.may = threading.Event(), threading.Event(), threading.Event()


def values(subscriber, count):
    return [subscriber.recv(LIMIT)[1] for _ in range(count)]


# The three kinds.


def test_a_function_is_called_at_once_and_then_each_period_while_somebody_wants_it(on, sub):
    calls = []

    @on.every("n", seconds=0.02)
    def n():
        calls.append(time.monotonic())
        return str(len(calls))

    on.start()
    assert calls == []
    subscriber = sub(on.endpoint, "n")
    assert values(subscriber, 3) == [b"1", b"2", b"3"]
    assert calls[2] - calls[0] > 0.03
    subscriber.close()
    until(lambda: on.stats().now.running == 0)
    count = len(calls)
    time.sleep(0.1)
    assert len(calls) == count


def test_a_generator_runs_while_wanted_and_ends_with_generator_exit(on, sub):
    gate, ends = Gate(), []

    @on.stream("cam/{n:int}")
    def frames(n):
        try:
            with_value = 0
            while True:
                yield f"{n}:{with_value}"
                with_value += 1
        except GeneratorExit:
            ends.append("exit")
            raise
        finally:
            ends.append(threading.current_thread())
            gate.ended.set()

    on.start()
    subscriber = sub(on.endpoint, "cam/7")
    assert values(subscriber, 3) == [b"7:0", b"7:1", b"7:2"]
    subscriber.close()
    assert gate.ended.wait(LIMIT)
    assert ends[0] == "exit" and ends[1] is not threading.main_thread()


def test_a_batch_is_one_call_for_all_that_is_wanted_now(on, sub):
    asked = []

    @on.batch("q/{symbol}", seconds=0.05, catalogue=["A", "B", "C"])
    def quotes(topics):
        asked.append(sorted(t.params["symbol"] for t in topics))
        return {t.topic: t.params["symbol"] * 2 for t in topics}

    on.start()
    subscriber = sub(on.endpoint, "q/A", "q/B")
    got = {subscriber.recv(LIMIT) for _ in range(6)}
    assert got == {(b"q/A", b"AA"), (b"q/B", b"BB")}
    assert until(lambda: ["A", "B"] in asked)


@pytest.mark.parametrize("form", ["dict", "yielded dicts", "yielded pairs", "feeds", "text", "published"])
def test_a_batch_gives_its_values_in_any_of_these_forms(on, sub, form):
    @on.batch("q/{s}", seconds=60)
    def quotes(topics):
        if form == "dict":
            return {t.topic: "v" for t in topics}
        if form == "feeds":
            return {t: "v" for t in topics}
        if form == "text":
            return {f"q/{t.params['s']}": "v" for t in topics}
        if form == "published":
            return [t.publish("v") for t in topics] and None
        return ({t.topic: "v"} if form == "yielded dicts" else (t.topic, "v") for t in topics)

    on.start()
    assert sub(on.endpoint, "q/1").recv(LIMIT) == (b"q/1", b"v")


@pytest.mark.parametrize("wrong", [5, "text", [1], {"q/other": "v"}, {5: "v"}, {"q/1": 5}, [("q/1", "v", "w")]], ids=repr)
def test_a_batch_that_returns_something_else_has_failed(sub, wrong):
    failures = []
    on = oncue.OnDemand("tcp://127.0.0.1:0", on_failure=lambda *told: failures.append(told))
    on.batch("q/{s}", seconds=60)(lambda topics: wrong)
    with on:
        sub(on.endpoint, "q/1")
        topic, _, why = until(lambda: failures)[0]
    assert topic == b"q/1" and isinstance(why, TypeError)


def test_a_batch_that_raises_fails_each_of_its_topics(sub):
    failures = []
    on = oncue.OnDemand("tcp://127.0.0.1:0", on_failure=lambda *told: failures.append(told))

    @on.batch("q/{s}", seconds=0.2)
    def quotes(topics):
        if len(topics) == 2:
            raise LookupError("both")

    with on:
        sub(on.endpoint, "q/1", "q/2")
        until(lambda: {b"q/1", b"q/2"} <= {told[0] for told in failures})
    assert any(isinstance(told[2], LookupError) for told in failures)


def test_a_function_that_publishes_by_its_feed_is_a_stream_as_well(on, sub):
    gate = Gate()

    @on.stream("s")
    def stream(feed):
        assert feed.topic == b"s" and feed.params == {} and feed.is_active
        for n in range(3):
            feed.publish(str(n))
        try:
            feed.sleep(LIMIT)
        except oncue.Stopped:
            gate.ended.set()
            raise

    on.start()
    subscriber = sub(on.endpoint, "s")
    assert values(subscriber, 3) == [b"0", b"1", b"2"]
    subscriber.close()
    assert gate.ended.wait(LIMIT)
    until(lambda: on.stats().now.running == 0)
    assert on.stats().done.failed == 0


def test_an_iterator_of_any_kind_is_a_stream(on, sub):
    on.stream("list")(lambda feed: iter(["a", "b"]))
    on.start()
    assert values(sub(on.endpoint, "list"), 2) == [b"a", b"b"]


@pytest.mark.parametrize("value", ["text", b"bytes", {"a": 1}, bytearray(3), 5], ids=repr)
def test_one_value_is_no_stream_of_its_parts(sub, value):
    failures = []
    on = oncue.OnDemand("tcp://127.0.0.1:0", on_failure=lambda *told: failures.append(told[2]))
    on.stream("s", backoff=None)(lambda: value)
    with on:
        sub(on.endpoint, "s")
        why = until(lambda: failures)[0]
    assert isinstance(why, TypeError) and "a stream is a generator" in str(why)


def test_nothing_is_produced_for_nobody_and_none_is_no_value(on, sub):
    given = iter([None, None, "third"])
    on.every("n", seconds=0.01)(lambda: next(given, None))
    on.start()
    assert sub(on.endpoint, "n").recv(LIMIT) == (b"n", b"third")


def test_libzmqs_sub_gets_values_on_demand_and_its_going_ends_them(on):
    gate = Gate()

    @on.stream("t/{x}")
    def t(x, feed):
        try:
            yield x
            feed.wait_stopped(LIMIT)
        finally:
            gate.ended.set()

    on.start()
    with zmq.Context() as context:
        peer = context.socket(zmq.SUB)
        peer.linger = 0
        peer.rcvtimeo = int(LIMIT * 1000)
        peer.connect(on.endpoint)
        peer.subscribe("t/hello")
        assert peer.recv_multipart() == [b"t/hello", b"hello"]
        peer.close()
        assert gate.ended.wait(LIMIT)


# What a function is called with.


def test_parameters_come_by_name_in_any_order_with_defaults_and_the_feed(on, sub):
    @on.every("r/{a}/{n:int}", seconds=60)
    def r(n, unit="C", *, feed, a):
        return repr((n, unit, feed.topic, a))

    on.start()
    assert sub(on.endpoint, "r/x/5").recv(LIMIT)[1] == repr((5, "C", b"r/x/5", "x")).encode()


def test_keyword_arguments_take_what_is_not_named(on, sub):
    @on.every("r/{a}/{class}", seconds=60)
    def r(a, **rest):
        return repr((a, rest))

    on.start()
    assert sub(on.endpoint, "r/x/y").recv(LIMIT)[1] == b"('x', {'class': 'y'})"


def test_methods_partials_and_objects_that_can_be_called_are_functions_too(on, sub):
    class Source:
        def method(self, x):
            return f"method {x}"

        def __call__(self, x):
            return f"call {x}"

    on.every("m/{x}", seconds=60)(Source().method)
    on.every("c/{x}", seconds=60)(Source())
    on.every("p/{x}", seconds=60)(functools.partial(lambda y, x: y + x, "partial "))
    on.start()
    for topic, value in [("m/1", b"method 1"), ("c/1", b"call 1"), ("p/1", b"partial 1")]:
        assert sub(on.endpoint, topic).recv(LIMIT)[1] == value


def test_an_argument_that_the_route_cannot_give_is_refused_when_it_is_declared(on):
    with pytest.raises(oncue.MisuseError, match="tabel"):
        on.every("sql/{table}", seconds=1)(lambda tabel: "")
    with pytest.raises(oncue.MisuseError, match=r"\*args"):
        on.every("sql/{table}", seconds=1)(lambda *args: "")


def test_the_decorator_returns_the_function_itself(on):
    def f():
        return "x"

    assert on.every("a", seconds=1)(f) is f
    assert on.stream("b")(f) is f
    assert on.batch("c", seconds=1)(f) is f


def test_a_parameter_that_is_no_utf_8_is_kept_as_surrogates(on, sub):
    @on.every("r/{x}", seconds=60)
    def r(x):
        return x.encode("utf-8", "surrogateescape")

    on.start()
    assert sub(on.endpoint, b"r/\xff\xfe").recv(LIMIT) == (b"r/\xff\xfe", b"\xff\xfe")


@pytest.mark.parametrize(
    "declare",
    [
        lambda on: on.every("a", seconds=0)(str),
        lambda on: on.every("a", seconds=-1)(str),
        lambda on: on.every("a", seconds=float("nan"))(str),
        lambda on: on.every("a", seconds="1")(str),
        lambda on: on.every("a")(str),
        lambda on: on.every("a", seconds=1, grace=-1)(str),
        lambda on: on.every("a", seconds=1, graec=1)(str),
        lambda on: on.every("a", seconds=1, backoff=3)(str),
        lambda on: on.every("a", seconds=1, backoff=(3, 1))(str),
        lambda on: on.every("a", seconds=1, on_full="never")(str),
        lambda on: on.every("a", seconds=1, feeds_max=-1)(str),
        lambda on: on.every("a", seconds=1, fill=5)(str),
        lambda on: on.every("a", seconds=1, catalogue=5)(str),
        lambda on: on.every("a/{x", seconds=1)(str),
        lambda on: on.every("a/{x:float}", seconds=1)(str),
        lambda on: on.every(5, seconds=1)(str),
        lambda on: on.every("a", seconds=1)(5),
        lambda on: on.stream("a")(None),
        lambda on: on.batch("a", seconds=1)("x"),
        lambda on: on.every("a", seconds=1, admit=5)(str),
    ],
)
def test_a_wrong_declaration_is_refused_where_it_stands_and_changes_nothing(on, declare):
    with pytest.raises((ValueError, TypeError, OverflowError)):
        declare(on)
    on.every("good", seconds=1)(lambda: "x")
    on.start()
    assert [route.pattern for route in on.route_stats()] == ["good"]


def test_a_function_that_can_only_fail_is_refused_where_it_is_declared(on):
    def generator():
        yield "x"

    async def async_generator():
        yield "x"

    for function in (generator, async_generator):
        with pytest.raises(oncue.MisuseError, match="stream"):
            on.every("a", seconds=1)(function)
    with pytest.raises(oncue.MisuseError, match="coroutine"):
        on.batch("a", seconds=1)(async_generator)


# Failures.


def test_a_function_that_raises_makes_its_topic_stale_and_is_called_again(on, sub, caplog):
    given = iter([LookupError("no such table"), "value"])

    @on.every("sql/{table:word}", seconds=60, backoff=(0.01, 0.1))
    def rows(table):
        value = next(given)
        if isinstance(value, Exception):
            raise value
        return value

    on.start()
    subscriber = sub(on.endpoint, "sql/t")
    assert subscriber.recv(LIMIT) == (b"sql/t", b"value")
    assert subscriber.state(LIMIT).state == "stale"
    assert subscriber.state(LIMIT).state == "active"
    (record,) = [record for record in caplog.records if record.name == "oncue"]
    assert record.levelno == logging.ERROR and "sql/t" in record.getMessage()
    assert isinstance(record.exc_info[1], LookupError)
    assert any("rows" in line for line in logging.Formatter().formatException(record.exc_info).split("\n"))


def test_a_generator_that_raises_starts_again_after_its_backoff(on, sub):
    starts = []

    @on.stream("s", backoff=(0.01, 0.1))
    def s():
        starts.append(1)
        yield f"start {len(starts)}"
        if len(starts) == 1:
            raise OSError("broken")
        while True:
            time.sleep(0.01)
            yield "more"

    on.start()
    assert values(sub(on.endpoint, "s"), 2) == [b"start 1", b"start 2"]
    assert on.stats().done.failed == 1


def test_a_generator_that_raises_in_finally_has_failed_and_others_go_on(on, sub, logged):
    @on.stream("s")
    def s():
        try:
            while True:
                yield "x"
        finally:
            raise ValueError("in finally")

    on.every("other", seconds=0.01)(lambda: "o")
    on.start()
    subscriber = sub(on.endpoint, "s", "other")
    until(lambda: subscriber.recv(LIMIT)[0] == b"s")
    subscriber.unsubscribe("s")
    until(lambda: on.stats().now.running == 1)
    assert subscriber.recv(LIMIT)
    subscriber.subscribe("s")
    until(lambda: subscriber.recv(LIMIT)[0] == b"s")


def test_a_generator_that_ignores_generator_exit_ends_and_does_not_run_on(on, sub):
    gate = Gate()

    @on.stream("s")
    def s():
        try:
            while True:
                yield "x"
        except GeneratorExit:
            gate.ended.set()
            yield "not over"

    on.start()
    subscriber = sub(on.endpoint, "s")
    subscriber.recv(LIMIT)
    subscriber.unsubscribe("s")
    assert gate.ended.wait(LIMIT)
    until(lambda: on.stats().now.running + on.stats().now.stopping == 0)


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit(), StopIteration()], ids=repr)
def test_an_exception_that_would_end_a_program_is_a_failure_of_its_topic_alone(sub, error):
    failures = []
    on = oncue.OnDemand("tcp://127.0.0.1:0", on_failure=lambda *told: failures.append(told))

    @on.every("bad", seconds=60, backoff=None)
    def bad():
        raise error

    on.every("good", seconds=0.01)(lambda: "x")
    with on:
        subscriber = sub(on.endpoint, "bad", "good")
        assert until(lambda: failures)[0][2] is error
        assert values(subscriber, 3) == [b"x"] * 3


def test_functions_that_are_told_may_raise_and_call_back(sub, unraisable):
    told = []

    def on_failure(topic, generation, why):
        told.append((topic, on.stats().now.wanted, on.topic_stats()))
        raise RuntimeError("told")

    def on_unserved(topic, reason):
        told.append((topic, reason))
        on.every("late", seconds=60)(lambda: "late")
        raise RuntimeError("told too")

    on = oncue.OnDemand("tcp://127.0.0.1:0", on_failure=on_failure, on_unserved=on_unserved)

    @on.every("bad", seconds=60, backoff=None)
    def bad():
        raise ValueError("bad")

    with on:
        subscriber = sub(on.endpoint, "bad", "unknown")
        until(lambda: len(told) >= 2)
        subscriber.subscribe("late")
        until(lambda: subscriber.recv(LIMIT) == (b"late", b"late"))
    until(lambda: {"told", "told too"} <= set(unraisable))


def test_an_exception_whose_text_cannot_be_made_is_a_failure_all_the_same(sub):
    class Nasty(Exception):
        def __repr__(self):
            raise ValueError("no text")

    failures = []
    on = oncue.OnDemand("tcp://127.0.0.1:0", on_failure=lambda *told: failures.append(told))

    @on.every("bad", seconds=60, backoff=None)
    def bad():
        raise Nasty

    with on:
        sub(on.endpoint, "bad")
        assert isinstance(until(lambda: failures)[0][2], Nasty)


def test_a_producer_that_blocks_holds_up_its_own_topic_alone(on, sub):
    held = threading.Event()

    @on.every("x/{n:int}", seconds=0.02)
    def x(n):
        if n < 20:
            held.wait(LIMIT)
        return "x"

    @on.batch("b/{n}", seconds=0.02)
    def b(topics):
        held.wait(LIMIT)

    on.every("quick", seconds=0.02)(lambda: "q")
    on.start()
    try:
        sub(on.endpoint, *(f"x/{n}" for n in range(20)), "b/1")
        subscriber = sub(on.endpoint, "x/99", "quick")
        assert {message[0] for message in (subscriber.recv(LIMIT) for _ in range(20))} == {b"x/99", b"quick"}
        assert on.responds_within(LIMIT)
    finally:
        held.set()


# Settings of routes.


def test_grace_keeps_a_producer_for_a_subscriber_that_comes_back(sub):
    on = oncue.OnDemand("tcp://127.0.0.1:0", grace=LIMIT)
    starts = []

    @on.stream("s")
    def s(feed):
        starts.append(1)
        while True:
            yield "x"
            feed.sleep(0.01)

    with on:
        subscriber = sub(on.endpoint, "s")
        subscriber.recv(LIMIT)
        subscriber.unsubscribe("s")
        until(lambda: on.stats().now.in_grace == 1)
        subscriber.subscribe("s")
        until(lambda: on.stats().revived == 1)
    assert starts == [1]


def test_min_run_keeps_a_producer_that_has_just_started(on, sub):
    on.every("s", seconds=0.01, min_run=LIMIT)(lambda: "x")
    on.start()
    subscriber = sub(on.endpoint, "s")
    subscriber.recv(LIMIT)
    subscriber.unsubscribe("s")
    until(lambda: on.stats().now.in_grace == 1)


def test_keep_last_gives_a_later_subscriber_the_value_at_once(on, sub):
    on.every("s", seconds=60, keep_last=True, keep_last_age=60, keep_last_bytes=1000)(lambda: "x")
    on.start()
    assert sub(on.endpoint, "s").recv(LIMIT) == (b"s", b"x")
    assert sub(on.endpoint, "s").recv(LIMIT) == (b"s", b"x")
    assert on.stats().done.produced == 1


def test_fresh_for_does_not_produce_again_what_is_fresh(on, sub):
    on.every("s", seconds=0.01, keep_last=True, fresh_for=60)(lambda: "x")
    on.start()
    assert sub(on.endpoint, "s").recv(LIMIT) == (b"s", b"x")
    until(lambda: on.stats().done.ticks_fresh > 2)
    assert on.stats().done.produced == 1


def test_once_produces_one_value_while_it_is_wanted(on, sub):
    calls = []

    @on.every("s", seconds=0.01, once=True, keep_last=True)
    def s():
        calls.append(1)
        return "x"

    on.start()
    assert sub(on.endpoint, "s").recv(LIMIT) == (b"s", b"x")
    assert sub(on.endpoint, "s").recv(LIMIT) == (b"s", b"x")
    time.sleep(0.05)
    assert calls == [1]


def test_min_interval_leaves_out_what_comes_too_fast(on, sub):
    @on.stream("s", min_interval=60)
    def s(feed):
        for n in range(100):
            yield str(n)
        feed.wait_stopped(LIMIT)

    on.start()
    assert sub(on.endpoint, "s").recv(LIMIT) == (b"s", b"0")
    until(lambda: on.stats().done.superseded >= 98)


def test_feeds_max_leaves_the_others_waiting(on, sub):
    on.every("s/{x}", seconds=0.01, feeds_max=1)(lambda: "x")
    on.start()
    first = sub(on.endpoint, "s/1")
    first.recv(LIMIT)
    second = sub(on.endpoint, "s/2")
    until(lambda: on.stats().now.waiting == 1)
    first.close()
    assert second.recv(LIMIT) == (b"s/2", b"x")


def test_fill_has_a_value_for_a_topic_that_has_none_yet_on_each_kind_of_route(on, sub):
    def fill(x, feed):
        return f"filled {x} {feed.topic.decode()}"

    on.every("e/{x}", seconds=60, fill=fill)(lambda: None)
    on.batch("b/{x}", seconds=60, fill=fill)(lambda topics: None)
    on.stream("s/{x}", fill=fill)(lambda feed: feed.wait_stopped(LIMIT) and None)

    on.start()
    for kind in "ebs":
        topic = f"{kind}/1"
        assert sub(on.endpoint, topic).recv(LIMIT)[1] == f"filled 1 {topic}".encode()
    assert sub(on.endpoint, "s/2").recv(LIMIT)[1] == b"filled 2 s/2"


def test_a_fill_that_raises_is_reported_and_gives_nothing(on, sub, unraisable):
    def fill():
        raise LookupError("no fill")

    on.every("s", seconds=0.05, fill=fill)(lambda: "v")
    on.start()
    assert sub(on.endpoint, "s").recv(LIMIT)[1] == b"v"
    until(lambda: "no fill" in unraisable)


def test_frames_say_how_a_message_is_made_of_a_value(on, sub):
    on.every("w/{place}", seconds=60, frames=["{topic} {value}"])(lambda place: f"21 degrees in {place}")
    on.start()
    assert sub(on.endpoint, "w/rome").recv(LIMIT) == (b"w/rome 21 degrees in rome",)


def test_room_is_told_to_a_feed(on, sub):
    @on.stream("s")
    def s(feed):
        feed.publish(feed.room())
        feed.wait_for_room(LIMIT)
        feed.wait_stopped(LIMIT)

    on.start()
    assert sub(on.endpoint, "s").recv(LIMIT) == (b"s", b"open")


def test_a_generator_waits_while_its_subscribers_are_full(on, sub):
    made = []

    @on.stream("s")
    def s():
        for n in range(100_000):
            made.append(n)
            yield bytes(100_000)

    on.start()
    subscriber = sub(on.endpoint, "s", recv_hwm=1)
    subscriber.recv(LIMIT)
    count = -1
    while count != len(made):
        count = len(made)
        time.sleep(0.1)
    assert count < 50_000
    until(lambda: subscriber.recv(LIMIT) and len(made) > count)


def test_statistics_are_dataclasses_of_what_was_done(on, sub):
    on.every("s/{x}", seconds=0.01)(lambda: "x")
    on.start()
    sub(on.endpoint, "s/1").recv(LIMIT)
    stats = on.stats()
    assert isinstance(stats, oncue.OnDemandStats) and stats.now.wanted == 1
    assert stats.done.produced >= 1 and stats.done.producing >= 0
    (route,) = on.route_stats()
    assert route.pattern == "s/{x}" and route.now.running == 1 and route.first_values == 1
    (topic,) = on.topic_stats()
    assert topic.topic == b"s/1" and topic.subscribers == 1 and topic.first_value_time >= 0


# Catalogues and admission.


def test_a_catalogue_lets_a_prefix_bring_all_its_topics(on, sub):
    on.every("p/{symbol}", seconds=60, catalogue=["A", "p/B", ("C",), {"symbol": "D"}])(lambda symbol: symbol)
    on.start()
    subscriber = sub(on.endpoint, "p/")
    assert {subscriber.recv(LIMIT) for _ in range(4)} == {(b"p/" + s, s) for s in (b"A", b"B", b"C", b"D")}


def test_a_catalogue_is_a_function_that_is_called_again(on, sub):
    listed = [["A"]]
    on.every("p/{s}", seconds=0.02, catalogue=lambda: listed[0], catalogue_seconds=0.02)(lambda s: s)
    on.start()
    subscriber = sub(on.endpoint, "p/")
    assert subscriber.recv(LIMIT)[1] == b"A"
    listed[0] = ["A", "B"]
    until(lambda: subscriber.recv(LIMIT)[1] == b"B")


def test_a_catalogue_that_raises_is_logged_once_with_its_traceback_and_listed_again(on, sub, caplog):
    listed = iter([LookupError("down"), ["A"], 5])

    def catalogue():
        value = next(listed, ["A"])
        if isinstance(value, Exception):
            raise value
        return value

    on.every("p/{s}", seconds=60, catalogue=catalogue, catalogue_seconds=0.02)(lambda s: s)
    on.start()
    assert sub(on.endpoint, "p/").recv(LIMIT)[1] == b"A"
    until(lambda: on.stats().lists_failed == 2)
    records = [record for record in caplog.records if record.name == "oncue"]
    assert [str(record.exc_info[1]) for record in records] == ["down", "'int' object is not iterable"]
    assert all("catalogue of p/{s} could not be listed" in record.getMessage() for record in records)


def test_a_function_of_ones_own_is_told_of_the_exception_of_a_catalogue(sub, logged):
    told = []
    on = oncue.OnDemand("tcp://127.0.0.1:0", on_list_failure=lambda *given: told.append(given))
    on.every("p/{s}", seconds=60, catalogue=lambda: 1 / 0)(lambda s: s)
    with on:
        sub(on.endpoint, "p/")
        pattern, why = until(lambda: told)[0]
    assert pattern == "p/{s}" and isinstance(why, ZeroDivisionError) and why.__traceback__
    assert not any("catalogue of" in text for text in logged())


@pytest.mark.parametrize("wrong", [[("A", "B")], [{"t": "A"}], [{}], ["a\nb/c"]], ids=repr)
def test_a_catalogue_of_what_does_not_fit_is_refused(on, wrong):
    with pytest.raises((ValueError, TypeError)):
        on.every("p/{s:word}", seconds=1, catalogue=wrong)(lambda: "")


def test_admit_decides_about_each_subscription(on, sub):
    asked = []

    def admit(request):
        asked.append(request)
        return {b"a/yes": True, b"a/no": False, b"a/why": "not for you"}[request.prefix]

    on.every("a/{x}", seconds=0.02, admit=admit)(lambda: "x")
    on.start()
    subscriber = sub(on.endpoint, "a/yes", "a/no", "a/why")
    assert subscriber.recv(LIMIT) == (b"a/yes", b"x")
    rejected = {(state.topic, state.text) for state in (subscriber.state(LIMIT) for _ in range(2))}
    assert rejected == {(b"a/no", ""), (b"a/why", "not for you")}
    assert isinstance(asked[0], oncue.SubscribeRequest) and asked[0].address


@pytest.mark.parametrize("answer", [None, 5, LookupError("who")], ids=repr)
def test_an_admit_that_cannot_answer_refuses_and_is_logged(on, sub, logged, answer):
    def admit(request):
        if isinstance(answer, Exception):
            raise answer
        return answer

    on.every("a", seconds=1, admit=admit)(lambda: "x")
    on.start()
    assert sub(on.endpoint, "a").state(LIMIT).state == "rejected"
    until(lambda: any("no decision about the subscription to a" in text for text in logged()))


def test_admit_may_defer_and_the_socket_decides_later(on, sub):
    asked = []

    def admit(request):
        asked.append(request)
        return oncue.DEFER

    on.every("a", seconds=0.02, admit=admit)(lambda: "x")
    on.start()
    subscriber = sub(on.endpoint, "a")
    request = until(lambda: asked)[0]
    assert on.stats().now.wanted == 0
    on.xpub().admit(request.peer, "a")
    assert subscriber.recv(LIMIT) == (b"a", b"x")


def test_what_waits_in_admit_for_its_own_thread_is_refused_as_misuse(on, sub):
    outcomes = []

    def attempt(call):
        try:
            call()
        except oncue.MisuseError as error:
            outcomes.append(str(error))

    def admit(request):
        other = oncue.Pub()
        attempt(on.xpub().peers)
        attempt(other.close)
        attempt(lambda: other.bind("tcp://127.0.0.1:0"))
        attempt(lambda: on.remove("other"))
        attempt(lambda: on.every("b", seconds=1)(lambda: "b"))
        return True

    on.every("a", seconds=0.02, admit=admit)(lambda: "x")
    on.every("other", seconds=1)(lambda: "x")
    on.start()
    assert sub(on.endpoint, "a").recv(LIMIT) == (b"a", b"x")
    assert len(outcomes) == 5 and all("decides about subscriptions" in text for text in outcomes)


def test_the_interpreter_is_free_while_a_call_waits_for_an_admit_that_takes_long(on, sub):
    inside = threading.Event()

    def admit(request):
        inside.set()
        time.sleep(0.2)
        return True

    on.every("a", seconds=0.02, admit=admit)(lambda: "x")
    on.start()
    subscriber = sub(on.endpoint, "a")
    assert inside.wait(LIMIT)
    for call in (
        on.stats,
        on.xpub().stats,
        on.xpub().peers,
        lambda: on.xpub().bind("tcp://127.0.0.1:0"),
        lambda: on.every("b", seconds=1)(lambda: "b"),
        lambda: oncue.Pub().close(),
        lambda: on.revoke("zz"),
    ):
        call()
    assert subscriber.recv(LIMIT) == (b"a", b"x")


def test_revoke_ends_the_subscriptions_of_all(on, sub):
    on.every("a", seconds=0.02)(lambda: "x")
    on.start()
    subscriber = sub(on.endpoint, "a")
    subscriber.recv(LIMIT)
    on.revoke("a", "closing time")
    until(lambda: subscriber.state(LIMIT).text == "closing time")
    until(lambda: on.stats().now.running == 0)


def test_status_topics_tell_peers_of_other_libraries_of_states(sub):
    on = oncue.OnDemand("tcp://127.0.0.1:0", status_prefix="status/", on_failure=lambda *told: None)

    @on.every("a", seconds=60, backoff=None)
    def a():
        raise ValueError

    with on, zmq.Context() as context:
        peer = context.socket(zmq.SUB)
        peer.linger = 0
        peer.rcvtimeo = int(LIMIT * 1000)
        peer.connect(on.endpoint)
        peer.subscribe("status/")
        peer.subscribe("a")
        assert peer.recv_multipart()[0] == b"status/a"
        peer.close()


def test_what_no_route_serves_is_told(on, sub, logged):
    on.every("a", seconds=1)(lambda: "x")
    on.start()
    subscriber = sub(on.endpoint, "nonsense")
    until(lambda: any("nonsense is wanted and not served" in text for text in logged()))
    assert subscriber.state(LIMIT).state == "unserved"


# Sockets.


def test_several_endpoints_of_all_kinds_serve_the_same_topics(sub, tmp_path):
    back = oncue.XSub()
    on = oncue.OnDemand(
        "tcp://127.0.0.1:0", f"ipc://{tmp_path}/s", connect=back.bind("tcp://127.0.0.1:0"), linger=0.5, send_hwm=100
    )
    on.every("a", seconds=0.02)(lambda: "x")
    with on, back:
        assert len(on.endpoints) == 3 and on.endpoint == on.endpoints[0]
        for endpoint in on.endpoints[:2]:
            assert sub(endpoint, "a").recv(LIMIT) == (b"a", b"x")
        back.subscribe("a")
        assert back.recv(LIMIT) == (b"a", b"x")


def test_a_socket_that_exists_is_shared_and_stays_open(sub):
    with oncue.XPub() as xpub:
        endpoint = xpub.bind("tcp://127.0.0.1:0")
        on = oncue.OnDemand(socket=xpub)
        other = oncue.OnDemand(socket=xpub)
        on.every("a", seconds=0.02)(lambda: "x")
        other.every("b", seconds=0.02)(lambda: "y")
        with on, other:
            subscriber = sub(endpoint, "a", "b", "c")
            until(lambda: subscriber.recv(LIMIT) == (b"a", b"x"))
            until(lambda: subscriber.recv(LIMIT) == (b"b", b"y"))
        assert not xpub.closed
        xpub.send("c", "mine")
        until(lambda: subscriber.recv(LIMIT) == (b"c", b"mine"))


def test_the_socket_of_routes_is_an_xpub_with_all_that_one_can_do(on, sub):
    on.every("a", seconds=60)(lambda: "x")
    on.start()
    xpub = on.xpub()
    assert type(xpub) is oncue.XPub
    subscriber = sub(on.endpoint, "other")
    xpub.wait_for_subscribers("other", timeout=LIMIT)
    xpub.send("other", "message")
    assert subscriber.recv(LIMIT) == (b"other", b"message")


def test_wrong_ways_to_make_them_are_refused():
    with pytest.raises(oncue.MisuseError, match="no endpoint"):
        oncue.OnDemand()
    with oncue.XPub() as xpub, pytest.raises(oncue.MisuseError):
        oncue.OnDemand(socket=xpub, send_hwm=5)
    for wrong in ({"grace": -1}, {"grace": "x"}, {"feeds_max": -1}, {"workers": 1.5}, {"nonsense": 1}, {"linger": -1}):
        on = None
        with pytest.raises((TypeError, ValueError, OverflowError)):
            on = oncue.OnDemand("tcp://127.0.0.1:0", **wrong)
            on.every("a", seconds=1)(lambda: "x")
            on.start()
        assert on is None or on.endpoint is None


# Changes while they run.


def test_a_route_is_added_replaced_and_removed_while_they_run(on, sub):
    on.every("a", seconds=0.02)(lambda: "1")
    on.start()
    subscriber = sub(on.endpoint, "a", "b")
    until(lambda: subscriber.recv(LIMIT) == (b"a", b"1"))
    on.every("b", seconds=0.02)(lambda: "2")
    until(lambda: subscriber.recv(LIMIT) == (b"b", b"2"))
    on.every("a", seconds=0.02)(lambda: "3")
    until(lambda: subscriber.recv(LIMIT) == (b"a", b"3"))
    on.remove("b")
    until(lambda: on.stats().now.running == 1)
    assert [route.pattern for route in on.route_stats()] == ["a"]
    with pytest.raises(KeyError):
        on.remove("b")
    with pytest.raises(oncue.MisuseError):
        on.remove("a")
    assert [route.pattern for route in on.route_stats()] == ["a"]


def test_a_route_that_cannot_be_added_while_they_run_leaves_the_others(on, sub):
    on.every("a/{x}", seconds=0.02)(lambda: "1")
    on.start()
    with pytest.raises((TypeError, ValueError)):
        on.every("a/{x}", seconds=-1)(lambda: "2")
    assert sub(on.endpoint, "a/1").recv(LIMIT) == (b"a/1", b"1")


def test_a_producer_may_add_and_remove_routes(on, sub):
    @on.every("a", seconds=60)
    def a():
        on.every("b", seconds=60)(lambda: "b")
        on.every("c", seconds=60)(lambda: "c")
        on.remove("c")
        return "a"

    on.start()
    subscriber = sub(on.endpoint, "a", "b")
    assert {subscriber.recv(LIMIT)[1] for _ in range(2)} == {b"a", b"b"}


def test_a_decorator_that_is_used_twice_gives_the_last_function(on, sub):
    route = on.every("a/{x}", seconds=60, fill=lambda x: "filled" if x == "f" else None)
    route(lambda x: "1" if x == "v" else None)
    route(lambda x: "2" if x == "v" else None)
    on.start()
    assert sub(on.endpoint, "a/v").recv(LIMIT) == (b"a/v", b"2")
    assert sub(on.endpoint, "a/f").recv(LIMIT) == (b"a/f", b"filled")
