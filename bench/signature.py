# SPDX-License-Identifier: Apache-2.0
"""SYNs to signatures and labels, thousands a second on one core, against p0f over the same capture file.

usage: signature.py BUILD SCRATCH
"""
import glob
import json
import os
import resource
import statistics
import struct
import subprocess
import sys

import rows

BUILD, SCRATCH = sys.argv[1:]
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ORACLE = os.path.join(ROOT, "tests/data/p0f/*.jsonl")
DATABASE = "/etc/p0f/p0f.fp"
SYNS = 40000
ROUNDS = 5
TARGET = 3000   # thousands a second


def oracle_frames():
    """The frames that p0f reports as SYNs, Ethernet without tags."""
    for path in sorted(glob.glob(ORACLE)):
        with open(path, encoding="utf-8") as lines:
            for case in map(json.loads, lines):
                if case["reported"] and case["l3off"] == 14:
                    yield bytes.fromhex(case["frame"])


def as_client(frame, number):
    """The same SYN from another client: p0f takes a repeated one for a retransmission and says nothing."""
    frame = bytearray(frame)
    ip6 = frame[12:14] == b"\x86\xdd"
    tcp = 14 + (40 if ip6 else (frame[14] & 0x0F) * 4)
    address = 14 + (8 + 12 if ip6 else 12)
    frame[address:address + 4] = struct.pack(">I", 0x0A000001 + number)
    if any(frame[tcp + 4:tcp + 8]):     # an ISN of zero is a quirk
        frame[tcp + 4:tcp + 8] = struct.pack(">I", 0x10000000 + number * 4099 & 0xFFFFFFFF)
    return bytes(frame)


def write_capture(path):
    frames = list(oracle_frames())
    if not frames:
        sys.exit(f"bench: no frames in {ORACLE}")
    with open(path, "wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for number in range(SYNS):
            frame = as_client(frames[number % len(frames)], number)
            out.write(struct.pack("<IIII", 1795273200 + number // 1000, number % 1000 * 1000, len(frame), len(frame)) + frame)


def run_p0f(capture, cpu):
    """Thousands of SYNs a second of its CPU time, and how many it reported."""
    log = os.path.join(SCRATCH, "p0f.log")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(["taskset", "-c", cpu, "p0f", "-f", DATABASE, "-r", capture, "-o", log], check=True, stdout=subprocess.DEVNULL, timeout=60)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    with open(log, errors="replace") as lines:
        reported = sum("mod=syn|" in line for line in lines)
    os.unlink(log)
    return reported / (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / 1e3, reported


def main():
    capture, cpu = os.path.join(SCRATCH, "syns.pcap"), str(max(os.sched_getaffinity(0)))
    write_capture(capture)
    ours, floors = [], []
    for _ in range(ROUNDS):
        done = subprocess.run(["taskset", "-c", cpu, os.path.join(BUILD, "bench/signature_bench"), capture, DATABASE, "0.5"],
                              text=True, check=True, stdout=subprocess.PIPE, timeout=60)
        ours.append(json.loads(done.stdout))
        rate, reported = run_p0f(capture, cpu)
        if reported < SYNS * 0.95:
            sys.exit(f"bench: p0f reported only {reported} of {SYNS} SYNs")
        floors.append(rate)
    for name, key in (("SYN bytes to signature text", "text"), ("SYN bytes to signature and label", "label")):
        figure = statistics.median(one[key] for one in ours)
        rows.emit(f"{name}, against p0f", figure, "k/s", floor=statistics.median(floors),
                  ratio=statistics.median(one[key] / floor for one, floor in zip(ours, floors)), target=f">= {TARGET:,} k/s", met=figure >= TARGET)


main()
