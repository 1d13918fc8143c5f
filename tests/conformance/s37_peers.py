# SPDX-License-Identifier: Apache-2.0
"""31, 37-40: who the peer is, by the connection and not by what a request says."""

import socket
import struct

import _http3
from _client import Http1
from _envoy import HTTP_AUTHZ, ID, METADATA, Http, Listener, merged, per_route, typed
from _scenario import port_of, scenario
from _tls import server_transport
from lab import CLIENT_DEVICE, CLIENT_IPV4, CLIENT_IPV6, SERVER_DEVICE, SERVER_IPV4, SERVER_IPV6

RULE = """\
  - id: s{number}
    when: {{http.path: {{prefix: /s{number}}}}}
    then: continue
    request_headers:
      set: {{x-state: "%{{fingerprint.state}} %{{fingerprint.reason|-}}", x-signature: "%{{p0f|-}}"}}
"""


def state(reply):
    return (reply.upstream("x-state") or [f"status {reply.status}"])[0]


def source(call):
    """(address, port) in a Check."""
    where = call.attributes["source"]["address"].get("socket_address", {})
    return where.get("address"), where.get("port_value")


PEER, LOCAL = "x-tcp-peer", "x-tcp-local"
NAMED = {"context_extensions": {"peer_header": PEER, "local_header": LOCAL}}
BY_ENVOY = {
    "early_header_mutation_extensions": [
        typed(
            "envoy.http.early_header_mutation.header_mutation",
            "http.early_header_mutation.header_mutation.v3.HeaderMutation",
            mutations=[
                {"append": {"header": {"key": key, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}}
                for key, value in (
                    (PEER, "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%"),
                    (LOCAL, "%DOWNSTREAM_DIRECT_LOCAL_ADDRESS%"),
                )
            ],
        )
    ]
}
PROXY = {
    "listener_filters": [
        typed("envoy.filters.listener.proxy_protocol", "filters.listener.proxy_protocol.v3.ProxyProtocol")
    ]
}
ONLY_ID = {"allowed_headers": {"patterns": [{"exact": ID}]}}
BY_STREAM = {
    "grpc_service": {
        "initial_metadata": [
            {"key": METADATA, "value": "s37-stream"},
            {"key": "x-synauthz-peer-header", "value": PEER},
            {"key": "x-synauthz-local-header", "value": LOCAL},
        ]
    }
}


def named(**more):
    """A listener whose route names the header that Envoy puts the connection's own tuple into."""
    host = {"typed_per_filter_config": {HTTP_AUTHZ: per_route(check_settings=NAMED)}}
    return Http(host=host, **{"manager": BY_ENVOY, **more})


@scenario(
    31,
    "allowed_headers without the peer header",
    {"main": named(authz=ONLY_ID), "proxy": named(authz=ONLY_ID, listener=PROXY)},
    rules=RULE.format(number=31),
)
def peer_header_not_sent(t):
    """the server takes source.address; behind a PROXY protocol that is not the connection's, and it says so"""
    reply = t.get()
    t.equal("state", state(reply), "verified -")
    t.check("not in the Check", PEER not in t.call_of(reply).http["headers"], t.call_of(reply))
    reply = t.get(over=proxied(t, "proxy", VERSION_1))
    t.equal("behind a PROXY protocol", state(reply), "unsupported proxy_protocol")


VERSION_1 = b"PROXY TCP4 203.0.113.7 192.0.2.1 51234 443\r\n"
VERSION_2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11" + struct.pack(
    "!H4s4sHH", 12, socket.inet_aton("203.0.113.7"), socket.inet_aton("192.0.2.1"), 51234, 443
)


def proxied(t, listener, header):
    client = t.http1(listener)
    client.send(header)
    return client


