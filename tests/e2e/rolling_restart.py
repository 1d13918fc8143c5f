#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Servers that follow one another under load, with the Envoy configurations that we ship.

An agent captures; each connection must be `verified` in every answer, and `failure_mode_allow` is false.  So a request
that no server answered, and a fingerprint that got lost between two servers, are both a failed request.
"""

import threading

from _cases import *

HAND_OVERS = 20
POLICY = """\
version: 1
rules:
  - id: name
    then: continue
    request_headers: {{set: {{x-served-by: "{name}", x-tcp-p0f: "%{{p0f}}"}}}}
  - id: verified
    when: {{fingerprint.state: verified}}
    then: allow
default: deny
"""
ADMIN = "unix:/run/lab/admin"


def served_by(reply):
    """The server's name, or None for a request that failed."""
    names = reply.upstream("x-served-by")
    return names[0] if reply.status == 200 and names and reply.upstream("x-tcp-p0f") else None


class Load:
    """Clients that keep their connections and clients that make new ones, until stop()."""

    def __init__(self, lab, keeping=6, making=4, port=PORT):
        self.lab, self.port = lab, port
        self.answered, self.failed = {}, []
        self.lock, self.ended = threading.Lock(), threading.Event()
        targets = [self._keep] * keeping + [self._make] * making
        self.threads = [threading.Thread(target=target, daemon=True) for target in targets]
        for thread in self.threads:
            thread.start()

    def _ask(self, connection):
        try:
            reply = connection.get()
            name, seen = served_by(reply), (reply.status, reply.body[:100])
        except (OSError, LabError, http.client.HTTPException) as error:
            name, seen = None, repr(error)
        with self.lock:
            if name:
                self.answered[name] = self.answered.get(name, 0) + 1
            else:
                self.failed.append(seen)
        time.sleep(0.005)
        return name is not None

    def _keep(self):
        connection = Connection(self.lab, port=self.port)
        while not self.ended.is_set():
            if not self._ask(connection):
                connection = Connection(self.lab, port=self.port)

    def _make(self):
        while not self.ended.is_set():
            connection = Connection(self.lab, port=self.port)
            self._ask(connection)
            connection.close()

    def answers_of(self, name):
        with self.lock:
            return self.answered.get(name, 0)

    def stop(self):
        self.ended.set()
        for thread in self.threads:
            thread.join()


def policy_named(lab, name):
    return lab.write(f"{name}.yaml", POLICY.format(name=name))


def serve(lab, name, *options, listen=f"unix:{SOCKET}"):
    return lab.serve(policy_named(lab, name), *options, "--source", "pins", listen=listen)


def first_answers(lab, name):
    wait_until(lambda: served_by(Connection(lab).get()) == name, 20, f"Envoy to ask {name}")


def report(cases, what, load, names):
    load.stop()
    total = sum(load.answered.values())
    cases.check(f"{what}: no request fails", not load.failed, (len(load.failed), load.failed[:3]))
    cases.check(f"{what}: each server answered in its turn", set(names) <= set(load.answered), load.answered)
    cases.check(f"{what}: there was a load", total > 50 * len(names), total)
    print(f"        {total} requests, {len(names)} servers")


def hand_over(cases, lab):
    """Each server takes the unix socket from the one before, which then is told to end."""
    names = [f"heir-{n}" for n in range(HAND_OVERS + 1)]
    server = serve(lab, names[0], "--admin", ADMIN)
    envoy = lab.start_envoy()
    first_answers(lab, names[0])
    load = Load(lab)
    statuses = []
    for name in names[1:]:
        heir = serve(lab, name, "--admin", ADMIN)  # until it is ready
        statuses.append(server.stop())
        server = heir
        wait_until(lambda: load.answers_of(name) > 150, 60, f"answers of {name}")
    report(cases, f"{HAND_OVERS} hand-overs of the unix socket", load, names)
    cases.equal("each of them ended well", statuses, [0] * HAND_OVERS)
    cases.check("the admin pages are the last one's", "200 OK" in readyz(), readyz())
    server.stop()
    envoy.stop()


HEALTH_CHECKS = """\
      common_lb_config: {healthy_panic_threshold: {value: 0}} # no server that is not healthy is asked
      health_checks:
        - timeout: 1s
          interval: 0.1s
          no_traffic_interval: 0.1s
          unhealthy_threshold: 1
          healthy_threshold: 1
          reuse_connection: false
          grpc_health_check: {service_name: envoy.service.auth.v3.Authorization}
"""


