#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`synauthz fingerprint` against answers of the real p0f: recorded ones, and what it says now.

usage: p0f_oracle.py [SYNAUTHZ]

tests/data/p0f holds frames with p0f's answers, captures of real stacks and scanners, and odd databases with p0f's verdicts.
Besides: link types, pcapng, --all, several databases, exit statuses.  Ends with `N passed, M failed`.
"""
import argparse
import json
import os
import re
import struct
import subprocess
import sys

from _p0f import *

HEAD = "classes = win,unix,other\n[tcp:request]\n"
LABEL = "label = s:unix:A:x\n"
ZEROES = "*:64:0:0:0,0:::0"


class Cases:
    def __init__(self):
        self.passed = self.failed = 0

    def equal(self, name, got, wanted):
        self.passed += got == wanted
        self.failed += got != wanted
        if got != wanted:
            print(f"FAILED  {name}: got {got!r}, wanted {wanted!r}", flush=True)


def one(*fields, **changes):
    """A signature line; fields by name."""
    values = dict(ver="*", ttl="64", olen="0", mss="*", win="*", scale="*", layout="mss", quirks="", payload="0", **{})
    values.update(changes)
    return "sig = {ver}:{ttl}:{olen}:{mss}:{win},{scale}:{layout}:{quirks}:{payload}\n".format(**values)


def sigs(*lines):
    return HEAD + LABEL + "".join(lines)


# The texts of tests/data/p0f/grammar_cases.txt, by the names there.
GRAMMAR = {
    "plain ok": sigs(one()),
    "dup same sig (no df)": sigs(one(), one()),
    "dup same sig '*' + df,id+ (undetected)": sigs(one(quirks="df,id+"), one(quirks="df,id+")),
    "dup same sig '4' + df,id+": sigs(one(ver="4", quirks="df,id+"), one(ver="4", quirks="df,id+")),
    "4: then 6: same (ver ignored)": sigs(one(ver="4"), one(ver="6")),
    "generic then same specific": HEAD + "label = g:unix:A:x\n" + one() + LABEL + one(),
    "literal covered by earlier '*'": sigs(one(), one(win="1024", scale="0")),
    "mss*N after literal": sigs(one(mss="1460", win="5840"), one(mss="1460", win="mss*4")),
    "literal covered by mss*4 w/ fixed mss": sigs(one(win="mss*4"), one(mss="1460", win="5840")),
    "trailing space": sigs(one().replace("\n", " \n")),
    "CRLF": sigs(one()).replace("\n", "\r\n"),
    "leading tabs/spaces ok": sigs(" \t " + one()),
    "inline ; comment": sigs(one().replace("\n", " ; comment\n")),
    "empty layout+quirks": sigs(f"sig = {ZEROES}\n"),
    "label without flavor colon": HEAD + "label = s:unix:A\n" + one(),
    "flavor with colon": HEAD + "label = s:unix:A:x:y\n" + one(),
    "name with ,": HEAD + "label = s:unix:A,B:x\n" + one(),
    "class case-insens": HEAD + "label = s:UNIX:A:x\n" + one(),
    "unknown class": HEAD + "label = s:bsd:A:x\n" + one(),
    "! without sys": HEAD + "label = s:!:A:x\n" + one(),
    "sys on os label": sigs("sys = Linux\n", one()),
    "sig before label": HEAD + one(),
    "ittl 0": sigs(one(ttl="0")),
    "ittl 64+250": sigs(one(ttl="64+250")),
    "ittl 54+10": sigs(one(ttl="54+10")),
    "ittl 64-": sigs(one(ttl="64-")),
    "ittl 64+?": sigs(one(ttl="64+?")),
    "df in 6:": sigs(one(ver="6", quirks="df")),
    "flow in 4:": sigs(one(ver="4", quirks="flow")),
    "%1": sigs(one(win="%1")),
    "%2": sigs(one(win="%2")),
    "mss*1001": sigs(one(win="mss*1001")),
    "eol not last": sigs(one(layout="eol+1,mss")),
    "eol+0": sigs(one(layout="mss,eol+0")),
    "25 options": sigs(one(layout=",".join(["nop"] * 25))),
    "?256": sigs(one(layout="?256")),
    "?2 (=mss)": sigs(one(layout="?2")),
    "empty wsize": sigs(one(win="")),
    "empty mss": sigs(one(mss="")),
    "quirk order free": sigs(one(ver="4", quirks="id+,df,ecn")),
    "classes after section": "[tcp:request]\nclasses = unix\n",
    "no newline at EOF": sigs(one()).rstrip("\n"),
    "[tcp:foo]": "[tcp:foo]\n",
    "ua_os in tcp": HEAD + "ua_os = Linux\n",
    "ua_os ok": "[http:request]\nua_os = Linux,iOS=[iPad]\n",
    "ua_os with space after comma": "[http:request]\nua_os = Linux, Windows\n",
}
# What we take with a warning and p0f does not: the manual says so.
TOLERATED = {"trailing space", "CRLF"}

# More of the kind, with the line that p0f refuses (None: it loads).  p0f is asked each time.
MORE_GRAMMAR = {
    "a TTL and a minus are read as one": sigs("sig = 4:64-0:*:*,*:mss::0\n"),
    "a random TTL loses a digit": sigs("sig = 4:64-:12:*:*,*:mss::0\n"),
    "a random TTL and no length": sigs("sig = 4:64-::*:*,*:mss::0\n"),
    "a number that overflows into range": sigs(one(ttl="4294967360")),
    "a number that overflows into another": sigs(one(mss="99999999999999999999")),
    "%2 covers 1024": sigs(one(win="%2"), one(win="1024")),
    "* does not cover mss*4": sigs(one(), one(win="mss*4")),
    "mss*4 covers mss*4": sigs(one(win="mss*4"), one(win="mss*4")),
    "a fixed MSS does not cover *": sigs(one(mss="1460"), one()),
    "SYN+ACK signatures are checked": sigs() + "[tcp:response]\n" + LABEL + one() + one(),
    "and are others than the SYN's": sigs(one()) + "[tcp:response]\n" + LABEL + one(),
    "a comma at the end of a list": sigs(one(layout="mss,", quirks="df,")),
    "two commas": sigs(one(layout="mss,,ws")),
    "?0 anywhere": sigs(one(layout="?0,mss")),
    "eol without a number": sigs(one(layout="eol+")),
    "a class twice": "classes = a,,b\nclasses = c\n[tcp:request]\nlabel = s:c:A:\n" + one(),
    "a comma behind the classes": "classes = a,\n",
    "! in a class": HEAD + "label = s:!x:A:x\n",
    "sys of a class": HEAD + "label = s:!:A:x\nsys = Linux,@UNIX\n" + one(),
    "sys of an unknown class": HEAD + "label = s:!:A:x\nsys = @bsd\n",
    "label instead of sys": HEAD + "label = s:!:A:x\n" + LABEL,
    "an empty file": "",
    "an unknown key": "foo = x\n",
    "no key": "= x\n",
    "a section that does not end": "[mtu\n",
    "an MTU twice": "[mtu]\nlabel = x\nsig = 1500\nsig = 1500\n",
    "an MTU of 0": "[mtu]\nlabel = x\nsig = 0\n",
    "an MTU that is too large": "[mtu]\nlabel = x\nsig = 65536\n",
    "an MTU that is none": "[mtu]\nlabel = x\nsig = 15x\n",
    "an empty MTU label": "[mtu]\nlabel =\n",
    "a NUL ends the file": sigs(one()) + "\0foo\n",
    "HTTP: covered": "[http:request]\nlabel = s:unix:A:x\nsig = *:Host,?Via::\nsig = 1:Host:Date:\n".replace("[http", "classes = unix\n[http"),
    "HTTP: order": "classes = unix\n[http:response]\nlabel = s:unix:A:x\nsig = 1:A,B::\nsig = 1:B,A::\n",
    "HTTP: version": "classes = unix\n[http:request]\nlabel = s:unix:A:x\nsig = 2:A::\n",
    "HTTP: value": "classes = unix\n[http:request]\nlabel = s:unix:A:x\nsig = 1:A=[]::\n",
    "HTTP: colon in the software": "classes = unix\n[http:request]\nlabel = s:unix:A:x\nsig = 1:A::x:y\n",
}


def frames(cases, synauthz, folder):
    """All recorded frames, in one capture, in the order of the file."""
    with open(os.path.join(DATA, "oracle.jsonl")) as file:
        recorded = [json.loads(line) for line in file]
    capture = write(folder, "oracle.pcap", pcap([bytes.fromhex(case["frame"]) for case in recorded]))
    status, lines, messages = run_ours(synauthz, capture, "--all", "--database", DEBIAN_DATABASE)
    cases.equal("oracle: exit status", (status, messages), (0, ""))
    cases.equal("oracle: a line for each frame", [line["frame"] for line in lines], list(range(1, len(recorded) + 1)))
    for case, line in zip(recorded, lines):
        name, wanted = f"oracle {case['id']} ({case['name']})", case["p0f"]
        if case["cat"] == "v6ext":
            beyond = line.get("beyond_p0f") is True or line["p0f"] is None
            cases.equal(f"{name}: not reported, or as beyond p0f", (case["reported"], beyond), (False, True))
            continue
        cases.equal(f"{name}: reported", line["p0f"] is not None, case["reported"])
        if not case["reported"]:
            cases.equal(f"{name}: a reason", bool(line["reason"]), True)
            continue
        cases.equal(name, {key: line[key] for key in ("p0f", "label", "kind", "distance", "params", "mtu", "link")},
                    {"p0f": wanted["raw_sig"], "label": wanted["label"], "kind": wanted["kind"],
                     "distance": None if wanted["dist"].startswith("<=") else int(wanted["dist"]), "params": wanted["params"],
                     "mtu": int(wanted["raw_mtu"]) if "raw_mtu" in wanted else None, "link": wanted.get("link")})
        cases.equal(f"{name}: beyond p0f only behind a VLAN tag", line.get("beyond_p0f", False), case["l3off"] > 14)


def captures(cases, synauthz, folder):
    """Real conversations: p0f, now, and we must name the same SYNs and say the same of them."""
    for name in ("live.pcap", "nmap.pcap", "scanners.pcap", "tfo.pcap"):
        path = os.path.join(DATA, name)
        _, entries = run_p0f(DEBIAN_DATABASE, path, folder)
        _, lines, _ = run_ours(synauthz, path, "--database", DEBIAN_DATABASE)
        theirs = sorted((*client_of(entry["cli"]), entry["raw_sig"], entry.get("os", entry.get("app"))) for entry in entries
                        if entry["mod"] in ("syn", "sendsyn probe"))
        ours = set()
        for line in lines:
            host, port = re.fullmatch(r"\[?(.+?)\]?:(\d+)", line["source"]).groups()
            ours.add((str(ipaddress.ip_address(host)), int(port), line["p0f"], line["label"] or "???"))
        cases.equal(f"{name}: p0f says something", bool(theirs), True)
        cases.equal(name, sorted(ours), sorted(set(theirs)))


def databases(cases, synauthz, folder):
    empty = write(folder, "empty.pcap", EMPTY_PCAP)
    with open(os.path.join(DATA, "grammar_cases.txt")) as file:
        recorded = dict(re.fullmatch(r"(.+?) {2,}(.*)", line.rstrip("\n")).groups() for line in file if line.strip())
    cases.equal("grammar: every recorded case has its text", sorted(recorded), sorted(GRAMMAR))
    for name, text in {**GRAMMAR, **MORE_GRAMMAR}.items():
        path = write(folder, "grammar.fp", text.encode())
        printed, _ = run_p0f(path, empty, folder)
        status, _, messages = run_ours(synauthz, empty, "--database", path)
        theirs, ours = verdict_on_database(printed), our_verdict_on_database(status, messages)
        if name in recorded:
            cases.equal(f"grammar: {name}: p0f still says so", theirs, verdict_on_database("PROGRAM ABORT " + recorded[name])
                        if recorded[name].startswith("FATAL") else None)
        if name in TOLERATED:
            cases.equal(f"grammar: {name}: tolerated", (ours, "warning" in messages), (None, True))
        else:
            cases.equal(f"grammar: {name}", ours, theirs)
            cases.equal(f"grammar: {name}: no warning", "warning" in messages, False)


IP = bytes.fromhex("4500003c1234400040060000c0000202c000020a9c4001bb00000001000000" "00a002faf000000000020405b40402080a00000001000000000103030a")
IP6 = bytes.fromhex("6000000000140640" + "20010db8000000000000000000000001" + "20010db8000000000000000000000002" + "9c4001bb0000000100000000500204000000" "0000")
SIGNATURE = "4:64+0:0:1460:mss*44,10:mss,sok,ts,nop,ws:df,id+:0"
SIGNATURE6 = "6:64+0:0:0:1024,0:::0"


def pcapng(packet, link):
    def block(kind, body):
        body += bytes(-len(body) % 4)
        return struct.pack("<II", kind, len(body) + 12) + body + struct.pack("<I", len(body) + 12)
    nanoseconds = 1700000000123456789
    return (block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
            + block(1, struct.pack("<HHI", link, 0, 0) + struct.pack("<HHB3xHH", 9, 1, 9, 0, 0))
            + block(6, struct.pack("<IIIII", 0, nanoseconds >> 32, nanoseconds & 0xFFFFFFFF, len(packet), len(packet)) + packet))


def links(cases, synauthz, folder):
    sll = bytes.fromhex("00000001000602000000000100000800")
    sll2 = bytes.fromhex("0800000000000002000100060200000000010000")
    ethernet = bytes.fromhex("0200000000010200000000020800")
    table = {
        "Ethernet": (1, ethernet + IP, SIGNATURE), "raw IP": (101, IP, SIGNATURE), "raw IP of BSD": (12, IP, SIGNATURE),
        "raw IP of BSD/OS": (14, IP, SIGNATURE), "raw IP, version 6": (101, IP6, SIGNATURE6), "IPv4": (228, IP, SIGNATURE),
        "IPv6": (229, IP6, SIGNATURE6), "Linux cooked": (113, sll + IP, SIGNATURE),
        "Linux cooked, IPv6": (113, sll[:14] + b"\x86\xdd" + IP6, SIGNATURE6),
        "Linux cooked, VLAN": (113, sll[:14] + bytes.fromhex("810000050800") + IP, SIGNATURE),
        "Linux cooked v2": (276, sll2 + IP, SIGNATURE), "Linux cooked v2, IPv6": (276, b"\x86\xdd" + sll2[2:] + IP6, SIGNATURE6),
        "Linux cooked v2, VLAN": (276, b"\x81\x00" + sll2[2:] + bytes.fromhex("00050800") + IP, SIGNATURE),
        "BSD loopback": (0, struct.pack("<I", 2) + IP, SIGNATURE), "BSD loopback, big-endian": (0, struct.pack(">I", 2) + IP, SIGNATURE),
        "BSD loopback, IPv6": (0, struct.pack("<I", 30) + IP6, SIGNATURE6), "OpenBSD loopback": (108, struct.pack(">I", 2) + IP, SIGNATURE),
    }
    for name, (link, packet, signature) in table.items():
        for form, content in (("pcap", pcap([packet], link)), ("pcapng", pcapng(packet, link))):
            status, lines, messages = run_ours(synauthz, write(folder, "link", content))
            cases.equal(f"{name}, {form}", (status, [line["p0f"] for line in lines], messages), (0, [signature], ""))
            cases.equal(f"{name}, {form}: beyond p0f", lines and lines[0].get("beyond_p0f", False), "VLAN" in name)
        for cut in range(len(packet)):
            status, lines, _ = run_ours(synauthz, write(folder, "cut", pcap([packet[:cut]], link))) if cut % 7 == 0 else (0, [], "")
            cases.equal(f"{name}, {cut} bytes of it", (status, lines), (0, []))
    status, lines, _ = run_ours(synauthz, write(folder, "ng", pcapng(ethernet + IP, 1)))
    cases.equal("time: microseconds in UTC, of nanoseconds", lines[0]["time"], "2023-11-14T22:13:20.123456Z")
    cases.equal("endpoints", (lines[0]["source"], lines[0]["destination"]), ("192.0.2.2:40000", "192.0.2.10:443"))
    _, lines, _ = run_ours(synauthz, write(folder, "six", pcap([IP6], 101)))
    cases.equal("endpoints, IPv6", (lines[0]["source"], lines[0]["destination"]), ("[2001:db8::1]:40000", "[2001:db8::2]:443"))


def several_databases(cases, synauthz, folder):
    capture = write(folder, "one.pcap", pcap([IP], 101))
    text = "{classes}[mtu]\nlabel = {link}\nsig = {mtu}\n[tcp:request]\nlabel = {kind}:unix:{name}:{flavor}\nsig = *:{ttl}:0:*:*,*:mss,sok,ts,nop,ws:df,id+:0\n"

    def database(name, **facts):
        values = {"classes": "classes = unix\n", "link": "L", "mtu": 1, "kind": "s", "name": name, "flavor": "", "ttl": 64, **facts}
        return ["--database", write(folder, name, text.format(**values).encode())]
    strange = database("strange", ttl=32, link="fuzzy link", mtu=1500)
    exact, generic = database("exact", flavor="1.0"), database("generic", kind="g", flavor='a"b\\c\x01')
    nothing = ["--database", write(folder, "nothing", b"classes = unix\n")]
    facts = ("label", "match", "params", "link", "distance")
    for name, options, wanted in (
            ("none", ["--database", "none"], (None, "none", "none", None, 0)),
            ("the default is none", [], (None, "none", "none", None, 0)),
            ("one", exact, ("exact 1.0", "specific", "none", None, 0)),
            ("a fuzzy one before an exact one", strange + exact, ("strange", "fuzzy", "fuzzy", "fuzzy link", 0)),
            ("an exact one before a fuzzy one that knows the link", exact + strange, ("exact 1.0", "specific", "none", "fuzzy link", 0)),
            ("a generic one before an exact one", generic + exact, ('generic a"b\\c\x01', "generic", "generic", None, 0)),
            ("one that knows nothing", nothing + exact, ("exact 1.0", "specific", "none", None, 0))):
        status, lines, _ = run_ours(synauthz, capture, *options)
        cases.equal(f"databases: {name}", (status, *(lines[0][key] for key in facts)), (0, *wanted))
    _, lines, _ = run_ours(synauthz, capture, *exact)
    cases.equal("os of a label", lines[0]["os"], {"class": "unix", "name": "exact", "flavor": "1.0", "family": "other"})
    _, lines, _ = run_ours(synauthz, capture)
    cases.equal("os of none", (lines[0]["os"], lines[0]["excess_distance"], lines[0]["mtu"]),
                ({"class": None, "name": None, "flavor": None, "family": "unknown"}, False, 1500))


def exit_statuses(cases, synauthz, folder):
    good = write(folder, "good.pcap", pcap([IP], 101))
    junk = write(folder, "junk", b"this is no capture")
    cut = write(folder, "cut.pcap", pcap([IP, IP], 101)[:-10])
    odd = write(folder, "odd.pcap", pcap([IP], 147))
    for name, arguments, wanted, printed in (
            ("fine", [good], 0, 1), ("text", [good, "-o", "text"], 0, None), ("no such capture", [folder + "/none"], 1, 0), ("a folder", [folder], 1, 0),
            ("not a capture", [junk], 3, 0), ("a link type nobody knows", [odd], 3, 0), ("a capture that ends early", [cut], 3, 1),
            ("no such database", [good, "--database", folder + "/none"], 1, 0), ("not a database", [good, "--database", junk], 3, 0),
            ("none among others", [good, "--database", "none", "--database", DEBIAN_DATABASE], 2, 0), ("no file", [], 2, 0),
            ("two files", [good, good], 2, 0), ("an unknown option", [good, "--nonsense"], 2, 0), ("an unknown format", [good, "-o", "xml"], 2, 0)):
        options = [] if "-o" in arguments else ["-o", "json"]
        done = subprocess.run([synauthz, "fingerprint", *arguments, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        cases.equal(f"exit status: {name}", (done.returncode, bool(done.stderr)), (wanted, wanted != 0))
        if printed is not None:
            cases.equal(f"lines: {name}", len(done.stdout.splitlines()), printed)
    done = subprocess.run(f"'{synauthz}' fingerprint - -o json < '{good}'", shell=True, stdout=subprocess.PIPE)
    cases.equal("standard input", json.loads(done.stdout)["p0f"], SIGNATURE)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    binary_argument(parser)
    synauthz, cases = parser.parse_args().synauthz, Cases()
    with scratch() as folder:
        for part in (frames, captures, databases, links, several_databases, exit_statuses):
            part(cases, synauthz, folder)
    print(f"{cases.passed} passed, {cases.failed} failed")
    sys.exit(1 if cases.failed or not cases.passed else 0)


main()
