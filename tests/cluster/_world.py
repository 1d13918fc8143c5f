# SPDX-License-Identifier: Apache-2.0
"""A small cluster: a client far away, two nodes, and pods with control groups of their own.

    client eth0 ---- router ---- eth0 node  ---- web, neighbour, redirect, tproxy, direct, cookies   (pods)
                       |          :  VXLAN, one device over IPv4 and one over IPv6
                       +-------- eth0 node2 ---- remote   (pod)

    web        what a Service of type NodePort leads to: SERVICE_PORT, and MASQUERADE_PORT with the source rewritten
    neighbour  a client on the same node                redirect   a sidecar's REDIRECT of everything to SIDECAR_PORT
    remote     a client behind the overlay              tproxy     the same by TPROXY
    direct     gets its packets by bpf_redirect_peer    cookies    answers every SYN with a SYN cookie

All routing is static, nothing waits for address detection; the addresses are random, because capture follows sockets
of all namespaces of the kernel and other tests may run beside this one.
"""

import os
import random
import re
import socket
import string
import struct

import _cgroup
from _bpf import attach_tcx, load_program
from _cases import SCRATCH, Namespace, Program, canonical, sh
from _resident import Resident

WEB_PORT, SIDECAR_PORT, SERVICE_PORT, MASQUERADE_PORT = 8080, 15006, 30080, 30081
VXLAN_PORT, OVERLAY_MTU = 4789, 1450
IPV4, IPV6 = "IPv4", "IPv6"
FAMILIES = (IPV4, IPV6)
CLIENTS, WIRE, PODS, PODS2, TUNNEL = range(5)  # the networks
ROUTER, NODE, NODE2 = 1, 11, 12  # hosts in WIRE and TUNNEL
PREFIX = {IPV4: 24, IPV6: 64}
NODE_PODS = ("web", "neighbour", "redirect", "tproxy", "direct", "cookies")
DEVICE = "eth0"

SERVICES = string.Template(
    """
table inet services {
  chain incoming {
    type nat hook prerouting priority dstnat
    ip daddr $node4 tcp dport { $service_port, $masquerade_port } dnat ip to $web4:$web_port
    ip6 daddr $node6 tcp dport { $service_port, $masquerade_port } dnat ip6 to [$web6]:$web_port
  }
  chain outgoing {
    type nat hook postrouting priority srcnat
    meta l4proto tcp ct original proto-dst $masquerade_port masquerade
  }
}
"""
)
REDIRECT = string.Template(
    """
table inet sidecar {
  chain incoming {
    type nat hook prerouting priority dstnat
    tcp dport $web_port redirect to :$sidecar_port
  }
}
"""
)
TPROXY = string.Template(
    """
table inet sidecar {
  chain incoming {
    type filter hook prerouting priority mangle
    iif eth0 tcp dport $web_port tproxy to :$sidecar_port meta mark set 1337 accept
  }
}
"""
)


