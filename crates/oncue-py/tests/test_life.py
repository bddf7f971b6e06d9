"""How routes and programs begin and end."""

import gc
import signal
import threading
import time
import weakref

import pytest

import oncue
from conftest import LIMIT, until

PRELUDE = """
import asyncio, atexit, gc, os, signal, sys, threading, time
import oncue

LIMIT = 20.0
on = oncue.OnDemand("tcp://127.0.0.1:0")

def say(*words):
    # At once, whatever other threads write.
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

def subscribed(*prefixes):
    sub = oncue.Sub()
    sub.connect(on.endpoint)
    for prefix in prefixes:
        sub.subscribe(prefix)
    return sub

@on.stream("s/{n}")
def s(n, feed):
    try:
        while True:
            yield "x"
            feed.sleep(0.01)
    finally:
        say("ended", n)
"""


# In this process.


def test_start_returns_itself_and_a_second_one_is_refused(on):
    on.every("a", seconds=1)(lambda: "x")
    assert on.start() is on
    with pytest.raises(oncue.MisuseError, match="run already"):
        on.start()


def test_stop_may_be_called_at_any_time_and_any_number_of_times(on):
    on.stop()
    on.every("a", seconds=1)(lambda: "x")
    on.start()
    on.stop()
    on.stop()
    assert on.wait(0)


def test_what_needs_routes_at_work_is_refused_before_the_start_and_after_the_stop(on):
    on.every("a", seconds=1)(lambda: "x")

    def refused():
        for call in (on.stats, on.route_stats, on.topic_stats, on.xpub, lambda: on.revoke("a")):
            with pytest.raises(oncue.MisuseError, match="start them"):
                call()
        assert on.endpoint is None and on.endpoints == []

    refused()
    on.start()
    assert on.endpoint in repr(on)
    on.stop()
    refused()


def test_they_can_be_started_again_at_the_same_endpoint(sub, tmp_path):
    on = oncue.OnDemand(f"ipc://{tmp_path}/s")
    on.every("a", seconds=0.02)(lambda: "x")
    for _ in range(5):
        with on:
            assert sub(on.endpoint, "a").recv(LIMIT) == (b"a", b"x")


def test_without_routes_the_start_is_refused_and_leaves_nothing_behind(on):
    before = threading.active_count()
    with pytest.raises(oncue.MisuseError):
        on.start()
    until(lambda: threading.active_count() == before)


def test_a_start_that_fails_can_be_tried_again(sub):
    with oncue.Pub() as taken:
        on = oncue.OnDemand(taken.bind("tcp://127.0.0.1:0"))
        on.every("a", seconds=0.02)(lambda: "x")
        with pytest.raises(oncue.IoError):
            on.start()
    with on:
        assert sub(on.endpoint, "a").recv(LIMIT) == (b"a", b"x")


def test_with_stops_also_after_an_exception(on, sub):
    ended = threading.Event()

    @on.stream("s")
    def s():
        try:
            while True:
                yield "x"
        finally:
            ended.set()

    with pytest.raises(LookupError):
        with on:
            sub(on.endpoint, "s").recv(LIMIT)
            raise LookupError
    assert ended.is_set() and on.wait(0)


def test_stop_waits_until_each_producer_has_cleaned_up(on, sub):
    cleaned = []

    @on.stream("s/{n}")
    def s(n):
        try:
            while True:
                yield "x"
                time.sleep(0.005)
        finally:
            time.sleep(0.1)
            cleaned.append(n)

    on.start()
    subscriber = sub(on.endpoint, *(f"s/{n}" for n in range(10)))
    until(lambda: on.stats().now.running == 10 and subscriber.recv(LIMIT))
    until(lambda: len(on.topic_stats()) == 10 and all(t.done.produced for t in on.topic_stats()))
    on.stop()
    assert sorted(cleaned) == sorted(str(n) for n in range(10))


