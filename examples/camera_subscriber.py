"""Saves three pictures of camera 1 as picture-1.jpg and so on, in the current directory."""

import zmq

socket = zmq.Context().socket(zmq.SUB)
socket.connect("tcp://127.0.0.1:8888")
socket.subscribe("camera/1")
for number in range(1, 4):
    topic, picture = socket.recv_multipart()
    with open(f"picture-{number}.jpg", "wb") as file:
        file.write(picture)
    print(topic.decode(), len(picture))
