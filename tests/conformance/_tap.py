# SPDX-License-Identifier: Apache-2.0
"""What stands between Envoy and the server under test: passes each Check on, and keeps what was asked and answered.

A scenario may have it answer by itself instead, for what synauthz must never answer and Envoy must still survive, or
be slow, or change what it passes on.  Which scenario's listener a Check comes from is in its initial metadata, where
_envoy.py puts it.
"""

import collections
import dataclasses
import socket
import threading
import time

import _wire
from _peer import Listener, Peer, PeerGone, listen_unix

METADATA = "x-conformance"  # the initial metadata's name; its value is the listener's
CHECK = "/envoy.service.auth.v3.Authorization/Check"


@dataclasses.dataclass
class Call:
    """One Check.  `status` is the gRPC status that Envoy got, None while it has none; `response` its message."""

    listener: str
    connection: int  # number of Envoy's connection
    metadata: list
    request: bytes = b""
    status: int | None = None
    message: str = ""
    response: bytes | None = None
    cancelled: bool = False  # Envoy did not wait for the answer
    scripted: bool = False  # the answer is the scenario's own, not the server's
    done: bool = False

    @property
    def attributes(self):
        return _wire.decode("CheckRequest", self.request).get("attributes", {})

    @property
    def http(self):
        return self.attributes.get("request", {}).get("http", {})

    @property
    def answer(self):
        return _wire.decode("CheckResponse", self.response or b"")

    def metadata_value(self, name):
        return next((value for key, value in self.metadata if key == name), None)


class Forward:
    """Passes the Check on, its message as `change` makes it, and the answer back as `change_answer` does."""

    def __init__(self, change=None, change_answer=None):
        self.change, self.change_answer = change, change_answer

    def perform(self, tap, call, stream):
        stream.wait_end()
        call.request = _wire.unframe(stream.data) or b""
        message = self.change(call.request) if self.change else call.request
        there = tap.server().request(_onward(stream.headers), _wire.frame(message))
        there.wait(lambda _: there.ended or stream.gone())
        if stream.gone():
            there.send_reset()
            raise PeerGone("Envoy does not wait")
        call.status = int(there.header("grpc-status") or -1)
        call.message = there.header("grpc-message") or ""
        call.response = _wire.unframe(there.data)
        data = bytes(there.data)
        if self.change_answer and call.response is not None:
            data = _wire.frame(self.change_answer(call.response))
        _send(stream, there.headers, data, there.trailers)


class Cut:
    """Passes on the headers and half of the message, then nothing, until Envoy gives up; then cancels there, too."""

    def perform(self, tap, call, stream):
        stream.wait_end()
        call.request = _wire.unframe(stream.data) or b""
        half = _wire.frame(call.request)
        there = tap.server().request(_onward(stream.headers), half[: len(half) // 2], end=False)
        try:
            stream.wait(lambda _: False, 60)
        finally:
            there.send_reset()


class Hold:
    """No answer; ends when Envoy gives up."""

    def perform(self, tap, call, stream):
        stream.wait_end()
        call.request, call.scripted = _wire.unframe(stream.data) or b"", True
        stream.wait(lambda _: False, 60)


class Status:
    """A gRPC status and no message."""

    def __init__(self, code, message=""):
        self.code, self.message = code, message

    def perform(self, tap, call, stream):
        stream.wait_end()
        call.request, call.scripted = _wire.unframe(stream.data) or b"", True
        call.status, call.message = self.code, self.message
        head = [(":status", "200"), ("content-type", "application/grpc"), ("grpc-status", str(self.code))]
        stream.send_headers([*head, *([("grpc-message", self.message)] if self.message else [])], end=True)


class Answer:
    """A CheckResponse: a dictionary (_wire.py) or its bytes."""

    def __init__(self, response):
        self.response = _wire.encode("CheckResponse", response)

    def perform(self, tap, call, stream):
        stream.wait_end()
        call.request, call.scripted = _wire.unframe(stream.data) or b"", True
        call.status, call.response = 0, self.response
        head = [(":status", "200"), ("content-type", "application/grpc")]
        _send(stream, head, _wire.frame(self.response), [("grpc-status", "0")])


def _onward(headers):
    """Envoy's headers for the server under test."""
    return [header for header in headers if header[0] != METADATA]


def _send(stream, headers, data, trailers):
    stream.send_headers(headers, end=not data and not trailers)
    if data:
        stream.send_data(data, end=not trailers)
    if trailers:
        stream.send_headers(trailers, end=True)


class Tap:
    """Listens on `path`; the server under test listens on the unix socket `server`."""

    def __init__(self, path, server):
        self.path, self.server_path = path, server
        self.changed = threading.Condition()
        self.calls, self.scripts = collections.defaultdict(list), collections.defaultdict(collections.deque)
        self._server, self._server_lock = None, threading.Lock()
        self.listener = Listener(listen_unix(path), self._connection)

    def script(self, listener, *steps):
        """What to do with the next Checks of this listener, in order; those after them are passed on."""
        with self.changed:
            self.scripts[listener].extend(steps)

    def server(self):
        """A connection to the server under test; a new one if the last was closed."""
        with self._server_lock:
            if self._server is None or self._server.closed or self._server.goaway:
                sock = socket.socket(socket.AF_UNIX)
                sock.connect(self.server_path)
                self._server = Peer(sock)
            return self._server

    def wait_calls(self, listener, count, seconds=20):
        """The first `count` calls of a listener, once they are done."""
        deadline = time.monotonic() + seconds
        with self.changed:
            while True:
                done = [call for call in self.calls[listener] if call.done]
                if len(done) >= count:
                    return done[:count]
                if not self.changed.wait(deadline - time.monotonic()):
                    raise TimeoutError(f"{len(done)} of {count} Checks came from {listener}")

    def wait_call(self, wanted, seconds=20):
        """A call for which wanted(call) holds, once it is done."""
        with self.changed:
            found = []

            def there():
                found[:] = [call for calls in self.calls.values() for call in calls if call.done and wanted(call)]
                return found

            if not self.changed.wait_for(there, seconds):
                raise TimeoutError("the Check that was waited for did not come")
            return found[0]

    def wait_started(self, listener, count, seconds=20):
        with self.changed:
            if not self.changed.wait_for(lambda: len(self.calls[listener]) >= count, seconds):
                raise TimeoutError(f"{len(self.calls[listener])} of {count} Checks came from {listener}")

    def _connection(self, sock, number):
        Peer(sock, client=False, on_request=lambda stream: self._request(stream, number))

    def _request(self, stream, number):
        listener = stream.header(METADATA) or "?"
        call = Call(listener, number, stream.headers)
        with self.changed:
            step = self.scripts[listener].popleft() if self.scripts[listener] else Forward()
            self.calls[listener].append(call)
            self.changed.notify_all()
        try:
            step.perform(self, call, stream)
        except PeerGone:
            call.cancelled = stream.gone()
            if not stream.gone():
                Status(14, "the server under test ended the call").perform(self, call, stream)
        except OSError as error:
            Status(14, f"the server under test: {error}").perform(self, call, stream)
        finally:
            with self.changed:
                call.done = True
                self.changed.notify_all()
