#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every way of a connection, IPv4 and IPv6, through the product, once for each mode of the agent: is its SYN known?

usage: tests/cluster/coverage.py [--write]

Each connection is made by a real client, accepted by a real listener in a pod, and asked about with the addresses that
Envoy would report.  The client's own device, seen by tcpdump and judged by p0f, says what is right: sequence number
and signature, of which only the TTL may differ, by the routers between.

docs/coverage.md is made from what was measured; with --write it is written, else it must be what it would be.
"""

import difflib
import os
import sys

from _cluster import *

DOCUMENT = os.path.join(ROOT, "docs/coverage.md")
WIRE_HOOKS = {"xdp": "xdp", "xdp-generic": "xdp", "tcx": "tcx", "auto": "xdp"}  # mode: hook on the node's device
NOT_SEEN = ("missing", "no_syn", None)


def expected(row, mode):
    """(state, reason, hook) that this way has in this mode."""
    if row.wire is not None and mode in WIRE_HOOKS:
        return "verified", "-", WIRE_HOOKS[mode]
    return ("verified", "-", "cgroup") if mode in ("auto", "cgroup") else NOT_SEEN


class Measured:
    """One connection: who made it, what it was asked about with, what the product said."""

    def __init__(self, row, family, mode, flow, seen):
        self.row, self.family, self.mode, self.flow, self.seen = row, family, mode, flow, seen
        self.name = f"{mode}: {row.id}, {family}"

    def outcome(self):
        return self.seen.state, self.seen.reason, self.seen.hook

    def judge(self, cases, truth):
        cases.equal(f"{self.name}: the documented state", self.outcome(), expected(self.row, self.mode))
        syn = truth[self.row.client].get(self.flow)
        if not cases.check(f"{self.name}: p0f saw the client's SYN", syn, self.flow):
            return
        if self.seen.state != "verified":
            cases.equal(f"{self.name}: nothing is said of what was not seen", self.said(), (None, None, None, None))
            return
        hops = self.row.socket if self.seen.hook == "cgroup" else self.row.wire
        wanted = (syn.after(hops), hops, syn.isn, syn.after(hops))
        cases.equal(f"{self.name}: it is the client's SYN", self.said(), wanted)

    def said(self):
        return self.seen.signature, self.seen.distance, self.seen.isn, self.seen.found["p0f"]


def measure(world, mode):
    """All rows with one mode; the hooks are gone afterwards."""
    listeners = Listeners(world).open(early=True)
    agent = Agent(world, mode)
    server = Server(world)
    listeners.open()
    connections = [(row, family, *listeners.connect(row, family)) for row in ROWS for family in FAMILIES]
    measured = [
        Measured(row, family, mode, (*client["local"], *destination(world, row, family)), server.ask(accepted))
        for row, family, client, accepted in connections
    ]
    listeners.close()
    server.stop()
    agent.clean_up()
    return measured


# --------------------------------------------------------------------------------------------------- the document


def cell(measured):
    """What the rows of both families say, in one cell."""
    texts = [text_of(one) for one in measured]
    if len(set(texts)) == 1:
        return texts[0]
    return ", ".join(f"{one.family}: {text}" for one, text in zip(measured, texts))


def text_of(measured):
    seen = measured.seen
    if seen.state != "verified":
        return f"{seen.state}: `{seen.reason}`"
    return f"verified, {seen.hook} +{seen.distance}"


def document(measured):
    def find(row, mode):
        return [one for one in measured if one.row is row and one.mode == mode]

    lines = [
        "# Where the client's SYN is seen",
        "",
        "Measured, not written: `tests/cluster/coverage.py --write` makes this page, and every run of the tests "
        "compares it with what it measures.",
        "Each cell is a connection over IPv4 and one over IPv6 in a cluster of network namespaces, from a real client "
        "to a real `accept()`, asked about with the addresses that Envoy would report.",
        "",
        "`verified, xdp +1`: the kernel's socket has proved that this SYN is the connection's; it was recorded by XDP, "
        "one router behind the client. The client's own device is the judge: sequence number and p0f signature are "
        "those of the packet that left it.",
        "`missing`: the server says that it does not know; a policy decides what then happens. No mode ever shows "
        "another client's SYN.",
        "",
        f"| the connection's way | {' | '.join(f'`{mode}`' for mode in MODES)} |",
        f"|---|{'---|' * len(MODES)}",
    ]
    for row in ROWS:
        lines.append(f"| {row.way} | {' | '.join(cell(find(row, mode)) for mode in MODES)} |")
    lines += ["", *(f"- {row.way}: {row.why}." for row in ROWS if row.why)]
    lines += [
        "",
        "The agent ran with `--interface eth0` (the node's only device to the outside), `--cgroup` (the pods'), "
        f"`--vxlan-port {VXLAN_PORT}` and the ports {', '.join(map(str, PORTS))}: those of the pods, the sidecar's, "
        "which the control groups' hook sees behind REDIRECT, and the node's own, which the devices' hooks see in "
        "front of DNAT.",
        "",
        "`auto` takes the device and the control groups; where both see a SYN the outer one keeps it, so its distance "
        "is the one to the node. Where only the control groups see it, the node's own routers are in the distance, "
        "which `--node-hops` takes off again.",
        "",
    ]
    return "\n".join(lines)


def compare(cases, text):
    if "--write" in sys.argv[1:] and not cases.failed:
        with open(DOCUMENT, "w") as file:
            file.write(text)
    with open(DOCUMENT) as file:
        before = file.read()
    difference = "".join(difflib.unified_diff(before.splitlines(True), text.splitlines(True), "committed", "measured"))
    cases.check("docs/coverage.md is what was measured", not difference, "\n" + difference)
    print(difference, end="")


def cover(cases):
    world = World()
    recordings = {name: Recording(world.space[name], "lo" if name == "web" else DEVICE) for name in CLIENTS_OF_ROWS}
    for recording in recordings.values():
        recording.wait()
    measured = [one for mode in MODES for one in measure(world, mode)]
    truth = {name: recording.syns() for name, recording in recordings.items()}
    for one in measured:
        one.judge(cases, truth)
    compare(cases, document(measured))
    cases.check("SYN cookies were really used", world.cookies_accepted() >= 2 * len(MODES))


run_cluster(cover)
