#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Builds synauthz and runs its tests: all of them, or the parts named.

usage: tests/run [PART...]

  style    rules about the sources, each header by itself, everything with clang without a warning
  unit     the unit tests and the seeds of the fuzz targets, with sanitizers (root: privileges are given up)
  bpf      the BPF programs in this machine's kernel, loaded and sealed: frames in, records out (root)
  capture  the same with real connections, floods and spoofed SYNs, in network namespaces (root)
  e2e      the released program behind a real Envoy, judged by the real p0f (root)
  conformance  Envoys of several versions through the scenarios of ext_authz, before synauthz; docs/conformance.md (root)
  cluster  agent and server on a node of a small cluster: NAT, overlay, sidecars, faults; docs/coverage.md (root)
  deploy   what is in deploy/: Kubernetes and Istio manifests, and the settings that they rely on (root)

Ends with one line, `N passed, M failed`; when parts were named, `, K skipped` counts the parts left out.  Exit status
1 if anything failed.  Every case counts, also one that crashed before it could say so.  Outputs are kept in build/tests.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.append(os.path.join(ROOT, "tests/cluster"))
import _cgroup

LOGS = os.path.join(ROOT, "build/tests")
TIME_LIMIT = 1200  # seconds for one program
PRIVATELY = "setpriv --pdeathsig KILL unshare --mount --pid --fork --kill-child --mount-proc".split()
PARTS = ("style", "unit", "bpf", "capture", "e2e", "conformance", "cluster", "deploy")


class Tally:
    def __init__(self):
        self.passed, self.failed = 0, []

    def add(self, name, passed, failed, output="", seconds=0.0):
        """Counts a program's cases; if one failed, prints what it said beside "ok"."""
        self.passed += passed
        self.failed += [name] * failed
        print(
            f"{'ok    ' if not failed else 'FAILED'} {name}: {passed} passed"
            f"{f', {failed} failed' if failed else ''} ({seconds:.1f} s)",
            flush=True,
        )
        if failed:
            lines = [line for line in output.splitlines() if not line.startswith("ok ")]
            print("\n".join(f"    | {line}" for line in lines[-200:]), flush=True)


class Program:
    """A program that runs, with its output in a file.

    Root runs it in process and mount namespaces of its own: whatever it started and made goes when it goes, also
    when it takes too long, crashes, or we are interrupted.
    """

    def __init__(self, name, *argv, limit=TIME_LIMIT):
        self.name, self.limit, self.started, self.status = name, limit, time.monotonic(), None
        self.cgroup = _cgroup.new_name()
        self.log = os.path.join(LOGS, re.sub(r"[^\w.-]+", "-", name) + ".log")
        privately = PRIVATELY if os.geteuid() == 0 else []
        with open(self.log, "wb") as out:
            self.process = subprocess.Popen(
                [*privately, *argv],
                cwd=ROOT,
                env={**os.environ, _cgroup.NAME: self.cgroup},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )

    def has_ended(self):
        """Also when its time is up."""
        if self.status is None:
            self.status = self.process.poll()
        if self.status is None and time.monotonic() > self.started + self.limit:
            self.status = 124
        return self.status is not None

    def result(self):
        """(exit status, output, seconds) once it has ended."""
        seconds = time.monotonic() - self.started
        self.end()
        with open(self.log, errors="replace") as text:
            output = text.read()
        if self.status == 124:
            output += f"\nended after {self.limit} s"
        return self.status, output, seconds

    def end(self):
        self.process.kill()
        self.process.wait()
        _cgroup.remove(self.cgroup)  # which is nobody's child
        _cgroup.sweep()


def run_all(waiting, at_once):
    """Runs programs, (name, *argv) each, some at once; yields their names and results as they end."""
    waiting, running = list(waiting), []
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                running.append(Program(*waiting.pop(0)))
            for program in [program for program in running if program.has_ended()]:
                running.remove(program)
                yield program.name, program.result()
            time.sleep(0.05)
    finally:
        for program in running:
            program.end()


def run(name, *argv):
    """(exit status, output, seconds) of a program."""
    return next(result for _, result in run_all([(name, *argv)], 1))


