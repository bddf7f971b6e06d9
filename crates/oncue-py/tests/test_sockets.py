"""The four sockets, among themselves and with libzmq's."""

import gc
import os
import select
import signal
import socket
import threading
import time

import pytest
import zmq

import oncue
from conftest import LIMIT, until


@pytest.fixture
def context():
    with zmq.Context() as context:
        context.linger = 0
        yield context


def zmq_socket(context, kind):
    made = context.socket(kind)
    made.rcvtimeo = int(LIMIT * 1000)
    return made


# What is sent and received.


def test_a_message_arrives_as_a_tuple_of_its_frames(pair):
    pub, sub = pair
    pub.send("topic", b"payload", bytearray(b"third"))
    assert sub.recv(LIMIT) == (b"topic", b"payload", b"third")


def test_a_message_of_many_frames_arrives_whole(pair):
    pub, sub = pair
    frames = tuple(str(n).encode() for n in range(100))
    pub.send(*frames)
    assert sub.recv(LIMIT) == frames


def test_a_message_without_frames_is_refused(pair):
    with pytest.raises(TypeError, match="at least one frame"):
        pair[0].send()


def test_a_frame_of_another_type_is_refused_by_its_name(pair):
    with pytest.raises(TypeError, match="not int"):
        pair[0].send("topic", 5)
    with pytest.raises(TypeError, match="not dict"):
        pair[0].send("topic", {})


def test_text_that_is_no_utf_8_is_refused(pair):
    with pytest.raises(UnicodeEncodeError):
        pair[0].send("\ud800")


def test_empty_frames_arrive_empty(pair):
    pub, sub = pair
    pub.send("", b"")
    assert sub.recv(LIMIT) == (b"", b"")


def test_many_messages_are_sent_at_once_and_received_in_their_order(pair):
    pub, sub = pair
    pub.send_many([b"a", ("b", "1"), ["c", "2", "3"]])
    pub.send_many((f"t{n}", b"x") for n in range(500))
    got = []
    while len(got) < 503:
        got += sub.recv_many(LIMIT)
    assert got[:3] == [(b"a",), (b"b", b"1"), (b"c", b"2", b"3")]
    assert got[3:] == [(f"t{n}".encode(), b"x") for n in range(500)]


def test_a_bad_message_among_many_raises_and_sends_none_of_them(pair):
    pub, sub = pair
    with pytest.raises(TypeError):
        pub.send_many([("bad", "1"), ("bad", 5)])
    with pytest.raises(ValueError, match="at least one frame"):
        pub.send_many([()])
    pub.send("good")
    assert sub.recv(LIMIT) == (b"good",)


def test_an_iterator_that_raises_while_many_are_sent_passes_its_exception_on(pair):
    def broken():
        yield b"a"
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        pair[0].send_many(broken())


def test_received_many_are_bounded_when_the_socket_is_polled(pair):
    pub, sub = pair
    sub.fileno()
    pub.send_many([b"x"] * 900)
    pub.send_many([b"x"] * 900)
    sizes = []
    while sum(sizes) < 1800:
        sizes.append(len(sub.recv_many(LIMIT)))
    assert max(sizes) <= 1024


def test_frames_come_without_a_copy_as_memoryviews_that_cannot_be_written(pair):
    pub, sub = pair
    pub.send("topic", b"payload")
    topic, payload = sub.recv(LIMIT, copy=False)
    assert isinstance(payload, memoryview) and payload.readonly and payload == b"payload"
    with pytest.raises(TypeError):
        payload[0] = 1


def test_memoryviews_outlive_the_message_the_socket_and_its_close(pair):
    pub, sub = pair
    pub.send_many([("t", bytes([n]) * 50_000) for n in range(5)])
    views = [sub.recv(LIMIT, copy=False)[1] for _ in range(5)]
    sub.close()
    pub.close()
    gc.collect()
    assert [bytes(view[:2]) for view in views] == [bytes([n, n]) for n in range(5)]


def test_the_object_behind_a_memoryview_cannot_be_made_by_hand(pair):
    pub, sub = pair
    pub.send("topic")
    frame = sub.recv(LIMIT, copy=False)[0].obj
    with pytest.raises(TypeError):
        type(frame)()
    with pytest.raises(TypeError):
        object.__new__(type(frame))


def test_recv_waits_for_its_timeout_and_then_raises(pair):
    _, sub = pair
    start = time.monotonic()
    with pytest.raises(oncue.TimeoutError):
        sub.recv(0.1)
    assert 0.09 < time.monotonic() - start < 5
    with pytest.raises(TimeoutError):
        sub.recv_many(timeout=0)
    assert sub.try_recv() is None


