# SPDX-License-Identifier: Apache-2.0
"""10-13, 24, 25: what a reply changes about requests and responses.

The answers that the scenarios give themselves show what each encoding means to this Envoy; synauthz's own must come
out the same on all.
"""

import socket

import _wire
from _envoy import Http
from _scenario import scenario
from _tap import Answer, Forward
from _wire import header

SET, APPEND = {"append": {}}, {"append": {"value": 1}}  # BoolValue{false}, BoolValue{true}


def allow(**ok):
    return Answer({"status": {}, "ok_response": ok})


@scenario(
    10,
    "Set, append and remove request headers",
    {"main": Http(), "scripted": Http()},
    rules="""\
  - id: s10
    when: {http.path: {prefix: /s10}}
    then: continue
    request_headers:
      set: {x-set: "of %{rule}", x-fresh: "new"}
      append: {x-joined: "more", x-absent: "more"}
      remove: [x-gone]
""",
)
def request_headers(t):
    """set replaces, or makes; append joins with a comma; remove removes. Envoy's own append does nothing to an absent
    header; synauthz's makes it"""
    sent = [("x-set", "old"), ("x-set", "older"), ("x-joined", "old"), ("x-gone", "old"), ("x-unset", "old")]
    reply = t.get(headers=sent)
    t.equal("synauthz sets", reply.upstream("x-set"), ["of default"])
    t.equal("synauthz makes", reply.upstream("x-fresh"), ["new"])
    t.equal("synauthz removes", reply.upstream("x-gone"), [])
    t.equal("synauthz joins", ",".join(reply.upstream("x-joined")), "old,more")
    t.equal("synauthz joins what is absent", reply.upstream("x-absent"), ["more"])
    t.equal("what no rule names", reply.upstream("x-unset"), ["old"])

    options = [header("x-set", "new", **SET), header("x-fresh", "new", **SET), header("x-joined", "more", **APPEND)]
    options += [header("x-absent", "more", **APPEND), header("x-unset", "new")]
    t.script(allow(headers=options, headers_to_remove=["x-gone"]), listener="scripted")
    reply = t.get(listener="scripted", headers=sent)
    t.equal("append=false sets", reply.upstream("x-set"), ["new"])
    t.equal("append=false makes", reply.upstream("x-fresh"), ["new"])
    t.equal("append=true joins", ",".join(reply.upstream("x-joined")), "old,more")
    t.equal("append=true without the header", reply.upstream("x-absent"), [])
    t.equal("removed", reply.upstream("x-gone"), [])
    unset = ",".join(reply.upstream("x-unset"))
    if not t.equal("append unset, which synauthz never sends, sets", unset, "new"):
        t.note(f"unset append gives {unset}")


SPELLINGS = ("x-tcp-p0f", "X-Tcp-P0f", "x_tcp_p0f", "X_TCP-p0f")


@scenario(
    11,
    "A client that sends the server's header",
    Http(manager={"common_http_protocol_options": {"headers_with_underscores_action": "ALLOW"}}),
    rules="""\
  - id: s11
    when: {fingerprint.state: verified, http.path: {prefix: /s11/enriched}}
    then: continue
    request_headers: {set: {x-tcp-p0f: "%{p0f}"}}
""",
)
def spoofed_header(t):
    """the upstream gets one value, the server's, or none; whatever the spelling and the number of copies"""
    for http in (1, 2):
        for spelling in SPELLINGS:
            name = spelling if http == 1 else spelling.lower()
            forged = [(name, "4:64:0:forged"), (name, "4:64:0:twice")]
            for path, count in (("/enriched", 1), ("/plain", 0)):
                reply = t.get(path, headers=forged, http=http)
                got = [v for n, v in reply.arrived["headers"] if n.lower().replace("_", "-") == "x-tcp-p0f"]
                fine = len(got) == count and not any("forged" in value or "twice" in value for value in got)
                t.check(f"HTTP/{http} {path} {spelling}", fine, got)


