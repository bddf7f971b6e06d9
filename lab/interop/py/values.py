"""Produces numbers, RATE a second, or as fast as possible if RATE is 0: the same work in two ways, for src/bin/shared.rs.

`values.py lines RATE` writes them to standard output, as a shared program of `oncue serve` does, for the first topic that it
is told. `values.py pub RATE` publishes them with pyzmq; it prints its endpoint.
"""
import sys
import time

way, rate = sys.argv[1], int(sys.argv[2])

if way == "lines":
    topic = sys.stdin.buffer.readline()[1:].rstrip(b"\n")
    write = sys.stdout.buffer.write

    def publish(value):
        write(b"%b\t%b\n" % (topic, value))
else:
    import zmq

    socket = zmq.Context().socket(zmq.PUB)
    socket.bind("tcp://127.0.0.1:0")
    print(socket.getsockopt_string(zmq.LAST_ENDPOINT), flush=True)
    topic = b"values/a"
    send = socket.send_multipart

    def publish(value):
        send([topic, value])


start = time.monotonic()
number = 0
while True:
    for _ in range(100):
        publish(b"%d" % number)
        number += 1
    if rate:
        time.sleep(max(0, start + number / rate - time.monotonic()))
