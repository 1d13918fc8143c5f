#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""deploy/kubernetes: Kubernetes accepts it, it is as hard as it says, and the program knows what it is told."""

import functools
import re
import shutil

from _deploy import *
import kubernetes_validate

KUBERNETES_VERSIONS = ("1.30", "1.37")  # the oldest and the newest that the manifests are for
# Of the containers.  The process of `serve` has none (pod.py): it is for the runtime's seccomp profile, which otherwise
# refuses bpf().
CAPABILITIES = {
    "agent": {"BPF", "NET_ADMIN", "PERFMON"},
    "cleanup": {"BPF", "NET_ADMIN", "PERFMON"},
    "serve": {"BPF"},
    "done": set(),
}
ROOT_CONTAINERS = ("agent", "cleanup")
READER = 65532  # user and group of the server, group of the pins
PINS, SOCKET = "/run/synauthz/bpf", "/run/synauthz/socket"


def main(cases):
    for name in COMPOSITIONS:
        check_composition(cases, name)
    check_the_checks(cases)
    for name in ("base", "node-device", "service"):
        check_node_service(cases, name, kustomize(os.path.join(KUBERNETES, name)))
    check_cleanup(cases, kustomize(os.path.join(KUBERNETES, "cleanup")))


# ------------------------------------------------------------------------------------------------- each composition


def check_composition(cases, name):
    folder = os.path.join(KUBERNETES, name)
    resources = kustomize(folder)
    cases.check(f"{name}: every file of it is used", set(os.listdir(folder)) <= used_files(folder), os.listdir(folder))
    cases.equal(f"{name}: composes, each name once", len({name_of(r) for r in resources}), len(resources))
    compare_with_kubectl(cases, name, folder, resources)
    for version in KUBERNETES_VERSIONS:
        complaints = [f"{name_of(r)}: {complaint}" for r in resources for complaint in complaints_of(r, version)]
        cases.equal(f"{name}: Kubernetes {version} knows all of it", complaints, [])
    cases.equal(f"{name}: names and labels", [f for r in resources for f in findings_of_metadata(r)], [])
    for daemon_set in of_kind(resources, "DaemonSet"):
        cases.equal(f"{name}: hardening of {name_of(daemon_set)}", list(findings_of_pod(daemon_set)), [])
        cases.equal(f"{name}: the program knows its options", list(findings_of_options(daemon_set)), [])


def used_files(folder):
    kustomization = load_all(read(folder, "kustomization.yaml"))[0]
    names = {"kustomization.yaml", *(name for name in kustomization["resources"] if "/" not in name)}
    return names.union(*(generator["files"] for generator in kustomization.get("configMapGenerator", [])))


def compare_with_kubectl(cases, name, folder, resources):
    """Not a case of its own, so that as many are counted where there is no kubectl: it says which it was."""
    if not shutil.which("kubectl"):
        print(f"note    {name}: no kubectl here to compare with")
        return
    theirs = load_all(sh("kubectl", "kustomize", folder))
    if sorted(theirs, key=name_of) != sorted(resources, key=name_of):
        cases.check(f"{name}: kubectl kustomize composes the same", False, theirs)
    print(f"note    {name}: compared with kubectl kustomize")


def complaints_of(resource, version):
    try:
        kubernetes_validate.validate(resource, version, strict=True)
    except kubernetes_validate.ValidationError as error:
        yield str(error)


def of_kind(resources, kind):
    return [resource for resource in resources if resource["kind"] == kind]


def findings_of_metadata(resource):
    metadata = resource["metadata"]
    if resource["kind"] != "Namespace" and metadata.get("namespace") != "synauthz":
        yield f"{name_of(resource)} is not in the namespace synauthz"
    for label in ("name", "part-of"):
        if metadata.get("labels", {}).get(f"app.kubernetes.io/{label}") != "synauthz":
            yield f"{name_of(resource)} has no label app.kubernetes.io/{label}"


# ------------------------------------------------------------------------------------------------- hardening


def findings_of_pod(daemon_set):
    """What a pod template has and should not, or the other way around."""
    template = daemon_set["spec"]["template"]
    spec, labels = template["spec"], template["metadata"]["labels"]
    if not daemon_set["spec"]["selector"]["matchLabels"].items() <= labels.items():
        yield "the selector does not select the pods"
    if spec.get("automountServiceAccountToken") is not False or spec.get("serviceAccountName"):
        yield "a token of the API server"
    if spec.get("securityContext", {}).get("seccompProfile") != {"type": "RuntimeDefault"}:
        yield "seccomp is not RuntimeDefault"
    if spec.get("hostPID") or spec.get("hostIPC"):
        yield "hostPID or hostIPC"
    if (labels.get("sidecar.istio.io/inject"), labels.get("istio.io/dataplane-mode")) != ("false", "none"):
        yield "a mesh could take it in"
    if spec.get("tolerations") != [{"operator": "Exists"}]:
        yield "not on every node"
    for container in containers_of(spec):
        for finding in findings_of_container(container):
            yield f"{container['name']}: {finding}"


