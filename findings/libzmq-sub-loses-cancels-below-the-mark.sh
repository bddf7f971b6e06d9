#!/usr/bin/env bash
# libzmq 4.3.5 (pyzmq 27.1.0): a SUB that subscribes to 900 topics and later unsubscribes from all loses 800 of the
# cancels, although it never had more than 900 subscriptions and the high-water mark is 1000.
#
# Behaviour: unsubscribe() succeeds 900 times, long after all 900 subscriptions have arrived and the XPUB's user has read them;
# only 100 cancels arrive. Earlier subscriptions still count towards the mark of the pipe, since the SUB learns only in batches,
# and only inside its own calls, that they were taken. The XPUB continues to send topics that have no subscriber.
# Expected: with a mark of 1000 and nothing waiting, 900 cancels fit; or unsubscribe() fails or blocks.
# Seen: 400 topics: wanted 400, then unwanted 400
#       600 topics: wanted 600, then unwanted 400
#       900 topics: wanted 900, then unwanted 100
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pyzmq==27.1.0
timeout 60 "$folder/venv/bin/python" - <<'PYTHON'
import sys, time, zmq

def told(count):
    """How many subscriptions, and then how many cancels, an XPUB receives."""
    here, there = zmq.Context(), zmq.Context()
    publisher = here.socket(zmq.XPUB)
    port = publisher.bind_to_random_port("tcp://127.0.0.1")
    subscriber = there.socket(zmq.SUB)
    subscriber.connect(f"tcp://127.0.0.1:{port}")

    def read(first_byte):
        number = 0
        while publisher.poll(500):
            number += publisher.recv()[0] == first_byte
        return number

    topics = [b"%05d" % i for i in range(count)]
    for topic in topics:
        subscriber.subscribe(topic)
    wanted = read(1)
    time.sleep(1)
    for topic in topics:
        subscriber.unsubscribe(topic)
    unwanted = read(0)
    here.destroy(0)
    there.destroy(0)
    return wanted, unwanted

seen = {count: told(count) for count in (400, 600, 900)}
print(f"libzmq {zmq.zmq_version()}")
for count, (wanted, unwanted) in seen.items():
    print(f"{count} topics: wanted {wanted}, then unwanted {unwanted}")
sys.exit(0 if seen == {400: (400, 400), 600: (600, 400), 900: (900, 100)} else "this has changed")
PYTHON