def with_health_checks(lab):
    with open(os.path.join(HERE, "envoy.yaml")) as file:
        text = file.read()
    cluster = "    - name: synauthz\n      type: STATIC\n"
    if text.count(cluster) != 1:
        raise LabError("envoy.yaml has no cluster as it was")
    return lab.write("checked.yaml", text.replace(cluster, cluster + HEALTH_CHECKS))


def checked_hand_over(cases, lab):
    """The same where Envoy checks health, with a connection for each check, and servers take their time to end."""
    names = [f"checked-{n}" for n in range(5)]
    server = serve(lab, names[0], "--drain-delay", "1s")
    envoy = lab.start_envoy(config=with_health_checks(lab))
    first_answers(lab, names[0])
    load = Load(lab)
    for name in names[1:]:
        heir = serve(lab, name, "--drain-delay", "1s")
        server.stop()
        server = heir
        wait_until(lambda: load.answers_of(name) > 150, 60, f"answers of {name}")
    report(cases, "hand-overs of a unix socket whose health is checked", load, names)
    server.stop()
    envoy.stop()


def replicas(cases, lab):
    """Two servers on TCP ports, restarted one after the other: Envoy is told by health, and goes to the other."""
    addresses = ("127.0.0.1:9191", "127.0.0.1:9192")
    names = [f"replica-{n}" for n in range(6)]
    servers = [serve(lab, names[n], "--drain-delay", "4s", listen=addresses[n]) for n in (0, 1)]
    envoy = lab.start_envoy(config="replicas.yaml")
    first_answers(lab, names[0])
    first_answers(lab, names[1])
    load = Load(lab)
    for n, name in enumerate(names[2:]):
        servers[n % 2].stop()
        servers[n % 2] = serve(lab, name, "--drain-delay", "4s", listen=addresses[n % 2])
        wait_until(lambda: load.answers_of(name) > 150, 60, f"answers of {name}")
    report(cases, "two servers on TCP, restarted in turn", load, names)
    for server in servers:
        server.send(signal.SIGTERM)
    for server in servers:
        server.stop()
    envoy.stop()


def health(*options):
    done = subprocess.run([find_synauthz(), "healthcheck", f"unix:{SOCKET}", *options], stdout=subprocess.DEVNULL)
    return done.returncode


def readyz():
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(ADMIN.removeprefix("unix:"))
        connection.sendall(b"GET /readyz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        return b"".join(iter(lambda: connection.recv(4096), b"")).decode()


def drain(cases, lab):
    """What a server does between SIGTERM and its end."""
    envoy = lab.start_envoy()
    server = serve(lab, "patient", "--drain-delay", "1h", "--admin", ADMIN)
    first_answers(lab, "patient")
    cases.equal("before: health", health(), 0)
    cases.check("before: /readyz", "200 OK" in readyz(), readyz())
    server.send(signal.SIGTERM)
    wait_until(lambda: health() == 4, 20, "health to be NOT_SERVING")
    cases.check("told to end: health says NOT_SERVING", True)
    cases.check("told to end: /readyz says why", "503" in readyz() and "draining" in readyz(), readyz())
    replies = [served_by(Connection(lab).get()) for _ in range(20)]
    cases.equal("told to end: it answers on, new connections too", replies, ["patient"] * 20)
    server.send(signal.SIGHUP)
    server.send(signal.SIGTERM)
    cases.equal("told again: it ends at once", server.process.wait(10), -signal.SIGTERM)

    server = serve(lab, "short", "--drain-delay", "1s")
    first_answers(lab, "short")
    begun = time.monotonic()
    cases.equal("when the delay is over it ends well", server.stop(), 0)
    cases.check("and not before", time.monotonic() - begun >= 1, time.monotonic() - begun)
    envoy.stop()


def main(cases):
    lab = Lab()
    lab.start_upstream()
    lab.start(
        "agent", find_synauthz(), "agent", "--interface", SERVER_DEVICE, "--port", str(PORT), "--group", "nogroup"
    ).wait_for("ready")
    hand_over(cases, lab)
    checked_hand_over(cases, lab)
    replicas(cases, lab)
    drain(cases, lab)


run_cases(main)
