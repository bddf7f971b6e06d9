#!/usr/bin/env bash
# pyzmq 27.3.0 (libzmq 4.3.5) under asyncio: a task that receives messages that are there already never lets another task run.
#
# Behaviour: `await socket.recv()` of zmq.asyncio returns a future that is done when a message waits, and awaiting that does not
# yield. While a subscriber works off 2,000 messages, a task beside it, which only counts its turns, has none; a heartbeat or a
# timeout in the same program stands still for as long as messages come faster than they are handled.
# Expected: a library that shares its event loop yields from time to time, or says that it does not.
# Seen: another task had 0 turns while 2000 messages were received
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pyzmq==27.3.0
timeout 60 "$folder/venv/bin/python" - <<'PYTHON'
import asyncio, sys, time, zmq, zmq.asyncio

MESSAGES = 2000

async def main():
    context = zmq.asyncio.Context()
    publisher, subscriber = context.socket(zmq.PUB), context.socket(zmq.SUB)
    publisher.set_hwm(0)
    subscriber.set_hwm(0)
    port = publisher.bind_to_random_port("tcp://127.0.0.1")
    subscriber.subscribe(b"")
    subscriber.connect(f"tcp://127.0.0.1:{port}")
    await asyncio.sleep(1)
    for _ in range(MESSAGES):
        await publisher.send(b"x")
    # All of them are there now.
    time.sleep(1)
    turns = 0

    async def count():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(count())
    for _ in range(MESSAGES):
        await subscriber.recv()
    seen = turns
    other.cancel()
    context.destroy(linger=0)
    return seen

turns = asyncio.run(main())
print(f"another task had {turns} turns while {MESSAGES} messages were received")
if turns > MESSAGES / 100:
    print("this has changed", file=sys.stderr)
    sys.exit(1)
PYTHON
