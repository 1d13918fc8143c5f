#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The BPF programs observe and do nothing else: no packet is dropped, changed or sent elsewhere, no socket is touched.

usage: tests/observe_only.py [BUILD]

Reads the sources, and the BPF objects of the build tree BUILD or of all trees in it, against lists of what is allowed.
What it cannot read is refused.  Then it breaks copies of the sources, and objects compiled from those, in every way it
knows, and each must be refused with the right words.  Prints a line for each check and `N passed, M failed`.

One program is no observer: the keeper, which writes the maps of ours that user space cannot.  It may call what handles
maps and reads its input, and nothing else; and no code here attaches what could be attached.

Storing to a packet takes no call, so it is not seen here: kernel/frames_test compares the bytes of each frame.
"""

import collections
import glob
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# ---------------------------------------------------------------------------------------------------- what is allowed

Program = collections.namedtuple("Program", "returns value why")

PROGRAMS = {  # by the section that says what they are attached to
    "xdp": Program("XDP_PASS", 2, "reads each packet; XDP_PASS hands it on, anything else (0 too) would not"),
    "tc": Program("TC_ACT_UNSPEC", -1, "reads each packet; -1, tcx' TCX_NEXT, leaves it to whoever comes next"),
    "cgroup_skb/ingress": Program("1", 1, "reads each packet for a socket; 1 lets it through, 0 would not"),
    "tp_btf/inet_sock_set_state": Program("0", 0, "is told that a socket changes; the kernel ignores its answer"),
    "tp_btf/tcp_destroy_sock": Program("0", 0, "is told that a socket ends; the kernel ignores its answer"),
    "socket": Program(None, None, "the keeper: attached to nothing, sees what it is run with, and answers who runs it"),
}
KEEPER, KEEPER_SOURCE = "socket", "bpf/prog/keeper.bpf.c"
DATA = {
    ".maps": "all that the programs write, and user space reads",
    "license": "the kernel wants to know",
}
COMPILED = {  # sections that the compiler makes without a SEC()
    ".text": "functions that the programs call",
    ".rodata": "constants, set by the loader before the kernel freezes them",
}
LICENCE = "Dual BSD/GPL"

HELPERS = {
    1: ("bpf_map_lookup_elem", "reads maps"),
    2: ("bpf_map_update_elem", "writes maps"),
    3: ("bpf_map_delete_elem", "writes maps"),
    46: ("bpf_get_socket_cookie", "a socket's number; the kernel may draw it now"),
    125: ("bpf_ktime_get_boot_ns", "a clock"),
    131: ("bpf_ringbuf_reserve", "takes room in a map of the kind that is a queue"),
    132: ("bpf_ringbuf_submit", "hands that over to its reader"),
    137: ("bpf_skc_to_tcp_sock", "the same socket by another type, still read-only"),
    188: ("bpf_xdp_get_buff_len", "the length of the packet"),
}
KEEPER_HELPERS = {
    **{number: HELPERS[number] for number in (1, 2, 3)},
    26: ("bpf_skb_load_bytes", "reads its own input, which is no packet"),
}
MACROS = ("bpf_htonl", "bpf_htons", "bpf_ntohl", "bpf_ntohs")  # byte order only

# Sections that only describe the others.
DESCRIPTIVE = r"|\.strtab|\.symtab|\.llvm_addrsig|\.debug_\w+|\.BTF(\.ext)?"

DIRECTIVES = ("include", "define", "ifdef", "ifndef", "if", "else", "endif", "pragma")

# ---------------------------------------------------------------------------------------------------- the sources

SOURCE_CHECKS, OBJECT_CHECKS = [], []


def check(checks, name):
    def register(function):
        checks.append((name, function))
        return function

    return register


COMMENT = r"/\*.*?\*/|//[^\n]*"
LITERAL = r""""(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'"""


def blank(text):
    return re.sub(r"[^\n]", " ", text)


def without_comments(text):
    """C as the compiler sees it; each token stays in its line unless a line is continued."""
    lines = text.replace("\\\n", "")
    return re.sub(f"{COMMENT}|({LITERAL})", lambda match: match[1] or blank(match[0]), lines, flags=re.S)


