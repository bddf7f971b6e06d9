#!/usr/bin/env bash
# libzmq 4.3.5 (by pyzmq 27.1.0): an XPUB takes 5 times as much memory for prefixes without a common beginning.
#
# Behaviour: 100,000 prefixes of 20 bytes from one SUB grow the XPUB's process by about 240 bytes each if they are text that counts
# up, and by about 1,280 bytes each if they are the first 20 bytes of digests: its trie has a node for each byte that no other
# prefix shares. With a million of them that is more than a gigabyte in the publisher, by one peer that sent 20 MB.
# Expected: memory in proportion to the bytes of the prefixes, whatever they are.
# Seen: text that counts up: 100000 prefixes of 20 bytes in force, 240 bytes of the XPUB's process each
#       the first bytes of digests: 100000 prefixes of 20 bytes in force, 1278 bytes of the XPUB's process each
#       ratio 5.3
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pyzmq==27.1.0
cat >"$folder/scene.py" <<'PYTHON'
import hashlib
import multiprocessing as mp
import os
import sys
import time

import zmq

N = 100_000

def rss():
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

def publisher(pipe):
    xpub = zmq.Context().socket(zmq.XPUB)
    xpub.rcvhwm = 0
    pipe.send(xpub.bind_to_random_port("tcp://127.0.0.1"))
    xpub.poll(30000)
    xpub.recv()
    before, seen = rss(), 1
    while seen < N and xpub.poll(30000):
        xpub.recv()
        seen += 1
    time.sleep(0.5)
    pipe.send((seen, (rss() - before) / N))

def measure(name, prefix):
    ours, theirs = mp.Pipe()
    process = mp.Process(target=publisher, args=(theirs,))
    process.start()
    sub = zmq.Context().socket(zmq.SUB)
    sub.sndhwm = 0
    sub.connect(f"tcp://127.0.0.1:{ours.recv()}")
    for i in range(N):
        sub.subscribe(prefix(i))
    seen, each = ours.recv()
    print(f"{name}: {seen} prefixes of {len(prefix(0))} bytes in force, {each:.0f} bytes of the XPUB's process each")
    process.join()
    sub.close(0)
    return each

if __name__ == "__main__":
    text = measure("text that counts up", lambda i: b"sensors/room/%07d" % i)
    digest = measure("the first bytes of digests", lambda i: hashlib.sha256(b"%d" % i).digest()[:20])
    print(f"ratio {digest / text:.1f}")
    sys.exit(0 if digest > 2.5 * text and digest > 600 else "this has changed")
PYTHON
"$folder/venv/bin/python" "$folder/scene.py"
