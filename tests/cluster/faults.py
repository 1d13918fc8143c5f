#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What goes wrong on a node: connections older than the agent, agents that die, devices that come and go."""

import glob

from _cluster import *

PINS = "/run/synauthz/bpf"
STREAM = 60  # connections at least, after each thing that happens to an agent


def older_than_the_agent(cases, world):
    """They have no record and never get another's, not even when they share a source port with one that has."""
    web, other = world.resident["web"], world.resident["cookies"]
    agent = server = None
    for family in FAMILIES:
        where = world.of_pod(family, "web"), WEB_PORT
        listener = web.listen(*where)
        old = world.resident["client"].connect(*where)
        accepted = web.accept(listener)
        agent = agent or Agent(world, "auto")
        server = server or Server(world)
        is_missing(cases, f"{family}: older than the agent", server.ask(accepted))

        elsewhere = world.of_pod(family, "cookies"), WEB_PORT
        new_listener = other.listen(*elsewhere)
        world.resident["client"].connect(*elsewhere, source_port=old["local"][1])
        new = other.accept(new_listener)
        cases.equal(f"{family}: one source port", new["peer"], accepted["peer"])
        cases.equal(f"{family}: the new connection of its port", server.ask(new).state, "verified")
        is_missing(cases, f"{family}: the old one beside it", server.ask(accepted))

        world.resident["client"].close(old["socket"], reset=True)
        world.resident["client"].connect(*where, source_port=old["local"][1])
        again = web.accept(listener)
        cases.equal(f"{family}: its whole tuple, used again", server.ask(again).state, "verified")
        agent.clean_up()
        server.stop()
        agent = server = None
    close_all(world)


def is_missing(cases, name, seen):
    cases.equal(name, (seen.state, seen.reason, seen.signature), ("missing", "not_seen", None))


class Stream:
    """One connection after the other through REDIRECT, each asked about while it lives."""

    def __init__(self, world, server):
        self.world, self.server = world, server
        self.listeners = {family: listen_behind_redirect(world, family) for family in FAMILIES}
        self.kept = {family: one_connection(world, self.listeners[family], family) for family in FAMILIES}
        self.made, self.not_verified = 0, []

    def flow(self, until=lambda: True):
        """Some, and on until this is so."""
        least, deadline = self.made + STREAM, time.monotonic() + 20
        while self.made < least or not until():
            if time.monotonic() > deadline:
                raise LabError("waited 20 s beside a stream of connections")
            self._one(FAMILIES[self.made % 2])
            self.made += 1

    def _one(self, family):
        client, accepted = one_connection(self.world, self.listeners[family], family)
        state = self.server.headers(accepted)["x-tcp-state"]
        if state != "verified":
            self.not_verified.append((self.made, state))
        self.world.resident["client"].close(client["socket"])
        self.world.resident["redirect"].close(accepted["socket"])


def agents_come_and_go(cases, world):
    """Connections while the agent is killed, started, ended and started: every single one is verified."""
    agent, server = Agent(world, "auto"), Server(world)
    stream = Stream(world, server)
    for end in (lambda: agent.program.send(signal.SIGKILL), lambda: agent.program.send(signal.SIGTERM)):
        stream.flow()
        end()
        stream.flow(lambda: not agent.program.runs())
        agent = Agent(world, "auto", wait=False)
        stream.flow(lambda: "ready" in agent.program.output())
    stream.flow()
    print(f"        {stream.made} connections through an agent that was killed, started, ended and started")
    cases.equal("every connection beside agents that come and go is verified", stream.not_verified, [])
    for family, (_client, accepted) in stream.kept.items():
        cases.equal(f"{family}: a connection that was there all the time", server.ask(accepted).state, "verified")
    close_all(world)
    server.stop()
    agent.clean_up()


def listen_behind_redirect(world, family):
    return world.resident["redirect"].listen(world.of_pod(family, "redirect"), SIDECAR_PORT)


def one_connection(world, listener, family):
    client = world.resident["client"].connect(world.of_pod(family, "redirect"), WEB_PORT)
    return client, world.resident["redirect"].accept(listener)


def devices_come_and_go(cases, world):
    """The node's device is pulled out and another one of that name put in, while agent and server run."""
    listeners = {family: listen_behind_redirect(world, family) for family in FAMILIES}
    for mode in ("xdp", "auto"):
        agent, server = Agent(world, mode), Server(world)
        kept = {family: one_connection(world, listeners[family], family) for family in FAMILIES}
        cases.equal(f"{mode}: before", states(server, kept), ["verified"] * 2)
        world.unplug()
        agent.program.wait_for("eth0: the device has gone", 10)
        cases.equal(f"{mode}: without the device, connections that were there", states(server, kept), ["verified"] * 2)
        cases.equal(f"{mode}: agent and server run on", (agent.program.runs(), server.program.runs()), (True, True))
        world.plug_in()
        wait_until(lambda: agent.program.output().count("capturing on eth0 with xdp") == 2, 10, "the new device's hook")
        new = {family: one_connection(world, listeners[family], family) for family in FAMILIES}
        cases.equal(f"{mode}: new connections, by the new device", states(server, new), ["verified"] * 2)
        cases.equal(f"{mode}: by its hook", [server.ask(one[1]).hook for one in new.values()], ["xdp"] * 2)
        cases.equal(f"{mode}: the old ones still", states(server, kept), ["verified"] * 2)
        server.stop()
        agent.clean_up()
    close_all(world)


def control_groups_come_and_go(cases, world):
    """The pods' control group is younger than the agent, goes, and another one of that name comes."""
    agent, server = Agent(world, "cgroup", pods="late", wait=False), Server(world)
    agent.program.wait_for("there is no such control group")
    cases.check("without the control group the agent is not ready", "ready" not in agent.program.output())
    for family in FAMILIES:
        pod = world.new_pod("neighbour", "late", "pod")
        number = os.stat(world.cgroup.sub("late")).st_ino
        wait_until(lambda: glob.glob(f"{PINS}/v*/link_cgroup_{number}"), 10, "the hook of the control group")
        listener = pod.listen(world.of_pod(family, "neighbour"), WEB_PORT)
        world.resident["client"].connect(world.of_pod(family, "neighbour"), WEB_PORT)
        cases.equal(f"{family}: in a new control group", server.ask(pod.accept(listener)).state, "verified")
        pod.end()
        world.cgroup.remove("late")
    cases.check("agent and server run on", agent.program.runs() and server.program.runs())
    close_all(world)
    server.stop()
    agent.clean_up()


def states(server, connections):
    return [server.ask(accepted).state for _client, accepted in connections.values()]


def close_all(world):
    for resident in world.resident.values():
        resident.close_all()


def drive(cases):
    world = World()
    older_than_the_agent(cases, world)
    agents_come_and_go(cases, world)
    control_groups_come_and_go(cases, world)
    devices_come_and_go(cases, world)


run_cluster(drive)
