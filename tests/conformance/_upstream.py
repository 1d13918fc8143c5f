# SPDX-License-Identifier: Apache-2.0
"""The application behind Envoy: HTTP/1.1 and HTTP/2 on one unix socket.

It answers with the request as it arrived, as JSON, and keeps it.  A request may ask for more of the response's headers:
`x-respond: name=value`, repeated.  A WebSocket upgrade is accepted, and what comes after it is sent back.
"""

import json
import threading

from _peer import PREFACE, Listener, Peer, listen_unix


class Upstream:
    def __init__(self, path):
        self.lock, self.requests = threading.Lock(), []
        self.listener = Listener(listen_unix(path), self._connection)

    def arrived(self, path):
        """The requests for this path (without query) until now."""
        with self.lock:
            return [request for request in self.requests if request["path"].split("?")[0] == path]

    def _keep(self, method, path, headers, body, version):
        request = {"method": method, "path": path, "headers": headers, "body": body.decode("latin-1"), "http": version}
        with self.lock:
            self.requests.append(request)
        return json.dumps(request).encode()

    def _connection(self, sock, _number):
        with sock.makefile("rb") as lines:
            first = lines.peek(3)[:3]
            if first == b"PRI":
                return self._http2(sock, lines)
            while self._http1(sock, lines):
                pass
        sock.close()

    def _http1(self, sock, lines):
        """One request; False when it was the last."""
        try:
            start = lines.readline().decode("latin-1").split()
            headers = []
            while line := lines.readline().decode("latin-1").rstrip("\r\n"):
                name, value = line.split(":", 1)
                headers.append((name.lower(), value.strip()))
        except (OSError, ValueError):
            return False
        if len(start) != 3:
            return False
        fields = dict(headers)
        if fields.get("upgrade", "").lower() == "websocket":
            self._keep(start[0], start[1], headers, b"", 1)
            return self._echo(sock, lines)
        answer = self._keep(start[0], start[1], headers, self._body(lines, fields), 1)
        more = "".join(f"{name}: {value}\r\n" for name, value in asked_for(headers))
        head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(answer)}\r\n{more}\r\n"
        sock.sendall(head.encode("latin-1") + (answer if start[0] != "HEAD" else b""))
        return True

    def _body(self, lines, fields):
        if fields.get("transfer-encoding", "").lower() != "chunked":
            return lines.read(int(fields.get("content-length", 0)))
        body = b""
        while size := int(lines.readline().split(b";")[0], 16):
            body += lines.read(size)
            lines.readline()
        while lines.readline().strip():
            pass
        return body

    def _echo(self, sock, lines):
        sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
        while data := lines.read1(1 << 16):
            sock.sendall(data)
        return False

    def _http2(self, sock, lines):
        received = lines.peek()  # all that is buffered; nothing was taken of it
        lines.read1(len(received))
        assert received.startswith(PREFACE[: len(received)])
        Peer(sock.dup(), client=False, on_request=self._stream, received=bytes(received))
        sock.close()

    def _stream(self, stream):
        stream.wait_end()
        pseudo = dict(header for header in stream.headers if header[0].startswith(":"))
        headers = [header for header in stream.headers if not header[0].startswith(":")]
        answer = self._keep(pseudo.get(":method"), pseudo.get(":path", ""), headers, bytes(stream.data), 2)
        grpc = (stream.header("content-type") or "").startswith("application/grpc")
        kind = "application/grpc" if grpc else "application/json"
        stream.send_headers([(":status", "200"), ("content-type", kind), *asked_for(headers)])
        stream.send_data(answer if not grpc else b"\0\0\0\0\0", end=not grpc)
        if grpc:
            stream.send_headers([("grpc-status", "0")], end=True)


def asked_for(headers):
    return [tuple(value.split("=", 1)) for name, value in headers if name == "x-respond"]