def kernel_code(tree):
    """(path, code) of all that is compiled for the kernel."""
    for path, text in tree.items():
        if path.startswith(("bpf/prog/", "bpf/shared/")):
            yield path, without_comments(text)


def place(path, code, position):
    start, end = code.rfind("\n", 0, position) + 1, code.find("\n", position)
    return f"{path}:{code.count(chr(10), 0, position) + 1}: {code[start : end if end >= 0 else None].strip()}"


def matches(files, pattern, message):
    for path, code in files:
        for match in re.finditer(pattern, code, re.M):
            yield f"{place(path, code, match.start())}: {message}"


def sections(code):
    """(position of SEC, name, position behind it); the name is None where it cannot be read."""
    for match in re.finditer(r"\bSEC\b", code):
        named = re.compile(r'\("([^"\\]*)"\)').match(code, match.end())
        in_directive = code[code.rfind("\n", 0, match.start()) + 1 :].lstrip().startswith("#")
        readable = named and not in_directive
        yield match.start(), named[1] if readable else None, named.end() if readable else match.end()


@check(SOURCE_CHECKS, "each SEC() names an allowed section")
def source_sections(tree):
    for path, code in kernel_code(tree):
        for position, name, _ in sections(code):
            if name is None:
                yield f'{place(path, code, position)}: only SEC("name") can be read'
            elif name not in PROGRAMS and name not in DATA:
                yield f"{place(path, code, position)}: section {name} is not allowed"


@check(SOURCE_CHECKS, "nothing else chooses a section, and all that is compiled is read")
def source_tricks(tree):
    files = list(kernel_code(tree))
    yield from matches(files, r"\b_*section_*\b|\b_*asm_*\b|\b__k(sym|config)\b", "only SEC() chooses sections")
    yield from matches(files, r"##|%:", "names that are put together cannot be read")
    yield from matches(files, rf"^[ \t]*#(?![ \t]*({'|'.join(DIRECTIVES)})\b)", "a directive that cannot be read")
    ours = {os.path.basename(path) for path, _ in files}
    for path, code in files:
        for match in re.finditer(r"^[ \t]*#[ \t]*include\b[ \t]*(.*?)[ \t]*$", code, re.M):
            name = match[1].strip('"') if match[1].startswith('"') else ""
            if name not in ours and not re.fullmatch(r"<(linux|bpf)/\w+\.h>", match[1]):
                yield f"{place(path, code, match.start())}: neither ours nor of the kernel's interface"


@check(SOURCE_CHECKS, "the sources call allowed helpers only")
def source_helpers(tree):
    for path, code in kernel_code(tree):
        helpers = KEEPER_HELPERS if path == KEEPER_SOURCE else HELPERS
        allowed = {name for name, _ in helpers.values()} | set(MACROS)
        code = re.sub(r"^[ \t]*#[ \t]*include\b.*", "", code, flags=re.M)
        for match in re.finditer(r"\bbpf_\w+", code):
            if match[0] not in allowed:
                yield f"{place(path, code, match.start())}: {match[0]} is not allowed"


def function_body(code, start):
    """The body of the function that begins at `start`, without its last brace; None if there is none."""
    code = re.sub(LITERAL, lambda match: blank(match[0]), code)
    head = re.compile(r"\s*int \w+\([^()]*\)\s*\{").match(code, start)
    depth = 1
    for brace in re.finditer(r"[{}]", code[head.end() :] if head else ""):
        depth += 1 if brace[0] == "{" else -1
        if depth == 0:
            return code[head.end() : head.end() + brace.start()]
    return None


