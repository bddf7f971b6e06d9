"""oncue.zmq by itself: what pyzmq's own tests do not ask for PUB, SUB, XPUB and XSUB."""

from __future__ import annotations

import asyncio
import copy
import gc
import os
import pickle
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

import oncue.zmq as zmq
import oncue.zmq.asyncio
from oncue.zmq.utils.monitor import recv_monitor_message

SECONDS = 5
MILLISECONDS = 1000 * SECONDS


@pytest.fixture
def context() -> Iterator[zmq.Context]:
    made = zmq.Context()
    yield made
    made.destroy(linger=0)


def pair(context: zmq.Context, publisher: int = zmq.XPUB, subscriber: int = zmq.SUB) -> tuple[Any, Any]:
    """A publisher and a subscriber of everything that are connected."""
    pub, sub = context.socket(publisher), context.socket(subscriber)
    port = pub.bind_to_random_port("tcp://127.0.0.1")
    if subscriber == zmq.SUB:
        sub.subscribe(b"")
    else:
        sub.send(b"\x01")
    sub.connect(f"tcp://127.0.0.1:{port}")
    if publisher == zmq.XPUB:
        assert pub.recv() == b"\x01"
    else:
        settle(pub, sub)
    return pub, sub


def settle(pub: Any, sub: Any) -> None:
    """Waits until messages arrive."""
    for _ in range(500):
        pub.send(b"settle")
        if sub.poll(10):
            while sub.poll(50):
                sub.recv()
            return
    raise AssertionError("nothing arrives")


def errno_of(call: Any, *args: Any, **kwargs: Any) -> int | None:
    with pytest.raises(zmq.ZMQError) as raised:
        call(*args, **kwargs)
    return raised.value.errno


# ---------------------------------------------------------------------- names and errors


def test_all_of_pyzmqs_names_are_there() -> None:
    assert all(hasattr(zmq, name) for name in zmq.__all__)
    real = pytest.importorskip("zmq")
    assert set(real.__all__) == set(zmq.__all__)
    for name in real.constants.__all__:
        theirs, ours = getattr(real, name), getattr(zmq, name)
        if isinstance(theirs, int):
            assert int(theirs) == int(ours) and repr(theirs) == repr(ours), name


@pytest.mark.parametrize("name", ["PUSH", "PULL", "PAIR", "REQ", "REP", "DEALER", "ROUTER", "STREAM", "RADIO"])
def test_a_type_that_is_missing_names_pyzmq(context: zmq.Context, name: str) -> None:
    with pytest.raises(zmq.ZMQError, match=rf"{name}.*pyzmq") as raised:
        context.socket(getattr(zmq, name))
    assert raised.value.errno == zmq.EINVAL


def test_what_a_type_cannot_do_is_not_supported(context: zmq.Context) -> None:
    pub, sub = context.socket(zmq.PUB), context.socket(zmq.SUB)
    assert errno_of(pub.recv) == errno_of(pub.recv, zmq.NOBLOCK) == zmq.ENOTSUP
    assert errno_of(sub.send, b"x") == errno_of(sub.send_multipart, [b"x"]) == zmq.ENOTSUP
    for other in (pub, context.socket(zmq.XPUB), context.socket(zmq.XSUB)):
        assert errno_of(other.subscribe, "x") == zmq.EINVAL


@pytest.mark.parametrize(
    "address, number",
    [
        ("foo", zmq.EINVAL),
        ("", zmq.EINVAL),
        ("tcp://", zmq.EINVAL),
        ("tcp://127.0.0.1", zmq.EINVAL),
        ("tcp://127.0.0.1:*", zmq.EINVAL),
        ("ipc://", zmq.EINVAL),
        ("abc://x", zmq.EPROTONOSUPPORT),
        ("ws://127.0.0.1:1", zmq.EPROTONOSUPPORT),
        ("udp://127.0.0.1:1", zmq.ENOCOMPATPROTO),
    ],
)
def test_bad_addresses(context: zmq.Context, address: str, number: int) -> None:
    sub = context.socket(zmq.SUB)
    with pytest.raises(zmq.ZMQError) as raised:
        sub.connect(address)
    assert raised.value.errno == number
    assert f"addr={address!r}" in str(raised.value)


