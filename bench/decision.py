# SPDX-License-Identifier: Apache-2.0
"""What the decision log and the metrics cost a Check: CPU time of `synauthz serve` that logs every decision to a file and
is scraped once in each round, which takes less than a second, against the same program that does neither; both read an agent's maps.

Counters and latency are kept whether or not somebody asks for them: their time, measured alone (decision_bench), is taken
off the floor.  usage: decision.py BUILD SCRATCH      in namespaces of its own, see bench.py
"""
import os
import re
import subprocess
import time
import urllib.request

import netlab
import rows
from check_load import BUILD, SCRATCH, Load, Server, expect_allow, readable_policy, run_load, write_request

CLIENT_PORT, ADMIN_PORT = 8080, 18092
BUDGET = 1.10
SETTLE = 0.2    # seconds; the log's thread writes what has gathered every 50 ms
# The difference is small: many short rounds, so that the two of each have the machine in the same mood.
ROUNDS, ROUNDS_MIN, SECONDS_PER_LOAD = 25, 5, 25
LOG = os.path.join(SCRATCH, "log", "decisions.log")
LOADS = (
    Load("1 connection x 50 streams", 10000, ["-c1", "-m50"]),
    Load("4 x 16", 10000, ["-c4", "-m16"]),
    Load("2,000/s, 20 connections (one by one)", 1600, ["-c20", "-r2", "--rate-period=1ms", "-m16", "--rps=100"]),
)


def scrape():
    with urllib.request.urlopen(f"http://127.0.0.1:{ADMIN_PORT}/metrics", timeout=10) as page:
        return page.read().decode()


def lines(page, result):
    return int(re.search(rf'^synauthz_decision_log_lines_total{{result="{result}"}} (\d+)$', page, re.M).group(1))


def cost(server, transport, load, size, look=lambda: None):
    """CPU seconds for each request, with a look at its metrics, and what the log's thread does afterwards."""
    before = server.cpu_seconds()
    run_load(server, transport, load, size)
    look()
    time.sleep(SETTLE)
    return (server.cpu_seconds() - before) / load.requests


def logged_cost(server, transport, load, size):
    os.truncate(LOG, 0)
    before = lines(scrape(), "queued")
    spent = cost(server, transport, load, size, look=scrape)
    page = scrape()
    if lines(page, "queued") - before != load.requests or lines(page, "dropped_queue_full"):
        raise SystemExit(f"bench: not every Check of {load.name} has a line")     # it would cost less
    with open(LOG, "rb") as log:
        if log.read().count(b"\n") != load.requests:
            raise SystemExit(f"bench: {LOG} does not have a line for each Check of {load.name}")
    return spent


def measure(plain, logged, transport, load, size, counting):
    """(with, without) in CPU seconds for each round; who goes first alternates."""
    pairs, end = [], time.monotonic() + SECONDS_PER_LOAD
    for number in range(ROUNDS):
        if number >= ROUNDS_MIN and time.monotonic() > end:
            break
        if number % 2:
            without, with_log = cost(plain, transport, load, size), logged_cost(logged, transport, load, size)
        else:
            with_log, without = logged_cost(logged, transport, load, size), cost(plain, transport, load, size)
        pairs.append((with_log, without - counting))
    return pairs


def alone(what):
    """Nanoseconds of a thread that answers."""
    done = subprocess.run([os.path.join(BUILD, "bench/decision_bench"), what], check=True, stdout=subprocess.PIPE, text=True, timeout=60)
    return float(done.stdout)


def start_agent(pins):
    agent = subprocess.Popen([os.path.join(BUILD, "synauthz"), "agent", "--interface", netlab.DEVICE, "--port", str(CLIENT_PORT), "--pin-dir", pins],
                             stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    for line in agent.stderr:
        if "ready" in line:
            return agent
    raise SystemExit("bench: the agent does not get ready")


def main():
    lab, pins = netlab.NetLab(), os.path.join(SCRATCH, "pins")
    os.mkdir(os.path.dirname(LOG))
    os.chmod(os.path.dirname(LOG), 0o777)
    agent, policy = start_agent(pins), readable_policy()
    held = lab.connect(CLIENT_PORT)
    write_request(held[0].getsockname(), held[0].getpeername())

    def serve(name, port, *more):
        return Server(name, port, lambda unix, tcp: [os.path.join(BUILD, "synauthz"), "serve", "--policy", policy, "--pin-dir", pins,
                                                     "--listen", f"{unix},mode=0666", "--listen", tcp, *more])
    plain = serve("plain", 18090)
    logged = serve("logged", 18091, "--decision-log", LOG, "--admin", f"127.0.0.1:{ADMIN_PORT}")
    size = expect_allow(plain, True)
    expect_allow(logged, True)
    counting = alone("counts")
    for transport in ("unix", "TCP"):
        for load in LOADS:
            if load is LOADS[0]:
                run_load(plain, transport, load, size)      # warm up
                run_load(logged, transport, load, size)
                time.sleep(SETTLE)
            pairs = measure(plain, logged, transport, load, size, counting * 1e-9)
            rows.row(f"log and metrics, {transport}, {load.name}", pairs, "us CPU", BUDGET, scale=1e6)
    floor = sorted(pair[1] for pair in pairs)[len(pairs) // 2] * 1e9
    for what, name in (("counts", "of that: counters and latency, alone"), ("line", "of that: a line into its queue, alone")):
        nanoseconds = alone(what)
        rows.emit(name, nanoseconds, "ns", floor=floor, ratio=nanoseconds / floor, target="<= 0.10 x floor", met=nanoseconds <= 0.10 * floor)
    expect_allow(logged, True)      # and the record was there all the time
    agent.terminate()
    for end in held:
        end.close()


main()
