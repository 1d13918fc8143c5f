#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`doctor`: what it says of this host, and of hosts that are in every way worse; each refusal is made for it."""

import json

from _cases import *
from _control_group import control_group
from _foreign import SYS_BPF, SYS_REBOOT, occupy_cgroup, occupy_xdp, refuse

LOADS = ("load_xdp", "load_tcx", "load_cgroup", "load_tracking")
ALWAYS = (
    *("capabilities", "seccomp", "lsm", "memlock", "lockdown", "unprivileged_bpf_disabled", "unprivileged_readers"),
    *("bpf_jit_enable", "btf", "cgroup2", "memory_limit", *LOADS, "bpffs", "pin_dir", "capture_set"),
)
WAYS = (
    *("routed", "dnat", "dnat-masquerade", "same-node", "vxlan", "redirect", "tproxy", "redirect-peer"),
    *("syn-cookies", "earlier-listener", "loopback"),
)
NEEDED = {"bpf": "CAP_BPF", "net_admin": "CAP_NET_ADMIN", "perfmon": "CAP_PERFMON"}
AS_NOBODY = (
    *("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"),
    *("--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"),
)


def with_capabilities(*names):
    return ("setpriv", "--bounding-set=-all" + "".join(f",+{name}" for name in names), "--no-new-privs")


