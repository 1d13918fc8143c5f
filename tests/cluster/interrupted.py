#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A run of the cluster that is interrupted, or killed, leaves nothing: no process, no control group, no BPF link."""

import json

from _cluster import *

import _cgroup

VICTIM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "ways.py")


class Run:
    """ways.py, stopped in the middle: the agent's hook is attached to the pods' control group."""

    def __init__(self):
        name = _cgroup.new_name()
        self.tree = _cgroup.path_of(name)
        self.process = subprocess.Popen(
            [sys.executable, VICTIM],
            env={**os.environ, _cgroup.NAME: name},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        pods = os.path.join(self.tree, "pods")
        wait_until(lambda: inode_of(pods) in attached_cgroups(), 30, "an agent's hook on the pods' control group")
        self.inode = inode_of(pods)

    def processes(self):
        return sum(len(lines_of(folder)) for folder, _folders, _files in os.walk(self.tree))

    def has_links(self):
        return self.inode in attached_cgroups()


def inode_of(path):
    try:
        return os.stat(path).st_ino
    except FileNotFoundError:
        return None


def lines_of(folder):
    with open(os.path.join(folder, "cgroup.procs")) as file:
        return file.readlines()


def all_links():
    """bpftool gives up at a link that goes away while it looks: EAGAIN, and then the next look is without it."""
    for _ in range(50):
        try:
            return json.loads(sh("bpftool", "--json", "link"))
        except LabError as error:
            if "Resource temporarily unavailable" not in str(error):
                raise
            time.sleep(0.1)
    raise LabError("there was a BPF link going away at each of 50 looks")


def attached_cgroups():
    """Inodes of the control groups that BPF links hang on."""
    return {link["cgroup_id"] for link in all_links() if "cgroup_id" in link}


def drive(cases):
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        run = Run()
        cases.check(f"{number.name}: there is something to leave", run.processes() > 5)
        run.process.send_signal(number)
        run.process.wait(20)
        if number == signal.SIGKILL:
            _cgroup.remove(os.path.basename(run.tree))  # what who started it does then, see tests/suite.py
        cases.check(f"{number.name}: its control groups are gone, so its processes are", not os.path.exists(run.tree))
        wait_until(lambda: not run.has_links(), 10, "its links to go")
        cases.check(f"{number.name}: its links are gone", not run.has_links())


run_cluster(drive, private=False)
