"""The subscribers of the classic publish/subscribe program: they join `oncue demo` at the given endpoint.

s1 subscribes to `a` and `b` and leaves after 10 messages, s2 subscribes to `b` and `c` and leaves after 20, and a third one
subscribes to a topic that is not in the demo. Prints `NAME MESSAGE` for each message and `NAME left` at the end.
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


threads = [threading.Thread(target=subscriber, args=(*each, sys.argv[1])) for each in SUBSCRIBERS]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
