#!/usr/bin/env python3
"""Writes fuzz/seeds/TARGET/NAME: small inputs with which each fuzz target begins. Run it after a change, and commit what it
writes: `python3 fuzz/seeds.py`."""

import pathlib
import shutil

HERE = pathlib.Path(__file__).parent
HASH = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0$UkVk0FrQJCcTVnZzMwJV2WcKmXxGxQ0AHDqJzZUuTJU"
# Secret keys of 32 bytes 2 and 3 are what the targets have; this is the pair of Z85's RFC 26, whose secret is well known.
PUBLIC = "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID"
SECRET = "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs"


def greeting(mechanism, minor=1, server=0):
    head = b"\xff" + bytes(7) + b"\x01\x7f\x03" + bytes([minor])
    return head + mechanism.ljust(20, b"\0") + bytes([server]) + bytes(31)


def command(name, data=b""):
    body = bytes([len(name)]) + name + data
    return (bytes([4, len(body)]) if len(body) < 256 else b"\x06" + len(body).to_bytes(8, "big")) + body


def prop(name, value):
    return bytes([len(name)]) + name + len(value).to_bytes(4, "big") + value


def message(*frames):
    last = len(frames) - 1
    return b"".join(bytes([at < last, len(frame)]) + frame for at, frame in enumerate(frames))


SUB, XPUB = prop(b"Socket-Type", b"SUB"), prop(b"Socket-Type", b"XPUB")
READY = command(b"READY", SUB)
TRAFFIC = command(b"SUBSCRIBE", b"a") + message(b"\x01b") + message(b"topic", b"value") + command(b"CANCEL", b"a")
PING = command(b"PING", b"\0\x0acontext")

# A step of `web`: how much the stream gives and there is room for, what is done, and with what.
WIDE = b"\x07\xcf\x0b\xb7"
HEAD = b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"


def raw(data):
    pieces = [data[at : at + 63] for at in range(0, len(data), 63)]
    return b"".join(WIDE + b"\0" + bytes([len(piece)]) + piece for piece in pieces)



def numbers(*values):
    return b"".join(value.to_bytes(8, "big") for value in values)


# A step of `mesh`: what is done, of which site, and with which payload after version and kind.
def site(kind, body, epoch=b"", name=0):
    return bytes([kind, name]) + epoch + bytes([1, len(body)]) + body


