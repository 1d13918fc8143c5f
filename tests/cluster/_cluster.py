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


def run_cluster(function, private=True):
    """run_cases(), and no control group stays behind."""
    name = os.environ.setdefault(_cgroup.NAME, _cgroup.new_name())
    if not NUMBER:  # outside the lab
        _cgroup.sweep()
        atexit.register(_cgroup.remove, name)
    run_cases(function, private)
