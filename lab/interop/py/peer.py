"""A socket of libzmq, driven by lines on standard input: one order per line, one answer per line. With the argument `pyomq`, a
socket of that library, which has pyzmq's interface.

`ok ...` is the answer to an order that succeeded, `error ...` to one that failed. Bytes are written as hexadecimal
digits, an empty string as `-`. The other half is src/foreign.rs.
"""

import importlib
import os
import select
import sys
import time

zmq = importlib.import_module(sys.argv[1] if len(sys.argv) > 1 else "zmq")
IS_LIBZMQ = zmq.__name__ == "zmq"


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
        self.authenticator = None
        self.monitor = None
        self.keys = None
        # pyomq 0.27.3 forgets what a SUB subscribes to before it is bound: what waits until then. `None`: nothing waits.
        self.early = None if IS_LIBZMQ else []

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
        self.subscribe_now()
        return self.socket.getsockopt_string(zmq.LAST_ENDPOINT)

    def connect(self, endpoint):
        self.socket.connect(endpoint)
        self.subscribe_now()

    def subscribe_now(self):
        early, self.early = self.early or [], None
        for change in early:
            self.change(*change)

    def disconnect(self, endpoint):
        self.socket.disconnect(endpoint)

    def subscribe(self, prefix):
        self.change(b"\x01", zmq.SUBSCRIBE, unhex(prefix))

    def unsubscribe(self, prefix):
        self.change(b"\x00", zmq.UNSUBSCRIBE, unhex(prefix))

    def change(self, sign, option, prefix):
        if self.early is not None:
            self.early.append((sign, option, prefix))
        elif self.socket.socket_type == zmq.SUB:
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
        # pyomq 0.27.3 does not report all messages by poll().
        if IS_LIBZMQ and not self.socket.poll(int(milliseconds)):
            return "none"
        if not IS_LIBZMQ:
            self.socket.setsockopt(zmq.RCVTIMEO, int(milliseconds))
        try:
            return "message " + " ".join(hexed(frame) for frame in self.socket.recv_multipart())
        except zmq.Again:
            return "none"

    def let_in_plain(self, user, password):
        """Lets in the clients of this name and password alone."""
        user, password = unhex(user).decode(), unhex(password).decode()
        if IS_LIBZMQ:
            self.authenticating().configure_plain(domain="*", passwords={user: password})
        else:
            self.socket.set_plain_auth([(user, password)])

    def let_in_curve(self, *keys):
        """Lets in the clients with one of these keys, as text in Z85. With libzmq, a later call counts instead."""
        keys = [unhex(key) for key in keys]
        if IS_LIBZMQ:
            self.keys = set(keys)
            self.authenticating().configure_curve_callback(domain="*", credentials_provider=self)
        else:
            self.socket.set_curve_auth(keys)

    def callback(self, _domain, key):
        """What pyzmq's authenticator asks."""
        return key in self.keys

    def authenticating(self):
        """The thread that answers ZAP."""
        if self.authenticator is None:
            from zmq.auth.thread import ThreadAuthenticator

            self.authenticator = ThreadAuthenticator(self.context)
            self.authenticator.start()
        return self.authenticator

    def observe(self):
        """Keeps the connection events from now on, for `event`."""
        self.monitor = self.socket.get_monitor_socket() if IS_LIBZMQ else self.socket.monitor()

    def event(self, milliseconds):
        """The next connection event and its value, if one comes in time."""
        if not IS_LIBZMQ:
            try:
                return str(self.monitor.recv(int(milliseconds)))
            except zmq.Again:
                return "none"
        if not self.monitor.poll(int(milliseconds)):
            return "none"
        from zmq.utils.monitor import recv_monitor_message

        event = recv_monitor_message(self.monitor)
        return f"{event['event'].name} {event['value']}"

    def create_certificate(self, directory, name):
        """The paths of a new certificate's two files."""
        import zmq.auth

        return " ".join(zmq.auth.create_certificates(directory, name, {"name": "a name"}))

    def load_certificate(self, path):
        """The keys of a file, public and secret, in Z85."""
        import zmq.auth

        return " ".join(hexed(key or b"") for key in zmq.auth.load_certificate(path))

    def close(self):
        if self.authenticator is not None:
            self.authenticator.stop()
        self.socket.close(linger=1000)
        self.context.term()

    def turn(self):
        """Lets libzmq process its input: it accepts connections and subscriptions only inside its user's calls."""
        self.socket.getsockopt(zmq.EVENTS)


def orders(peer):
    """The lines of standard input; while it waits for them, the socket keeps processing its input."""
    unfinished = b""
    while True:
        is_open = IS_LIBZMQ and peer.socket is not None and not peer.socket.closed
        watched = [0, peer.socket.getsockopt(zmq.FD)] if is_open else [0]
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