def test_addresses_that_cannot_be_had(context: zmq.Context) -> None:
    pub, other = context.socket(zmq.PUB), context.socket(zmq.PUB)
    pub.bind("tcp://127.0.0.1:*")
    assert errno_of(other.bind, pub.last_endpoint) == zmq.EADDRINUSE
    assert errno_of(other.bind, "tcp://192.0.2.1:5555") == zmq.EADDRNOTAVAIL
    assert errno_of(other.unbind, "tcp://127.0.0.1:1") == 2
    assert errno_of(other.disconnect, "tcp://127.0.0.1:1") == 2
    with pytest.raises(TypeError, match="Expected addr to be str"):
        other.bind(5)
    with pytest.raises(zmq.ZMQBindError):
        port = int(pub.last_endpoint.rpartition(b":")[2])
        other.bind_to_random_port("tcp://127.0.0.1", port, port + 1, max_tries=3)


def test_connecting_twice_is_one_connection(context: zmq.Context) -> None:
    pub, sub = pair(context)
    address = pub.last_endpoint
    sub.connect(address)
    pub.send(b"once")
    assert sub.recv() == b"once"
    assert not sub.poll(50)
    sub.disconnect(address)
    assert errno_of(sub.disconnect, address) == 2


def test_errors_can_be_pickled_and_are_no_oserrors() -> None:
    for error in (zmq.ZMQError(zmq.EINVAL), zmq.Again(), zmq.ContextTerminated()):
        twin = pickle.loads(pickle.dumps(error))
        assert (type(twin), twin.errno, str(twin)) == (type(error), error.errno, str(error))
        assert not isinstance(error, OSError)
    assert repr(zmq.ZMQError(zmq.EINVAL)) == "ZMQError('Invalid argument')"
    assert str(zmq.Again()) == "Resource temporarily unavailable"


def test_a_closed_socket(context: zmq.Context) -> None:
    sub = context.socket(zmq.SUB)
    sub.close()
    sub.close()
    for call in (sub.recv, sub.fileno, sub.get_monitor_socket, lambda: sub.linger, lambda: sub.set(zmq.LINGER, 0)):
        assert errno_of(call) == zmq.ENOTSOCK
    assert errno_of(zmq.select, [sub], [], [], 0) == zmq.ENOTSOCK
    assert sub.closed and sub.type == zmq.SUB and sub.context is context and "closed" in repr(sub)


# ---------------------------------------------------------------------- messages


def test_what_can_be_sent(context: zmq.Context) -> None:
    pub, sub = pair(context)
    for data in (b"a", bytearray(b"a"), memoryview(b"a"), zmq.Frame(b"a")):
        for do_copy in (True, False):
            pub.send(data, copy=do_copy)
            assert sub.recv() == b"a"
    with pytest.raises(TypeError, match="unicode not allowed, use send_string"):
        pub.send("text")
    with pytest.raises(TypeError, match="bytes-like object is required, not 'int'"):
        pub.send(5)
    with pytest.raises(TypeError, match=r"Frame 1 \('x'\) does not support the buffer interface"):
        pub.send_multipart([b"a", "x"])
    with pytest.raises(IndexError):
        pub.send_multipart([])
    with pytest.raises(ValueError, match="not contiguous"):
        pub.send(memoryview(b"abcd")[::2])
    with pytest.raises(TypeError, match="str objects only"):
        pub.send_string(b"x")
    assert not sub.poll(50)


