"""W12: what Python gets and gives in a second. Each side is a process of its own, over TCP on the loopback interface.

python w12.py [--seconds T] [--reps N] [--only recv,send] [--impl oncue,pyzmq,pyomq] prints a table. The implementations take
turns within each repetition, so that a machine that slows down slows all of them.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import selectors
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

SMALL = 64
LARGE = 1 << 20
PEERS = 100
TOPICS = 1000
PERIOD = 0.1
HWM = 2_000_000
#: A block of messages that the raw writer writes at once.
BLOCK = (bytes([0, SMALL]) + b"x" * SMALL) * 8192
GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x01NULL" + bytes(16) + bytes(1) + bytes(31)


# Programs without a library, to measure one side alone.


def command(name: bytes, body: bytes) -> bytes:
    body = bytes([len(name)]) + name + body
    return bytes([4, len(body)]) + body


def ready(kind: bytes) -> bytes:
    return command(b"READY", b"\x0bSocket-Type" + len(kind).to_bytes(4, "big") + kind)


def exactly(peer: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = peer.recv(count - len(data))
        if not part:
            raise EOFError
        data += part
    return data


def frame(peer: socket.socket) -> bytes:
    flags, length = exactly(peer, 2)
    return exactly(peer, length)


def raw_writer() -> None:
    """A PUB that writes to whoever connects, until that has gone."""
    listener = socket.create_server(("127.0.0.1", 0))
    print(f"tcp://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    peer, _ = listener.accept()
    peer.sendall(GREETING)
    exactly(peer, 64)
    peer.sendall(ready(b"PUB"))
    frame(peer)  # READY
    frame(peer)  # the subscription
    try:
        while True:
            peer.sendall(BLOCK)
    except OSError:
        pass


def raw_drain(endpoint: str, peers: int, message_bytes: int) -> None:
    """Subscribers to everything, which count what they read until nothing has come for a while."""
    host, port = endpoint.removeprefix("tcp://").split(":")
    selector = selectors.DefaultSelector()
    for _ in range(peers):
        peer = socket.create_connection((host, int(port)))
        peer.sendall(GREETING)
        exactly(peer, 64)
        peer.sendall(ready(b"SUB"))
        frame(peer)
        peer.sendall(command(b"SUBSCRIBE", b""))
        peer.setblocking(False)
        selector.register(peer, selectors.EVENT_READ)
    print("ready", flush=True)
    sys.stdin.readline()
    buffer = memoryview(bytearray(1 << 18))
    start, deadline = time.perf_counter(), time.perf_counter() + float(sys.argv[6])
    total = 0
    while (now := time.perf_counter()) < deadline:
        for key, _ in selector.select(max(0.0, deadline - now)):
            assert isinstance(key.fileobj, socket.socket)
            total += key.fileobj.recv_into(buffer)
    print(total / message_bytes / (time.perf_counter() - start), flush=True)


# The implementations: sockets that subscribe, and sockets that publish.


def subscriber(impl: str, endpoint: str) -> Any:
    if impl == "oncue":
        import oncue

        sub = oncue.Sub()
        sub.connect(endpoint)
        sub.subscribe("")
        return sub
    zmq: Any = pyomq() if impl == "pyomq" else __import__("zmq")
    sub = zmq.Context.instance().socket(zmq.SUB)
    sub.setsockopt(zmq.RCVHWM, HWM)
    sub.connect(endpoint)
    sub.setsockopt(zmq.SUBSCRIBE, b"")
    return sub


def publisher(impl: str, drops: bool) -> tuple[Any, str]:
    if impl == "oncue":
        import oncue

        how: dict[str, Any] = {"send_hwm": HWM, "queue_bytes_max": 1 << 30, "outbox_bytes_max": 1 << 28}
        pub: Any = oncue.Pub(**how) if drops else oncue.Pub(on_full="refuse", queue_bytes_max=8 << 20)
        return pub, pub.bind("tcp://127.0.0.1:0")
    zmq: Any = pyomq() if impl == "pyomq" else __import__("zmq")
    pub = zmq.Context.instance().socket(zmq.PUB)
    if drops:
        pub.setsockopt(zmq.SNDHWM, HWM)
    else:
        pub.setsockopt(zmq.SNDHWM, 8)
        pub.setsockopt(zmq.XPUB_NODROP, 1)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    endpoint = f"tcp://127.0.0.1:{port}"
    pub.bind(endpoint)
    return pub, endpoint


def pyomq() -> Any:
    import pyomq  # type: ignore[import-not-found,unused-ignore]

    return pyomq


# What is measured. Each returns a figure per second, or microseconds for `every`.


def of_loop(call: Callable[[], Any], seconds: float) -> float:
    for _ in range(1000):
        call()
    count, start = 0, time.perf_counter()
    deadline = start + seconds
    while time.perf_counter() < deadline:
        for _ in range(200):
            call()
        count += 200
    return count / (time.perf_counter() - start)


def recv(impl: str, seconds: float) -> float:
    with role("writer") as (_, endpoint):
        return of_loop(subscriber(impl, endpoint).recv, seconds)


def recv_many(impl: str, seconds: float) -> float:
    with role("writer") as (_, endpoint):
        sub = subscriber(impl, endpoint)
        if impl != "oncue":
            return of_loop(sub.recv, seconds)
        sub.recv_many()
        count, start = 0, time.perf_counter()
        while time.perf_counter() < start + seconds:
            count += len(sub.recv_many())
        return count / (time.perf_counter() - start)


def recv_async(impl: str, seconds: float) -> float:
    async def measure(endpoint: str) -> float:
        if impl == "oncue":
            take = subscriber(impl, endpoint).arecv
        else:
            import zmq
            import zmq.asyncio

            sub = zmq.asyncio.Context.instance().socket(zmq.SUB)
            sub.setsockopt(zmq.RCVHWM, HWM)
            sub.connect(endpoint)
            sub.subscribe(b"")
            take = sub.recv
        for _ in range(1000):
            await take()
        count, start = 0, time.perf_counter()
        while time.perf_counter() < start + seconds:
            for _ in range(100):
                await take()
            count += 100
        return count / (time.perf_counter() - start)

    with role("writer") as (_, endpoint):
        return asyncio.run(measure(endpoint))


def send(impl: str, seconds: float) -> float:
    pub, endpoint = publisher(impl, True)
    with role("drain", endpoint, "1", str(SMALL + 2), str(seconds)) as (drain, _):
        time.sleep(0.2)
        tell(drain, "go")
        message = b"x" * SMALL
        return of_loop(lambda: pub.send(message), seconds)


def fan_out(impl: str, seconds: float) -> float:
    pub, endpoint = publisher(impl, True)
    with role("drain", endpoint, str(PEERS), str(SMALL + 2), str(seconds)) as (drain, _):
        time.sleep(0.5)
        tell(drain, "go")
        message, send = b"x" * SMALL, pub.send
        deadline = time.perf_counter() + seconds
        while time.perf_counter() < deadline:
            for _ in range(50):
                send(message)
        assert drain.stdout is not None
        return float(drain.stdout.readline())


def large(impl: str, seconds: float) -> float:
    """Bytes of arrays a second, without a copy on either side in Python."""
    import numpy

    pub, endpoint = publisher(impl, False)
    array = numpy.zeros(LARGE, dtype=numpy.uint8)
    with role("large", impl, endpoint, str(seconds)) as (taker, _):
        if impl == "oncue":
            pub.wait_for_subscribers(b"", 1, 10)
        else:
            time.sleep(0.5)
        assert taker.stdout is not None
        selector = selectors.DefaultSelector()
        selector.register(taker.stdout, selectors.EVENT_READ)
        while not selector.select(0):
            for _ in range(10):
                if impl == "oncue":
                    pub.send_wait(array)
                else:
                    pub.send(array, copy=False)
        return float(taker.stdout.readline())


def large_taker(impl: str, endpoint: str, seconds: float) -> None:
    sub = subscriber(impl, endpoint)
    print("ready", flush=True)
    total, start = 0, None
    while start is None or time.perf_counter() < start + seconds:
        message = sub.recv(copy=False)
        total += len(message[0]) if impl == "oncue" else len(message)
        if start is None:
            total, start = 0, time.perf_counter()
    print(total / (time.perf_counter() - start), flush=True)


def work() -> bytes:
    n = 0
    for _ in range(25):
        n += 1
    return b"x" * SMALL


def every(impl: str, seconds: float) -> float:
    """Microseconds of the publisher's processor a value: 1000 wanted topics, a value each 0.1 s, a function of about 1 us."""
    if impl == "oncue":
        import oncue

        on = oncue.OnDemand("tcp://127.0.0.1:0")

        @on.every("t/{n:int}", seconds=PERIOD, catalogue=range(100 * TOPICS))
        def value(n: int) -> bytes:
            return work()

        with on, role("topics", on.endpoint or "", str(seconds)):
            while on.stats().now.running < TOPICS:
                time.sleep(0.05)
            before, cpu = on.stats().done.produced, time.process_time()
            time.sleep(seconds)
            cpu = time.process_time() - cpu
            made = on.stats().done
            assert made.started == TOPICS, "only what is wanted is produced"
            return cpu / (made.produced - before) * 1e6
    pub, endpoint = publisher(impl, True)
    topics = [b"t/%d" % n for n in range(TOPICS)]
    with role("topics", endpoint, str(seconds)):
        time.sleep(0.5)
        sent, cpu, due = 0, time.process_time(), time.perf_counter()
        while sent < seconds / PERIOD * TOPICS:
            for topic in topics:
                pub.send_multipart([topic, work()])
            sent += TOPICS
            due += PERIOD
            time.sleep(max(0.0, due - time.perf_counter()))
        return (time.process_time() - cpu) / sent * 1e6


