#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every way in which Envoy can reach the server, with Envoy's own health checks on each, by either name that the server
has for itself."""

import json

from _cases import *

AUTHORIZATION = "envoy.service.auth.v3.Authorization"
# name, what --listen is given, the address in Envoy's cluster, the port of Envoy's listener, whose health is asked for
TRANSPORTS = (
    ("a second unix socket", "unix:/run/synauthz/second.sock", {"pipe": {"path": "/run/synauthz/second.sock"}}, 8091, ""),
    ("an abstract unix socket", "unix:@synauthz-test", {"pipe": {"path": "@synauthz-test"}}, 8092, AUTHORIZATION),
    ("TCP", "127.0.0.1:9191", {"socket_address": {"address": "127.0.0.1", "port_value": 9191}}, 8093, AUTHORIZATION),
    ("TCP over IPv6", "[::1]:9192", {"socket_address": {"address": "::1", "port_value": 9192}}, 8094, ""),
)
POLICY = """\
version: 1
rules:
  - id: enrich
    when: {fingerprint.state: verified}
    then: continue
    request_headers: {set: {x-tcp-p0f: "%{p0f}"}}
default: allow
on_unknown: skip
"""
API = "type.googleapis.com/envoy.extensions."


def cluster(number, address, service):
    """No host is used that fails its health check: what gets an answer was healthy."""
    return {
        "name": f"authz-{number}",
        "type": "STATIC",
        "connect_timeout": "1s",
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": API + "upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        },
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
        "health_checks": [
            {
                "timeout": "1s",
                "interval": "0.2s",
                "no_traffic_interval": "0.2s",
                "healthy_threshold": 1,
                "unhealthy_threshold": 1,
                "grpc_health_check": {"service_name": service},
            }
        ],
        "load_assignment": {
            "cluster_name": f"authz-{number}",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
    }


def listener(number, port):
    route = {"match": {"prefix": "/"}, "route": {"cluster": "upstream"}}
    manager = {
        "@type": API + "filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": f"in-{number}",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": [
            {
                "name": "authz",
                "typed_config": {
                    "@type": API + "filters.http.ext_authz.v3.ExtAuthz",
                    "transport_api_version": "V3",
                    "grpc_service": {"envoy_grpc": {"cluster_name": f"authz-{number}"}, "timeout": "2s"},
                    "status_on_error": {"code": "ServiceUnavailable"},
                },
            },
            {"name": "router", "typed_config": {"@type": API + "filters.http.router.v3.Router"}},
        ],
    }
    return {
        "name": f"in-{number}",
        "address": {"socket_address": {"address": "0.0.0.0", "port_value": port}},
        "filter_chains": [{"filters": [{"name": "manager", "typed_config": manager}]}],
    }


def main(cases):
    lab = Lab()
    lab.start_upstream()
    stranger = ("another service's health", None, TRANSPORTS[0][2], 8095, "no.such.Service")
    clusters = (*TRANSPORTS, stranger)
    more = {
        "listeners": [listener(number, port) for number, (_, _, _, port, _) in enumerate(clusters)],
        "clusters": [cluster(number, address, service) for number, (_, _, address, _, service) in enumerate(clusters)],
    }
    lab.start_envoy(json.dumps({"static_resources": more}))
    for name, _, _, port, _ in TRANSPORTS:
        cases.equal(f"{name}: no server, no entry", Connection(lab, port=port).get().status, 503)

    listens = [argument for _, listen, _, _, _ in TRANSPORTS for argument in ("--listen", listen)]
    server = lab.serve(lab.write("policy.yaml", POLICY), *listens, ports=(port for _, _, _, port, _ in clusters))
    for name, _, _, port, service in TRANSPORTS:
        connection = Connection(lab, port=port)
        what = f"{name}: Envoy finds {service or 'the server'} healthy and lets requests in"
        try:
            wait_until(lambda: connection.get().status == 200, 20, "a healthy server")
            cases.check(what, True)
        except LabError as error:
            cases.check(what, False, str(error))
        replies = [connection.get() for _ in range(20)]
        cases.check(
            f"{name}: with a fingerprint", all(len(reply.upstream("x-tcp-p0f")) == 1 for reply in replies), replies[0]
        )
    cases.equal("a service that is none of ours is not healthy", Connection(lab, port=stranger[3]).get().status, 503)
    cases.equal("the server ends with all its listeners", server.stop(), 0)
    for name, _, _, port, _ in TRANSPORTS:
        cases.equal(f"{name}: no entry again", Connection(lab, port=port).get().status, 503)


run_cases(main)
