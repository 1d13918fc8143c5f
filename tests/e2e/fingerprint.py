#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One connection's way: SYN, record, Check, verdict, headers.  Real kernel, real Envoy, the real p0f as the judge."""

import json

from _cases import *

VERSIONS = {"IPv4": SERVER_IPV4, "IPv6": SERVER_IPV6}
FORGED = [
    ("x-tcp-p0f", "forged"),
    ("X-Tcp-P0f", "forged"),
    ("X-TCP-P0F", "forged"),
    ("x_tcp_p0f", "forged"),
    ("x-tcp_p0f", "forged"),
    ("X_TCP_P0F", "forged"),
    ("x-tcp-state", "forged"),
    ("x_tcp_state", "forged"),
    ("x-client-note", "forged"),
    ("x_client_note", "forged"),
    ("x-internal", "forged"),
    ("x-untouched", "kept"),
]


def start(lab):
    lab.serve(lab.copy(os.path.join(E2E, "policy.yaml")), ports=(PORT, BARE_PORT, TCP_PORT))
    lab.start_upstream()
    lab.start_envoy(more_listeners())


def signatures(cases, lab):
    """Equal to p0f's and the same over the life of the connection, whatever the client's stack sends."""
    variants = {
        "an ordinary client": None,
        "no window scaling": "net.ipv4.tcp_window_scaling",
        "no SACK": "net.ipv4.tcp_sack",
    }
    recording, seen = lab.record_syns(), []
    for version, address in VERSIONS.items():
        for variant, setting in variants.items():
            with lab.client.changed(setting or "net.ipv4.tcp_sack", 1 if setting is None else 0):
                connection = Connection(lab, address)
            seen.append((f"{version}, {variant}", connection, [connection.get(f"/{n}") for n in range(30)]))
    truth = recording.signatures()
    for name, connection, replies in seen:
        p0f = truth.get(connection.local)
        cases.check(f"{name}: p0f saw the SYN", p0f is not None, truth)
        cases.equal(f"{name}: the upstream sees p0f's signature", replies[0].upstream("x-tcp-p0f"), [p0f])
        cases.equal(f"{name}: verified", replies[0].upstream("x-tcp-state"), ["verified"])
        cases.check(f"{name}: the same in 30 requests", all(reply.upstream("x-tcp-p0f") == [p0f] for reply in replies))
    cases.equal("the variants differ", len(set(truth.values())), len(seen))
    return seen[0][1], truth


def denial(cases, lab):
    recording = lab.record_syns()
    with lab.client.changed("net.ipv4.tcp_timestamps", 0):
        connections = {version: Connection(lab, address) for version, address in VERSIONS.items()}
    replies = {version: connection.get() for version, connection in connections.items()}
    truth = recording.signatures()
    for version, reply in replies.items():
        cases.equal(f"{version}: denied with the rule's status", reply.status, 429)
        cases.equal(f"{version}: and body", reply.body, "denied by no-timestamps\n")
        cases.equal(
            f"{version}: and headers",
            (reply.header("x-denied-by"), reply.header("x-signature")),
            ("no-timestamps", truth.get(connections[version].local)),
        )
        cases.equal(f"{version}: denied again on the same connection", connections[version].get("/again").status, 429)


def headers(cases, lab, port, what):
    """What a client sends in the name of the policy's headers never gets upstream."""
    connection = Connection(lab, port=port)
    honest, lying = connection.get(), connection.get("/", FORGED)
    cases.equal(
        f"{what}: no forged value gets upstream",
        [header for header in lying.received or [("?", "forged")] if header[1] == "forged"],
        [],
    )
    for name in ("x-tcp-p0f", "x-tcp-state", "x-client-note"):
        cases.check(
            f"{what}: {name} has one value, ours",
            len(honest.upstream(name)) == 1 and lying.upstream(name) == honest.upstream(name),
            (honest.upstream(name), lying.upstream(name)),
        )
    cases.equal(f"{what}: no other spelling remains", [name for name, _ in lying.received or [] if "_" in name], [])
    cases.equal(f"{what}: a template's words", lying.upstream("x-client-note"), ["decided by default, 100%"])
    cases.equal(f"{what}: a header in `remove` is gone", lying.upstream("x-internal"), [])
    cases.equal(f"{what}: any other header is left alone", lying.upstream("x-untouched"), ["kept"])