@pytest.mark.parametrize("timeout", [-1, float("nan")])
def test_a_time_that_is_none_is_refused(pair, timeout):
    for call in (pair[1].recv, pair[1].recv_many, pair[1].poll, pair[1].state, pair[1].missed):
        with pytest.raises(ValueError, match="timeout"):
            call(timeout=timeout)
    with pytest.raises(TypeError):
        pair[1].recv("soon")


def test_an_infinite_timeout_waits_until_the_socket_is_closed(pair):
    _, sub = pair
    timer = threading.Timer(0.1, sub.close)
    timer.start()
    with pytest.raises(oncue.ClosedError):
        sub.recv(float("inf"))
    timer.join()


@pytest.mark.parametrize("armed", [False, True])
@pytest.mark.parametrize("how", ["recv", "recv_many", "iter", "poll", "state", "missed"])
def test_close_in_another_thread_ends_what_waits(pair, how, armed):
    _, sub = pair
    if armed:
        sub.fileno()
    outcome = []
    calls = {"iter": lambda: list(sub), "poll": lambda: sub.poll(LIMIT)}

    def wait():
        try:
            outcome.append(calls.get(how, getattr(sub, how, None))())
        except oncue.ClosedError:
            outcome.append("closed")

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.02)
    sub.close()
    thread.join(LIMIT)
    assert outcome == [{"iter": [], "poll": True}.get(how, "closed")]


def test_a_socket_is_an_iterator_until_it_is_closed(pair):
    pub, sub = pair
    pub.send_many([("t", str(n)) for n in range(10)])
    got = []
    for message in sub:
        got.append(message[1])
        if len(got) == 10:
            sub.close()
    assert got == [str(n).encode() for n in range(10)]


def test_another_thread_runs_while_one_waits(pair):
    pub, sub = pair
    got = []
    thread = threading.Thread(target=lambda: got.append(sub.recv(LIMIT)))
    thread.start()
    pub.send("x")
    thread.join(LIMIT)
    assert got == [(b"x",)]


def test_several_threads_receive_from_one_socket_and_no_message_twice(pair):
    pub, sub = pair
    sub.fileno()
    got, lock = [], threading.Lock()

    def receive():
        for message in sub:
            with lock:
                got.append(int(message[0]))

    threads = [threading.Thread(target=receive) for _ in range(4)]
    for thread in threads:
        thread.start()
    for n in range(0, 1000, 100):
        pub.send_many([str(m) for m in range(n, n + 100)])
    until(lambda: len(got) >= 1000)
    sub.close()
    for thread in threads:
        thread.join(LIMIT)
    assert sorted(got) == list(range(1000))


def test_a_signal_is_handled_while_a_socket_waits(pair):
    _, sub = pair

    class Rang(Exception):
        pass

    def ring(number, frame):
        raise Rang

    before = signal.signal(signal.SIGALRM, ring)
    try:
        for arm in (False, True):
            if arm:
                sub.fileno()
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            with pytest.raises(Rang):
                sub.recv(LIMIT)
    finally:
        signal.signal(signal.SIGALRM, before)


def test_the_descriptor_is_readable_while_there_is_a_message_and_after_the_close(pair):
    pub, sub = pair
    fd = sub.fileno()
    assert sub.fileno() == fd
    assert select.select([sub], [], [], 0)[0] == []
    pub.send("a")
    pub.send("b")
    assert select.select([sub], [], [], LIMIT)[0] == [sub]
    sub.recv(LIMIT)
    assert select.select([sub], [], [], LIMIT)[0] == [sub]
    sub.recv(LIMIT)
    assert select.select([sub], [], [], 0)[0] == []
    sub.close()
    assert select.select([fd], [], [], LIMIT)[0] == [fd]


def test_poll_tells_of_a_message_and_takes_none(pair):
    pub, sub = pair
    assert sub.poll(0) is False
    pub.send("x")
    assert sub.poll(LIMIT) is True
    assert sub.recv(0) == (b"x",)


# Their lives.


def test_with_closes_a_socket(sub):
    with oncue.Pub() as pub:
        pub.bind("tcp://127.0.0.1:0")
        assert not pub.closed
    assert pub.closed
    with pytest.raises(oncue.ClosedError):
        pub.send("x")


def test_close_can_be_called_again_and_frees_the_endpoint():
    pub = oncue.Pub()
    endpoint = pub.bind("tcp://127.0.0.1:0")
    assert pub.close() == 0
    assert pub.close() == 0
    with oncue.Pub() as after:
        assert after.bind(endpoint) == endpoint


