# SPDX-License-Identifier: Apache-2.0
"""Sub-trees of cgroup2 for tests: the one thing that stays in the kernel when the processes of a lab are gone.

A tree is held by a lock on its folder, which the kernel drops with the last process that has it open.  So whoever gets
the lock may remove the tree, and nobody has to be told: sweep() removes what is left of runs that have ended, whatever
ended them.
"""

import contextlib
import fcntl
import os

NAME = "synauthz-test-"


def mount_point():
    """Where cgroup2 is mounted, None if it is not."""
    with open("/proc/self/mountinfo") as mounts:
        for line in mounts:
            before, after = line.split(" - ")
            if after.split()[0] == "cgroup2":
                return before.split()[4]
    return None


class Tree:
    """Held for as long as this process and its forks live."""

    def __init__(self):
        self.path = os.path.join(mount_point(), f"{NAME}{os.urandom(4).hex()}")
        os.mkdir(self.path)
        self._held = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(self._held, fcntl.LOCK_SH)

    def sub(self, *names):
        path = os.path.join(self.path, *names)
        os.makedirs(path, exist_ok=True)
        return path


def sweep():
    mount = mount_point()
    for name in os.listdir(mount) if mount else ():
        if name.startswith(NAME):
            with contextlib.suppress(OSError):  # held, or somebody else has just removed it
                _remove(os.path.join(mount, name))


def _remove(path):
    held = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for folder, _folders, _files in os.walk(path, topdown=False):
            os.rmdir(folder)
    finally:
        os.close(held)