def containers_of(spec):
    return spec.get("initContainers", []) + spec["containers"]


def findings_of_container(container):
    context, name = container["securityContext"], container["name"]
    if not re.search(r":\d+\.\d+\.\d+$|@sha256:[0-9a-f]{64}$", container["image"]):
        yield f"image {container['image']} is not pinned"
    if context.get("privileged") is not False or context.get("allowPrivilegeEscalation") is not False:
        yield "privileged, or may become so"
    if context.get("readOnlyRootFilesystem") is not True:
        yield "its root can be written to"
    if context.get("seccompProfile") or context.get("procMount"):
        yield "its own seccomp profile or /proc"
    capabilities = context.get("capabilities", {})
    if capabilities.get("drop") != ["ALL"] or set(capabilities.get("add", [])) != CAPABILITIES[name]:
        yield f"capabilities {capabilities}, not {CAPABILITIES[name]}"
    user = (context.get("runAsUser"), context.get("runAsGroup"), context.get("runAsNonRoot", False))
    if user != ((0, READER, False) if name in ROOT_CONTAINERS else (READER, READER, True)):
        yield f"user, group {user}"
    if "memory" not in container["resources"].get("limits", {}):
        yield "no limit of memory"
    if container.get("terminationMessagePolicy") != "FallbackToLogsOnError":
        yield "its last words are lost"
    for mount in container["volumeMounts"]:
        if not mount.get("readOnly") and mount["mountPath"] not in writable(name):
            yield f"may write to {mount['mountPath']}"
        if mount.get("mountPropagation") or mount["mountPath"].startswith("/sys"):
            yield f"mount {mount}"


def writable(container):
    return {"agent": (PINS, SOCKET), "cleanup": (PINS,), "serve": (SOCKET,)}.get(container, ())


def check_the_checks(cases):
    """Each rule finds a pod that breaks it."""
    base = of_kind(kustomize(os.path.join(KUBERNETES, "base")), "DaemonSet")[0]

    def spoil(change):
        daemon_set = copy.deepcopy(base)
        spec = daemon_set["spec"]["template"]["spec"]
        change(spec, {c["name"]: c for c in spec["containers"]})
        return list(findings_of_pod(daemon_set)) + list(complaints_of(daemon_set, "1.37"))

    for name, change in (
        ("privileged", lambda _, c: c["agent"]["securityContext"].update(privileged=True)),
        ("SYS_ADMIN", lambda _, c: c["agent"]["securityContext"]["capabilities"]["add"].append("SYS_ADMIN")),
        (
            "another capability for serve",
            lambda _, c: c["serve"]["securityContext"]["capabilities"]["add"].append("PERFMON"),
        ),
        ("nothing dropped", lambda _, c: c["serve"]["securityContext"]["capabilities"].pop("drop")),
        ("a root that can be written to", lambda _, c: c["serve"]["securityContext"].pop("readOnlyRootFilesystem")),
        ("serve as root", lambda _, c: c["serve"]["securityContext"].update(runAsUser=0)),
        ("latest", lambda _, c: c["serve"].update(image="synauthz:latest")),
        ("no tag", lambda _, c: c["serve"].update(image="synauthz")),
        ("pins that serve may write", lambda _, c: c["serve"]["volumeMounts"][1].pop("readOnly")),
        ("no seccomp", lambda s, _: s["securityContext"].pop("seccompProfile")),
        ("a token", lambda s, _: s.pop("automountServiceAccountToken")),
        ("hostPID", lambda s, _: s.update(hostPID=True)),
        ("a field that is none", lambda _, c: c["agent"].update(readynessProbe={})),
        ("a bad type", lambda s, _: s.update(hostNetwork="no")),
    ):
        cases.check(f"(the checks find {name})", spoil(change) != [])


# ------------------------------------------------------------------------------------------------- options


@functools.lru_cache
def options_of(verb):
    return set(re.findall(r"^\s+(?:-\w, )?--([a-z][a-z-]*)", sh(find_synauthz(), verb, "--help"), re.M))


