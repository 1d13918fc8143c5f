#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Becomes a container: a root of its own, mounts, user, groups and capabilities as a pod's manifest has them.

usage: _container.py SPEC.json     {"root", "mounts": [{"from", "to", "read_only"}], "setpriv": [...],
                                    "capabilities": [of the bounding set], "argv": [...]}

The root has the system's libraries and the program, /proc and a read-only /sys, as container runtimes have it, and no
/sys/fs of any kind.  Of a runtime's seccomp profile (RuntimeDefault) the part is here that depends on capabilities: which
calls are refused, whatever the user, unless the container's bounding set has the one that they are for.  AppArmor is not.
"""

import ctypes
import errno
import json
import os
import shutil
import sys

CLONE_NEWNS = 0x20000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 2, 4, 32, 4096, 16384, 1 << 18
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
# A classic BPF program: load the number of the call, compare, return.
LOAD_NUMBER, JUMP_IF_EQUAL, RETURN = (0x20, 0), 0x15, 0x06
ALLOW, REFUSE = 0x7FFF0000, 0x00050000  # or-ed with an errno
# By number, for the machines that tests run on.
CALLS = {
    "x86_64": {
        "bpf": 321,
        "perf_event_open": 298,
        "mount": 165,
        "umount2": 166,
        "setns": 308,
        "unshare": 272,
        "clone3": 435,
    },
    "aarch64": {
        "bpf": 280,
        "perf_event_open": 241,
        "mount": 40,
        "umount2": 39,
        "setns": 268,
        "unshare": 97,
        "clone3": 435,
    },
}[os.uname().machine]
OPENED_BY = {"bpf": "bpf", "perf_event_open": "perfmon"}  # the others: by sys_admin
SYSTEM = ("usr", "bin", "sbin", "lib", "lib64", "lib32")
libc = ctypes.CDLL(None, use_errno=True)


def check(result, what):
    if result != 0:
        sys.exit(f"container: {what}: {os.strerror(ctypes.get_errno())}")


def mount(source, target, kind=None, flags=0, data=None):
    texts = [text.encode() if text is not None else None for text in (source, target, kind, data)]
    check(libc.mount(texts[0], texts[1], texts[2], ctypes.c_ulong(flags), texts[3]), f"mount {source} on {target}")


def bind(source, target, read_only):
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    else:
        open(target, "w").close()
    mount(source, target, flags=MS_BIND)
    if read_only:
        mount(source, target, flags=MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID)


def system(root):
    """Directories of the system, links as links."""
    for name in SYSTEM:
        source, target = f"/{name}", os.path.join(root, name)
        if os.path.islink(source):
            os.symlink(os.readlink(source), target)
        elif os.path.isdir(source):
            bind(source, target, read_only=True)
    for folder in ("etc", "dev", "proc", "sys"):
        os.mkdir(os.path.join(root, folder))
    shutil.copy("/etc/ld.so.cache", os.path.join(root, "etc"))
    for device in ("null", "urandom"):
        bind(f"/dev/{device}", os.path.join(root, "dev", device), read_only=False)
    mount("proc", os.path.join(root, "proc"), "proc", MS_NOSUID | MS_NODEV)
    mount("sysfs", os.path.join(root, "sys"), "sysfs", MS_RDONLY | MS_NOSUID | MS_NODEV)


class Instruction(ctypes.Structure):
    _fields_ = [
        ("code", ctypes.c_uint16),
        ("if_true", ctypes.c_uint8),
        ("if_false", ctypes.c_uint8),
        ("k", ctypes.c_uint32),
    ]


class Filter(ctypes.Structure):
    _fields_ = [("length", ctypes.c_uint16), ("instructions", ctypes.POINTER(Instruction))]


def confine(capabilities):
    """The seccomp filter; it stays over execve()."""
    program = [Instruction(LOAD_NUMBER[0], 0, 0, LOAD_NUMBER[1])]
    for name, number in CALLS.items():
        if OPENED_BY.get(name, "sys_admin") not in capabilities:
            # programs try clone() where there is no clone3(), whose flags no filter can see
            error = errno.ENOSYS if name == "clone3" else errno.EPERM
            program += [Instruction(JUMP_IF_EQUAL, 0, 1, number), Instruction(RETURN, 0, 0, REFUSE | error)]
    program.append(Instruction(RETURN, 0, 0, ALLOW))
    array = (Instruction * len(program))(*program)
    check(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
    check(libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(Filter(len(program), array))), "seccomp")


def main():
    with open(sys.argv[1]) as file:
        spec = json.load(file)
    root = spec["root"]
    check(libc.unshare(CLONE_NEWNS), "unshare")
    mount(None, "/", flags=MS_REC | MS_PRIVATE)
    os.makedirs(root, exist_ok=True)
    mount("tmpfs", root, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755")
    system(root)
    for one in spec["mounts"]:
        bind(one["from"], root + one["to"], one["read_only"])
    program = "/" + os.path.basename(spec["argv"][0])
    bind(spec["argv"][0], root + program, read_only=True)
    mount(None, root, flags=MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID)
    os.chroot(root)
    os.chdir("/")
    confine(spec["capabilities"])
    os.execv("/usr/bin/setpriv", ["setpriv", *spec["setpriv"], "--", program, *spec["argv"][1:]])


main()