@check(SOURCE_CHECKS, "the programs return what lets everything go on")
def source_returns(tree):
    missing = set(PROGRAMS)
    for path, code in kernel_code(tree):
        for position, name, end in sections(code):
            if name not in PROGRAMS:
                continue
            missing.discard(name)
            if (name == KEEPER) != (path == KEEPER_SOURCE):
                yield f"{place(path, code, position)}: {KEEPER_SOURCE} is the keeper, and nothing else"
            body, allowed = function_body(code, end), PROGRAMS[name].returns
            returns = re.findall(r"\breturn\b\s*([^;]*?)\s*;", body or "")
            if not returns or not re.search(r"\n    return [^;]*;\s*\Z", body):
                yield f"{place(path, code, position)}: a function that ends with a return is expected"
            for value in returns:
                if value != allowed and name != KEEPER:
                    yield f"{place(path, code, position)}: returns {value}, not {allowed}"
    for name in missing:
        yield f"no program in section {name} found"
    yield from matches(kernel_code(tree), r"^[ \t]*#.*\breturn\b", "a macro that returns cannot be read")
    for name in ("XDP_PASS", "TC_ACT_UNSPEC"):
        prefix, _, allowed = name.rpartition("_")
        verdicts = rf"\b{prefix}_(?!{allowed}\b)[A-Z]\w*|(?<!return )\b{name}\b"
        yield from matches(kernel_code(tree), verdicts, f"only `return {name}`")
    yield from matches(kernel_code(tree), r"\b(TCX|SK)_[A-Z]+\b", "a verdict by another name")


@check(SOURCE_CHECKS, "each program says its licence")
def source_licence(tree):
    for path, code in kernel_code(tree):
        said = re.findall(r'\bSEC\("license"\)\s*=\s*"(.*?)";', code)
        if path.endswith(".bpf.c") and said != [LICENCE]:
            yield f'{path}: expected one SEC("license") = "{LICENCE}"'


@check(SOURCE_CHECKS, "user space loads the objects inside the binary, as they were built, and no others")
def source_loader(tree):
    files = [(path, without_comments(text)) for path, text in tree.items() if path.startswith(("authz/", "bpf/host/", "bpf/node/", "bpf/probe/", "bpf/reader/"))]
    loads = r"bpf_object__open|bpf_prog_load|bpf_load_program|BPF_PROG_LOAD|bpf_linker__|libbpf_register_prog_handler"
    alters = r"bpf_program__set_(insns|type|expected_attach_type|attach_target)"
    yield from matches(files, rf"\b({loads}|{alters})\w*", "only the embedded objects are loaded, unaltered")
    yield from matches(files, r"\bSO_ATTACH_\w+", "the keeper is attached to nothing")
    option = r"([a-z-]+-)?(bpf|object|obj|elf|program|prog)(-[a-z-]+)?"
    yield from matches(files, rf'\.name = "{option}"|"[^"\n]*\.bpf\.o\b', "no option names an object")


# ---------------------------------------------------------------------------------------------------- the objects

Section = collections.namedtuple("Section", "name flags bytes")
Symbol = collections.namedtuple("Symbol", "name kind section")
Instruction = collections.namedtuple("Instruction", "opcode to source offset immediate")
WRITABLE, EXECUTABLE = 1, 4  # flags of sections
SYMBOLS, NO_BYTES = 2, 8  # kinds of sections
FILE_NAME = 4  # a kind of symbol, which is of no section
CALL, CALL_REGISTER, EXIT, LOAD_64, JUMP, JUMP_FAR = 0x85, 0x8D, 0x95, 0x18, 0x05, 0x06
MOVE_CONSTANT, MOVE_REGISTER = (0xB4, 0xB7), (0xBC, 0xBF)


def text_at(strings, offset):
    return strings[offset : strings.index(b"\0", offset)].decode()


def content_of(data, header):
    _, kind, _, _, offset, size, *_ = header
    if kind != NO_BYTES and offset + size > len(data):
        raise ValueError("cut off")
    return data[offset : offset + size] if kind != NO_BYTES else b""


