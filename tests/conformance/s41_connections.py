# SPDX-License-Identifier: Apache-2.0
"""41-45: connections that live long, come again, and are looked after.

With --long the idle times are those of the reference; otherwise a minute.
"""

import socket
import struct
import time

from _client import Http1
from _envoy import Http, cluster, merged
from _scenario import scenario
from _peer import Peer
from lab import wait_until

MINUTE = 60


def idle(t, full):
    time.sleep(full if t.world.long else MINUTE)


def first_p0f(reply):
    return (reply.upstream("x-conn-p0f") or [None])[0]


KEEP = {"common_http_protocol_options": {"idle_timeout": "0s"}}
RULE = """\
  - id: s{number}
    when: {{http.path: {{prefix: /s{number}}}}}
    then: continue
    request_headers: {{set: {{x-conn-p0f: "%{{p0f|-}}"}}}}
"""


@scenario(
    41,
    "Many requests on one HTTP/2 connection, and a long idle time",
    Http(manager=KEEP),
    rules=RULE.format(number=41),
    versions=("1.40", "1.36"),
    background=True,
)
def one_connection(t):
    """the same fingerprint until it closes: an hour idle (a minute without --long), beside another client's"""
    ttls = (64, 200)
    clients = [t.http2(source_options=[(socket.IPPROTO_IP, socket.IP_TTL, ttl)]) for ttl in ttls]
    seen = [first_p0f(t.get(over=client)) for client in clients]
    t.check("two fingerprints", seen[0] != seen[1] and None not in seen and "-" not in seen, seen)
    for turn in range(2):
        for _ in range(100):
            for client, wanted in zip(clients, seen):
                got = first_p0f(t.get(over=client))
                if got != wanted:
                    t.equal(f"a request, turn {turn}", got, wanted)
        if turn == 0:
            idle(t, 3600)
    t.equal("connections closed meanwhile", [client.peer.closed for client in clients], [False, False])
    for client in clients:
        client.close()


@scenario(42, "A new connection from the same port", rules=RULE.format(number=42))
def port_reuse(t):
    """the newest SYN's fingerprint, never the one before"""
    port, times = 0, 20
    for turn in range(times):
        options = [(socket.IPPROTO_IP, socket.IP_TTL, (64, 128, 255)[turn % 3])]
        options += [(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1000 + turn)]
        sock = t.connect(source_port=port, source_options=options)
        port = sock.getsockname()[1]
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # leaves no TIME_WAIT
        client = Http1(sock)
        signature = first_p0f(t.get(over=client)) or ""
        wanted = (str(options[0][2]), str(1000 + turn))
        fields = signature.split(":") + [""] * 4
        t.equal(f"TTL and MSS of connection {turn}", (fields[1].split("+")[0], fields[3]), wanted)
        client.close()


def google(target):
    service = {"google_grpc": {"target_uri": f"unix:{target}", "stat_prefix": "google"}}
    return {"grpc_service": {"envoy_grpc": None, **service}}


