# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 by hand: a connection of which this side is the client or the server, and its streams.

Header names and values are text, one character per octet.  Each connection has a thread that reads; on a server's each
request gets a thread of its own as soon as its headers are there.
"""

import socket
import sys
import threading

DEBIAN = "/usr/lib/python3/dist-packages"
sys.path.append(DEBIAN)  # also for a python3 that is not Debian's
import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings

sys.path.remove(DEBIAN)  # its others do not go with those that other tests have from elsewhere

WINDOW = 8 << 20
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


class PeerGone(Exception):
    """The connection, or the stream, ended before what was waited for."""


def _octets(headers):
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]


def _text(headers):
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]


class Stream:
    """What came in on one stream so far, and the means to send on it."""

    def __init__(self, peer, number):
        self.peer, self.number = peer, number
        self.headers, self.trailers, self.data = None, None, bytearray()
        self.ended, self.reset = False, None  # the other side's END_STREAM; the code of a RST_STREAM

    def header(self, name):
        """The last value of a header or trailer, None if there is none."""
        for key, value in reversed((self.headers or []) + (self.trailers or [])):
            if key == name:
                return value
        return None

    def wait(self, condition, seconds=30):
        """Waits for condition(self); raises PeerGone when it can no longer come true."""
        with self.peer.changed:
            done = self.peer.changed.wait_for(
                lambda: condition(self) or self.reset is not None or self.peer.closed, seconds
            )
            if not condition(self):
                if not done:
                    raise TimeoutError(f"waited {seconds} s on stream {self.number}")
                raise PeerGone(f"stream {self.number}: reset {self.reset}, connection closed: {self.peer.closed}")
        return self

    def wait_end(self, seconds=30):
        return self.wait(lambda stream: stream.ended, seconds)

    def gone(self):
        return self.reset is not None or self.peer.closed

    def send_headers(self, headers, end=False):
        with self.peer.changed:
            self.peer.h2.send_headers(self.number, _octets(headers), end_stream=end)
            self.peer.flush()

    def send_data(self, data, end=False):
        """All of it, as the other side's windows allow."""
        at = 0
        while True:
            with self.peer.changed:
                room = 0
                while at < len(data) and room == 0:
                    if self.gone():
                        raise PeerGone(f"stream {self.number} while sending")
                    room = self._room()
                    if room == 0 and not self.peer.changed.wait(30):
                        raise TimeoutError(f"no window on stream {self.number}")
                part, at = data[at : at + room], at + room
                self._send_part(bytes(part), end and at >= len(data))
            if at >= len(data):
                return

    def _room(self):
        try:
            window = self.peer.h2.local_flow_control_window(self.number)
        except h2.exceptions.ProtocolError as error:
            raise PeerGone(f"stream {self.number} while sending: {error}") from None
        return min(window, self.peer.h2.max_outbound_frame_size)

    def _send_part(self, part, end):
        try:
            self.peer.h2.send_data(self.number, part, end_stream=end)
            self.peer.flush()
        except (h2.exceptions.ProtocolError, OSError) as error:
            raise PeerGone(f"stream {self.number} while sending: {error}") from None

    def send_reset(self, code=h2.errors.ErrorCodes.CANCEL):
        with self.peer.changed:
            try:
                self.peer.h2.reset_stream(self.number, code)
                self.peer.flush()
            except (h2.exceptions.ProtocolError, OSError):
                pass  # it has ended already


class Peer:
    """One connection.  `on_request`: what a server calls for each stream, in a thread."""

    def __init__(self, sock, client=True, on_request=None, received=b""):
        self.socket, self.on_request = sock, on_request
        self.changed = threading.Condition()  # also guards h2
        self.streams, self.closed, self.goaway, self.pongs = {}, False, None, 0
        self.h2 = h2.connection.H2Connection(
            h2.config.H2Configuration(
                client_side=client,
                header_encoding=None,
                validate_inbound_headers=False,
                validate_outbound_headers=False,
                normalize_inbound_headers=False,
                normalize_outbound_headers=False,
            )
        )
        sock.settimeout(None)
        with self.changed:
            self.h2.initiate_connection()
            self.h2.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: WINDOW})
            self.h2.increment_flow_control_window(WINDOW)
            self.flush()
        threading.Thread(target=self._read, args=(received,), daemon=True).start()

    def flush(self):
        data = self.h2.data_to_send()
        if data:
            self.socket.sendall(data)

    def request(self, headers, body=b"", end=True):
        """A client's request; `end` False: more is to come."""
        with self.changed:
            if self.closed:
                raise PeerGone("the connection is closed")
            number = self.h2.get_next_available_stream_id()
            stream = self.streams[number] = Stream(self, number)
            stream.send_headers(headers, end and not body)
        if body:
            try:
                stream.send_data(body, end)
            except PeerGone:
                pass  # a server may answer, and reset the stream, before it has the body; wait() knows
        return stream

    def ping(self):
        with self.changed:
            self.h2.ping(b"conform.")
            self.flush()

    def close(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def _read(self, received):
        try:
            while True:
                data = received or self.socket.recv(1 << 16)
                received = b""
                if not data:
                    break
                with self.changed:
                    for event in self.h2.receive_data(data):
                        self._take(event)
                    self.flush()
                    self.changed.notify_all()
        except (OSError, h2.exceptions.ProtocolError):
            pass
        with self.changed:
            self.closed = True
            self.changed.notify_all()
        self.socket.close()

    def _take(self, event):
        stream = self.streams.get(getattr(event, "stream_id", 0))
        if isinstance(event, h2.events.RequestReceived):
            stream = self.streams[event.stream_id] = Stream(self, event.stream_id)
            stream.headers = _text(event.headers)
            threading.Thread(target=self.on_request, args=(stream,), daemon=True).start()
        elif isinstance(event, h2.events.ResponseReceived):
            stream.headers = _text(event.headers)
        elif isinstance(event, h2.events.TrailersReceived):
            stream.trailers = _text(event.headers)
        elif isinstance(event, h2.events.DataReceived):
            stream.data += event.data
            self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            stream.ended = True
        elif isinstance(event, h2.events.StreamReset):
            stream.reset = event.error_code
        elif isinstance(event, h2.events.ConnectionTerminated):
            self.goaway = (event.error_code, bytes(event.additional_data or b""))
        elif isinstance(event, h2.events.PingAckReceived):
            self.pongs += 1


class Listener:
    """A socket whose connections `on_connection(socket, number)` serves, each in a thread."""

    def __init__(self, sock, on_connection):
        self.socket, self.on_connection, self.count = sock, on_connection, 0
        sock.listen(1024)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            self.count += 1
            threading.Thread(target=self.on_connection, args=(connection, self.count), daemon=True).start()


def listen_unix(path):
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(path)
    return sock