def step(tally, name, *argv):
    """A command that is one case: it succeeds or it fails."""
    status, output, seconds = run(name, *argv)
    tally.add(name, int(status == 0), int(status != 0), output, seconds)
    return status == 0


def build(tally, preset, *more, targets=()):
    """Configures and builds; a failure is counted, a success is none of the tests."""
    folder = os.path.join(ROOT, "build", preset if not more else "clang")
    for name, argv in (
        ("configure", ["cmake", "--preset", preset, "-B", folder, *more]),
        ("build", ["cmake", "--build", folder, *(["--target", *targets] if targets else []), "--", "-k", "0"]),
    ):
        status, output, seconds = run(f"{name} {os.path.basename(folder)}", *argv)
        if status != 0:
            complaints = re.sub(r"^\[\d+/\d+\] .*\n", "", output, flags=re.M)
            tally.add(f"{name} {os.path.basename(folder)}", 0, 1, complaints, seconds)
            return False
        print(f"       {name} {os.path.basename(folder)} ({seconds:.1f} s)", flush=True)
    return True


# ---------------------------------------------------------------------------------------------------- counting


def count_cases(output, succeeded):
    """(passed, failed) of one program's output, by cmocka's lines or by a script's closing line.

    >>> count_cases("[ RUN      ] a\\n[       OK ] a\\n[ RUN      ] b\\n[  FAILED  ] b\\n", False)
    (1, 1)
    >>> count_cases("[ RUN      ] a\\n[       OK ] a\\n[ RUN      ] b\\nSegmentation fault\\n", False)
    (1, 1)
    >>> count_cases("[ RUN      ] a\\n[       OK ] a\\n==1==ERROR: LeakSanitizer\\n", False)
    (1, 1)
    >>> count_cases("[ RUN      ] a\\n[  SKIPPED ] a\\n", True)
    (0, 1)
    >>> count_cases("ok one\\n7 passed, 2 failed\\n", False)
    (7, 2)
    >>> count_cases("7 passed, 0 failed\\nTraceback\\n", False)
    (7, 1)
    >>> count_cases("", True), count_cases("", False)
    ((1, 0), (0, 1))
    """
    begun = len(re.findall(r"^\[ RUN      \]", output, re.M))
    passed = len(re.findall(r"^\[       OK \]", output, re.M))
    closing = re.findall(r"^(\d+) passed, (\d+) failed", output, re.M)
    if begun or passed:
        failed = max(begun - passed, 0)  # failed, skipped, or cut off by a crash
    elif closing:
        passed, failed = map(int, closing[-1])
    else:
        passed, failed = int(succeeded), 0
    if not succeeded and failed == 0:
        failed = 1  # for instance a leak, found after the last case
    return passed, failed


def ctest(tally, part, *selection):
    """Runs the tests of build/dev that are selected and counts the cases of each."""
    status, output, _ = run(
        f"ctest {part}",
        "ctest",
        "--test-dir",
        "build/dev",
        "--verbose",
        "-j",
        str(os.cpu_count()),
        "--timeout",
        "300",
        "--no-tests=error",
        *selection,
    )
    results = re.findall(r"^ *\d+/\d+ Test +#(\d+): (\S+) \.*(.*?) +([\d.]+) sec", output, re.M)
    for number, name, result, seconds in results:
        lines = "\n".join(re.findall(rf"^{number}: ?(.*)$", output, re.M))
        tally.add(name, *count_cases(lines, "Passed" in result), lines + "\n" + result.strip(" *"), float(seconds))
    if not results or (status != 0 and all("Passed" in result for _, _, result, _ in results)):
        tally.add(f"ctest {part}", 0, 1, output)


# ---------------------------------------------------------------------------------------------------- the parts


def count_scripts(tally, *programs, at_once=1):
    for name, (status, output, seconds) in run_all(programs, at_once):
        tally.add(name, *count_cases(output, status == 0), output, seconds)


def script(tally, *program):
    count_scripts(tally, program)


