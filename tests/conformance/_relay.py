# SPDX-License-Identifier: Apache-2.0
"""A unix socket that leads to a server outside the private namespaces that the suite runs in."""

import os
import socket
import threading

from _peer import Listener, listen_unix


def address_of(text):
    """(family, address) of `unix:PATH`, `unix:@NAME`, `HOST:PORT` or `[IPV6]:PORT`."""
    if text.startswith("unix:"):
        path = text[len("unix:") :]
        return socket.AF_UNIX, "\0" + path[1:] if path.startswith("@") else os.path.abspath(path)
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit():
        raise ValueError(f"{text!r} is no server's address: unix:PATH, unix:@NAME or HOST:PORT")
    family, _, _, _, address = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)[0]
    return family, address


def relay(path, target):
    """Listens on `path` as long as this process lives.  Raises OSError if nobody answers at the target."""
    family, address = address_of(target)
    with socket.socket(family) as probe:
        probe.settimeout(5)
        probe.connect(address)

    def on_connection(near, _number):
        far = socket.socket(family)
        try:
            far.connect(address)
        except OSError:
            near.close()
            return
        threading.Thread(target=_copy, args=(far, near), daemon=True).start()
        _copy(near, far)

    return Listener(listen_unix(path), on_connection)


def _copy(source, sink):
    try:
        while data := source.recv(1 << 16):
            sink.sendall(data)
    except OSError:
        pass
    for end in (source, sink):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
