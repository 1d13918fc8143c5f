# SPDX-License-Identifier: Apache-2.0
"""The product on the cluster's node: the agent, a server that is nobody, and what they say about a connection."""

import json
import os
import subprocess

import _check
from _cases import SCRATCH, SOCKET, LabError, Program, find_synauthz
from _world import DEVICE, MASQUERADE_PORT, SERVICE_PORT, SIDECAR_PORT, VXLAN_PORT, WEB_PORT

# What capture has to be told: the port on the wire and, for the hook behind NAT, the one that it was turned into.
PORTS = (WEB_PORT, SIDECAR_PORT, SERVICE_PORT, MASQUERADE_PORT)
POLICY = """\
version: 1
rules:
  - id: seen
    when: {fingerprint.state: [verified, captured]}
    then: continue
    request_headers: {set: {x-tcp-p0f: "%{p0f}", x-tcp-distance: "%{tcp.distance}"}}
  - id: let-in
    then: allow
    request_headers:
      set: {x-tcp-state: "%{fingerprint.state}", x-tcp-reason: "%{fingerprint.reason|-}", x-tcp-rule: "%{rule}"}
default: deny
on_unknown: skip
"""


class Seen:
    """What the upstream would be told about a connection, and what `lookup` says about the same tuple."""

    def __init__(self, headers, found):
        self.state, self.reason = headers.get("x-tcp-state"), headers.get("x-tcp-reason")
        self.signature, self.rule = headers.get("x-tcp-p0f"), headers.get("x-tcp-rule")
        self.distance = int(headers["x-tcp-distance"]) if "x-tcp-distance" in headers else None
        self.found, self.hook, self.isn = found, found["hook"], found["isn"]

    def __repr__(self):
        return f"<{self.state}, {self.reason}, {self.signature}, distance {self.distance}, lookup: {self.found}>"


class Agent:
    def __init__(self, world, mode, *options, vxlan=True, wait=True, pods="pods"):
        self.world = world
        argv = [find_synauthz(), "agent", "--capture", mode, "--port", ",".join(map(str, PORTS)), *options]
        if mode != "cgroup":
            argv += ["--interface", DEVICE, *(("--vxlan-port", str(VXLAN_PORT)) if vxlan else ())]
        if mode in ("auto", "cgroup"):
            argv += ["--cgroup", os.path.join(world.cgroup.path, pods)]
        self.program = Program("agent", world.space["node"].inside(*argv))
        if wait:
            self.program.wait_for("ready")

    def clean_up(self):
        """Ends it and takes away what it has left on purpose."""
        end(self.program)
        self.world.space["node"].sh(find_synauthz(), "cleanup")


class Server:
    """Started as root, it becomes nobody; its source is the pins, where the agent puts them by itself."""

    def __init__(self, world):
        self.world = world
        policy = f"{SCRATCH}/policy.yaml"
        with open(policy, "w") as file:
            file.write(POLICY)
        argv = (find_synauthz(), "serve", "--policy", policy, "--listen", f"unix:{SOCKET}", "--source", "pins")
        self.program = Program("serve", world.space["node"].inside(*argv)).wait_for("ready")

    def stop(self):
        end(self.program)

    def headers(self, accepted):
        """What is said of a connection as Resident.accept() describes it, by the addresses that Envoy would report."""
        verdict = _check.check(SOCKET, accepted["peer"], destination_of(accepted))
        if not verdict.allowed:
            raise _check.CheckError(f"denied: {verdict.headers}")
        return verdict.headers

    def ask(self, accepted):
        return Seen(self.headers(accepted), self.look_up(accepted["peer"], destination_of(accepted)))

    def look_up(self, source, destination):
        argv = (find_synauthz(), "lookup", written(source), written(destination), "-o", "json")
        done = subprocess.run(
            self.world.space["node"].inside(*argv), text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        if done.returncode not in (0, 4):
            raise _check.CheckError(f"lookup ended with {done.returncode}: {done.stderr}")
        return json.loads(done.stdout)


def end(program):
    """It must end as it should: a sanitizer that has found something ends it with another status."""
    status = program.stop()
    if status != 0:
        raise LabError(f"{program.name} ended with {status}:\n{program.output()[-3000:]}")


def destination_of(accepted):
    return accepted["original"] or accepted["local"]


def written(address):
    return f"[{address[0]}]:{address[1]}" if ":" in address[0] else f"{address[0]}:{address[1]}"