def scripts(tally, folder, at_once=1, again=()):
    """Each program of tests/FOLDER, and those named in `again` a second time, with the synauthz of build/dev and its
    sanitizers; names with an underscore in front are what they share."""
    found = os.listdir(os.path.join(ROOT, "tests", folder))
    names = sorted(name[:-3] for name in found if re.fullmatch(r"[^_].*\.py", name))
    if not names:
        tally.add(folder, 0, 1, f"tests/{folder} has no programs")
    path = f"tests/{folder}/%s.py"
    sanitizers = ("env", f"SYNAUTHZ={ROOT}/build/dev/synauthz")
    count_scripts(
        tally,
        *((f"{folder}/{name}", sys.executable, path % name) for name in names),
        *((f"{folder}/{name}, sanitizers", *sanitizers, sys.executable, path % name) for name in again),
        at_once=at_once,
    )


def part_style(tally):
    script(tally, "style", sys.executable, "tests/style.py")
    step(tally, "this runner counts right", sys.executable, "-B", "-m", "doctest", "tests/suite.py")
    step(tally, "dependencies: nothing is missing", "deploy/install-deps", "test")
    clang = ["-DCMAKE_C_COMPILER=clang-14", "-DCMAKE_BUILD_TYPE=", "-DSYNAUTHZ_SANITIZE="]  # only to see what it says
    if build(tally, "dev", *clang):
        tally.add("everything builds with clang without a warning", 1, 0)
    script(tally, "the BPF programs observe only", sys.executable, "tests/observe_only.py", "build")
    if build(tally, "dev", targets=["all_verify_interface_header_sets"]):
        tally.add("each header compiles by itself", 1, 0)


def part_unit(tally):
    if build(tally, "dev"):
        ctest(tally, "unit", "-L", "unit")


# Of the tests in tests/kernel those that make no connection; the others are the part `capture`.
WITHOUT_CONNECTIONS = "^kernel/(captured|frames|limiter|seal|tunnels)_test$"


def part_bpf(tally):
    if build(tally, "dev"):
        ctest(tally, "bpf", "-R", WITHOUT_CONNECTIONS)


def part_capture(tally):
    if build(tally, "dev"):
        ctest(tally, "capture", "-L", "bpf", "-E", WITHOUT_CONNECTIONS)


def part_e2e(tally):
    if not build(tally, "release") or not build(tally, "dev"):
        return
    serving = ("admin", "admin_capture", "hostile_client", "serve_config", "tls")
    again = ("fingerprint", "lifecycle", "rolling_restart", "sources", "agent_config", *serving)
    scripts(tally, "e2e", at_once=os.cpu_count(), again=again)  # they mostly wait


def part_conformance(tally):
    """With sanitizers, but for what is about load: the servers must end without a leak."""
    if build(tally, "release") and build(tally, "dev", targets=["synauthz"]):
        step(tally, "the suite reads messages right", sys.executable, "-B", "-m", "doctest", "tests/conformance/_wire.py")
        programs = [f"SYNAUTHZ={ROOT}/build/dev/synauthz", f"SYNAUTHZ_FAST={ROOT}/build/release/synauthz"]
        script(tally, "conformance", "env", *programs, sys.executable, "tests/conformance/run.py")


def part_cluster(tally):
    if build(tally, "release") and build(tally, "dev", targets=["synauthz"]):
        scripts(tally, "cluster", again=["ways"])


def part_deploy(tally):
    if build(tally, "release"):
        scripts(tally, "deploy")


def main():
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(__doc__.strip())
        return 0
    unknown = [part for part in sys.argv[1:] if part not in PARTS]
    if unknown:
        print(f"tests/run: no such part: {' '.join(unknown)}\n\n{__doc__.strip()}", file=sys.stderr)
        return 2
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    shutil.rmtree(LOGS, ignore_errors=True)
    os.makedirs(LOGS)

    tally = Tally()
    chosen = [part for part in PARTS if part in sys.argv[1:]] or list(PARTS)
    for part in chosen:
        print(f"\n== {part}", flush=True)
        globals()[f"part_{part}"](tally)

    if tally.failed:
        print("\nfailed:")
        for name in dict.fromkeys(tally.failed):
            print(f"  {name}")
    skipped = f", {len(PARTS) - len(chosen)} skipped" if len(sys.argv) > 1 else ""
    print(f"\n{tally.passed} passed, {len(tally.failed)} failed{skipped}")
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