def test_forms_of_messages(context: zmq.Context) -> None:
    pub, sub = pair(context)
    pub.send_json({"a": [1]})
    assert sub.recv_json() == {"a": [1]}
    pub.send_pyobj((1, "x"))
    assert sub.recv_pyobj() == (1, "x")
    pub.send_string("tést", encoding="latin-1")
    assert sub.recv_string(encoding="latin-1") == "tést"
    pub.send_serialized({"b": 1, "a": 2}, lambda message: [key.encode() for key in sorted(message)])
    assert sub.recv_serialized(len) == 2


def test_the_rest_of_a_message(context: zmq.Context) -> None:
    pub, sub = pair(context)
    pub.send(b"a", zmq.SNDMORE)
    pub.send(b"b", zmq.SNDMORE)
    assert not sub.poll(50)
    pub.send(b"c")
    assert sub.recv() == b"a" and sub.rcvmore == 1
    assert sub.poll(0) == zmq.POLLIN and select.select([sub], [], [], 0)[0] == [sub]
    frame = sub.recv(copy=False)
    assert (frame.bytes, frame.more, frame.get(zmq.MORE)) == (b"b", True, 1)
    assert sub.recv_multipart() == [b"c"] and sub.rcvmore == 0
    assert select.select([sub], [], [], 0)[0] == []


def test_frames_and_trackers(context: zmq.Context) -> None:
    pub, sub = pair(context)
    assert pub.send(b"a", track=True) is None
    assert pub.send(b"a", copy=False).done
    assert pub.send(bytes(100_000), copy=False) is None
    assert pub.send(bytes(100_000), copy=False, track=True).done
    with pytest.raises(ValueError, match="Not a tracked message"):
        pub.send(zmq.Frame(b"a"), copy=False, track=True)
    frame = sub.recv(copy=False)
    assert frame.bytes == bytes(frame) == b"a" and frame.bytes is frame.bytes
    assert memoryview(frame).readonly and str(frame) == "<zmq.Frame(b'a')>"
    with pytest.raises(TypeError):
        pickle.dumps(frame)
    assert sub.recv(copy=False, track=True).tracker.done


def test_messages_within_the_mark_arrive_however_large(context: zmq.Context) -> None:
    pub, sub = pair(context)
    for index in range(300):
        pub.send(bytes([index % 251]) * (1 << 20))
    sub.rcvtimeo = MILLISECONDS
    assert [sub.recv(copy=False).buffer[0] for _ in range(300)] == [index % 251 for index in range(300)]


# ---------------------------------------------------------------------- subscriptions


def test_an_xsub_subscribes_by_messages(context: zmq.Context) -> None:
    pub, sub = pair(context, zmq.XPUB, zmq.XSUB)
    sub.send(b"\x01a")
    assert pub.recv() == b"\x01a"
    sub.send(b"\x01a")
    sub.send(b"\x00a")
    sub.send(b"hello")
    assert pub.recv() == b"hello"
    sub.send(b"\x00a")
    assert pub.recv() == b"\x00a"


def test_verbose_and_manual(context: zmq.Context) -> None:
    pub = context.socket(zmq.XPUB)
    pub.xpub_verboser = 1
    pub.bind("tcp://127.0.0.1:*")
    subs = [context.socket(zmq.SUB) for _ in range(2)]
    for sub in subs:
        sub.connect(pub.last_endpoint)
        sub.subscribe(b"a")
        assert pub.recv() == b"\x01a"
    for sub in subs:
        sub.unsubscribe(b"a")
        assert pub.recv() == b"\x00a"

    manual = context.socket(zmq.XPUB)
    manual.setsockopt(zmq.XPUB_MANUAL, 1)
    assert errno_of(manual.setsockopt, zmq.SUBSCRIBE, b"B") == zmq.EINVAL
    manual.bind("tcp://127.0.0.1:*")
    sub = context.socket(zmq.SUB)
    sub.connect(manual.last_endpoint)
    sub.subscribe(b"")
    assert manual.recv() == b"\x01"
    # It asked for everything, and gets what begins with B.
    manual.setsockopt(zmq.SUBSCRIBE, b"B")
    manual.send(b"A")
    manual.send(b"B")
    assert sub.recv() == b"B"


