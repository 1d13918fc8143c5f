# SPDX-License-Identifier: Apache-2.0
"""Nanoseconds per packet in the XDP program, by bench/packet_bench.c.

usage: packet.py BUILD SCRATCH
"""
import json
import os
import subprocess
import sys

import rows

BUILD, _ = sys.argv[1:]
ROUNDS = 11


def main():
    here = os.path.join(BUILD, "bench")
    cpu = str(max(os.sched_getaffinity(0)))
    done = subprocess.run(["taskset", "-c", cpu, os.path.join(here, "packet_bench"), os.path.join(here, "packet.bpf.o"), str(ROUNDS)],
                          text=True, stdout=subprocess.PIPE, timeout=120)
    if done.returncode != 0:
        sys.exit("bench: packet_bench failed")
    rounds = [json.loads(line) for line in done.stdout.splitlines()]
    rows.row("packet that is no SYN, against a no-op", [(r["other"], r["no_op"]) for r in rounds], "ns", 2.0)
    rows.row("SYN stored, each a new one, against an update", [(r["syn"], r["update"]) for r in rounds], "ns", 1.3)


main()
