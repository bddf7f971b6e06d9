"""The driver of libzmq, through pyzmq. lab/truth/src/driver.rs describes the lines."""

import os
import sys
import threading

import zmq

HEARTBEAT = 300
ANYWHERE = "tcp://127.0.0.1:*"


def unhex(word):
    return b"" if word == "-" else bytes.fromhex(word)


def hexed(data):
    return data.hex() or "-"


class Peer:
    def __init__(self):
        self.context = zmq.Context()
        self.context.linger = 0
        self.socket = None

    def about(self):
        return f"libzmq {zmq.zmq_version()} (pyzmq {zmq.__version__})"

    def new(self, kind, heartbeat=None):
        self.socket = self.context.socket({"xpub": zmq.XPUB, "sub": zmq.SUB}[kind])
        if heartbeat:
            self.socket.heartbeat_ivl = HEARTBEAT
            self.socket.heartbeat_timeout = HEARTBEAT

    def bind(self):
        self.socket.bind(ANYWHERE)
        return self.socket.getsockopt_string(zmq.LAST_ENDPOINT)

    def connect(self, endpoint):
        self.socket.connect(endpoint)

    def send(self, topic):
        self.socket.send(unhex(topic))

    def flood(self, count, size):
        message = b"T" * int(size)
        for _ in range(int(count)):
            self.socket.send(message)

    def subscribe_many(self, count):
        for number in range(int(count)):
            self.socket.subscribe(b"t/%06d" % number)

    def unsubscribe_many(self, count):
        for number in range(int(count)):
            self.socket.unsubscribe(b"t/%06d" % number)

    def proxy(self, above=ANYWHERE, below=ANYWHERE):
        frontend, backend = self.context.socket(zmq.XSUB), self.context.socket(zmq.XPUB)
        frontend.bind(above)
        backend.bind(below)
        endpoints = [socket.getsockopt_string(zmq.LAST_ENDPOINT) for socket in (frontend, backend)]
        threading.Thread(target=zmq.proxy, args=(frontend, backend), daemon=True).start()
        return " ".join(endpoints)


def obey(peer, line):
    order, *words = line.split()
    carry_out = getattr(peer, order, None)
    if carry_out is None:
        return f"no `{order}` is not to be had"
    try:
        return f"ok {carry_out(*words) or ''}".rstrip()
    except zmq.ZMQError as error:
        return f"no {error}"


def event(frame):
    """Of one frame: by default each part of a message may be a subscription (ZMQ_ONLY_FIRST_SUBSCRIBE)."""
    if frame[:1] in (b"\x00", b"\x01"):
        return ("+ " if frame[0] else "- ") + hexed(frame[1:])
    return "message " + hexed(frame)


def main():
    """A loop that polls its socket and its orders, as libzmq's guide teaches."""
    peer, unfinished = Peer(), b""
    while True:
        poller = zmq.Poller()
        poller.register(0, zmq.POLLIN)
        if peer.socket is not None:
            poller.register(peer.socket, zmq.POLLIN)
        ready = dict(poller.poll())
        if peer.socket in ready:
            print(event(peer.socket.recv()), flush=True)
        if 0 in ready:
            chunk = os.read(0, 1 << 16)
            if not chunk:
                # Without waiting for threads and sockets.
                os._exit(0)
            *lines, unfinished = (unfinished + chunk).split(b"\n")
            for line in lines:
                print(obey(peer, line.decode()), flush=True)


if __name__ == "__main__":
    sys.exit(main())
