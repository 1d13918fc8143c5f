# SPDX-License-Identifier: Apache-2.0
"""What the end-to-end scripts share: the lab of envoy/lab.py, and cases that are counted."""

import os
import shutil
import sys
import traceback

sys.dont_write_bytecode = True
E2E = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(E2E, "../../envoy"))
from lab import *  # noqa: F403 - all of it is meant

# Beside envoy.yaml's listener: one without its early header mutation, and one with the network filter.
BARE_PORT, TCP_PORT = 8081, 8082


def more_listeners():
    with open(os.path.join(E2E, "listeners.yaml")) as file:
        return file.read()


class Cases:
    def __init__(self):
        self.passed = self.failed = 0

    def check(self, name, holds, seen=""):
        """One case; `seen` is what there was instead."""
        if holds:
            self.passed += 1
            print(f"ok      {name}", flush=True)
        else:
            self.failed += 1
            print(f"FAILED  {name}: {seen!r}", flush=True)
        return holds

    def equal(self, name, got, wanted):
        return self.check(name, got == wanted, f"got {got!r}, wanted {wanted!r}")


def run_cases(function, private=True):
    """Runs the script's cases in a lab of its own, prints the closing line and exits.  An exception is a failure."""
    if private:
        run_privately()
    cases = Cases()
    try:
        function(cases)
    except Exception:
        traceback.print_exc()
        cases.check("the script came to its end", False, "see above")
    print(f"{cases.passed} passed, {cases.failed} failed", flush=True)
    sys.exit(1 if cases.failed or not cases.passed else 0)


def readable_copy(path):
    """A program of the tree, which may lie where only root looks, for everybody."""
    copy = os.path.join(SCRATCH, os.path.basename(path))
    shutil.copyfile(path, copy)
    os.chmod(copy, 0o755)
    return copy
