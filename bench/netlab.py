# SPDX-License-Identifier: Apache-2.0
"""Two network namespaces joined by a veth pair, without names: they end with the processes and sockets in them.

This process stands in the server's, and so does what it starts; the client's is entered for single sockets.
"""
import ctypes
import os
import socket
import subprocess

DEVICE, PEER = "bench0", "bench1"
SERVER, CLIENT = "10.203.9.1", "10.203.9.2"
CLONE_NEWNET = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)


def checked(result):
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def ip(*argv, **more):
    subprocess.run(["ip", *argv], check=True, **more)


class NetLab:
    def __init__(self):
        self.client = self._new_namespace()
        self.server = self._new_namespace()     # and here we stay
        ip("link", "set", "lo", "up")
        ip("link", "add", DEVICE, "type", "veth", "peer", "name", PEER, "netns", f"/proc/self/fd/{self.client}", pass_fds=[self.client])
        self._up(DEVICE, SERVER)
        checked(libc.setns(self.client, CLONE_NEWNET))
        self._up(PEER, CLIENT)
        checked(libc.setns(self.server, CLONE_NEWNET))

    @staticmethod
    def _new_namespace():
        checked(libc.unshare(CLONE_NEWNET))
        return os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)

    @staticmethod
    def _up(device, address):
        ip("address", "add", f"{address}/24", "dev", device)
        ip("link", "set", device, "up")

    def connect(self, port):
        """A real connection from the client's side: (the client's socket, the server's)."""
        with socket.create_server((SERVER, port)) as listener:
            checked(libc.setns(self.client, CLONE_NEWNET))
            try:
                client = socket.create_connection((SERVER, port), timeout=5)
            finally:
                checked(libc.setns(self.server, CLONE_NEWNET))
            return client, listener.accept()[0]
