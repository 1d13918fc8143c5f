# SPDX-License-Identifier: Apache-2.0
"""The node of tests/data/istio/render/cluster.yaml as a lab, and what istiod sends its proxies as Envoy's bootstrap."""

from _deploy import *

DATA = os.path.join(ROOT, "tests/data/istio")
NODE_POD, APPLICATION = "10.1.0.11", "10.1.0.20"  # as in cluster.yaml
INBOUND_PORT, ADMIN_PORT = 15006, 15000
PROXY = 1337  # user and group of Istio's proxies


def make_node():
    """A lab whose server is the node: its pods' addresses, and an application."""
    lab = Lab()
    for address in (NODE_POD, APPLICATION):
        lab.server.ip("addr", "add", f"{address}/32", "dev", "lo")
    lab.start_upstream()
    # The application's port leads to the upstream, from whatever is on this side of the wire.
    nft(lab, "output", f"tcp dport {PORT} dnat to 127.0.0.1:{UPSTREAM_PORT}")
    return lab


def nft(lab, hook, rule):
    chain = f"chain {hook} {{ type nat hook {hook} priority -100; {rule}; }};"
    lab.server.sh("nft", f"table ip replay_{hook} {{ {chain} }}")


def bootstrap(dump):
    """One static bootstrap of what istiod sends piece by piece."""
    loads = {load["clusterName"]: load for load in dump["endpoints"]}
    routes = {route["name"]: route for route in dump["routes"]}
    return {
        "node": {"id": "replay", "cluster": "replay"},
        "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": ADMIN_PORT}}},
        "static_resources": {
            "clusters": [static_cluster(cluster, loads) for cluster in dump["clusters"]],
            "listeners": [with_routes(listener, routes) for listener in dump["listeners"]],
        },
    }


def static_cluster(cluster, loads):
    if cluster.get("type") != "EDS":
        return cluster
    cluster = {key: value for key, value in cluster.items() if key != "edsClusterConfig"}
    return {**cluster, "type": "STATIC", "loadAssignment": loads[cluster["name"]]}


def with_routes(value, routes):
    """The same with each `rds` replaced by the routes that it names."""
    if isinstance(value, list):
        return [with_routes(item, routes) for item in value]
    if not isinstance(value, dict):
        return value
    value = {key: with_routes(item, routes) for key, item in value.items()}
    if "rds" in value:
        found = routes[value.pop("rds")["routeConfigName"]]
        value["routeConfig"] = {key: item for key, item in found.items() if key != "validateClusters"}
    return value


def write_bootstrap(lab, name):
    return lab.write(f"{name}.json", json.dumps(bootstrap(json.loads(read(DATA, f"{name}.json")))))


def envoy_command(path):
    return [
        *(find_envoy(), "--config-path", path, "--concurrency", "1", "--disable-hot-restart"),
        *("--use-dynamic-base-id", "--log-level", "warning"),
    ]


def wait_for_listener(lab, envoy, port):
    def listens():
        if not envoy.runs():
            raise LabError(f"Envoy ended:\n{envoy.output()[-3000:]}")
        return f":{port} " in lab.server.sh("ss", "--no-header", "--listening", "--tcp", "--numeric")

    wait_until(listens, 30, "Envoy's listener")


def fingerprint(reply):
    """What the application is told: the signatures and the states."""
    return reply.upstream("x-tcp-p0f"), reply.upstream("x-fingerprint-state")


def is_signature(values):
    return len(values) == 1 and re.fullmatch(r"4:64\+0:0:1460:mss\*\d+,\d+:mss,sok,ts,nop,ws:df,id\+:0", values[0])


def is_verified(reply):
    signatures, states = fingerprint(reply)
    return bool(is_signature(signatures)) and states == ["verified"]