class World:
    def __init__(self):
        self._net = random.randint(80, 199)
        self._base = random.randint(0, 30) * 8
        self.cgroup = _cgroup.Tree()
        names = ("client", "router", "node", "node2", "remote", *NODE_PODS)
        self.space = {name: Namespace(name) for name in names}
        for namespace in self.space.values():
            for which in ("all", "default"):
                namespace.sysctl(f"net.ipv6.conf.{which}.accept_dad", 0)
        self._make_wires()
        self._make_pods()
        self._make_overlay()
        self._translate()
        self._redirect_peer()
        pods = (*NODE_PODS, "node")  # that one with hostNetwork
        self.resident = {name: Resident(self.space[name], self.cgroup.sub("pods", name)) for name in pods}
        self.resident |= {name: Resident(self.space[name]) for name in ("client", "remote")}

    def new_pod(self, name, *cgroup):
        """A process more in the namespace of a pod, in a control group of its own."""
        return Resident(self.space[name], self.cgroup.sub(*cgroup))

    def start_in_pod(self, name, *argv):
        """A program in a pod: in its namespace and its control group."""
        join = ("sh", "-c", 'echo 0 >"$0/cgroup.procs" && exec "$@"', self.cgroup.sub("pods", name))
        return Program(name, self.space[name].inside(*join, *argv))

    # -------------------------------------------------------------------------------------------------- addresses

    def address(self, family, net, host):
        if family == IPV4:
            return f"10.{self._net}.{self._base + net}.{host}"
        return canonical(f"fd00:{self._net:x}:{self._base + net:x}::{host:x}")

    def network(self, family, net):
        return f"{self.address(family, net, 0)}/{PREFIX[family]}"

    def of_pod(self, family, name):
        return self.address(family, PODS, 2 + NODE_PODS.index(name))

    def of_client(self, family):
        return self.address(family, CLIENTS, 2)

    def of_node(self, family, name="node"):
        return self.address(family, WIRE, {"node": NODE, "node2": NODE2}[name])

    # -------------------------------------------------------------------------------------------------- the wires

    def _configure(self, name, *lines):
        """`ip` commands in one namespace."""
        batch = os.path.join(SCRATCH, f"{name}.ip")
        with open(batch, "w") as file:
            file.write("\n".join(lines) + "\n")
        self.space[name].ip("-batch", batch)

    def _join(self, a, device_a, b, device_b, mtu=1500):
        ends = f"link add {device_a} mtu {mtu} netns {a} type veth peer name {device_b} mtu {mtu} netns {b}"
        sh("ip", *ends.split())
        for name, device in ((a, device_a), (b, device_b)):
            self._configure(name, f"link set {device} up")

    def _give(self, name, device, net, host):
        self._configure(
            name,
            *(f"address add {self.address(f, net, host)}/{PREFIX[f]} dev {device} {nodad(f)}" for f in FAMILIES),
        )

    def _route(self, name, net, family, via, device=""):
        what = "default" if net is None else self.network(family, net)
        on = f"dev {device}" if device else ""
        self._configure(name, f"route add {what} via {via} {on}")

    def _make_wires(self):
        for name in ("router", "node", "node2"):
            for key in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
                self.space[name].sysctl(key, 1)
        self._configure("router", "link add wire type bridge", "link set wire up")
        self._join("client", DEVICE, "router", "clients")
        self._give("client", DEVICE, CLIENTS, 2)
        self._give("router", "clients", CLIENTS, ROUTER)
        self._give("router", "wire", WIRE, ROUTER)
        for name, host in (("node", NODE), ("node2", NODE2)):
            self.plug_in(name, host)
        for family in FAMILIES:
            self._route("client", None, family, self.address(family, CLIENTS, ROUTER))
            self._route("router", PODS, family, self.of_node(family))

    def plug_in(self, name="node", host=NODE):
        """The node's device, its addresses and its way to the clients; also after unplug()."""
        self._join(name, DEVICE, "router", f"to-{name}")
        self._configure("router", f"link set to-{name} master wire", "neighbour flush dev wire")
        self._give(name, DEVICE, WIRE, host)
        for family in FAMILIES:
            self._route(name, CLIENTS, family, self.address(family, WIRE, ROUTER))

    def unplug(self, name="node"):
        self._configure(name, f"link del {DEVICE}")

    # --------------------------------------------------------------------------------------------------- the pods

    def _make_pods(self):
        for name in NODE_PODS:
            self._make_pod("node", name, PODS, {family: self.of_pod(family, name) for family in FAMILIES})
        remote = {family: self.address(family, PODS2, 2) for family in FAMILIES}
        self._make_pod("node2", "remote", PODS2, remote, OVERLAY_MTU)

    def _make_pod(self, node, name, net, addresses, mtu=1500):
        """Routed, as most container networks do it: the pod has one address, and the node a route to it."""
        self._join(name, DEVICE, node, f"to-{name}", mtu)
        for family, address in addresses.items():
            gateway = self.address(family, net, 1)
            self._configure(node, f"address add {one(gateway)} dev to-{name} {nodad(family)}")
            self._configure(node, f"route add {one(address)} dev to-{name}")
            self._configure(
                name,
                f"address add {one(address)} dev {DEVICE} {nodad(family)}",
                f"route add {one(gateway)} dev {DEVICE}",
                f"route add default via {gateway} dev {DEVICE}",
            )

    def _make_overlay(self):
        """Two VXLAN devices: what is inside has the family of what is outside."""
        ends = (("node", NODE, NODE2, PODS2), ("node2", NODE2, NODE, PODS))
        for number, family in enumerate(FAMILIES, 42):
            for name, here, there, behind in ends:
                device = f"vxlan{number}"
                outside = (self.address(family, WIRE, host) for host in (here, there))
                self._configure(
                    name,
                    "link add {} mtu {} type vxlan id {} dstport {} local {} remote {} dev {}".format(
                        device, OVERLAY_MTU, number, VXLAN_PORT, *outside, DEVICE
                    ),
                    f"link set {device} up",
                    f"address add {self.address(family, TUNNEL, here)}/{PREFIX[family]} dev {device} {nodad(family)}",
                )
                self._route(name, behind, family, self.address(family, TUNNEL, there), device)

    # ------------------------------------------------------------------------------------------- what rewrites

    def _translate(self):
        ports = {"web_port": WEB_PORT, "sidecar_port": SIDECAR_PORT}
        ports |= {"service_port": SERVICE_PORT, "masquerade_port": MASQUERADE_PORT}
        for name in ("node", "node2"):
            addresses = {"web4": self.of_pod(IPV4, "web"), "web6": self.of_pod(IPV6, "web")}
            addresses |= {"node4": self.of_node(IPV4, name), "node6": self.of_node(IPV6, name)}
            self.space[name].sh("nft", SERVICES.substitute(addresses, **ports))
        self.space["redirect"].sh("nft", REDIRECT.substitute(ports))
        self.space["tproxy"].sh("nft", TPROXY.substitute(ports))
        for family in (("-4", "0.0.0.0/0"), ("-6", "::/0")):
            self.space["tproxy"].ip(family[0], "rule", "add", "fwmark", "1337", "lookup", "133")
            self.space["tproxy"].ip(family[0], "route", "add", "local", family[1], "dev", "lo", "table", "133")
        self.space["cookies"].sysctl("net.ipv4.tcp_syncookies", 2)

    def _redirect_peer(self):
        """On the node's device, before any agent has come: its hook has to stand in front of this one."""
        ipv6 = struct.unpack("=4I", socket.inet_pton(socket.AF_INET6, self.of_pod(IPV6, "direct")))
        program = load_program(
            "redirect_peer",
            DEVICE=self._index("node", "to-direct"),
            POD_IPV4=struct.unpack("=I", socket.inet_aton(self.of_pod(IPV4, "direct")))[0],
            POD_IPV6=",".join(map(str, ipv6)),
        )
        with self.space["node"].entered():
            self.redirect_link = attach_tcx(program, self._index("node", DEVICE))

    def cookies_accepted(self):
        """How many connections of the pod `cookies` came from a SYN cookie."""
        said = self.space["cookies"].sh("nstat", "-asz", "TcpExtSyncookiesRecv")
        return int(re.search(r"TcpExtSyncookiesRecv +(\d+)", said)[1])

    def _index(self, name, device):
        with self.space[name].entered():
            return socket.if_nametoindex(device)


def one(address):
    return f"{address}/{128 if ':' in address else 32}"


def nodad(family):
    return "nodad" if family == IPV6 else ""
