#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Readers without any privilege: they can look up everywhere, and change nothing; and a server follows its agent.

As uid 65534 with empty capability sets, on hosts whose own bpffs is closed (0700) and open to all (1777), through the
agent's own bpffs and through a bind mount of a pin folder.
"""

import json
import shutil

from _cases import *

PIN_DIR = "/run/synauthz/bpf"
HOST_BPFFS = "/sys/fs/bpf"
HOST_PINS = f"{HOST_BPFFS}/synauthz"
BOUND = "/run/reader/bpf"
GROUP = 4242
CAPTURE = ("--interface", SERVER_DEVICE, "--port", str(PORT), "--capture", "xdp")
REFUSALS = {"EPERM", "EACCES"}
UNREADABLE = {"pending", "crowd", "turnover", "last_isn", "limiter", "secret", "watch", "events"}
WRITES_PER_MAP = 8  # kinds of attempts, by one descriptor
UNAVAILABLE = 503  # what envoy.yaml answers when a Check fails
AS_NOBODY = (
    "setpriv --reuid 65534 --regid 65534 --groups {} --bounding-set -all --inh-caps -all --ambient-caps -all "
    "--no-new-privs"
)


def nobody(*argv, group=GROUP, namespace=None):
    """A finished process of somebody who has nothing but a group."""
    command = [*AS_NOBODY.format(group).split(), *argv]
    return subprocess.run(
        namespace.inside(*command) if namespace else command,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        timeout=60,
    )


def mount_host_bpffs(mode):
    """A bpffs of this script's own mount namespace, where a host has its."""
    sh("mount", "-t", "bpf", "-o", f"mode={mode}", "bpf", HOST_BPFFS)


def agent(lab, *options, pin_dir=PIN_DIR):
    return lab.start("agent", find_synauthz(), "agent", *CAPTURE, "--pin-dir", pin_dir, *options)


def cleanup(lab, pin_dir=PIN_DIR):
    return lab.server.sh(find_synauthz(), "cleanup", "--pin-dir", pin_dir)


def look_up(program, connection, pin_dir=PIN_DIR, group=GROUP):
    """(exit status, the object, messages)"""
    source, destination = connection.local, connection.socket.getpeername()[:2]
    done = nobody(
        program, "lookup", "{}:{}".format(*source), "{}:{}".format(*destination), "--pin-dir", pin_dir, "-o", "json",
        group=group,
    )  # fmt: skip
    return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr


class Listener:
    """Accepts connections on the captured port, and keeps them."""

    def __init__(self, lab):
        with lab.server.entered():
            self.socket = socket.create_server(("0.0.0.0", PORT))
        self.accepted = []

    def connect(self, lab):
        connection = Connection(lab)
        self.accepted.append(self.socket.accept()[0])
        return connection


# ------------------------------------------------------------------------------- reading, and what is refused


def is_refused(what, result):
    """Some maps no one can map into memory, whatever they may."""
    return result in REFUSALS or (what.startswith("map ") and result == "ENOTSUPP")


def intrusion(cases, where, intruder, pin_dir, elsewhere):
    done = nobody("/usr/bin/python3", intruder, pin_dir, "v2", elsewhere)
    if not cases.check(f"{where}: the intruder comes to its end", done.returncode == 0, done.stderr[-2000:]):
        return
    tried = json.loads(done.stdout)
    reads = {what.removeprefix("READ "): result for what, result in tried if what.startswith("READ ")}
    private = {what.removeprefix("PRIVATE ") for what, _ in tried if what.startswith("PRIVATE ")}
    writes = [(what, result) for what, result in tried if not what.split()[0].isupper()]
    cases.check(f"{where}: what is for readers can be read", reads and set(reads.values()) == {"done"}, reads)
    cases.equal(f"{where}: and each other map is closed to them", private, UNREADABLE)
    wrong = [(what, result) for what, result in writes if not is_refused(what, result)]
    print(f"        {len(writes)} attempts")
    cases.check(f"{where}: every attempt to change something is refused", len(writes) > 100 and not wrong, wrong)
    own = [(what, result) for what, result in tried if what.startswith(("OWN ", "OPEN "))]
    by_own = [what for what, _ in writes if "by a pin of one's own" in what]
    opened = [what for what, result in own if what.startswith("OPEN ") and result == "done"]
    cases.check(
        f"{where}: also by pins of one's own, wherever these can be made",
        len(by_own) == WRITES_PER_MAP * len(opened) and (elsewhere == "-" or len(opened) >= 2 * len(reads)),
        own,
    )
    cases.equal(
        f"{where}: nothing has come of them",
        sorted(os.listdir(f"{pin_dir}/v2")),
        sorted(name for name in os.listdir(f"{pin_dir}/v2") if name not in ("forged", "moved", "linked")),
    )


