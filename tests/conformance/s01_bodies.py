# SPDX-License-Identifier: Apache-2.0
"""1-9: what Envoy puts into a Check, and that the server reads it."""

from _envoy import Http
from _scenario import scenario

SMALL, LIMIT = b"small body", 64


def bodies(limit=1024, partial=False, raw=False, **more):
    """A listener that sends bodies along."""
    return Http(
        authz={
            "with_request_body": {
                "max_request_bytes": limit,
                "allow_partial_message": partial,
                "pack_as_bytes": raw,
            },
            **more,
        }
    )


def small_body(t, http):
    reply = t.post(body=SMALL, http=http)
    t.equal("status", reply.status, 200)
    call = t.calls(1)[0]
    t.equal("protocol in the Check", call.http.get("protocol"), f"HTTP/{'1.1' if http == 1 else '2'}")
    t.equal("body in the Check", call.http.get("body"), SMALL.decode())
    t.equal("size in the Check", call.http.get("size"), len(SMALL))
    t.equal("body at the upstream", reply.arrived["body"], SMALL.decode())
    return reply


def large_body(t, http):
    body = b"0123456789" * 100
    reply = t.post(body=body, http=http)
    t.equal("status", reply.status, 200)
    call = t.calls(1)[0]
    t.equal("body in the Check", call.http.get("body"), body[:LIMIT].decode())
    t.check("size in the Check", LIMIT <= call.http.get("size") <= len(body), call.http)
    t.equal("partial", call.http["headers"].get("x-envoy-auth-partial-body"), "true")
    t.equal("body at the upstream", reply.arrived["body"], body.decode())


@scenario(1, "Allow, HTTP/1.1 with a small body", bodies())
def small_body_http1(t):
    """the client gets 200; the Check says HTTP/1.1 and holds the body"""
    small_body(t, 1)


@scenario(2, "Body larger than max_request_bytes, partial", bodies(LIMIT, partial=True))
def large_body_http1(t):
    """the Check holds the first max_request_bytes and x-envoy-auth-partial-body: true"""
    large_body(t, 1)


@scenario(3, "Allow, HTTP/2 with a small body", bodies())
def small_body_http2(t):
    """as 1, with HTTP/2"""
    small_body(t, 2)


@scenario(4, "Body larger than max_request_bytes, partial, HTTP/2", bodies(LIMIT, partial=True))
def large_body_http2(t):
    """as 2"""
    large_body(t, 2)


@scenario(5, "Check sent when the buffer is full, before the end of the body", bodies(LIMIT, partial=True))
def full_buffer(t):
    """one Check, sent while the client still sends; its size is what was received so far"""
    client = t.http2()
    stream = client.start("POST", t.path, body=b"a" * LIMIT, end=False)
    call = t.calls(1)[0]
    t.equal("size in the Check", call.http.get("size"), LIMIT)
    t.equal("body in the Check", call.http.get("body"), "a" * LIMIT)
    stream.send_data(b"b" * LIMIT, end=True)
    reply = client.response(stream)
    t.equal("status", reply.status, 200)
    t.equal("body at the upstream", reply.arrived["body"], "a" * LIMIT + "b" * LIMIT)
    t.calls(1)
    client.close()


@scenario(6, "Binary body, pack_as_bytes", bodies(limit=1 << 20, raw=True))
def binary_body(t):
    """raw_body is the body octet by octet, NUL included, also when it comes in many pieces"""
    for body in (bytes(range(256)) + b"\0\0\xff\xfe", bytes(range(256)) * 1000):
        reply = t.post(body=body)
        t.equal("status", reply.status, 200)
        http = t.call_of(reply).http
        t.check("raw_body", http.get("raw_body") == body, len(http.get("raw_body", b"")))
        t.check("no body besides", "body" not in http, http.get("body"))


TWICE = [("x-many", "one"), ("x-many", "two"), ("X-Many", "three")]
BY_MANY = """\
  - id: s{number}
    when: {{http.path: {{prefix: /s{number}}}, header: {{name: x-many, equals: "one,two,three"}}}}
    then: deny
    respond: {{status: 409}}
"""


@scenario(7, "Repeated headers in the map of headers", rules=BY_MANY.format(number="07"))
def repeated_headers(t):
    """the server sees one,two,three"""
    t.equal("a rule on one,two,three", t.get(headers=TWICE).status, 409)
    t.equal("in the Check", t.calls(1)[0].http["headers"].get("x-many"), "one,two,three")
    t.equal("two of them", t.get(headers=TWICE[:2]).status, 200)


@scenario(8, "encode_raw_headers", Http(authz={"encode_raw_headers": True}), rules=BY_MANY.format(number="08"))
def raw_headers(t):
    """header_map is read, repeated headers are kept, the decision is that of 7"""
    t.equal("a rule on one,two,three", t.get(headers=TWICE).status, 409)
    http = t.calls(1)[0].http
    values = [entry["raw_value"] for entry in http["header_map"]["headers"] if entry["key"] == "x-many"]
    t.equal("in the Check", values, [b"one", b"two", b"three"])
    t.check("no map besides", "headers" not in http, http.get("headers"))
    t.equal("two of them", t.get(headers=TWICE[:2]).status, 200)


@scenario(
    9,
    "Header that is not UTF-8",
    {"main": Http(), "raw": Http(authz={"encode_raw_headers": True})},
    rules="""\
  - id: s09
    when: {http.path: {prefix: /s09}, header: {name: x-odd, prefix: "caf"}}
    then: deny
    respond: {status: 409}
""",
)
def not_utf8(t):
    """the server lives and answers; the header arrives with `!` for what is no UTF-8, or raw"""
    odd = [("x-odd", "caf\xe9 \xff\xfe")]
    t.equal("a rule on its beginning", t.get(headers=odd).status, 409)
    t.equal("in the map", t.calls(1)[0].http["headers"].get("x-odd"), "caf! !!")
    t.equal("a rule on its beginning, raw", t.get(listener="raw", headers=odd).status, 409)
    sent = {entry["key"]: entry["raw_value"] for entry in t.calls(1, "raw")[0].http["header_map"]["headers"]}
    t.equal("raw", sent.get("x-odd"), b"caf\xe9 \xff\xfe")
    for listener in ("main", "raw"):
        t.equal("without a rule", t.get(listener=listener, headers=[("x-else", "\xff\x80")]).status, 200)
