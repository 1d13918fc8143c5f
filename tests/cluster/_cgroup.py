# SPDX-License-Identifier: Apache-2.0
"""Sub-trees of cgroup2 for tests: the one thing that stays in the kernel when the processes of a lab are gone.

Each run has one, whose name is in its environment, so that whoever started the run can remove it afterwards, whatever
ended the run.  It is held by a lock on its folder, which the kernel drops with the last process that has it open: who
gets the lock may remove the tree.  So sweep() takes away what is left of runs that nobody cleans up after.
"""

import contextlib
import fcntl
import os
import time

PREFIX = "synauthz-test-"
NAME = "SYNAUTHZ_TEST_CGROUP"  # in the environment


def mount_point():
    """Where cgroup2 is mounted, None if it is not."""
    with open("/proc/self/mountinfo") as mounts:
        for line in mounts:
            before, after = line.split(" - ")
            if after.split()[0] == "cgroup2":
                return before.split()[4]
    return None


def new_name():
    return f"{PREFIX}{os.urandom(4).hex()}"


def path_of(name):
    return os.path.join(mount_point(), name)


class Tree:
    """Held for as long as this process and its forks live."""

    def __init__(self):
        self.path = path_of(os.environ[NAME])
        while not self._hold():  # a sweep came between the steps
            time.sleep(0.01)

    def _hold(self):
        with contextlib.suppress(FileExistsError):
            os.mkdir(self.path)
        try:
            self._held = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            return False
        fcntl.flock(self._held, fcntl.LOCK_SH)
        if os.path.exists(self.path):
            return True
        os.close(self._held)
        return False

    def sub(self, *names):
        path = os.path.join(self.path, *names)
        os.makedirs(path, exist_ok=True)
        return path

    def remove(self, *names):
        """A sub-tree without processes."""
        _remove_folders(self.sub(*names))


def remove(name, seconds=5):
    """The tree of a run that has ended; its last processes may still be ending."""
    deadline = time.monotonic() + seconds
    while os.path.exists(path_of(name)) and time.monotonic() < deadline:
        with contextlib.suppress(OSError):  # held
            _remove(path_of(name))
            return
        time.sleep(0.02)


def sweep():
    """All that nobody holds."""
    for name in os.listdir(mount_point()) if mount_point() else ():
        if name.startswith(PREFIX):
            with contextlib.suppress(OSError):  # held, or somebody else has just removed it
                _remove(path_of(name))


def _remove(path):
    held = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _remove_folders(path)
    finally:
        os.close(held)


def _remove_folders(path):
    for folder, _folders, _files in os.walk(path, topdown=False):
        os.rmdir(folder)
