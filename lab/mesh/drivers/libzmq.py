"""The same scene made of libzmq: sites of two proxies each, the usual way to do what a mesh does; producers; subscribers. It
speaks as lab/mesh/src/protocol.rs says.

At a site local publishers connect to `sources`. A proxy passes what they send to `trunk`, where every site is connected, this
one too. Another proxy passes what comes from all trunks to `local`, where local subscribers connect. Nothing that came from
another site reaches a trunk, so there is no loop.

    libzmq.py site TIMEOUT_MS SOURCES TRUNK LOCAL TRUNK_OF_EACH_SITE...
    libzmq.py producer TIMEOUT_MS ENDPOINT
    libzmq.py subscriber TIMEOUT_MS ENDPOINT...

With a TIMEOUT_MS of 0 the sockets have the defaults of libzmq; otherwise heartbeats, and queues without a bound.
"""

import json
import sys
import threading
import time

import zmq

CONTEXT = zmq.Context()


def socket(kind, timeout):
    made = CONTEXT.socket(kind)
    made.linger = 0
    if timeout:
        # What libzmq offers against peers that vanish.
        made.heartbeat_ivl = timeout // 4
        made.heartbeat_timeout = timeout
        made.reconnect_ivl = 20
        made.reconnect_ivl_max = 200
        # Against subscriptions and cancels that are lost since a queue is full.
        made.sndhwm = 0
        made.rcvhwm = 0
    return made


def say(answer):
    print(json.dumps(answer), flush=True)


def serve(answer):
    say("Ready")
    for line in sys.stdin:
        ask = json.loads(line)
        kind, value = (ask, None) if isinstance(ask, str) else next(iter(ask.items()))
        say(answer(kind, value))


def proxy(timeout, bound, connected, backend_at):
    frontend, backend = socket(zmq.XSUB, timeout), socket(zmq.XPUB, timeout)
    for endpoint in bound:
        frontend.bind(endpoint)
    backend.bind(backend_at)
    for endpoint in connected:
        frontend.connect(endpoint)
    threading.Thread(target=zmq.proxy, args=(frontend, backend), daemon=True).start()


def site(timeout, sources, trunk, local, *trunks):
    proxy(timeout, [sources], [], trunk)
    proxy(timeout, [], trunks, local)
    serve(lambda kind, value: {"Failed": f"a site of libzmq cannot do {kind}"})


def producer(timeout, endpoint):
    made = socket(zmq.XPUB, timeout)
    made.connect(endpoint)
    wanted, lock = set(), threading.Lock()

    def follow():
        while True:
            event = made.recv()
            with lock:
                (wanted.add if event[0] else wanted.discard)(event[1:].decode())

    def answer(kind, value):
        with lock:
            return {"Demand": sorted(wanted)}

    threading.Thread(target=follow, daemon=True).start()
    serve(answer)


def subscriber(timeout, *endpoints):
    sockets = [socket(zmq.SUB, timeout) for _ in endpoints]
    for made, endpoint in zip(sockets, endpoints):
        made.connect(endpoint)

    def answer(kind, value):
        made = sockets[value["socket"]]
        for prefix in value["subscribe"]:
            made.subscribe(prefix)
        for prefix in value["cancel"]:
            made.unsubscribe(prefix)
        return {"Done": time.monotonic_ns()}

    serve(answer)


role, timeout, *endpoints = sys.argv[1:]
{"site": site, "producer": producer, "subscriber": subscriber}[role](int(timeout), *endpoints)