def test_welcome_conflate_and_invert(context: zmq.Context) -> None:
    pub, sub = context.socket(zmq.XPUB), context.socket(zmq.SUB)
    pub.setsockopt(zmq.XPUB_WELCOME_MSG, b"hello")
    pub.bind("tcp://127.0.0.1:*")
    sub.subscribe("")
    sub.setsockopt(zmq.CONFLATE, 1)
    sub.connect(pub.last_endpoint)
    assert sub.recv() == b"hello"
    pub.recv()
    for index in range(100):
        pub.send(b"%d" % index)
    time.sleep(0.3)
    assert sub.recv() == b"99" and not sub.poll(0)

    inverted, other = context.socket(zmq.PUB), context.socket(zmq.SUB)
    for socket in (inverted, other):
        socket.setsockopt(zmq.INVERT_MATCHING, 1)
    inverted.bind("tcp://127.0.0.1:*")
    other.subscribe(b"a")
    other.connect(inverted.last_endpoint)
    settle(inverted, other)
    inverted.send(b"abc")
    inverted.send(b"bcd")
    assert other.recv() == b"bcd"


def test_nodrop_waits_or_raises_again(context: zmq.Context) -> None:
    pub, sub = context.socket(zmq.XPUB), context.socket(zmq.SUB)
    pub.xpub_nodrop = 1
    pub.sndhwm, pub.sndbuf, pub.linger = 1, 4096, 0
    sub.rcvhwm, sub.rcvbuf = 1, 4096
    sub.subscribe(b"")
    pub.bind("tcp://127.0.0.1:*")
    sub.connect(pub.last_endpoint)
    pub.recv()
    with pytest.raises(zmq.Again):
        for _ in range(100):
            pub.send(bytes(1 << 20), zmq.NOBLOCK)
    pub.sndtimeo = 50
    with pytest.raises(zmq.Again):
        for _ in range(100):
            pub.send(bytes(1 << 20))


# ---------------------------------------------------------------------- options


def test_options(context: zmq.Context) -> None:
    sub = context.socket(zmq.SUB)
    assert sub.linger == 0 and context.socket(zmq.PUB).linger == -1
    assert (sub.sndhwm, sub.RCVHWM, sub.rcvtimeo, sub.last_endpoint) == (1000, 1000, -1, b"")
    assert type(sub.getsockopt(zmq.TYPE)) is int and sub.type is zmq.SUB
    for value, error in ((b"x", TypeError), (None, TypeError), (1.5, TypeError), ("x", TypeError), (1 << 40, OverflowError)):
        with pytest.raises(error):
            sub.setsockopt(zmq.RCVHWM, value)
    with pytest.raises(TypeError, match="expected int"):
        sub.setsockopt(zmq.LINGER, b"x")
    with pytest.raises(TypeError):
        sub.setsockopt(zmq.SUBSCRIBE, bytearray(b"x"))
    for option, value in ((zmq.RCVHWM, -1), (zmq.LINGER, -5), (9999, 1), (zmq.ROUTER_MANDATORY, 1), (zmq.XPUB_VERBOSE, 1)):
        assert errno_of(sub.setsockopt, option, value) == zmq.EINVAL
    for option in (zmq.SUBSCRIBE, zmq.XPUB_VERBOSE, zmq.HWM, 9999):
        assert errno_of(sub.getsockopt, option) == zmq.EINVAL
    with pytest.raises(AttributeError, match="no such option: APPLE"):
        sub.apple = 1
    with pytest.raises(AttributeError):
        sub.curve_secretkey  # noqa: B018


