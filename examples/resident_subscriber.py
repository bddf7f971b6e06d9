"""Asks the model and prints its answer: python3 examples/resident_subscriber.py the-answer"""

import sys
import zmq

socket = zmq.Context().socket(zmq.SUB)
socket.connect("tcp://127.0.0.1:8888")
socket.subscribe(f"model/{sys.argv[1]}")
topic, answer = socket.recv_multipart()
print(answer.decode())
