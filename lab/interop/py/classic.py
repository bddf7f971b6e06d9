"""The classic publish/subscribe program, its subscribers alone: they join `oncue demo` at the endpoint given.

s1 takes `a` and `b` and leaves after 10 messages, s2 takes `b` and `c` and leaves after 20, and a third takes a topic
that nobody has heard of. Prints `NAME MESSAGE` for each message and `NAME left` at the end.
"""

import sys
import threading

import zmq

SUBSCRIBERS = [("s1", ["a", "b"], 10), ("s2", ["b", "c"], 20), ("zoo", ["zebra"], 5)]


def subscriber(name, topics, messages, endpoint):
    socket = zmq.Context.instance().socket(zmq.SUB)
    socket.rcvtimeo = 20_000
    for topic in topics:
        socket.subscribe(topic)
    socket.connect(endpoint)
    for _ in range(messages):
        print(f"{name} {socket.recv_string()}\n", end="", flush=True)
    socket.close()
    print(f"{name} left\n", end="", flush=True)


threads = [threading.Thread(target=subscriber, args=(*who, sys.argv[1])) for who in SUBSCRIBERS]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
