# SPDX-License-Identifier: Apache-2.0
"""What the cluster's scripts share: the end-to-end tests' harness, the small cluster, and the product on its node."""

import atexit
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../e2e"))
import _cgroup
from _cases import *  # noqa: F403 - all of it is meant
from _product import *  # noqa: F403
from _rows import *  # noqa: F403
from _truth import *  # noqa: F403
from _world import *  # noqa: F403


def run_cluster(function):
    """run_cases(), and no control group stays, whatever ends it."""
    atexit.register(_cgroup.sweep)  # inside the lab it finds them held
    run_cases(function)
