#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The pods of deploy/kubernetes run: each container with its user, groups, capabilities, mounts and probes, and no more.

And with the gateway that istiod makes of deploy/istio in front: a client's SYN, the agent's pins, the server's socket,
Envoy's answer.
"""

import copy
import stat
import time

from _replay import *
from _pod import *

sys.path.append(os.path.join(ROOT, "tests/cluster"))
import _cgroup

PINS = f"{NODE}/sys/fs/bpf/synauthz"
SOCKET_ON_NODE = f"{NODE}/run/synauthz/socket/authz.sock"


def main(cases):
    lab = make_node()
    tree = _cgroup.Tree()
    with open(os.path.join(tree.path, "cgroup.procs"), "w") as file:
        file.write("0")  # what is started from here on belongs to the node
    node = Node(tree.path)
    base(cases, lab, node)
    service(cases, lab, node)
    older_linux(cases, lab, node)
    node_device(cases, lab, node)
    cleanup(cases, lab, node)


def start_pod(cases, name, pod):
    """Both containers, until all of their probes succeed."""
    programs = {}
    for container in ("agent", "serve"):
        programs[container] = program = pod.start(container)
        for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
            try:
                pod.wait_for(program, container, kind)
                cases.check(f"{name}: the {kind} of {container} succeeds", True)
            except LabError as error:
                cases.check(f"{name}: the {kind} of {container} succeeds", False, str(error))
    return programs


def stop_pod(cases, name, programs):
    for container in ("serve", "agent"):
        cases.equal(f"{name}: {container} ends when it is told to", programs[container].stop(), 0)


def verified(lab):
    """Is a new client let in, with its fingerprint?  And what was seen."""
    reply = Connection(lab).get()
    return is_verified(reply), reply


def composition(name):
    return kustomize(os.path.join(KUBERNETES, name))


def start_gateway(lab, way, folder=None):
    """The gateway's Envoy, with the mount of deploy/istio/gateway-volume.yaml if it is given the folder for that."""
    command = [*f"setpriv --reuid {PROXY} --regid {PROXY} --clear-groups --inh-caps=-all --bounding-set=-all".split()]
    command += envoy_command(write_bootstrap(lab, f"gateway-{way}"))
    if folder:
        (mount,) = load_all(read(ISTIO, "gateway-volume.yaml"))[0]["volumeMounts"]
        access = "ro" if mount["readOnly"] else "rw"
        script = f'mount --bind "$0" "$1" && mount -o remount,bind,{access} "$1" && shift && exec "$@"'
        command = ["unshare", "--mount", "sh", "-c", script, folder, mount["mountPath"], *command]
    envoy = lab.start(f"gateway-{way}", *command)
    wait_for_listener(lab, envoy, PORT)
    return envoy


def socket_folder(node):
    (volume,) = load_all(read(ISTIO, "gateway-volume.yaml"))[0]["volumes"]
    return node.folder(volume["hostPath"])


# ------------------------------------------------------------------------------------------------- base


def base(cases, lab, node):
    own = Namespace("pod")  # the agent sees nothing of the server's network, and need not
    own.ip("addr", "add", "10.1.0.11/32", "dev", "lo")
    pod = Pod(node, own, "10.1.0.11", composition("base"))
    gateway = start_gateway(lab, "socket", socket_folder(node))
    cases.equal("base: before, Envoy says statusOnError", Connection(lab).get().status, 503)
    programs = start_pod(cases, "base", pod)
    check_processes(cases, programs)
    check_files(cases)
    check_memory(cases, pod, programs["agent"])
    cases.check("base: a client is let in, with its fingerprint", *verified(lab))
    check_seccomp(cases, pod)
    check_rollout(cases, lab, pod, programs)
    stop_pod(cases, "base", programs)
    gateway.stop()


