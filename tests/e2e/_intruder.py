# SPDX-License-Identifier: Apache-2.0
"""Everything that somebody without privileges could try on an agent's pins, by raw system calls.

usage: _intruder.py PIN_DIR SET ELSEWHERE

Run as the reader: in the pins' group, without a capability.  ELSEWHERE is a folder of a bpffs, or "-".  Prints one JSON
list of [what was tried, what came of it]: the name of an errno, or "done".  What begins in capitals changes nothing.
"""

import ctypes
import errno
import fcntl
import json
import os
import struct
import sys

UPDATE, DELETE, PIN, GET = 2, 3, 6, 7
MAP_CREATE, PROG_LOAD = 0, 5
PROG_NEXT_ID, MAP_NEXT_ID, PROG_BY_ID, MAP_BY_ID, INFO = 11, 12, 13, 14, 15
LOOKUP_AND_DELETE, FREEZE, LOOKUP_AND_DELETE_BATCH, UPDATE_BATCH, DELETE_BATCH = 21, 22, 25, 26, 27
LINK_BY_ID, LINK_NEXT_ID = 30, 31
READ_WRITE, READ_ONLY, WRITE_ONLY = 0, 1 << 3, 1 << 4
NR_BPF = {"x86_64": 321, "aarch64": 280}[os.uname().machine]
READERS = ("live", "alias", "captured", "ports", "prefixes", "config", "meta", "counters")
NEW_USER, NEW_MOUNTS = 0x10000000, 0x20000
NOT_MAPPABLE = 524  # the kernel's ENOTSUPP, which is not for user space and has no name there

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
held = []  # memory that attributes point to


def bpf(command, attributes):
    """The result, or minus errno."""
    size = 128
    result = libc.syscall(NR_BPF, command, ctypes.create_string_buffer(attributes.ljust(size, b"\0"), size), size)
    return result if result >= 0 else -ctypes.get_errno()


def at(data):
    held.append(ctypes.create_string_buffer(data, len(data)))
    return ctypes.addressof(held[-1])


def get(path, flags):
    return bpf(GET, struct.pack("QII", at(path.encode() + b"\0"), 0, flags))


def pin(fd, path):
    return bpf(PIN, struct.pack("QII", at(path.encode() + b"\0"), fd, 0))


def element(command, fd):
    """An operation on one element, all zero; only a deletion has no value."""
    value = 0 if command == DELETE else at(b"\0" * 65536)
    return bpf(command, struct.pack("I4xQQ", fd, at(b"\0" * 64), value))


def batch(command, fd):
    return bpf(command, struct.pack("QQQQIIQQ", 0, at(b"\0" * 8), at(b"\0" * 64), at(b"\0" * 65536), 1, fd, 0, 0))


def map_id(fd):
    info = ctypes.create_string_buffer(128)
    bpf(INFO, struct.pack("IIQ", fd, 128, ctypes.addressof(info)))
    return struct.unpack_from("II", info)[1]


def map_memory(fd, protection):
    address = libc.mmap(None, 4096, protection, 1, fd, 0)
    return 0 if address != ctypes.c_void_p(-1).value else -ctypes.get_errno()


def word(result):
    if result == -NOT_MAPPABLE:
        return "ENOTSUPP"
    return errno.errorcode.get(-result, str(result)) if result < 0 else "done"


def of_system(function, *arguments):
    """The same for a call of Python's."""
    try:
        function(*arguments)
        return "done"
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))


def at_map(tried, fd, name, how):
    """Everything that would change a map, by a descriptor of it."""
    tried += [(f"update an element of {name}{how}", word(element(UPDATE, fd)))]
    tried += [(f"delete an element of {name}{how}", word(element(DELETE, fd)))]
    tried += [(f"take an element of {name}{how}", word(element(LOOKUP_AND_DELETE, fd)))]
    tried += [(f"update a batch of {name}{how}", word(batch(UPDATE_BATCH, fd)))]
    tried += [(f"delete a batch of {name}{how}", word(batch(DELETE_BATCH, fd)))]
    tried += [(f"take a batch of {name}{how}", word(batch(LOOKUP_AND_DELETE_BATCH, fd)))]
    tried += [(f"freeze {name}{how}", word(bpf(FREEZE, struct.pack("I", fd))))]
    tried += [(f"map {name} into memory for writing{how}", word(map_memory(fd, 3)))]


def opened_wrongly(tried, path, name):
    for flags, how in ((READ_WRITE, "reading and writing"), (WRITE_ONLY, "writing")):
        tried += [(f"open {name} for {how}", word(get(path, flags)))]


def on_maps(tried, folder):
    for name in READERS:
        path = f"{folder}/{name}"
        fd = get(path, READ_ONLY)
        tried += [(f"READ {name}", word(fd))]
        opened_wrongly(tried, path, name)
        at_map(tried, fd, name, "")
        tried += [(f"get {name} by its number", word(bpf(MAP_BY_ID, struct.pack("III", map_id(fd), 0, 0))))]
        tried += [(f"get {name} by its number for reading", word(bpf(MAP_BY_ID, struct.pack("III", map_id(fd), 0, 8))))]
        tried += [(f"pin {name} over another", word(pin(fd, f"{folder}/forged")))]
        os.close(fd)


