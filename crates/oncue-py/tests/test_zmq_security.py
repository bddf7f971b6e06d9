"""``oncue.zmq``: the options of PLAIN and CURVE, and the authenticators of ``zmq.auth``."""

from __future__ import annotations

import asyncio
import pathlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import LIMIT, until

import oncue.zmq as zmq
import oncue.zmq.auth
import oncue.zmq.auth.asyncio
import oncue.zmq.auth.thread
from oncue.zmq.utils import z85
from oncue.zmq.utils.monitor import recv_monitor_message


@pytest.fixture
def context() -> Iterator[zmq.Context]:
    made = zmq.Context()
    yield made
    made.destroy(linger=0)


def errno_of(call: Any, *arguments: Any) -> int | None:
    try:
        call(*arguments)
    except zmq.ZMQError as error:
        return error.errno
    return None


def curve_server(socket: zmq.Socket) -> bytes:
    public, socket.curve_secretkey = zmq.curve_keypair()
    socket.curve_server = True
    return public


def curve_client(socket: zmq.Socket, server: bytes) -> bytes:
    public, secret = zmq.curve_keypair()
    socket.curve_publickey, socket.curve_secretkey, socket.curve_serverkey = public, secret, server
    return public


def subscribe(sub: zmq.Socket) -> None:
    if sub.type == zmq.XSUB:
        sub.send(b"\x01")
    else:
        sub.subscribe("")


def arrives(pub: zmq.Socket, sub: zmq.Socket, seconds: float = LIMIT) -> bool:
    if not pub.last_endpoint:
        pub.bind("tcp://127.0.0.1:*")
    subscribe(sub)
    sub.connect(pub.last_endpoint)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pub.send(b"x")
        if sub.poll(10):
            return True
    return False


def is_refused(pub: zmq.Socket, sub: zmq.Socket) -> bool:
    """Whether a publisher refuses a subscriber."""
    pub.bind("tcp://127.0.0.1:*")
    subscribe(sub)
    sub.connect(pub.last_endpoint)
    return bool(until(lambda: pub._handle.made().refused()))


def test_the_last_option_decides(context: zmq.Context) -> None:
    socket = context.socket(zmq.PUB)
    public, secret = zmq.curve_keypair()
    assert (socket.mechanism, socket.plain_server, socket.curve_server) == (zmq.NULL, 0, 0)
    for option, value, mechanism, plain, curve in (
        (zmq.PLAIN_SERVER, 1, zmq.PLAIN, 1, 0),
        (zmq.CURVE_SECRETKEY, secret, zmq.CURVE, 0, 1),
        (zmq.PLAIN_USERNAME, b"ann", zmq.PLAIN, 0, 0),
        (zmq.CURVE_SERVER, 1, zmq.CURVE, 0, 1),
        (zmq.CURVE_SERVERKEY, public, zmq.CURVE, 0, 0),
        (zmq.PLAIN_PASSWORD, b"b", zmq.PLAIN, 0, 0),
        (zmq.CURVE_PUBLICKEY, public, zmq.CURVE, 0, 0),
        (zmq.CURVE_SERVER, 0, zmq.NULL, 0, 0),
    ):
        socket.setsockopt(option, value)
        assert (socket.mechanism, socket.plain_server, socket.curve_server) == (mechanism, plain, curve)
    assert (socket.plain_username, socket.plain_password) == (b"ann", b"b")


def test_lengths_are_checked(context: zmq.Context) -> None:
    socket = context.socket(zmq.SUB)
    public = zmq.curve_keypair()[0]
    for value in (public, public + b"\0", z85.decode(public)):
        socket.curve_serverkey = value
    for wrong in (b"", public[:39], public + b"\n", public + b"\0\0", b"~" * 40, b"x" * 33):
        assert errno_of(socket.setsockopt, zmq.CURVE_SERVERKEY, wrong) == zmq.EINVAL
    for option in (zmq.PLAIN_USERNAME, zmq.PLAIN_PASSWORD, zmq.ZAP_DOMAIN):
        socket.setsockopt(option, b"x" * 255)
        assert errno_of(socket.setsockopt, option, b"x" * 256) == errno_of(socket.setsockopt, option, b"") == zmq.EINVAL
    for option in (zmq.CURVE_SERVERKEY, zmq.CURVE_PUBLICKEY, zmq.CURVE_SECRETKEY):
        assert errno_of(socket.getsockopt, option) == zmq.EINVAL
    assert errno_of(socket.setsockopt, zmq.MECHANISM, 1) == errno_of(socket.setsockopt, zmq.CURVE_SERVER, 2) == zmq.EINVAL


