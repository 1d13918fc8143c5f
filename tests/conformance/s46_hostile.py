# SPDX-License-Identifier: Apache-2.0
"""46-48: load, and what is not a plain request."""

import gzip
import os
import re
import socket

import _wire
from _envoy import HTTP_AUTHZ, Envoy, Http, cluster, per_route
from _peer import Peer, PeerGone
from _scenario import port_of, scenario
from _tap import CHECK, Forward
from lab import SERVER_IPV4

INVALID_ARGUMENT, RESOURCE_EXHAUSTED, UNIMPLEMENTED, INTERNAL = 3, 8, 12, 13
AUTHORIZATION = "/envoy.service.auth.v3.Authorization/"
GOOD = _wire.encode("CheckRequest", {"attributes": {"request": {"http": {"method": "GET", "path": "/s46"}}}})


def large(size):
    """A well-formed CheckRequest of about that many octets."""
    http = {"method": "GET", "path": "/s46", "headers": {"x-large": "x" * size}}
    return _wire.encode("CheckRequest", {"attributes": {"request": {"http": http}}})


# What is sent to which method, and the gRPC statuses that are right; None for a stream that is reset.
GARBAGE = (
    ("no message", CHECK, b"", {INVALID_ARGUMENT, INTERNAL}),
    ("a message of no octets", CHECK, _wire.frame(b""), {INVALID_ARGUMENT}),
    ("less than a frame", CHECK, b"\0\0\0", {INVALID_ARGUMENT, INTERNAL}),
    ("a frame cut short", CHECK, _wire.frame(GOOD)[:-5], {INVALID_ARGUMENT, INTERNAL}),
    ("a message cut short", CHECK, _wire.frame(GOOD[:-5]), {INVALID_ARGUMENT}),
    ("no protobuf", CHECK, _wire.frame(b"\xff" * 100), {INVALID_ARGUMENT}),
    ("compressed in secret", CHECK, b"\1" + _wire.frame(gzip.compress(GOOD))[1:], {INVALID_ARGUMENT, INTERNAL}),
    ("another method", AUTHORIZATION + "Nothing", _wire.frame(GOOD), {UNIMPLEMENTED}),
    ("the v2 path", CHECK.replace("v3", "v2"), _wire.frame(GOOD), {UNIMPLEMENTED}),
    ("beyond the resource quota", CHECK, _wire.frame(large(70 << 20)), {RESOURCE_EXHAUSTED, None}),
)


@scenario(46, "Garbage, and messages that are too large")
def garbage(t):
    """gRPC errors INVALID_ARGUMENT, UNIMPLEMENTED, RESOURCE_EXHAUSTED, never an empty OK; what is well-formed and too
    large is denied; the server goes on"""
    # Of its own: whoever reaches the quota makes gRPC close the idle connections of all others (GOAWAY "Buffers full").
    server = t.world.serve("s46", t.world.policy) if t.world.synauthz else None
    where = "/run/lab/s46.sock" if server else t.world.server_path
    for what, path, data, right in GARBAGE:
        status, message = called(where, path, data)
        t.say(f"{what}: {'reset' if status is None else f'gRPC status {status}'}")
        t.check(what, status in right and not message, (status, message))
        status, message = called(where, CHECK, _wire.frame(GOOD))
        t.check(f"a good one after it ({what})", status == 0 and message, (status, message))
    for size in (9 << 20, 20 << 20):
        status, message = called(where, CHECK, _wire.frame(large(size)))
        code = _wire.decode("CheckResponse", message or b"").get("status", {}).get("code")
        t.say(f"well-formed, {size >> 20} MiB: gRPC status {status}, code {code}")
        t.equal(f"well-formed, {size >> 20} MiB", (status, code), (0, 7))
    t.script(Forward(change=with_large_header), Forward(change=with_large_header))
    for _ in range(2):
        reply = t.get()
        t.equal("too large, through Envoy", reply.status, 431)
        t.equal("denied", t.log(reply)["details"], "ext_authz_denied")
    t.equal("a good one through Envoy", t.get().status, 200)
    if server:
        t.equal("the server ends", server.stop(), 0)


def called(server, path, data):
    """(gRPC status, message) of a call on a connection of its own that sends just this; (None, None) if it is reset."""
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(server)
    peer = Peer(sock)
    head = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "test")]
    stream = peer.request([*head, ("te", "trailers"), ("content-type", "application/grpc")], end=False)
    try:
        stream.send_data(data, end=True)
        stream.wait_end(60)
    except PeerGone:
        pass  # a server need not wait for all of it to answer, and then resets the stream
    status = stream.header("grpc-status")
    peer.close()
    return (None, None) if status is None else (int(status), _wire.unframe(stream.data))


def with_large_header(request):
    message = _wire.decode("CheckRequest", request)
    message["attributes"]["request"]["http"]["headers"]["x-large"] = "x" * (9 << 20)
    return _wire.encode("CheckRequest", message)


WORKERS, CLIENTS, REQUESTS = 16, 64, 5120
LOADED = Http(cluster="s47", routes=[{"match": {"prefix": "/"}, "direct_response": {"status": 200}}])


