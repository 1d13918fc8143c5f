# SPDX-License-Identifier: Apache-2.0
"""One Check, asked the way Envoy asks it: gRPC over HTTP/2 on a unix socket, in a few lines and without a package.

Nothing of HTTP/2 but what one unary call needs; each call has a connection of its own.  What the server's header
compression says is not decoded: the reply is in the DATA frames, and without any the call has failed.
"""

import socket
import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RESET, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7
END_STREAM = ACK = 1
END_HEADERS = 4
STREAM = 1
METHOD = "/envoy.service.auth.v3.Authorization/Check"


class CheckError(Exception):
    """The call brought no reply."""


# ------------------------------------------------------------------------------------------------------- protobuf


def varint(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes(out) + bytes([number])


def field(number, value):
    """A field of type bytes, string, message (as bytes) or integer."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def fields(message):
    """[(number, value)] of a message; values are bytes or integers."""
    found, at = [], 0

    def number():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(message):
        tag = number()
        if tag & 7 == 0:
            found.append((tag >> 3, number()))
        elif tag & 7 == 2:
            length = number()
            found.append((tag >> 3, message[at : at + length]))
            at += length
        else:
            raise CheckError(f"field {tag >> 3} of wire type {tag & 7} in a reply")
    return found


def values(message, *path):
    """All values at a path of field numbers."""
    found = [message]
    for wanted in path:
        found = [value for inner in found for number, value in fields(inner) if number == wanted]
    return found


def peer(address, port):
    return field(1, field(1, field(2, address) + field(3, port)))


def check_request(source, destination, path="/"):
    """CheckRequest as Envoy's HTTP filter makes it; source and destination are (address, port)."""
    http = field(2, "GET") + field(4, path) + field(5, "cluster.test") + field(6, "http") + field(10, "HTTP/1.1")
    return field(1, field(1, peer(*source)) + field(2, peer(*destination)) + field(4, field(2, http)))


# --------------------------------------------------------------------------------------------------------- HTTP/2


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def literal(name, value):
    """A header field without compression (RFC 7541 6.2.2)."""
    return b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()


REQUEST_HEADERS = b"".join(
    literal(name, value)
    for name, value in (
        (":method", "POST"),
        (":scheme", "http"),
        (":path", METHOD),
        (":authority", "synauthz"),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
    )
)


def read_exactly(connection, length):
    got = b""
    while len(got) < length:
        more = connection.recv(length - len(got))
        if not more:
            raise CheckError("the server closed the connection")
        got += more
    return got


def read_reply(connection):
    """The bytes of the stream's DATA frames."""
    body, headers = b"", b""
    while True:
        head = read_exactly(connection, 9)
        kind, flags, stream = struct.unpack(">BBI", head[3:])
        payload = read_exactly(connection, int.from_bytes(head[:3], "big"))
        if kind in (SETTINGS, PING) and not flags & ACK:
            connection.sendall(frame(kind, ACK, 0, payload if kind == PING else b""))
        elif kind == GOAWAY:
            raise CheckError(f"GOAWAY: {payload!r}")
        elif stream == STREAM and kind == RESET:
            raise CheckError(f"stream reset: {payload!r}")
        elif stream == STREAM and kind == DATA:
            body += payload
        elif stream == STREAM and kind == HEADERS:
            headers += payload
        if stream == STREAM and kind in (DATA, HEADERS) and flags & END_STREAM:
            if len(body) < 5:
                raise CheckError(f"no reply, but headers {headers!r}")
            return body


def unary_call(path, message, seconds=5):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(seconds)
        connection.connect(path)
        connection.sendall(
            PREFACE
            + frame(SETTINGS, 0, 0)
            + frame(HEADERS, END_HEADERS, STREAM, REQUEST_HEADERS)
            + frame(DATA, END_STREAM, STREAM, struct.pack(">BI", 0, len(message)) + message)
        )
        body = read_reply(connection)
    compressed, length = struct.unpack(">BI", body[:5])
    if compressed or length != len(body) - 5:
        raise CheckError(f"a reply of {len(body) - 5} bytes, not {length}")
    return body[5:]


class Verdict:
    """A CheckResponse: `allowed`, and the headers that the request would get upstream."""

    def __init__(self, message):
        codes = values(message, 1, 1) or [0] * len(values(message, 1))
        self.allowed = codes == [0] and bool(values(message, 3))
        self.headers = {}
        for header in values(message, 3, 2, 1):
            parts = dict(fields(header))
            self.headers[parts[1].decode()] = parts.get(2, b"").decode()


def check(path, source, destination):
    return Verdict(unary_call(path, check_request(source, destination)))