def test_a_socket_that_is_dropped_frees_its_endpoint():
    pub = oncue.Pub()
    endpoint = pub.bind("tcp://127.0.0.1:0")
    del pub
    with oncue.Pub() as after:
        assert after.bind(endpoint) == endpoint


def test_close_tells_how_many_messages_were_not_delivered(pair):
    pub, _ = pair
    for _ in range(100):
        pub.send("x", bytes(1_000_000))
    assert pub.close(0) >= 0
    assert pub.closed


def test_an_engine_of_ones_own_closes_its_sockets():
    engine = oncue.Engine(io_threads=2)
    pub = oncue.Pub(engine=engine)
    pub.bind("tcp://127.0.0.1:0")
    assert engine.close(LIMIT) == 0
    with pytest.raises(oncue.ClosedError):
        pub.bind("tcp://127.0.0.1:0")
    with pytest.raises(oncue.ClosedError):
        oncue.Pub(engine=engine)


def test_a_subclass_has_arguments_and_attributes_of_its_own():
    class Named(oncue.Sub):
        def __new__(cls, name, **options):
            return super().__new__(cls, **options)

        def __init__(self, name, **options):
            self.name = name

        def recv(self, *args, **kwargs):
            return self.name, *super().recv(*args, **kwargs)

    with oncue.Pub() as pub, Named("mine", recv_hwm=5) as sub:
        sub.connect(pub.bind("tcp://127.0.0.1:0"))
        sub.subscribe_wait("", timeout=LIMIT)
        pub.send("x")
        assert sub.recv(LIMIT) == ("mine", b"x")


# What is wrong with a call.


def test_an_unknown_option_is_refused_by_its_name():
    with pytest.raises(TypeError, match='"sndhwm"'):
        oncue.Pub(sndhwm=5)


@pytest.mark.parametrize(
    "options",
    [
        {"send_hwm": -1},
        {"send_hwm": 2**40},
        {"linger": -1},
        {"linger": float("nan")},
        {"keep": "some"},
        {"on_full": 3},
        {"reconnect": 5},
        {"reconnect": (1, "x")},
        {"heartbeat": (1,)},
        {"verbose": True},
        {"metadata": [1]},
        {"socks_proxy": 5},
        {"welcome": 5},
        {"reconnect_stop": "sometimes"},
    ],
)
def test_a_bad_option_is_the_callers_fault(options):
    with pytest.raises((TypeError, ValueError, OverflowError)):
        oncue.XPub(**options)


def test_each_option_is_taken(tmp_path):
    sub = oncue.Sub(
        recv_hwm=10,
        keep="latest",
        reconnect=(0.1, None),
        reconnect_stop=["connection_refused", "handshake_failed"],
        heartbeat=None,
        linger=None,
        connect_timeout=3,
        metadata={"X-Name": b"me"},
        ip_versions="4",
        tcp_keepalive=True,
    )
    sub.close()
    pub = oncue.XPub(on_full="drop_oldest", welcome=("w", "1"), heartbeat=(1, 5), evict_after=60, verbose="all")
    pub.close()


def test_a_bad_endpoint_is_the_callers_fault():
    with oncue.Pub() as pub:
        for endpoint in ("", "tcp://", "http://x:1", "tcp://127.0.0.1:99999", "nothing"):
            with pytest.raises(oncue.MisuseError):
                pub.bind(endpoint)
        with pytest.raises(TypeError):
            pub.bind(5)
        with pytest.raises(oncue.MisuseError):
            pub.unbind("tcp://127.0.0.1:1")


def test_a_port_in_use_is_the_systems_fault_with_its_number():
    with oncue.Pub() as pub, oncue.Pub() as other:
        endpoint = pub.bind("tcp://127.0.0.1:0")
        with pytest.raises(oncue.IoError) as failed:
            other.bind(endpoint)
        assert failed.value.errno == 98


def test_bind_fd_takes_a_socket_that_listens_and_refuses_other_descriptors(sub):
    with socket.socket() as listening, oncue.Pub() as pub:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        endpoint = pub.bind_fd(listening.fileno())
        assert sub(endpoint).subscribe_wait("", timeout=LIMIT).in_force == 1
    with oncue.Pub() as pub:
        for fd in (-1, 1_000_000):
            with pytest.raises(oncue.IoError):
                pub.bind_fd(fd)
        reading, writing = os.pipe()
        with pytest.raises(oncue.MisuseError):
            pub.bind_fd(reading)
        os.close(reading)
        os.close(writing)