@pytest.mark.parametrize(
    "place", ["every", "stream", "batch", "catalogue", "admit", "on_failure", "on_unserved", "fill", "finally"]
)
def test_any_function_that_the_routes_call_may_stop_them(sub, place):
    stops = []

    def stop(*_):
        on.stop()
        stops.append(threading.current_thread())

    def stopping(name):
        return stop if place == name else lambda *_: None

    on = oncue.OnDemand("tcp://127.0.0.1:0", on_failure=stopping("on_failure"), on_unserved=stopping("on_unserved"))

    @on.every("every", seconds=0.01)
    def every():
        if place == "on_failure":
            raise ValueError
        stopping("every")()
        return "x"

    @on.stream("stream")
    def stream():
        try:
            stopping("stream")()
            yield "x"
        finally:
            stopping("finally")()

    @on.batch("batch/{n}", seconds=0.01, catalogue=lambda: stopping("catalogue")() or [])
    def batch(topics):
        stopping("batch")()

    on.every("admit", seconds=1, admit=lambda request: stopping("admit")() or True)(lambda: "x")
    on.every("fill", seconds=1, fill=lambda: stopping("fill")() or "x")(lambda: None)
    on.start()
    endpoint = on.endpoint
    sub(endpoint, "every", "stream", "batch/1", "admit", "fill", "unknown")
    assert on.wait(LIMIT)
    assert until(lambda: stops)[0] is not threading.main_thread()
    # The endpoint is free.
    with oncue.Pub() as pub:
        pub.bind(endpoint)


def test_many_threads_may_stop_and_start_them_at_once(on):
    on.every("a", seconds=0.01)(lambda: "x")
    odd = []

    def turn():
        for _ in range(10):
            try:
                on.start()
            except oncue.MisuseError:
                pass
            except BaseException as error:
                odd.append(error)
            on.stop()

    threads = [threading.Thread(target=turn) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT)
        assert not thread.is_alive()
    assert odd == []


def test_a_start_after_a_stop_by_a_producer_waits_for_its_end(on, sub):
    asked, running = threading.Event(), []

    @on.every("s", seconds=0.01)
    def s():
        if not asked.is_set():
            on.stop()
            asked.set()
            time.sleep(0.1)
        running.append(1)
        return "x"

    on.start()
    sub(on.endpoint, "s")
    assert asked.wait(LIMIT)
    on.start()
    assert running == [1]
    assert sub(on.endpoint, "s").recv(LIMIT) == (b"s", b"x")
    # The end of the first one is not that of the second.
    assert on.wait(0.05) is False


def test_the_end_of_a_server_that_is_replaced_may_need_the_new_one(sub, tmp_path):
    space = {"__name__": "__main__", "ENDPOINT": f"ipc://{tmp_path}/s", "began": threading.Event()}
    cell = """
import time, oncue
on = oncue.OnDemand(ENDPOINT)

@on.stream("s")
def s(feed):
    try:
        yield "x"
        began.set()
        feed.wait_stopped(20)
    finally:
        time.sleep(0.05)
        on.every("late", seconds=1)(lambda: "late")

on.start()
"""
    held = []
    for _ in range(2):
        exec(cell, space)
        held.append(space["on"])
        space["began"].clear()
        subscriber = sub(space["ENDPOINT"], "s")
        assert subscriber.recv(LIMIT) == (b"s", b"x")
        assert space["began"].wait(LIMIT)
    space["on"].stop()


def test_wait_waits_until_another_thread_stops_them(on):
    on.every("a", seconds=1)(lambda: "x")
    on.start()
    assert on.wait(0.01) is False
    threading.Timer(0.05, on.stop).start()
    assert on.wait(LIMIT) is True


def test_run_in_another_thread_returns_when_they_are_stopped(on):
    on.every("a", seconds=1)(lambda: "x")
    thread = threading.Thread(target=on.run)
    thread.start()
    until(lambda: on.endpoint)
    on.stop()
    thread.join(LIMIT)
    assert not thread.is_alive()


