#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The sidecar rows with a real Envoy in the pod: the addresses are what it makes of REDIRECT and of TPROXY."""

import http.client

from _cluster import *

SIDECARS = ("redirect", "tproxy")
HOPS = {"xdp": 1, "cgroup": 2, "auto": 1}  # mode: routers in front of its hook


class Sidecars:
    """Envoy in each of the pods, in the pod's control group."""

    def __init__(self, world):
        with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "sidecar.yaml")) as file:
            text = file.read()
        self.envoys = {name: self._start(world, name, text) for name in SIDECARS}
        for name, envoy in self.envoys.items():
            wait_until(lambda: listens(world, name, envoy), 30, f"Envoy in the pod {name}")

    def _start(self, world, name, text):
        config = os.path.join(SCRATCH, f"{name}.yaml")
        with open(config, "w") as file:
            file.write(text.replace("transparent: false", f"transparent: {str(name == 'tproxy').lower()}"))
        options = "--concurrency 1 --disable-hot-restart --use-dynamic-base-id --log-level warning".split()
        return world.start_in_pod(name, find_envoy(), "--config-path", config, *options)


def listens(world, name, envoy):
    if not envoy.runs():
        raise LabError(f"Envoy ended:\n{envoy.output()[-3000:]}")
    return world.space[name].sh("ss", "-Hltn").count(f":{SIDECAR_PORT} ") == len(FAMILIES)


class Request:
    """A keep-alive connection from the client to a pod."""

    def __init__(self, world, name, family):
        self.destination = world.of_pod(family, name), WEB_PORT
        with world.space["client"].entered():
            connection = socket.create_connection(self.destination, 10)
        self.flow = (*connection.getsockname()[:2], *self.destination)
        self.http = http.client.HTTPConnection("cluster.test")
        self.http.sock = connection

    def get(self):
        self.http.request("GET", "/", headers={"x-tcp-p0f": "forged"})
        response = self.http.getresponse()
        response.read()
        return response

    def get_verified(self):
        """The same, but a server that has not followed the agent yet may have some tries."""
        wait_until(lambda: self.get().getheader("x-seen-state") == "verified", 5, f"the SYN of {self.flow}")
        return self.get()


def ask_all(world, mode):
    """(name of the case, hops, flow, what Envoy's answer says) for each connection."""
    agent = Agent(world, mode)
    for name in SIDECARS:
        for family in FAMILIES:
            request = Request(world, name, family)
            reply = request.get_verified()
            yield f"{mode}, {name}, {family}", HOPS[mode], request.flow, reply
            request.http.close()
    agent.clean_up()


def drive(cases):
    world = World()
    sidecars = Sidecars(world)
    server = Server(world)
    recording = Recording(world.space["client"], DEVICE).wait()
    replies = [reply for mode in HOPS for reply in ask_all(world, mode)]
    truth = recording.syns()
    for name, hops, flow, reply in replies:
        syn = truth.get(flow)
        cases.equal(f"{name}: p0f's signature", reply.getheader("x-seen-p0f"), syn and syn.after(hops))
        cases.equal(f"{name}: the distance to the node", reply.getheader("x-seen-distance"), "1")
        reported = reply.getheader("x-source"), reply.getheader("x-destination")
        cases.equal(f"{name}: Envoy's addresses are the client's", reported, (written(flow[:2]), written(flow[2:])))
    cases.check("Envoys and server are still there", all(p.runs() for p in (*sidecars.envoys.values(), server.program)))


run_cluster(drive)
