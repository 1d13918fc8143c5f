#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What belongs to a way and is no row of its own: dual-stack sockets, node hops, hostNetwork, an overlay that nobody
looks into, and one tuple in two pods."""

from _cluster import *


class Ways:
    def __init__(self, cases, world):
        self.cases, self.world = cases, world
        self.recording = Recording(world.space["client"], DEVICE).wait()
        self.claims = []  # (name, flow, what was seen, hops of the signature), judged when p0f has spoken
        self.server = None

    def run(self, mode, *tests, options=(), vxlan=True):
        agent = Agent(self.world, mode, *options, vxlan=vxlan)
        self.server = Server(self.world)
        for test in tests:
            for family in FAMILIES:
                test(f"{mode}, {family}", mode, family)
        for resident in self.world.resident.values():
            resident.close_all()
        self.server.stop()
        agent.clean_up()

    def connect(self, pod, address, port=WEB_PORT, client="client", listen=None, dual=False, source_port=0):
        """(flow as the client knows it, what the pod knows)"""
        listener = self.world.resident[pod].listen(*(listen or (address, port)), dual=dual)
        made = self.world.resident[client].connect(address, port, source_port)
        accepted = self.world.resident[pod].accept(listener)
        self.world.resident[pod].close(listener)
        return (*made["local"], address, port), accepted

    def claim(self, name, flow, seen, hops, distance):
        """It is verified, and p0f will say the same of what left the client."""
        self.cases.equal(f"{name}: verified", seen.state, "verified")
        self.cases.equal(f"{name}: distance", seen.distance, distance)
        self.claims.append((name, flow, seen, hops))

    def judge(self):
        truth = self.recording.syns()
        for name, flow, seen, hops in self.claims:
            syn = truth.get(flow)
            right = (syn.after(hops), syn.isn) if syn else None
            self.cases.equal(f"{name}: the client's SYN", (seen.signature, seen.isn), right)

    # ------------------------------------------------------------------------------------------------- the ways

    def dual_stack(self, name, mode, family):
        """A socket at :: takes both; what it says of an IPv4 client is the same client for us."""
        hops = 2 if mode == "cgroup" else 1
        flow, accepted = self.connect("web", self.world.of_pod(family, "web"), listen=("::", WEB_PORT), dual=True)
        asked = f"{name}: dual-stack socket, asked about {accepted['peer'][0][:7]}..."
        self.claim(asked, flow, self.server.ask(accepted), hops, 1)
        if family == IPV4:
            plain = {key: [without_mapping(accepted[key][0]), accepted[key][1]] for key in ("peer", "local")}
            self.cases.check(f"{name}: the socket says ::ffff:", plain["peer"] != accepted["peer"], accepted)
            seen = self.server.ask(accepted | plain)
            self.claim(f"{name}: dual-stack socket, asked as Envoy asks", flow, seen, hops, 1)

    def node_hops(self, name, mode, family):
        """The signature is p0f's, of the packet as it was seen; the distance is the one to the node."""
        flow, accepted = self.connect("web", self.world.of_pod(family, "web"))
        self.claim(f"{name}: node hops", flow, self.server.ask(accepted), 2 if mode == "cgroup" else 1, 1)

    def no_node_hops(self, name, _mode, family):
        """As for pods that get their packets by bpf_redirect_peer."""
        flow, accepted = self.connect("direct", self.world.of_pod(family, "direct"))
        self.claim(f"{name}: no node hops, past the routing", flow, self.server.ask(accepted), 1, 1)
        flow, accepted = self.connect("web", self.world.of_pod(family, "web"))
        self.claim(f"{name}: no node hops, routed", flow, self.server.ask(accepted), 2, 2)

    def young_pod(self, name, _mode, family):
        """A pod, and its control group, that are younger than the agent."""
        self.world.resident["young"] = self.world.new_pod("web", "pods", f"young-{family}")
        _flow, accepted = self.connect("young", self.world.of_pod(family, "web"), client="neighbour")
        seen = self.server.ask(accepted)
        self.cases.equal(f"{name}: in a pod younger than the agent", (seen.state, seen.hook), ("verified", "cgroup"))
        self.world.resident.pop("young").end()

    def host_network(self, name, _mode, family):
        """A listener of the node itself: its own routers are not in between, so nothing is taken off."""
        flow, accepted = self.connect("node", self.world.of_node(family))
        self.claim(f"{name}: hostNetwork", flow, self.server.ask(accepted), 1, 1)

    def through_another_node(self, name, mode, family):
        """The client goes to the service at the other node, which gives it its own address and sends it on through the
        overlay: two routers to there, the other node being one, and so the node's device sees what the socket sees."""
        listen = self.world.of_pod(family, "web"), WEB_PORT
        flow, accepted = self.connect("web", self.world.of_node(family, "node2"), MASQUERADE_PORT, listen=listen)
        self.cases.check(f"{name}: the source is the other node's", accepted["peer"][0] != flow[0], accepted)
        hops = 3 if mode == "cgroup" else 2
        self.claim(f"{name}: service at another node", flow, self.server.ask(accepted), hops, 2)

    def unseen_overlay(self, name, _mode, family):
        _flow, accepted = self.connect("web", self.world.of_pod(family, "web"), client="remote")
        seen = self.server.ask(accepted)
        self.cases.equal(f"{name}: VXLAN is not looked into", (seen.state, seen.reason), ("missing", "no_syn"))

    def one_tuple_in_two_pods(self, name, _mode, family):
        loopback = "127.0.0.1" if family == IPV4 else "::1"
        flow, first = self.connect("web", loopback, client="web")
        self.cases.equal(f"{name}: loopback of one pod", self.server.ask(first).state, "verified")
        again = {"client": "neighbour", "source_port": flow[1]}
        _flow, second = self.connect("neighbour", loopback, **again)
        tuples = [(one["peer"], one["local"]) for one in (first, second)]
        self.cases.equal(f"{name}: the same in two pods", tuples[0], tuples[1])
        seen = self.server.ask(first)
        self.cases.equal(f"{name}: whose is it?", (seen.state, seen.signature, seen.isn), ("ambiguous", None, None))
        self.world.resident["neighbour"].close_all()
        wait_until(lambda: self.server.ask(first).state != "ambiguous", 5, "the second pod's connection to be gone")
        self.cases.equal(f"{name}: when the second has gone", self.server.ask(first).state, "verified")


def without_mapping(address):
    return address.removeprefix("::ffff:")


def drive(cases):
    ways = Ways(cases, World())
    usual = ways.dual_stack, ways.node_hops, ways.host_network, ways.through_another_node
    ways.run("cgroup", *usual, ways.young_pod, ways.one_tuple_in_two_pods, options=("--node-hops", "1"))
    ways.run("cgroup", ways.no_node_hops, options=("--node-hops", "0"))
    ways.run("auto", *usual, ways.young_pod)
    ways.run("xdp", ways.dual_stack, ways.host_network, ways.unseen_overlay, vxlan=False)
    ways.judge()


run_cluster(drive)
