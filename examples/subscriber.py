"""Any ZeroMQ client can subscribe: this one subscribes to the topic zebra, which was never produced before."""

import zmq

socket = zmq.Context().socket(zmq.SUB)
socket.connect("tcp://127.0.0.1:8888")
socket.subscribe("zebra")
for _ in range(3):
    print(socket.recv_multipart())
