"""Subscribes to the memory use of this very process, which nothing has measured before."""

import os
import zmq

socket = zmq.Context().socket(zmq.SUB)
socket.connect("tcp://127.0.0.1:8888")
socket.subscribe(f"proc/{os.getpid()}/rss")
for _ in range(3):
    topic, kilobytes = socket.recv_multipart()
    print(topic.decode(), int(kilobytes))
