#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Agents that are killed, restarted, upgraded, downgraded and resized under a stream of connections: through the real
Envoy and an unprivileged server, none of them is ever without its fingerprint."""

import threading

from _cases import *

PIN_DIR = "/run/synauthz/bpf"
POLICY = """\
version: 1
rules:
  - id: say
    then: continue
    request_headers: {set: {x-tcp-state: "%{fingerprint.state}", x-tcp-reason: "%{fingerprint.reason|}"}}
default: allow
on_unknown: skip
"""
STREAMS, HELD = 3, 12  # threads, and connections that each keeps open before it ends the oldest
NEXT = os.environ.get("SYNAUTHZ_NEXT", os.path.join(ROOT, "build/dev/synauthz_next"))


def start_agent(lab, *options, program=None):
    program = program or find_synauthz()
    return lab.start(
        "agent", program, "agent", "--interface", SERVER_DEVICE, "--capture", "xdp", "--port", str(PORT),
        "--pin-dir", PIN_DIR, "--group", "nogroup", *options,
    ).wait_for("ready")  # fmt: skip


class Stream:
    """Connections that come all the time; each asks when it is new and when it is old."""

    def __init__(self, lab):
        self.lab, self.seen, self.wrong = lab, 0, []
        self.ending, self.lock = threading.Event(), threading.Lock()
        self.lasting = [Connection(lab) for _ in range(8)]
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(STREAMS)]
        for thread in self.threads:
            thread.start()

    def look(self, connection, when):
        try:
            reply = connection.get()
            state = reply.upstream("x-tcp-state") or [f"status {reply.status}"]
            what = (*state, *reply.upstream("x-tcp-reason"))
        except (OSError, LabError, http.client.HTTPException) as error:
            what = (repr(error),)
        with self.lock:
            self.seen += 1
            if what[0] != "verified":
                self.wrong.append((when, *what))

    def run(self):
        held = []
        while not self.ending.is_set():
            try:
                connection = Connection(self.lab)
            except OSError as error:
                with self.lock:
                    self.wrong.append(("connecting", repr(error)))
                return
            self.look(connection, "new")
            held.append(connection)
            if len(held) > HELD:
                old = held.pop(0)
                self.look(old, "old")
                old.close(reset=True)
        for connection in held:
            connection.close(reset=True)

    def wait_for_more(self, count):
        end = self.seen + count
        wait_until(lambda: self.seen >= end or self.wrong, 30, f"{count} more answers")

    def end(self):
        self.ending.set()
        for thread in self.threads:
            thread.join()
        for connection in self.lasting:
            self.look(connection, "the first ones")
            connection.close(reset=True)
        return self


def sets():
    return sorted(name for name in os.listdir(PIN_DIR) if name.startswith("v"))


def under_a_stream(cases, lab, what, *changes):
    """Each change returns the agent that runs from then on."""
    stream = Stream(lab)
    for change in changes:
        stream.wait_for_more(100)
        change()
    stream.wait_for_more(300)
    stream.end()
    print(f"        {stream.seen} answers")
    cases.check(f"{what}: no connection is lost", stream.seen > 300 and not stream.wrong, stream.wrong[:5])


def killed_and_restarted(cases, lab, agent):
    agents = [agent]

    def kill():
        cases.equal("SIGKILL ends the agent", agents[-1].stop(signal.SIGKILL), -signal.SIGKILL)

    def restart():
        agents.append(start_agent(lab))

    def stop():
        cases.equal("SIGTERM ends the agent: exit status", agents[-1].stop(), 0)

    under_a_stream(cases, lab, "killed", kill)
    under_a_stream(cases, lab, "and started again", restart)
    under_a_stream(cases, lab, "stopped and started, twice", stop, restart, stop, restart)
    cases.equal("there is one set of maps", sets(), ["v2"])
    return agents[-1]


def upgraded(cases, lab, agent):
    agents = [agent]

    def upgrade():
        agents[-1].stop(signal.SIGKILL)
        agents.append(start_agent(lab, program=NEXT))

    def downgrade():
        agents[-1].stop()
        agents.append(start_agent(lab))

    under_a_stream(cases, lab, "upgraded to another layout", upgrade)
    cases.equal("its set has replaced the other", sets(), ["v1000"])
    under_a_stream(cases, lab, "downgraded", downgrade)
    cases.equal("and the other way round", sets(), ["v2"])
    return agents[-1]


def resized(cases, lab, agent):
    agents = [agent]

    def resize(*options):
        def change():
            agents[-1].stop()
            agents.append(start_agent(lab, *options))

        return change

    under_a_stream(cases, lab, "more pending SYNs", resize("--max-pending", "200000"))
    cases.equal("a new set", sets(), ["v2-1"])
    under_a_stream(cases, lab, "fewer live connections", resize("--max-pending", "200000", "--max-live", "5000"))
    cases.equal("another one", sets(), ["v2-2"])
    under_a_stream(cases, lab, "both as before", resize())
    cases.check("they were carried over", "live connections carried over" in agents[-1].output(), agents[-1].output())
    return agents[-1]


def main(cases):
    lab = Lab()
    agent = start_agent(lab)
    server = lab.serve(lab.write("policy.yaml", POLICY), "--source", "pins", "--pin-dir", PIN_DIR)
    lab.start_upstream()
    lab.start_envoy()
    connection = Connection(lab)
    wait_until(lambda: connection.get().upstream("x-tcp-state") == ["verified"], 15, "the server to read the pins")
    agent = killed_and_restarted(cases, lab, agent)
    agent = upgraded(cases, lab, agent)
    agent = resized(cases, lab, agent)
    cases.equal("the first connection of all", connection.get().upstream("x-tcp-state"), ["verified"])
    cases.equal("the server is still the first one", server.runs(), True)
    agent.stop()
    server.stop()
    lab.server.sh(find_synauthz(), "cleanup", "--pin-dir", PIN_DIR)
    cases.equal("cleanup: nothing is left", (lab.attached(), os.path.exists(PIN_DIR)), (False, False))


run_cases(main)
