#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The trusted peer header on a real Envoy: PROXY protocol listeners with and without it, and clients that forge it."""

import json
import re
import urllib.request

from _cases import *

PLAIN, PROXIED, UNSET, NAMED_BY_STREAM, UNNAMED, HIDDEN, APPENDED, RAW = range(8101, 8109)
ADMIN = "127.0.0.1:9102"
API = "type.googleapis.com/envoy.extensions."
POLICY = """\
version: 1
rules:
  - id: enrich
    then: continue
    request_headers: {set: {x-tcp-p0f: "%{p0f}", x-tcp-state: "%{fingerprint.state} %{fingerprint.reason|-}"}}
  - id: source
    then: continue
    request_headers: {set: {x-tcp-source: "%{source.address}:%{source.port}"}}
default: allow
"""
EXTENSIONS = {"peer_header": "x-peer", "local_header": "x-local"}


def mutation(name, value, action):
    return {"append": {"header": {"key": name, "value": value}, "append_action": action}}


def listener(port, proxy, sets="OVERWRITE_IF_EXISTS_OR_ADD", extensions=EXTENSIONS, initial_metadata=(), **authz):
    """An HTTP listener; `sets` is how Envoy sets the two headers, None: it does not."""
    host = {"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "upstream"}}]}
    if extensions:
        host["typed_per_filter_config"] = {
            "authz": {
                "@type": API + "filters.http.ext_authz.v3.ExtAuthzPerRoute",
                "check_settings": {"context_extensions": extensions},
            }
        }
    manager = {
        "@type": API + "filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": f"in-{port}",
        "common_http_protocol_options": {"headers_with_underscores_action": "ALLOW"},
        "route_config": {"virtual_hosts": [host]},
        "http_filters": [
            {
                "name": "authz",
                "typed_config": {
                    "@type": API + "filters.http.ext_authz.v3.ExtAuthz",
                    "transport_api_version": "V3",
                    "grpc_service": {
                        "envoy_grpc": {"cluster_name": "synauthz"},
                        "timeout": "2s",
                        "initial_metadata": [{"key": key, "value": value} for key, value in initial_metadata],
                    },
                    "status_on_error": {"code": "ServiceUnavailable"},
                    **authz,
                },
            },
            {"name": "router", "typed_config": {"@type": API + "filters.http.router.v3.Router"}},
        ],
    }
    if sets:
        manager["early_header_mutation_extensions"] = [
            {
                "name": "mutation",
                "typed_config": {
                    "@type": API + "http.early_header_mutation.header_mutation.v3.HeaderMutation",
                    "mutations": [
                        mutation("x-peer", "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%", sets),
                        mutation("x-local", "%DOWNSTREAM_DIRECT_LOCAL_ADDRESS%", sets),
                    ],
                },
            }
        ]
    proxy_filter = {
        "name": "proxy",
        "typed_config": {"@type": API + "filters.listener.proxy_protocol.v3.ProxyProtocol"},
    }
    return {
        "name": f"in-{port}",
        "address": {"socket_address": {"address": "::", "port_value": port, "ipv4_compat": True}},
        "listener_filters": [proxy_filter] if proxy else [],
        "filter_chains": [{"filters": [{"name": "manager", "typed_config": manager}]}],
    }


def listeners():
    stream = [("x-synauthz-peer-header", "x-peer"), ("x-synauthz-local-header", "x-local")]
    only_agent = {"patterns": [{"exact": "user-agent"}]}
    return [
        listener(PLAIN, False, sets=None),
        listener(PROXIED, True),
        listener(UNSET, True, sets=None),
        listener(NAMED_BY_STREAM, True, extensions=None, initial_metadata=stream),
        listener(UNNAMED, True, sets=None, extensions=None),
        listener(HIDDEN, False, allowed_headers=only_agent),
        listener(APPENDED, True, sets="APPEND_IF_EXISTS_OR_ADD"),
        listener(RAW, True, encode_raw_headers=True),
    ]


# ---------------------------------------------------------------------------------------------------- PROXY protocol


def proxy_v1(source, destination):
    family = "TCP6" if ":" in source[0] else "TCP4"
    return f"PROXY {family} {source[0]} {destination[0]} {source[1]} {destination[1]}\r\n".encode()


def proxy_v2(source, destination):
    family = socket.AF_INET6 if ":" in source[0] else socket.AF_INET
    addresses = b"".join(socket.inet_pton(family, address) for address, _ in (source, destination))
    ports = struct.pack("!HH", source[1], destination[1])
    kind = 0x21 if family == socket.AF_INET6 else 0x11
    return PROXY_V2 + bytes([0x21, kind]) + struct.pack("!H", len(addresses + ports)) + addresses + ports


PROXY_V2 = b"\r\n\r\n\x00\r\nQUIT\n"
PROXY_V2_LOCAL = PROXY_V2 + bytes([0x20, 0]) + struct.pack("!H", 0)  # the balancer speaks for itself
FAR4 = (("203.0.113.9", 1234), ("198.51.100.1", 443))
FAR6 = (("2001:db8::9", 1234), ("2001:db8::1", 443))


def connect(lab, port, proxy=b"", address=SERVER_IPV4):
    connection = Connection(lab, address, port)
    connection.socket.sendall(proxy)
    return connection


def counted(lab):
    """{result: how often}"""
    with lab.server.entered(), urllib.request.urlopen(f"http://{ADMIN}/metrics", timeout=10) as page:
        text = page.read().decode()
    return {name: int(value) for name, value in re.findall(r'synauthz_peer_header_total\{result="(\w+)"\} (\d+)', text)}


class Judge:
    """Asks and compares with what the real p0f saw of the same connection; p0f is asked once, at the end."""

    def __init__(self, cases, lab):
        self.cases, self.lab, self.waiting = cases, lab, []
        self.recording = lab.record_syns()

    def own(self, name, connection, reply, source, result):
        """The reply has the fingerprint of the connection itself; `source` is what source.address must be."""
        self.waiting.append((name, connection.local, reply))
        self.cases.equal(f"{name}: verified", reply.upstream("x-tcp-state"), ["verified -"])
        if source:
            self.cases.equal(f"{name}: source.address is as Envoy says", reply.upstream("x-tcp-source"), [source])
        self.rest(name, reply, result)

    def none(self, name, reply, state, result):
        self.cases.equal(f"{name}: {state}", reply.upstream("x-tcp-state"), [state])
        self.cases.equal(f"{name}: no fingerprint", reply.upstream("x-tcp-p0f"), [])
        self.rest(name, reply, result)

    def rest(self, name, reply, result):
        left = [pair for pair in reply.received or [] if re.fullmatch(r"x[-_](peer|local)", pair[0].lower())]
        wanted = left if result is None else []  # where nobody named a header, it is none of ours
        self.cases.equal(f"{name}: the headers do not get upstream", left, wanted)
        now = counted(self.lab)
        before, self.before = getattr(self, "before", {}), now
        grown = {key: value - before.get(key, 0) for key, value in now.items() if value != before.get(key, 0)}
        self.cases.equal(f"{name}: counted", grown, {result: 1} if result else {})

    def finish(self):
        seen = self.recording.signatures()
        for name, (address, port), reply in self.waiting:
            p0f = seen.get((canonical(address), port))
            self.cases.check(
                f"{name}: the signature is what p0f sees of this connection",
                p0f is not None and reply.upstream("x-tcp-p0f") == [p0f],
                (p0f, reply),
            )


def honest(judge, lab):
    for version, build in (("v1", proxy_v1), ("v2", proxy_v2)):
        for ip, (source, destination), address in (("IPv4", FAR4, SERVER_IPV4), ("IPv6", FAR6, SERVER_IPV6)):
            connection = connect(lab, PROXIED, build(source, destination), address)
            name = f"PROXY {version}, {ip}, Envoy sets the header"
            judge.own(name, connection, connection.get(), f"{source[0]}:{source[1]}", "used")
    connection = connect(lab, PROXIED, proxy_v1(*FAR6))
    judge.own("an IPv6 client over an IPv4 connection", connection, connection.get(), "2001:db8::9:1234", "used")
    connection = connect(lab, PROXIED, PROXY_V2_LOCAL)
    judge.own("PROXY v2 LOCAL", connection, connection.get(), None, "used")
    connection = connect(lab, NAMED_BY_STREAM, proxy_v1(*FAR4))
    judge.own("the gRPC stream names it", connection, connection.get(), "203.0.113.9:1234", "used")
    connection = connect(lab, RAW, proxy_v2(*FAR4))
    judge.own("raw headers", connection, connection.get(), "203.0.113.9:1234", "used")
    reply = connect(lab, UNNAMED, proxy_v1(*FAR4)).get()  # port 443 is not one of those that are captured
    judge.none("PROXY v1, nobody names a header", reply, "missing filtered", None)
    reply = connect(lab, UNSET, proxy_v1(*FAR4)).get()
    judge.none("PROXY v1, Envoy does not set the header", reply, "unsupported proxy_protocol", "absent")
    connection = Connection(lab, port=HIDDEN)
    reply = connection.get(headers=[("x-peer", "192.0.2.9:1"), ("X-Local", "192.0.2.9:1")])
    judge.own("Envoy is not told to show it: source.address counts", connection, reply, None, "absent")


def forged(judge, lab):
    """`victim` is another client's connection, whose SYN looks otherwise."""
    with lab.client.changed("net.ipv4.tcp_timestamps", 0):
        victim = Connection(lab, port=PLAIN)
    theirs = victim.get().upstream("x-tcp-p0f")
    tuple_of_victim = [("x-peer", f"{CLIENT_IPV4}:{victim.local[1]}"), ("x-local", f"{SERVER_IPV4}:{PLAIN}")]
    judge.before = counted(lab)

    connection = Connection(lab, port=PLAIN)
    reply = connection.get(headers=tuple_of_victim)
    judge.cases.check("(the two SYNs differ)", theirs and reply.upstream("x-tcp-p0f") != theirs, (theirs, reply))
    judge.own("a plain listener, a client names the victim", connection, reply, None, "ignored_verified")
    reply = connection.get(headers=[("x_peer", "192.0.2.1:1"), ("X_Local", "192.0.2.1:1"), ("X-Peer", "nonsense")])
    judge.own("a plain listener, other spellings", connection, reply, None, "malformed")

    connection = connect(lab, PROXIED, proxy_v1(*FAR4))
    reply = connection.get(headers=tuple_of_victim)
    judge.own("PROXY, a client names the victim: Envoy overwrites", connection, reply, "203.0.113.9:1234", "used")
    reply = connect(lab, APPENDED, proxy_v1(*FAR4)).get(headers=tuple_of_victim)
    judge.none("PROXY, Envoy appends only: two values", reply, "unsupported proxy_protocol", "repeated")
    connection = connect(lab, APPENDED, proxy_v1(*FAR4))
    judge.own("the same without a forged one", connection, connection.get(), "203.0.113.9:1234", "used")
    reply = connect(lab, UNSET, proxy_v1(*FAR4)).get(headers=[("x-peer", "192.0.2.1"), tuple_of_victim[1]])
    judge.none("PROXY, no port", reply, "unsupported proxy_protocol", "malformed")
    reply = connect(lab, UNSET, proxy_v1(*FAR4)).get(headers=tuple_of_victim[:1])
    judge.none("PROXY, half of what is named", reply, "unsupported proxy_protocol", "absent")
    repeated = connect(lab, RAW, proxy_v1(*FAR4))
    reply = repeated.get(headers=[("x-peer", "192.0.2.1:1"), ("x-peer", "192.0.2.1:1")])
    judge.own("raw headers, a client repeats it: Envoy overwrites", repeated, reply, "203.0.113.9:1234", "used")


def main(cases):
    lab = Lab()
    lab.start_upstream()
    lab.start_envoy(json.dumps({"static_resources": {"listeners": listeners()}}))
    server = lab.serve(lab.write("policy.yaml", POLICY), "--admin", ADMIN, ports=range(PLAIN, RAW + 1))
    wait_until(lambda: Connection(lab, port=PLAIN).get().status == 200, 20, "an answer")
    judge = Judge(cases, lab)
    judge.before = counted(lab)
    honest(judge, lab)
    forged(judge, lab)
    judge.finish()
    cases.equal("the server ends", server.stop(), 0)


run_cases(main)
