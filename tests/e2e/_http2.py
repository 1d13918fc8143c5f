# SPDX-License-Identifier: Apache-2.0
"""An HTTP/2 client that does what it is told, right or wrong: frames written and read by hand.

Header blocks are literals without indexing and without Huffman codes, and the server is told to have no dynamic table,
so what it sends back needs no more than a few entries of the static one.  Source: RFC 9113, RFC 7541.
"""

import socket
import struct
import time

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED = 1, 1, 4, 8
HEADER_TABLE_SIZE, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE = 1, 4, 5
CANCEL = 8
WINDOW_MAX = 0x7FFFFFFF
STATIC = {8: (":status", "200"), 12: (":status", "400"), 13: (":status", "404"), 14: (":status", "500")}
STATIC_NAMES = {8: ":status", 28: "content-length", 31: "content-type", 33: "date", 54: "server"}

CHECK = "/envoy.service.auth.v3.Authorization/Check"
HEALTH = "/grpc.health.v1.Health/Check"
WATCH = "/grpc.health.v1.Health/Watch"


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def settings(**values):
    names = {
        "header_table_size": HEADER_TABLE_SIZE,
        "initial_window_size": INITIAL_WINDOW_SIZE,
        "max_frame_size": MAX_FRAME_SIZE,
    }
    return frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", names[name], value) for name, value in values.items()))


def _integer(value, bits, first=0):
    limit = (1 << bits) - 1
    if value < limit:
        return bytes([first | value])
    out = [first | limit]
    value -= limit
    while value >= 128:
        out.append(value % 128 + 128)
        value //= 128
    return bytes([*out, value])


def field(name, value):
    name, value = (text.encode() if isinstance(text, str) else text for text in (name, value))
    return b"\0" + _integer(len(name), 7) + name + _integer(len(value), 7) + value


def request_fields(path=CHECK, method="POST", content_type="application/grpc", timeout=None, more=()):
    fields = [(":method", method), (":scheme", "http"), (":path", path), (":authority", "test"), ("te", "trailers")]
    if content_type:
        fields.append(("content-type", content_type))
    if timeout:
        fields.append(("grpc-timeout", timeout))
    return b"".join(field(*pair) for pair in (*fields, *more))


def grpc_message(message, compressed=0):
    return struct.pack(">BI", compressed, len(message)) + message


# ---------------------------------------------------------------------------------------------------- protobuf


def varint(value):
    out = bytearray()
    while value > 127:
        out.append(value % 128 + 128)
        value //= 128
    return bytes(out) + bytes([value])


def number(field_number, value):
    return varint(field_number << 3) + varint(value)


def nested(field_number, payload):
    payload = payload.encode() if isinstance(payload, str) else payload
    return varint(field_number << 3 | 2) + varint(len(payload)) + payload


def check_request(path="/", body=b""):
    """A CheckRequest as Envoy writes it: source, destination, HTTP attributes."""

    def peer(address, port):
        return nested(1, nested(1, nested(2, address) + number(3, port)))

    http = nested(2, "GET") + nested(4, path) + nested(5, "test") + nested(10, "HTTP/2")
    if body:
        http += nested(11, body)
    return nested(
        1, nested(1, peer("192.0.2.7", 40000)) + nested(2, peer("192.0.2.1", 443)) + nested(4, nested(2, http))
    )


# ---------------------------------------------------------------------------------------------------- connections


class Closed(Exception):
    """The server has ended the connection."""


class Response:
    """What came on one stream; `status` is gRPC's, None when there was none."""

    def __init__(self):
        self.headers, self.data, self.reset, self.ended = {}, b"", None, False

    @property
    def status(self):
        return int(self.headers["grpc-status"]) if "grpc-status" in self.headers else None

    @property
    def message(self):
        return self.data[5:]

    def __repr__(self):
        return f"<{self.headers} {self.data[:60]!r} reset {self.reset}>"


def connect(address, timeout=60):
    """`address` as --listen takes it."""
    if address.startswith("unix:"):
        connected = socket.socket(socket.AF_UNIX)
        target = address[5:]
    else:
        connected = socket.socket()
        host, port = address.rsplit(":", 1)
        target = (host, int(port))
    connected.settimeout(timeout)
    connected.connect("\0" + target[1:] if isinstance(target, str) and target.startswith("@") else target)
    return connected