@scenario(
    37,
    "PROXY protocol, with and without the peer header",
    {
        "without": Http(listener=PROXY),
        "with": named(listener=PROXY),
        "stream": Http(listener=PROXY, manager=BY_ENVOY, authz=BY_STREAM),
        "forgeable": named(manager={}),  # an operator's mistake: the header is the client's
    },
    rules=RULE.format(number=37),
)
def proxy_protocol(t):
    """a miss without, a hit with; a client's own peer header counts nowhere"""
    forged = [(PEER, "203.0.113.9:1"), (PEER.replace("-", "_"), "203.0.113.9:1")]
    for version, header in ((1, VERSION_1), (2, VERSION_2)):
        reply = t.get(over=proxied(t, "without", header))
        t.equal(f"version {version}: peer in the Check", source(t.call_of(reply)), ("203.0.113.7", 51234))
        t.check(f"version {version}, without", state(reply).startswith("missing "), state(reply))
        t.equal("no fingerprint", reply.upstream("x-signature"), ["-"])
        for listener in ("with", "stream"):
            client = proxied(t, listener, header)
            for headers in ([], forged):
                reply = t.get(over=client, headers=headers)
                t.equal(f"version {version}, {listener}, {len(headers)} forged", state(reply), "verified -")
                t.equal("and not at the upstream", reply.upstream(PEER) + reply.upstream(LOCAL), [])
            client.close()
    victim = t.http1("forgeable", source_options=[(socket.IPPROTO_IP, socket.IP_TTL, 200)])
    theirs = t.get(over=victim).upstream("x-signature")
    mine = t.get(listener="forgeable").upstream("x-signature")
    address = "%s:%d" % victim.socket.getsockname()
    worn = [(PEER, address), (LOCAL, f"{SERVER_IPV4}:{t.scenario.port('forgeable')}")]
    reply = t.get(listener="forgeable", headers=worn)
    t.check("the victim's is another", theirs != mine, theirs)
    t.equal("a client that wears another's tuple", reply.upstream("x-signature"), mine)
    victim.close()


XFF_DETECTION = {
    "original_ip_detection_extensions": [
        typed(
            "envoy.http.original_ip_detection.xff",
            "http.original_ip_detection.xff.v3.XffConfig",
            xff_num_trusted_hops=1,
        )
    ]
}


@scenario(
    38,
    "X-Forwarded-For, use_remote_address and trusted hops",
    {
        "edge": Http(manager={"use_remote_address": True}),
        "inner": Http(manager={"use_remote_address": False}),
        "hops": Http(manager={"use_remote_address": True, "xff_num_trusted_hops": 2}),
        "inner-hops": Http(manager={"use_remote_address": False, "xff_num_trusted_hops": 1}),
        "detected": Http(manager={"use_remote_address": False, **XFF_DETECTION}),
    },
    rules=RULE.format(number=38),
)
def forwarded_for(t):
    """the peer is the connection's in all cases, and its fingerprint is found"""
    forwarded = [("x-forwarded-for", "203.0.113.7, 198.51.100.9"), ("x-real-ip", "203.0.113.7")]
    for listener in t.scenario.listen:
        client = t.http1(listener)
        local = client.socket.getsockname()
        replies = [t.get(listener=listener, over=client, headers=headers) for headers in ([], forwarded)]
        t.equal(f"{listener}: state", [state(reply) for reply in replies], ["verified -"] * 2)
        t.equal(f"{listener}: peer", [source(call) for call in t.calls(2, listener)], [local] * 2)
        client.close()


QUIC_PORT = port_of(39)


def quic(listener):
    """Beside the TCP listener, at the same port."""
    return merged(
        listener,
        {
            "address": {"socket_address": {"protocol": "UDP", "port_value": QUIC_PORT}},
            "udp_listener_config": {"quic_options": {}},
        },
    )


class Quic(Http):
    def described(self, name, port):
        return quic(super().described(name, port))


@scenario(
    39,
    "HTTP/3",
    {
        "tcp": Http(),
        "quic": Quic(
            manager={"codec_type": "HTTP3", "http3_protocol_options": {}},
            transport=server_transport(quic=True),
        ),
    },
    rules=RULE.format(number=39),
)
def http3(t):
    """unsupported, reason http3; never the fingerprint of a TCP connection from the same address and port"""
    tcp = t.http1("tcp")
    port = tcp.socket.getsockname()[1]
    t.equal("TCP", state(t.get(listener="tcp", over=tcp)), "verified -")
    with t.lab.client.entered():
        ((status, _, _),) = _http3.get_all(SERVER_IPV4, QUIC_PORT, (t.path, []), local_port=port)
    t.equal("status", status, 200)
    call = t.calls(1, "quic")[0]
    t.equal("protocol in the Check", call.http["protocol"], "HTTP/3")
    t.equal("peer in the Check, as TCP", source(call), (CLIENT_IPV4, port))
    arrived = dict(t.upstream.arrived(t.path)[-1]["headers"])
    t.equal("state", arrived.get("x-state"), "unsupported http3")
    t.equal("fingerprint", arrived.get("x-signature"), "-")
    t.equal("TCP, still", state(t.get(listener="tcp", over=tcp)), "verified -")
    tcp.close()


