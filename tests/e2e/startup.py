#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The server while it starts: nothing that it is given to read can hold it up, and signals end it."""

import signal
import tempfile

from _cases import *

POLICY = "version: 1\nrules: []\ndefault: allow\n"


def endless_capture(path):
    """A capture file of empty packets that takes minutes to read, and no space."""
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        file.truncate(1 << 42)
    return path


def run(*arguments, before=()):
    return subprocess.Popen(
        [*before, find_synauthz(), *arguments],
        text=True,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def start(folder, policy, source, before=()):
    return run("serve", "--listen", f"unix:{folder}/s", "--policy", policy, "--source", source, before=before)


def child_of(pid):
    """The id of a process's only child, when it has one."""

    def children():
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            return file.read().split()

    wait_until(children, 10, "a child")
    return int(children()[0])


def state_of(pid):
    """"S" and the like; "" when there is no such process any more."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def gone(pid):
    try:
        wait_until(lambda: state_of(pid) in ("", "Z"), 5, "the child's end")
    except LabError:
        os.kill(pid, signal.SIGKILL)
        return False
    return True


def status_within(process, seconds):
    """The exit status; None when it takes too long, and the process is killed with its children."""
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return None


def fifos(cases, folder, policy):
    fifo = os.path.join(folder, "fifo")
    os.mkfifo(fifo, 0o666)
    for name, arguments in (("policy", (fifo, "none")), ("capture file", (policy, f"pcap:{fifo}"))):
        process = start(folder, *arguments)
        cases.equal(f"a FIFO as {name}: exit status", status_within(process, 10), 3)
        cases.equal(
            f"a FIFO as {name}: it is called one", process.stderr.read(), f"synauthz: {fifo}: is a FIFO, not a file\n"
        )
    for name, arguments in (("database", ("--database", fifo, os.devnull)), ("capture file", (fifo,))):
        process = run("fingerprint", *arguments)
        cases.equal(f"fingerprint, a FIFO as {name}: exit status", status_within(process, 10), 1)
        cases.check(f"fingerprint, a FIFO as {name}: it is called one", "is a FIFO" in process.stderr.read())


def reload_of_a_fifo(cases, folder):
    policy = os.path.join(folder, "changing.yaml")
    with open(policy, "w") as file:
        file.write(POLICY)
    process = start(folder, policy, "none")
    lines = iter(process.stderr.readline, "")
    next(line for line in lines if "ready" in line)
    os.unlink(policy)
    os.mkfifo(policy, 0o666)
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGTERM)
    cases.equal("a FIFO at a reload: SIGTERM still ends the program", status_within(process, 10), 0)
    cases.check("and the policy was not reloaded", "not reloaded" in process.stderr.read())


def signals(cases, folder, policy):
    source = "pcap:" + endless_capture(os.path.join(folder, "endless.pcap"))
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGKILL):
        process = start(folder, policy, source)
        child = child_of(process.pid)
        process.send_signal(number)
        cases.equal(f"{number.name} during the start: ends it", status_within(process, 5), -number)
        cases.check(f"{number.name} during the start: its child is gone too", gone(child))
    process = start(folder, policy, source)
    child_of(process.pid)
    process.send_signal(signal.SIGHUP)
    time.sleep(0.3)
    cases.equal("SIGHUP during the start: it goes on", process.poll(), None)
    process.kill()
    process.wait()


def first_process(cases, folder, policy):
    """Where the kernel spares it what has only the default action."""
    before = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
    unshare = start(folder, policy, f"pcap:{folder}/endless.pcap", before)
    server = child_of(unshare.pid)
    child_of(server)
    os.kill(server, signal.SIGTERM)
    cases.equal("SIGTERM to a container's first process: ends it", status_within(unshare, 5), 128 + signal.SIGTERM)


def main(cases):
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        policy = os.path.join(folder, "policy.yaml")
        with open(policy, "w") as file:
            file.write(POLICY)
        fifos(cases, folder, policy)
        reload_of_a_fifo(cases, folder)
        signals(cases, folder, policy)
        first_process(cases, folder, policy)


run_cases(main, private=False)
