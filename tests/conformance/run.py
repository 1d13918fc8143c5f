#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Drives real Envoys through the scenarios of ext_authz, with synauthz or any other server behind them.

usage: tests/conformance/run.py [--write] [--long] [--envoy VERSION]... [--only N[,N]...] [--target ADDR]

  --write          write docs/conformance.md; without it the page must be what was measured
  --long           the scenarios that wait, in full: an hour idle instead of a minute
  --envoy VERSION  on this Envoy only (deploy/install-deps installs those of envoy-versions)
  --only N,N       these scenarios only
  --target ADDR    another ext_authz server, at unix:PATH or HOST:PORT: says what it does in each scenario, which is
                   not judged

Each Envoy has a lab of its own (envoy/lab.py) with capture, synauthz, an upstream and clients; at most two at a time.
"""

import argparse
import concurrent.futures
import difflib
import json
import os
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "../../envoy"), os.path.join(HERE, "../e2e")]

from _relay import relay
from _scenario import SCENARIOS, load
from _world import World, chosen
from lab import ROOT, LabError, find_synauthz, run_privately

DOCUMENT = os.path.join(ROOT, "docs/conformance.md")
TEMPLATE = os.path.join(HERE, "conformance.md.in")
AT_A_TIME = 2
DIES_WITH_US = "setpriv --pdeathsig TERM".split()


def envoy_versions():
    with open(os.path.join(HERE, "envoy-versions")) as file:
        return file.read().split()


def arguments():
    parser = argparse.ArgumentParser(add_help=False)
    for flag in ("--write", "--long", "--help"):
        parser.add_argument(flag, action="store_true")
    parser.add_argument("-h", dest="help", action="store_true")
    parser.add_argument("--envoy", action="append", default=[])
    parser.add_argument("--only", type=lambda text: [int(number) for number in text.split(",")], default=[])
    parser.add_argument("--target")
    parser.add_argument("--inside")  # the run for one version, in its lab: where its results go
    return parser.parse_args()


# ------------------------------------------------------------------------------------------------------- one version


def run_inside(options):
    """All scenarios on one Envoy; the results go to a file."""
    run_privately()
    version = options.envoy[0]
    scenarios, left_out = chosen(version, options.only, options.target)
    results = {number: {"left_out": why} for number, why in left_out.items()}
    results.update(World(version, scenarios, options.target, options.long).run())
    with open(options.inside, "w") as file:
        json.dump(results, file)


def start_inside(version, options, scratch, target):
    """The results of one version's run, and all that it said."""
    path = os.path.join(scratch, f"{version}.json")
    argv = [*DIES_WITH_US, sys.executable, "-u", os.path.abspath(__file__), "--inside", path, "--envoy", version]
    argv += ["--only", ",".join(map(str, options.only))] if options.only else []
    argv += ["--long"] if options.long else []
    argv += ["--target", target] if target else []
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0 or not os.path.exists(path):
        return None, done.stdout
    with open(path) as file:
        return {int(number): result for number, result in json.load(file).items()}, done.stdout


# --------------------------------------------------------------------------------------------------------- reporting


class Report:
    def __init__(self):
        self.passed = self.failed = 0

    def case(self, name, failures, seconds=0.0):
        self.passed, self.failed = self.passed + (not failures), self.failed + bool(failures)
        print(f"{'FAILED ' if failures else 'ok     '} {name}" + (f" ({seconds} s)" if seconds else ""), flush=True)
        for failure in failures:
            print(f"          {failure}"[:4000], flush=True)

    def version(self, version, results, output):
        if results is None:
            self.case(f"Envoy {version}: the run came to its end", [output[-6000:]])
            return
        if any(result.get("failures") for result in results.values()):
            print(output, flush=True)
        titles = {scenario.number: scenario.title for scenario in SCENARIOS}
        titles[0] = "Every answer was valid, all ran to the end"
        for number, result in sorted(results.items()):
            name = f"{version}  {number or '':2} {titles[number]}"
            if "left_out" in result:
                print(f"        {name}: {result['left_out']}")
            else:
                self.case(f"{name}: {result['checks']} checks", result["failures"], result["seconds"])


def say(versions, all_results):
    """What another server did."""
    for version in versions:
        results, output = all_results[version]
        if results is None:
            sys.exit(f"Envoy {version}: {output[-6000:]}")
        print(f"\nEnvoy {version}")
        for scenario in sorted(SCENARIOS, key=lambda scenario: scenario.number):
            result = results.get(scenario.number)
            if not result:
                continue
            print(f"{scenario.number:3} {scenario.title}")
            lines = [result["left_out"]] if "left_out" in result else result["seen"] or ["no Check came to the server"]
            for line, times in counted(lines):
                print(f"      {line}" + (f"  ({times} times)" if times > 1 else ""))


def counted(lines):
    """Each line once, with the number of times that it stands there."""
    return [(line, lines.count(line)) for line in dict.fromkeys(lines)]


def cell(result):
    if "left_out" in result:
        return result["left_out"]
    return "; ".join([*(["FAILED"] if result["failures"] else ["passed"]), *result["notes"]])


def page(versions, all_results):
    lines = [f"| | scenario | passes when | {' | '.join(versions)} |", "|---" * (3 + len(versions)) + "|"]
    for scenario in sorted(SCENARIOS, key=lambda scenario: scenario.number):
        cells = [cell(all_results[version][0][scenario.number]) for version in versions]
        criterion = " ".join(scenario.run.__doc__.split())
        lines.append(f"| {scenario.number} | {scenario.title} | {criterion} | {' | '.join(cells)} |")
    with open(TEMPLATE) as template:
        return template.read().format(table="\n".join(lines))


def compare(report, text, write):
    if write and not report.failed:
        with open(DOCUMENT, "w") as file:
            file.write(text)
    old = ""
    if os.path.exists(DOCUMENT):
        with open(DOCUMENT) as file:
            old = file.read()
    lines = difflib.unified_diff(old.splitlines(), text.splitlines(), "written", "measured", n=0, lineterm="")
    difference = list(lines)
    report.case("docs/conformance.md is what was measured", difference and ["\n".join(difference)])


def main():
    options = arguments()
    if options.help:
        print(__doc__.strip())
        return 0
    load()
    if options.inside:
        run_inside(options)
        return 0
    if not options.target:
        try:
            find_synauthz()
        except LabError as error:
            sys.exit(str(error))
    versions = options.envoy or (envoy_versions()[:1] if options.target else envoy_versions())
    with tempfile.TemporaryDirectory() as scratch:
        target = None
        if options.target:
            target = os.path.join(scratch, "target.sock")
            relay(target, options.target)
        with concurrent.futures.ThreadPoolExecutor(AT_A_TIME) as pool:
            running = {v: pool.submit(start_inside, v, options, scratch, target) for v in versions}
            report, all_results = Report(), {}
            for version in versions:
                all_results[version] = running[version].result()
                if not target:
                    report.version(version, *all_results[version])
    if target:
        say(versions, all_results)
        return 0
    if versions == envoy_versions() and not options.only and all(results for results, _ in all_results.values()):
        compare(report, page(versions, all_results), options.write)
    print(f"{report.passed} passed, {report.failed} failed", flush=True)
    return 1 if report.failed or not report.passed else 0


if __name__ == "__main__":
    sys.exit(main())
