#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Rules about the sources that neither compiler nor linker can check.

Each check is a function from the tree {path: text} to its findings, and stands beside trees that break it: a check
that does not find those is broken itself.  Prints a line for each check and `N passed, M failed`.
"""

import collections
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CHECKS = []


def check(name, *broken):
    """Registers a check; each tree of `broken` is one that it must refuse."""

    def register(function):
        CHECKS.append((name, function, broken))
        return function

    return register


def lines_matching(tree, pattern, paths=r"", message=""):
    for path, text in tree.items():
        if re.search(paths, path):
            for number, line in enumerate(text.splitlines(), 1):
                if re.search(pattern, line):
                    yield f"{path}:{number}: {message or line.strip()}"


SOURCES = r"\.[ch]$"
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', re.M)


@check("our own headers are included by bare name", {"authz/a/b.c": '#include "../policy/policy.h"\n'})
def quoted_includes(tree):
    return lines_matching(tree, r'#\s*include\s*"[^"]*/', SOURCES, "a path would get around the link graph")


# Whose headers may be included where.  tests/unit/X may do what authz/X may, tests/kernel what bpf/ may;
# the tests' helpers and fuzz targets, what CMake links to them.
HOMES = (
    (r"yaml\.h", ("authz/config/",)),
    (r"grpc/.*", ("authz/server/", "bench/")),
    (r"pcap(/.*)?(\.h)?", ("authz/syn/", "authz/cli/")),
    (r"bpf/.*|linux/bpf\.h", ("bpf/", "bench/", "tests/cluster/")),
    (r"protobuf-c/.*|.*\.pb-c\.h", ("authz/extauthz/", "authz/server/", "bench/")),
    (r"sys/capability\.h", ("authz/cli/",)),
    (r"(sha2|sha1|sha256|md5)\.h", ("authz/base/",)),
    (r"pcre2\.h", ("authz/policy/",)),
    (r"microhttpd\.h", ("authz/admin/",)),
    (r"openssl/.*", ("authz/tls/",)),
    (r"cmocka\.h", ("tests/",)),
)


@check(
    "each library is used in one place",
    {"authz/policy/x.c": "#include <grpc/grpc.h>\n"},
    {"tests/unit/policy/x.c": "#include <yaml.h>\n"},
)
def library_homes(tree):
    for path, text in tree.items():
        if not re.search(SOURCES, path) or path.startswith(("tests/unit/support/", "tests/fuzz/")):
            continue
        place = path.replace("tests/unit/", "authz/").replace("tests/kernel/", "bpf/")
        for header in INCLUDE.findall(text):
            for pattern, homes in HOMES:
                if re.fullmatch(pattern, header) and not (place.startswith(homes) or path.startswith(homes)):
                    yield f"{path}: <{header}> belongs to {', '.join(homes)}"


@check("bare header names are unique", {"authz/a/same.h": "", "bpf/b/same.h": ""})
def unique_headers(tree):
    places = collections.defaultdict(list)
    for path in tree:
        if path.endswith(".h"):
            places[os.path.basename(path)].append(path)
    return [f"{name}: {' and '.join(paths)}" for name, paths in places.items() if len(paths) > 1]


@check("no header is named like the system's", {"authz/a/search.h": ""})
def system_headers(tree):
    names = sorted({os.path.basename(path) for path in tree if path.endswith(".h")})
    probe = "".join(f'#if __has_include(<{name}>)\nTAKEN "{name}"\n#endif\n' for name in names)
    found = subprocess.run(["gcc", "-E", "-P", "-"], input=probe, text=True, check=True, stdout=subprocess.PIPE).stdout
    return [f"{name}: <{name}> exists in the system" for name in re.findall(r'TAKEN "(.*)"', found)]


def licence_of(path):
    """The first line of a file, or of a script the line behind #!."""
    if re.search(r"\.[ch]$", path):
        kernel = "GPL-2.0-only OR BSD-2-Clause"  # what the kernel loads, and what it shares with us
        of_kernel = path.startswith(("bpf/prog/", "bpf/shared/", "bench/packet_floor")) or path.endswith(".bpf.c")
        licence = kernel if of_kernel else "Apache-2.0"
        either = f"({licence}|{kernel})" if path.startswith(("bpf/", "tests/kernel/")) else licence
        return rf"/\* SPDX-License-Identifier: {either} \*/"
    if path.endswith(".proto"):
        return r"(//|/\*) SPDX-License-Identifier: Apache-2\.0( \*/)?"
    return r"# SPDX-License-Identifier: Apache-2\.0"


@check(
    "each source says its licence in its first line",
    {"authz/a/x.c": "int x;\n"},
    {"bpf/prog/x.c": "/* SPDX-License-Identifier: Apache-2.0 */\n"},
    {"run": "#!/bin/sh\n"},
)
def licences(tree):
    for path, text in tree.items():
        lines = text.splitlines() or [""]
        script = lines[0].startswith("#!")
        if script or re.search(r"\.([ch]|py|sh|cmake|proto|yaml)$|CMakeLists\.txt$", path):
            if path.startswith("tests/data/"):
                continue
            if len(lines) <= script or not re.fullmatch(licence_of(path), lines[script]):
                yield f"{path}:{script + 1}: expected {licence_of(path)}"


