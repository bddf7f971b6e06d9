"""A libzmq socket, driven by lines on standard input: one order per line, one answer per line.

`ok ...` is the answer to an order that succeeded, `error ...` to one that failed. Bytes are written as hexadecimal
digits, an empty string as `-`. The other half is src/foreign.rs.
"""

import os
import select
import sys
import time

import zmq


def unhex(word):
    return b"" if word == "-" else bytes.fromhex(word)


def hexed(data):
    return data.hex() or "-"


def burst_topic(number):
    return b"topic/%06d" % number


class Peer:
    def __init__(self):
        self.context = zmq.Context()
        self.socket = None

    def new(self, kind):
        self.socket = self.context.socket(getattr(zmq, kind))
        self.socket.linger = 0
        # Tests restart peers: the first reconnect may come too early, and the second one must follow soon.
        self.socket.reconnect_ivl = 20

    def set(self, option, value):
        self.socket.setsockopt(getattr(zmq, option), int(value))

    def set_bytes(self, option, value):
        self.socket.setsockopt(getattr(zmq, option), unhex(value))

    def get(self, option):
        return self.socket.getsockopt(getattr(zmq, option))

    def bind(self, endpoint):
        self.socket.bind(endpoint)
        return self.socket.getsockopt_string(zmq.LAST_ENDPOINT)

    def connect(self, endpoint):
        self.socket.connect(endpoint)

    def disconnect(self, endpoint):
        self.socket.disconnect(endpoint)

    def subscribe(self, prefix):
        self.change(b"\x01", zmq.SUBSCRIBE, unhex(prefix))

    def unsubscribe(self, prefix):
        self.change(b"\x00", zmq.UNSUBSCRIBE, unhex(prefix))

    def change(self, sign, option, prefix):
        if self.socket.socket_type == zmq.SUB:
            self.socket.setsockopt(option, prefix)
        else:
            self.socket.send(sign + prefix)

    def subscribe_burst(self, count):
        for number in range(int(count)):
            self.change(b"\x01", zmq.SUBSCRIBE, burst_topic(number))

    def expect_burst(self, count, milliseconds):
        """Waits until each of the topics was subscribed to exactly once, and nothing else came."""
        deadline = time.monotonic() + int(milliseconds) / 1000
        missing = {b"\x01" + burst_topic(number) for number in range(int(count))}
        while missing:
            left = deadline - time.monotonic()
            if left <= 0 or not self.socket.poll(left * 1000):
                raise TimeoutError(f"{len(missing)} of {count} subscriptions are missing")
            got = self.socket.recv()
            if got not in missing:
                raise ValueError(f"{got!r} came twice or is unexpected")
            missing.remove(got)

    def send(self, *frames):
        self.socket.send_multipart([unhex(frame) for frame in frames])

    def flood(self, topic, size, most):
        """Sends messages of this size until one is refused, and returns how many were sent."""
        message = [unhex(topic), b"p" * int(size)]
        for number in range(int(most)):
            try:
                self.socket.send_multipart(message, flags=zmq.NOBLOCK)
            except zmq.Again:
                return number
        raise ValueError("nothing was refused")

    def recv_property(self, name, milliseconds):
        """The property of the sender of the next message."""
        if not self.socket.poll(int(milliseconds)):
            raise TimeoutError("no message")
        return self.socket.recv_multipart(copy=False)[0].get(name)

    def recv(self, milliseconds):
        if not self.socket.poll(int(milliseconds)):
            return "none"
        return "message " + " ".join(hexed(frame) for frame in self.socket.recv_multipart())

    def close(self):
        self.socket.close(linger=1000)
        self.context.term()

    def turn(self):
        """Lets libzmq process its input: it accepts connections and subscriptions only inside its user's calls."""
        self.socket.getsockopt(zmq.EVENTS)


def orders(peer):
    """The lines of standard input; while it waits for them, the socket keeps processing its input."""
    unfinished = b""
    while True:
        watched = [0] if peer.socket is None or peer.socket.closed else [0, peer.socket.getsockopt(zmq.FD)]
        ready, _, _ = select.select(watched, [], [])
        if ready != [0]:
            peer.turn()
        if 0 not in ready:
            continue
        chunk = os.read(0, 1 << 20)
        if not chunk:
            return
        *lines, unfinished = (unfinished + chunk).split(b"\n")
        yield from (line.decode() for line in lines)


def main():
    peer = Peer()
    for line in orders(peer):
        order, *words = line.split()
        try:
            answer = getattr(peer, order)(*words)
            print("ok" if answer is None else f"ok {answer}", flush=True)
        except Exception as error:
            print(f"error {error!r}", flush=True)


main()
