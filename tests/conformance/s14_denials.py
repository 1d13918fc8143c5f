# SPDX-License-Identifier: Apache-2.0
"""14-18, 26: how a denial reaches the client."""

from _envoy import Http
from _scenario import scenario
from _tap import Answer
from _wire import header
from _world import NO_PINS

SET = {"append": {}}


def deny(**denied):
    return Answer({"status": {"code": 7}, "denied_response": denied})


def denied_by_envoy(t, reply, status=403):
    """A denial, by Envoy's own account."""
    log = t.log(reply)
    t.equal("status", reply.status, status)
    t.equal("flags and details", (log["flags"], log["details"]), ("UAEX", "ext_authz_denied"))


@scenario(
    14,
    "Deny without denied_response",
    {"main": Http(), "scripted": Http()},
    rules="""\
  - id: s14
    when: {http.path: {prefix: /s14}}
    then: deny
""",
)
def bare_denial(t):
    """403, response flag UAEX, details ext_authz_denied, nothing at the upstream; the same of a bare rule"""
    t.script(Answer({"status": {"code": 7}}), Answer({"status": {"code": 16}}), listener="scripted")
    for _ in range(2):
        reply = t.get(listener="scripted")
        denied_by_envoy(t, reply)
        t.equal("body", reply.body, "")
    denied_by_envoy(t, t.get())
    t.equal("arrived at the upstream", t.upstream.arrived(t.path), [])


@scenario(
    15,
    "Deny with status, headers and body",
    {"main": Http(), "scripted": Http()},
    rules="""\
  - id: s15
    when: {http.path: {prefix: /s15}}
    then: deny
    respond:
      status: 429
      body: "slower, %{rule}\\n"
      headers: {retry-after: "1", x-why: "%{rule}", set-cookie: ["c=3", "d=4"]}
""",
)
def full_denial(t):
    """429 with retry-after and body; two Set-Cookie lines arrive as two"""
    for http in (1, 2):
        reply = t.get(http=http)
        denied_by_envoy(t, reply, 429)
        t.equal("retry-after", reply.values("retry-after"), ["1"])
        t.equal("x-why", reply.values("x-why"), ["s15"])
        t.equal("body", reply.body, "slower, s15\n")
        t.equal("synauthz's cookies", reply.values("set-cookie"), ["c=3", "d=4"])
        cookies = [header("set-cookie", "a=1", **SET), header("set-cookie", "b=2", **SET)]
        t.script(deny(status={"code": 429}, headers=cookies, body="x"), listener="scripted")
        reply = t.get(listener="scripted", http=http)
        denied_by_envoy(t, reply, 429)
        t.equal("cookies", reply.values("set-cookie"), ["a=1", "b=2"])


@scenario(16, "denied_response without a status", Http(), about="envoy")
def denial_without_status(t):
    """403"""
    t.script(deny(), deny(status={}, body="no"), deny(status={"code": 0}))
    for body in ("", "no", ""):
        reply = t.get()
        denied_by_envoy(t, reply)
        t.equal("body", reply.body, body)


GRPC = [("content-type", "application/grpc"), ("te", "trailers")]