class Object:
    """A BPF object, as far as it matters here.  ValueError or struct.error says that it is none."""

    def __init__(self, data):
        if data[:6] != b"\x7fELF\x02\x01" or struct.unpack_from("<HH", data, 16) != (1, 247):
            raise ValueError("no relocatable little-endian ELF64 file for BPF")
        (table,) = struct.unpack_from("<Q", data, 40)
        size, count, names = struct.unpack_from("<HHH", data, 58)
        if size != 64 or names >= count:
            raise ValueError("section headers cannot be read")
        headers = [struct.unpack_from("<IIQQQQIIQQ", data, table + i * size) for i in range(count)]
        contents = [content_of(data, header) for header in headers]
        self.sections, self.symbols = [], []
        for (name, kind, flags, _, _, _, link, *_), content in zip(headers, contents):
            self.sections.append(Section(text_at(contents[names], name), flags, content))
            if kind == SYMBOLS:
                for entry in struct.iter_unpack("<IBBHQQ", content):
                    self.symbols.append(Symbol(text_at(contents[link], entry[0]), entry[1] & 15, entry[3]))

    def code(self):
        """(section's name, {slot: instruction}) of each section with code."""
        for section in self.sections:
            if section.flags & EXECUTABLE:
                yield section.name, instructions(section.bytes)


def instructions(code):
    found, second_half = {}, False
    for slot, (opcode, registers, offset, immediate) in enumerate(struct.iter_unpack("<BBhi", code)):
        if not second_half:
            found[slot] = Instruction(opcode, registers & 15, registers >> 4, offset, immediate)
        second_half = not second_half and opcode == LOAD_64
    return found


@check(OBJECT_CHECKS, "each section of the objects is allowed, and only maps can be written")
def object_sections(elf):
    code = {*PROGRAMS, ".text"}
    for section in elf.sections:
        base = re.sub(r"^\.rel", "", section.name)
        if base not in {*PROGRAMS, *DATA, *COMPILED} and not re.fullmatch(DESCRIPTIVE, base):
            yield f"section {section.name} is not allowed"
        elif bool(section.flags & EXECUTABLE) != (section.name in code):
            yield f"section {section.name} is not what its name says"
        elif section.flags & WRITABLE and section.name not in DATA:
            yield f"section {section.name} can be written"
    if not any(section.name in PROGRAMS and section.bytes for section in elf.sections):
        yield "there is no program"


@check(OBJECT_CHECKS, "the objects take nothing from the kernel by name, and have no data in common")
def object_symbols(elf):
    for symbol in elf.symbols[1:]:
        if symbol.kind != FILE_NAME and not 0 < symbol.section < len(elf.sections):
            yield f"{symbol.name} is of somewhere else"


@check(OBJECT_CHECKS, "the objects call allowed helpers only, and themselves")
def object_calls(elf):
    keeper = any(section.name == KEEPER for section in elf.sections)
    helpers = KEEPER_HELPERS if keeper else HELPERS
    for name, code in elf.code():
        for slot, instruction in code.items():
            at = f"{name}, instruction {slot}"
            if instruction.opcode == CALL_REGISTER:
                yield f"{at}: a call of an address"
            elif instruction.opcode == CALL and instruction.source == 0 and instruction.immediate not in helpers:
                yield f"{at}: helper {instruction.immediate} is not allowed"
            elif instruction.opcode == CALL and instruction.source > 1:
                yield f"{at}: a call of a kernel function"


def successors(slot, instruction):
    opcode, offset = instruction.opcode, instruction.offset
    if opcode == EXIT:
        return []
    if opcode in (JUMP, JUMP_FAR):
        return [slot + 1 + (offset if opcode == JUMP else instruction.immediate)]
    if opcode & 7 in (5, 6) and opcode != CALL:
        return [slot + 1, slot + 1 + offset]
    return [slot + (2 if opcode == LOAD_64 else 1)]


def sets(register, instruction):
    """Does the instruction set the register, or may it?"""
    opcode, kind = instruction.opcode, instruction.opcode & 7
    if opcode in (CALL, CALL_REGISTER):
        return register < 6
    if kind in (1, 4, 7) or opcode == LOAD_64:  # loads and arithmetic
        return instruction.to == register
    atomic = kind == 3 and opcode & 0xE0 == 0xC0
    return kind == 0 or (atomic and register in (0, instruction.source))


