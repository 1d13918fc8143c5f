# SPDX-License-Identifier: Apache-2.0
"""A control group of a test's own, away again when the test is through with it."""

import contextlib
import fcntl
import os
import sys

from _cases import E2E

sys.path.append(os.path.join(E2E, "../cluster"))
import _cgroup


@contextlib.contextmanager
def control_group():
    """Its path.  The lock keeps it from being swept away as a dead test's."""
    path = _cgroup.path_of(_cgroup.new_name())
    os.mkdir(path)
    held = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(held, fcntl.LOCK_SH)
        yield path
    finally:
        os.close(held)
        os.rmdir(path)