def test_what_is_missing_is_told_before_anything_is_opened(context: zmq.Context) -> None:
    server, client = context.socket(zmq.PUB), context.socket(zmq.SUB)
    server.curve_server = True
    with pytest.raises(zmq.ZMQError, match="CURVE_SECRETKEY"):
        server.bind("tcp://127.0.0.1:*")
    client.curve_publickey, client.curve_secretkey = zmq.curve_keypair()
    with pytest.raises(zmq.ZMQError, match="CURVE_SERVERKEY"):
        client.connect("tcp://127.0.0.1:9")
    client.curve_publickey = client.curve_serverkey = zmq.curve_keypair()[0]
    with pytest.raises(zmq.ZMQError, match="not that of the secret key"):
        client.connect("tcp://127.0.0.1:9")


def test_a_mechanism_cannot_be_changed_later(context: zmq.Context) -> None:
    pub = context.socket(zmq.PUB)
    curve_server(pub)
    pub.plain_server = True
    pub.bind("tcp://127.0.0.1:*")
    # Set before, and then another option has decided.
    assert errno_of(pub.setsockopt, zmq.CURVE_SERVER, 1) == zmq.EINVAL
    assert errno_of(pub.setsockopt, zmq.PLAIN_SERVER, 0) == zmq.EINVAL
    assert pub.mechanism == zmq.PLAIN


def test_keys(context: zmq.Context) -> None:
    public, secret = zmq.curve_keypair()
    assert zmq.has("curve") and zmq.curve_public(secret) == zmq.curve_public(secret.decode()) == public
    with pytest.raises(ValueError):
        zmq.curve_public(b"~" * 40)
    real = pytest.importorskip("zmq")
    assert real.curve_public(secret) == public


def test_without_an_authenticator_curve_lets_in_all_and_plain_nobody(context: zmq.Context) -> None:
    pub, sub = context.socket(zmq.PUB), context.socket(zmq.SUB)
    curve_client(sub, curve_server(pub))
    assert arrives(pub, sub)
    pub, sub = context.socket(zmq.PUB), context.socket(zmq.SUB)
    pub.plain_server, sub.plain_username = True, b"ann"
    assert is_refused(pub, sub)
    pub, sub = context.socket(zmq.PUB), context.socket(zmq.SUB)
    curve_client(sub, curve_server(pub))
    pub.zap_domain, pub.zap_enforce_domain = b"global", 1
    assert is_refused(pub, sub)


@pytest.mark.parametrize("kind", [zmq.auth.thread.ThreadAuthenticator, zmq.auth.asyncio.AsyncioAuthenticator])
@pytest.mark.parametrize("domain, password, served", [("*", b"b", True), ("*", b"c", False), ("other", b"b", False)])
def test_passwords(context: zmq.Context, kind: Any, domain: str, password: bytes, served: bool) -> None:
    auth = kind(context)
    auth.start()
    auth.configure_plain(domain, {"ann": "b"})
    # Only an empty domain is that of "*", as in pyzmq.
    pub, sub = context.socket(zmq.XPUB), context.socket(zmq.XSUB)
    pub.plain_server, sub.plain_username, sub.plain_password = True, b"ann", password
    assert arrives(pub, sub) if served else is_refused(pub, sub)
    if served:
        assert pub._handle.made().peers()[0].peer.user.id == "ann"
    auth.stop()


