# SPDX-License-Identifier: Apache-2.0
"""Other people's BPF programs, two instructions long, and a seccomp filter: what may be in the agent's way."""

import ctypes
import errno
import os
import platform
import struct

SYS_BPF = {"x86_64": 321, "aarch64": 280}[platform.machine()]
SYS_REBOOT = {"x86_64": 169, "aarch64": 142}[platform.machine()]
PROG_LOAD, PROG_ATTACH, LINK_CREATE = 5, 8, 28
TYPE_CGROUP_SKB, TYPE_XDP = 8, 6
CGROUP_INET_INGRESS, XDP = 0, 37
XDP_GENERIC = 1 << 1
libc = ctypes.CDLL(None, use_errno=True)


def bpf(command, attributes):
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    result = libc.syscall(SYS_BPF, command, buffer, len(attributes))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"bpf({command}): {os.strerror(number)}")
    return result


def load(kind, value, name):
    """A program that returns `value` at once: r0 = value; exit."""
    code = ctypes.create_string_buffer(struct.pack("=BBhiBBhi", 0xB7, 0, 0, value, 0x95, 0, 0, 0))
    license_text = ctypes.create_string_buffer(b"GPL")
    attributes = struct.pack(
        "=IIQQIIQII16s",
        kind,
        2,
        ctypes.addressof(code),
        ctypes.addressof(license_text),
        0,
        0,
        0,
        0,
        0,
        name.encode(),
    )
    return bpf(PROG_LOAD, attributes)


def occupy_xdp(device, name="foreign_xdp"):
    """Attaches a program to a device (its index, in this thread's namespace); closing the link's descriptor ends it."""
    program = load(TYPE_XDP, 2, name)
    try:
        return bpf(LINK_CREATE, struct.pack("=IIII", program, device, XDP, XDP_GENERIC))
    finally:
        os.close(program)


def occupy_cgroup(path):
    """Attaches a program that allows no other beside it; it goes with the control group."""
    program = load(TYPE_CGROUP_SKB, 1, "foreign_cgroup")
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        bpf(PROG_ATTACH, struct.pack("=IIII", folder, program, CGROUP_INET_INGRESS, 0))
    finally:
        os.close(folder)
        os.close(program)


def refuse(system_call):
    """For preexec_fn: a seccomp filter that answers EPERM to one system call and lets everything else pass."""

    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]

    load_word, jump_if_equal, give = 0x20, 0x15, 0x06
    allow, fail = 0x7FFF0000, 0x00050000 | errno.EPERM
    code = struct.pack(
        "=HBBIHBBIHBBIHBBI",
        *(load_word, 0, 0, 0),  # the number of the call
        *(jump_if_equal, 0, 1, system_call),
        *(give, 0, 0, fail),
        *(give, 0, 0, allow),
    )

    def apply():
        held = ctypes.create_string_buffer(code, len(code))
        program = Program(4, ctypes.addressof(held))
        no_new_privs, set_seccomp, filter_mode = 38, 22, 2
        if libc.prctl(no_new_privs, 1, 0, 0, 0) or libc.prctl(set_seccomp, filter_mode, ctypes.byref(program)):
            raise OSError(ctypes.get_errno(), "seccomp")

    return apply