def on_private_maps(tried, folder):
    for name in sorted(set(os.listdir(folder)) - set(READERS)):
        if not name.startswith(("link_", "prog_")):
            tried += [(f"PRIVATE {name}", "")]
            tried += [(f"open {name} for reading", word(get(f"{folder}/{name}", READ_ONLY)))]
            opened_wrongly(tried, f"{folder}/{name}", name)


def by_own_pins(tried, folder, elsewhere, where):
    """A pin of one's own, of a map that one may read, can be opened for writing: the map itself must refuse."""
    for name in READERS:
        own = f"{elsewhere}/intruder_{name}"
        fd = get(f"{folder}/{name}", READ_ONLY)
        tried += [(f"OWN PIN of {name}, {where}", word(pin(fd, own)))]
        os.close(fd)
        for flags, how in ((READ_WRITE, "for both"), (WRITE_ONLY, "for writing")):
            fd = get(own, flags)
            tried += [(f"OPEN own pin of {name}, {where}, {how}", word(fd))]
            if fd >= 0:
                at_map(tried, fd, name, f" by a pin of one's own, {where}, opened {how}")
                os.close(fd)
        of_system(os.unlink, own)


def in_own_namespace(tried, folder):
    """As root of a user namespace of one's own, with a bpffs of one's own, where the kernel lets everybody have that.

    In another process: there is no way back."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        found = []
        user, group = os.getuid(), os.getgid()
        if libc.unshare(NEW_USER | NEW_MOUNTS) == 0:
            for what, text in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
                with open(f"/proc/self/{what}", "w") as file:
                    file.write(text)
            if libc.mount(b"bpf", b"/mnt", b"bpf", 0, None) == 0:
                by_own_pins(found, folder, "/mnt", "in a namespace of one's own")
        os.write(write_end, json.dumps(found or [("OWN NAMESPACE", word(-ctypes.get_errno()))]).encode())
        os._exit(0)
    os.close(write_end)
    with open(read_end) as file:
        tried += json.load(file)
    os.waitpid(child, 0)


def on_programs(tried, folder):
    for name in os.listdir(folder):
        if name.startswith(("link_", "prog_")):
            for flags, how in ((READ_WRITE, "reading and writing"), (READ_ONLY, "reading"), (WRITE_ONLY, "writing")):
                tried += [(f"open {name} for {how}", word(get(f"{folder}/{name}", flags)))]
    for command, what in ((PROG_BY_ID, "program"), (LINK_BY_ID, "link")):
        tried += [(f"get a {what} by its number", word(bpf(command, struct.pack("III", 1, 0, 0))))]
    for command, what in ((PROG_NEXT_ID, "programs"), (MAP_NEXT_ID, "maps"), (LINK_NEXT_ID, "links")):
        tried += [(f"list {what}", word(bpf(command, struct.pack("III", 0, 0, 0))))]
    tried += [("make a map", word(bpf(MAP_CREATE, struct.pack("IIIII", 2, 4, 8, 1, 0))))]
    code = at(struct.pack("<BBHi", 0xB7, 0, 0, 2) + struct.pack("<BBHi", 0x95, 0, 0, 0))
    tried += [("load a program", word(bpf(PROG_LOAD, struct.pack("IIQQ", 6, 2, code, at(b"GPL\0")))))]


def on_files(tried, pin_dir, folder):
    for name in sorted(os.listdir(folder)):
        path = f"{folder}/{name}"
        tried += [(f"unlink {name}", of_system(os.unlink, path))]
        tried += [(f"rename {name}", of_system(os.rename, path, f"{folder}/moved"))]
        tried += [(f"chmod {name}", of_system(os.chmod, path, 0o666))]
        tried += [(f"chown {name}", of_system(os.chown, path, os.getuid(), os.getgid()))]
    tried += [("link a name to live", of_system(os.link, f"{folder}/live", f"{folder}/linked"))]
    tried += [("make a symbolic link", of_system(os.symlink, "live", f"{folder}/linked"))]
    tried += [("make a set", of_system(os.mkdir, f"{pin_dir}/v99"))]
    tried += [("remove the set", of_system(os.rmdir, folder))]
    tried += [("rename the set", of_system(os.rename, folder, f"{pin_dir}/v1"))]
    tried += [("rename the pin folder", of_system(os.rename, pin_dir, pin_dir + ".moved"))]
    tried += [("chmod the set", of_system(os.chmod, folder, 0o777))]
    tried += [("chmod the pin folder", of_system(os.chmod, pin_dir, 0o777))]
    for lock in ("lock", "lock-watch"):
        if os.path.lexists(f"{pin_dir}/{lock}"):
            tried += [(f"take {lock}", of_system(take_lock, f"{pin_dir}/{lock}"))]
    tried += [("unmount", word(-ctypes.get_errno() if libc.umount2(pin_dir.encode(), 2) < 0 else 0))]


def take_lock(path):
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(fd)


def main():
    pin_dir, name, elsewhere = sys.argv[1:]
    folder = f"{pin_dir}/{name}"
    tried = []
    on_maps(tried, folder)
    on_private_maps(tried, folder)
    if elsewhere != "-":
        by_own_pins(tried, folder, elsewhere, "on the host's bpffs")
    in_own_namespace(tried, folder)
    on_programs(tried, folder)
    on_files(tried, pin_dir, folder)
    print(json.dumps(tried))


main()