PIPE = "/run/lab/s40.sock"


class AtPipe(Http):
    """A listener on a unix socket."""

    def described(self, name, port):
        return {**super().described(name, port), "address": {"pipe": {"path": PIPE, "mode": 0o666}}}


class Internal(Http):
    """A listener inside Envoy, which a TCP proxy leads to."""

    def described(self, name, port):
        listener = {**super().described(name, port), "internal_listener": {}}
        del listener["address"]
        return listener


class ToInternal(Listener):
    def filters(self, name):
        kind = "filters.network.tcp_proxy.v3.TcpProxy"
        return [typed("envoy.filters.network.tcp_proxy", kind, stat_prefix=name, cluster="s40-internal")]


INTERNAL_CLUSTER = {
    "name": "s40-internal",
    "connect_timeout": "5s",
    "load_assignment": {
        "cluster_name": "s40-internal",
        "endpoints": [
            {
                "lb_endpoints": [
                    {"endpoint": {"address": {"envoy_internal_address": {"server_listener_name": "s40-internal"}}}}
                ]
            }
        ],
    },
    "transport_socket": typed(
        "envoy.transport_sockets.internal_upstream",
        "transport_sockets.internal_upstream.v3.InternalUpstreamTransport",
        transport_socket=typed("envoy.transport_sockets.raw_buffer", "transport_sockets.raw_buffer.v3.RawBuffer"),
    ),
}


@scenario(
    40,
    "IPv6, mapped IPv4, link-local, unix socket, internal listener",
    {"main": Http(), "pipe": AtPipe(), "internal": Internal(), "front": ToInternal()},
    rules=RULE.format(number=40),
    clusters={"s40-internal": INTERNAL_CLUSTER},
)
def kinds_of_peers(t):
    """an address is found, or its absence has a reason; an IPv4 client of a dual-stack listener is an IPv4 client"""
    for name, address, client in (("IPv4", SERVER_IPV4, CLIENT_IPV4), ("IPv6", SERVER_IPV6, CLIENT_IPV6)):
        reply = t.get(over=t.http1(address=address))
        t.equal(f"{name}: state", state(reply), "verified -")
        t.equal(f"{name}: peer", source(t.call_of(reply))[0], client)
    reply = t.get(over=Http1(link_local(t)))
    t.equal("link-local: state", state(reply), "verified -")
    t.check("link-local: peer", source(t.call_of(reply))[0].startswith("fe80:"), t.call_of(reply))

    sock = socket.socket(socket.AF_UNIX)
    sock.connect(PIPE)
    reply = t.get(over=Http1(sock))
    t.equal("unix socket: state", state(reply), "unsupported pipe")
    t.check("unix socket: peer", "pipe" in t.call_of(reply).attributes["source"]["address"], t.call_of(reply))

    reply = t.get(listener="front")
    t.equal("internal listener: state", state(reply), "unsupported internal")
    address = t.call_of(reply).attributes["source"]["address"]
    t.check("internal listener: peer", "envoy_internal_address" in address, address)


def link_local(t):
    """A connection between the link-local addresses of the two devices."""

    def address(namespace, device):
        words = namespace.ip("-6", "-oneline", "addr", "show", "dev", device, "scope", "link").split()
        return words[words.index("inet6") + 1].split("/")[0]

    server = address(t.lab.server, SERVER_DEVICE)
    with t.lab.client.entered():
        sock = socket.socket(socket.AF_INET6)
        scope = socket.if_nametoindex(CLIENT_DEVICE)
        sock.settimeout(30)
        sock.connect((server, t.scenario.port("main"), 0, scope))
    return sock
