# SPDX-License-Identifier: Apache-2.0
"""Bytes of the maps by the kernel's account, and the time of a look-up, by bench/map_bench.c.

usage: maps.py BUILD SCRATCH
"""
import json
import os
import subprocess
import sys

import rows

BUILD, _ = sys.argv[1:]
ROUNDS = 11


def bytes_row(name, figure, floor, target):
    rows.emit(name, figure, "bytes", floor=floor, ratio=figure / floor, target=f"<= {target} x floor", met=figure <= target * floor)


def show_bytes(found):
    """Against what is in them: key and value."""
    for name, label in (("pending", "a SYN that waits (pending)"), ("live", "a connection (live)"), ("alias", "and one more behind NAT (alias)")):
        bytes_row(label, found[name], found[f"{name}_payload"], 1.5)
    payload = found["live_payload"] + found["alias_payload"] + 2 * found["pending_payload"]
    bytes_row("all maps of the default size, for each connection", found["all"] / found["max_live"], payload, 1.5)


def main():
    cpu = str(max(os.sched_getaffinity(0)))
    done = subprocess.run(["taskset", "-c", cpu, os.path.join(BUILD, "bench/map_bench"), str(ROUNDS)], text=True, stdout=subprocess.PIPE, timeout=200)
    if done.returncode != 0:
        sys.exit("bench: map_bench failed")
    found, *rounds = [json.loads(line) for line in done.stdout.splitlines()]
    show_bytes(found)
    for kind, label, target in (("hit", "hit", 3.0), ("miss", "miss, with its reason", 8.0)):
        for part in ("p50", "p99"):
            rows.row(f"look-up among 50,000, {label}, {part}", [(r[f"{kind}_{part}"], r[f"floor_{part}"]) for r in rounds], "ns", target)


main()
