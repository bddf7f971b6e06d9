"""A camera that makes its pictures up: 25 a second, of 200 kB each. For examples/camera.toml."""
import random
import struct
import sys
import time

# A JPEG begins with these bytes, and ends with those below.
BEGIN, END = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00", b"\xff\xd9"
BYTES = 200_000

number = int(sys.argv[1])
while True:
    noise = random.randbytes(BYTES - len(BEGIN) - len(END) - 1)
    picture = BEGIN + bytes([number % 256]) + noise + END
    # The length in 4 bytes, big-endian, then the picture.
    sys.stdout.buffer.write(struct.pack(">I", len(picture)) + picture)
    sys.stdout.buffer.flush()
    time.sleep(1 / 25)