@scenario(43, "google_grpc instead of envoy_grpc, many calls", Http(authz=google("/run/lab/tap.sock")))
def google_grpc(t):
    """one connection for each of Envoy's two workers at most, and no call is left"""
    times = 200
    for _ in range(times // 20):
        client = t.http2()
        statuses = [t.get(over=client).status for _ in range(20)]
        t.equal("statuses", set(statuses), {200})
        client.close()
    connections = {call.connection for call in t.calls(times)}
    t.check("connections", 1 <= len(connections) <= 2, connections)
    if t.world.synauthz:
        wait_until(lambda: t.world.metric("synauthz_calls_in_flight") == 0, 20, "calls to end")


HEALTH = {
    "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
    "health_checks": [
        {
            "timeout": "5s",
            "interval": "0.2s",
            "no_traffic_interval": "0.2s",
            "healthy_threshold": 1,
            "unhealthy_threshold": 1,
            "grpc_health_check": {"service_name": "envoy.service.auth.v3.Authorization"},
        }
    ],
    "circuit_breakers": {"thresholds": [{"max_retries": 1024}]},
}
RETRY = {"retry_on": "cancelled,unavailable,connect-failure,reset,refused-stream", "num_retries": 5}
SURVIVING = {"grpc_service": {"retry_policy": RETRY}, "status_on_error": {"code": 503}}
PATH, ABSTRACT = "/run/lab/s44.sock", "@synauthz-s44"


@scenario(
    44,
    "Unix sockets by path and by abstract name; health checks; one server after another",
    {
        "path": Http(cluster="s44-path", authz=SURVIVING),
        "abstract": Http(cluster="s44-abstract", authz=SURVIVING),
    },
    clusters={
        "s44-path": cluster("s44-path", PATH, http2=True, **HEALTH),
        "s44-abstract": cluster("s44-abstract", ABSTRACT, http2=True, **HEALTH),
    },
    about="synauthz",
)
def sockets_and_health(t):
    """no server: unhealthy; serving: healthy; one server follows another under load without one 5xx; then unhealthy"""

    def start():
        return t.world.serve("s44", t.world.policy, "--listen", f"unix:{ABSTRACT}")

    def states():
        return [t.get(listener=listener).status for listener in ("path", "abstract")]

    t.equal("without a server", states(), [503, 503])
    first = start()
    wait_until(lambda: states() == [200, 200], 30, "both clusters to be healthy")
    page = t.envoy.get("/clusters")
    t.equal("healthy", [f"s44-{name}::" in page for name in ("path", "abstract")], [True, True])
    t.equal("failed", [line for line in page.splitlines() if "s44-" in line and "failed_active_hc" in line], [])
    client, statuses = t.http2("path"), []
    for turn in range(3):
        second = t.world.serve("s44", t.world.policy)  # takes the path over
        for number in range(100):
            statuses.append(t.get(listener="path", over=client).status)
            if number == 30:
                first.send(15)
        wait_until(lambda: not first.runs(), 60, "a server to end by itself")
        t.equal(f"server {turn} ends", first.process.returncode, 0)
        first = second
    t.equal("statuses while three servers follow one another", (set(statuses), len(statuses)), ({200}, 300))
    t.equal("the last one ends", first.stop(seconds=30), 0)
    wait_until(lambda: states() == [503, 503], 30, "both clusters to be unhealthy")
    client.close()


def kept_alive(name, path):
    options = {"explicit_http_config": {"http2_protocol_options": {"connection_keepalive": KEEPALIVE}}}
    key = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    return merged(cluster(name, path, http2=True), {"typed_extension_protocol_options": {key: options}})


KEEPALIVE = {"interval": "1s", "timeout": "20s", "interval_jitter": {"value": 0}}


@scenario(
    45,
    "connection_keepalive on an idle connection",
    Http(cluster="s45"),
    clusters={"s45": lambda path: kept_alive("s45", path)},
    versions=("1.40", "1.36"),
    background=True,
)
def keepalive(t):
    """a ping each second for ten minutes (a minute without --long) and no GOAWAY, to Envoy and to a client by hand"""
    t.equal("before", [t.get().status for _ in range(4)], [200] * 4)
    before = t.envoy.stats("cluster.s45.")
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(t.world.server_path)
    peer = Peer(sock)
    for number in range(600 if t.world.long else MINUTE):
        time.sleep(1)
        if not peer.closed:
            peer.ping()
        wait_until(lambda: peer.closed or peer.pongs > number, 30, "the answer to a ping")
    after = t.envoy.stats("cluster.s45.")
    for name in ("upstream_cx_total", "upstream_cx_destroy", "http2.keepalive_timeout"):
        t.equal(name, after[f"cluster.s45.{name}"], before[f"cluster.s45.{name}"])
    t.equal("Envoy's connections", after["cluster.s45.upstream_cx_active"] > 0, True)
    t.equal("GOAWAY to a client by hand", (peer.goaway, peer.closed), (None, False))
    t.equal("after", [t.get().status for _ in range(4)], [200] * 4)
    t.equal("errors", t.stat("error"), 0)
    peer.close()