@scenario(
    12,
    "One header in set and in remove",
    {"main": Http(), "scripted": Http()},
    rules="""\
  - id: s12-set
    when: {http.path: {prefix: /s12}}
    then: continue
    request_headers: {set: {x-both: "set", x-late: "set"}}
  - id: s12-remove
    when: {http.path: {prefix: /s12}}
    then: continue
    request_headers: {remove: [x-both]}
  - id: s12-again
    when: {http.path: {prefix: /s12/again}}
    then: continue
    request_headers: {set: {x-both: "again"}}
""",
)
def set_and_removed(t):
    """Envoy removes it; so the server never sends one name in both lists"""
    t.script(allow(headers=[header("x-both", "set", **SET)], headers_to_remove=["X-Both"]), listener="scripted")
    t.equal("Envoy, of both", t.get(listener="scripted", headers=[("x-both", "old")]).upstream("x-both"), [])
    sent = [("x-both", "old"), ("X_Both", "old"), ("x-late", "old")]
    t.equal("set, then removed by a later rule", t.get("/", headers=sent).upstream("x-both"), [])
    t.equal("and set again", t.get("/again", headers=sent).upstream("x-both"), ["again"])
    for call in t.calls(2):
        ok = call.answer["ok_response"]
        both = {name.lower() for name in ok.get("headers_to_remove", [])} & {
            option["header"]["key"].lower() for option in ok.get("headers", [])
        }
        t.equal("names in both lists", both, set())


@scenario(
    13,
    "Response headers, Set-Cookie among them",
    {"main": Http(), "scripted": Http()},
    rules="""\
  - id: s13
    when: {http.path: {prefix: /s13}}
    then: continue
    response_headers:
      set: {x-set: "new"}
      append: {set-cookie: ["a=1", "b=2"], x-there: "more", x-absent: "more"}
""",
)
def response_headers(t):
    """the client gets what was added, set, added if absent and overwritten if there, beside the upstream's own"""
    upstream = [("x-respond", "set-cookie=own=1"), ("x-respond", "x-set=own"), ("x-respond", "x-there=own")]
    reply = t.get(headers=upstream)
    t.equal("synauthz adds cookies", sorted(reply.values("set-cookie")), ["a=1", "b=2", "own=1"])
    t.equal("synauthz sets", reply.values("x-set"), ["new"])
    t.equal("synauthz adds", (reply.values("x-there"), reply.values("x-absent")), (["own", "more"], ["more"]))

    options = [header("set-cookie", "a=1", **APPEND), header("set-cookie", "b=2", **APPEND)]
    options += [header("x-set", "new", **SET)]
    options += [header("x-there", "new", append_action=1), header("x-absent", "new", append_action=1)]
    t.script(allow(response_headers_to_add=options), listener="scripted")
    reply = t.get(listener="scripted", headers=upstream)
    t.equal("append=true adds", sorted(reply.values("set-cookie")), ["a=1", "b=2", "own=1"])
    t.equal("append=false sets", reply.values("x-set"), ["new"])
    t.equal("ADD_IF_ABSENT, there", reply.values("x-there"), ["own"])
    t.equal("ADD_IF_ABSENT, absent", reply.values("x-absent"), ["new"])
    options = [header("x-there", "new", append_action=3), header("x-absent", "new", append_action=3)]
    t.script(allow(response_headers_to_add=options), listener="scripted")
    reply = t.get(listener="scripted", headers=upstream)
    t.equal("OVERWRITE_IF_EXISTS, there", reply.values("x-there"), ["new"])
    t.equal("OVERWRITE_IF_EXISTS, absent", reply.values("x-absent"), [])


HOSTILE_TEXTS = (
    b"/s24/plain?q=\x7f",
    b"/s24/\r\nx-injected: yes",
    b"/s24/\0\x01\x1b[31m",
    b"/s24/\xff\xfe\xc0\xaf",
    b"/s24/" + b"\xf0\x9f\x98\x80" * 40,
    b"/s24/" + b"%0d%0a" * 2000,
    b"/s24/" + b"a" * 9000,
    b"/s24/\xed\xa0\x80\xe2\x80\xa8",
)