def test_a_full_socket_that_refuses_raises_and_sends_nothing(sub):
    with oncue.Pub(on_full="refuse", send_hwm=10, outbox_bytes_max=1 << 20) as pub:
        slow = sub(pub.bind("tcp://127.0.0.1:0"), recv_hwm=1)
        slow.subscribe_wait("", timeout=LIMIT)
        with pytest.raises(oncue.FullError):
            for _ in range(10_000):
                pub.send("x", bytes(100_000))
        pub.close(0)


# XPUB, XSUB, and what is told.


def test_an_xpub_tells_what_is_wanted_as_events_and_as_messages(sub):
    with oncue.XPub() as xpub:
        subscriber = sub(xpub.bind("tcp://127.0.0.1:0"), "a")
        assert xpub.event(LIMIT) == oncue.Wanted(b"a")
        subscriber.unsubscribe("a")
        assert xpub.recv(LIMIT) == (b"\0a",)
        assert xpub.try_event() is None
        assert xpub.try_recv() is None


def test_an_xsub_sends_messages_to_an_xpub(sub):
    with oncue.XPub() as xpub, oncue.XSub() as xsub:
        xsub.connect(xpub.bind("tcp://127.0.0.1:0"))
        xsub.subscribe("")
        assert xpub.event(LIMIT) == oncue.Wanted(b"")
        xsub.send("hello", "there")
        assert xpub.event(LIMIT) == (b"hello", b"there")


def test_demand_is_a_snapshot_and_the_changes_after_it(sub):
    with oncue.XPub() as xpub:
        subscriber = sub(xpub.bind("tcp://127.0.0.1:0"), "a")
        xpub.wait_for_subscribers("a", timeout=LIMIT)
        demand = xpub.demand()
        assert demand.snapshot == [b"a"]
        subscriber.subscribe("b")
        subscriber.unsubscribe("a")
        assert [demand.next(LIMIT), demand.next(LIMIT)] == [oncue.Wanted(b"b"), oncue.Unwanted(b"a")]
        assert demand.try_next() is None
        with pytest.raises(oncue.TimeoutError):
            demand.next(0)


def test_a_watch_ends_when_its_socket_is_closed():
    xpub = oncue.XPub()
    streams = [xpub.demand(), xpub.subscriptions(), xpub.events()]
    ended = []
    threads = [threading.Thread(target=lambda s=s: ended.append(list(s))) for s in streams]
    for thread in threads:
        thread.start()
    xpub.close()
    for thread in threads:
        thread.join(LIMIT)
    assert len(ended) == 3


def test_subscriptions_tell_the_peer_and_its_metadata(sub):
    with oncue.XPub(verbose="off") as xpub:
        watch = xpub.subscriptions()
        sub(xpub.bind("tcp://127.0.0.1:0"), "a", metadata={"X-Who": b"me"})
        event = watch.next(LIMIT)
        assert isinstance(event, oncue.Subscribed) and event.prefix == b"a"
        assert event.peer.metadata["X-Who"] == b"me"
        assert event.peer.socket_type == "SUB"
        assert xpub.peers()[0].peer.key == event.peer.key
        assert hash(xpub.peers()[0].peer.key) == hash(event.peer.key)


def test_events_tell_of_a_connection_and_its_end(sub):
    with oncue.Pub() as pub:
        events = pub.events()
        subscriber = sub(pub.bind("tcp://127.0.0.1:0"), "a")
        kinds = [events.next(LIMIT).kind, events.next(LIMIT).kind]
        assert kinds == ["bound", "accepted"]
        subscriber.close()
        gone = events.next(LIMIT)
        assert (gone.kind, gone.retry_after) == ("disconnected", None)
        assert gone.peer is not None and gone.cause


def test_a_subscription_is_decided_by_hand_when_it_is_deferred(sub):
    with oncue.XPub(manual=True) as xpub:
        subscriber = sub(xpub.bind("tcp://127.0.0.1:0"), "a")
        asked = xpub.event(LIMIT)
        assert isinstance(asked, oncue.Requested)
        assert not xpub.wanted("a")
        xpub.admit(asked.peer.key, "a")
        xpub.wait_for_subscribers("a", timeout=LIMIT)
        xpub.send("a", "1")
        assert subscriber.recv(LIMIT) == (b"a", b"1")
        xpub.revoke(asked.peer.key, "a", "enough")
        state = subscriber.state(LIMIT)
        assert (state.topic, state.state, state.text) == (b"a", "rejected", "enough")