class Http2:
    """A connection; after `hello` unless told otherwise.  Responses are kept by stream."""

    def __init__(self, address, hello=True, window=WINDOW_MAX, timeout=60):
        self.socket = connect(address, timeout)
        self.buffer = b""
        self.responses, self.next_stream = {}, 1
        self.goaway = None
        self.pings = 0  # answered
        self.send_window, self.initial_window, self.windows = 65535, 65535, {}
        self.block = b""
        if hello:
            self.send(PREFACE + settings(header_table_size=0, initial_window_size=window))
            self.send(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", WINDOW_MAX - 65535)))

    def close(self):
        self.socket.close()

    def send(self, data):
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise Closed(str(error)) from None

    def _receive(self, size):
        while len(self.buffer) < size:
            try:
                more = self.socket.recv(1 << 16)
            except ConnectionResetError as error:
                raise Closed(str(error)) from None
            if not more:
                raise Closed("end")
            self.buffer += more
        taken, self.buffer = self.buffer[:size], self.buffer[size:]
        return taken

    def read_frame(self):
        """Takes one frame and does what it asks for."""
        head = self._receive(9)
        size, kind, flags, stream = int.from_bytes(head[:3], "big"), head[3], head[4], int.from_bytes(head[5:], "big")
        payload = self._receive(size)
        response = self.responses.get(stream)
        if kind == SETTINGS and not flags & ACK:
            self._take_settings(payload)
            self.send(frame(SETTINGS, ACK, 0))
        elif kind == PING:
            if flags & ACK:
                self.pings += 1
            else:
                self.send(frame(PING, ACK, 0, payload))
        elif kind == GOAWAY:
            self.goaway = (int.from_bytes(payload[4:8], "big"), payload[8:])
        elif kind == WINDOW_UPDATE:
            self._take_window(stream, int.from_bytes(payload, "big"))
        elif response and kind == RST_STREAM:
            response.reset, response.ended = int.from_bytes(payload, "big"), True
        elif response and kind == DATA:
            response.data += payload
        elif kind in (HEADERS, CONTINUATION):
            self.block += payload
            if flags & END_HEADERS:
                if response:
                    response.headers.update(read_fields(self.block))
                self.block = b""
        if response and kind in (DATA, HEADERS) and flags & END_STREAM:
            response.ended = True
        return kind

    def _take_settings(self, payload):
        for at in range(0, len(payload), 6):
            name, value = struct.unpack_from(">HI", payload, at)
            if name == INITIAL_WINDOW_SIZE:
                for stream in self.windows:
                    self.windows[stream] += value - self.initial_window
                self.initial_window = value

    def _take_window(self, stream, more):
        if stream == 0:
            self.send_window += more
        elif stream in self.windows:
            self.windows[stream] += more

    # ------------------------------------------------------------------------------------------------ calls

    def open_stream(self, fields=None, end=False):
        stream = self.next_stream
        self.next_stream += 2
        self.responses[stream] = Response()
        self.windows[stream] = self.initial_window
        flags = END_HEADERS | (END_STREAM if end else 0)
        self.send(frame(HEADERS, flags, stream, request_fields() if fields is None else fields))
        return stream

    def send_data(self, stream, data, end=True):
        """As much as the server's windows let in, and then the rest; gives up when the stream is reset."""
        at = 0
        while at < len(data):
            size = min(16384, len(data) - at, self.send_window, self.windows[stream])
            if size <= 0:
                self.read_frame()
                if self.responses[stream].ended:
                    return
                continue
            last = end and at + size == len(data)
            self.send(frame(DATA, END_STREAM if last else 0, stream, data[at : at + size]))
            self.send_window -= size
            self.windows[stream] -= size
            at += size

    def start(self, message=None, fields=None):
        """A call in one write, for messages that fit into every window; `message` is framed already."""
        stream = self.next_stream
        self.next_stream += 2
        self.responses[stream] = Response()
        self.windows[stream] = self.initial_window
        message = grpc_message(check_request()) if message is None else message
        self.send(
            frame(HEADERS, END_HEADERS, stream, request_fields() if fields is None else fields)
            + frame(DATA, END_STREAM, stream, message)
        )
        self.send_window -= len(message)
        return stream

    def finish(self, stream):
        """The response; the stream is forgotten."""
        while not self.responses[stream].ended:
            self.read_frame()
        self.windows.pop(stream, None)
        return self.responses.pop(stream)

    def call(self, message=None, **request):
        """One call: `message` in its gRPC frame, or None for a Check that is allowed."""
        return self.finish(self.start(message, request_fields(**request)))


def read_fields(block):
    """The fields that gRPC core writes when it has no dynamic table and we cannot read Huffman codes."""
    fields, at = {}, 0

    def integer(bits):
        nonlocal at
        limit = (1 << bits) - 1
        value = block[at] & limit
        at += 1
        if value == limit:
            shift = 0
            while True:
                byte = block[at]
                at += 1
                value += (byte & 127) << shift
                shift += 7
                if byte < 128:
                    break
        return value

    def text():
        nonlocal at
        if block[at] & 0x80:
            raise ValueError("a Huffman code")
        size = integer(7)
        at += size
        return block[at - size : at].decode("latin-1")

    while at < len(block):
        first = block[at]
        if first & 0x80:
            name, value = STATIC[integer(7)]
        elif first & 0xE0 == 0x20:
            integer(5)  # the size of the table
            continue
        else:
            index = integer(6 if first & 0x40 else 4)
            name = STATIC_NAMES[index] if index else text()
            value = text()
        fields[name] = value
    return fields


def wait_alive(address, seconds=60):
    """Is a Check on a connection of its own answered?  Returns the response, or the exception."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            connection = Http2(address, timeout=seconds)
            try:
                return connection.call()
            finally:
                connection.close()
        except (OSError, Closed) as error:
            if time.monotonic() > deadline:
                return error
            time.sleep(0.1)
