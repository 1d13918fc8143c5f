#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every way of a connection, IPv4 and IPv6, through the product, once for each mode of the agent: is its SYN known?

usage: tests/cluster/coverage.py [--write]

Each connection is made by a real client, accepted by a real listener in a pod, and asked about with the addresses that
Envoy would report.  The client's own device, seen by tcpdump and judged by p0f, says what is right: sequence number
and signature, of which only the TTL may differ, by the routers between.

docs/coverage.md is made from what was measured; with --write it is written, else it must be what it would be.
"""

import dataclasses
import difflib
import json
import os
import sys

from _cluster import *

DOCUMENT = os.path.join(ROOT, "docs/coverage.md")
NODE_HOPS = 1  # the agent's default
TEXT = """\
# Where the client's SYN is seen

Measured, not written: `tests/cluster/coverage.py --write` makes this page, and every run of the tests compares it with
what it measures. Each cell stands for one connection over IPv4 and one over IPv6 in a cluster of network namespaces,
from a real client to a real `accept()`, asked about with the addresses that Envoy reports. The columns are the agent's
`--capture`.

{table}

- `verified, xdp +1`: the kernel's socket has proved that this SYN is the connection's. It was recorded by XDP, and to
  a policy its `tcp.distance` is 1. The client's own device is the judge: sequence number and p0f signature are those
  of the packet that left it, but for the TTL, which counts the routers up to the hook.
- `captured`: on hosts whose kernel lets nobody follow sockets (here: `--tracking off`), a recent SYN of that tuple.
  Which namespace it went to is not known there, so `--node-hops` does nothing.
- `missing`: the server says that it does not know, and the policy decides. In no cell was it another client's SYN.

`auto` takes the node's devices and the control groups. Where both see a SYN the outer one keeps it. Where only the
control groups do, the routers inside the node are in the TTL; `--node-hops` (1) takes them off the distance.

{notes}

The agent ran with `--interface eth0`, the node's only device to the outside, with `--cgroup`, the pods', with
`--vxlan-port {vxlan}` and with the ports {ports}: those of the pods, the sidecar's, which the control groups' hook sees
behind REDIRECT, and the node's, which the devices' hooks see in front of DNAT.
"""


@dataclasses.dataclass(frozen=True)
class Mode:
    """How the agent runs.  `device`: the hook that it then has on the node's device."""

    title: str
    capture: str
    device: str | None
    cgroups: bool = False
    tracked: bool = True
    vxlan: bool = True

    def options(self):
        return () if self.tracked else ("--tracking", "off")

    def expect(self, row):
        """(state, reason, hook) of this way."""
        state = ("verified", "-") if self.tracked else ("captured", "untracked")
        if self.device and row.wire is not None and (self.vxlan or row.id != "vxlan"):
            if self.tracked or not row.service:  # nobody follows the destination through NAT
                return *state, self.device
        if self.cgroups:
            return *state, "cgroup"
        return "missing", "no_syn" if self.tracked else "not_seen", None


AUTO = Mode("`auto`", "auto", "xdp", True)
NO_VXLAN = Mode("`auto`, no `--vxlan-port`", "auto", "xdp", True, vxlan=False)
MODES = (
    AUTO,
    Mode("`xdp`", "xdp", "xdp"),
    Mode("`xdp-generic`", "xdp-generic", "xdp"),
    Mode("`tcx`", "tcx", "tcx"),
    Mode("`cgroup`", "cgroup", None, True),
    Mode("`auto`, not tracked", "auto", "xdp", True, tracked=False),
)


