#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a client could do to the server, over a unix and a TCP socket: each message and each status, and whether others
are answered all the while, memory stays bounded, and the server ends clean."""

import contextlib
import subprocess
import tempfile
import threading
import time

from _cases import *
from _http2 import *

POLICY = """\
version: 1
rules:
  - id: large
    when: {http.path: /large}
    then: deny
    respond: {status: 403, body: "%s"}
default: allow
on_unknown: skip
""" % ("x" * 16000)
OK, CANCELLED, INVALID_ARGUMENT, DEADLINE_EXCEEDED, UNIMPLEMENTED = 0, 1, 3, 4, 12
PATIENCE = 60
MIB = 1 << 20
# gRPC's quota for messages on their way in is 64 MiB; beside it, what one connection's streams may take.
MEMORY_MAX = 128 * MIB


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    def __init__(self, folder):
        self.addresses = (f"unix:{folder}/authz.sock", f"127.0.0.1:{free_port()}")
        policy = os.path.join(folder, "policy.yaml")
        with open(policy, "w") as file:
            file.write(POLICY)
        listen = [option for address in self.addresses for option in ("--listen", address)]
        with open(find_synauthz(), "rb") as program:
            self.sanitized = b"__asan_init" in program.read()
        self.log = os.path.join(folder, "log")
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [find_synauthz(), "serve", "--policy", policy, "--source", "none", *listen],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "ASAN_OPTIONS": "quarantine_size_mb=8"},
            )
        wait_until(lambda: "ready" in self.output() or self.process.poll() is not None, PATIENCE, "a server")

    def output(self):
        with open(self.log, errors="replace") as log:
            return log.read()

    def memory_peak(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            return int(re.search(r"VmHWM:\s+(\d+) kB", status.read())[1]) * 1024

    def memory_max(self):
        return MEMORY_MAX * (3 if self.sanitized else 1)  # shadow, red zones, quarantine

    def ends_clean(self):
        """Does it end with 0, and has not leaked?"""
        self.process.terminate()
        return self.process.wait(PATIENCE) == 0 and not re.search(r"(ERROR|WARNING): \w+Sanitizer", self.output())


@contextlib.contextmanager
def running(cases, name):
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        server = Server(folder)
        try:
            yield server
            cases.check(f"{name}: then the server ends clean", server.ends_clean(), server.output()[-3000:])
        finally:
            server.process.kill()


class Innocent(threading.Thread):
    """Another client: it asks all the time and is answered, each time by a decision, on connections that stay.

    Not while messages beyond the quota come: gRPC core then ends whatever it can to get memory back.
    """

    def __init__(self, cases, name, address):
        super().__init__(daemon=True)
        self.cases, self.name, self.address = cases, name, address
        self.answers, self.wrong, self.over = 0, [], threading.Event()

    def run(self):
        while not self.over.is_set():
            try:
                connection = Http2(self.address, timeout=PATIENCE)
                for _ in range(20):
                    response = connection.call()
                    if not is_decision(response):
                        self.wrong.append(response)
                    self.answers += 1
                    time.sleep(0.01)
                connection.close()
            except (OSError, Closed) as error:
                self.wrong.append(error)
                time.sleep(0.1)

    def __enter__(self):
        self.start()

    def __exit__(self, *_):
        wait_until(lambda: self.answers or self.wrong, PATIENCE, "another client's first answer")
        self.over.set()
        self.join(2 * PATIENCE)
        self.cases.check(
            f"{self.name}: another client was answered all the while",
            not self.is_alive() and self.answers > 0 and not self.wrong,
            (self.answers, self.wrong[:3]),
        )


def is_decision(response):
    """An OK that says something: to Envoy, an empty message is an allow."""
    return response.status == OK and len(response.message) > 2


def is_refusal(response):
    """No message, and a status or a reset that says why."""
    return not response.data and (response.status not in (None, OK) or response.reset is not None)


def until_closed(connection, action):
    """What the server makes of `action` and everything after it, until it ends the connection."""
    with contextlib.suppress(Closed):
        action()
        while True:
            connection.read_frame()
    connection.close()


# ---------------------------------------------------------------------------------------------------- messages


def wrong_messages(cases, name, address):
    connection = Http2(address)
    cases.check(f"{name}: a Check is decided", is_decision(connection.call()))
    request = check_request()
    for what, message, more, status in (
        ("a message of no bytes", grpc_message(b""), {}, INVALID_ARGUMENT),
        ("bytes that are no protobuf", grpc_message(b"\x0a\x05a"), {}, INVALID_ARGUMENT),
        ("a CheckRequest cut short", grpc_message(request[:-3]), {}, INVALID_ARGUMENT),
        ("a message that ends before its length", grpc_message(request)[:-3], {}, INVALID_ARGUMENT),
        ("a compressed message", grpc_message(request, 1), {"more": [("grpc-encoding", "gzip")]}, UNIMPLEMENTED),
        ("a flag that there is not", grpc_message(request, 7), {}, INVALID_ARGUMENT),
        ("the v2 API", None, {"path": CHECK.replace("v3", "v2")}, UNIMPLEMENTED),
        ("another method", None, {"path": CHECK + "s"}, UNIMPLEMENTED),
        ("no path", None, {"path": "/"}, UNIMPLEMENTED),
    ):
        response = connection.call(message, **more)
        cases.check(f"{name}: {what}: status {status}", response.status == status and not response.data, response)
    response = connection.finish(connection.open_stream(end=True))
    cases.check(f"{name}: no message: status 3", response.status == INVALID_ARGUMENT, response)
    response = connection.call(method="GET")
    cases.check(f"{name}: GET is refused", is_refusal(response), response)
    # gRPC core takes any content-type for its own, and ignores what follows the message of a unary call
    for what, message, more in (
        ("another content-type", None, {"content_type": "text/plain"}),
        ("no content-type", None, {"content_type": None}),
        ("a second message", grpc_message(request) * 2, {}),
    ):
        response = connection.call(message, **more)
        cases.check(f"{name}: {what}: refused or decided", is_refusal(response) or is_decision(response), response)
    stream = connection.open_stream(request_fields(timeout="10m"))
    time.sleep(0.1)
    connection.send_data(stream, grpc_message(request))
    response = connection.finish(stream)
    cases.check(f"{name}: past its deadline: status 4", response.status == DEADLINE_EXCEEDED, response)
    cases.check(f"{name}: after all that, a Check on the same connection", is_decision(connection.call()))
    connection.close()


def is_alive(address):
    """Is another client answered, soon?"""
    response = wait_alive(address)
    return isinstance(response, Response) and is_decision(response)


def call_with_body(address, size):
    """The response; None when the connection was ended instead."""
    connection = Http2(address)
    try:
        stream = connection.open_stream()
        connection.send_data(stream, grpc_message(check_request(body=b"b" * size)))
        return connection.finish(stream)
    except Closed:
        return None
    finally:
        connection.close()


def large_messages(cases, name, address):
    for size, oversize, what in ((5 * MIB, False, "decided like any other"), (9 * MIB, True, "denied as oversize")):
        response = call_with_body(address, size)
        cases.check(
            f"{name}: a Check with {size // MIB} MiB is {what}",
            response and is_decision(response) and (b"oversize" in response.data) == oversize,
            response,
        )
    response = call_with_body(address, 64 * MIB)
    cases.check(f"{name}: one of 64 MiB is beyond the quota", response is None or is_refusal(response), response)
    cases.check(f"{name}: and others are answered", is_alive(address))


def large_messages_at_once(address):
    """None of them ends, so that all are in memory together."""
    connections = [Http2(address) for _ in range(8)]
    data = b"b" * MIB
    streams = [connection.open_stream() for connection in connections]
    for connection, stream in zip(connections, streams):
        connection.socket.settimeout(1)
        with contextlib.suppress(Closed, OSError):
            connection.send_data(stream, grpc_message(b"")[:1] + struct.pack(">I", 64 * MIB), end=False)
            for _ in range(63):
                connection.send_data(stream, data, end=False)
    return connections


# ---------------------------------------------------------------------------------------------------- streams


def cancelled_calls(address):
    connection = Http2(address)
    for _ in range(1000):
        stream = connection.start()
        connection.send(frame(RST_STREAM, 0, stream, struct.pack(">I", CANCEL)))
    for _ in range(50):  # a slow server may still take the last of them for open, and resets what is one too many
        response = connection.call()
        if is_decision(response):
            break
        time.sleep(0.1)
    return response


def many_streams(address):
    """10,000 calls, as many at once as the server lets us: how many were decided."""
    connection, decided = Http2(address), 0
    for _ in range(100):
        streams = [connection.start() for _ in range(100)]
        decided += sum(is_decision(connection.finish(stream)) for stream in streams)
    connection.close()
    return decided


def too_many_streams(address):
    """20,000 calls that never get their message, whatever the server said of how many there may be."""
    connection = Http2(address)
    until = time.monotonic() + 5
    with contextlib.suppress(Closed, TimeoutError):
        connection.socket.settimeout(5)
        for _ in range(20000):
            connection.open_stream()
        while time.monotonic() < until:
            connection.read_frame()
    return [connection]


def rapid_reset(address):
    connection = Http2(address)
    fields, cancel = request_fields(), struct.pack(">I", CANCEL)
    with contextlib.suppress(Closed, TimeoutError):
        for _ in range(200):
            out = b""
            for _ in range(100):
                out += frame(HEADERS, END_HEADERS, connection.next_stream, fields)
                out += frame(RST_STREAM, 0, connection.next_stream, cancel)
                connection.next_stream += 2
            connection.send(out)
    return [connection]


def without_window(address):
    """Replies that may not be sent."""
    connections = [Http2(address, window=0) for _ in range(3)]
    for connection in connections:
        for _ in range(90):
            connection.start()
    return connections


def without_reading(address):
    """Replies that are sent and stay in the socket."""
    connections = [Http2(address) for _ in range(10)]
    for connection in connections:
        connection.socket.settimeout(2)
        with contextlib.suppress(TimeoutError):
            for _ in range(90):
                connection.start(grpc_message(check_request("/large")))
    return connections


# ---------------------------------------------------------------------------------------------------- connections


def flood(address, one, count=20000):
    """The same frame again and again, in one connection."""
    connection = Http2(address)
    connection.socket.settimeout(5)
    with contextlib.suppress(Closed, TimeoutError):
        for _ in range(count // 100):
            connection.send(one * 100)
    return [connection]


def half_prefaces(address):
    """Clients that say a byte of it now and then, and never the end."""
    connections = [connect(address) for _ in range(100)]
    for byte in PREFACE[:12]:
        for connection in connections:
            connection.send(bytes([byte]))
    return connections


def garbage(address):
    """Something else than HTTP/2; half of it looks like it for a while."""
    connections = []
    for number in range(100):
        connection = connect(address)
        connections.append(connection)
        with contextlib.suppress(OSError):
            connection.sendall(PREFACE[: number % 24] + os.urandom(1000))
    return connections


def closed_by_server(connections):
    """How many of them the server has ended, given some time."""
    ended = 0
    for connection in connections:
        connection.settimeout(PATIENCE)
        with contextlib.suppress(ConnectionResetError):
            while connection.recv(4096):
                pass
        ended += 1
    return ended


def truncated_frames(address):
    """Connections that end in the middle of a frame, of each kind, at each of its bytes."""
    one = frame(HEADERS, END_HEADERS, 1, request_fields()) + frame(DATA, END_STREAM, 1, grpc_message(check_request()))
    for size in range(1, len(one)):
        connection = Http2(address)
        connection.send(one[:size])
        connection.close()
    return []


def giant_headers(address):
    """A header of 100 KB, in CONTINUATION frames.  gRPC's own limit is a setting, which holds when the client has
    acknowledged it."""
    connection = Http2(address)
    connection.call()
    stream, connection.next_stream = connection.next_stream, connection.next_stream + 2
    response = connection.responses[stream] = Response()
    with contextlib.suppress(Closed):
        block = request_fields(more=[("x-giant", "g" * 100000)])
        connection.send(frame(HEADERS, 0, stream, block[:16000]))
        for at in range(16000, len(block), 16000):
            last = at + 16000 >= len(block)
            connection.send(frame(CONTINUATION, END_HEADERS if last else 0, stream, block[at : at + 16000]))
        connection.send(frame(DATA, END_STREAM, stream, grpc_message(check_request())))
        while not response.ended:
            connection.read_frame()
    connection.close()
    return response


def endless_headers(address):
    """A header block of 64 MiB that has no end."""
    connection = Http2(address)
    with contextlib.suppress(Closed):
        connection.send(frame(HEADERS, 0, 1, request_fields()))
        for _ in range(64 * MIB // 16384):
            connection.send(frame(CONTINUATION, 0, 1, b"\0" * 16384))
    return [connection]


def close_all(connections):
    for connection in connections:
        with contextlib.suppress(OSError):
            connection.close()


# What is done, and may it concern others' connections?
ATTACKS = (
    ("eight messages of 64 MiB at once", large_messages_at_once, True),
    ("20,000 streams at once", too_many_streams, False),
    ("20,000 streams opened and reset", rapid_reset, False),
    ("headers without an end", endless_headers, False),
    ("replies without a window", without_window, False),
    ("replies that are not read", without_reading, False),
    ("half a preface, slowly", half_prefaces, False),
    ("garbage, also behind half a preface", garbage, False),
    ("20,000 PINGs", lambda address: flood(address, frame(PING, 0, 0, b"12345678")), False),
    ("20,000 SETTINGS", lambda address: flood(address, settings(initial_window_size=65535)), False),
    ("20,000 empty DATA frames", lambda address: flood(address, frame(DATA, 0, 1)), False),
    ("connections that end within a frame", truncated_frames, False),
)


def attacks(cases, transport, number):
    """Each on a server of its own, for the sake of the memory."""
    for what, attack, disturbs in ATTACKS:
        name = f"{transport}: {what}"
        with running(cases, name) as server:
            address = server.addresses[number]
            with contextlib.nullcontext() if disturbs else Innocent(cases, name, address):
                held = attack(address)
                cases.check(f"{name}: others are answered", is_alive(address))
                close_all(held)
            peak, limit = server.memory_peak(), server.memory_max()
            cases.check(f"{name}: memory is bounded, {peak // MIB} MiB", peak < limit, limit)


def streams(cases, name, address):
    response = cancelled_calls(address)
    cases.check(f"{name}: after 1,000 cancelled calls, a Check on the same connection", is_decision(response), response)
    cases.equal(f"{name}: 10,000 calls of one connection are decided", many_streams(address), 10000)
    response = giant_headers(address)
    cases.check(f"{name}: a header of 100 KB is refused", not response.data and response.status != OK, response)
    connections = garbage(address)
    cases.equal(f"{name}: who does not speak HTTP/2 is hung up on", closed_by_server(connections), len(connections))


def keepalive(cases, name, address):
    """Pings as often as Envoy's connection_keepalive ever sends them are answered."""
    connection = Http2(address)
    for _ in range(20):
        connection.send(frame(PING, 0, 0, b"keepaliv"))
        answered = connection.pings
        while connection.pings == answered:
            connection.read_frame()
        time.sleep(0.25)
    cases.check(
        f"{name}: four pings a second on an idle connection do not end it",
        connection.goaway is None and is_decision(connection.call()),
        connection.goaway,
    )
    connection.close()


def main(cases):
    for number, transport in enumerate(("unix", "TCP")):
        with running(cases, transport) as server:
            address = server.addresses[number]
            with Innocent(cases, transport, address):
                wrong_messages(cases, transport, address)
                streams(cases, transport, address)
                keepalive(cases, transport, address)
            large_messages(cases, transport, address)
        attacks(cases, transport, number)


run_cases(main, private=False)