@scenario(
    24,
    "validate_mutations, and input made to break the reply",
    {"main": Http(authz={"validate_mutations": True}), "scripted": Http(authz={"validate_mutations": True})},
    rules="""\
  - id: s24-denied
    when: {http.path: {prefix: /s24}, http.method: DELETE}
    then: deny
    respond: {status: 409, body: "%{http.path} %{http.host}", headers: {x-path: "%{http.path}", x-p0f: "%{p0f|-}"}}
    metadata: {path: "%{http.path}"}
  - id: s24
    when: {http.path: {prefix: /s24}}
    then: continue
    request_headers:
      set: {x-path: "%{http.path}", x-host: "%{http.host}", x-method: "%{http.method}", x-p0f: "%{p0f|-}"}
    metadata: {path: "%{http.path}", host: "%{http.host}"}
""",
)
def hostile_input(t):
    """no request ends in a 500 and the counter `invalid` stays 0, whatever the SYN and the request hold"""
    for options in HOSTILE_SYNS:
        reply = t.get("/syn", over=t.http1(source_options=options))
        t.equal(f"a SYN with {options}", reply.status, 200)
        t.equal("its fingerprint", len(reply.upstream("x-p0f")), 1)
        t.check("it was seen", reply.upstream("x-p0f") != ["-"], reply)
    for text in HOSTILE_TEXTS:
        for method in ("GET", "DELETE"):
            t.script(Forward(change=lambda request: with_text(request, text, method)))
            reply = t.get("/text", method=method)
            t.equal(f"{method} with {text[:30]}", reply.status, 200 if method == "GET" else 409)
            t.equal("injected", reply.upstream("x-injected") + reply.values("x-injected"), [])
    for value in ("\x80\xff", "a\tb", "%{p0f}", "\"'`$(id)", "x" * 8000):
        t.equal(f"a header {value[:20]!r}", t.get("/header", headers=[("x-odd", value)]).status, 200)
    t.equal("counter `invalid`", t.stat("invalid"), 0)
    t.equal("counter `error`", t.stat("error"), 0)
    t.script(allow(headers=[header("x-path", "a\r\nx-injected: yes", **SET)]), listener="scripted")
    t.equal("Envoy, of what synauthz never sends", t.get(listener="scripted").status, 500)
    t.equal("counted", t.stat("invalid", "scripted"), 1)


# Options of the client's socket before it connects: time to live, MSS, window, IP options.
HOSTILE_SYNS = (
    ((socket.IPPROTO_IP, socket.IP_TTL, 1),),
    ((socket.IPPROTO_IP, socket.IP_TTL, 255), (socket.IPPROTO_TCP, socket.TCP_MAXSEG, 88)),
    ((socket.IPPROTO_IP, socket.IP_OPTIONS, b"\x01" * 40),),
    ((socket.IPPROTO_IP, socket.IP_TOS, 0xFF), (socket.IPPROTO_TCP, socket.TCP_WINDOW_CLAMP, 1)),
)


def with_text(request, text, method):
    """The Check as if the request had had this path and host; more than any Envoy would let through."""
    message = _wire.decode("CheckRequest", request)
    http = message["attributes"]["request"]["http"]
    http.update(path=text, host=text[5:], method=method)
    return _wire.encode("CheckRequest", message)


ONLY = "/run/lab/s25.sock"
ONLY_POLICY = """\
version: 1
rules:
  - id: only
    when: {http.path: {prefix: /s25}}
    then: continue
    request_headers: {set: {x-tcp-p0f: "%{p0f}", x-tcp-state: "%{fingerprint.state}"}}
default: allow
on_unknown: skip
"""


def rules_of_mutation(is_error):
    return {
        "decoder_header_mutation_rules": {
            "disallow_all": True,
            "allow_expression": {"regex": "^x-tcp-.*"},
            "disallow_is_error": is_error,
        }
    }


@scenario(
    25,
    "decoder_header_mutation_rules: only x-tcp-*",
    {
        "main": Http(cluster="s25", authz=rules_of_mutation(True)),
        "scripted": Http(authz=rules_of_mutation(False)),
        "strict": Http(authz=rules_of_mutation(True)),
    },
    clusters={"s25": ONLY},
    about="synauthz",
)
def only_ours(t):
    """the server's headers pass; nothing else was sent, which Envoy would have answered with a 500"""
    server = t.world.serve("s25", t.lab.write("s25.yaml", ONLY_POLICY))
    sent = [("x-tcp-p0f", "forged"), ("x-tcp-state", "forged"), ("x-other", "own")]
    reply = t.get(headers=sent)
    t.equal("status", reply.status, 200)
    t.equal("x-tcp-state", reply.upstream("x-tcp-state"), ["verified"])
    t.equal("x-tcp-p0f", len(reply.upstream("x-tcp-p0f")), 1)
    t.equal("the client's others", reply.upstream("x-other"), ["own"])
    options = [header("x-tcp-p0f", "new", **SET), header("x-other", "new", **SET), header(":path", "/x", **SET)]
    t.script(allow(headers=options, headers_to_remove=["x-unrelated"]), listener="scripted")
    reply = t.get(listener="scripted", headers=[*sent, ("x-unrelated", "own")])
    t.equal("allowed by Envoy", reply.upstream("x-tcp-p0f"), ["new"])
    t.equal("refused by Envoy", reply.upstream("x-other") + [reply.arrived["path"]], ["own", t.path])
    t.equal("removal refused by Envoy", reply.upstream("x-unrelated"), ["own"])
    t.script(allow(headers=[header("x-other", "new", **SET)]), listener="strict")
    t.equal("one that is not allowed is an error", t.get(listener="strict").status, 500)
    t.equal("the server ends", server.stop(), 0)
