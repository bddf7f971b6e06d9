#!/usr/bin/env bash
# libzmq 4.3.5 (pyzmq 27.1.0): whether a peer of an unfit type learns the type of a libzmq socket depends on when it sends its READY.
#
# Behaviour: a raw ZMTP 3.1 client that says it is a SUB meets a REP. If it sends READY together with the end of its greeting, the
# REP closes and has never sent its own READY; if it waits for the REP's READY first, that comes, with Socket-Type REP. A peer that
# sends READY at once, as most implementations do, cannot say why it was refused.
# Expected: both sides send READY, whatever its order (RFC 37), so each can name the type that does not fit.
# Seen: READY at once:        64 bytes of greeting, then closed
#       READY after theirs:   64 bytes of greeting, then READY with Socket-Type REP
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pyzmq==27.1.0
timeout 60 "$folder/venv/bin/python" - <<'PYTHON'
import socket, sys, zmq

GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x01NULL" + bytes(16) + b"\x00" + bytes(31)
BODY = b"\x05READY" + b"\x0bSocket-Type" + (3).to_bytes(4, "big") + b"SUB"
READY = b"\x04" + bytes([len(BODY)]) + BODY

context = zmq.Context()

def told(at_once):
    server = context.socket(zmq.REP)
    port = server.bind_to_random_port("tcp://127.0.0.1")
    client = socket.create_connection(("127.0.0.1", port))
    client.settimeout(2)
    # libzmq sends the rest of its greeting when it has seen the signature and the version of ours.
    client.sendall(GREETING[:11])
    received = b""
    while len(received) < 11:
        received += client.recv(64)
    client.sendall(GREETING[11:] + (READY if at_once else b""))
    try:
        while part := client.recv(1024):
            received += part
        end = "closed"
    except TimeoutError:
        end = "silent"
    except ConnectionResetError:
        end = "closed"
    client.close()
    server.close(0)
    rest = received[64:]
    what = f"READY with Socket-Type {rest.split(b'Socket-Type')[1][4:7].decode()}" if b"READY" in rest else end
    return f"{len(received[:64])} bytes of greeting, then {what}"

first, last = told(True), told(False)
print(f"READY at once:        {first}")
print(f"READY after theirs:   {last}")
same = first == "64 bytes of greeting, then closed" and last == "64 bytes of greeting, then READY with Socket-Type REP"
sys.exit(None if same else "this has changed")
PYTHON