def test_keys_of_a_folder_and_a_name_of_ones_own(context: zmq.Context, tmp_path: pathlib.Path) -> None:
    class Named(zmq.auth.thread.ThreadAuthenticator):
        def curve_user_id(self, client_public_key: bytes) -> str:
            return f"user {z85.encode(client_public_key).decode()}"

    _, secret = zmq.auth.create_certificates(tmp_path, "ann")
    auth = Named(context)
    auth.start()
    auth.configure_curve(location=tmp_path)
    pub, sub, eve = context.socket(zmq.PUB), context.socket(zmq.SUB), context.socket(zmq.SUB)
    server = curve_server(pub)
    sub.curve_publickey, sub.curve_secretkey = zmq.auth.load_certificate(secret)
    sub.curve_serverkey = server
    assert arrives(pub, sub)
    public = zmq.auth.load_certificate(secret)[0].decode()
    assert pub._handle.made().peers()[0].peer.user.id == f"user {public}"
    curve_client(eve, server)
    eve.connect(pub.last_endpoint)
    until(lambda: pub._handle.made().refused())
    auth.configure_curve(location=zmq.auth.CURVE_ALLOW_ANY)
    assert arrives(pub, eve)
    auth.stop()


@pytest.mark.parametrize("is_async", [True, False])
def test_a_provider_is_asked_on_the_authenticators_thread(context: zmq.Context, is_async: bool) -> None:
    asked: list[tuple[str, bytes, str]] = []

    class Provider:
        def callback(self, domain: str, key: bytes) -> Any:
            asked.append((domain, key, threading.current_thread().name))
            return self.later() if is_async else True

        async def later(self) -> bool:
            await asyncio.sleep(0.01)
            return True

    auth = zmq.auth.thread.ThreadAuthenticator(context)
    auth.start()
    auth.configure_curve_callback("global", Provider())
    pub, sub = context.socket(zmq.PUB), context.socket(zmq.SUB)
    pub.zap_domain = b"global"
    public = curve_client(sub, curve_server(pub))
    assert arrives(pub, sub)
    assert asked[0] == ("global", public, "oncue.zmq.auth")
    assert auth.is_alive()
    auth.stop()
    assert not auth.is_alive()


def test_a_provider_of_asyncio_is_asked_on_the_loop(context: zmq.Context) -> None:
    async def main() -> None:
        loop, asked = asyncio.get_running_loop(), asyncio.Event()

        class Provider:
            async def callback(self, domain: str, key: bytes) -> bool:
                assert asyncio.get_running_loop() is loop
                asked.set()
                return True

        auth = zmq.auth.asyncio.AsyncioAuthenticator(context)
        auth.start()
        auth.configure_curve_callback(credentials_provider=Provider())
        pub, sub = context.socket(zmq.PUB), context.socket(zmq.SUB)
        curve_client(sub, curve_server(pub))
        assert await asyncio.to_thread(arrives, pub, sub)
        assert asked.is_set()
        auth.stop()

    asyncio.run(asyncio.wait_for(main(), LIMIT))


def test_monitors_tell_of_a_refusal_on_both_sides(context: zmq.Context) -> None:
    pub, sub = context.socket(zmq.PUB), context.socket(zmq.SUB)
    pub.plain_server, sub.plain_username = True, b"ann"
    monitors = [socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_FAILED_AUTH) for socket in (pub, sub)]
    assert is_refused(pub, sub)
    for monitor in monitors:
        assert monitor.poll(LIMIT * 1000)
        told = recv_monitor_message(monitor)
        assert (told["event"], told["value"]) == (zmq.EVENT_HANDSHAKE_FAILED_AUTH, 400)


def test_a_context_has_one_authenticator(context: zmq.Context) -> None:
    first, second = (zmq.auth.thread.ThreadAuthenticator(context) for _ in range(2))
    first.start()
    assert errno_of(second.start) == zmq.EADDRINUSE
    second.stop()
    assert first.is_alive()
    first.stop()
    second.start()
    second.stop()


def test_curve_with_pyzmq_on_either_side(context: zmq.Context) -> None:
    real = pytest.importorskip("zmq")
    with real.Context() as other, other.socket(real.SUB) as sub, other.socket(real.PUB) as pub:
        mine = context.socket(zmq.PUB)
        curve_client(sub, curve_server(mine))
        sub.linger = pub.linger = 0
        assert arrives(mine, sub)
        mine = context.socket(zmq.SUB)
        curve_client(mine, curve_server(pub))
        assert arrives(pub, mine)
