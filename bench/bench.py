#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures synauthz against floors of the same run.

usage: bench/run [PART...] [--json FILE]     (root; a whole run takes six to ten minutes)

  check      CPU time of a Check, against a C-core server that answers without looking
  decision   what the decision log and the metrics add to a Check, against the same server without
  packet     time of a packet in the program of each hook, against a no-op and against a plain map update
  maps       bytes of the maps for each connection, against what is in them; time of a look-up, against one bpf() call
  flood      hits among handshakes during a flood of SYNs, by size of the map, rate and delay, against no flood
  bulk       throughput of one TCP connection with each hook attached, against none
  signature  SYNs to signatures and labels on one core, against p0f

Each row: its figure, the floor measured beside it in the same rounds, their ratio, and the target.  A target that is
missed is said, and is no failure: the exit status is 0 when everything could be measured.
"""
import argparse
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile

BENCH = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(BENCH)
PARTS = ("check", "decision", "packet", "maps", "flood", "bulk", "signature")
TIME_LIMIT = 240    # seconds for one part
# Everything that a part starts, mounts or attaches lives in namespaces of its own and goes when it goes, also
# when we are killed.
CONTAINED = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]


def build(folder):
    """The release preset with the bench targets; silent unless it fails."""
    for argv in (["cmake", "--preset", "release", "-B", folder, "-DSYNAUTHZ_BENCH=ON"],
                 ["cmake", "--build", folder, "--target", "synauthz", "bench"]):
        done = subprocess.run(argv, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode != 0:
            sys.exit(f"{done.stdout}\nbench: {' '.join(argv)} failed")


def run_part(part, folder, scratch):
    """Yields the rows that a part prints, one JSON object a line, while it runs."""
    argv = ["timeout", "--signal=KILL", str(TIME_LIMIT), sys.executable, "-Bu", os.path.join(BENCH, f"{part}.py"), folder, scratch]
    process = subprocess.Popen(CONTAINED + argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        for line in process.stdout:
            yield {"part": part, **json.loads(line)}
        if process.wait() != 0:
            sys.exit(f"bench: part {part} could not be measured (status {process.returncode})")
    finally:
        process.kill()
        process.wait()


COLUMNS = "{:<50}{:>9}{:>9} {:<7}{:>7}  {:<11}  {:<20}{}"


def show(row):
    def figure(value):
        return f"{value:,.2f}" if value < 100 else f"{value:,.0f}"
    half = "{:.2f}-{:.2f}".format(*row["quartiles"]) if row["quartiles"] else ""
    print(COLUMNS.format(row["name"], figure(row["figure"]), figure(row["floor"]), row["unit"], figure(row["ratio"]), half, row["target"],
                         "met" if row["met"] else "MISSED"), flush=True)


def heading(part):
    print("\n" + COLUMNS.format(f"== {part}", "figure", "floor", "", "ratio", "middle half", "target", ""), flush=True)


def circumstances():
    commit = subprocess.run(["git", "-c", f"safe.directory={ROOT}", "-C", ROOT, "rev-parse", "--short=12", "HEAD"],
                            text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout.strip()
    return {"commit": commit or None, "kernel": platform.release(), "machine": platform.machine(),
            "cpus": len(os.sched_getaffinity(0)), "load": os.getloadavg()[0]}


def main():
    parser = argparse.ArgumentParser(prog="bench/run", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, usage=argparse.SUPPRESS)
    parser.add_argument("part", nargs="*", help=argparse.SUPPRESS)
    parser.add_argument("--json", metavar="FILE", help="write the rows there as well")
    parser.add_argument("--build-dir", metavar="DIR", default=os.path.join(ROOT, "build/release"), help="build there instead")
    options = parser.parse_args()
    unknown = [part for part in options.part if part not in PARTS]
    if unknown:
        parser.error(f"no such part: {' '.join(unknown)} (there are {' '.join(PARTS)})")
    if os.geteuid() != 0:
        sys.exit("bench: must be root, to load BPF programs and make network namespaces")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))

    folder = os.path.abspath(options.build_dir)
    build(folder)
    facts, rows = circumstances(), []
    print(f"commit {facts['commit']}, Linux {facts['kernel']}, {facts['cpus']} CPUs, load {facts['load']:.1f}\n"
          "Read the ratios.  The absolute figures are this machine's in this hour: shared cores change them twofold,\n"
          "and figure and floor alike, because their rounds take turns.")
    scratch = tempfile.mkdtemp(prefix="synauthz-bench-")
    try:
        os.chmod(scratch, 0o755)    # the server reads its policy as nobody
        for part in PARTS:
            if options.part and part not in options.part:
                continue
            heading(part)
            for row in run_part(part, folder, scratch):
                show(row)
                rows.append(row)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    missed = sum(row["met"] is False for row in rows)
    print(f"\n{len(rows)} rows, {missed} targets missed")
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({**facts, "rows": rows}, file, indent=1)
            file.write("\n")


main()