SEEDS = {
    "mesh": {
        "genuine": b"\x08\0\5\1\x09\0\1" + b"\5\0\1\1\5\0\2\1\6\0\1" + b"\5\0\1\0\6\0\0\7\0" + b"\x0a\0\x03\x09\0\1",
        "forged": site(1, numbers(7, 3, 0, 0)) + site(2, numbers(7, 4) + b"\3a\5bc\2a") + site(3, numbers(7, 3, 0, 0), b"\7"),
        "gone": b"\0\0\7\1\0\0\7\0\0\1\x08\1\0\1\x09\1\0\2\6\1\4\0\7\x0a\0\xff\x0a\0\xff",
        "batch": site(11, numbers(1, 1, 0) + b"\0\0\0\0\2" + numbers(6) + b"\0\1a\0\1b" + b"\1\2\1\0\1tx"),
    },
    "web": {
        "head": b"\0\0" + raw(HEAD + b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: ZWS2.0\r\n\r\n"),
        "plain": b"\0\0" + raw(b"GET /x?token=y HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\n\r\n"),
        "answer": b"\1\0" + raw(b"HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\n\r\nnot here\n"),
        "bare": b"\0\1\0" + raw(b"\x82\x81\0\0\0\0\0\x82\x83\0\0\0\0\0\1a\x88\x80\0\0\0\0") + (WIDE + b"\4\0\0\5") * 4,
        "null": b"\1\1\1" + raw(b"\x82\x07\2\5READY\x82\x05\1abcd\2\1\0\x80\1x\x89\2hi") + WIDE + b"\5" + (WIDE + b"\4\3\1\0") * 3,
    },
    "handshake": {
        "null-3.1": b"\0" + greeting(b"NULL") + READY,
        "null-3.0": b"\x09" + greeting(b"NULL", 0) + command(b"READY", SUB + prop(b"Identity", b"id")),
        "2.0": b"\0" + b"\xff" + bytes(7) + b"\x01\x7f\x01\x02\0\0",
        "error": b"\0" + greeting(b"NULL") + command(b"ERROR", b"\x02no"),
    },
    "plain": {
        "server": b"\0" + command(b"HELLO", b"\x04user\x08password") + command(b"INITIATE", SUB),
        "server-refuses": b"\x02" + command(b"HELLO", b"\0\0") + command(b"INITIATE", SUB),
        "client": b"\x09" + command(b"WELCOME") + command(b"READY", XPUB),
        "refused": b"\x09" + command(b"ERROR", b"\x03400"),
        "refused-by-libzmq": b"\x09\x04\x09^RROR\x03400",
        "greeting": b"\x04" + greeting(b"PLAIN") + command(b"HELLO", b"\x01a\x01b"),
    },
    "curve_server": {
        "literal": b"\0" + command(b"HELLO", b"\x01\0" + bytes(192)) + command(b"INITIATE", bytes(300)),
        "foreign": b"\x01" + bytes(160),
        "foreign-changed": b"\x01" + bytes(range(43)) + b"\x00\x00\xc9\x01" + bytes(100),
        "tampered": b"\x03" + bytes(120),
        "tampered-hello": b"\x03\x01" + bytes(4) + b"\x80\x00\x55\x00\x03" + bytes(60),
    },
    "curve_client": {
        "literal": b"\0" + command(b"WELCOME", bytes(160)) + command(b"READY", bytes(60)),
        "error": b"\0" + command(b"ERROR", b"\x03400"),
        "foreign": b"\x01" + bytes(260),
        "foreign-other-metadata": b"\x01" + bytes(32) + b"\0" + bytes(range(96)) + bytes(24) + b"\x02" + bytes(80),
    },
    "coat": {
        "short-frames": b"\x01" + b"\0\0\x0a\0abcd" * 8 + b"\x06\xff\xff\0\x10\0" + b"\x0a\xff\xff\x01\x40\x00" * 3,
        "long-frame": b"\x01\0\0\xf4\x01" + b"\x06\xff\xff\x02\x10\0" * 4 + b"\x0a\xff\xff\x02\xff\xff" * 4,
        "changed": b"\x02" + b"\0\0\x20\0abcd" * 4 + b"\x06\xff\xff\0\x10\0" + b"\x0d\0\x30\x01\0\x03" + b"\x0a\xff\xff\0\x40\0",
        "foreign-framing": b"\0" + b"\x05\x00\x10\x00\x00\x00\x00\x01\x00\x01" * 6,
    },
    "command": {
        "subscribe": b"\x09SUBSCRIBEabc",
        "ready": b"\x05READY" + SUB + prop(b"Identity", b"id"),
        "ping": b"\x04PING\0\x0acontext",
        "pong": b"\x04PONGcontext",
        "error": b"\x05ERROR\x02no",
    },
    "scanner": {
        "messages": b"\x02" + message(b"a", b"b", b"") + TRAFFIC + b"\x02" + (300).to_bytes(8, "big") + bytes(300),
        "3.0": b"\x41" + TRAFFIC,
        "too-long": b"\x02\x02" + (1 << 40).to_bytes(8, "big"),
    },
    "peer": {
        "after-handshake": b"\0" + TRAFFIC + PING,
        "raw": b"\x01" + greeting(b"NULL") + READY + TRAFFIC,
        "plain": b"\x02" + TRAFFIC + PING,
        "raw-plain": b"\x03" + greeting(b"PLAIN") + command(b"HELLO", b"\x02me\0") + command(b"INITIATE", SUB) + TRAFFIC,
        "curve": b"\x04" + TRAFFIC + PING,
    },
    # A seed of the network, shards, whether answers come later, the mechanism; then steps.
    "stranger": {
        "subscribes": b"\x07\0\0\0" + b"\0\0\x10" + b"\x01\x00\x01\x10" * 20 + b"\x0f\0\x10",
        "many": b"\x01\x01\0\0" + b"\0\0\x10\x10\x01\x20" + b"\x07\x00\x05\x20\x00\x40" * 8 + b"\x0d\0\x07\x10",
        "leaves": b"\x02\x01\0\0" + b"\0\0\x10" + b"\x01\0\x02\x10\x0c\x00\x01\x10\x00\x01\x10" * 6,
        "plain": b"\x03\0\0\x01" + b"\0\0\x80" + b"\x01\x00\x01\x10" * 9 + b"\0\x06\x80\x01\x01\x01\x10",
        "plain-later": b"\x03\0\x01\x01" + b"\0\0\x80" + b"\x01\x00\x01\x10" * 9 + b"\0\x06\x80\x01\x01\x01\x10",
        "curve": b"\x03\0\0\x02" + b"\0\0\xff" * 2 + b"\x01\x00\x01\xff\x01\x01\x02\xff" * 9,
        "curve-later": b"\x03\x01\x01\x02" + b"\0\0\xff" * 2 + b"\x07\x00\x05\x20\x00\xff" * 4,
    },
    "certificate": {
        "public": f'metadata\n    name = "ann"\ncurve\n    public-key = "{PUBLIC}"\n'.encode(),
        "secret": f"# ours\ncurve\n  public-key = '{PUBLIC}' # a\n  secret-key = \"{SECRET}\"\n".encode(),
        "bare": f"secret-key={SECRET}\r\n".encode(),
    },
    "passwords": {
        "users": f"# users\n\nann:{HASH}\nbob:{HASH}\n".encode(),
        "wrong": b"ann:$argon2id$v=19$m=9999999,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA\n",
    },
    "endpoint": {
        str(at): text.encode()
        for at, text in enumerate(
            [
                "tcp://127.0.0.1:8888",
                "tcp://*:*",
                "tcp://[::1]:80",
                "tcp://[fe80::1%eth0]:80",
                "tcp://192.168.0.1:0;example.org:5555",
                "ipc:///tmp/a b",
                "ipc://@abstract",
                "inproc://name",
            ]
        )
    },
    "pattern": {
        str(at): bytes([len(text)]) + text.encode() + topic.encode()
        for at, (text, topic) in enumerate(
            [
                ("clock", "clock"),
                ("prices/{symbol}", "prices/AAPL"),
                ("proc/{pid:int}/rss", "proc/17/rss"),
                ("{a}-{b:word}.x", "1-2.x"),
                ("{n:[a-z]{2,3}(x|y)*}", "abxy"),
                ("{{literal}}", "{literal}"),
            ]
        )
    },
    "frames": {
        "lines": b"\x04\x14\x03a\t1\nb\t2\n\nno tab\n" + b"x" * 30,
        "length": b"\x01\x20\x02" + b"\0\0\0\x03abc\0\0\0\0\0\0\0\x01\n\0\0",
        "json": b'\x05\x80\x05{"topic":"a","value":"1"}\n{"value":[1, 2]}\n{"base64":"AAE"}\n{"topic":"a","end":true}\n',
    },
    "config": {
        path.stem: "\n".join(
            line for line in path.read_text().splitlines() if line and not line.lstrip().startswith("#")
        ).encode()
        for path in sorted((HERE.parent / "examples").rglob("*.toml"))
    },
}
SEEDS["config"]["keys"] = b"""bind = ["tcp://127.0.0.1:8888", "ipc://@oncue"]
grace = "2s"
on_full = "drop-oldest"
[curve]
secret_key_file = "server.key_secret"
clients = "any"
[[rule]]
allow = ["host/", "clock"]
from = "10.0.0.0/8"
[[rule]]
deny = ""
[[route]]
topic = "prices/{symbol}"
command = ["python3", "prices.py"]
mode = "shared"
framing = "json"
[[route]]
topic = "log/{name:word}"
file = "logs/{name}"
"""

if __name__ == "__main__":
    shutil.rmtree(HERE / "seeds", ignore_errors=True)
    for target, seeds in SEEDS.items():
        place = HERE / "seeds" / target
        place.mkdir(parents=True)
        for name, data in seeds.items():
            (place / name).write_bytes(data)
