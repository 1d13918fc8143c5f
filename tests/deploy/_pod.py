# SPDX-License-Identifier: Apache-2.0
"""A small kubelet: runs the pod of a DaemonSet, each container as the manifest says, on a node that is a lab.

The node's folders (hostPath) are below NODE; kubelet makes those that it is to make as root's, 0755.
"""

from _deploy import *

NODE = os.path.join(SCRATCH, "node")
CONTAINER = os.path.join(DEPLOY_TESTS, "_container.py")


class Node:
    """Folders that stand for the node's; `cgroup` is the control group whose processes are the node's."""

    def __init__(self, cgroup):
        # As systemd mounts it: nobody but root gets through the top of it.
        os.makedirs(f"{NODE}/sys/fs/bpf")
        sh("mount", "-t", "bpf", "-o", "mode=700", "bpf", f"{NODE}/sys/fs/bpf")
        self.known = {"/sys/fs/cgroup": cgroup}

    def folder(self, host_path):
        """What a hostPath volume gives."""
        path, kind = host_path["path"], host_path["type"]
        if path in self.known:
            return self.known[path]
        if kind == "DirectoryOrCreate" and not os.path.isdir(NODE + path):
            before = os.umask(0o022)
            os.makedirs(NODE + path)
            os.umask(before)
        return NODE + path


class Pod:
    """`resources`: of a composition; the pod is that of its DaemonSet."""

    def __init__(self, node, namespace, address, resources):
        self.namespace, self.address = namespace, address
        template = next(r for r in resources if r["kind"] == "DaemonSet")["spec"]["template"]
        self.spec = template["spec"]
        self.volumes = {volume["name"]: self.source(node, volume, resources) for volume in self.spec["volumes"]}

    @staticmethod
    def source(node, volume, resources):
        if "hostPath" in volume:
            return node.folder(volume["hostPath"])
        name = volume["configMap"]["name"]
        data = next(r for r in resources if name_of(r) == f"ConfigMap/{name}")["data"]
        folder = os.path.join(SCRATCH, name)
        os.makedirs(folder, 0o755, exist_ok=True)
        for file, text in data.items():
            with open(os.path.join(folder, file), "w") as out:
                out.write(text)
            os.chmod(os.path.join(folder, file), 0o644)
        return folder

    def container(self, name):
        containers = self.spec.get("initContainers", []) + self.spec["containers"]
        return next(container for container in containers if container["name"] == name)

    def start(self, name):
        """The container's program."""
        container = self.container(name)
        values = {"POD_IP": self.address}
        arguments = [re.sub(r"\$\((\w+)\)", lambda found: values[found.group(1)], text) for text in container["args"]]
        mounts = [
            {"from": self.volumes[mount["name"]], "to": mount["mountPath"], "read_only": mount.get("readOnly", False)}
            for mount in container["volumeMounts"]
        ]
        spec = {
            "root": os.path.join(SCRATCH, f"root-{name}-{time.monotonic_ns()}"),
            "mounts": mounts,
            "setpriv": self.credentials(container),
            "capabilities": capabilities_of(container),
            "argv": [find_synauthz(), *arguments],
        }
        path = spec["root"] + ".json"
        with open(path, "w") as file:
            json.dump(spec, file)
        return Program(name, self.namespace.inside(sys.executable, CONTAINER, path))

    def credentials(self, container):
        context = container["securityContext"]
        groups = self.spec["securityContext"].get("supplementalGroups", [])
        added = [f"+{capability}" for capability in capabilities_of(container)]
        return [
            *("--reuid", str(context["runAsUser"]), "--regid", str(context["runAsGroup"])),
            *(("--groups", ",".join(map(str, groups))) if groups else ("--clear-groups",)),
            *("--inh-caps=-all", "--bounding-set=" + ",".join(["-all", *added]), "--no-new-privs"),
        ]

    def probe(self, name, kind):
        """(status, text) that a probe of the container gets."""
        container = self.container(name)
        request = container[kind]["httpGet"]
        port = next(port["containerPort"] for port in container["ports"] if port["name"] == request["port"])
        with self.namespace.entered():
            connection = http.client.HTTPConnection(
                self.address, port, timeout=container[kind].get("timeoutSeconds", 1)
            )
            try:
                connection.request("GET", request["path"])
                response = connection.getresponse()
                return response.status, response.read().decode()
            except OSError as error:  # as for kubelet: nobody there, or too slow
                return 0, str(error)

    def wait_for(self, program, name, kind, seconds=20):
        """Until the probe succeeds; the program's output if it does not."""

        def succeeds():
            if not program.runs():
                raise LabError(f"{name} ended with {program.process.returncode}:\n{program.output()[-3000:]}")
            return self.probe(name, kind)[0] == 200

        wait_until(succeeds, seconds, f"the {kind} of {name}: {self.probe(name, kind)}\n{program.output()[-3000:]}")


def capabilities_of(container):
    return [name.lower() for name in container["securityContext"]["capabilities"].get("add", [])]
