#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Random SYNs and random databases through the real p0f and through `synauthz fingerprint`: any difference is a bug.

usage: p0f_differential.py [SYNAUTHZ] [--count N] [--seed S]

Compared for each frame: reported or not, signature, label, kind, distance, params, MTU, link.  For each database: loaded, or
refused in which line.  Ends with `N passed, M failed`; the seed is printed first and repeats the run.
"""
import argparse
import os
import random
import sys

from _p0f import *
from _p0f_databases import random_database
from _synframes import random_frame

CHUNK = 400          # frames in one capture; well below what p0f remembers at a time
SHOWN_MAX = 20


class Tally:
    def __init__(self):
        self.passed = self.failed = 0

    def add(self, holds, text):
        self.passed += holds
        self.failed += not holds
        if not holds and self.failed <= SHOWN_MAX:
            print(f"FAILED  {text}", flush=True)


def addresses_of(number):
    return {f"10.{(number + 1) >> 16 & 255}.{(number + 1) >> 8 & 255}.{(number + 1) & 255}",
            str(ipaddress.ip_address(int(ipaddress.ip_address("2001:db8:1::")) + number + 1))}


def loadable_database(tally, synauthz, rng, signatures, folder):
    """A random database that p0f loads; on the way there the lines that it refuses are compared and taken out."""
    empty = write(folder, "empty.pcap", EMPTY_PCAP)
    lines = random_database(rng, signatures)
    while True:
        database = write(folder, "random.fp", "\n".join(lines).encode("latin-1"))
        printed, _ = run_p0f(database, empty, folder)
        status, _, messages = run_ours(synauthz, empty, "--database", database)
        theirs, ours = verdict_on_database(printed), our_verdict_on_database(status, messages)
        tally.add(theirs == ours, f"database: p0f {printed.strip().splitlines()[-3:] if theirs else 'loads it'}, "
                                  f"ours {messages.strip() or 'loads it'}: {lines[(theirs or ours or 1) - 1] if isinstance(ours, (int, type(None))) else ''!r}")
        if theirs is None:
            return database
        del lines[theirs - 1]


def compare_chunk(tally, synauthz, rng, first, count, database_of, folder):
    frames = [random_frame(rng, first + n) for n in range(count)]
    wire = write(folder, "wire.pcap", pcap([frame for frame, _ in frames]))
    plain = write(folder, "plain.pcap", pcap([frame for _, frame in frames]))
    database = database_of(wire)
    status, lines, messages = run_ours(synauthz, wire, "--database", database)
    if status != 0:
        tally.add(False, f"exit {status}: {messages}")
        return []
    _, entries = run_p0f(database, plain, folder)
    theirs, ours = answers_of_p0f(entries), our_answers(lines)
    for number in range(count):
        pair = [[answers.get(address) for address in addresses_of(first + number) if address in answers] for answers in (theirs, ours)]
        tally.add(pair[0] == pair[1], f"frame {frames[number][0][0].hex()}\n        p0f  {pair[0]}\n        ours {pair[1]}")
    return [answer["p0f"] for answer in theirs.values()]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    binary_argument(parser)
    parser.add_argument("--count", type=int, default=800, help="frames (default %(default)s)")
    parser.add_argument("--seed", type=int, default=None, help="default: another one each time")
    arguments = parser.parse_args()
    seed = random.SystemRandom().getrandbits(32) if arguments.seed is None else arguments.seed
    print(f"seed {seed}", flush=True)
    rng, tally, signatures = random.Random(seed), Tally(), []

    with scratch() as folder:
        for chunk, first in enumerate(range(0, arguments.count, CHUNK)):
            count = min(CHUNK, arguments.count - first)

            def database_of(wire):
                if chunk % 2 == 0:
                    return DEBIAN_DATABASE
                seen = [line["p0f"] for line in run_ours(arguments.synauthz, wire)[1]]
                return loadable_database(tally, arguments.synauthz, rng, seen, folder)
            compare_chunk(tally, arguments.synauthz, rng, first, count, database_of, folder)
    print(f"{tally.passed} passed, {tally.failed} failed")
    sys.exit(1 if tally.failed or not tally.passed else 0)


main()
