#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every effect of a policy, as clients and upstreams of a real Envoy see it.

Envoy is told to validate mutations: a header or parameter of ours that it does not like is answered with 500.
"""

import json

from _cases import *

PORT, PLAIN_PORT = 8091, 8092  # with validate_mutations, and without
API = "type.googleapis.com/envoy.extensions."
POLICY = """\
version: 1
databases: [p0f.fp]
rules:
  - id: headers
    when: {http.path: {prefix: /headers}}
    then: continue
    request_headers:
      set: {x-set: "by %{rule}", x-absent: "%{header:x-not-sent}", x-copy: "%{header:x-hostile|none}"}
      append: {x-list: [one, two], x-maybe: "%{header:x-more}", cookie: "policy=1"}
      remove: [x-internal, x_internal]
  - id: more-headers
    when: {http.path: /headers/more}
    then: continue
    request_headers: {append: {x-list: three, x-set: and more}}
  - id: answer
    when: {http.path: {prefix: /answer}}
    then: allow
    response_headers:
      set: {x-app: "replaced", x-echo: "%{header:x-hostile|none}", x-gone: "%{header:x-not-sent}"}
      append: {set-cookie: ["seen=%{fingerprint.state}; Path=/", "second=2"], x-line: "%{rule}"}
  - id: parameters
    when: {http.path: /query, destination.port: 8092}
    then: allow
    query: {set: {os: "%{os.family|none}", echo: "%{header:x-hostile|a b&c=d/%~*}", flag: ""}, remove: [debug]}
  - id: parameters-for-an-envoy-that-validates
    when: {http.path: /query}
    then: allow
    query:
      set: {os: "%{os.family|none}", echo: "%{header:x-hostile|a b&c=d/%~*}", flag: ""}
      remove: [debug]
      escape: underscore
  - id: parameter-without-a-value
    when: {http.path: /query/absent}
    then: allow
    query: {set: {os: "%{header:x-not-sent}"}}
  - id: page
    when: {http.path: /denied/page}
    then: deny
    respond:
      status: 429
      body: "slow down, %{header:x-hostile|friend}\\nsecond line\\n"
      headers: {retry-after: "7", set-cookie: [a=1, "b=%{rule}"], x-echo: "%{header:x-hostile}"}
    metadata: {why: {path: "%{http.path}", none: {of: "%{header:x-not-sent}"}}}
  - id: elsewhere
    when: {http.path: {prefix: /denied/elsewhere}}
    then: deny
    respond: {redirect: "https://www.example.org%{http.path}?from=%{header:x-hostile|nowhere}"}
  - id: elsewhere-for-good
    when: {http.path: /denied/moved}
    then: deny
    respond: {status: 308, redirect: "https://www.example.org/%{header:x-not-sent|new}"}
  - id: nowhere
    when: {http.path: /denied/nowhere}
    then: deny
    respond: {redirect: "https://%{header:x-not-sent}/"}
  - id: quota
    when: {http.path: /denied/quota}
    then: deny
    respond: {status: 403, body: "<html>no</html>", grpc_status: RESOURCE_EXHAUSTED, grpc_message: "no quota for %{os.name|you}"}
  - id: plain
    when: {http.path: {prefix: /denied}}
    then: deny
  - id: tried-out
    mode: shadow
    when: {http.path: /shadow}
    then: deny
    respond: {status: 410}
    request_headers: {set: {x-shadow: "1"}}
    metadata: {shadowed: "yes"}
  - id: switched-off
    mode: off
    then: deny
    request_headers: {set: {x-off: "1"}}