def returned(code, end):
    """What r0 can be at the exit in slot `end`: constants, and None for anything else."""
    before = collections.defaultdict(list)
    for slot, instruction in code.items():
        for following in successors(slot, instruction):
            before[following].append(slot)
    values, seen, waiting = set(), set(), [(slot, 0) for slot in before[end]]
    while waiting:
        slot, register = waiting.pop()
        if (slot, register) in seen:
            continue
        seen.add((slot, register))
        instruction = code[slot]
        if sets(register, instruction):
            if instruction.opcode not in MOVE_REGISTER or instruction.offset:
                values.add(instruction.immediate if instruction.opcode in MOVE_CONSTANT else None)
                continue
            register = instruction.source
        if slot == 0 or not before[slot]:
            values.add(None)  # the caller has set it
        waiting += [(earlier, register) for earlier in before[slot]]
    return values or {None}


@check(OBJECT_CHECKS, "the compiled programs return what lets everything go on")
def object_returns(elf):
    for name, code in elf.code():
        exits = [slot for slot, instruction in code.items() if instruction.opcode == EXIT]
        if name in PROGRAMS and not exits:
            yield f"{name}: no exit"
        for slot in exits if name in PROGRAMS and name != KEEPER else ():
            for value in returned(code, slot) - {PROGRAMS[name].value}:
                yield f"{name}, instruction {slot}: returns {'something computed' if value is None else value}"


@check(OBJECT_CHECKS, "each object says its licence")
def object_licence(elf):
    said = [section.bytes for section in elf.sections if section.name == "license"]
    if said != [LICENCE.encode() + b"\0"]:
        yield f"licence {said}, not {LICENCE}"


# ---------------------------------------------------------------------------------------------------- what is refused

XDP, TCX, CGROUP, TRACK = (f"bpf/prog/{name}.bpf.c" for name in ("xdp", "tcx", "cgroup", "track"))
HOST, RUNS_KEEPER, SETTINGS = "bpf/host/objects.c", "bpf/host/keeper.c", "authz/cli/serve_settings.c"

# A change of one source, what the sources are then refused with, and the object.  "": it is not seen there, or does not
# compile.
Change = collections.namedtuple("Change", "name path before after source object")


FIRST = "    if (find_syn(data, end, 0, SYN_HOOK_XDP, &place))\n"


def in_xdp(name, code, source, elf):
    """Code put into the XDP program."""
    return Change(name, XDP, FIRST, f"    {code}\n{FIRST}", source, elf)


def in_tcx(name, code, source, elf):
    first = FIRST.replace("0, SYN_HOOK_XDP", "ctx->vlan_present != 0, SYN_HOOK_TCX")
    return Change(name, TCX, first, f"    {code}\n{first}", source, elf)


def for_sec(name, code, source, elf):
    """Code that takes the place of SEC("xdp")."""
    return Change(name, XDP, 'SEC("xdp")', code, source, elf)


def verdict(name, code, source, elf):
    return Change(name, XDP, "return XDP_PASS;", code, source, elf)


def in_keeper(name, code, source, elf):
    first = "    return obey(&order);\n"
    return Change(name, KEEPER_SOURCE, first, f"    {code}\n{first}", source, elf)


