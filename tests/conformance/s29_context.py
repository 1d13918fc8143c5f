# SPDX-License-Identifier: Apache-2.0
"""29, 30, 32: what other filters read of the reply, and what Envoy sends beside the request."""

import socket

import _wire
from _client import Http1
from _envoy import HTTP_AUTHZ, Http, per_route, typed
from _scenario import scenario
from _tap import Forward
from _tls import client_context, server_transport

TTL = [(socket.IPPROTO_IP, socket.IP_TTL, 200)]  # of no system that a rule of 29 knows


def matching(path, value):
    """A permission of RBAC: the server's metadata has this value there."""
    keys = [{"key": key} for key in path]
    return {"metadata": {"filter": HTTP_AUTHZ, "path": keys, "value": {"string_match": {"exact": value}}}}


def rbac(*permissions):
    policy = {"permissions": [{"and_rules": {"rules": list(permissions)}}], "principals": [{"any": True}]}
    rules = {"action": "ALLOW", "policies": {"known": policy}}
    return typed("envoy.filters.http.rbac", "filters.http.rbac.v3.RBAC", rules=rules)


def bucket(tokens):
    return {"max_tokens": tokens, "tokens_per_fill": 1, "fill_interval": "3600s"}


ALWAYS = {"default_value": {"numerator": 100}, "runtime_key": "none"}
LIMIT = typed(
    "envoy.filters.http.local_ratelimit",
    "filters.http.local_ratelimit.v3.LocalRateLimit",
    stat_prefix="limit",
    token_bucket=bucket(1000),
    filter_enabled=ALWAYS,
    filter_enforced=ALWAYS,
    descriptors=[{"entries": [{"key": "system", "value": "linux"}], "token_bucket": bucket(2)}],
)
DESCRIPTOR = {
    "metadata": {
        "descriptor_key": "system",
        "metadata_key": {"key": HTTP_AUTHZ, "path": [{"key": "system"}]},
        "source": "DYNAMIC",
    }
}


@scenario(
    29,
    "RBAC and rate limit read the server's metadata",
    {
        "rbac": Http(after=(rbac(matching(["system"], "linux"), matching(["p0f", "state"], "verified")),)),
        "limit": Http(after=(LIMIT,), host={"rate_limits": [{"actions": [DESCRIPTOR]}]}),
    },
    rules="""\
  - id: s29-linux
    when: {http.path: {prefix: /s29}, signature: "*:64:0:*:*,*:mss,sok,ts,nop,ws:df,id+:0"}
    then: continue
    metadata: {system: linux}
  - id: s29-other
    when: {http.path: {prefix: /s29}, not: {signature: "*:64:0:*:*,*:mss,sok,ts,nop,ws:df,id+:0"}}
    then: continue
    metadata: {system: other}
""",
)
def consumers(t):
    """RBAC allows and denies by the client's system; the rate limit counts by it: its descriptor is there"""
    t.equal("RBAC, the system that it allows", t.get(listener="rbac").status, 200)
    other = t.get(listener="rbac", over=t.http1("rbac", source_options=TTL))
    t.equal("RBAC, another", other.status, 403)
    t.check("denied by RBAC", t.log(other)["details"].startswith("rbac_access_denied"), t.log(other))
    t.equal("limited", [t.get(listener="limit").status for _ in range(4)], [200, 200, 429, 429])
    others = [t.get(listener="limit", over=t.http1("limit", source_options=TTL)).status for _ in range(4)]
    t.equal("not limited", others, [200] * 4)


def set_metadata(namespace, value):
    entry = {"metadata_namespace": namespace, "value": value}
    return typed("envoy.filters.http.set_metadata", "filters.http.set_metadata.v3.Config", metadata=[entry])


NESTED = {"who": {"name": "somebody", "groups": ["a", "b"]}, "score": 7, "fine": True, "nothing": None}


