#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""serve's limits: connections, streams, the size of a request, and the age of a connection, with Envoy under load."""

import contextlib
import threading

from _cases import *
from _http2 import *

POLICY = "version: 1\nrules: []\ndefault: allow\n"
AUTHZ_PORT = 9191
LOAD_SECONDS = 12
SETTING_MAX_STREAMS = 3


def is_decision(response):
    return response.status == 0 and len(response.message) > 2


@contextlib.contextmanager
def serving(lab, *options):
    server = lab.serve(
        lab.write("policy.yaml", POLICY), "--source", "none", "--listen", f"127.0.0.1:{AUTHZ_PORT}", *options
    )
    with lab.server.entered():
        yield f"127.0.0.1:{AUTHZ_PORT}"
    server.stop()


def told_streams(address):
    """The server's SETTINGS_MAX_CONCURRENT_STREAMS."""
    connection = Http2(address)
    head = connection._receive(9)
    payload = connection._receive(int.from_bytes(head[:3], "big"))
    connection.close()
    return dict(struct.iter_unpack(">HI", payload)).get(SETTING_MAX_STREAMS) if head[3] == SETTINGS else None


def streams_and_sizes(cases, lab):
    with serving(lab, "--max-streams", "7", "--max-request-bytes", "64KiB") as address:
        cases.equal("--max-streams: clients are told", told_streams(address), 7)
        for size, oversize in ((60000, False), (70000, True)):
            connection = Http2(address)
            stream = connection.open_stream()
            connection.send_data(stream, grpc_message(check_request(body=b"b" * size)))
            response = connection.finish(stream)
            cases.check(
                f"--max-request-bytes 64KiB: {size} bytes are {'denied as oversize' if oversize else 'decided'}",
                is_decision(response) and (b"oversize" in response.data) == oversize,
                response,
            )
            connection.close()


def connections(cases, lab):
    """About as many: other descriptors count, too."""
    with serving(lab, "--max-connections", "20") as address:
        held, refused = [], 0
        for _ in range(150):
            try:
                held.append(Http2(address))
                held[-1].call()
            except (Closed, OSError):
                refused += 1
        cases.check("--max-connections 20: of 150 some are answered and some are not", 0 < refused < 150, refused)
        for connection in held:
            connection.close()
        cases.check("and when they have gone others are answered", is_decision(wait_alive(address)))


def age(cases, lab):
    with serving(lab, "--max-connection-age", "1s") as address:
        connection = Http2(address)
        cases.check("--max-connection-age: a connection is answered", is_decision(connection.call()))
        with contextlib.suppress(Closed):
            while True:
                connection.read_frame()
        goaway = connection.goaway
        cases.check("and told to end, without an error", goaway and goaway[0] == 0, goaway)
        connection.close()
        through_envoy(cases, lab)


def through_envoy(cases, lab):
    """Envoy's connections to the server end all the time, and no request sees it."""
    answers, until = [], time.monotonic() + LOAD_SECONDS

    def client():
        connection = Connection(lab)
        while time.monotonic() < until:
            answers.append(connection.get().status)

    lab.start_upstream()
    lab.start_envoy()
    threads = [threading.Thread(target=client, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wrong = [status for status in answers if status != 200]
    cases.check("Envoy loses no request by it", len(answers) > 100 and not wrong, (len(answers), wrong[:10]))


def main(cases):
    lab = Lab()
    streams_and_sizes(cases, lab)
    connections(cases, lab)
    age(cases, lab)


run_cases(main)
