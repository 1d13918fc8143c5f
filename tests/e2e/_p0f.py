# SPDX-License-Identifier: Apache-2.0
"""The real p0f as the judge: the same frames through p0f and through `synauthz fingerprint`."""
import ipaddress
import json
import os
import re
import struct
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
DATA = os.path.join(HERE, "../data/p0f")
DEBIAN_DATABASE = "/etc/p0f/p0f.fp"
EMPTY_PCAP = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)


def binary_argument(parser):
    """`SYNAUTHZ`, by default the released program of this checkout."""
    parser.add_argument("synauthz", nargs="?", default=os.path.join(HERE, "../../build/release/synauthz"))


def pcap(frames, link=1):
    """A capture file.  A frame is bytes, or (bytes, length on the wire) if it was cut.  10 ms apart, for p0f."""
    out = [EMPTY_PCAP[:20] + struct.pack("<I", link)]
    for number, frame in enumerate(frames):
        data, wire = frame if isinstance(frame, tuple) else (frame, len(frame))
        ms = number * 10
        out.append(struct.pack("<IIII", 1700000000 + ms // 1000, ms % 1000 * 1000, len(data), wire) + data)
    return b"".join(out)


def write(folder, name, content):
    path = os.path.join(folder, name)
    with open(path, "wb") as file:
        file.write(content)
    return path


def run_p0f(database, capture, folder):
    """(what it printed, its log as a list of dicts).  The log must be a fresh file, p0f appends."""
    log = os.path.join(folder, "p0f.log")
    if os.path.exists(log):
        os.unlink(log)
    done = subprocess.run(["p0f", "-f", database, "-r", capture, "-o", log], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=300)
    entries = []
    if os.path.exists(log):
        with open(log, encoding="utf-8", errors="replace") as file:
            for line in file:
                fields = line.rstrip("\n").split("] ", 1)[1].split("|")
                entries.append(dict(field.split("=", 1) for field in fields))
    return done.stdout.decode("latin-1"), entries


def verdict_on_database(printed):
    """None if p0f loaded it, else the number of the line that it refuses (0 if it does not say)."""
    if "PROGRAM ABORT" not in printed:
        return None
    found = re.search(r"in line (\d+)", printed)
    return int(found[1]) if found else 0


def our_verdict_on_database(status, messages):
    if status == 0:
        return None
    found = re.match(r"synauthz: [^\n:]+:(\d+):\d+: ", messages)
    return int(found[1]) if status == 3 and found else f"exit {status}: {messages}"


def run_ours(synauthz, capture, *options):
    done = subprocess.run([synauthz, "fingerprint", capture, "-o", "json", *options], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=300)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr.decode("latin-1")


def client_of(text):
    """p0f's `cli`: an address and a port with a slash between them."""
    address, port = text.rsplit("/", 1)
    return str(ipaddress.ip_address(address)), int(port)


def answers_of_p0f(entries):
    """{address of the client: the facts}: what our JSON has to say, by our names."""
    answers = {}
    for entry in entries:
        client, _ = client_of(entry["cli"])
        if entry["mod"] in ("syn", "sendsyn probe"):
            kind = "app" if "app" in entry else "os"
            label, distance = entry[kind], entry["dist"]
            answers[client] = {
                "p0f": entry["raw_sig"], "kind": kind, "label": None if label == "???" else label,
                "distance": None if distance.startswith("<=") else int(distance),
                "params": entry["params"], "mtu": None, "link": None}
        elif entry["mod"] == "mtu":
            link = entry["link"]
            answers[client].update(mtu=int(entry["raw_mtu"]), link=None if link == "???" else link)
    return answers


def our_answers(lines):
    answers = {}
    for line in lines:
        client = re.fullmatch(r"\[?(.+?)\]?:\d+", line["source"])[1]
        answers[str(ipaddress.ip_address(client))] = {
            key: line[key] for key in ("p0f", "kind", "label", "distance", "params", "mtu", "link")}
    return answers


def scratch():
    return tempfile.TemporaryDirectory(prefix="synauthz-p0f-")