class Measured:
    """One connection: who made it, what it was asked about with, what the product said."""

    def __init__(self, row, family, mode, flow, seen):
        self.row, self.family, self.mode, self.flow, self.seen = row, family, mode, flow, seen
        self.name = f"{mode.title.replace('`', '')}: {row.id}, {family}"

    def outcome(self):
        return self.seen.state, self.seen.reason, self.seen.hook

    def judge(self, cases, truth):
        cases.equal(f"{self.name}: the documented state", self.outcome(), self.mode.expect(self.row))
        syn = truth[self.row.client].get(self.flow)
        if not cases.check(f"{self.name}: p0f saw the client's SYN", syn, self.flow):
            return
        if self.seen.hook is None:
            cases.equal(f"{self.name}: nothing is said of what was not seen", self.said(), (None, None, None, None))
            return
        inside = self.seen.hook == "cgroup"
        hops = self.row.socket if inside else self.row.wire
        # Without a socket nobody knows in which namespace the SYN was seen, so nothing is taken off.
        distance = max(hops - NODE_HOPS, 0) if inside and self.mode.tracked else hops
        wanted = (syn.after(hops), distance, syn.isn, syn.after(hops))
        cases.equal(f"{self.name}: it is the client's SYN", self.said(), wanted)

    def said(self):
        return self.seen.signature, self.seen.distance, self.seen.isn, self.seen.found["p0f"]


def measure(world, mode):
    """All rows with one mode; the hooks are gone afterwards."""
    listeners = Listeners(world).open(early=True)
    agent = Agent(world, mode.capture, *mode.options(), vxlan=mode.vxlan)
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
    if seen.hook is None:
        return f"{seen.state}: `{seen.reason}`"
    return f"{seen.state}, {seen.hook} +{seen.distance}"


def document(measured):
    def find(row, mode):
        return [one for one in measured if one.row is row and one.mode == mode]

    table = [
        f"| the connection's way | {' | '.join(mode.title for mode in MODES)} |",
        f"|---|{'---|' * len(MODES)}",
        *(f"| {row.way} | {' | '.join(cell(find(row, mode)) for mode in MODES)} |" for row in ROWS),
    ]
    notes = [f"- **{row.way}**: {row.why}." for row in ROWS if row.why]
    ports = ", ".join(map(str, PORTS))
    return TEXT.format(table="\n".join(table), notes="\n".join(notes), vxlan=VXLAN_PORT, ports=ports)


def compare(cases, text):
    if "--write" in sys.argv[1:] and not cases.failed:
        with open(DOCUMENT, "w") as file:
            file.write(text)
    before = ""
    if os.path.exists(DOCUMENT):
        with open(DOCUMENT) as file:
            before = file.read()
    difference = "".join(difflib.unified_diff(before.splitlines(True), text.splitlines(True), "committed", "measured"))
    print(difference, end="")
    cases.check("docs/coverage.md is what was measured", not difference, "the difference is above")


def doctor(world):
    """{row: (state, hook)}: what `doctor` says of this node, before anything runs there."""
    argv = world.space["node"].inside(find_synauthz(), "doctor", "--interface", DEVICE, "-o", "json")
    said = json.loads(subprocess.run(argv, text=True, check=True, stdout=subprocess.PIPE).stdout)
    return {way["row"]: (way["state"], way["hook"]) for way in said["coverage"]}


def compare_doctor(cases, predicted, measured):
    """`doctor` knows no overlay's port, so it tells what an agent without one would see."""
    for one in measured:
        if one.mode is NO_VXLAN:
            now = one.seen.state, one.seen.hook
            cases.equal(f"doctor: {one.row.id}, {one.family}", predicted.get(one.row.id), now)


def cover(cases):
    world = World()
    recordings = {name: Recording(world.space[name], "lo" if name == "web" else DEVICE) for name in CLIENTS_OF_ROWS}
    for recording in recordings.values():
        recording.wait()
    predicted = doctor(world)
    measured = [one for mode in (*MODES, NO_VXLAN) for one in measure(world, mode)]
    truth = {name: recording.syns() for name, recording in recordings.items()}
    for one in measured:
        one.judge(cases, truth)
    compare_doctor(cases, predicted, measured)
    compare(cases, document(measured))
    cases.check("SYN cookies were really used", world.cookies_accepted() >= len(FAMILIES) * (len(MODES) + 1))


run_cluster(cover)