@scenario(
    17,
    "Deny a gRPC call",
    {
        "main": Http(routes=[{"match": {"prefix": "/"}, "route": {"cluster": "upstream2"}}]),
        "scripted": Http(routes=[{"match": {"prefix": "/"}, "route": {"cluster": "upstream2"}}]),
    },
    rules="""\
  - id: s17
    when: {http.path: /s17/Deny}
    then: deny
    respond: {body: "not you"}
  - id: s17-as-it-says
    when: {http.path: /s17/DenyAs}
    then: deny
    respond: {status: 429, grpc_status: RESOURCE_EXHAUSTED, grpc_message: "100 %% of %{rule}\\u00e9",
              headers: {content-type: "text/html", x-why: "%{rule}"}}
""",
)
def grpc_client(t):
    """HTTP 200 with grpc-status 7, the body as grpc-message; a call that is allowed goes through"""
    reply = t.post("/Deny", body=b"\0\0\0\0\0", http=2, headers=GRPC)
    t.equal("status", (reply.status, reply.header("grpc-status")), (200, "7"))
    t.equal("message", reply.header("grpc-message"), "not you")
    reply = t.post("/DenyAs", body=b"\0\0\0\0\0", http=2, headers=GRPC)
    t.equal("as a rule says", (reply.status, reply.header("grpc-status")), (200, "8"))
    t.equal("its message, encoded", reply.header("grpc-message"), "100 %25 of s17-as-it-says%C3%A9")
    t.equal("of gRPC's type", reply.values("content-type"), ["application/grpc"])
    t.equal("with the rule's other headers", reply.values("x-why"), ["s17-as-it-says"])
    reply = t.get("/DenyAs", http=2)
    t.equal("the same for others", (reply.status, reply.header("grpc-status")), (429, None))
    reply = t.post("/Allow", body=b"\0\0\0\0\0", http=2, headers=GRPC)
    t.equal("allowed", (reply.status, reply.header("grpc-status")), (200, "0"))
    for status, wanted in ((401, "16"), (404, "12"), (429, "14"), (503, "14")):
        t.script(deny(status={"code": status}), listener="scripted")
        reply = t.post(listener="scripted", body=b"\0\0\0\0\0", http=2, headers=GRPC)
        t.equal(f"{status} to a gRPC client", (reply.status, reply.header("grpc-status")), (200, wanted))


LOCAL_REPLY = {
    "local_reply_config": {
        "mappers": [
            {
                "filter": {
                    "status_code_filter": {
                        "comparison": {"op": "EQ", "value": {"default_value": 429, "runtime_key": "none"}}
                    }
                },
                "body": {"inline_string": "of the operator"},
                "body_format_override": {"text_format": "<p>%LOCAL_REPLY_BODY%</p>", "content_type": "text/html"},
            }
        ]
    }
}


@scenario(
    18,
    "Deny, and local_reply_config",
    Http(manager=LOCAL_REPLY),
    rules="""\
  - id: s18
    when: {http.path: {prefix: /s18}}
    then: deny
    respond: {status: 429, body: "of the server", headers: {content-type: "text/plain", x-why: "%{rule}"}}
""",
)
def local_reply(t):
    """the operator's body and content-type win; the server's other headers stay"""
    reply = t.get()
    denied_by_envoy(t, reply, 429)
    t.equal("body", reply.body, "<p>of the operator</p>")
    t.equal("content-type", reply.values("content-type"), ["text/html"])
    t.equal("x-why", reply.values("x-why"), ["s18"])


@scenario(
    26,
    "error_response",
    {
        "main": Http(),
        "open": Http(authz={"failure_mode_allow": True}),
        "ours": Http(cluster="s26"),
        "ours-open": Http(cluster="s26", authz={"failure_mode_allow": True}),
    },
    clusters={"s26": "/run/lab/s26.sock"},
    about="synauthz",
)
def error_response(t):
    """503 with retry-after since 1.37, forwarded where the filter fails open; before it an unknown field: 403. The same
    of a synauthz with --error-response 503 that cannot read its maps"""
    error = {"status": {"code": 503}, "headers": [header("retry-after", "2", **SET)], "body": "later"}
    for listener in ("main", "open"):
        t.script(Answer({"status": {"code": 14}, "error_response": error}), listener=listener)
    closed, opened = t.get(), t.get(listener="open")
    if t.at_least("1.37"):
        t.equal("status", (closed.status, closed.header("retry-after"), closed.body), (503, "2", "later"))
        t.equal("details", t.log(closed)["details"], "ext_authz_error")
        t.equal("failing open", opened.status, 200)
        t.note("503")
    else:
        denied_by_envoy(t, closed)
        t.equal("failing open", opened.status, 403)
        t.note("403, also where the filter fails open")
    policy = t.lab.write("s26.yaml", "version: 1\nrules: []\ndefault: allow\n")
    server = t.world.serve("s26", policy, "--error-response", "503", source=NO_PINS)
    statuses = [t.get(listener=listener).status for listener in ("ours", "ours-open")]
    t.equal("synauthz's own", statuses, [closed.status, opened.status])
    t.equal("the server ends", server.stop(), 0)
