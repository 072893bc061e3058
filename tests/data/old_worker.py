#!/usr/bin/env python3
"""A worker as people wrote them for protocol 0 before there was Het-Sync:
header and payload in two sends, no socket options, then read the sum back.

usage: old_worker.py PORT ROUNDS FLOATS VALUE
Prints one line per round, `ROUND FIRST LAST`, and the seconds in all.
"""
import socket
import struct
import sys
import time


def read_exactly(sock, count):
    data = b""
    while len(data) < count:
        part = sock.recv(count - len(data))
        if not part:
            sys.exit("server closed the connection")
        data += part
    return data


def main():
    port, rounds, floats = (int(arg) for arg in sys.argv[1:4])
    value = float(sys.argv[4])
    sock = socket.create_connection(("127.0.0.1", port))
    started = time.monotonic()
    for number in range(rounds):
        payload = struct.pack("<%df" % floats, *[value + number] * floats)
        sock.sendall(struct.pack(">Q", len(payload)))
        sock.sendall(payload)
        (length,) = struct.unpack(">Q", read_exactly(sock, 8))
        result = struct.unpack("<%df" % (length // 4), read_exactly(sock, length))
        print(number, result[0], result[-1])
    print("seconds %.6f" % (time.monotonic() - started))


main()
