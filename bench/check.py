# SPDX-License-Identifier: Apache-2.0
"""CPU microseconds per Check: `synauthz serve` as the product runs (attached, as nobody, a live record in its map),
against bench/floor_server.c, over unix sockets and TCP.  Each server has the first core, the load the last.

usage: check.py BUILD SCRATCH      in namespaces of its own, see bench.py
"""
import os
import sys

import check_request
import netlab
import rows
from check_load import BUILD, CPUS, ROUNDS, Load, Server, expect_allow, measure, readable_policy, run_load, write_request

CLIENT_PORT = 8080      # where the fingerprinted client connects
BUDGETS = {"unix": 1.6, "TCP": 1.0}     # times the floor

LOADS = (
    Load("1 connection x 1 stream", 4000, ["-c1", "-m1"]),
    Load("1 x 8", 12000, ["-c1", "-m8"]),
    Load("1 x 50", 30000, ["-c1", "-m50"]),
    Load("4 x 16", 30000, ["-c4", "-m16"]),
    # h2load's clock ticks every 10 ms: so each connection sends ten at once ...
    Load("2,000/s, 2 connections (by tens)", 1600, ["-c2", "-m16", "--rps=1000"]),
    # ... and here one, each at its own time.
    Load("2,000/s, 20 connections (one by one)", 1600, ["-c20", "-r2", "--rate-period=1ms", "-m16", "--rps=100"]),
)


def start_product(lab):
    binary, policy = os.path.join(BUILD, "synauthz"), readable_policy()
    product = Server("synauthz", 18081, lambda unix, tcp: [binary, "serve", "--policy", policy, "--listen", f"{unix},mode=0666", "--listen", tcp,
                                                           "--attach", netlab.DEVICE, "--port", str(CLIENT_PORT)])
    held = lab.connect(CLIENT_PORT)     # after the programs are attached, and open until the end
    return product, held, write_request(held[0].getsockname(), held[0].getpeername())


def main():
    lab = netlab.NetLab()
    product, held, request_size = start_product(lab)
    floor = Server("floor_server", 18082, lambda unix, tcp: [os.path.join(BUILD, "bench/floor_server"), unix, tcp])
    servers = (product, floor)
    sizes = (expect_allow(product, True), expect_allow(floor, False))
    print(f"bench: requests of {request_size} bytes with {len(check_request.HEADERS)} headers, replies of {sizes[0] - 5} bytes (floor {sizes[1] - 5}), "
          f"up to {ROUNDS} rounds, server on CPU {CPUS[0]}, load on CPU {CPUS[-1]}", file=sys.stderr)
    memory = [server.resident_mb() for server in servers]
    for transport, budget in BUDGETS.items():
        for load in LOADS:
            if load is LOADS[0]:
                for server, size in zip(servers, sizes):
                    run_load(server, transport, LOADS[2], size)      # warm up
            rows.row(f"Check, {transport}, {load.name}", measure(servers, transport, load, sizes), "us CPU", budget, scale=1e6)
    expect_allow(product, True)     # and the record was there all the time
    rows.emit("resident memory, idle", memory[0], "MB", floor=memory[1], ratio=memory[0] / memory[1], target="<= 16 MB", met=memory[0] <= 16)
    for end in held:
        end.close()


main()