def test_options_may_come_before_and_after_a_subscription(context: zmq.Context) -> None:
    sub = context.socket(zmq.SUB)
    sub.subscribe("a")
    sub.get_monitor_socket()
    sub.reconnect_ivl = 10
    sub.connect("tcp://127.0.0.1:9")
    sub.rcvhwm, sub.linger, sub.rcvtimeo = 5, 10, 10
    assert errno_of(sub.setsockopt, zmq.RECONNECT_IVL, 20) == zmq.EINVAL
    sub.setsockopt(zmq.RECONNECT_IVL, 10)
    with pytest.raises(zmq.Again):
        sub.recv()


def test_options_of_a_context(context: zmq.Context) -> None:
    context.linger = 7
    context.setsockopt(zmq.SUBSCRIBE, b"")
    pub = context.socket(zmq.PUB)
    assert pub.linger == 7
    with pytest.raises(AttributeError):
        context.rcvhwm  # noqa: B018
    with pytest.raises(KeyError):
        context.getsockopt(zmq.RCVHWM)
    context.max_sockets = 1
    assert not pub.closed
    with pytest.raises(zmq.ZMQError):
        context.socket(zmq.PUB)


# ---------------------------------------------------------------------- life


def test_a_socket_that_is_closed_while_another_thread_receives(context: zmq.Context) -> None:
    sub = context.socket(zmq.SUB)
    numbers: list[int | None] = []
    thread = threading.Thread(target=lambda: numbers.append(errno_of(sub.recv)))
    thread.start()
    time.sleep(0.1)
    sub.close()
    thread.join(SECONDS)
    assert numbers == [zmq.ENOTSOCK]


@pytest.mark.parametrize("wait", ["recv", "poll", "poller"])
def test_term_ends_every_wait(wait: str) -> None:
    context = zmq.Context()
    sub = context.socket(zmq.SUB)
    poller = zmq.Poller()
    poller.register(sub, zmq.POLLIN)
    waits = {"recv": sub.recv, "poll": sub.poll, "poller": poller.poll}
    numbers: list[int | None] = []

    def run() -> None:
        numbers.append(errno_of(waits[wait]))
        numbers.append(errno_of(sub.setsockopt, zmq.LINGER, 0))
        sub.close()

    thread = threading.Thread(target=run)
    thread.start()
    time.sleep(0.1)
    context.term()
    thread.join(SECONDS)
    assert numbers == [zmq.ETERM, zmq.ETERM]
    assert context.closed and errno_of(context.socket, zmq.SUB) == zmq.ENOTSUP
    context.term()
    context.destroy()


def test_term_waits_for_sockets_and_for_what_is_queued() -> None:
    context, other = zmq.Context(), zmq.Context()
    pub, sub = context.socket(zmq.PUB), other.socket(zmq.SUB)
    port = pub.bind_to_random_port("tcp://127.0.0.1")
    sub.subscribe("")
    sub.connect(f"tcp://127.0.0.1:{port}")
    settle(pub, sub)
    for _ in range(50):
        pub.send(bytes(1 << 20))
    term = threading.Thread(target=context.term)
    term.start()
    term.join(0.1)
    assert term.is_alive() and not context.closed
    pub.close()
    sub.rcvtimeo = MILLISECONDS
    assert sum(len(sub.recv()) for _ in range(50)) == 50 << 20
    term.join(SECONDS)
    assert not term.is_alive()
    other.destroy()


def test_what_is_not_closed_is_warned_of() -> None:
    context = zmq.Context()
    context.socket(zmq.SUB).close()
    with pytest.warns(ResourceWarning, match="Unclosed socket"):
        context.socket(zmq.SUB)
        gc.collect()
    context.term()


def test_shadows(context: zmq.Context) -> None:
    sub = context.socket(zmq.SUB)
    twins = [zmq.Socket.shadow(sub.underlying), zmq.Socket(sub), copy.copy(sub)]
    assert all(twin != sub and twin.underlying == sub.underlying for twin in twins)
    del twins[1:]
    gc.collect()
    assert not sub.closed
    twins[0].close()
    assert sub.closed
    with pytest.raises(TypeError):
        pickle.dumps(sub)
    assert errno_of(zmq.Socket.shadow, 12345) == zmq.ENOTSOCK


