#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Which capabilities agent and serve need: the documented sets are enough, every smaller one is refused, and the
refusal names what is missing."""

import itertools
import json
import stat

from _cases import *
from _control_group import control_group

NEEDED = {"bpf": "CAP_BPF", "net_admin": "CAP_NET_ADMIN", "perfmon": "CAP_PERFMON"}
OPTIONAL = {"sys_admin": "CAP_SYS_ADMIN", "chown": "CAP_CHOWN"}
NUMBERS = {"chown": 0, "net_admin": 12, "sys_admin": 21, "perfmon": 38, "bpf": 39}
POLICY = "version: 1\nrules: []\ndefault: allow\n"
OTHER_GROUP = 4242  # neither root's nor nobody's


def limited(capabilities, gid=0):
    """The command that runs what follows as root with these capabilities and no way to more."""
    return (
        *("setpriv", f"--regid={gid}", "--clear-groups", "--inh-caps=-all", "--no-new-privs"),
        "--bounding-set=-all" + "".join(f",+{name}" for name in capabilities),
    )


class Folder:
    """Where an agent pins: not there at first, or a bpffs that somebody else has mounted; `synauthz` is for an agent."""

    def __init__(self, name, mounted=True, gid=0, source="bpf"):
        self.path = os.path.join(SCRATCH, name)
        if mounted:
            os.mkdir(self.path)
            sh("mount", "-t", "bpf", "-o", "mode=0750", source, self.path)
            os.chown(self.path, 0, gid)

    def pins(self):
        """All but the two files that a bpffs has from the kernel."""
        files = [file for _folder, _folders, files in os.walk(self.path) for file in files]
        return [file for file in files if not file.endswith(".debug")]


def start_agent(lab, folder, capabilities, *options, gid=0, group="0"):
    place = () if "--cgroup" in options else ("--interface", SERVER_DEVICE)
    return lab.start(
        "agent",
        *limited(capabilities, gid),
        *(find_synauthz(), "agent", "--port", str(PORT), "--pin-dir", folder.path, "--group", group),
        *(*place, *options),
    )


def clean_up(lab, folder):
    sh(*lab.server.inside(find_synauthz(), "cleanup", "--pin-dir", folder.path))


def state_of_new_connection(lab, folder):
    """What `lookup` says of a connection that is made now."""
    with lab.server.entered():
        listener = socket.create_server((SERVER_IPV4, PORT))
    with lab.client.entered():
        client = socket.create_connection((SERVER_IPV4, PORT), timeout=5)
    source, destination = ("%s:%d" % end for end in (client.getsockname(), client.getpeername()))
    argv = lab.server.inside(find_synauthz(), "lookup", source, destination, "--pin-dir", folder.path, "-o", "json")
    done = subprocess.run(argv, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=20)
    client.close()
    listener.close()
    return json.loads(done.stdout)["state"] if done.stdout.startswith("{") else done.stdout


def works(cases, lab, name, folder, capabilities, *options, left=(), **more):
    """The agent captures with these capabilities, and then has those of NEEDED and `left`."""
    agent = start_agent(lab, folder, capabilities, *options, **more)
    try:
        agent.wait_for("ready")
    except LabError as error:
        cases.check(f"{name}: it gets ready", False, str(error))
        return
    with open(f"/proc/{agent.pid}/status") as status:
        effective = int(next(line.split()[1] for line in status if line.startswith("CapEff:")), 16)
    held = {capability for capability, number in NUMBERS.items() if effective >> number & 1}
    cases.equal(f"{name}: what it keeps", held, {*NEEDED, *left})
    cases.equal(f"{name}: no other", effective & ~sum(1 << number for number in NUMBERS.values()), 0)
    if "--cgroup" not in options:
        cases.equal(f"{name}: a connection", state_of_new_connection(lab, folder), "verified")
    cases.equal(f"{name}: it ends", agent.stop(), 0)
    clean_up(lab, folder)


def refused(cases, lab, name, folder, capabilities, missing, *options, **more):
    """The agent does not start, says what is missing, and leaves nothing behind."""
    agent = start_agent(lab, folder, capabilities, *options, **more)
    try:
        status = agent.process.wait(30)
    except subprocess.TimeoutExpired:
        agent.stop()
        status = None
    said = agent.output()
    cases.check(f"{name}: it does not start", status not in (0, None), (status, said))
    everything = {**NEEDED, **OPTIONAL}
    named = {capability for capability, text in everything.items() if text in said}
    cases.equal(f"{name}: {', '.join(sorted(everything[one] for one in missing))} named", (named, said), (set(missing), said))
    cases.equal(f"{name}: nothing is left", folder.pins(), [])


def minimal(cases, lab):
    """On a bpffs that is there, for a group that is the process's own: these three and no other."""
    folder = Folder("own-group", gid=OTHER_GROUP)
    own = {"gid": OTHER_GROUP, "group": str(OTHER_GROUP)}
    for mode in ("auto", "xdp", "xdp-generic", "tcx"):
        works(cases, lab, f"three capabilities, {mode}", folder, NEEDED, "--capture", mode, **own)
    with control_group() as group:
        works(cases, lab, "three capabilities, cgroup", folder, NEEDED, "--capture", "cgroup", "--cgroup", group, **own)
    for count in (1, 2, 3):
        for missing in itertools.combinations(sorted(NEEDED), count):
            left = NEEDED.keys() - set(missing)
            refused(cases, lab, f"without {' and '.join(missing)}", folder, left, missing, **own)
    for missing in NEEDED:
        left = (NEEDED.keys() | OPTIONAL.keys()) - {missing}
        refused(cases, lab, f"all others, without {missing}", folder, left, [missing], **own)


