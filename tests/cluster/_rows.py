# SPDX-License-Identifier: Apache-2.0
"""The ways that a connection can take to an Envoy of a node, and what each hook can know about it."""

import dataclasses

from _world import FAMILIES, IPV4, MASQUERADE_PORT, SERVICE_PORT, SIDECAR_PORT, WEB_PORT



@dataclasses.dataclass(frozen=True)
class Row:
    """`wire` and `socket`: routers between the client's device and the node's, and the socket.

    `wire` is None where the SYN does not pass the node's device, or passes it with another source than the socket sees.
    """

    id: str
    way: str
    pod: str
    wire: int | None
    socket: int
    client: str = "client"
    service: int = 0  # the node's port that the client goes to, else it goes to the pod
    loopback: bool = False
    early: bool = False
    sidecar: bool = False  # a listener at SIDECAR_PORT gets what was meant for WEB_PORT
    transparent: bool = False
    why: str = ""


ROWS = (
    Row("routed", "routed, no NAT", "web", 1, 2),
    Row("dnat", "DNAT (NodePort or load balancer, externalTrafficPolicy Local)", "web", 1, 2, service=SERVICE_PORT),
    Row(
        "dnat-masquerade",
        "DNAT and masquerade (externalTrafficPolicy Cluster)",
        "web",
        None,
        2,
        service=MASQUERADE_PORT,
        why="the node's device sees the client's address, the socket the node's",
    ),
    Row(
        "same-node",
        "pod to pod on one node",
        "web",
        None,
        1,
        client="neighbour",
        why="it does not pass the node's device",
    ),
    Row(
        "vxlan",
        "VXLAN overlay, from another node's pod",
        "web",
        1,
        2,
        client="remote",
        why="on the node's device with `--vxlan-port` only; TTL and signature are the inner packet's",
    ),
    Row(
        "redirect",
        "sidecar, REDIRECT to 15006",
        "redirect",
        1,
        2,
        sidecar=True,
        why="Envoy reports the port before REDIRECT; its socket, and the control groups' hook, have 15006",
    ),
    Row("tproxy", "sidecar, TPROXY", "tproxy", 1, 2, sidecar=True, transparent=True),
    Row(
        "redirect-peer",
        "`bpf_redirect_peer` (Cilium's host routing)",
        "direct",
        1,
        1,
        why="no router of the node is passed, so `--node-hops 0` is right for the control groups",
    ),
    Row("syn-cookies", "SYN cookies", "cookies", 1, 2),
    Row("earlier-listener", "listener older than the agent", "neighbour", 1, 2, early=True),
    Row(
        "loopback",
        "loopback inside a pod",
        "web",
        None,
        0,
        client="web",
        loopback=True,
        why="it does not pass any device that belongs to the node",
    ),
)
CLIENTS_OF_ROWS = sorted({row.client for row in ROWS})


def destination(world, row, family):
    """What the client connects to."""
    if row.loopback:
        return ("127.0.0.1" if family == IPV4 else "::1"), WEB_PORT
    if row.service:
        return world.of_node(family), row.service
    return world.of_pod(family, row.pod), WEB_PORT


def listening(world, row, family):
    if row.loopback:
        return destination(world, row, family)
    if row.transparent:
        return ("0.0.0.0" if family == IPV4 else "::"), SIDECAR_PORT
    return world.of_pod(family, row.pod), SIDECAR_PORT if row.sidecar else WEB_PORT


class Listeners:
    """Of all rows, each pod's socket once; open(early=True) comes before the agent."""

    def __init__(self, world):
        self.world, self.numbers = world, {}

    def open(self, early=False):
        for row in ROWS:
            for family in FAMILIES:
                key = (row.pod, *listening(self.world, row, family))
                if row.early == early and key not in self.numbers:
                    self.numbers[key] = self.world.resident[row.pod].listen(*key[1:], transparent=row.transparent)
        return self

    def connect(self, row, family):
        """A connection by this row's way: what the client and the pod know about it."""
        pod = self.world.resident[row.pod]
        client = self.world.resident[row.client].connect(*destination(self.world, row, family))
        accepted = pod.accept(self.numbers[row.pod, *listening(self.world, row, family)])
        return client, accepted

    def close(self):
        """And all connections."""
        for resident in self.world.resident.values():
            resident.close_all()
        self.numbers = {}