def test_a_fork_leaves_its_parents_sockets_alone(context: zmq.Context) -> None:
    pub, sub = pair(context)
    mine = zmq.Context.instance()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            sub.close()
            own = zmq.Context.instance()
            a, b = pair(own)
            a.send(b"child")
            if not sub.closed and own is not mine and b.recv() == b"child":
                code = 0
            own.destroy(linger=0)
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    pub.send(b"parent")
    assert sub.recv() == b"parent"
    mine.term()


EXIT = """
import gc, socket, sys, time
import oncue.zmq as zmq
context = zmq.Context()
pub = context.socket(zmq.PUB)
pub.sndhwm = 0
port = pub.bind_to_random_port("tcp://127.0.0.1")
peer = socket.create_connection(("127.0.0.1", port))
peer.sendall(b"\\xff" + bytes(8) + b"\\x7f\\x03\\x00NULL" + bytes(48))
got = b""
while len(got) < 64:
    got += peer.recv(64 - len(got))
peer.sendall(b"\\x04\\x19\\x05READY\\x0bSocket-Type\\x00\\x00\\x00\\x03SUB\\x00\\x01\\x01")
time.sleep(0.3)
for _ in range(200):
    pub.send(bytes(100_000))
"""


@pytest.mark.parametrize("end", ["", "pub.close()", "del pub", "del pub, context; gc.collect()"])
def test_a_process_ends_whatever_is_queued(end: str) -> None:
    ended = subprocess.run([sys.executable, "-c", EXIT + end], timeout=20, check=False)
    assert ended.returncode == 0


