# SPDX-License-Identifier: Apache-2.0
"""Hit rate in a flood: of 400 handshakes that are under way, how many end with their own SYN known?  By
bench/flood_bench.c, for sizes of `pending`, rates of random-source SYNs, and delays of the third segment.

usage: flood.py BUILD SCRATCH      in namespaces of its own, see bench.py

A SYN waits in `pending` for as long as its handshake takes, and meanwhile rate x delay others come: so that many have to
fit.  The floor is the same without a flood.
"""
import json
import os
import socket
import subprocess
import sys

import netlab
import rows

BUILD, _ = sys.argv[1:]
SIZES = (16384, 131072)                 # of `pending`; the second is the default
RATES = (20_000, 100_000, 400_000)      # SYNs a second; what was reached is printed
DELAYS = (10, 100, 500)                 # ms
CLIENT = "10.203.9.77"                  # nobody's, so that no kernel answers for it
ETH_P_ALL, SOL_PACKET, PACKET_QDISC_BYPASS = 3, 263, 20


def raw_socket(lab):
    """On the client's end of the pair."""
    netlab.checked(netlab.libc.setns(lab.client, netlab.CLONE_NEWNET))
    try:
        raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        raw.bind((netlab.PEER, ETH_P_ALL))
    finally:
        netlab.checked(netlab.libc.setns(lab.server, netlab.CLONE_NEWNET))
    raw.setsockopt(SOL_PACKET, PACKET_QDISC_BYPASS, 1)
    netlab.ip("neigh", "replace", CLIENT, "lladdr", "02:00:00:00:00:00", "dev", netlab.DEVICE, "nud", "permanent")
    return raw


def measure(raw, size, rate, delay):
    argv = [os.path.join(BUILD, "bench/flood_bench"), str(raw.fileno()), netlab.DEVICE, str(size), str(rate), str(delay)]
    done = subprocess.run(argv, text=True, stdout=subprocess.PIPE, timeout=60, pass_fds=[raw.fileno()])
    if done.returncode != 0:
        sys.exit("bench: flood_bench failed")
    found = json.loads(done.stdout)
    if found["established"] < found["handshakes"] * 0.9:
        sys.exit(f"bench: only {found['established']} of {found['handshakes']} handshakes were completed")
    return 100 * found["verified"] / found["established"], found["flood"] / found["seconds"]


def main():
    raw = raw_socket(netlab.NetLab())
    for size in SIZES:
        for delay in DELAYS:
            floor, _ = measure(raw, size, 0, delay)
            for rate in RATES:
                figure, reached = measure(raw, size, rate, delay)
                waiting = reached * delay / 1000
                fits = waiting <= size / 2
                rows.emit(f"pending {size:,}, {reached / 1000:,.0f} k SYN/s, ACK after {delay} ms", figure, "% hits", floor=floor,
                          ratio=figure / floor, target=">= 99.9 %" if fits else f"none: {waiting:,.0f} wait", met=not fits or figure >= 99.9)


main()