def topics_taker(endpoint: str, seconds: float) -> None:
    import oncue

    sub = oncue.Sub()
    for n in range(TOPICS):
        sub.subscribe(f"t/{n}")
    sub.connect(endpoint)
    print("ready", flush=True)
    try:
        while True:
            sub.recv_many(seconds + 5)
    except oncue.Error:
        pass


# Running it.


class role:
    """Another process of this program: it tells where it listens, or that it is ready."""

    def __init__(self, *words: str) -> None:
        self.words = words

    def __enter__(self) -> tuple[subprocess.Popen[str], str]:
        words = [sys.executable, __file__, "role", *self.words]
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        return self.process, self.process.stdout.readline().strip()

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()


def tell(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()


#: Name, what is measured, the unit, which implementations can, whether more is better, and the goal against pyzmq.
CASES: list[tuple[str, Callable[[str, float], float], str, float, list[str], str]] = [
    ("recv", recv, "M/s, 64 B received one at a time", 1e6, ["oncue", "pyzmq", "pyomq"], "2.5 times"),
    ("recv_many", recv_many, "M/s, 64 B received by recv_many", 1e6, ["oncue", "pyzmq", "pyomq"], "10 times"),
    ("async", recv_async, "k/s, 64 B received under asyncio", 1e3, ["oncue", "pyzmq"], "5 times"),
    ("send", send, "M/s, 64 B sent one at a time", 1e6, ["oncue", "pyzmq", "pyomq"], "2.5 times"),
    ("large", large, "GB/s, arrays of 1 MiB without a copy", 1e9, ["oncue", "pyzmq"], "1.5 times"),
    ("fan-out", fan_out, "M/s, 64 B delivered to 100 peers", 1e6, ["oncue", "pyzmq", "pyomq"], "4 times"),
    ("every", every, "us of processor a value, 1000 topics", 1.0, ["oncue", "pyzmq"], "at most 2 times"),
]


def measured(case: str, impl: str, seconds: float) -> float:
    words = [sys.executable, __file__, "measure", case, impl, str(seconds)]
    ran = subprocess.run(words, capture_output=True, text=True, timeout=seconds * 4 + 60)
    if ran.returncode != 0:
        print(ran.stderr, file=sys.stderr)
        return float("nan")
    return float(ran.stdout.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--reps", type=int, default=3)
    parser.add_argument("--only", default="")
    parser.add_argument("--impl", default="oncue,pyzmq,pyomq")
    given = parser.parse_args()
    only = [name for name in given.only.split(",") if name]
    impls = [name for name in given.impl.split(",") if importlib.util.find_spec("zmq" if name == "pyzmq" else name)]
    print("| what | " + " | ".join(impls) + " | oncue to pyzmq | goal |")
    print("|" + "---|" * (len(impls) + 3))
    for name, _, unit, scale, able, goal in CASES:
        if only and name not in only:
            continue
        figures: dict[str, list[float]] = {impl: [] for impl in impls if impl in able}
        for _ in range(given.reps):
            for impl, taken in figures.items():
                taken.append(measured(name, impl, given.seconds) / scale)
        cells = []
        for impl in impls:
            of = figures.get(impl)
            cells.append("-" if not of else f"{statistics.median(of):.3g} ({min(of):.3g} to {max(of):.3g})")
        both = [statistics.median(figures.get(impl, [float("nan")])) for impl in ("oncue", "pyzmq")]
        print(f"| {unit} | {' | '.join(cells)} | {both[0] / both[1]:.2f} | {goal} |", flush=True)


if __name__ == "__main__":
    words = sys.argv[1:]
    if words[:1] == ["measure"]:
        print(dict((case[0], case[1]) for case in CASES)[words[1]](words[2], float(words[3])), flush=True)
        sys.stdout.flush()
        import os

        # Without the linger of what is left over.
        os._exit(0)
    elif words[:2] == ["role", "writer"]:
        raw_writer()
    elif words[:2] == ["role", "drain"]:
        raw_drain(words[2], int(words[3]), int(words[4]))
    elif words[:2] == ["role", "large"]:
        large_taker(words[2], words[3], float(words[4]))
    elif words[:2] == ["role", "topics"]:
        topics_taker(words[2], float(words[3]))
    else:
        main()
