"""oncue.zmq and pyzmq in one program: on the wire, and in each other's pollers."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import oncue.zmq as zmq
import oncue.zmq.asyncio

real: Any = pytest.importorskip("zmq")

MILLISECONDS = 5000


@pytest.fixture
def contexts() -> Iterator[tuple[Any, Any]]:
    ours, theirs = zmq.Context(), real.Context()
    yield ours, theirs
    ours.destroy(linger=0)
    theirs.destroy(linger=0)


@pytest.mark.parametrize("publisher", ["ours", "theirs"])
@pytest.mark.parametrize("kind", ["SUB", "XSUB"])
@pytest.mark.parametrize("binds", [True, False])
def test_they_talk(contexts: tuple[Any, Any], publisher: str, kind: str, binds: bool) -> None:
    pub_context, sub_context = contexts if publisher == "ours" else contexts[::-1]
    pub, sub = pub_context.socket(zmq.XPUB), sub_context.socket(getattr(zmq, kind))
    bound, other = (pub, sub) if binds else (sub, pub)
    other.connect(f"tcp://127.0.0.1:{bound.bind_to_random_port('tcp://127.0.0.1')}")
    if kind == "SUB":
        sub.subscribe("a")
    else:
        assert pub.poll(300) == 0
        sub.send(b"\x01a")
    # libzmq's subscriber sends its subscriptions only inside a call of its user.
    assert not sub.poll(100)
    assert pub.poll(MILLISECONDS) and pub.recv() == b"\x01a"
    pub.send_multipart([b"ab", b"", b"c" * 100_000])
    assert sub.poll(MILLISECONDS) and sub.recv_multipart() == [b"ab", b"", b"c" * 100_000]
    sub.close()
    if binds or publisher == "ours":
        # libzmq's XPUB that has connected keeps the subscriptions of a peer that is gone.
        assert pub.poll(MILLISECONDS) and pub.recv() == b"\x00a"


def mixed(contexts: tuple[Any, Any]) -> tuple[Any, Any, Any, Any]:
    """A publisher and a subscriber of ours, and a pair of theirs."""
    ours, theirs = contexts
    pub, sub = ours.socket(zmq.XPUB), ours.socket(zmq.SUB)
    sub.subscribe("")
    sub.connect(f"tcp://127.0.0.1:{pub.bind_to_random_port('tcp://127.0.0.1')}")
    assert pub.recv() == b"\x01"
    push, pull = theirs.socket(real.PUSH), theirs.socket(real.PULL)
    pull.connect(f"tcp://127.0.0.1:{push.bind_to_random_port('tcp://127.0.0.1')}")
    return pub, sub, push, pull


def test_our_sockets_in_their_poller(contexts: tuple[Any, Any]) -> None:
    pub, sub, push, pull = mixed(contexts)
    poller = real.Poller()
    poller.register(sub, real.POLLIN)
    poller.register(pull, real.POLLIN)
    assert poller.poll(50) == []
    pub.send_multipart([b"a", b"b"])
    # They tell of what is not a socket of theirs by its descriptor.
    for _ in range(2):
        assert poller.poll(MILLISECONDS) == [(sub.fileno(), real.POLLIN)]
        sub.recv()
    assert poller.poll(50) == []
    push.send(b"x")
    assert poller.poll(MILLISECONDS) == [(pull, real.POLLIN)]


def test_their_sockets_in_our_poller(contexts: tuple[Any, Any]) -> None:
    pub, sub, push, pull = mixed(contexts)
    poller = zmq.Poller()
    poller.register(sub, zmq.POLLIN)
    poller.register(pull, zmq.POLLIN)
    assert poller.poll(50) == []
    # Their descriptor is edge-triggered: each of the messages must be told.
    for _ in range(3):
        push.send(b"x")
    for _ in range(3):
        assert poller.poll(MILLISECONDS) == [(pull, zmq.POLLIN)]
        pull.recv()
    assert poller.poll(50) == []
    threading.Timer(0.1, push.send, [b"x"]).start()
    assert poller.poll(MILLISECONDS) == [(pull, zmq.POLLIN)]
    pub.send(b"x")
    sub.poll(MILLISECONDS)
    assert dict(poller.poll(MILLISECONDS)) == {sub: zmq.POLLIN, pull: zmq.POLLIN}
    poller.register(push, zmq.POLLOUT)
    assert (push, zmq.POLLOUT) in poller.poll(MILLISECONDS)


def test_one_loop_for_both() -> None:
    import zmq.asyncio

    async def run() -> None:
        with oncue.zmq.asyncio.Context() as ours, zmq.asyncio.Context() as theirs:
            with ours.socket(real.XPUB) as pub, theirs.socket(real.SUB) as sub:
                sub.subscribe("")
                sub.connect(f"tcp://127.0.0.1:{pub.bind_to_random_port('tcp://127.0.0.1')}")
                assert await asyncio.wait_for(pub.recv(), 5) == b"\x01"
                receiving = sub.recv()
                await pub.send(b"x")
                assert await asyncio.wait_for(receiving, 5) == b"x"

    asyncio.run(run())