def findings_of_options(daemon_set):
    for container in containers_of(daemon_set["spec"]["template"]["spec"]):
        verb, *arguments = container["args"]
        for argument in arguments:
            if not re.match(r"--[a-z-]+=", argument):
                yield f"{container['name']}: {argument} is not --option=value"
            elif argument[2:].split("=")[0] not in options_of(verb):
                yield f"{container['name']}: synauthz {verb} has no {argument}"


# ------------------------------------------------------------------------------------------------- what is in them


def check_node_service(cases, name, resources):
    daemon_set = of_kind(resources, "DaemonSet")[0]
    spec = daemon_set["spec"]["template"]["spec"]
    containers = {container["name"]: container for container in spec["containers"]}
    config = load_all(of_kind(resources, "ConfigMap")[0]["data"]["synauthz.yaml"])[0]
    cases.equal(f"{name}: two containers", set(containers), {"agent", "serve"})
    for verb in containers:
        unknown = set(config[verb]) - options_of(verb)
        cases.equal(f"{name}: synauthz {verb} knows what the file says to it", unknown, set())
        check_probes(cases, name, containers[verb])
    cases.equal(
        f"{name}: on the node's network only for its devices",
        spec["hostNetwork"],
        name == "node-device",
    )
    cases.equal(
        f"{name}: which decides the capture", config["agent"]["capture"], "auto" if spec["hostNetwork"] else "cgroup"
    )
    cases.equal(f"{name}: the pins are the reader's", config["agent"]["group"], READER)
    listens = [argument for argument in containers["serve"]["args"] if argument.startswith("--listen=")]
    inside = [f"--listen=unix:{SOCKET}/authz.sock,mode=0660,group=1337"]
    cases.equal(f"{name}: where it listens", listens, inside + ["--listen=$(POD_IP):9001"] * (name == "service"))
    cases.check(f"{name}: it may give its socket to that group", 1337 in spec["securityContext"]["supplementalGroups"])
    check_memory(cases, name, containers["agent"], config["agent"])
    if name == "service":
        check_service(cases, resources, daemon_set)


def check_probes(cases, name, container):
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    admin = next(argument for argument in container["args"] if argument.startswith("--admin="))
    for probe, page in (("startupProbe", "/livez"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")):
        request = container[probe]["httpGet"]
        cases.equal(
            f"{name}: the {probe} of {container['name']} asks where it answers",
            (request["path"], f"--admin=$(POD_IP):{ports[request['port']]}"),
            (page, admin),
        )


def check_memory(cases, name, agent, config):
    """The limit follows the maps; the bytes of an entry are in the manifest, and kernels are measured in pod.py."""
    pending, live = config["max-pending"] * 200, config["max-live"] * (340 + 260)
    limit = int(re.fullmatch(r"(\d+)Mi", agent["resources"]["limits"]["memory"]).group(1)) << 20
    cases.check(f"{name}: two sets of maps and the agent fit", 2 * (pending + live) + (32 << 20) <= limit, limit)
    cases.equal(
        f"{name}: and are reserved", agent["resources"]["requests"]["memory"], agent["resources"]["limits"]["memory"]
    )


def check_service(cases, resources, daemon_set):
    service = of_kind(resources, "Service")[0]["spec"]
    labels = daemon_set["spec"]["template"]["metadata"]["labels"]
    cases.equal("the Service stays on its node", service["internalTrafficPolicy"], "Local")
    cases.check("and selects the pods", service["selector"].items() <= labels.items(), labels)
    port = service["ports"][0]
    cases.equal("and tells Istio that it is gRPC", (port["appProtocol"], port["port"]), ("grpc", 9001))
    serve = daemon_set["spec"]["template"]["spec"]["containers"][1]
    targets = {port["name"]: port["containerPort"] for port in serve["ports"]}
    cases.equal("and leads to the server's port", targets.get(port["targetPort"]), 9001)
    for name, allowed in (("base", False), ("service", True)):
        policy = of_kind(kustomize(os.path.join(KUBERNETES, name)), "NetworkPolicy")[0]["spec"]
        opened = [port["port"] for rule in policy["ingress"] for port in rule["ports"]]
        cases.equal(f"{name}: gRPC is let through", "grpc" in opened, allowed)


def check_cleanup(cases, resources):
    spec = of_kind(resources, "DaemonSet")[0]["spec"]["template"]["spec"]
    base = of_kind(kustomize(os.path.join(KUBERNETES, "base")), "DaemonSet")[0]["spec"]["template"]["spec"]
    pins = [next(volume for volume in s["volumes"] if volume["name"] == "pins") for s in (spec, base)]
    cases.equal("cleanup: the same pins", pins[0], pins[1])
    cases.equal("cleanup: the same image", spec["containers"][0]["image"], base["containers"][0]["image"])


run_cases(main, private=False)