def test_routes_that_nobody_holds_any_more_are_stopped(sub):
    ended = threading.Event()
    on = oncue.OnDemand("tcp://127.0.0.1:0")

    @on.stream("s")
    def s():
        try:
            while True:
                yield "x"
                time.sleep(0.005)
        finally:
            ended.set()

    on.start()
    endpoint, gone = on.endpoint, weakref.ref(on)
    sub(endpoint, "s").recv(LIMIT)
    del on
    gc.collect()
    assert gone() is None and ended.is_set()
    with oncue.Pub() as pub:
        pub.bind(endpoint)


def test_routes_may_be_collected_on_the_thread_of_one_of_their_producers(sub):
    ended, held = threading.Event(), []
    held.append(oncue.OnDemand("tcp://127.0.0.1:0"))

    @held[0].every("s", seconds=0.01)
    def s():
        held.clear()
        gc.collect()
        ended.set()

    held[0].start()
    sub(held[0].endpoint, "s")
    assert ended.wait(LIMIT)
    until(lambda: not [thread for thread in threading.enumerate() if thread.name == "oncue-stop"])


def test_an_engine_may_be_dropped_that_has_called_python(sub):
    # Its I/O thread has a state of the interpreter, which it gives back at its end.
    for _ in range(5):
        engine = oncue.Engine()
        on = oncue.OnDemand("tcp://127.0.0.1:0", engine=engine)
        on.every("a", seconds=0.01, admit=lambda request: True)(lambda: "x")
        with on:
            sub(on.endpoint, "a").recv(LIMIT)
        del engine, on
        gc.collect()


# In a process of its own.


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_run_at_once_with_the_producers_cleaned_up(program, number):
    running = program(
        PRELUDE
        + """
@on.stream("a/{n}")
async def a(n):
    try:
        while True:
            yield "x"
            await asyncio.sleep(0.01)
    finally:
        say("ended", n)

@on.every("e", seconds=0.01)
def e():
    return "e"

def watch():
    while not on.endpoint:
        time.sleep(0.01)
    sub = subscribed("s/", "e", *(f"s/{n}" for n in range(10)), *(f"a/{n}" for n in range(10, 20)))
    while len([t for t in on.topic_stats() if t.done.produced]) < 21:
        time.sleep(0.01)
    print("ready")
    for message in sub:
        pass

threading.Thread(target=watch, daemon=True).start()
on.run()
print("returned", on.endpoint)
"""
    )
    assert running.line() == "ready"
    start = time.monotonic()
    running.signal(number)
    lines = running.ended().well()
    assert time.monotonic() - start < 5
    assert sorted(lines) == sorted([*(f"ended {n}" for n in range(20)), "returned None"])


def test_sigterm_is_left_to_a_program_that_handles_it(program):
    running = program(
        PRELUDE
        + """
def handle(number, frame):
    print("handled")
    on.stop()

signal.signal(signal.SIGTERM, handle)
threading.Timer(0.2, lambda: print("ready")).start()
on.run()
assert signal.getsignal(signal.SIGTERM) is handle
"""
    )
    assert running.line() == "ready"
    running.signal(signal.SIGTERM)
    assert running.ended().well() == ["handled"]


def test_ctrl_c_ends_an_async_program_with_the_producers_cleaned_up(program):
    running = program(
        PRELUDE
        + """
@on.stream("a/{n}")
async def a(n):
    try:
        while True:
            yield "x"
            await asyncio.sleep(0.01)
    finally:
        await asyncio.sleep(0.05)
        say("ended", n)

async def main():
    serving = asyncio.ensure_future(on.serve())
    while not on.endpoint:
        await asyncio.sleep(0.01)
    sub = subscribed("a/1", "s/2")
    wanted = {b"a/1", b"s/2"}
    while wanted:
        wanted.discard((await sub.arecv())[0])
    print("ready")
    await serving

try:
    asyncio.run(main())
except KeyboardInterrupt:
    print("interrupted")
"""
    )
    assert running.line() == "ready"
    running.signal(signal.SIGINT)
    assert sorted(running.ended().well()) == ["ended 1", "ended 2", "interrupted"]


