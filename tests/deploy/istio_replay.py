#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What istiod makes of deploy/istio, in a real Envoy, with a real server behind it.

tests/data/istio has what istiod sends a gateway and a sidecar; here it becomes a static bootstrap.  The server runs
deploy/kubernetes' policy and one rule more.
"""

import threading

from _deploy import *

DATA = os.path.join(ROOT, "tests/data/istio")
SOCKET_IN_PROXY = "/run/synauthz/authz.sock"
NODE_POD, APPLICATION = "10.1.0.11", "10.1.0.20"  # as in tests/data/istio/render/cluster.yaml
INBOUND_PORT, ADMIN_PORT = 15006, 15000
TIMEOUT = 0.25  # of the provider
# What is not asked about: `notPaths` of gateway.yaml and sidecar.yaml.
UNASKED = {"gateway": "/.well-known/acme-challenge/token", "sidecar": "/healthz"}
DENYING_RULE = """
rules:
  - id: no-timestamps
    when: {signature: "4:64:0:*:*,*:mss,nop,nop,sok,nop,ws:df,id+:0"}
    then: deny
    respond: {status: 403, body: "denied by %{rule}\\n"}
"""
FORGED = [
    (name, "forged")
    for name in (
        "x-tcp-p0f",
        "X-TCP-P0F",
        "x_tcp_p0f",
        "x.tcp.p0f",
        "x-tcp-anything",
        "x-fingerprint-state",
        "X_Fingerprint_State",
    )
]


def main(cases):
    lab = Lab()
    for address in (NODE_POD, APPLICATION):
        lab.server.ip("addr", "add", f"{address}/32", "dev", "lo")
    lab.start_upstream()
    # The application's port leads to the upstream, from whatever is on this side of the wire.
    nft(lab, "output", -100, f"tcp dport {PORT} dnat to 127.0.0.1:{UPSTREAM_PORT}")
    policy = lab.write("policy.yaml", read(KUBERNETES, "base", "policy.yaml").replace("\nrules:\n", DENYING_RULE))
    for proxy in ("gateway", "sidecar"):
        if proxy == "sidecar":  # as istio-init has it
            nft(lab, "prerouting", -100, f"tcp dport {PORT} redirect to :{INBOUND_PORT}")
        for way, listen in (("socket", f"unix:{SOCKET_IN_PROXY},mode=0660,group=1337"), ("service", f"{NODE_POD}:9001")):
            drive(cases, lab, proxy, way, lambda *options: lab.serve(policy, *options, listen=listen))


def nft(lab, hook, priority, rule):
    chain = f"chain {hook} {{ type nat hook {hook} priority {priority}; {rule}; }};"
    lab.server.sh("nft", f"table ip replay_{hook} {{ {chain} }}")


# ------------------------------------------------------------------------------------------------- bootstrap


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


def start_envoy(lab, name):
    path = lab.write(f"{name}.json", json.dumps(bootstrap(json.loads(read(DATA, f"{name}.json")))))
    envoy = lab.start(
        name,
        # a proxy of Istio's is in this group, which the socket is for
        *"setpriv --reuid 1337 --regid 1337 --clear-groups --inh-caps=-all --bounding-set=-all".split(),
        *(find_envoy(), "--config-path", path, "--concurrency", "1", "--disable-hot-restart"),
        *("--use-dynamic-base-id", "--log-level", "warning"),
    )
    port = PORT if name.startswith("gateway") else INBOUND_PORT

    def listens():
        if not envoy.runs():
            raise LabError(f"Envoy ended:\n{envoy.output()[-3000:]}")
        return f":{port} " in lab.server.sh("ss", "--no-header", "--listening", "--tcp", "--numeric")

    wait_until(listens, 30, "Envoy's listener")
    return envoy


# ------------------------------------------------------------------------------------------------- the cases


def drive(cases, lab, proxy, way, serve):
    name = f"{proxy}, {way}"
    envoy = start_envoy(lab, f"{proxy}-{way}")
    cases.check(f"{name}: Envoy loads what istiod sends", envoy.runs())
    check_gone(cases, lab, f"{name}, no server yet", UNASKED[proxy])
    server = serve()
    check_answers(cases, lab, name)
    check_forged(cases, lab, name, UNASKED[proxy])
    check_silent(cases, lab, name, server, UNASKED[proxy])
    if way == "socket":
        server = check_handover(cases, lab, name, server, serve)
    cases.equal(f"{name}: the server ends", server.stop(), 0)
    check_gone(cases, lab, f"{name}, server gone", UNASKED[proxy])
    server = serve()
    check_answers(cases, lab, f"{name}, server back")
    cases.equal(f"{name}: the server ends", server.stop(), 0)
    cases.equal(f"{name}: Envoy ends", envoy.stop(), 0)


def fingerprint(reply):
    return reply.upstream("x-tcp-p0f"), reply.upstream("x-fingerprint-state")


def is_signature(values):
    return len(values) == 1 and re.fullmatch(r"4:64\+0:0:1460:mss\*\d+,\d+:mss,sok,ts,nop,ws:df,id\+:0", values[0])


def check_answers(cases, lab, name):
    connection = Connection(lab)
    for what in ("a client is let in", "and with its next request"):
        reply = connection.get("/hello")
        signature, state = fingerprint(reply)
        cases.check(f"{name}: {what}, with its fingerprint", is_signature(signature) and state == ["verified"], reply)
    with lab.client.changed("net.ipv4.tcp_timestamps", 0):
        reply = Connection(lab).get("/hello")
    denial = (reply.status, reply.body, reply.received)
    cases.equal(f"{name}: a client is denied for its SYN", denial, (403, "denied by no-timestamps\n", None))


def check_forged(cases, lab, name, unasked):
    reply = Connection(lab).get("/hello", FORGED)
    signature, state = fingerprint(reply)
    cases.check(f"{name}: the true fingerprint replaces a forged one", is_signature(signature) and state == ["verified"], reply)
    cases.check(f"{name}: in all spellings", reply.received and "forged" not in reply.body, reply)
    asked = checks_of(lab)
    Connection(lab).get("/hello")
    cases.check(f"{name}: (a question is counted)", checks_of(lab) > asked)
    asked = checks_of(lab)
    reply = Connection(lab).get(unasked, [*FORGED, ("x-client-id", "7")])
    cases.equal(f"{name}: {unasked} is not asked about", checks_of(lab) - asked, 0)
    cases.check(f"{name}: and forged headers end here all the same", reply.received and "forged" not in reply.body, reply)
    cases.equal(f"{name}: and others do not", reply.upstream("x-client-id"), ["7"])


def checks_of(lab):
    """How many requests Envoy has asked about: each is counted as ok, denied or error."""
    with lab.server.entered():
        admin = http.client.HTTPConnection("127.0.0.1", ADMIN_PORT, timeout=5)
        admin.connect()
    admin.request("GET", r"/stats?filter=ext_authz\.(ok|denied|error)$")
    return sum(int(line.rsplit(" ", 1)[1]) for line in admin.getresponse().read().decode().splitlines())


def timed(lab, path="/hello"):
    connection = Connection(lab)
    started = time.monotonic()
    return connection.get(path), time.monotonic() - started


def check_silent(cases, lab, name, server, unasked):
    server.send(signal.SIGSTOP)
    try:
        reply, seconds = timed(lab)
        cases.equal(f"{name}: no answer in time is statusOnError", (reply.status, reply.received), (503, None))
        cases.check(f"{name}: and comes when the time is over", TIMEOUT * 0.8 < seconds < TIMEOUT + 1, seconds)
        cases.equal(f"{name}: {unasked} needs no answer", timed(lab, unasked)[0].status, 200)
    finally:
        server.send(signal.SIGCONT)
    cases.equal(f"{name}: and then as before", timed(lab)[0].status, 200)


def check_gone(cases, lab, name, unasked):
    reply, seconds = timed(lab)
    cases.equal(f"{name}: statusOnError", (reply.status, reply.received), (503, None))
    cases.check(f"{name}: at once", seconds < TIMEOUT + 0.5, seconds)
    cases.equal(f"{name}: {unasked} needs no server", timed(lab, unasked)[0].status, 200)


def check_handover(cases, lab, name, server, serve):
    """The next server takes the socket over while requests come in."""
    statuses, done = [], threading.Event()

    def ask(connection):
        while not done.is_set():
            statuses.append(connection.get("/hello").status)

    threads = [threading.Thread(target=ask, args=(Connection(lab),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    following = serve("--source", "none")
    status = server.stop()
    asked = len(statuses)
    wait_until(lambda: len(statuses) > asked + 20, 10, "requests to be answered by the next server")
    done.set()
    for thread in threads:
        thread.join()
    cases.equal(f"{name}: one server takes over from another", status, 0)
    cases.equal(f"{name}: and no request is lost", [s for s in statuses if s != 200], [])
    return following


run_cases(main)
