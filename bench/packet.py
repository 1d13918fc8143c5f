# SPDX-License-Identifier: Apache-2.0
"""Nanoseconds per packet in the program of each hook, by bench/packet_bench.c.

usage: packet.py BUILD SCRATCH
"""
import json
import os
import subprocess
import sys

import rows

BUILD, _ = sys.argv[1:]
ROUNDS = 11
HOOKS = ("xdp", "tcx", "cgroup")


def measure(hook):
    here = os.path.join(BUILD, "bench")
    cpu = str(max(os.sched_getaffinity(0)))
    argv = ["taskset", "-c", cpu, os.path.join(here, "packet_bench"), hook, os.path.join(here, f"packet_{hook}.bpf.o"), str(ROUNDS)]
    done = subprocess.run(argv, text=True, stdout=subprocess.PIPE, timeout=120)
    if done.returncode != 0:
        sys.exit("bench: packet_bench failed")
    return [json.loads(line) for line in done.stdout.splitlines()]


def main():
    for hook in HOOKS:
        rounds = measure(hook)
        rows.row(f"{hook}: packet that is no SYN, against a no-op", [(r["other"], r["no_op"]) for r in rounds], "ns", 2.0)
        if "syn" in rounds[0]:
            rows.row(f"{hook}: SYN stored, each a new one, against an update", [(r["syn"], r["update"]) for r in rounds], "ns", 1.3)


main()