def check_processes(cases, programs):
    """What the kernel says of who they are."""
    for container, wanted in (
        (
            "agent",
            {"Uid": "0", "Gid": "65532", "CapBnd": capabilities("BPF", "NET_ADMIN", "PERFMON"), "NoNewPrivs": "1"},
        ),
        (
            "serve",
            {"Uid": "65532", "Gid": "65532", "CapPrm": 0, "CapEff": 0, "CapInh": 0, "CapAmb": 0, "NoNewPrivs": "1"},
        ),
    ):
        check_status(cases, "base", container, programs, wanted)


def check_status(cases, name, container, programs, wanted):
    status = dict(line.split(":", 1) for line in read(f"/proc/{programs[container].pid}/status").splitlines())
    for key, value in wanted.items():
        got = int(status[key], 16) if key.startswith("Cap") else status[key].split()[0]
        cases.equal(f"{name}: {container} runs with {key}", got, value)


def capabilities(*names):
    numbers = {"NET_ADMIN": 12, "PERFMON": 38, "BPF": 39}
    return sum(1 << numbers[name] for name in names)


def check_files(cases):
    entry = os.stat(SOCKET_ON_NODE)
    access = (stat.S_ISSOCK(entry.st_mode), stat.S_IMODE(entry.st_mode), entry.st_uid, entry.st_gid)
    cases.equal("base: the socket is the proxies' to write to", access, (True, 0o660, 65532, PROXY))
    pins = [os.path.join(folder, name) for folder, _, names in os.walk(PINS) for name in names]
    cases.check("base: there are pins", len(pins) > 5, pins)
    wrong = [(path, oct(os.stat(path).st_mode), os.stat(path).st_gid) for path in pins if not is_readers(os.stat(path))]
    cases.equal("base: the pins are the reader's to read, and nobody else's", wrong, [])


def is_readers(entry):
    return entry.st_uid == 0 and entry.st_gid == 65532 and not stat.S_IMODE(entry.st_mode) & 0o037


def check_memory(cases, pod, agent):
    """What the maps take of the container's limit, as the kernel counts it."""
    limit = int(pod.container("agent")["resources"]["limits"]["memory"][:-2]) << 20
    maps = sum(entry["bytes_memlock"] for entry in pinned_maps())
    resident = int(re.search(r"VmRSS:\s+(\d+) kB", read(f"/proc/{agent.pid}/status")).group(1)) << 10
    print(f"note    maps {maps / (1 << 20):.1f} MiB, agent {resident / (1 << 20):.1f} MiB, limit {limit >> 20} MiB")
    cases.check(
        "base: two sets of maps and the agent fit into its limit", 2 * maps + resident < limit, (maps, resident)
    )


def pinned_maps():
    """Each map below the pins once.  Maps are pinned for readers; links and programs are not."""
    found = {}
    for folder, _, names in os.walk(PINS):
        for path in (os.path.join(folder, name) for name in names):
            if os.stat(path).st_mode & stat.S_IRGRP:
                shown = json.loads(sh("bpftool", "--json", "map", "show", "pinned", path))
                found[shown["id"]] = shown
    return found.values()


def check_seccomp(cases, pod):
    """Why the manifest adds a capability that the process does not get."""
    pod = copy.copy(pod)
    pod.spec, pod.address = copy.deepcopy(pod.spec), "127.0.0.1"  # beside the other one
    serve = pod.container("serve")
    serve["securityContext"]["capabilities"].pop("add")
    serve["args"] = [text for text in serve["args"] if not text.startswith("--listen")] + ["--listen=unix:@beside"]
    program = pod.start("serve").wait_for("ready")
    status, text = pod.probe("serve", "readinessProbe")
    cases.check(
        "(base: without BPF the seccomp profile refuses bpf())", status == 503 and "bpf()" in text, (status, text)
    )
    cases.equal("(base: and that server ends)", program.stop(), 0)


