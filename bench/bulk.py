# SPDX-License-Identifier: Apache-2.0
"""Throughput of one TCP connection over a veth pair, with `synauthz agent` attached by each hook and with none.

usage: bulk.py BUILD SCRATCH      in namespaces of its own, see bench.py

Each round measures no hook and then each hook, in an order that turns.  On a veth, XDP in the driver takes packets one by
one that otherwise go as one: on a network card it does not.
"""
import contextlib
import os
import socket
import statistics
import subprocess
import sys
import time

import netlab
import rows

BUILD, SCRATCH = sys.argv[1:]
BINARY = os.path.join(BUILD, "synauthz")
PINS = os.path.join(SCRATCH, "bpf")
PORT, SECONDS, ROUNDS, CHUNK = 8080, 1.0, 5, 1 << 20
# The least that each hook may leave of the throughput without it.
HOOKS = {"xdp": 0.25, "xdp-generic": 0.7, "tcx": 0.93, "cgroup": 0.93}


def cgroup_root():
    with open("/proc/self/mountinfo", encoding="utf-8") as mounts:
        return next(line.split()[4] for line in mounts if " - cgroup2 " in line)


@contextlib.contextmanager
def control_group():
    """One for the receivers, so that its hook sees nobody else's packets."""
    path = os.path.join(cgroup_root(), f"synauthz-bench-{os.urandom(4).hex()}")
    os.mkdir(path)
    try:
        yield path
    finally:
        os.rmdir(path)


@contextlib.contextmanager
def hook(name, group):
    """The agent, ready, with this hook."""
    if name == "none":
        yield
        return
    argv = [BINARY, "agent", "--port", str(PORT), "--capture", name, "--pin-dir", PINS]
    argv += ["--cgroup", group] if name == "cgroup" else ["--interface", netlab.DEVICE]
    log = os.path.join(SCRATCH, "agent.log")
    with open(log, "wb") as out:
        agent = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    try:
        wait_ready(agent, log)
        yield
    finally:
        agent.terminate()
        agent.wait(20)
        subprocess.run([BINARY, "cleanup", "--pin-dir", PINS], check=True, stdout=subprocess.DEVNULL, timeout=20)


def wait_ready(agent, log):
    end = time.monotonic() + 30
    while True:
        with open(log, errors="replace") as said:
            text = said.read()
        if "ready" in text:
            return
        if agent.poll() is not None or time.monotonic() > end:
            sys.exit(f"bench: the agent does not get ready:\n{text}")
        time.sleep(0.05)


def receive(connection, group, out):
    """In a process of its own: bytes a second, from the first byte to the last."""
    with open(os.path.join(group, "cgroup.procs"), "w") as file:
        file.write(str(os.getpid()))
    buffer, total, begun = bytearray(CHUNK), connection.recv_into(bytearray(1)), time.monotonic()
    while size := connection.recv_into(buffer):
        total += size
    os.write(out, repr(total / (time.monotonic() - begun)).encode())


def throughput(lab, group):
    """Gbit/s.  The connection is made after the hook is attached, the accepting socket in the receivers' group."""
    read_end, write_end = os.pipe()
    client, server = lab.connect(PORT)
    child = os.fork()
    if child == 0:
        client.close()
        receive(server, group, write_end)
        os._exit(0)
    os.close(write_end)
    server.close()
    chunk, end = bytes(CHUNK), time.monotonic() + SECONDS
    while time.monotonic() < end:
        client.sendall(chunk)
    client.close()
    with os.fdopen(read_end) as answer:
        rate = float(answer.read())
    os.waitpid(child, 0)
    return rate * 8 / 1e9


def main():
    lab = netlab.NetLab()
    names = ["none", *HOOKS]
    found = {name: [] for name in names}
    with control_group() as group:
        for number in range(ROUNDS):
            turn = number % len(names)
            for name in names[turn:] + names[:turn]:
                with hook(name, group):
                    found[name].append(throughput(lab, group))
    for name, target in HOOKS.items():
        ratios = sorted(figure / floor for figure, floor in zip(found[name], found["none"]))
        ratio = statistics.median(ratios)
        rows.emit(f"bulk TCP over veth, {name}", statistics.median(found[name]), "Gbit/s", floor=statistics.median(found["none"]),
                  ratio=ratio, quartiles=statistics.quantiles(ratios, n=4)[::2], target=f">= {target} x floor", met=ratio >= target)


main()
