"""The classic program of XPUB, as it was written in 2012 for pyzmq: a publisher that sends only what is wanted, and two subscribers.

The publisher binds port 8888. Every half second it takes what its subscribers have asked for and cancelled, without waiting,
and sends "<topic> <n>" for each topic that is wanted. One subscriber takes the topics a and b and leaves after 10 messages,
the other takes b and c and leaves after 20; then nothing is wanted any more, and the publisher ends.

Run it with `python examples/classic.py`. It runs the same with `import zmq`.
"""

import sys
import threading
import time

import oncue.zmq as zmq

PORT = 8888


def say(name: str, text: str) -> None:
    # One write, so that lines of several threads do not mix.
    sys.stdout.write(f"{name}: {text}\n")


def publisher(context: zmq.Context, done: threading.Event) -> None:
    socket = context.socket(zmq.XPUB)
    socket.bind(f"tcp://*:{PORT}")
    subscriptions: list[bytes] = []
    n = 0
    while subscriptions or not done.is_set():
        while True:
            try:
                notification = socket.recv(zmq.NOBLOCK)
            except zmq.ZMQError:
                break
            wanted, topic = notification[0] == 1, notification[1:]
            if wanted:
                subscriptions.append(topic)
            else:
                subscriptions.remove(topic)
            say("publisher", "wanted now: " + (b" ".join(subscriptions).decode() or "nothing"))
        for topic in subscriptions:
            socket.send(b"%s %d" % (topic, n))
        n += 1
        time.sleep(0.5)
    socket.close()


def subscriber(context: zmq.Context, name: str, topics: list[str], count: int) -> None:
    socket = context.socket(zmq.SUB)
    for topic in topics:
        socket.setsockopt_string(zmq.SUBSCRIBE, topic)
    socket.connect(f"tcp://127.0.0.1:{PORT}")
    for _ in range(count):
        say(name, socket.recv_string())
    socket.close()
    say(name, "leaves")


def main() -> None:
    context = zmq.Context()
    done = threading.Event()
    publishing = threading.Thread(target=publisher, args=(context, done))
    subscribing = [
        threading.Thread(target=subscriber, args=(context, "subscriber 1", ["a", "b"], 10)),
        threading.Thread(target=subscriber, args=(context, "subscriber 2", ["b", "c"], 20)),
    ]
    publishing.start()
    for thread in subscribing:
        thread.start()
    for thread in subscribing:
        thread.join()
    done.set()
    publishing.join()
    context.term()


if __name__ == "__main__":
    main()