default: allow
on_unknown: skip
"""


def listener(port, validates):
    """The route adds to what the upstream answers, so that there is something to replace."""
    route = {
        "match": {"prefix": "/"},
        "route": {"cluster": "upstream"},
        "response_headers_to_add": [
            {"header": {"key": key, "value": value}} for key, value in (("x-app", "own"), ("set-cookie", "app=1"))
        ],
    }
    manager = {
        "@type": API + "filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": f"in-{port}",
        "common_http_protocol_options": {"headers_with_underscores_action": "ALLOW"},
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": [
            {
                "name": "authz",
                "typed_config": {
                    "@type": API + "filters.http.ext_authz.v3.ExtAuthz",
                    "transport_api_version": "V3",
                    "grpc_service": {"envoy_grpc": {"cluster_name": "synauthz"}, "timeout": "2s"},
                    "status_on_error": {"code": "ServiceUnavailable"},
                    "validate_mutations": validates,
                },
            },
            {"name": "router", "typed_config": {"@type": API + "filters.http.router.v3.Router"}},
        ],
        "access_log": [
            {
                "name": "log",
                "typed_config": {
                    "@type": API + "access_loggers.file.v3.FileAccessLog",
                    "path": f"{SCRATCH}/access.log",
                    "log_format": {
                        "json_format": {
                            "path": "%REQ(:PATH)%",
                            "metadata": "%DYNAMIC_METADATA(envoy.filters.http.ext_authz)%",
                        }
                    },
                },
            }
        ],
    }
    return {
        "name": f"in-{port}",
        "address": {"socket_address": {"address": "0.0.0.0", "port_value": port}},
        "filter_chains": [{"filters": [{"name": "manager", "typed_config": manager}]}],
    }


def metadata_of(path):
    """The latest line of the access log about `path`."""
    found = []

    def logged():
        with open(f"{SCRATCH}/access.log") as log:
            lines = [json.loads(line) for line in log if line.endswith("\n")]
        found[:] = [line["metadata"] for line in lines if line["path"] == path]
        return found

    wait_until(logged, 20, f"a line of the access log about {path}")
    return found[-1]


def values(reply, name):
    return [value for key, value in reply.lines if key == name]


def request_headers(cases, connection):
    reply = connection.get(
        "/headers",
        (
            ("x-set", "forged"),
            ("x_set", "forged"),
            ("x-absent", "forged"),
            ("x-list", "mine"),
            ("x-list", "again"),
            ("x-internal", "1"),
            ("x_internal", "1"),
            ("cookie", "session=1"),
            ("x-shadow", "forged"),
            ("x-off", "forged"),
        ),
    )
    cases.equal("a header is set over the client's", reply.upstream("x-set"), ["by default"])
    cases.equal("in no other spelling", reply.upstream("x_set"), [])
    cases.equal("without a value the client's is gone all the same", reply.upstream("x-absent"), [])
    cases.equal("what is appended comes behind the client's values", reply.upstream("x-list"), ["mine,again,one,two"])
    cases.equal("nothing to append, nothing to see", reply.upstream("x-maybe"), [])
    cases.equal("a cookie is appended as cookies are", reply.upstream("cookie"), ["session=1; policy=1"])
    cases.equal("removed", reply.upstream("x-internal") + reply.upstream("x_internal"), [])
    cases.equal("headers of a shadow rule and of one that is off", reply.upstream("x-shadow") + reply.upstream("x-off"), [])

    reply = connection.get("/headers")
    cases.equal("appended to nothing is added", reply.upstream("x-list"), ["one,two"])
    cases.equal("a cookie of its own", reply.upstream("cookie"), ["policy=1"])
    reply = connection.get("/headers/more", (("x-list", "mine"), ("x-set", "forged")))
    cases.equal("two rules append in their order", reply.upstream("x-list"), ["mine,one,two,three"])
    cases.equal("appended to what a rule has set", reply.upstream("x-set"), ["by default,and more"])
    reply = connection.get("/headers", (("x-maybe", "kept"), ("x-list", "gr\xfc\xdfe".encode())))
    cases.equal("an absent value appends nothing", reply.upstream("x-maybe"), ["kept"])
    cases.check(
        "bytes that we cannot repeat stay the client's",
        len(reply.upstream("x-list")) == 1 and reply.upstream("x-list")[0].endswith(",one,two"),
        reply,
    )


def response_headers(cases, connection):
    reply = connection.get("/answer")
    cases.equal("a header of the answer is replaced", values(reply, "x-app"), ["replaced"])
    cases.equal("one without a value is not sent", values(reply, "x-gone"), [])
    cases.equal("a line is added", values(reply, "x-line"), ["answer"])
    cases.equal(
        "cookies stand beside the application's",
        sorted(values(reply, "set-cookie")),
        ["app=1", "second=2", "seen=verified; Path=/"],
    )


def query(cases, connection, validates):
    """Envoy decodes no name.  One that validates does not take it back either, and ignores the removal."""
    others = "" if validates else "&%6fs=forged&o%73"
    reply = connection.get(f"/query?a=1&debug=1&os=forged{others}&debug&b=%20x&os=again")
    path, _, sent = reply.body.split()[1].partition("?")
    pairs = sent.split("&")
    echo = "echo=a_b_c_d___*" if validates else "echo=a%20b%26c%3Dd%2F%25%7E*"
    cases.equal("the path stays", path, "/query")
    cases.equal("what others said stays", sorted(pair for pair in pairs if pair[0] in "ab"), ["a=1", "b=%20x"])
    cases.equal("removed with all its values", [pair for pair in pairs if pair.startswith("debug")], [])
    cases.equal("set over every spelling of the client's", [pair for pair in pairs if "s=" in pair], ["os=linux"])
    cases.equal("in the form that Envoy wants", [pair for pair in pairs if pair.startswith("echo")], [echo])
    cases.equal("an empty one", [pair for pair in pairs if pair.startswith("flag")], ["flag="])

    for asked, wanted in (
        ("/query/absent?os=forged&a=1", "/query/absent?a=1"),
        ("/query/absent?o%73=forged", "/query/absent"),
        ("/elsewhere?os=forged&debug=1", "/elsewhere?debug=1"),
        ("/elsewhere?z=1&a=%2f&a=2&&b", "/elsewhere?z=1&a=%2f&a=2&&b"),
    ):
        if not (validates and "%73" in asked):
            cases.equal(f"{asked} gets upstream as", connection.get(asked).body.split()[1], wanted)


def denials(cases, connection):
    reply = connection.get("/denied/page")
    cases.equal("status and body of a denial", (reply.status, reply.body), (429, "slow down, friend\nsecond line\n"))
    cases.equal("its headers", (values(reply, "retry-after"), values(reply, "x-echo")), (["7"], []))
    cases.equal("several of one name", values(reply, "set-cookie"), ["a=1", "b=page"])
    seen = metadata_of("/denied/page")
    cases.equal("nested metadata without its absent part", seen["why"], {"path": "/denied/page"})
    for path, status, location in (
        ("/denied/elsewhere/%7Ea?q", 302, "https://www.example.org/denied/elsewhere/%7Ea?from=nowhere"),
        ("/denied/moved", 308, "https://www.example.org/new"),
        ("/denied/nowhere", 403, None),
        ("/denied/x", 403, None),
    ):
        reply = connection.get(path)
        cases.equal(f"{path} leads", (reply.status, reply.header("location")), (status, location))


def grpc_denials(cases, lab, connection):
    for path, status, message in (
        ("/denied/page", "8", "slow down, friend"),
        ("/denied/elsewhere", "7", None),
        ("/denied/quota", "8", "no quota for Linux"),
        ("/denied/x", "7", None),
    ):
        for kind in ("application/grpc", "application/grpc+proto"):
            reply = connection.get(path, (("content-type", kind), ("te", "trailers")))
            cases.equal(
                f"{path} as {kind}",
                (reply.status, values(reply, "grpc-status"), reply.header("grpc-message"), reply.header("location")),
                (200, [status], message, None),
            )
    reply = connection.get("/denied/page", (("content-type", "application/grpc-web"),))
    cases.equal("application/grpc-web is not gRPC to Envoy", (reply.status, values(reply, "grpc-status")), (429, []))
    answer = lab.client.sh(
        *"curl --silent --show-error --include --http2-prior-knowledge --max-time 20 --header".split(),
        "content-type: application/grpc",
        "--data-binary",
        "",
        f"http://{SERVER_IPV4}:{PORT}/denied/quota",
    )
    cases.check(
        "over HTTP/2, too", answer.startswith("HTTP/2 200") and "grpc-status: 8" in answer and "no quota" in answer, answer
    )


def metadata(cases, connection):
    connection.get("/meta")
    seen = metadata_of("/meta")
    p0f = seen["p0f"]
    cases.equal("p0f's system", (p0f["name"], p0f["family"]), ("Linux", "linux"))
    cases.check("and how well it fits", p0f["match"] in ("specific", "generic"), p0f)
    cases.check("its flavor and the whole", p0f["os"] == f"{p0f['name']} {p0f['flavor']}", p0f)
    cases.equal("the distance is a number", p0f["distance"], 0)
    cases.equal("flat twins", [seen[f"p0f_{key}"] for key in ("signature", "os", "state")], [p0f[key] for key in ("signature", "os", "state")])
    cases.equal("nothing would be otherwise", [key for key in seen if key in ("would_be", "shadow_rule", "shadowed")], [])
    reply = connection.get("/shadow")
    cases.equal("a shadow rule denies nobody", reply.status, 200)
    seen = metadata_of("/shadow")
    cases.equal(
        "but says what would be", [seen.get(key) for key in ("verdict", "would_be", "shadow_rule", "shadowed")],
        ["allow", "deny", "tried-out", None],
    )


HOSTILE = (
    b"\x01\x02\x7f", b"\xff\xfe\x80", b"\xc3\xa4\xf0\x9f\x98\x80", b"%0d%0aset-cookie: x=1", b"%{p0f}", b"a, b;c=\"d\"",
    b" \t ", b"\t", b"'\"<>\\^`{|}", b"\xed\xa0\x80", b"x" * 4000,
)
PATHS = ("/headers", "/answer", "/query", "/denied/page", "/denied/elsewhere")


def hostile(cases, lab, port):
    """Whatever the bytes, Envoy finds our mutations valid.  What Envoy itself refuses is 400 and closes."""
    statuses = set()
    for value in HOSTILE:
        for path in PATHS:
            connection = Connection(lab, port=port)
            try:
                reply = connection.get(path, (("x-hostile", value), ("x-list", value)))
                statuses.add(reply.status)
                lines = [line for line in reply.lines if line[0] in ("set-cookie", "x-echo", "location")]
                cases.check(f"{path} with {value[:12]!r}: no header of the client's own", "x=1" not in dict(lines).get("set-cookie", ""), lines)
            except LabError:  # the connection was not kept: Envoy's own 400
                statuses.add(400)
            connection.close()
    cases.check(f"port {port}: no mutation is refused, no call fails", statuses <= {200, 302, 400, 429}, statuses)
    cases.check(f"port {port}: some hostile bytes get through to us", {200, 302, 429} <= statuses, statuses)


def faults(cases, lab):
    """Nothing to read SYNs from: our own fault, which the policy is not asked about."""
    for options, status in (((), 503), (("--error-response", "507"), 507)):
        server = lab.serve(lab.write("policy.yaml", POLICY), "--source", "pins", *options)
        reply = Connection(lab, port=PORT).get("/")
        cases.equal(f"a fault of ours with {options or 'no option'}", (reply.status, reply.received), (status, None))
        cases.equal("the server ends well", server.stop(), 0)


def main(cases):
    lab = Lab()
    lab.start_upstream()
    ports = (PORT, PLAIN_PORT)
    listeners = [listener(port, port == PORT) for port in ports]
    lab.start_envoy(json.dumps({"static_resources": {"listeners": listeners}}), port=PORT)
    lab.copy("/etc/p0f/p0f.fp")
    server = lab.serve(lab.write("policy.yaml", POLICY), ports=ports)
    for port in ports:
        connection = Connection(lab, port=port)
        request_headers(cases, connection)
        response_headers(cases, connection)
        query(cases, connection, port == PORT)
        denials(cases, connection)
        grpc_denials(cases, lab, connection)
        metadata(cases, connection)
        hostile(cases, lab, port)
    cases.equal("the server ends well", server.stop(), 0)
    faults(cases, lab)


run_cases(main)
