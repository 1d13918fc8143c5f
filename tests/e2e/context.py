#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a real Envoy says beside the request: metadata, route metadata, extensions, labels, principals and SNI."""

import json
import ssl

from _cases import *

TOLD, RAW, NOT_TOLD, TLS = range(8111, 8115)
API = "type.googleapis.com/envoy.extensions."
CLIENT, SERVER = "spiffe://test/client", "spiffe://test/server"

# Each header shows a fact, or "-" where it has no value.
SHOWN = {
    "x-user": "metadata:test.claims:user:name",
    "x-number": "metadata:test.claims:user:number",
    "x-yes": "metadata:test.claims:yes",
    "x-role": "metadata:test.claims:roles:1:id",
    "x-nothing": "metadata:test.claims:user:other",
    "x-tier": "route_metadata:test.route:tier",
    "x-audience": "extension:audience",
    "x-label": "destination.label:app",
    "x-query": "http.query",
    "x-path": "http.path",
    "x-several": "header:x-sent",
    "x-sni": "tls.sni",
    "x-client": "source.principal",
    "x-server": "destination.principal",
    "x-service": "source.service",
}
POLICY = """\
version: 1
rules:
  - id: show
    then: continue
    request_headers:
      set: {SHOWN}
  - id: unknown-denies
    when: {http.path: /unknown-denies, metadata: {namespace: test.claims, path: [user, name], equals: nobody}}
    then: deny
    on_unknown: deny
  - id: absent-is-no
    when: {http.path: /absent-is-no, metadata: {namespace: test.claims, path: [user, other], equals: ""}}
    then: deny
    on_unknown: skip
  - id: present
    when: {http.path: /present, metadata: {namespace: test.claims, path: roles, present: true}}
    then: deny
    respond: {status: 410}
    on_unknown: skip
  - id: by-extension
    when: {http.path: /extension, extension: {name: audience, equals: staff}, destination.label: {name: app, equals: shop}}
    then: deny
    respond: {status: 410}
  - id: several
    when: {http.path: /several, header: {name: x-sent, equals: "one,two,three"}}
    then: deny
    respond: {status: 410}
default: allow
"""


def policy():
    shown = ", ".join(f'{name}: "%{{{fact}|-}}"' for name, fact in SHOWN.items())
    return POLICY.replace("{SHOWN}", "{" + shown + "}")


CLAIMS = {"user": {"name": "joe", "number": 7.5}, "yes": True, "roles": [{"id": "dev"}, {"id": "ops"}]}


def certificate(name, uri):
    kind = "req -x509 -nodes -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -days 2 -subj /CN=test".split()
    files = ("-keyout", f"{SCRATCH}/{name}.key", "-out", f"{SCRATCH}/{name}.crt")
    sh("openssl", *kind, "-addext", f"subjectAltName=URI:{uri}", *files)


def tls_context():
    names = {"certificate_chain": f"{SCRATCH}/server.crt", "private_key": f"{SCRATCH}/server.key"}
    return {
        "name": "tls",
        "typed_config": {
            "@type": API + "transport_sockets.tls.v3.DownstreamTlsContext",
            "require_client_certificate": True,
            "common_tls_context": {
                "tls_certificates": [{key: {"filename": path} for key, path in names.items()}],
                "validation_context": {"trusted_ca": {"filename": f"{SCRATCH}/client.crt"}},
            },
        },
    }


def listener(port, tls=False, **authz):
    route = {
        "match": {"prefix": "/"},
        "route": {"cluster": "upstream"},
        "metadata": {"filter_metadata": {"test.route": {"tier": "gold"}}},
        "typed_per_filter_config": {
            "authz": {
                "@type": API + "filters.http.ext_authz.v3.ExtAuthzPerRoute",
                "check_settings": {"context_extensions": {"audience": "staff"}},
            }
        },
    }
    manager = {
        "@type": API + "filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": f"in-{port}",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": [
            {
                "name": "claims",
                "typed_config": {
                    "@type": API + "filters.http.set_metadata.v3.Config",
                    "metadata": [{"metadata_namespace": "test.claims", "value": CLAIMS}],
                },
            },
            {
                "name": "authz",
                "typed_config": {
                    "@type": API + "filters.http.ext_authz.v3.ExtAuthz",
                    "transport_api_version": "V3",
                    "grpc_service": {"envoy_grpc": {"cluster_name": "synauthz"}, "timeout": "2s"},
                    "status_on_error": {"code": "ServiceUnavailable"},
                    **authz,
                },
            },
            {"name": "router", "typed_config": {"@type": API + "filters.http.router.v3.Router"}},
        ],
    }
    chain = {"filters": [{"name": "manager", "typed_config": manager}]}
    if tls:
        chain["transport_socket"] = tls_context()
    return {
        "name": f"in-{port}",
        "address": {"socket_address": {"address": "::", "port_value": port, "ipv4_compat": True}},
        "filter_chains": [chain],
    }


