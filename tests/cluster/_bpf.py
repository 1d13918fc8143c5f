# SPDX-License-Identifier: Apache-2.0
"""The test's own BPF programs: compiled and loaded when they are needed, gone with the lab."""

import ctypes
import os
import platform
import struct

from _cases import SCRATCH, LabError, sh

HERE = os.path.dirname(os.path.abspath(__file__))
BPF_SYSCALL = {"x86_64": 321, "aarch64": 280}
OBJ_GET, LINK_CREATE = 7, 28
TCX_INGRESS = 46
libc = ctypes.CDLL(None, use_errno=True)


def _bpf(command, attributes):
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    result = libc.syscall(BPF_SYSCALL[platform.machine()], command, buffer, len(attributes))
    if result < 0:
        raise LabError(f"bpf({command}): {os.strerror(ctypes.get_errno())}")
    return result


def load_program(name, **defines):
    """Compiles NAME.bpf.c with these macros and loads it; returns its descriptor."""
    folder = os.path.join(SCRATCH, "bpffs")
    if not os.path.ismount(folder):
        os.makedirs(folder, exist_ok=True)
        sh("mount", "-t", "bpf", "bpf", folder)
    compiled, pin = os.path.join(SCRATCH, f"{name}.o"), os.path.join(folder, name)
    sh(
        "clang-14",
        *("-O2", "-g", "-Wall", "-Werror", "-target", "bpf", f"-I/usr/include/{platform.machine()}-linux-gnu"),
        *(f"-D{key}={value}" for key, value in defines.items()),
        *("-c", os.path.join(HERE, f"{name}.bpf.c"), "-o", compiled),
    )
    sh("bpftool", "prog", "load", compiled, pin)
    path = ctypes.create_string_buffer(pin.encode())
    return _bpf(OBJ_GET, struct.pack("=QII", ctypes.addressof(path), 0, 0))


def attach_tcx(program, device):
    """Hangs a program on the ingress of a device (its index, in the present namespace); returns the link."""
    return _bpf(LINK_CREATE, struct.pack("=IIIIIIQ", program, device, TCX_INGRESS, 0, 0, 0, 0))