def another_group(cases, lab):
    folder = Folder("other-group", source="synauthz")
    other = {"group": str(OTHER_GROUP)}
    refused(cases, lab, "another group", folder, NEEDED, ["chown"], **other)
    works(cases, lab, "another group, with CHOWN", folder, (*NEEDED, "chown"), left=["chown"], **other)


def own_file_system(cases, lab):
    folder = Folder("mounted-by-agent", mounted=False)
    refused(cases, lab, "no bpffs", folder, NEEDED, ["sys_admin"])
    works(cases, lab, "no bpffs, with SYS_ADMIN", folder, (*NEEDED, "sys_admin"))
    cases.check("cleanup took the file system away", not os.path.ismount(folder.path), folder.path)


def not_root(cases, lab):
    folder = Folder("not-root")
    argv = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
    agent = lab.start(
        "agent", *argv, find_synauthz(), "agent", "--interface", SERVER_DEVICE, "--port", str(PORT), "--pin-dir", folder.path
    )
    status = agent.process.wait(30)
    said = agent.output()
    cases.check("another user: it does not start", status != 0, said)
    cases.check("another user: why", f"user {NOBODY}" in said and "root" in said, said)


def server(cases, lab):
    """It has none at all: neither of its own nor to be had, and reads the pins by its group alone."""
    folder = Folder("for-a-server", gid=OTHER_GROUP)
    agent = start_agent(lab, folder, NEEDED, gid=OTHER_GROUP, group=str(OTHER_GROUP)).wait_for("ready")
    policy = lab.write("policy.yaml", POLICY)
    os.chown("/run/synauthz", NOBODY, NOBODY)
    argv = (
        *("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", f"--groups={OTHER_GROUP}"),
        *("--bounding-set=-all", "--inh-caps=-all", "--no-new-privs", find_synauthz(), "serve"),
        *("--policy", policy, "--listen", f"unix:{SOCKET}", "--source", "pins", "--pin-dir", folder.path),
    )
    serve = lab.start("serve", *argv).wait_for("ready")
    with open(f"/proc/{serve.pid}/status") as status:
        capabilities = {line.split()[0]: int(line.split()[1], 16) for line in status if line.startswith("Cap")}
    cases.equal("a server has none", set(capabilities.values()), {0})
    maps = wait_for_maps(serve)
    cases.check("and has the maps open, for reading only", maps and all(mode == os.O_RDONLY for mode in maps), maps)
    cases.check("its socket is there", stat.S_ISSOCK(os.stat(SOCKET).st_mode))
    cases.equal("a server ends", serve.stop(), 0)
    agent.stop()
    clean_up(lab, folder)


def wait_for_maps(process, seconds=10):
    """Access modes of the BPF maps that a process has open, once it has any."""

    def modes():
        found = []
        for name in os.listdir(f"/proc/{process.pid}/fdinfo"):
            with open(f"/proc/{process.pid}/fdinfo/{name}") as file:
                fields = dict(line.strip().split(":\t", 1) for line in file if ":\t" in line)
            if "map_type" in fields:
                found.append(int(fields["flags"], 8) & os.O_ACCMODE)
        return found

    wait_until(modes, seconds, "the server's maps")
    return modes()


def main(cases):
    lab = Lab()
    minimal(cases, lab)
    another_group(cases, lab)
    own_file_system(cases, lab)
    not_root(cases, lab)
    server(cases, lab)


run_cases(main)