def conditions(cases, lab):
    connection, six = Connection(lab), Connection(lab, SERVER_IPV6)
    table = (
        ("a path with the prefix", {"path": "/secret/1"}, 403),
        ("a path with the prefix, by its query", {"path": "/public?/secret"}, 200),
        ("a path behind dots", {"path": "/public/../secret/1"}, 403),
        ("a path with the prefix and the pass", {"path": "/secret/1", "headers": [("x-pass", "sesame")]}, 200),
        ("the pass in another case of its name", {"path": "/secret/1", "headers": [("X-PASS", "sesame")]}, 200),
        ("a wrong pass", {"path": "/secret/1", "headers": [("x-pass", "Sesame")]}, 403),
        ("a pass sent twice", {"path": "/secret/1", "headers": [("x-pass", "sesame"), ("x-pass", "no")]}, 403),
        ("a method", {"path": "/", "method": "DELETE"}, 405),
        ("another method", {"path": "/", "method": "PUT"}, 200),
        ("a header that contains", {"path": "/", "headers": [("user-agent", "my badbot/1.0")]}, 406),
        ("a header that does not", {"path": "/", "headers": [("user-agent", "goodbot")]}, 200),
        ("a header's prefix", {"path": "/", "headers": [("x-ticket", "stolen-1")]}, 410),
        ("a header's prefix, not at the start", {"path": "/", "headers": [("x-ticket", "not stolen-1")]}, 200),
        ("an address and an absent header", {"path": "/private"}, 401),
        ("an address and a present header", {"path": "/private", "headers": [("x-knock", "")]}, 200),
        ("an exact path, not its child", {"path": "/private/1"}, 200),
        ("an exact path with a query", {"path": "/private?x=1"}, 401),
        ("a state", {"path": "/only-verified"}, 200),
    )
    for name, request, status in table:
        cases.equal(f"condition: {name}", connection.get(**request).status, status)
    cases.equal("condition: an IPv6 address", six.get("/private").status, 401)


def network_filter(cases, lab):
    for version, address in VERSIONS.items():
        cases.equal(
            f"network filter, {version}: an ordinary client is let in",
            Connection(lab, address, TCP_PORT).get().status,
            200,
        )
        with lab.client.changed("net.ipv4.tcp_timestamps", 0):
            odd = Connection(lab, address, TCP_PORT)
        try:
            outcome = odd.get().status
        except (OSError, http.client.HTTPException) as error:
            outcome = type(error).__name__
        cases.check(
            f"network filter, {version}: a changed one is cut off",
            outcome in ("RemoteDisconnected", "ConnectionResetError", "BrokenPipeError"),
            outcome,
        )


def metadata(cases, lab):
    """What Envoy's access log and other filters are told, on allow and on deny."""
    recording = lab.record_syns()
    allowed = Connection(lab, port=BARE_PORT)
    with lab.client.changed("net.ipv4.tcp_timestamps", 0):
        denied = Connection(lab, port=BARE_PORT)
    allowed.get("/allowed-with-metadata")
    denied.get("/denied-with-metadata")
    log = os.path.join(SCRATCH, "access.log")

    def lines():
        with open(log) as file:
            return {entry["path"]: entry for entry in map(json.loads, file)}

    wait_until(lambda: "/denied-with-metadata" in lines(), 10, "Envoy's access log")
    truth, entries = recording.signatures(), lines()
    for name, connection, verdict, rule, own in (
        ("allowed", allowed, "allow", "default", ("enriched", "yes")),
        ("denied", denied, "deny", "no-timestamps", ("note", f"no timestamps in {truth.get(denied.local)}")),
    ):
        got, p0f = entries[f"/{name}-with-metadata"]["metadata"] or {}, truth.get(connection.local)
        cases.equal(
            f"metadata, {name}: signature, state and distance",
            (got.get("p0f"), got.get("p0f_signature"), got.get("p0f_state")),
            ({"signature": p0f, "state": "verified", "distance": 0}, p0f, "verified"),
        )
        cases.equal(f"metadata, {name}: verdict", got.get("verdict"), verdict)
        cases.check(f"metadata, {name}: rule", got.get("rule") == rule, got)
        cases.check(
            f"metadata, {name}: policy, revision, decision",
            got.get("policy") == "default"
            and re.fullmatch("[0-9a-f]{12}", got.get("revision", ""))
            and got.get("decision_id"),
            got,
        )
        cases.equal(f"metadata, {name}: the policy's own", got.get(own[0]), own[1])
    cases.check(
        "metadata: decisions have different names",
        len({entry["metadata"]["decision_id"] for entry in entries.values() if entry["metadata"]}) == len(entries),
        entries,
    )


def main(cases):
    lab = Lab()
    start(lab)
    signatures(cases, lab)
    denial(cases, lab)
    headers(cases, lab, PORT, "envoy.yaml")
    headers(cases, lab, BARE_PORT, "the filter alone")
    conditions(cases, lab)
    network_filter(cases, lab)
    metadata(cases, lab)
    many = [Connection(lab, address) for address in VERSIONS.values() for _ in range(100)]
    cases.check(
        "200 connections at once are all verified",
        all(connection.get().upstream("x-tcp-state") == ["verified"] for connection in many),
    )


run_cases(main)
