# SPDX-License-Identifier: Apache-2.0
"""A client of HTTP/3, by aioquic from deploy/install-deps.

It runs as a program of aioquic's own Python environment: the packages that aioquic comes with do not go with Debian's
older ones of the same names, which Debian's Python would find first.
"""

import asyncio
import json
import os
import ssl
import subprocess
import sys

E2E = os.path.dirname(os.path.abspath(__file__))


def get_all(address, port, *requests, local_port=0):
    """[(status, headers, body)], the answers to (path, headers) on one connection, made in this thread's network
    namespace; `local_port` 0: any."""
    with open(os.path.join(E2E, "aioquic.version")) as file:
        folder = f"{os.environ.get('SYNAUTHZ_CACHE', '/var/cache/synauthz')}/aioquic-{file.read().strip()}"
    done = subprocess.run(
        [os.path.join(folder, "bin/python"), "-B", os.path.abspath(__file__)],
        input=json.dumps([address, port, local_port, requests]),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=60,
    )
    return [tuple(answer) for answer in json.loads(done.stdout)]


def main():
    from aioquic.asyncio import QuicConnectionProtocol, connect
    from aioquic.h3.connection import H3_ALPN, H3Connection
    from aioquic.h3.events import DataReceived, HeadersReceived
    from aioquic.quic.configuration import QuicConfiguration

    class Client(QuicConnectionProtocol):
        """Requests one after the other."""

        def __init__(self, *arguments, **more):
            super().__init__(*arguments, **more)
            self.http, self.headers, self.body = H3Connection(self._quic), [], b""
            self.ended = None

        async def get(self, path, headers=()):
            stream = self._quic.get_next_available_stream_id()
            request = [(":method", "GET"), (":scheme", "https"), (":authority", "lab.test"), (":path", path), *headers]
            self.headers, self.body, self.ended = [], b"", asyncio.get_running_loop().create_future()
            fields = [(name.encode(), value.encode()) for name, value in request]
            self.http.send_headers(stream, fields, end_stream=True)
            self.transmit()
            await asyncio.wait_for(self.ended, 20)
            found = {name.decode(): value.decode() for name, value in self.headers}
            return int(found.pop(":status")), found, self.body.decode()

        def quic_event_received(self, event):
            for part in self.http.handle_event(event):
                if isinstance(part, HeadersReceived):
                    self.headers += part.headers
                elif isinstance(part, DataReceived):
                    self.body += part.data
                if part.stream_ended and self.ended and not self.ended.done():
                    self.ended.set_result(True)

    async def answers(address, port, local_port, requests):
        configuration = QuicConfiguration(alpn_protocols=H3_ALPN, is_client=True, verify_mode=ssl.CERT_NONE)
        options = {"configuration": configuration, "create_protocol": Client, "local_port": local_port}
        async with connect(address, port, **options) as client:
            return [await client.get(path, headers) for path, headers in requests]

    print(json.dumps(asyncio.run(answers(*json.load(sys.stdin)))))


if __name__ == "__main__":
    main()