@pytest.mark.parametrize("busy", [False, True])
def test_a_second_ctrl_c_ends_a_program_whose_producer_does_not_end(program, busy):
    running = program(
        PRELUDE
        + f"""
@on.every("stubborn", seconds=1)
def stubborn():
    print("ready")
    while True:
        {"pass" if busy else "time.sleep(0.01)"}

def watch():
    while not on.endpoint:
        time.sleep(0.01)
    subscribed("stubborn").recv(LIMIT)

threading.Thread(target=watch, daemon=True).start()
on.run()
"""
    )
    assert running.line() == "ready"
    running.signal(signal.SIGINT)
    time.sleep(0.3)
    assert running.process.poll() is None
    running.signal(signal.SIGINT)
    ended = running.ended()
    assert ended.code == -signal.SIGINT, (ended.code, ended.err)
    assert "KeyboardInterrupt" in ended.err and "Fatal" not in ended.err


@pytest.mark.parametrize("end", ["pass", "sys.exit(3)", "raise SystemExit(3)", "1 / 0"])
def test_what_is_left_open_is_cleaned_up_at_the_exit(program, end):
    ended = program(
        PRELUDE
        + f"""
@on.stream("a/{{n}}")
async def a(n):
    try:
        while True:
            yield "x"
            await asyncio.sleep(0.01)
    finally:
        say("ended", n)

on.start()
sub = subscribed("s/1", "a/2")
while len([t for t in on.topic_stats() if t.done.produced]) < 2:
    time.sleep(0.01)
pub = oncue.Pub()
endpoint = pub.bind("tcp://127.0.0.1:0")
sub.connect(endpoint)
demand = oncue.XPub().demand()
{end}
"""
    ).ended()
    assert sorted(ended.out.split()) == ["1", "2", "ended", "ended"]
    assert ended.code == {"pass": 0, "1 / 0": 1}.get(end, 3), ended.err
    assert "Fatal" not in ended.err and "Exception ignored" not in ended.err


def test_what_was_sent_right_before_the_exit_arrives(program, sub):
    subscriber = oncue.Sub()
    endpoint = subscriber.bind("tcp://127.0.0.1:0")
    subscriber.subscribe("")
    program(
        """
        import sys, oncue
        pub = oncue.Pub(linger=20)
        pub.connect(sys.argv[1])
        pub.wait_for_subscribers("x", timeout=20)
        for n in range(100):
            pub.send("x", bytes(100_000))
        """,
        endpoint,
    )
    for _ in range(100):
        assert len(subscriber.recv(LIMIT)[1]) == 100_000
    subscriber.close()


def test_the_exit_does_not_wait_for_daemon_threads_that_wait(program):
    assert (
        program(
            PRELUDE
            + """
own = oncue.Sub(engine=oncue.Engine())
shared = oncue.Sub()

def wait(call):
    try:
        call()
    except oncue.ClosedError:
        pass

xpub = oncue.XPub()
for call in (own.recv, shared.recv, own.poll, shared.poll, xpub.event, shared.state, xpub.demand().next, xpub.recv):
    for _ in range(3):
        threading.Thread(target=wait, args=(call,), daemon=True).start()

async def main():
    await asyncio.gather(shared.arecv(), own.arecv(), return_exceptions=True)

threading.Thread(target=lambda: asyncio.run(main()), daemon=True).start()
time.sleep(0.05)
"""
        )
        .ended()
        .well()
        == []
    )


def test_the_interpreter_ends_well_however_often_with_callbacks_of_all_kinds(program):
    running = [
        program(
            PRELUDE
            + f"""
@on.every("e/{{n}}", seconds=0.001, admit=lambda request: True)
def e(n):
    return n

@on.batch("b/{{n}}", seconds=0.001, catalogue=lambda: ["1", "2"], catalogue_seconds=0.001)
def b(topics):
    return {{t: "x" for t in topics}}

@on.every("c/{{n}}", seconds=0.001)
async def c(n):
    return n

@on.every("f", seconds=0.001, backoff=(0.001, 0.002))
def f():
    raise ValueError

on._settings["failed"] = lambda *told: None
on.start()
sub = subscribed("b/", "f", *(f"{{kind}}/{{n}}" for kind in "ec" for n in range(5)))
sub.recv(LIMIT)
time.sleep({delay})
"""
        )
        for delay in (0, 0.01, 0.05, 0.1)
    ]
    for each in running:
        assert each.ended().well() == []


