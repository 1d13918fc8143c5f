# SPDX-License-Identifier: Apache-2.0
"""Clients: HTTP/1.1 in raw octets and HTTP/2, each on a connection that it keeps.  HTTP/3 is spoken by an Envoy of the
client's own (_envoy.py), which is asked by HTTP/1.1."""

import json
import socket

from _peer import Peer


class Reply:
    """A response.  `headers`: [(name, value)] in order; `arrived`: the request as the upstream got it, or None."""

    def __init__(self, status, headers, body, trailers=()):
        self.status, self.headers, self.trailers = status, headers, list(trailers)
        self.raw, self.body = bytes(body), bytes(body).decode("latin-1")
        self.arrived = None
        if status == 200 and self.header("content-type") == "application/json":
            self.arrived = json.loads(self.raw)

    def values(self, name):
        return [value for key, value in [*self.headers, *self.trailers] if key == name]

    def header(self, name):
        values = self.values(name)
        return values[-1] if values else None

    def upstream(self, name):
        """The values of a header as the upstream got them; none when it got no request."""
        return [value for key, value in (self.arrived or {"headers": []})["headers"] if key == name]

    def __repr__(self):
        return f"<{self.status} {self.headers} {self.trailers} {self.body[:600]!r}>"


class Http1:
    """`sock`: connected, plain or TLS."""

    def __init__(self, sock):
        sock.settimeout(30)
        self.socket, self.lines = sock, sock.makefile("rb")

    def send(self, octets):
        self.socket.sendall(octets)

    def request(self, method, path, headers=(), body=b""):
        head = [("host", "conformance.test"), *headers] if not any(name == "host" for name, _ in headers) else headers
        if body and not any(name.lower() in ("content-length", "transfer-encoding") for name, _ in headers):
            head = [*head, ("content-length", str(len(body)))]
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in head)]
        self.send("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
        return self.response(method)

    def response(self, method="GET"):
        while True:
            status, headers = self._head()
            if status != 100:
                break
        fields = {name: value for name, value in headers}
        if status == 101 or method in ("HEAD", "CONNECT") or status in (204, 304):
            return Reply(status, headers, b"")
        if fields.get("transfer-encoding", "").lower() == "chunked":
            return Reply(status, headers, self._chunks())
        if "content-length" in fields:
            return Reply(status, headers, self.lines.read(int(fields["content-length"])))
        return Reply(status, headers, self.lines.read())

    def _head(self):
        line = self.lines.readline().decode("latin-1")
        if not line:
            raise ConnectionError("the connection was closed before a response")
        headers = []
        while field := self.lines.readline().decode("latin-1").rstrip("\r\n"):
            name, value = field.split(":", 1)
            headers.append((name.lower(), value.strip()))
        return int(line.split()[1]), headers

    def _chunks(self):
        body = b""
        while size := int(self.lines.readline().split(b";")[0], 16):
            body += self.lines.read(size)
            self.lines.readline()
        while self.lines.readline().strip():
            pass
        return body

    def at_end(self, seconds=10):
        """Did the other side close it, without another octet?"""
        self.socket.settimeout(seconds)
        try:
            return self.lines.read(1) == b""
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False

    def close(self):
        self.lines.close()
        self.socket.close()


class Http2:
    def __init__(self, sock):
        self.peer = Peer(sock)

    def start(self, method, path, headers=(), body=b"", end=True, host="conformance.test"):
        """The stream of a request; `end` False: its body goes on."""
        pseudo = [(":method", method), (":scheme", "http"), (":authority", host), (":path", path)]
        return self.peer.request([*pseudo, *headers], body, end)

    def request(self, method, path, headers=(), body=b""):
        return self.response(self.start(method, path, headers, body))

    def response(self, stream):
        stream.wait_end()
        headers = [header for header in stream.headers if header[0] != ":status"]
        return Reply(int(stream.header(":status")), headers, stream.data, stream.trailers or ())

    def close(self):
        self.peer.close()


def connect(namespace, address, port, source_port=0, source_options=()):
    """A TCP connection from a network namespace; `source_options`: of setsockopt(), set before its SYN."""
    with namespace.entered():
        sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.settimeout(30)
    for option in source_options:
        sock.setsockopt(*option)
    if source_port:
        sock.bind(("", source_port))
    sock.connect((address, port))
    return sock