SOCKOPS = """SEC("sockops")
int operate(struct bpf_sock_ops *ctx)
{
    ctx->reply = 1;
    return 0;
}

"""
KERNEL_FUNCTION = "extern void kick(void) __ksym;\n    kick();"
KERNEL_VARIABLE = "extern int HZ __kconfig;\n    count(HZ, 4);"
HOLDER = "    holder_of(tcp, sk, &holder);"  # in the tracing program
SET_OPTION = "    bpf_setsockopt(tcp, 6, 1, &holder, 4);"
CHANGES = (
    verdict("return 0 in XDP", "return 0;", "returns 0", "returns 0"),
    verdict("a packet is dropped", "return XDP_DROP;", "returns XDP_DROP", "returns 1"),
    verdict("a verdict is computed", "return place.tcp;", "returns place", "something computed"),
    verdict("the argument is a verdict", "return data ? XDP_PASS : (long)ctx;", "returns data ?", "something computed"),
    verdict("a verdict is chosen", "return end > data ? XDP_PASS : XDP_TX;", "returns end >", "returns 3"),
    Change("return 0 in tcx", TCX, "return TC_ACT_UNSPEC;", "return 0;", "returns 0", "returns 0"),
    Change("tcx drops", TCX, "return TC_ACT_UNSPEC;", "return TC_ACT_SHOT;", "returns TC_ACT_SHOT", "returns 2"),
    Change("return 0 in cgroup_skb", CGROUP, "return 1;", "return 0;", "returns 0", "returns 0"),
    for_sec("a macro returns", '#define DONE(x) return x\nSEC("xdp")', "a macro that returns", ""),
    for_sec("XDP_PASS means another", '#define XDP_PASS 1\nSEC("xdp")', "only `return XDP_PASS`", "returns 1"),
    Change("tracing returns 1", TRACK, f"return 0;\n{HOLDER}", f"return 1;\n{HOLDER}", "returns 1", "returns 1"),
    in_xdp("bpf_xdp_store_bytes", "bpf_xdp_store_bytes(ctx, 0, &place, 1);", "bpf_xdp_store_bytes is", "helper 190 "),
    in_xdp("bpf_xdp_adjust_head", "bpf_xdp_adjust_head(ctx, 4);", "bpf_xdp_adjust_head is", "helper 44 "),
    in_tcx("bpf_skb_store_bytes", "bpf_skb_store_bytes(ctx, 0, &place, 1, 0);", "bpf_skb_store_bytes is", "helper 9 "),
    in_tcx("bpf_skb_pull_data", "bpf_skb_pull_data(ctx, 64);", "bpf_skb_pull_data is", "helper 39 "),
    in_tcx("a kernel function in tcx", KERNEL_FUNCTION, "only SEC() chooses", "kick is of somewhere"),
    in_keeper("the keeper has a clock", "order.ports = bpf_ktime_get_boot_ns();", "get_boot_ns is", "helper 125 "),
    in_keeper("the keeper reads the kernel", "bpf_probe_read_kernel(&order, 8, ctx);", "read_kernel is", "helper 113 "),
    in_keeper("the keeper sends", "bpf_clone_redirect(ctx, 1, 0);", "bpf_clone_redirect is", "helper 13 "),
    in_keeper("the keeper calls the kernel", KERNEL_FUNCTION, "only SEC() chooses", "kick is of somewhere"),
    in_tcx("the keeper's helper in tcx", "bpf_skb_load_bytes(ctx, 0, &place, 1);", "load_bytes is", "helper 26 "),
    Change("the keeper gets packets", KEEPER_SOURCE, '"socket"', '"tc"', "is the keeper, and", "something computed"),
    Change("another keeper", TCX, '"tc"', '"socket"', "is the keeper, and", "helper "),
    Change("a socket gets the keeper", RUNS_KEEPER, "bpf_prog_test_run_opts(", "f(SO_ATTACH_BPF, ", "attached to", ""),
    in_xdp("bpf_redirect", "bpf_redirect(1, 0);", "bpf_redirect is", "helper 23 "),
    in_xdp("a tail call", "bpf_tail_call(ctx, &ports, 0);", "bpf_tail_call is", "helper 12 "),
    in_xdp("a helper by its number", "((long (*)(int, long))23)(1, 0);", "", "helper 23 "),
    Change("bpf_setsockopt", TRACK, HOLDER, f"{SET_OPTION}\n{HOLDER}", "bpf_setsockopt is", "helper 49 "),
    in_xdp("a kernel function", KERNEL_FUNCTION, "only SEC() chooses", "kick is of somewhere"),
    in_xdp("a kernel variable", KERNEL_VARIABLE, "only SEC() chooses", "HZ is of somewhere"),
    Change('SEC("?tc")', TCX, 'SEC("tc")', 'SEC("?tc")', "section ?tc is", "section ?tc is"),
    for_sec('SEC("?xdp")', 'SEC("?xdp")', "section ?xdp is", "section ?xdp is"),
    for_sec("SEC(MACRO)", '#define HOOK "?xdp"\nSEC(HOOK)', "can be read", "section ?xdp is"),
    for_sec("SEC() of two parts", 'SEC("?x" "dp")', "can be read", "section ?xdp is"),
    for_sec("a macro that is SEC()", '#define AT SEC("xdp")\nAT', "can be read", ""),
    for_sec("a macro that makes SEC", '#define A(b) S##b\nA(EC)("xdp")', "put together", ""),
    for_sec("no SEC()", '__attribute__((section("xdp.frags"), used))', "only SEC() chooses", "section xdp.frags is"),
    for_sec("a sockops program", SOCKOPS + 'SEC("xdp")', "section sockops is", "section sockops is"),
    for_sec("no program", "", "no program in section xdp", "there is no program"),
    Change("code from elsewhere", XDP, '"capture.h"', '"../host/capture.h"', "neither ours nor", ""),
    Change("code by another directive", XDP, '#include "capture.h"', '#import "capture.h"', "a directive", ""),
    in_xdp("data that is written", "static volatile int n;\n    n++;", "", "section .bss is"),
    in_xdp("data that is set and written", "static volatile int n = 1;\n    n++;", "", "section .data is"),
    Change("another licence", XDP, LICENCE, "MIT", "expected one SEC", "licence"),
    Change("no licence", TRACK, 'SEC("license")', "", "expected one SEC", "licence"),
    Change("an object of a path", HOST, "capture_xdp__open()", 'bpf_object__open_file("x", 0)', "only the emb", ""),
    Change("a program is altered", HOST, "bpf_program__set_flags", "bpf_program__set_insns", "only the emb", ""),
    Change("an option names an object", SETTINGS, '.name = "user"', '.name = "bpf-object"', "no option", ""),
)