def test_signals(context: zmq.Context) -> None:
    sub = context.socket(zmq.SUB)
    sub.rcvtimeo = 600
    fired = []
    before = signal.signal(signal.SIGALRM, lambda *_: fired.append(1))
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    try:
        with pytest.raises(zmq.Again):
            sub.recv()
        assert fired
        signal.signal(signal.SIGALRM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        sub.rcvtimeo = -1
        for wait in (sub.recv, sub.poll):
            signal.setitimer(signal.ITIMER_REAL, 0.1)
            with pytest.raises(KeyboardInterrupt):
                wait()
    finally:
        signal.signal(signal.SIGALRM, before)


# ---------------------------------------------------------------------- polling and asyncio


def test_the_descriptor_is_readable_until_all_is_received(context: zmq.Context) -> None:
    sub = context.socket(zmq.SUB)
    descriptor = sub.fileno()
    assert descriptor == sub.FD == sub.getsockopt(zmq.FD)
    pub = context.socket(zmq.XPUB)
    sub.subscribe("")
    pub.bind("tcp://127.0.0.1:*")
    sub.connect(pub.last_endpoint)
    pub.recv()
    assert select.select([sub], [], [], 0)[0] == []
    for _ in range(3):
        pub.send(b"x")
    for _ in range(3):
        assert select.select([descriptor], [], [], SECONDS)[0] == [descriptor]
        assert sub.events == zmq.POLLIN
        sub.recv()
    assert select.select([sub], [], [], 0)[0] == [] and sub.events == 0


def test_pollers(context: zmq.Context) -> None:
    pub, sub = pair(context)
    read, write = os.pipe()
    poller = zmq.Poller()
    poller.register(sub, zmq.POLLIN)
    poller.register(pub, zmq.POLLIN | zmq.POLLOUT)
    poller.register(read, zmq.POLLIN)
    assert poller.poll(0) == [(pub, zmq.POLLOUT)]
    poller.modify(pub, zmq.POLLIN)
    assert poller.poll(10) == []
    os.write(write, b"x")
    assert poller.poll() == [(read, zmq.POLLIN)]
    os.read(read, 1)
    threading.Timer(0.1, pub.send, [b"x"]).start()
    assert poller.poll(MILLISECONDS) == [(sub, zmq.POLLIN)]
    assert zmq.select([sub, read], [pub, write], [], 1) == ([sub], [pub, write], [])
    with pytest.raises(KeyError):
        poller.unregister(write)
    os.close(write)
    os.close(read)


def test_a_loop_watches_the_descriptor(context: zmq.Context) -> None:
    pub, sub = pair(context)

    async def run() -> bytes:
        loop, future = asyncio.get_running_loop(), asyncio.get_running_loop().create_future()
        loop.add_reader(sub, lambda: future.done() or future.set_result(sub.recv(zmq.NOBLOCK)))
        loop.call_later(0.05, pub.send, b"x")
        got = await asyncio.wait_for(future, SECONDS)
        loop.remove_reader(sub)
        return bytes(got)

    assert asyncio.run(run()) == b"x"


def test_asyncio() -> None:
    async def run() -> None:
        with zmq.asyncio.Context() as context:
            with context.socket(zmq.XPUB) as pub, context.socket(zmq.SUB) as sub:
                pub.bind("tcp://127.0.0.1:*")
                sub.subscribe("")
                sub.connect(pub.last_endpoint)
                assert isinstance(sub, zmq.Socket) and "zmq.asyncio.Socket" in repr(sub)
                assert await asyncio.wait_for(pub.recv(), SECONDS) == b"\x01"
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(sub.recv(), 0.05)
                first, second = sub.recv(), sub.recv_multipart()
                await pub.send(b"1")
                await pub.send_multipart([b"2", b"3"])
                assert await first == b"1" and await second == [b"2", b"3"]
                await pub.send(b"4")
                assert await sub.poll(MILLISECONDS) == zmq.POLLIN
                ready = sub.recv()
                assert isinstance(ready, asyncio.Future) and ready.done() and await ready == b"4"
                with pytest.raises(zmq.Again):
                    await sub.recv(zmq.NOBLOCK)
                with pytest.raises(TypeError):
                    await pub.send("text")
                with pytest.raises(zmq.ZMQError):
                    await context.socket(zmq.PUB).recv()
                waiting = sub.recv()
                sub.close()
                assert waiting.cancelled()
                assert errno_of(sub.recv) == zmq.ENOTSOCK

    asyncio.run(run())


def test_asyncio_ends_with_the_context() -> None:
    async def run() -> int | None:
        context = zmq.asyncio.Context()
        sub = context.socket(zmq.SUB)
        waiting = sub.recv()
        term = threading.Thread(target=context.term)
        term.start()
        with pytest.raises(zmq.ContextTerminated) as raised:
            await asyncio.wait_for(waiting, SECONDS)
        sub.close()
        term.join(SECONDS)
        return raised.value.errno

    assert asyncio.run(run()) == zmq.ETERM


LEFT = """
import asyncio
import oncue.zmq as zmq
import oncue.zmq.asyncio
sub = zmq.asyncio.Context.instance().socket(zmq.SUB)
sub.bind_to_random_port("tcp://127.0.0.1")
async def receive():
    await sub.recv()
try:
    asyncio.run(asyncio.wait_for(receive(), 0.2))
except asyncio.TimeoutError:
    pass
"""


def test_a_process_ends_with_a_socket_of_a_loop_that_is_gone() -> None:
    ended = subprocess.run([sys.executable, "-c", LEFT], capture_output=True, timeout=20, check=False)
    assert (ended.returncode, ended.stderr) == (0, b"")


# ---------------------------------------------------------------------- monitors, proxies, rules by address


def test_monitors(context: zmq.Context) -> None:
    pub, sub = context.socket(zmq.PUB), context.socket(zmq.SUB)
    watched, other = pub.get_monitor_socket(), sub.get_monitor_socket(zmq.EVENT_CONNECTED)
    pub.bind("tcp://127.0.0.1:*")
    sub.connect(pub.last_endpoint)

    def next_event(socket: Any) -> dict[str, Any]:
        assert socket.poll(MILLISECONDS) == zmq.POLLIN
        return dict(recv_monitor_message(socket))

    for wanted in (zmq.EVENT_LISTENING, zmq.EVENT_ACCEPTED, zmq.EVENT_HANDSHAKE_SUCCEEDED):
        assert next_event(watched)["event"] == wanted
    assert next_event(other) == {"event": zmq.EVENT_CONNECTED, "value": 0, "endpoint": pub.last_endpoint}
    sub.close()
    assert next_event(watched)["event"] == zmq.EVENT_DISCONNECTED
    assert next_event(other)["event"] == zmq.EVENT_MONITOR_STOPPED
    assert watched.type == zmq.PAIR
    pub.disable_monitor()
    assert next_event(watched)["event"] == zmq.EVENT_MONITOR_STOPPED


@pytest.mark.parametrize("swapped", [False, True])
def test_proxies(swapped: bool) -> None:
    inner, outer = zmq.Context(), zmq.Context()
    front, back, capture = inner.socket(zmq.XSUB), inner.socket(zmq.XPUB), inner.socket(zmq.PUB)
    for socket in (front, back, capture):
        socket.bind("tcp://127.0.0.1:*")
    ended: list[int | None] = []

    def run() -> None:
        ended.append(errno_of(zmq.proxy, *((back, front) if swapped else (front, back)), capture))
        for socket in (front, back, capture):
            socket.close()

    endpoints = [socket.last_endpoint for socket in (front, back, capture)]
    thread = threading.Thread(target=run)
    thread.start()
    pub, sub, watch = outer.socket(zmq.PUB), outer.socket(zmq.SUB), outer.socket(zmq.SUB)
    for socket, endpoint in zip((pub, sub, watch), endpoints):
        socket.connect(endpoint)
    sub.subscribe("a")
    watch.subscribe("")
    settled = time.monotonic() + SECONDS
    while not (sub.poll(10) and watch.poll(10)) and time.monotonic() < settled:
        pub.send_multipart([b"a", b"1"])
    assert sub.recv_multipart() == watch.recv_multipart() == [b"a", b"1"]
    outer.destroy(linger=0)
    inner.term()
    thread.join(SECONDS)
    assert ended == [zmq.ETERM]


def test_a_proxy_of_the_wrong_types(context: zmq.Context) -> None:
    subs = [context.socket(zmq.SUB) for _ in range(2)]
    assert errno_of(zmq.proxy, *subs) == zmq.EINVAL
    with pytest.raises(TypeError, match="backend"):
        zmq.proxy(subs[0], None)


@pytest.mark.parametrize("rule, arrives", [("allow", True), ("deny", False)])
def test_rules_by_address(context: zmq.Context, rule: str, arrives: bool) -> None:
    import oncue.zmq.auth.thread

    auth = zmq.auth.thread.ThreadAuthenticator(context)
    auth.start()
    getattr(auth, rule)("127.0.0.1")
    pub, sub = context.socket(zmq.PUB), context.socket(zmq.SUB)
    pub.zap_domain = b"global"
    pub.bind("tcp://127.0.0.1:*")
    sub.subscribe("")
    sub.connect(pub.last_endpoint)
    deadline = time.monotonic() + (SECONDS if arrives else 0.5)
    while not sub.poll(20) and time.monotonic() < deadline:
        pub.send(b"x")
    assert bool(sub.poll(0)) is arrives
    auth.stop()
    other = context.socket(zmq.SUB)
    other.zap_domain = b"global"
    with pytest.raises(zmq.ZMQError, match="needs PLAIN or CURVE"):
        other.connect(pub.last_endpoint)
