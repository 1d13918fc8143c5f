#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What istiod makes of deploy/istio, in a real Envoy, with a real server behind it.

tests/data/istio has what istiod sends a gateway and a sidecar; here it becomes a static bootstrap.  The server runs
deploy/kubernetes' policy and one rule more.
"""

import threading

from _replay import *

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
    lab = make_node()
    policy = lab.write("policy.yaml", read(KUBERNETES, "base", "policy.yaml").replace("\nrules:\n", DENYING_RULE))
    for proxy in ("gateway", "sidecar"):
        if proxy == "sidecar":  # as istio-init has it
            nft(lab, "prerouting", f"tcp dport {PORT} redirect to :{INBOUND_PORT}")
        for way, listen in (
            ("socket", f"unix:{SOCKET_IN_PROXY},mode=0660,group={PROXY}"),
            ("service", f"{NODE_POD}:9001"),
        ):
            drive(cases, lab, proxy, way, lambda *options: lab.serve(policy, *options, listen=listen))


def start_envoy(lab, name):
    envoy = lab.start(
        name,
        *f"setpriv --reuid {PROXY} --regid {PROXY} --clear-groups --inh-caps=-all --bounding-set=-all".split(),
        *envoy_command(write_bootstrap(lab, name)),
    )
    wait_for_listener(lab, envoy, PORT if name.startswith("gateway") else INBOUND_PORT)
    return envoy


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


def check_answers(cases, lab, name):
    connection = Connection(lab)
    for what in ("a client is let in", "and with its next request"):
        reply = connection.get("/hello")
        cases.check(f"{name}: {what}, with its fingerprint", is_verified(reply), reply)
    with lab.client.changed("net.ipv4.tcp_timestamps", 0):
        reply = Connection(lab).get("/hello")
    denial = (reply.status, reply.body, reply.received)
    cases.equal(f"{name}: a client is denied for its SYN", denial, (403, "denied by no-timestamps\n", None))


def check_forged(cases, lab, name, unasked):
    reply = Connection(lab).get("/hello", FORGED)
    cases.check(f"{name}: the true fingerprint replaces a forged one", is_verified(reply), reply)
    cases.check(f"{name}: in all spellings", reply.received and "forged" not in reply.body, reply)
    asked = checks_of(lab)
    Connection(lab).get("/hello")
    cases.check(f"{name}: (a question is counted)", checks_of(lab) > asked)
    asked = checks_of(lab)
    reply = Connection(lab).get(unasked, [*FORGED, ("x-client-id", "7")])
    cases.equal(f"{name}: {unasked} is not asked about", checks_of(lab) - asked, 0)
    cases.check(
        f"{name}: and forged headers end here all the same", reply.received and "forged" not in reply.body, reply
    )
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
    os.waitid(os.P_PID, server.pid, os.WSTOPPED)  # all of its threads have stopped
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
