#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Agents that are not alone: another agent, another XDP program, devices and pins that others take away."""

import json

from _admin import *

PIN_DIR, OTHER_PIN_DIR = "/run/synauthz/bpf", "/run/other/bpf"
ADMIN = "/run/agent-admin.sock"


def is_ready(lab):
    """What the agent at ADMIN says of itself; None: nobody answers."""
    try:
        return ask(lab, ADMIN, "/readyz").status == 200
    except OSError:
        return None


def agent_command(*options, pin_dir=PIN_DIR, device=SERVER_DEVICE):
    return (
        find_synauthz(), "agent", "--interface", device, "--port", str(PORT), "--pin-dir", pin_dir,
        "--group", "nogroup", *options,
    )  # fmt: skip


def start_agent(lab, *options, name="agent", until="ready", **more):
    return lab.start(name, *agent_command(*options, **more)).wait_for(until)


def refused(lab, *options, **more):
    """What an agent says that cannot start."""
    done = subprocess.run(
        lab.server.inside(*agent_command(*options, **more)),
        text=True,
        timeout=30,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    return done.returncode, done.stderr


def cleanup(lab, pin_dir=PIN_DIR):
    done = subprocess.run(
        lab.server.inside(find_synauthz(), "cleanup", "--pin-dir", pin_dir),
        text=True,
        timeout=30,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    return done.returncode, done.stdout + done.stderr


class Listener:
    def __init__(self, lab):
        self.lab, self.accepted = lab, []
        with lab.server.entered():
            self.socket = socket.create_server(("0.0.0.0", PORT))

    def state(self, connection, pin_dir=PIN_DIR):
        source, destination = connection.local, connection.socket.getpeername()[:2]
        done = subprocess.run(
            [find_synauthz(), "lookup", "{}:{}".format(*source), "{}:{}".format(*destination), "--pin-dir", pin_dir,
             "-o", "json"],
            text=True, timeout=20, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        if not done.stdout:
            return done.stderr, None
        answer = json.loads(done.stdout)
        return answer["state"], answer["hook"] or answer["reason"]

    def connect(self):
        connection = Connection(self.lab)
        self.accepted.append(self.socket.accept()[0])
        return connection


def two_agents(cases, lab, listener):
    first = start_agent(lab, "--capture", "xdp", "--admin", f"unix:{ADMIN}")
    status, said = refused(lab, "--capture", "xdp")
    cases.equal("a second agent for the pins: exit status", status, 1)
    cases.check(
        "it names the first one, in one line", f"process {first.pid}," in said and said.count("\n") == 1, said
    )
    status, said = refused(lab, "--capture", "xdp", "--admin", f"unix:{ADMIN}")
    cases.equal("one that names the first one's admin socket, too", status, 1)
    cases.equal("the first one still answers on it", is_ready(lab), True)
    status, said = cleanup(lab)
    cases.check("cleanup is refused as well", status == 1 and f"process {first.pid}," in said, said)

    status, said = refused(lab, "--capture", "xdp", pin_dir=OTHER_PIN_DIR)
    cases.check(
        "a second agent for the device, by XDP: refused, naming the device and what to do",
        status == 1 and f"{SERVER_DEVICE}: another XDP program" in said and "xdp off" in said,
        (status, said),
    )
    cases.equal("it has left nothing", cleanup(lab, OTHER_PIN_DIR)[0], 0)
    second = start_agent(lab, "--capture", "tcx", name="second", pin_dir=OTHER_PIN_DIR)
    connection = listener.connect()
    cases.equal("by tcx both capture: the first", listener.state(connection), ("verified", "xdp"))
    cases.equal("and the second", listener.state(connection, OTHER_PIN_DIR), ("verified", "tcx"))
    second.stop()
    cases.equal("cleanup of the second", cleanup(lab, OTHER_PIN_DIR)[0], 0)
    cases.equal("the first goes on", listener.state(listener.connect()), ("verified", "xdp"))
    first.stop()
    cases.equal("and after its end", listener.state(listener.connect()), ("verified", "xdp"))


def own_choice(cases, lab, listener):
    """The way of capture changes from agent to agent; auto says why it took what it took."""
    agent = start_agent(lab, "--capture", "tcx")
    cases.equal("another agent takes over by tcx", listener.state(listener.connect()), ("verified", "tcx"))
    cases.equal("XDP has gone", lab.attached(), False)
    agent.stop()
    cleanup(lab)
    foreign = start_agent(lab, "--capture", "xdp", name="foreign", pin_dir=OTHER_PIN_DIR)
    agent = start_agent(lab, "--capture", "auto")
    line = [line for line in agent.output().splitlines() if SERVER_DEVICE in line]
    cases.check(
        "auto beside somebody else's XDP program: tcx, and it says why",
        line and "with tcx" in line[0] and "XDP is taken by program" in line[0],
        agent.output(),
    )
    connection = listener.connect()
    cases.equal("the outermost hook keeps the SYN", listener.state(connection), ("verified", "tcx"))
    agent.stop()
    foreign.stop()
    cases.equal("cleanup", [cleanup(lab)[0], cleanup(lab, OTHER_PIN_DIR)[0]], [0, 0])


def devices(cases, lab):
    agent = start_agent(lab, "--capture", "xdp", "--interface", "extra*", until="extra*")
    cases.check("without a device that was asked for it is not ready", "ready:" not in agent.output(), agent.output())
    for number in range(2):
        lab.server.ip("link", "add", "extra0", "type", "veth", "peer", "name", "other0")
        wait_until(lambda: "xdp" in lab.server.ip("link", "show", "extra0"), 5, "the hook of a new device")
        cases.check(f"a device that comes gets its hook ({number})", True)
        lab.server.ip("link", "del", "extra0")
    pins = os.listdir(f"{PIN_DIR}/v2")
    wait_until(
        lambda: len([pin for pin in os.listdir(f"{PIN_DIR}/v2") if pin.startswith("link_xdp_")]) == 1,
        5,
        f"the pins of lost devices to go: {pins}",
    )
    cases.check("the pins of lost devices are collected", True)
    agent.stop()


def wiped(cases, lab, listener):
    agent = start_agent(lab, "--capture", "xdp")
    before = listener.connect()
    for name in os.listdir(f"{PIN_DIR}/v2"):
        os.unlink(f"{PIN_DIR}/v2/{name}")
    os.rmdir(f"{PIN_DIR}/v2")
    wait_until(lambda: os.path.exists(f"{PIN_DIR}/v2/live"), 5, "the pins to come again")
    cases.check("the agent pins again what was wiped, and says so", "had removed pins" in agent.output(), agent.output())
    cases.equal("what was known is known", listener.state(before), ("verified", "xdp"))
    agent.stop()
    cases.equal("and stays when it leaves", listener.state(listener.connect()), ("verified", "xdp"))


def unmounted(cases, lab, listener):
    """The file system of the pins goes, and the agent has given up what mounting takes."""
    agent = start_agent(lab, "--capture", "xdp", "--admin", f"unix:{ADMIN}")
    cases.equal("ready with its pins", is_ready(lab), True)
    subprocess.run(["umount", "--lazy", PIN_DIR], check=True)
    agent.wait_for("mount -t bpf -o mode=0750")
    wait_until(lambda: is_ready(lab) is False, 5, "/readyz to say so")
    time.sleep(3)
    lines = [line for line in agent.output().splitlines() if "mount -t bpf" in line]
    cases.equal("lost pins: one line, which says what to do", len(lines), 1)
    subprocess.run(["mount", "-t", "bpf", "-o", "mode=0750", "synauthz", PIN_DIR], check=True)
    wait_until(lambda: is_ready(lab), 5, "the agent to be ready again")
    connection = listener.connect()
    cases.equal("that done, all is pinned again", listener.state(connection), ("verified", "xdp"))
    subprocess.run(["umount", "--lazy", PIN_DIR], check=True)
    wait_until(lambda: is_ready(lab) is False, 5, "/readyz to say so")
    agent.stop()
    cases.check(
        "SIGTERM does not promise that capture goes on",
        "capture goes on" not in agent.output() and "capture ends" in agent.output(),
        agent.output(),
    )
    wait_until(lambda: not lab.attached(), 5, "the hook to go")
    cases.check("and it does not", True)


def main(cases):
    lab = Lab()
    listener = Listener(lab)
    older = listener.connect()
    two_agents(cases, lab, listener)
    cases.equal("a connection older than all agents", listener.state(older), ("missing", "not_seen"))
    own_choice(cases, lab, listener)
    devices(cases, lab)
    wiped(cases, lab, listener)
    status, said = cleanup(lab)
    cases.check("cleanup says what it did", status == 0 and "pins removed" in said, said)
    cases.equal("nothing is left", (lab.attached(), os.path.exists(PIN_DIR)), (False, False))
    cases.equal("nothing to clean up is a success", cleanup(lab)[0], 0)
    unmounted(cases, lab, listener)
    cases.equal("then, too", cleanup(lab)[0], 0)


run_cases(main)