def check_rollout(cases, lab, pod, programs):
    """The pod is replaced: SYNs are recorded meanwhile, and answers come back."""
    programs["serve"].stop()
    programs["agent"].stop()
    connection = Connection(lab)
    cases.equal("base: without a pod Envoy says statusOnError", connection.get().status, 503)
    programs.update(start_pod(cases, "base, the next pod", pod))
    reply = connection.get()
    cases.check("base: a client that came without one is known to the next", is_verified(reply), reply)


# ------------------------------------------------------------------------------------------------- the others


def service(cases, lab, node):
    pod = Pod(node, lab.server, NODE_POD, composition("service"))
    gateway = start_gateway(lab, "service")
    programs = start_pod(cases, "service", pod)
    cases.check("service: a client is let in, with its fingerprint", *verified(lab))
    stop_pod(cases, "service", programs)
    gateway.stop()


def older_linux(cases, lab, node):
    """The README's form of `serve` for kernels that refuse bpf() to whoever has no CAP_BPF; this one does not."""
    pod = Pod(node, lab.server, NODE_POD, composition("base"))
    context = pod.container("serve")["securityContext"]
    context.update(runAsNonRoot=False, runAsUser=0)
    context["capabilities"]["add"] = ["BPF", "SETGID", "SETPCAP", "SETUID"]
    gateway = start_gateway(lab, "socket", socket_folder(node))
    programs = start_pod(cases, "started as root", pod)
    cases.check("started as root: a client is let in, with its fingerprint", *verified(lab))
    check_status(cases, "started as root", "serve", programs, {"Uid": "65532", "CapPrm": 0, "CapEff": 0, "CapBnd": 0})
    stop_pod(cases, "started as root", programs)
    gateway.stop()
    # Its socket is root's.  The next agent removes it for the next server, but not a young one, which may be
    # about to listen.
    time.sleep(1)


def node_device(cases, lab, node):
    for command in (("down",), ("name", "eth0"), ("up",)):  # as a node would call it
        lab.server.ip("link", "set", SERVER_DEVICE if command != ("up",) else "eth0", *command)
    pod = Pod(node, lab.server, SERVER_IPV4, composition("node-device"))
    gateway = start_gateway(lab, "socket", socket_folder(node))
    programs = start_pod(cases, "node-device", pod)
    cases.check("node-device: a client is let in, with its fingerprint", *verified(lab))
    cases.check("node-device: XDP is on the device", "xdp" in lab.server.ip("-details", "link", "show", "dev", "eth0"))
    stop_pod(cases, "node-device", programs)
    cases.check("node-device: and stays", "xdp" in lab.server.ip("-details", "link", "show", "dev", "eth0"))
    gateway.stop()


def cleanup(cases, lab, node):
    agent_pod = Pod(node, lab.server, SERVER_IPV4, composition("base"))
    agent = agent_pod.start("agent")
    agent_pod.wait_for(agent, "agent", "readinessProbe")
    pod = Pod(node, lab.server, SERVER_IPV4, composition("cleanup"))
    refused = pod.start("cleanup")
    cases.check("cleanup: not while an agent runs", refused.process.wait(15) != 0, refused.output())
    agent.stop()
    done = pod.start("cleanup")
    cases.equal(
        "cleanup: then it succeeds", (done.process.wait(15), done.output() if done.process.returncode else ""), (0, "")
    )
    cases.equal("cleanup: no pin is left", os.listdir(PINS), [])
    cases.check("cleanup: no hook is left", "xdp" not in lab.server.ip("-details", "link", "show", "dev", "eth0"))
    again = pod.start("cleanup")
    cases.equal("cleanup: once more is no harm", again.process.wait(15), 0)
    cases.equal("cleanup: its pod stays", pod.start("done").wait_for("ready").stop(), 0)


os.environ.setdefault(_cgroup.NAME, _cgroup.new_name())
if not NUMBER:  # outside the lab
    import atexit

    _cgroup.sweep()
    atexit.register(_cgroup.remove, os.environ[_cgroup.NAME])
run_cases(main)