@check("header guards are the file's name", {"authz/a/x.h": "#ifndef SYNAUTHZ_X_H\n#define SYNAUTHZ_X_H\n#endif\n"})
def guards(tree):
    for path, text in tree.items():
        guard = re.sub(r"\W", "_", os.path.basename(path)).upper()
        if path.endswith(".h") and not re.search(rf"^#ifndef {guard}\n#define {guard}\n", text, re.M):
            yield f"{path}: expected #ifndef {guard}"


@check(
    "BPF code comes from this tree and from UAPI headers",
    {"bpf/prog/x.c": '#include "vmlinux.h"\n'},
    {"bpf/host/y.c": "object = bpf_object__open_file(path, NULL);\n"},
)
def bpf_origin(tree):
    yield from lines_matching(tree, r"vmlinux\.h", SOURCES)
    yield from lines_matching(
        tree,
        r"bpf_object__open(_file)?\s*\(|bpf_prog_load_xattr|bpf_obj_get\s*\(",
        r"^(authz|bpf)/.*\.[ch]$",
        "objects are embedded, none is opened by its path",
    )


@check("every BPF program is Dual BSD/GPL", {"bpf/prog/x.bpf.c": 'char LICENSE[] SEC("license") = "MIT";\n'})
def bpf_licence(tree):
    for path, text in tree.items():
        includes_another = re.search(r'#include ".*\.bpf\.c"', text)
        if path.endswith(".bpf.c") and '"Dual BSD/GPL"' not in text and not includes_another:
            yield f"{path}: no `Dual BSD/GPL`"


@check("no goto in user space", {"authz/a/x.c": "        goto out;\n"})
def no_goto(tree):
    return lines_matching(tree, r"^\s+goto \w+;", r"^(authz|bpf/(host|node|probe|reader)|tests)/.*\.[ch]$")


@check("numbers are read by num.h", {"authz/a/x.c": "n = atoi(text);\n"})
def no_lenient_numbers(tree):
    return lines_matching(tree, r"^(?!\s*(/?\*|//)).*\b(atoi|atol|atoll|atof)\s*\((?!\))", r"^authz/.*\.[ch]$")


@check("the server never runs a shell", {"authz/a/x.c": 'system("true");\n'})
def no_shell(tree):
    return lines_matching(tree, r"\b(system|popen|execl|execlp|execv|execvp|execve)\s*\(", r"^(authz|bpf)/.*\.[ch]$")


@check("no unfinished work", {"authz/a/x.c": "/* TO" + "DO: the rest */\n"})
def unfinished(tree):
    return lines_matching(tree, r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b", r"^(?!LICENSE)")


@check(
    "nothing names a place that users do not have",
    {"a.sh": "see /wo" + "rk/main\n"},
    {"b.sh": "https://py" + "pi.org/simple\n"},
)
def places(tree):
    hosts = (
        r"(deb|py|www|files|proxy|registry|static|index)?\.?(debian|py"
        r"pi|pythonhosted|golang|npm"
        r"js|crates)\.(org|io|com|net)\b"
    )
    # go.mod and go.sum: a Go module's name may look like such a host
    return lines_matching(tree, r"/wo" r"rk/|\.\./sha" r"red|" + hosts, r"^(?!LICENSE|.*/go\.(mod|sum)$)")


# A source whose tests are many has more than one file of them: reply.c, reply_property.c.
@check("unit tests mirror the sources", {"authz/policy/rule.c": "", "tests/unit/policy/nothing.c": ""})
def mirrored_tests(tree):
    for path in tree:
        match = re.fullmatch(r"tests/unit/(\w+)/(\w+)\.c", path)
        if match:
            layer, stem = match.groups()
            folder = layer.replace("_", "/", 1) if layer.startswith("bpf_") else f"authz/{layer}"
            folder = "envoy/wasm" if layer == "wasm_filter" else folder
            beginnings = [stem[:end] for end in range(1, len(stem) + 1) if stem[end : end + 1] in ("", "_")]
            if not any(f"{folder}/{name}.{kind}" in tree for name in beginnings for kind in "ch"):
                yield f"{path}: there is no {folder}/{stem}.[ch]"


@check("scripts are executable", {"no-such-script": "#!/bin/sh\n"})
def executable(tree):
    for path, text in tree.items():
        if text.startswith("#!") and not os.access(os.path.join(ROOT, path), os.X_OK):
            yield f"{path}: chmod +x"


def load_tree():
    listed = subprocess.run(
        ["git", "-c", f"safe.directory={ROOT}", "-C", ROOT, "ls-files", "--cached", "--others", "--exclude-standard"],
        text=True,
        check=True,
        stdout=subprocess.PIPE,
    ).stdout.splitlines()
    tree = {}
    for path in listed:
        try:
            with open(os.path.join(ROOT, path), encoding="utf-8") as file:
                tree[path] = file.read()
        except (UnicodeDecodeError, FileNotFoundError):
            pass  # captures and other data; deleted, not yet committed
    return tree


def main():
    tree, passed, failed = load_tree(), 0, 0
    for name, function, broken in CHECKS:
        findings = list(function(tree))
        findings += [
            f"this check does not find {' or '.join(example)}" for example in broken if not list(function(example))
        ]
        print("\n        ".join([f"{'FAILED' if findings else 'ok    '}  {name}", *findings]))
        passed += not findings
        failed += bool(findings)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


sys.exit(main())
