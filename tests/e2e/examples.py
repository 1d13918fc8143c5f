#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The Envoy configurations of envoy/, these very files: each is loaded by every Envoy that we name, and does in its lab
what it says.  demo.py drives envoy.yaml, rolling_restart.py replicas.yaml, wasm.py wasm/envoy.yaml."""

import contextlib
import json
import ssl
import threading

from _examples import *

sys.path.append(os.path.join(ROOT, "tests/conformance"))
import _http3
import _wire
from _peer import Listener, Peer

TLS_PORT = 8443
RATE_LIMIT_PORT = 8081
DENIED_LOG = "/run/envoy/denied.log"
ELSEWHERE = ("envoy.yaml", "replicas.yaml", "tls.yaml", "wasm/envoy.yaml")  # driven by scripts of their own
NO_TIMESTAMPS = ("net.ipv4.tcp_timestamps", 0)


# ------------------------------------------------------------------------------------------------- what they share


def all_envoys():
    """{version: path}"""
    versions = text_of(os.path.join(ROOT, "tests/conformance/envoy-versions")).split()
    return {version: sh(os.path.join(HERE, "find-envoy"), version).strip() for version in versions}


class TlsConnection(Connection):
    def __init__(self, lab, name="lab.test", alpn=("http/1.1",), **more):
        super().__init__(lab, port=TLS_PORT, **more)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols(alpn)
        self.socket = self.http.sock = context.wrap_socket(self.socket, server_hostname=name)


def without_timestamps(lab, **more):
    with lab.client.changed(*NO_TIMESTAMPS):
        return Connection(lab, **more)


# --------------------------------------------------------------------------------------------------- they are loaded


def loaded(cases, envoys):
    examples = bootstraps()
    driven = {name for name, _ in DRIVEN} | set(ELSEWHERE)
    cases.equal("each example is driven, here or elsewhere", [name for name in examples if name not in driven], [])
    for version, envoy in envoys.items():
        for name in examples:
            done = subprocess.run(
                [envoy, "--mode", "validate", "--log-level", "error", "--config-path", os.path.join(HERE, name)],
                text=True,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
            cases.check(f"Envoy {version} loads {name}", done.returncode == 0, done.stdout[-600:])


def careful(cases):
    """What every example says explicitly, whatever it is about."""
    for name in bootstraps():
        text = text_of(name)
        cases.check(f"{name}: the failure mode is written down", "failure_mode_allow: false" in text)
        cases.check(f"{name}: so is the time limit", re.search(r"^ +timeout: 0\.25s", text, re.M))
        cases.check(
            f"{name}: retries as a hand-over needs them", "retry_on: cancelled," in text and "max_retries:" in text
        )
        if "http_connection_manager.v3" in text:
            cases.check(f"{name}: errors are no denials", "status_on_error: {code: ServiceUnavailable}" in text)
            managers = text.count("stat_prefix: http")
            strips = text.count('safe_regex: {regex: "x[^a-z0-9]tcp[^a-z0-9].*"}')
            cases.equal(f"{name}: forged headers are removed on each listener", strips, managers)


def documented(cases):
    """docs/envoy.md shows nothing that is not in an example, whatever the indentation."""
    texts = [text_of(name) for name in bootstraps()]
    page = text_of(os.path.join(ROOT, "docs/envoy.md"))
    blocks = re.findall(r"^```yaml\n(.*?)^```$", page, re.M | re.S)
    cases.check("docs/envoy.md has examples", len(blocks) > 5, len(blocks))
    for block in blocks:
        pattern = "".join(r"\1" + re.escape(line) + r"\n" for line in block.splitlines())
        pattern = "^" + pattern.replace(r"\1", "( *)", 1)
        found = any(re.search(pattern, text, re.M) for text in texts)
        cases.check(f"docs/envoy.md: `{block.splitlines()[0]}` is in an example", found, block)
    missing = [name for name in bootstraps() if f"(../envoy/{name})" not in page]
    cases.equal("docs/envoy.md names every example", missing, [])


# ------------------------------------------------------------------------------------------------ they do what they say


def client_hello(name):
    context, out = ssl.create_default_context(), ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name).do_handshake()
    return out.read()


def bytes_of_answer(connection, request=b"GET / HTTP/1.1\r\nhost: lab.test\r\n\r\n"):
    """b"" where the connection was closed instead."""
    connection.socket.sendall(request)
    try:
        return connection.socket.recv(4096)
    except ConnectionResetError:
        return b""


def network(cases, lab):
    with example(lab, "network.yaml", "network.policy.yaml") as envoy:
        silent = Connection(lab)  # says nothing
        reply = Connection(lab).get()
        cases.equal("network filter: an ordinary connection gets through", reply.status, 200)
        cases.equal("and nothing is added to what it says", reply.upstream("x-tcp-p0f"), [])
        cases.equal("network filter: a denied one is closed", bytes_of_answer(without_timestamps(lab)), b"")
        wait_until(lambda: '"rule":"no-timestamps"' in envoy.output(), 10, "the denial in the access log")
        cases.check("the access log says why", '"flags":"UAEX"' in envoy.output(), envoy.output())
        cases.equal("who says nothing is not asked about", metric(lab, "synauthz_checks_total"), 2)
        cases.equal("until it does", silent.get().status, 200)
        answer = bytes_of_answer(Connection(lab), client_hello("lab.test"))
        cases.check("network filter: TLS gets through", answer != b"", answer)  # the upstream complains, in HTTP
        answer = bytes_of_answer(Connection(lab), client_hello("db.internal"))
        cases.equal("network filter: by the name in its ClientHello", answer, b"")


def rbac(cases, lab):
    with example(lab, "rbac.yaml", "rbac.policy.yaml"):
        connection = Connection(lab)
        cases.equal("RBAC: an ordinary client", connection.get("/").status, 200)
        cases.equal("RBAC: a verified one may see /admin", connection.get("/admin").status, 200)
        cases.equal("RBAC: by the system's family", connection.get("/builds").status, 200)
        reply = without_timestamps(lab).get("/")
        cases.equal("RBAC: by a key of the policy", (reply.status, reply.body), (403, "RBAC: access denied"))
    with example(lab, "rbac.yaml", "rbac.policy.yaml", "--source", "none"):
        connection = Connection(lab)
        cases.equal("RBAC: without a fingerprint", connection.get("/").status, 200)
        cases.equal("RBAC: and not /admin", connection.get("/admin").status, 403)
        cases.equal("RBAC: nor what its system would open", connection.get("/builds").status, 403)


PROXIED = ("192.0.2.7", 1111, "192.0.2.8", 2222)  # what the balancer says


def proxy_v1():
    source, source_port, destination, destination_port = PROXIED
    return f"PROXY TCP4 {source} {destination} {source_port} {destination_port}\r\n".encode()


def proxy_v2():
    source, source_port, destination, destination_port = PROXIED
    addresses = socket.inet_aton(source) + socket.inet_aton(destination)
    return b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + addresses + struct.pack("!HH", source_port, destination_port)


def proxied(lab, header, headers=()):
    connection = Connection(lab)
    connection.socket.sendall(header)
    return connection.get("/", headers)


def proxy_protocol(cases, lab):
    forged = [("x-tcp-peer", "192.0.2.9:1"), ("X-Tcp-Peer", "192.0.2.9:2"), ("x_tcp_peer", "192.0.2.9:3")]
    with example(lab, "proxy-protocol.yaml", "policy.yaml"):
        for version, header in (("1", proxy_v1()), ("2", proxy_v2())):
            reply = proxied(lab, header, forged)
            cases.check(
                f"PROXY protocol {version}: the fingerprint of the TCP peer",
                reply.upstream("x-tcp-state") == ["verified"] and len(reply.upstream("x-tcp-p0f")) == 1,
                reply,
            )
            cases.equal("while the client is who the header says", reply.upstream("x-forwarded-for"), ["192.0.2.7"])
            names = [name for name, _ in reply.received if re.match("x.tcp.(peer|local)", name)]
            cases.equal("and nothing of that gets upstream", names, [])
    unnamed = changed(
        lab, "proxy-protocol.yaml", "peer_header: x-tcp-peer, local_header: x-tcp-local", "peer_header: x-not-set"
    )
    with example(lab, unnamed, "rbac.policy.yaml"):
        reply = proxied(lab, proxy_v1(), [("x-tcp-peer", "192.0.2.9:1")])
        looked_up = metric(lab, "synauthz_lookups_total", state="unsupported", reason="proxy_protocol")
        cases.equal("PROXY protocol: without the header there is none", (reply.status, looked_up), (200, 1))


class RateLimits:
    """A rate limit service that refuses what `limited` says, and remembers what it was asked."""

    _wire.MESSAGES.update(
        RateLimitRequest={1: ("domain", "string"), 2: ("descriptors", "*Descriptor"), 3: ("hits", "int")},
        Descriptor={1: ("entries", "*Entry")},
        Entry={1: ("key", "string"), 2: ("value", "string")},
    )
    OK, OVER_LIMIT = b"\x08\x01", b"\x08\x02"

    def __init__(self, lab, limited):
        self.asked, self.limited = [], limited
        with lab.server.entered():
            listening = socket.create_server(("127.0.0.1", RATE_LIMIT_PORT))
        self.listener = Listener(listening, self.serve)

    def serve(self, connection, _):
        Peer(connection, client=False, on_request=self.answer)

    def close(self):
        self.listener.socket.shutdown(socket.SHUT_RDWR)  # wakes its thread, too
        self.listener.socket.close()

    def answer(self, stream):
        stream.wait_end()
        request = _wire.decode("RateLimitRequest", _wire.unframe(stream.data))
        descriptors = [
            {entry["key"]: entry["value"] for entry in descriptor["entries"]} for descriptor in request["descriptors"]
        ]
        self.asked.append((request["domain"], descriptors))
        stream.send_headers([(":status", "200"), ("content-type", "application/grpc")])
        stream.send_data(_wire.frame(self.OVER_LIMIT if self.limited(descriptors) else self.OK))
        stream.send_headers([("grpc-status", "0")], end=True)


def ratelimit(cases, lab):
    service = RateLimits(lab, lambda descriptors: False)
    with example(lab, "ratelimit.yaml", "ratelimit.policy.yaml"):
        connection = Connection(lab)
        replies = [connection.get().status for _ in range(20)]
        cases.equal("rate limits: an ordinary client has none here", replies, [200] * 20)
        wait_until(lambda: service.asked, 20, "the rate limit service to be asked")
        domain, descriptors = service.asked[-1]
        cases.equal("the service is asked in its domain", domain, "synauthz")
        cases.check(
            "about the budget, and about the fingerprint at its address",
            descriptors[0] == {"budget": "ordinary"}
            and descriptors[1].get("p0f", "").startswith("4:64")
            and descriptors[1].get("remote_address") == CLIENT_IPV4,
            descriptors,
        )
        tool = without_timestamps(lab)
        replies = [tool.get() for _ in range(7)]
        cases.equal("rate limits: five a minute for tools", [r.status for r in replies], [200] * 5 + [429] * 2)
        cases.equal("by Envoy's own bucket", replies[-1].header("x-limited-by"), "local")
        cases.equal("which is the tools' alone", connection.get().status, 200)
        service.limited = lambda descriptors: {"budget": "ordinary"} in descriptors
        # Not at the first time perhaps: our service is slow, and Envoy does not wait for long.
        wait_until(lambda: connection.get().status == 429, 20, "the rate limit service to be heard")
        cases.check("rate limits: the service's no counts", True)
    with example(lab, "ratelimit.yaml", "ratelimit.policy.yaml", "--source", "none"):
        service.limited = lambda descriptors: False
        service.asked.clear()
        cases.equal("rate limits: without a fingerprint", Connection(lab).get().status, 200)
        wait_until(lambda: service.asked, 20, "the rate limit service to be asked")
        cases.equal(
            "it is left out",
            service.asked[-1][1],
            [{"budget": "ordinary"}, {"remote_address": CLIENT_IPV4}],
        )
    service.close()


def log_lines(text):
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def access_log(cases, lab):
    with example(lab, "access-log.yaml", "policy.yaml") as envoy:
        allowed = Connection(lab).get("/one")
        without_timestamps(lab).get("/two")
        wait_until(lambda: len(log_lines(envoy.output())) == 2, 10, "two lines in the access log")
        one, two = log_lines(envoy.output())
        wanted = {"signature": allowed.upstream("x-tcp-p0f")[0], "state": "verified"}
        cases.check(
            "access log: an allowed request, with what was seen",
            one["verdict"] == "allow" and wanted.items() <= one["p0f"].items() and one["status"] == 200,
            one,
        )
        cases.check(
            "access log: a denied one too, and why",
            (two["verdict"], two["rule"], two["status"], two["flags"], two["details"])
            == ("deny", "no-timestamps", 403, "UAEX", "ext_authz_denied")
            and two["decision"],
            two,
        )
        cases.check("access log: what the question cost", int(one["authz_us"]) > 0, one)
        wait_until(lambda: os.path.getsize(DENIED_LOG) > 0, 10, "the log of denials")
        denied = [line["path"] for line in log_lines(text_of(DENIED_LOG))]
        cases.equal("denials have a log of their own", denied, ["/two"])
        os.unlink(DENIED_LOG)


def routes(cases, lab):
    with example(lab, "routes.yaml", "routes.policy.yaml"):
        connection = Connection(lab)
        cases.equal("routes: one that is not asked about", connection.get("/healthz").body, "ok\n")
        cases.equal("nobody was asked", metric(lab, "synauthz_checks_total"), 0)
        cases.equal("routes: all else is", connection.get("/").upstream("x-tcp-state"), ["verified"])
        cases.equal("routes: context extensions, verified", connection.get("/admin").status, 200)
        reply = without_timestamps(lab).get("/")
        cases.equal("routes: one that the answer chooses", reply.body, "the slow lane\n")
    with example(lab, "routes.yaml", "routes.policy.yaml", "--source", "none"):
        cases.equal("routes: context extensions, not verified", Connection(lab).get("/admin").status, 403)


def lua(cases, lab):
    with example(lab, "lua.yaml", "policy.yaml"):
        reply = Connection(lab).get("/", [("x-you-look-like", "forged")])
        cases.check(
            "Lua: it reads the metadata",
            reply.header("x-you-look-like") == reply.upstream("x-tcp-p0f")[0],
            reply,
        )
    with example(lab, "lua.yaml", "policy.yaml", "--source", "none"):
        reply = Connection(lab).get("/")
        cases.equal("Lua: and goes on without", (reply.status, reply.header("x-you-look-like")), (200, None))


def tls_fingerprints(cases, lab):
    forged = [("x-tls-ja4", "t13d_forged"), ("X-Tls-Ja3", "forged"), ("x-tls-peer", "192.0.2.1:1"), ("x_tls_ja4", "f")]
    with example(lab, "tls-fingerprints.yaml", "tls-fingerprints.policy.yaml", port=TLS_PORT):
        connection = TlsConnection(lab)
        reply = connection.get("/", [("user-agent", "Mozilla/5.0"), ("x-forwarded-for", "192.0.2.9"), *forged])
        ja3, ja4 = reply.upstream("x-tls-ja3"), reply.upstream("x-tls-ja4")
        cases.check(
            "TLS fingerprints: Envoy's own JA3 and JA4 alone",
            len(ja3) == len(ja4) == 1
            and re.fullmatch(r"[0-9a-f]{32}", ja3[0])
            and re.fullmatch(r"t13d\d{4}h1_[0-9a-f]{12}_[0-9a-f]{12}", ja4[0])
            and not reply.upstream("x_tls_ja4"),
            reply,
        )
        cases.equal(
            "TLS fingerprints: the TCP peer", reply.upstream("x-tls-peer"), ["{}:{}".format(*connection.local)]
        )
        cases.check("TLS fingerprints: and the SYN's", len(reply.upstream("x-tcp-p0f")) == 1, reply)
        nameless = TlsConnection(lab, name=None)
        cases.equal("TLS fingerprints: a tool names no host", nameless.get("/").status, 200)
        reply = nameless.get("/", [("user-agent", "Mozilla/5.0"), *forged])
        cases.equal("a browser does", (reply.status, reply.body), (403, "denied by browser-without-a-name\n"))


def http3(cases, lab):
    with example(lab, "http3.yaml", "http3.policy.yaml", port=TLS_PORT):
        connection = TlsConnection(lab)
        reply = connection.get("/")
        cases.check("HTTP/3: TCP clients are told of it", "h3=" in (reply.header("alt-svc") or ""), reply)
        cases.equal("HTTP/3: over TCP there is a fingerprint", connection.get("/admin").status, 200)
        with lab.client.entered():
            page, admin, forged = _http3.get_all(
                SERVER_IPV4, TLS_PORT, ("/", ()), ("/admin", ()), ("/", [("x-tcp-p0f", "forged"), ("x-tcp-state", "x")])
            )
        cases.check(
            "HTTP/3: there is none",
            page[0] == 200 and "x-tcp-state: unsupported\n" in page[2] and "x-tcp-p0f" not in page[2],
            page,
        )
        cases.equal(
            "HTTP/3: where one is needed, it is back to TCP", (admin[0], admin[1].get("alt-svc")), (421, "clear")
        )
        cases.check(
            "HTTP/3: nor can the client bring one",
            forged[0] == 200 and "x-tcp-p0f" not in forged[2] and "x-tcp-state: unsupported\n" in forged[2],
            forged,
        )


DRIVEN = (
    ("network.yaml", network),
    ("rbac.yaml", rbac),
    ("ratelimit.yaml", ratelimit),
    ("access-log.yaml", access_log),
    ("routes.yaml", routes),
    ("lua.yaml", lua),
    ("tls-fingerprints.yaml", tls_fingerprints),
    ("http3.yaml", http3),
    ("proxy-protocol.yaml", proxy_protocol),
)


def main(cases):
    lab = Lab()
    files_they_name()
    envoys = all_envoys()
    loaded(cases, envoys)
    careful(cases)
    documented(cases)
    lab.start_upstream()
    for version, envoy in envoys.items():
        os.environ["ENVOY"] = envoy  # of lab.start_envoy()
        for name, drive in DRIVEN:
            print(f"-- {name}, Envoy {version}", flush=True)
            drive(cases, lab)


run_cases(main)