def test_a_state_is_told_now_and_to_later_subscribers(sub):
    with oncue.Pub() as pub:
        endpoint = pub.bind("tcp://127.0.0.1:0")
        pub.set_state("a", "stale", "no data")
        state = sub(endpoint, "a").state(LIMIT)
        assert state == oncue.TopicState(b"a", "stale", "no data", False)
        assert pub.clear_state("a") and not pub.clear_state("a")
        with pytest.raises(ValueError, match="state must be"):
            pub.set_state("a", "odd")


def test_the_last_value_is_kept_for_later_subscribers(sub):
    with oncue.Pub() as pub:
        endpoint = pub.bind("tcp://127.0.0.1:0")
        pub.send_last("a", "1")
        assert pub.last("a") == (b"a", b"1")
        assert sub(endpoint, "a").recv(LIMIT) == (b"a", b"1")
        assert pub.forget_last("a") and pub.last("a") is None
        pub.send_last("a", "2", age=0.0)
        with pytest.raises(ValueError):
            pub.send_last("a", "2", age=-1)


def test_counts_are_told_by_their_names(pair):
    pub, sub = pair
    pub.send("x")
    sub.recv(LIMIT)
    until(lambda: pub.stats().delivered == 1)
    assert pub.stats().sent == 1 and pub.stats().peers == 1
    assert sub.stats().received == 1
    (publisher,) = sub.publishers()
    assert publisher.connected and publisher.received == 1
    assert pub.room("x") == "open"
    assert pub.subscribers("x") == pub.prefix_count() == sub.prefix_count() == 1


def test_a_peer_is_disconnected_by_its_key(pair):
    pub, sub = pair
    events = pub.events()
    (peer,) = pub.peers()
    pub.disconnect_peer(peer.peer.key, "go away")
    assert events.next(LIMIT).kind == "disconnected"


def test_a_proxy_forwards_messages_and_demand(sub):
    with oncue.XPub() as source, oncue.XSub() as front, oncue.XPub() as back:
        front.connect(source.bind("tcp://127.0.0.1:0"))
        subscriber = sub(back.bind("tcp://127.0.0.1:0"), "a")
        proxy = oncue.Proxy(front, back)
        assert source.event(LIMIT) == oncue.Wanted(b"a")
        source.send("a", "1")
        assert subscriber.recv(LIMIT) == (b"a", b"1")
        until(lambda: proxy.stats().down.messages == 1)
        assert proxy.wait(0) is False
        thread = threading.Thread(target=proxy.wait)
        thread.start()
        proxy.stop()
        thread.join(LIMIT)
        assert not thread.is_alive()
        assert proxy.wait(0) is True and proxy.stats() is None


# With libzmq.


def test_libzmqs_sub_gets_what_we_send(context):
    with oncue.XPub() as xpub:
        peer = zmq_socket(context, zmq.SUB)
        peer.connect(xpub.bind("tcp://127.0.0.1:0"))
        peer.subscribe("a")
        assert xpub.event(LIMIT) == oncue.Wanted(b"a")
        xpub.send("a", "1")
        assert peer.recv_multipart() == [b"a", b"1"]
        peer.unsubscribe("a")
        assert xpub.event(LIMIT) == oncue.Unwanted(b"a")
        peer.close()


def test_we_get_what_libzmqs_xpub_sends_and_it_sees_our_demand(context, sub):
    peer = zmq_socket(context, zmq.XPUB)
    port = peer.bind_to_random_port("tcp://127.0.0.1")
    subscriber = sub(f"tcp://127.0.0.1:{port}", "a")
    assert peer.recv() == b"\1a"
    peer.send_multipart([b"a", b"1"])
    assert subscriber.recv(LIMIT) == (b"a", b"1")
    subscriber.unsubscribe("a")
    assert peer.recv() == b"\0a"
    peer.close()


def test_ipc_reaches_libzmq(context, tmp_path):
    with oncue.Pub() as pub:
        endpoint = pub.bind(f"ipc://{tmp_path}/s")
        peer = zmq_socket(context, zmq.SUB)
        peer.connect(endpoint)
        peer.subscribe("")
        pub.wait_for_subscribers("x", timeout=LIMIT)
        pub.send("x", bytes(100_000))
        assert peer.recv_multipart() == [b"x", bytes(100_000)]
        peer.close()


def test_inproc_connects_two_sockets(sub):
    with oncue.Pub() as pub:
        subscriber = sub(pub.bind("inproc://here"))
        subscriber.subscribe_wait("", timeout=LIMIT)
        pub.send("x")
        assert subscriber.recv(LIMIT) == (b"x",)
