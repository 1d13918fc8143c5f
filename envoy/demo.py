#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What envoy/demo shows: a client's TCP SYN decides what Envoy does with its requests."""

import os
import sys

sys.dont_write_bytecode = True
from lab import *

failures = []


def title(text):
    print(f"\n== {text}")


def expect(text, holds, seen):
    """One promise, and what came back."""
    print(f"   {'ok  ' if holds else 'NOT '} {text}: {seen}")
    if not holds:
        failures.append(text)


def ordinary_client(lab, version, address):
    title(f"{version}: an ordinary client")
    recording = lab.record_syns()
    connection = Connection(lab, address)
    reply, again = connection.get("/hello"), connection.get("/hello/again")
    p0f = recording.signatures().get(connection.local)
    print(
        f"        {connection.local[0]} port {connection.local[1]} asks for /hello, then, on the same connection, for more"
    )
    expect("allowed", reply.status == 200, f"status {reply.status}")
    expect(
        "the application is told the fingerprint",
        bool(reply.upstream("x-tcp-p0f")),
        f"x-tcp-p0f: {', '.join(reply.upstream('x-tcp-p0f')) or 'no such header'}",
    )
    expect("p0f says the same of the same SYN", p0f is not None and reply.upstream("x-tcp-p0f") == [p0f], p0f)
    expect(
        "proved by the kernel's own socket",
        reply.upstream("x-tcp-state") == ["verified"],
        f"x-tcp-state: {', '.join(reply.upstream('x-tcp-state'))}",
    )
    expect("the later request has it too", again.upstream("x-tcp-p0f") == [p0f], f"status {again.status}")
    return connection, p0f


def changed_client(lab, version, address):
    title(f"{version}: the same machine with net.ipv4.tcp_timestamps=0, the same request")
    with lab.client.changed("net.ipv4.tcp_timestamps", 0):
        connection = Connection(lab, address)
    reply = connection.get("/hello")
    expect(
        "denied by the rule `no-timestamps`",
        reply.status == 403 and reply.header("x-denied-by") == "no-timestamps",
        f"status {reply.status}, x-denied-by: {reply.header('x-denied-by')}",
    )
    expect("with the rule's words", reply.body == "denied by no-timestamps\n", reply.body.strip())


def lying_client(connection, p0f):
    title("a client that brings headers of its own")
    forged = [
        ("x-tcp-p0f", "forged"),
        ("X-Tcp-P0f", "forged"),
        ("x_tcp_p0f", "forged"),
        ("x-tcp-state", "forged"),
        ("x-internal", "yes"),
    ]
    print("        sends " + ", ".join(f"{name}: {value}" for name, value in forged))
    reply = connection.get("/hello", forged)
    expect(
        "the application sees only what synauthz says",
        reply.upstream("x-tcp-p0f") == [p0f]
        and reply.upstream("x-tcp-state") == ["verified"]
        and "forged" not in reply.body,
        f"x-tcp-p0f: {', '.join(reply.upstream('x-tcp-p0f'))}",
    )
    expect(
        "the header in the policy's `remove` is gone",
        reply.status == 200 and not reply.upstream("x-internal"),
        f"x-internal: {', '.join(reply.upstream('x-internal')) or 'not there'}",
    )


def without_server(connection, server):
    title("synauthz ends")
    status = server.stop()
    expect("it ends cleanly", status == 0, f"exit status {status}")
    reply = connection.get("/hello")
    expect("Envoy lets nobody in without an answer", reply.status == 503, f"status {reply.status}")


def main():
    run_privately()
    lab = Lab()
    print(f"""
Two network namespaces joined by a veth pair:

   client {CLIENT_IPV4}, {CLIENT_IPV6}  ---  {SERVER_IPV4}, {SERVER_IPV6}: Envoy on port {PORT}, asking synauthz""")
    title("starting")
    policy = lab.copy(os.path.join(HERE, "policy.yaml"))
    server = lab.serve(policy)
    print(
        f"        synauthz serve --attach {SERVER_DEVICE} --port {PORT} --policy envoy/policy.yaml --listen unix:{SOCKET}"
    )
    print("        " + [line for line in server.output().splitlines() if "ready" in line][0])
    lab.start_upstream()
    lab.start_envoy()
    print("        envoy --config-path envoy/envoy.yaml")

    first = None
    for version, address in (("IPv4", SERVER_IPV4), ("IPv6", SERVER_IPV6)):
        seen = ordinary_client(lab, version, address)
        first = first or seen
        changed_client(lab, version, address)
    lying_client(*first)
    without_server(first[0], server)
    expect("and the network device is as it was", not lab.attached(), "no program attached")

    print(f"\n{'everything held' if not failures else f'{len(failures)} did not hold: ' + '; '.join(failures)}")
    sys.exit(1 if failures else 0)


try:
    main()
except LabError as error:
    sys.exit(f"demo: {error}")
