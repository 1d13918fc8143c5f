# SPDX-License-Identifier: Apache-2.0
"""A process that lives in a network namespace and a control group and opens sockets there, as it is told.

It is a fork of ours that reads one JSON object per line and answers with one.  Sockets belong to the control group and
the network namespace of the process that made them, which is what the kernel's hooks go by; so they are made there.
"""

import itertools
import json
import os
import select
import socket
import struct
import traceback

from _cases import LabError, canonical

SO_ORIGINAL_DST = IP6T_SO_ORIGINAL_DST = 80
IP_TRANSPARENT, IPV6_TRANSPARENT = 19, 75


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


class Resident:
    """The parent's side.  Sockets are numbers here."""

    def __init__(self, namespace, cgroup=None):
        self.namespace, self.cgroup = namespace, cgroup
        ours, theirs = socket.socketpair()
        self.pid = os.fork()
        if self.pid == 0:
            ours.close()
            _live(theirs, namespace, cgroup)
        theirs.close()
        self.lines = ours.makefile("rw")
        ours.close()  # the lines hold it

    def ask(self, operation, **arguments):
        self.lines.write(json.dumps({"do": operation, **arguments}) + "\n")
        self.lines.flush()
        answer = json.loads(self.lines.readline() or '{"error": "it has died"}')
        if "error" in answer:
            raise LabError(f"{operation} {arguments} in {self.namespace.name}: {answer['error']}")
        return answer

    def listen(self, address, port, transparent=False, dual=False):
        """`dual`: at "::", also for IPv4."""
        return self.ask("listen", address=address, port=port, transparent=transparent, dual=dual)["socket"]

    def connect(self, address, port, source_port=0):
        """{"socket", "local": (address, port)}"""
        return self.ask("connect", address=address, port=port, source_port=source_port)

    def accept(self, listener):
        """{"socket", "peer", "local", "original"}: what accept(), getsockname() and SO_ORIGINAL_DST say."""
        return self.ask("accept", socket=listener)

    def close(self, number, reset=False):
        self.ask("close", socket=number, reset=reset)

    def close_all(self):
        self.ask("close_all")

    def end(self):
        self.lines.close()
        os.waitpid(self.pid, 0)


# ------------------------------------------------------------------------------------------------ the child's side


def _live(commands, namespace, cgroup):
    try:
        if cgroup:
            with open(os.path.join(cgroup, "cgroup.procs"), "w") as file:
                file.write("0")
        with namespace.entered():
            _obey(commands.makefile("rw"))
    except BaseException:
        traceback.print_exc()
    os._exit(0)


def _obey(lines):
    sockets = _Sockets()
    for line in lines:
        arguments = json.loads(line)
        try:
            answer = getattr(sockets, arguments.pop("do"))(**arguments) or {}
        except OSError as error:
            answer = {"error": str(error)}
        lines.write(json.dumps(answer) + "\n")
        lines.flush()


class _Sockets:
    def __init__(self):
        self.numbers, self.open = itertools.count(), {}

    def _keep(self, made):
        number = next(self.numbers)
        self.open[number] = made
        return number

    def listen(self, address, port, transparent, dual):
        made = socket.socket(family_of(address), socket.SOCK_STREAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if made.family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(not dual))
        if transparent and made.family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, IPV6_TRANSPARENT, 1)
        elif transparent:
            made.setsockopt(socket.SOL_IP, IP_TRANSPARENT, 1)
        made.bind((address, port))
        made.listen(64)
        return {"socket": self._keep(made)}

    def connect(self, address, port, source_port):
        made = socket.socket(family_of(address), socket.SOCK_STREAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.settimeout(5)
        if source_port:
            made.bind(("", source_port))
        made.connect((address, port))
        return {"socket": self._keep(made), "local": made.getsockname()[:2]}

    def accept(self, **arguments):
        listener = self.open[arguments["socket"]]
        if not select.select([listener], [], [], 5)[0]:
            raise OSError("nobody came")
        made, peer = listener.accept()
        return {
            "socket": self._keep(made),
            "peer": peer[:2],
            "local": made.getsockname()[:2],
            "original": original_destination(made, peer[0]),
        }

    def close(self, reset, **arguments):
        made = self.open.pop(arguments["socket"])
        if reset:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        made.close()

    def close_all(self):
        while self.open:
            self.open.popitem()[1].close()


def original_destination(connection, peer):
    """(address, port) before REDIRECT, None where nothing was translated: as Envoy's original_dst filter asks."""
    mapped = peer.startswith("::ffff:")
    try:
        if connection.family == socket.AF_INET or mapped:
            raw = connection.getsockopt(socket.SOL_IP, SO_ORIGINAL_DST, 16)
            return socket.inet_ntop(socket.AF_INET, raw[4:8]), struct.unpack(">H", raw[2:4])[0]
        raw = connection.getsockopt(socket.IPPROTO_IPV6, IP6T_SO_ORIGINAL_DST, 28)
        return canonical(socket.inet_ntop(socket.AF_INET6, raw[8:24])), struct.unpack(">H", raw[2:4])[0]
    except OSError:
        return None