@scenario(47, "A thousand requests a second, 16 workers", {}, versions=("1.40", "1.36"), about="synauthz")
def load(t):
    """with the circuit breakers' defaults not one Check ends in an error; how long they take is the bench's business"""
    port = port_of(t.scenario.number)
    program = os.environ.get("SYNAUTHZ_FAST")
    server = t.world.serve("s47", t.world.policy, program=program)
    envoy = Envoy(
        t.lab,
        t.world.version,
        [LOADED.described("s47", port)],
        [cluster("s47", "/run/lab/s47.sock", http2=True)],
        concurrency=WORKERS,
        name="envoy16",
    )
    rate = 1000 // CLIENTS + 1
    command = ("h2load", "-c", str(CLIENTS), "-n", str(REQUESTS), f"--rps={rate}", f"http://{SERVER_IPV4}:{port}/s47")
    said = t.lab.client.sh(*command, timeout=120)
    done = re.search(r"^requests: .*", said, re.M).group()
    t.check("requests", f"{REQUESTS} succeeded, 0 failed, 0 errored, 0 timeout" in done, done)
    t.check("statuses", f"status codes: {REQUESTS} 2xx" in said, said)
    counted = envoy.stats("http.s47.ext_authz.s47.")
    t.equal("Checks that failed", counted["http.s47.ext_authz.s47.error"], 0)
    t.equal("Checks that were answered", counted["http.s47.ext_authz.s47.ok"], REQUESTS)
    connections = envoy.stats("cluster.s47.upstream_cx_total")["cluster.s47.upstream_cx_total"]
    t.check("more than one worker was at it", 1 < connections, connections)
    t.equal("Envoy ends", envoy.program.stop(), 0)
    t.equal("the server ends", server.stop(), 0)


# Envoy waits for the body of a CONNECT, which has none: its route must say that there is nothing to wait for.
TUNNELS = [
    {
        "match": {"connect_matcher": {}},
        "typed_per_filter_config": {HTTP_AUTHZ: per_route(check_settings={"disable_request_body_buffering": True})},
        "route": {"cluster": "upstream", "upgrade_configs": [{"upgrade_type": "CONNECT", "connect_config": {}}]},
    },
    {"match": {"prefix": "/"}, "route": {"cluster": "upstream"}},
]
BODIES = {"with_request_body": {"max_request_bytes": 1024, "allow_partial_message": True}}
UPGRADE = [("connection", "Upgrade"), ("upgrade", "websocket"), ("sec-websocket-key", "x"), ("origin", "http://x")]


@scenario(
    48,
    "WebSocket upgrade and CONNECT",
    Http(
        routes=TUNNELS,
        authz=BODIES,
        manager={
            "upgrade_configs": [{"upgrade_type": "websocket"}, {"upgrade_type": "CONNECT"}],
            "http2_protocol_options": {"allow_connect": True},
        },
    ),
    rules="""\
  - id: s48-tunnel
    when: {http.method: CONNECT, http.host: {prefix: denied.test}}
    then: deny
    respond: {status: 405}
  - id: s48
    when: {http.path: {prefix: /s48/deny}, header: {name: upgrade, equals: websocket}}
    then: deny
    respond: {status: 406}
""",
)
def tunnels(t):
    """the Check comes without a body; allowed, octets pass both ways; denied, the client gets the denial"""
    client = t.http1()
    t.equal("upgrade", t.get("/allow", headers=UPGRADE, over=client).status, 101)
    client.send(b"\x81\x05hello")
    t.equal("octets through the WebSocket", client.lines.read(7), b"\x81\x05hello")
    client.close()
    t.equal("upgrade, denied", t.get("/deny", headers=UPGRADE).status, 406)

    client = t.http1()
    client.send(b"CONNECT allowed.test:443 HTTP/1.1\r\nhost: allowed.test:443\r\n\r\n")
    t.equal("CONNECT", client.response("CONNECT").status, 200)
    t.equal("a request through the tunnel", client.request("GET", t.path).arrived["path"], t.path)
    client.close()
    client = t.http1()
    client.send(b"CONNECT denied.test:443 HTTP/1.1\r\nhost: denied.test:443\r\n\r\n")
    t.equal("CONNECT, denied", client.response().status, 405)
    client.close()

    for host, status in (("allowed.test:443", 200), ("denied.test:443", 405)):
        client = t.http2()
        stream = client.peer.request([(":method", "CONNECT"), (":authority", host)], end=False)
        stream.wait(lambda stream: stream.headers)
        t.equal(f"CONNECT by HTTP/2 to {host}", stream.header(":status"), str(status))
        if status == 200:
            stream.send_data(f"GET {t.path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
            stream.wait(lambda stream: b"\r\n\r\n" in stream.data)
            t.check("a response through the tunnel", stream.data.startswith(b"HTTP/1.1 200"), stream.data)
        client.close()

    calls = t.calls(6)
    t.equal("bodies in the Checks", [call.http.get("body", "") for call in calls], [""] * 6)
    t.equal("methods in the Checks", [call.http["method"] for call in calls], ["GET"] * 2 + ["CONNECT"] * 4)