def configuration():
    told = {
        "metadata_context_namespaces": ["test.claims"],
        "route_metadata_context_namespaces": ["test.route"],
        "bootstrap_metadata_labels_key": "labels",
    }
    return {
        "node": {"id": "test", "cluster": "test", "metadata": {"labels": {"app": "shop", "version": "7"}}},
        "static_resources": {
            "listeners": [
                listener(TOLD, **told),
                listener(RAW, encode_raw_headers=True, **told),
                listener(NOT_TOLD),
                listener(TLS, tls=True, include_tls_session=True, include_peer_certificate=True, **told),
            ]
        },
    }


def tls_connection(lab, name):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.load_cert_chain(f"{SCRATCH}/client.crt", f"{SCRATCH}/client.key")
    connection = Connection(lab, port=TLS)
    connection.socket = connection.http.sock = context.wrap_socket(connection.socket, server_hostname=name)
    return connection


def shown(cases, name, reply, wanted):
    """What the upstream was shown; facts that `wanted` does not have have no value."""
    for header in SHOWN:
        cases.equal(f"{name}: {SHOWN[header]}", reply.upstream(header), [wanted.get(header, "-")])


SENT = [("x-sent", "one"), ("X-Sent", "two"), ("x-sent", "three"), ("x-envoy-downstream-service-cluster", "edge")]
OF_REQUEST = {"x-query": "b=c?d", "x-path": "/a", "x-several": "one,two,three", "x-service": "edge"}
OF_CONTEXT = {
    "x-user": "joe",
    "x-number": "7.5",
    "x-yes": "true",
    "x-role": "ops",
    "x-tier": "gold",
    "x-label": "shop",
}


def main(cases):
    lab = Lab()
    lab.start_upstream()
    certificate("client", CLIENT)
    certificate("server", SERVER)
    lab.start_envoy(json.dumps(configuration()))
    server = lab.serve(lab.write("policy.yaml", policy()), "--source", "none")
    wait_until(lambda: Connection(lab, port=TOLD).get().status == 200, 20, "an answer")

    for name, port in (("headers", TOLD), ("header_map", RAW)):
        connection = Connection(lab, port=port)
        reply = connection.get("/a?b=c?d", SENT)
        shown(cases, name, reply, {**OF_REQUEST, **OF_CONTEXT, "x-audience": "staff"})
        for path, status in (("/unknown-denies", 200), ("/absent-is-no", 200), ("/present", 410), ("/extension", 410)):
            cases.equal(f"{name}: {path}", connection.get(path).status, status)
        cases.equal(f"{name}: repeated headers", connection.get("/several", SENT).status, 410)

    connection = Connection(lab, port=NOT_TOLD)
    reply = connection.get("/a?b=c?d", SENT)
    shown(cases, "Envoy is not told to send it", reply, {**OF_REQUEST, "x-audience": "staff"})
    for path, status in (("/unknown-denies", 403), ("/absent-is-no", 200), ("/present", 200), ("/extension", 200)):
        cases.equal(f"Envoy is not told to send it: {path}", connection.get(path).status, status)

    of_tls = {"x-client": CLIENT, "x-server": SERVER, "x-sni": "shop.example", "x-audience": "staff"}
    reply = tls_connection(lab, "shop.example").get("/a?b=c?d", SENT)
    shown(cases, "mutual TLS", reply, {**OF_REQUEST, **OF_CONTEXT, **of_tls})
    reply = tls_connection(lab, None).get("/a?b=c?d", SENT)
    cases.equal("mutual TLS without SNI", (reply.upstream("x-sni"), reply.upstream("x-client")), (["-"], [CLIENT]))
    cases.equal("the server ends", server.stop(), 0)


run_cases(main)
