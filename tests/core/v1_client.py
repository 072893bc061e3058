"""A worker for wire protocol 1 in plain Python, written from the book's page.

    v1_client.py vectors wire-protocol-1.md      decodes the page's examples
    v1_client.py work HOST:PORT JOB WORKER TOKEN ROUNDS

The first prints one JSON line for each example, the second one for each
result: what the frame says and its floats. Numbers of a message's fields and
their names are those of hetsync-v1.proto.
"""
import json
import re
import socket
import struct
import sys
import zlib

HELLO, WELCOME, PUSH, RESULT, CATCH_UP, HEARTBEAT, JOIN, LEAVE, ERROR = range(1, 10)
NAMES = "hello welcome push result catch-up heartbeat join leave error".split()
HEADER = struct.Struct("<4sBBBBIIQI")
TENSOR = {1: ("name", str), 2: ("elements", int)}
# Field number: name and type; a list of one for a repeated field.
FIELDS = {
    HELLO: {1: ("job", str), 2: ("worker", str), 3: ("token", str), 4: ("heartbeat_ms", int)},
    WELCOME: {1: ("epoch", int), 2: ("round", int), 3: ("max_tensor_bytes", int),
              4: ("kept_rounds", int), 5: ("seen", int)},
    PUSH: {1: ("round", int), 2: ("tensors", [TENSOR])},
    RESULT: {1: ("round", int), 2: ("contributors", int), 3: ("divisor", float), 4: ("outcome", int),
             5: ("missing_count", int), 6: ("missing", [str]), 7: ("tensors", [TENSOR])},
    CATCH_UP: {1: ("first", int), 2: ("count", int), 3: ("next", int), 4: ("recovery", int),
               5: ("fate", int), 6: ("weight", float), 7: ("tensors", [TENSOR])},
    HEARTBEAT: {1: ("nonce", int), 2: ("round", int)},
    JOIN: {1: ("next", int), 2: ("epoch", int)},
    LEAVE: {},
    ERROR: {1: ("code", int), 2: ("text", str)},
}


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def to_varint(value):
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def read_message(data, fields):
    message, at = {}, 0
    while at < len(data):
        key, at = varint(data, at)
        name, kind = fields[key >> 3]
        one = kind[0] if isinstance(kind, list) else kind
        if key & 7 == 0:
            value, at = varint(data, at)
        elif key & 7 == 1:
            value, at = struct.unpack_from("<d" if one is float else "<Q", data, at)[0], at + 8
        else:
            length, at = varint(data, at)
            value, at = data[at:at + length], at + length
            value = value.decode() if one is str else read_message(value, one)
        if isinstance(kind, list):
            message.setdefault(name, []).append(value)
        else:
            message[name] = value
    return message


def field(number, value, fixed=False):
    if isinstance(value, int):
        return bytes([number << 3 | fixed]) + (struct.pack("<Q", value) if fixed else to_varint(value))
    value = value.encode() if isinstance(value, str) else value
    return bytes([number << 3 | 2]) + to_varint(len(value)) + value


def frame(kind, message=b"", floats=()):
    tensors = struct.pack("<%df" % len(floats), *floats)
    dtype = 1 if floats or kind == HELLO else 0
    header = HEADER.pack(b"HSYN", 1, kind, dtype, 0, len(message), zlib.crc32(message),
                         len(tensors), zlib.crc32(tensors))
    return header + struct.pack("<I", zlib.crc32(header)) + message + tensors


def read_frame(read):
    header = read(HEADER.size + 4)
    magic, version, kind, _, _, length, crc, tensor_length, tensor_crc = HEADER.unpack(header[:-4])
    assert (magic, version) == (b"HSYN", 1), header
    assert zlib.crc32(header[:-4]) == struct.unpack("<I", header[-4:])[0], "header damaged"
    message, tensors = read(length), read(tensor_length)
    assert (zlib.crc32(message), zlib.crc32(tensors)) == (crc, tensor_crc), "frame damaged"
    return kind, read_message(message, FIELDS[kind]), list(struct.unpack("<%df" % (len(tensors) // 4), tensors))


def show(kind, message, floats):
    print(json.dumps({"kind": NAMES[kind - 1], "message": message, "floats": floats}), flush=True)


def vectors(path):
    for block in re.findall(r"```text\n# \S+\n(.*?)```", open(path).read(), re.S):
        data = bytes.fromhex("".join(line.split("|")[0] for line in block.splitlines()))
        rest = iter(data)
        show(*read_frame(lambda count: bytes(next(rest) for _ in range(count))))
        assert not list(rest), "more than a frame"


def work(address, job, worker, token, rounds):
    host, port = address.rsplit(":", 1)
    sock = socket.create_connection((host, int(port)), 20)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    stream = sock.makefile("rb")
    sock.sendall(frame(HELLO, field(1, job) + field(2, worker) + field(3, token)))
    kind, welcome, _ = read_frame(stream.read)
    if kind == ERROR:
        return show(kind, welcome, [])
    sock.sendall(frame(JOIN))
    next_round, done = None, 0
    while done < int(rounds):
        kind, message, floats = read_frame(stream.read)
        show(kind, message, floats)
        if kind == CATCH_UP:
            # Results of the rounds that were missed follow by themselves.
            next_round = message.get("first", 0)
            behind = message.get("count", 0) if message["recovery"] == 2 else 0
        elif kind == RESULT:
            next_round, behind = message.get("round", 0) + 1, max(behind - 1, 0)
            done += 1
        if not behind and done < int(rounds):
            layout = b"".join(field(2, field(1, name) + field(2, n)) for name, n in (("w", 2), ("b", 1)))
            sock.sendall(frame(PUSH, field(1, next_round) + layout, [1.0, -2.0, 0.5 + next_round]))
    sock.sendall(frame(LEAVE))
    assert stream.read() == b"", "a leave is answered by a close"


if __name__ == "__main__":
    {"vectors": vectors, "work": work}[sys.argv[1]](*sys.argv[2:])