def test_a_fork_does_not_disturb_its_parent_and_ends(program):
    lines = (
        program(
            PRELUDE
            + """
@on.stream("a/{n}")
async def a(n):
    while True:
        yield "x"
        await asyncio.sleep(0.01)

on.start()
sub = subscribed("s/1", "a/2")
sub.recv(LIMIT)
child = os.fork()
if child == 0:
    # At the exit as well as by hand.
    assert on.endpoint is None
    on.stop()
    del on
    gc.collect()
    mine = oncue.OnDemand("tcp://127.0.0.1:0")
    mine.every("m", seconds=0.01)(lambda: "m")
    with mine:
        other = oncue.Sub()
        other.connect(mine.endpoint)
        other.subscribe("m")
        assert other.recv(LIMIT) == (b"m", b"m")
    print("child")
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
for _ in range(2):
    # Values come still, of both kinds.
    sub = subscribed("s/1", "a/2")
    got = set()
    while len(got) < 2:
        got.add(sub.recv(LIMIT)[0])
on.stop()
print("parent")
"""
        )
        .ended()
        .well()
    )
    assert (lines[0], lines[-1]) == ("child", "parent")


def test_sockets_in_a_fork_fail_and_do_not_hang(program):
    lines = (
        program(
            """
            import os, sys, oncue
            pub, sub = oncue.Pub(), oncue.Sub()
            sub.connect(pub.bind("tcp://127.0.0.1:0"))
            sub.subscribe_wait("", timeout=20)
            child = os.fork()
            if child == 0:
                for call in (lambda: pub.bind("tcp://127.0.0.1:0"), lambda: sub.recv(0.1)):
                    try:
                        call()
                        print("no error")
                    except oncue.Error:
                        pass
                pub.close()
                own = oncue.Pub()
                own.bind("tcp://127.0.0.1:0")
                own.close()
                print("child")
                sys.exit(0)
            assert os.waitpid(child, 0)[1] == 0
            pub.send("x")
            print(sub.recv(20))
            """
        )
        .ended()
        .well()
    )
    assert lines == ["child", "(b'x',)"]


def test_multiprocessing_with_either_method_works_beside_running_routes(program):
    assert program(
        PRELUDE
        + """
import multiprocessing

on.start()
sub = subscribed("s/1")
sub.recv(LIMIT)
for method in ("fork", "spawn", "forkserver"):
    context = multiprocessing.get_context(method)
    process = context.Process(target=print, args=(method,))
    process.start()
    process.join(LIMIT)
    assert process.exitcode == 0
sub.recv(LIMIT)
"""
    ).ended().well() == ["fork", "spawn", "forkserver", "ended 1"]


def test_keyboard_interrupts_at_any_moment_of_a_start_and_stop_leave_it_usable(program):
    running = program(
        PRELUDE
        + """
import random
on.every("e", seconds=0.001)(lambda: "e")
random.seed(5)
interrupts = 0
for turn in range(60):
    try:
        signal.setitimer(signal.ITIMER_REAL, random.uniform(0.0001, 0.004))
        on.start()
        on.stop()
        time.sleep(0.004)
    except (KeyboardInterrupt, RuntimeError):
        # The second of a condition of Python's own that was interrupted.
        interrupts += 1
    finally:
        while True:
            try:
                signal.setitimer(signal.ITIMER_REAL, 0)
                on.stop()
                break
            except (KeyboardInterrupt, RuntimeError):
                pass
on.start()
subscribed("e").recv(LIMIT)
on.stop()
print(interrupts > 0)
""".replace("import random\n", "import random\nsignal.signal(signal.SIGALRM, signal.default_int_handler)\n")
    )
    ended = running.ended()
    # Python itself may be interrupted where nobody can catch it.
    assert (ended.code, ended.out) == (0, "True\n"), ended.err