def serve_as_nobody(cases, where, lab, program, policy, pin_dir):
    """A server that nobody has started, not one that became nobody."""
    folder = os.path.join(SCRATCH, "nobody")
    if not os.path.exists(folder):
        os.mkdir(folder, 0o755)
        os.chown(folder, NOBODY, NOBODY)
    address = f"unix:{folder}/authz.sock"
    server = lab.start(
        "nobody", *AS_NOBODY.format(GROUP).split(), program, "serve", "--policy", policy, "--listen", address,
        "--source", "pins", "--pin-dir", pin_dir,
    ).wait_for("ready")  # fmt: skip
    asked = subprocess.run([program, "healthcheck", address], stdout=subprocess.DEVNULL, timeout=30)
    cases.check(
        f"{where}: a server that nobody has started reads, and serves",
        "reading tracked connections" in server.output() and asked.returncode == 0,
        (server.output(), asked.returncode),
    )
    cases.equal(f"{where}: and ends as told", server.stop(), 0)


def reading(cases, lab, program, intruder, policy, mode):
    """With the host's bpffs open or closed, by the agent's own and by a bind mount."""
    mount_host_bpffs(mode)
    listener = Listener(lab)
    for where, pinned_in, read_from in (
        (f"host's bpffs {mode}, agent's own", PIN_DIR, PIN_DIR),
        (f"host's bpffs {mode}, bind mount", HOST_PINS, BOUND),
    ):
        running = agent(lab, "--group", str(GROUP), pin_dir=pinned_in).wait_for("ready")
        if read_from != pinned_in:
            os.makedirs(read_from, exist_ok=True)
            sh("mount", "--bind", pinned_in, read_from)
        connection = listener.connect(lab)
        status, found, messages = look_up(program, connection, read_from)
        cases.check(
            f"{where}: nobody finds the SYN",
            status == 0
            and [found["state"], found["hook"]] == ["verified", "xdp"]
            and found["p0f"].startswith("4:64+"),
            (status, found, messages),
        )
        status, found, messages = look_up(program, connection, read_from, group=GROUP + 1)
        cases.check(
            f"{where}: in another group nobody does not, and is told who may",
            status == 4 and found["state"] == "unavailable" and f"group {GROUP}" in messages,
            (status, found, messages),
        )
        if pinned_in == HOST_PINS:
            direct = look_up(program, connection, HOST_PINS)
            closed = direct[0] == 4 and "closed to this user" in direct[2]
            cases.check(
                f"host's bpffs {mode}: {'closed' if mode == '0700' else 'open'} without a bind mount",
                closed if mode == "0700" else direct[0] == 0,
                direct,
            )
        serve_as_nobody(cases, where, lab, program, policy, read_from)
        intrusion(cases, where, intruder, read_from, HOST_BPFFS if mode == "1777" else "-")
        refused = nobody("ip", "link", "set", "dev", SERVER_DEVICE, "xdp", "off", namespace=lab.server)
        cases.check(f"{where}: nobody cannot detach by netlink", refused.returncode != 0 and lab.attached(), refused)
        status, found, messages = look_up(program, connection, read_from)
        cases.check(f"{where}: and all is as it was", status == 0 and found["state"] == "verified", (found, messages))
        connection.close(reset=True)
        running.stop()
        if read_from != pinned_in:
            sh("umount", read_from)
        cleanup(lab, pinned_in)
    listener.socket.close()
    sh("umount", HOST_BPFFS)


# --------------------------------------------------------------------------------------------- squatted folders