@scenario(
    30,
    "metadata_context, route_metadata_context, context_extensions",
    Http(
        before=(set_metadata("conformance", NESTED),),
        authz={
            "metadata_context_namespaces": ["conformance"],
            "route_metadata_context_namespaces": ["conformance.route"],
        },
        routes=[
            {
                "match": {"prefix": "/"},
                "route": {"cluster": "upstream"},
                "metadata": {"filter_metadata": {"conformance.route": {"tier": "gold"}}},
                "typed_per_filter_config": {
                    HTTP_AUTHZ: per_route(check_settings={"context_extensions": {"side": "left", "big": "x" * 5000}})
                },
            }
        ],
    ),
    rules="""\
  - id: s30
    when:
      http.path: {prefix: /s30/used}
      metadata: {namespace: conformance, path: [who, name], equals: somebody}
      route_metadata: {namespace: conformance.route, path: [tier], equals: gold}
      extension: {name: side, equals: left}
    then: deny
    respond: {status: 409}
  - id: s30-deep
    when:
      http.path: {prefix: /s30/deep}
      metadata: {namespace: deep, path: [k, k, k, v], equals: found}
    then: deny
    respond: {status: 409}
""",
)
def context(t):
    """read by rules; a Struct nested 200 levels, or 5,000, is no error and no crash"""
    t.equal("no rule reads it", t.get().status, 200)
    attributes = t.calls(1)[0].attributes
    found = _wire.plain(attributes["metadata_context"]["filter_metadata"]["conformance"])
    t.equal("metadata_context in the Check", (found["who"], found["score"]), (NESTED["who"], 7))
    t.equal("context_extensions in the Check", attributes["context_extensions"]["side"], "left")
    t.check("route_metadata_context in the Check", "route_metadata_context" in attributes, list(attributes))
    t.equal("rules read it", t.get("/used").status, 409)
    for levels, status in ((3, 409), (200, 200), (5000, 200)):
        t.script(Forward(change=lambda request: with_nested(request, levels)))
        t.equal(f"{levels} levels", t.get("/deep").status, status)
    t.equal("and the next", t.get().status, 200)


def with_nested(request, levels):
    """The Check with a Struct in its metadata whose key `k` has a Struct, and so on; the last has `v: found`."""
    struct = _wire.encode("Struct", {"fields": {"v": {"string_value": "found"}}})
    for _ in range(levels):
        struct = _wire.encode("Struct", {"fields": {"k": {"struct_value": struct}}})
    message = _wire.decode("CheckRequest", request)
    message["attributes"]["metadata_context"] = {"filter_metadata": {"deep": struct}}
    return _wire.encode("CheckRequest", message)


@scenario(
    32,
    "Labels, the client's certificate, the TLS session",
    Http(
        transport=server_transport(mutual=True),
        authz={
            "include_peer_certificate": True,
            "include_tls_session": True,
            "bootstrap_metadata_labels_key": "labels",
        },
    ),
    rules="""\
  - id: s32
    when:
      http.path: {prefix: /s32/used}
      source.principal: "spiffe://lab.test/client"
      destination.label: {name: app, equals: edge}
      tls.sni: lab.test
    then: deny
    respond: {status: 409}
""",
)
def peers_papers(t):
    """read by rules; a certificate of several KiB is within the limits"""

    def get(path):
        context = client_context(mutual=True)
        return t.get(path, over=Http1(context.wrap_socket(t.connect(), server_hostname="lab.test")))

    t.equal("no rule reads it", get("").status, 200)
    attributes = t.calls(1)[0].attributes
    t.equal("principal in the Check", attributes["source"]["principal"], "spiffe://lab.test/client")
    certificate = attributes["source"].get("certificate", "")
    t.check("certificate in the Check", certificate.startswith("-----BEGIN%20CERTIFICATE") and len(certificate) > 3000,
            certificate[:100])
    t.equal("label in the Check", attributes["destination"]["labels"].get("app"), "edge")
    t.equal("name asked for by TLS", attributes["tls_session"]["sni"], "lab.test")
    t.equal("rules read it", get("/used").status, 409)