class Findings:
    """One run of doctor: its status and what it printed."""

    def __init__(self, *options, before=(), **more):
        done = subprocess.run(
            [*before, find_synauthz(), "doctor", "-o", "json", *options],
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=60,
            **more,
        )
        self.status, self.stderr, self.lines = done.returncode, done.stderr, done.stdout.splitlines()
        if len(self.lines) != 1:
            raise LabError(f"doctor ended with {self.status}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
        self.all = json.loads(self.lines[0])
        self.checks = {check["id"]: check for check in self.all["checks"]}
        self.verdict = (self.status, self.all["capture"])

    def ok(self, name):
        return self.checks.get(name, {"ok": "no such check"})["ok"]

    def says(self, name):
        return " -> ".join(text for text in (self.checks[name]["why"], self.checks[name]["fix"]) if text)

    def coverage(self):
        return {row["row"]: (row["state"], row["hook"]) for row in self.all["coverage"]}


def script(*lines):
    """Runs doctor in a mount namespace that these commands have changed."""
    return ("unshare", "--mount", "sh", "-ec", "\n".join((*lines, 'exec "$@"')), "sh")


# ------------------------------------------------------------------------------------------------- form


def form(cases, name, found):
    """What holds for whoever asks, wherever."""
    cases.check(f"{name}: every check is there", set(ALWAYS) <= set(found.checks), sorted(found.checks))
    cases.equal(f"{name}: no check twice", len(found.checks), len(found.all["checks"]))
    odd = [
        check
        for check in found.all["checks"]
        if set(check) != {"id", "ok", "why", "fix"}
        or check["ok"] not in (True, False, None)
        or not check["why"]
        or check["fix"] == ""
    ]
    cases.equal(f"{name}: each has an answer and a reason", odd, [])
    cases.equal(
        f"{name}: what failed says what to do",
        [check["id"] for check in found.all["checks"] if check["ok"] is False and not check["fix"]],
        [],
    )
    cases.check(f"{name}: the verdict is one of three", found.all["capture"] in ("tracked", "untracked", "none"))
    cases.equal(f"{name}: the exit status follows from it", found.status, 4 if found.all["capture"] == "none" else 0)
    cases.equal(f"{name}: eleven ways first", tuple(row["row"] for row in found.all["coverage"])[:11], WAYS)
    cases.equal(f"{name}: nothing on standard error", found.stderr, "")


def as_root(cases):
    found = Findings()
    form(cases, "root", found)
    cases.equal("root: sockets are followed", found.verdict, (0, "tracked"))
    for name in (*LOADS, "xdp", "tcx", "clsact", "attach_cgroup", "capabilities", "seccomp", "btf", "cgroup2"):
        cases.check(f"root: {name}", found.ok(name) is True, found.checks.get(name))
    mode = found.all["mode"]
    cases.equal("root: auto takes the control groups", mode["cgroups"]["hook"], "cgroup")
    cases.check("root: auto follows sockets", mode["tracking"]["ok"] is True, mode)
    states = {found.coverage()[way][0] for way in WAYS}
    cases.equal("root: each way is verified", states, {"verified"})
    cases.equal("root: behind NAT by the control groups", found.coverage()["dnat-masquerade"], ("verified", "cgroup"))
    cases.equal("root: no TCP, no fingerprint", found.coverage()["http3"], ("unsupported", None))


def as_text(cases):
    text = sh(find_synauthz(), "doctor")
    for name in (*ALWAYS, "capture: tracked", "agent --capture auto", "DNAT and masquerade", "whose fingerprint"):
        cases.check(f"text: {name}", name in text, text[:3000])


def as_nobody(cases):
    found = Findings(before=AS_NOBODY)
    form(cases, "nobody", found)
    cases.equal("nobody: the verdict", found.verdict, (4, "none"))
    for name in LOADS:
        cases.check(f"nobody: {name} is not known", found.ok(name) is None, found.checks[name])
    cases.check("nobody: mode is not known", found.all["mode"]["tracking"]["ok"] is None, found.all["mode"])
    cases.equal("nobody: nor is coverage", {found.coverage()[way] for way in WAYS}, {(None, None)})
    cases.check("nobody: the server could read", found.ok("unprivileged_readers") is True)
    cases.check(
        "nobody: all missing capabilities are named",
        found.ok("capabilities") is False and all(name in found.says("capabilities") for name in NEEDED.values()),
        found.says("capabilities"),
    )


# ------------------------------------------------------------------------------------------------- refusals


def missing_capabilities(cases):
    for missing, name in NEEDED.items():
        found = Findings(before=with_capabilities(*(NEEDED.keys() - {missing})))
        cases.equal(f"without {name}: the verdict", found.verdict, (4, "none"))
        said = found.checks["capabilities"]["why"]
        cases.check(f"without {name}: it is named, and no other", all((n in said) == (n == name) for n in NEEDED.values()), said)
        guesses = [n for n in LOADS if found.ok(n) is False]
        cases.equal(f"without {name}: nothing is blamed on the host", guesses, [])
    found = Findings(before=with_capabilities(*NEEDED))
    cases.equal("with these three and no other: the verdict", found.verdict, (0, "tracked"))
    cases.check("with these three: tcx is asked for, not tried", "not tried" in found.says("tcx"), found.says("tcx"))


def seccomp(cases):
    found = Findings(preexec_fn=refuse(SYS_BPF))
    cases.equal("bpf(2) filtered: the verdict", found.verdict, (4, "none"))
    cases.check("bpf(2) filtered: seccomp is named", found.ok("seccomp") is False, found.says("seccomp"))
    found = Findings(preexec_fn=refuse(SYS_REBOOT))
    cases.equal("another call filtered: the verdict", found.verdict, (0, "tracked"))
    cases.check("another call filtered: bpf(2) passes", found.ok("seccomp") is True, found.says("seccomp"))
    found = Findings(before=AS_NOBODY, preexec_fn=refuse(SYS_BPF))
    cases.check("filtered for nobody: whose doing is not known", found.ok("seccomp") is None, found.says("seccomp"))


def files_of_the_kernel(cases):
    """Settings that cannot be changed for one test: other files are mounted over them."""
    folder = "/run/lab/files"
    os.makedirs(folder)

    def changed(path, text, *before):
        with open(os.path.join(folder, "value"), "w") as file:
            file.write(text)
        return Findings(before=script(*before, f"mount --bind {folder}/value {path}"))

    found = Findings(before=script(f"mount --bind {folder} /sys/kernel/btf"))
    cases.equal("no type information: the verdict", found.verdict, (0, "untracked"))
    cases.check("no type information: btf", found.ok("btf") is False and "CONFIG_DEBUG_INFO_BTF" in found.says("btf"))
    cases.check("no type information: tracking", found.ok("load_tracking") is False, found.says("load_tracking"))
    cases.equal("no type information: nothing is verified", found.coverage()["routed"][0], "captured")
    found = Findings(before=(*script(f"mount --bind {folder} /sys/kernel/btf"), *AS_NOBODY))
    cases.check("no type information: nobody knows it, too", found.ok("load_tracking") is False)

    security = "mount -t securityfs securityfs /sys/kernel/security"
    found = Findings(before=script("umount /sys/kernel/security || true"))
    cases.check("securityfs not mounted: lockdown is not known", found.ok("lockdown") is None, found.says("lockdown"))
    cases.equal("securityfs not mounted: how to", found.checks["lockdown"]["fix"], security)
    found = Findings(before=script(f"mountpoint -q /sys/kernel/security || {security}"))
    cases.check("securityfs mounted: lockdown is known", found.ok("lockdown") is True, found.says("lockdown"))
    mounted = f"mountpoint -q /sys/kernel/security || {security}"
    found = changed("/sys/kernel/security/lockdown", "none integrity [confidentiality]\n", mounted)
    cases.check("confidentiality: lockdown", found.ok("lockdown") is False, found.says("lockdown"))

    found = changed("/proc/$$/attr/current", "cri-containerd.apparmor.d (enforce)\n")
    cases.check("a profile of AppArmor: it is named", "cri-containerd.apparmor.d" in found.says("lsm"), found.says("lsm"))
    cases.check("a profile of AppArmor: it need not harm", found.ok("lsm") is None and found.status == 0, found.verdict)

    found = changed("/proc/sys/net/core/bpf_jit_enable", "0\n")
    cases.equal("interpreted: how to", found.checks["bpf_jit_enable"]["fix"], "sysctl -w net.core.bpf_jit_enable=1")
    found = changed("/proc/sys/kernel/unprivileged_bpf_disabled", "0\n")
    cases.check("anybody may load: it is said", "anybody" in found.says("unprivileged_bpf_disabled"))


def locked_memory(cases):
    found = Findings(before=("prlimit", "--memlock=0:0"))
    cases.check("nothing may be locked: no matter on this kernel", found.ok("memlock") is True, found.says("memlock"))
    found = Findings(before=("prlimit", "--memlock=4096:4096", *AS_NOBODY))
    cases.check(
        "as nobody: whether it matters is not known",
        found.ok("memlock") is None and "4096 bytes" in found.says("memlock"),
        found.says("memlock"),
    )


def memory_limit(cases):
    """In a control group that may use 60 MiB: of the first version, where that has the memory controller."""
    name = f"synauthz-test-{os.urandom(4).hex()}"
    first = os.path.ismount("/sys/fs/cgroup/memory")
    root = "/sys/fs/cgroup/memory" if first else mount_of_cgroup2()
    path, file = os.path.join(root, name), "memory.limit_in_bytes" if first else "memory.max"
    os.mkdir(path)
    try:
        with open(os.path.join(path, file), "w") as limit:
            limit.write(str(60 << 20))
        found = Findings(before=("sh", "-c", f'echo $$ > {path}/cgroup.procs && exec "$@"', "sh"))
    finally:
        os.rmdir(path)
    said = found.says("memory_limit")
    cases.check("60 MiB: the maps do not fit", found.ok("memory_limit") is False and "may use 60" in said, said)


# ------------------------------------------------------------------------------------------------- places


def mount_of_cgroup2():
    with open("/proc/self/mountinfo") as mounts:
        return next(line.split()[4] for line in mounts if " - cgroup2 " in line)


def control_groups(cases):
    root = mount_of_cgroup2()
    gone = f"while umount -l {root} 2>/dev/null; do :; done"  # a container's stands on its host's
    found = Findings()
    cases.check("cgroup2 is found by the mounts", root in found.says("cgroup2"), found.says("cgroup2"))
    cases.equal("and its place is in the mode", found.all["mode"]["cgroups"]["path"], root)

    space = Namespace("hidden")
    for name, before in (("not mounted", script(gone)), ("ip netns exec", ("ip", "netns", "exec", "hidden"))):
        found = Findings(before=before)
        cases.check(f"{name}: cgroup2", found.ok("cgroup2") is False, found.says("cgroup2"))
        cases.equal(f"{name}: auto takes none", found.all["mode"]["cgroups"]["hook"], None)
    cases.equal("in a namespace with nothing but a loopback: nothing to attach to", found.verdict, (4, "none"))
    found = Findings(before=space.inside())
    cases.equal("nsenter does not hide it", found.verdict, (0, "tracked"))

    with control_group() as own:
        occupy_cgroup(own)
        there = ("mkdir -p /run/lab/groups", f"mount --bind {own} /run/lab/groups", gone)
        found = Findings(before=script(*there))
    with control_group() as own:
        places = ("mkdir -p /run/lab/inner /run/lab/outer", "mount -t cgroup2 none /run/lab/inner")
        container = script(*places, f"mount --bind {root} /run/lab/outer", gone)
        joined = ("sh", "-c", f'echo $$ > {own}/cgroup.procs && exec unshare --cgroup "$@"', "sh")
        inside = Findings(before=(*joined, *container))
    cases.equal("in a container: the host's, not its own", inside.all["mode"]["cgroups"]["path"], "/run/lab/outer")
    cases.check("a program that allows no other: it is said", found.ok("attach_cgroup") is False, found.checks)
    cases.equal("a program that allows no other: auto takes none", found.all["mode"]["cgroups"]["hook"], None)


def devices(cases):
    space = Namespace("devices")
    space.ip("link", "add", "one", "up", "type", "veth", "peer", "name", "two")
    space.ip("link", "set", "two", "up")
    space.ip("tuntap", "add", "layer3", "mode", "tun")
    space.ip("link", "add", "bridge", "type", "bridge")
    with space.entered():
        held = occupy_xdp(socket.if_nametoindex("two"))
    options = [option for name in ("one", "two", "layer3", "bridge", "none") for option in ("--interface", name)]
    found = Findings(*options, before=space.inside())
    os.close(held)
    mode = {device["name"]: device for device in found.all["mode"]["devices"]}
    cases.equal("the devices that were named", list(mode), ["one", "two", "layer3", "bridge", "none"])
    cases.equal("a free one gets XDP", (found.ok("device:one"), mode["one"]["hook"]), (True, "xdp"))
    cases.equal("a taken one gets tcx", (found.ok("device:two"), mode["two"]["hook"]), (False, "tcx"))
    for text in ("foreign_xdp", "ip link set dev two xdp off"):
        cases.check(f"whose it is: {text}", text in found.says("device:two"), found.says("device:two"))
    cases.check("auto says why", "foreign_xdp" in mode["two"]["why"], mode["two"])
    cases.equal("one without Ethernet gets none", (found.ok("device:layer3"), mode["layer3"]["hook"]), (False, None))
    cases.equal("one whose driver runs no XDP gets tcx", (found.ok("device:bridge"), mode["bridge"]["hook"]), (True, "tcx"))
    cases.check("what XDP costs on a veth is said", "bulk" in found.says("device:one"), found.says("device:one"))
    cases.equal("one that is not there gets none", (found.ok("device:none"), mode["none"]["hook"]), (False, None))
    found = Findings("--interface", "t*", before=space.inside())
    cases.equal("by pattern", [device["name"] for device in found.all["mode"]["devices"]], ["two"])
    found = Findings(before=space.inside())
    cases.equal("those that are up", sorted(device["name"] for device in found.all["mode"]["devices"]), ["one", "two"])

    with space.entered():
        held = occupy_xdp(socket.if_nametoindex("two"))
    found = Findings("--interface", "two", before=(*space.inside(), *AS_NOBODY))
    os.close(held)
    cases.check("nobody sees that it is taken, not by whom", found.ok("device:two") is None, found.says("device:two"))


def same_as_the_agent(cases):
    """What doctor says that auto would do is what the agent does."""
    space = Namespace("both")
    space.ip("link", "add", "plain", "up", "type", "veth", "peer", "name", "taken")
    space.ip("link", "set", "taken", "up")
    space.ip("link", "add", "bridge", "up", "type", "bridge")
    space.ip("tuntap", "add", "layer3", "mode", "tun")
    with space.entered():
        held = occupy_xdp(socket.if_nametoindex("taken"))
    names = ("plain", "taken", "bridge", "layer3")
    interfaces = [option for name in names for option in ("--interface", name)]
    mode = Findings(*interfaces, before=space.inside()).all["mode"]
    said = {device["name"]: (device["hook"], device["why"]) for device in mode["devices"] if device["hook"]}
    said[mode["cgroups"]["path"]] = (mode["cgroups"]["hook"], mode["cgroups"]["why"])

    folder = "/run/lab/both/bpf"
    argv = ("agent", *interfaces, "--port", str(PORT), "--pin-dir", folder)
    agent = Program("agent", space.inside(find_synauthz(), *argv)).wait_for("ready")
    lines = re.findall(r"capturing on (\S+) with (\S+): (.*)", agent.output())
    did = {target: (hook, why) for target, hook, why in lines}
    agent.stop()
    sh(*space.inside(find_synauthz(), "cleanup", "--pin-dir", folder))
    os.close(held)
    cases.equal("the agent's hooks are doctor's, and the reasons", did, said)
    cases.equal("of each kind one", sorted(hook for hook, _why in did.values()), ["cgroup", "tcx", "tcx", "xdp"])


def bpf_file_systems(cases):
    for mode in ("1700", "1777", "1755"):  # the kernel adds the sticky bit
        before = script("mkdir -p /sys/fs/bpf", f"mount -t bpf -o mode={mode} bpf /sys/fs/bpf")
        for name, who in (("root", ()), ("nobody", AS_NOBODY)):
            found = Findings(before=(*before, *who))
            cases.check(f"bpffs {mode}, {name}: its mode is said", mode in found.says("bpffs"), found.says("bpffs"))


def pin_folders(cases):
    base = "/run/lab/pins"
    os.makedirs(base)

    def folder(name, uid=0, mode=0o750):
        path = os.path.join(base, name)
        os.mkdir(path)
        os.chown(path, uid, 0)
        os.chmod(path, mode)
        return path

    pinned = folder("bpffs")
    sh("mount", "-t", "bpf", "-o", "mode=0750", "bpf", pinned)
    os.chown(pinned, 0, NOBODY)
    os.chmod(pinned, 0o750)
    for name, path, ok, text in (
        ("not there", os.path.join(base, "absent"), True, "mounts a bpffs"),
        ("no bpffs yet", folder("plain"), True, "mounts a bpffs"),
        ("squatted", folder("squatted", uid=NOBODY), False, f"user {NOBODY}"),
        ("open to all", folder("open", mode=0o777), False, "mode 0777"),
        ("as the agent makes it", pinned, True, "group nogroup, mode 0750"),
    ):
        found = Findings("--pin-dir", path)
        cases.check(f"pin folder {name}", found.ok("pin_dir") is ok and text in found.says("pin_dir"), found.says("pin_dir"))
        cases.check(f"pin folder {name}: no set of maps", found.ok("capture_set") is None, found.says("capture_set"))


# ------------------------------------------------------------------------------------------------- beside an agent


def beside_an_agent(cases):
    lab = Lab()
    folder = "/run/lab/agent/bpf"
    agent = lab.start(
        "agent",
        *(find_synauthz(), "agent", "--interface", SERVER_DEVICE, "--port", str(PORT)),
        *("--pin-dir", folder, "--group", "nogroup"),
    ).wait_for("ready")
    options = ("--pin-dir", folder, "--interface", SERVER_DEVICE)
    found = Findings(*options, before=lab.server.inside())
    device = f"device:{SERVER_DEVICE}"
    cases.equal("beside an agent: the verdict", found.verdict, (0, "tracked"))
    cases.check("its set of maps", found.ok("capture_set") is True and "followed" in found.says("capture_set"), found.says("capture_set"))
    cases.check("its program on the device is ours", found.ok(device) is True and "already" in found.says(device), found.says(device))
    cases.equal("auto would do it again", found.all["mode"]["devices"][0]["hook"], "xdp")

    found = Findings(*options, before=(*lab.server.inside(), *AS_NOBODY))
    form(cases, "a reader", found)
    cases.equal("a reader: the verdict is the agent's", found.verdict, (0, "tracked"))
    cases.equal("a reader: coverage is the agent's", found.coverage()["routed"], ("verified", "xdp"))
    stranger = (*AS_NOBODY[:1], f"--reuid={NOBODY - 1}", f"--regid={NOBODY - 1}", *AS_NOBODY[3:])
    found = Findings(*options, before=(*lab.server.inside(), *stranger))
    cases.equal("a stranger: the verdict", found.verdict, (4, "none"))
    cases.check("a stranger: who may", "nogroup" in found.says("capture_set"), found.says("capture_set"))

    agent.stop(signal.SIGKILL)

    def is_stale():
        return "no agent has looked after it" in Findings(*options).says("capture_set")

    wait_until(is_stale, 15, "the heartbeat to be missed")
    found = Findings(*options, before=lab.server.inside())
    cases.check("agent killed: it is missed, and capture goes on", found.ok("capture_set") is False, found.says("capture_set"))
    cases.equal("agent killed: what to do", found.checks["capture_set"]["fix"], "start the agent; it takes over what is there")
    sh(*lab.server.inside(find_synauthz(), "cleanup", "--pin-dir", folder))
    cases.check("after cleanup: none", Findings(*options).ok("capture_set") is None)


def main(cases):
    as_root(cases)
    as_text(cases)
    as_nobody(cases)
    missing_capabilities(cases)
    seccomp(cases)
    files_of_the_kernel(cases)
    locked_memory(cases)
    memory_limit(cases)
    control_groups(cases)
    devices(cases)
    bpf_file_systems(cases)
    pin_folders(cases)
    same_as_the_agent(cases)
    beside_an_agent(cases)


run_cases(main)