def squatting(cases, lab, program, policy):
    mount_host_bpffs("1777")
    os.chmod(HOST_BPFFS, 0o1777)
    made = nobody("mkdir", "-m", "777", HOST_PINS)
    cases.equal("(nobody has made the pin folder before)", (made.returncode, os.stat(HOST_PINS).st_uid), (0, NOBODY))
    refused = subprocess.run(
        lab.server.inside(find_synauthz(), "agent", *CAPTURE, "--pin-dir", HOST_PINS),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        timeout=30,
    )
    cases.check(
        "the agent refuses a folder that somebody else has made, and says whose it is",
        refused.returncode != 0 and HOST_PINS in refused.stderr and "65534" in refused.stderr and not lab.attached(),
        (refused.returncode, refused.stderr),
    )
    looked = nobody(program, "lookup", "192.0.2.1:1", "--pin-dir", HOST_PINS)
    cases.check("lookup does not believe it", looked.returncode == 4 and "not to root" in looked.stderr, looked)
    server = lab.serve(policy, "--source", "pins", "--pin-dir", HOST_PINS)
    server.wait_for("belongs to user 65534")
    cases.check("serve does not believe it, and goes on", server.runs())
    server.stop()
    sh("umount", HOST_BPFFS)


# ------------------------------------------------------------------------------------------ a server's long life


def state(connection):
    """What the upstream was told of the connection's fingerprint, or the failure of the Check."""
    reply = connection.get()
    return (reply.upstream("x-tcp-state") or ["none"])[0] if reply.status == 200 else reply.status


def becomes(connection, wanted, seconds=6):
    deadline = time.monotonic() + seconds
    while (seen := state(connection)) != wanted and time.monotonic() < deadline:
        time.sleep(0.05)
    return seen


def serving(cases, lab, policy):
    server = lab.serve(policy, "--source", "pins")
    cases.check("without an agent the server is ready all the same", "no capture to read" in server.output())
    lab.start_upstream()
    lab.start_envoy()
    early = Connection(lab)
    cases.equal("and its listener answers: unavailable, so Envoy's failure mode decides", state(early), UNAVAILABLE)

    running = agent(lab).wait_for("ready")
    server.wait_for("reading tracked connections")
    late = Connection(lab)
    cases.equal("the agent comes: fingerprints come", becomes(late, "verified"), "verified")
    cases.equal("a connection from before has none", becomes(early, "none"), "none")
    with open(f"/proc/{server.pid}/status") as file:
        status = dict(line.split(":\t", 1) for line in file.read().splitlines())
    cases.equal(
        "the server is nobody, with the pins' group alone and no capability",
        ([status[key].split()[0] for key in ("Uid", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs")]),
        ["65534", *["0" * 16] * 5, "1"],
    )
    wiping(cases, lab, server, running, late)
    server.stop()


def wipe():
    """All that is pinned, as `rm -r` would."""
    for folder in os.listdir(PIN_DIR):
        if folder.startswith("v"):
            shutil.rmtree(f"{PIN_DIR}/{folder}")


def wiping(cases, lab, server, running, connection):
    wipe()
    seen, started = set(), time.monotonic()
    while time.monotonic() < started + 6:
        seen.add(state(connection))
        time.sleep(0.05)
    cases.equal("pins wiped while the agent runs: nothing is lost", seen, {"verified"})
    cases.check("and they are pinned again", os.path.exists(f"{PIN_DIR}/v2/live") or os.listdir(PIN_DIR))
    fresh = Connection(lab)
    cases.equal("a new connection is seen as before", becomes(fresh, "verified"), "verified")

    running.stop(signal.SIGKILL)
    cases.equal("the agent is killed: capture goes on", becomes(Connection(lab), "verified"), "verified")
    wipe()
    cases.equal("pins wiped without an agent: unavailable", becomes(connection, UNAVAILABLE), UNAVAILABLE)
    server.wait_for("no capture to read: nothing is pinned")
    local = connection.local[1]
    connection.close(reset=True)
    again = Connection(lab, source_port=local)
    stale = {state(again) for _ in range(20)}
    cases.equal("and never the entry of the connection before", stale, {UNAVAILABLE})

    agent(lab).wait_for("ready")
    cases.equal("a new agent: fingerprints again", becomes(Connection(lab), "verified", 10), "verified")


def main(cases):
    lab = Lab()
    program, intruder = readable_copy(find_synauthz()), readable_copy(os.path.join(E2E, "_intruder.py"))
    policy = lab.copy(os.path.join(E2E, "policy.yaml"))
    os.makedirs(HOST_BPFFS, exist_ok=True)
    for mode in ("0700", "1777"):
        reading(cases, lab, program, intruder, policy, mode)
    squatting(cases, lab, program, policy)
    serving(cases, lab, policy)


run_cases(main)