CLOCK = b"\x85\0\0\0" + struct.pack("<i", 125)  # a call that the XDP program makes
PATCHES = (  # what no compiler here makes of it
    ("a kernel function, linked", lambda data: data.replace(CLOCK, b"\x85\x20" + CLOCK[2:]), "a call of a kernel"),
    ("a call of an address", lambda data: data.replace(CLOCK, b"\x8d" + CLOCK[1:]), "a call of an address"),
    ("code of another machine", lambda data: data[:18] + b"\x3e" + data[19:], "cannot be read: no reloc"),
    ("half of it", lambda data: data[: len(data) // 2], "cannot be read"),
)


def findings_of_source(tree):
    return [finding for _, function in SOURCE_CHECKS for finding in function(tree)]


def findings_of_object(data, checks=OBJECT_CHECKS):
    try:
        elf = Object(data)
        return [finding for _, function in checks for finding in function(elf)]
    except (ValueError, KeyError, struct.error) as error:
        return [f"cannot be read: {error}"]


def unlike(findings, expected):
    """What is wrong with the findings about something that must be refused, `expected` being among the words."""
    if any(expected in finding for finding in findings):
        return []
    return [f"not refused with `{expected}`", *findings]


def changed(tree, change):
    text = tree.get(change.path, "")
    if change.before not in text:
        raise ValueError(f"{change.path} has no `{change.before.strip()}` to change")
    return {**tree, change.path: text.replace(change.before, change.after)}


class Compiler:
    """Compiles programs of a tree, as bpf/CMakeLists.txt does, in a temporary directory."""

    def __init__(self, directory):
        self.directory = directory
        self.clang = shutil.which("clang-14") or shutil.which("clang") or "clang-14"

    def compile(self, tree, path):
        for name, text in tree.items():
            if name.startswith(("bpf/prog/", "bpf/shared/")):
                copy = os.path.join(self.directory, name)
                os.makedirs(os.path.dirname(copy), exist_ok=True)
                with open(copy, "w", encoding="utf-8") as file:
                    file.write(text)
        systems = [f"-isystem{folder}" for folder in glob.glob("/usr/include/*-linux-gnu*")]
        flags = "-g -O2 -std=gnu11 -w -target bpf -mcpu=v3 -Ibpf/shared -Ibpf/prog -o out.o -c".split()
        subprocess.run(
            [self.clang, *systems, *flags, path], cwd=self.directory, check=True, text=True, stderr=subprocess.PIPE
        )
        with open(os.path.join(self.directory, "out.o"), "rb") as file:
            return file.read()


# ---------------------------------------------------------------------------------------------------- the cases


class Report:
    def __init__(self):
        self.passed = self.failed = 0

    def case(self, name, function, *arguments):
        """Counts one case, which passes when the function finds nothing."""
        try:
            findings = list(function(*arguments))
        except (OSError, ValueError, subprocess.CalledProcessError) as error:
            findings = [str(error), *(getattr(error, "stderr", None) or "").splitlines()]
        print("\n        ".join([f"{'FAILED' if findings else 'ok    '}  {name}", *findings]), flush=True)
        self.passed += not findings
        self.failed += bool(findings)


def load_tree():
    tree = {}
    for pattern in ("authz/**/*.[ch]", "bpf/**/*.*"):
        for path in glob.glob(pattern, root_dir=ROOT, recursive=True):
            with open(os.path.join(ROOT, path), encoding="utf-8") as file:
                tree[path] = file.read()
    return tree


def load_objects(build):
    objects = {}
    for path in glob.glob(f"{build}/bpf/*.bpf.o") + glob.glob(f"{build}/*/bpf/*.bpf.o"):
        with open(path, "rb") as file:
            objects[path] = file.read()
    return objects


def missing_objects(tree, objects):
    built = {os.path.basename(path) for path in objects}
    for path in tree:
        name = re.fullmatch(r"bpf/prog/(\w+\.bpf)\.c", path)
        if name and f"capture_{name[1]}.o" not in built:
            yield f"{path}: no capture_{name[1]}.o has been built"


def findings_of_objects(objects, check):
    return [f"{path}: {finding}" for path in sorted(objects) for finding in findings_of_object(objects[path], [check])]


def try_unchanged(compiler, tree, path):
    return findings_of_object(compiler.compile(tree, path))


def try_source(tree, change):
    return unlike(findings_of_source(changed(tree, change)), change.source)


def try_object(compiler, tree, change):
    data = compiler.compile(changed(tree, change), change.path)
    return unlike(findings_of_object(data), change.object)


def try_patch(compiler, tree, patch, expected):
    return unlike(findings_of_object(patch(compiler.compile(tree, XDP))), expected)


def check_sources(report, tree):
    for name, function in SOURCE_CHECKS:
        report.case(name, function, tree)
    for change in CHANGES:
        if change.source:
            report.case(f"refused in the sources: {change.name}", try_source, tree, change)


def check_objects(report, tree, objects):
    report.case("each BPF program has been built", missing_objects, tree, objects)
    for name, function in OBJECT_CHECKS:
        report.case(name, findings_of_objects, objects, (name, function))


def check_broken_objects(report, tree, compiler):
    for path in (XDP, TCX, CGROUP, TRACK, KEEPER_SOURCE):
        report.case(f"accepted as it is: {path}", try_unchanged, compiler, tree, path)
    for change in CHANGES:
        if change.object:
            report.case(f"refused in the object: {change.name}", try_object, compiler, tree, change)
    for name, patch, expected in PATCHES:
        report.case(f"refused in the object: {name}", try_patch, compiler, tree, patch, expected)


def main():
    if len(sys.argv) > 2 or {"-h", "--help"} & set(sys.argv[1:]):
        print(__doc__.strip())
        return 2 if len(sys.argv) > 2 else 0
    report, tree = Report(), load_tree()
    check_sources(report, tree)
    if sys.argv[1:]:
        check_objects(report, tree, load_objects(sys.argv[1]))
        with tempfile.TemporaryDirectory() as directory:
            check_broken_objects(report, tree, Compiler(directory))
    print(f"{report.passed} passed, {report.failed} failed")
    return 1 if report.failed else 0


sys.exit(main())
