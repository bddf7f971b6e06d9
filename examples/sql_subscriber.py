"""Prints the sales of a department by country, then ends: python3 examples/sql_subscriber.py books"""

import json
import sys
import zmq

socket = zmq.Context().socket(zmq.SUB)
socket.connect("tcp://127.0.0.1:8888")
socket.subscribe(f"sales/{sys.argv[1]}")
topic, value = socket.recv_multipart()
for country, euros in json.loads(value).items():
    print(country, euros)
