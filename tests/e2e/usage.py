#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The command line: exit statuses, what goes where, what the messages say."""

import json
import tempfile

from _cases import *

SYN = bytes.fromhex(
    "02000000000102000000000208004500003c1c464000400600000a4d00020a4d0001"
    "9c401f90000003e800000000a002faf00000000002"
    "0405b40402080a0000000100000000"
    "01030307"
)
JSON_KEYS = {
    "frame",
    "time",
    "source",
    "destination",
    "p0f",
    "label",
    "kind",
    "os",
    "match",
    "params",
    "distance",
    "excess_distance",
    "mtu",
    "link",
}


def synauthz(*argv, **options):
    return subprocess.run(
        [find_synauthz(), *argv],
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=20,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
    )


def pcap_of(*frames):
    text = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
    for number, frame in enumerate(frames):
        text += struct.pack("<IIII", 1700000000 + number, 6, len(frame), len(frame)) + frame
    return text


def helps(cases):
    for argv in (
        ["--help"],
        ["-h"],
        ["help"],
        ["serve", "--help"],
        ["serve", "-h"],
        ["fingerprint", "--help"],
        ["version", "--help"],
        ["healthcheck", "--help"],
    ):
        done = synauthz(*argv)
        cases.check(
            f"{' '.join(argv)}: help on standard output",
            done.returncode == 0 and done.stdout.startswith("usage: synauthz") and not done.stderr,
            done,
        )
    for argv in (["--version"], ["version"], ["serve", "--version"], ["version", "-o", "text"]):
        done = synauthz(*argv)
        cases.check(
            f"{' '.join(argv)}: the version",
            done.returncode == 0 and re.match(r"synauthz \d+\.\d+\.\d+ ", done.stdout) and not done.stderr,
            done,
        )
    for argv in (["version", "-o", "json"], ["version", "--output=json"]):
        told = json.loads(synauthz(*argv).stdout)
        cases.check(
            f"{' '.join(argv)}: version, objects, libraries",
            told["version"]
            and told["libraries"]
            and told["bpf_objects"]
            and all(re.fullmatch("[0-9a-f]{64}", digest) for digest in told["bpf_objects"].values()),
            told,
        )


def bad_usage(cases, folder):
    policy = os.path.join(folder, "policy.yaml")
    serve = ["serve", "--policy", policy, "--listen", f"unix:{folder}/s"]
    table = (
        ([], "usage: synauthz"),
        (["sevre"], "did you mean `serve`"),
        (["serve"], "--policy FILE is missing"),
        (["serve", "--policy", policy, "--source", "none"], "--listen ADDR is missing"),
        ([*serve, "--attach"], "--attach needs a value"),
        ([*serve, "--attach", "lo"], "--attach needs --port"),
        ([*serve, "--attach", "lo", "--port", "70000"], "--port 70000"),
        ([*serve, "--attach", "lo", "--port", "http"], "--port http"),
        ([*serve, "--attach", "lo", "--port", "80", "--source", "none"], "--source cannot be given too"),
        ([*serve, "--attach", "lo", "--port", "80", "--prefix", "10.0.0.1/8"], "--prefix 10.0.0.1/8"),
        ([*serve, "--source", "none", "--port", "80"], "belong to --attach"),
        ([*serve, "--source", "pin"], "expected pins, pcap:FILE or none"),
        ([*serve, "--source", "pcap:"], "--source pcap:"),
        ([*serve, "--pin-dir", "bpf"], "expected an absolute path"),
        ([*serve, "--max-live", "1024"], "belong to --attach"),
        ([*serve, "--source", "none", "--require-capture"], "--require-capture"),
        ([*serve, "--source", "none", "--on-fault", "allow"], "expected error|policy"),
        ([*serve, "--source", "none", "--admin", "localhost:80"], "--admin localhost:80: expected unix:/path"),
        ([*serve, "--source", "none", "--listen", "/run/x"], "--listen /run/x: expected unix:/path"),
        (["healthcheck"], "an argument is missing"),
        (["healthcheck", "localhost:80"], "localhost:80: expected unix:/path"),
        (["healthcheck", "unix:/x,mode=0660"], "expected no options"),
        (["healthcheck", "unix:/x", "--timeout", "0"], "--timeout 0"),
        ([*serve, "--source", "none", "--threads", "0"], "--threads 0"),
        ([*serve, "--source", "none", "--threads=65"], "--threads 65"),
        ([*serve, "--source", "none", "--user", "no-such-user"], "no-such-user"),
        ([*serve, "--source", "none", "--polcy", "x"], "did you mean --policy"),
        ([*serve, "--source", "none", "--policy", "twice"], "given twice"),
        ([*serve, "--source", "none", "more"], "unexpected argument `more`"),
        (["fingerprint"], "an argument is missing"),
        (["fingerprint", "a", "b"], "unexpected argument `b`"),
        (["fingerprint", "a", "-o", "xml"], "expected text|json"),
        (["version", "-x"], "unknown option -x"),
        (["version", "--output"], "--output needs a value"),
        (["version", "--output="], "--output needs a value"),
    )
    for argv, message in table:
        done = synauthz(*argv)
        name = " ".join(argv).replace(folder + "/", "") or "(nothing)"
        cases.equal(f"{name}: exit status 2", done.returncode, 2)
        cases.check(f"{name}: standard error says `{message}`", message in done.stderr and done.stdout == "", done)


def invalid_files(cases, folder):
    def write(name, text):
        with open(os.path.join(folder, name), "wb") as file:
            file.write(text)
        return file.name

    broken = write("broken.yaml", b"version: 1\nrules:\n  - id: a\n    thne: deny\ndefault: allow\n")
    good = os.path.join(folder, "policy.yaml")
    junk, empty = write("junk.pcap", b"no capture"), write("empty.pcap", b"")
    serve = ["serve", "--listen", f"unix:{folder}/s", "--source"]
    table = (
        ([*serve, "none", "--policy", broken], r"broken\.yaml:4:5: .*thne.*then"),
        ([*serve, "none", "--policy", folder + "/no.yaml"], r"no\.yaml.*No such file"),
        ([*serve, "none", "--policy", folder], r"directory"),
        ([*serve, f"pcap:{junk}", "--policy", good], r"junk\.pcap"),
        (["fingerprint", junk], r"junk\.pcap"),
        (["fingerprint", empty], r"empty\.pcap"),
        (
            [
                "fingerprint",
                write("syn.pcap", pcap_of(SYN)),
                "--database",
                write("bad.fp", b"[tcp:request]\nsig = nonsense\n"),
            ],
            r"bad\.fp:\d+",
        ),
    )
    for argv, message in table:
        done = synauthz(*argv)
        name = " ".join(argv).replace(folder + "/", "").replace(folder, "FOLDER")
        cases.equal(f"{name}: exit status 3", done.returncode, 3)
        cases.check(
            f"{name}: standard error says /{message}/", re.search(message, done.stderr) and done.stdout == "", done
        )
    for argv, missing in (
        (["fingerprint", folder + "/no.pcap"], "no.pcap"),
        (["fingerprint", folder + "/syn.pcap", "--database", folder + "/no.fp"], "no.fp"),
    ):
        done = synauthz(*argv)
        cases.check(
            f"fingerprint, {missing} is not there: status 1 and a message",
            done.returncode == 1 and done.stdout == "" and re.search(f"{missing}.*No such file", done.stderr),
            done,
        )


def fingerprints(cases, folder):
    ack = bytearray(SYN)
    ack[47] = 0x10
    path = os.path.join(folder, "three.pcap")
    with open(path, "wb") as file:
        file.write(pcap_of(SYN, bytes(ack), SYN))
    done = synauthz("fingerprint", path, "-o", "json")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    cases.equal("fingerprint: exit status 0", (done.returncode, done.stderr), (0, ""))
    cases.equal("fingerprint: one line for each frame that p0f would report", [row["frame"] for row in rows], [1, 3])
    cases.check("fingerprint: every key is there", all(JSON_KEYS <= row.keys() for row in rows), rows)
    cases.equal(
        "fingerprint: what the frame says",
        (rows[0]["source"], rows[0]["destination"], rows[0]["p0f"], rows[0]["time"]),
        (
            "10.77.0.2:40000",
            "10.77.0.1:8080",
            "4:64+0:0:1460:mss*44,7:mss,sok,ts,nop,ws:df,id+:0",
            "2023-11-14T22:13:20.000006Z",
        ),
    )
    cases.equal(
        "fingerprint: no database, no label",
        (rows[0]["label"], rows[0]["match"], rows[0]["os"]["family"]),
        (None, "none", "unknown"),
    )
    sh("p0f", "-f", "/etc/p0f/p0f.fp", "-r", path, "-o", path + ".log")
    with open(path + ".log") as log:
        p0f = dict(field.split("=", 1) for field in log.readline().split("] ", 1)[1].strip().split("|"))
    named = json.loads(synauthz("fingerprint", "--database=/etc/p0f/p0f.fp", path, "-o", "json").stdout.splitlines()[0])
    cases.equal(
        "fingerprint: with p0f's database, its words",
        (named["label"], str(named["distance"]), named["params"], named["p0f"]),
        (p0f["os"], p0f["dist"], p0f["params"], p0f["raw_sig"]),
    )
    cases.equal(
        "fingerprint: and what follows from them",
        (named["kind"], named["os"]["class"], named["os"]["family"], named["match"]),
        ("os", "unix", "linux", "generic"),
    )
    cases.check(
        "fingerprint: text for people",
        "4:64+0:0:1460:mss*44,7:mss,sok,ts,nop,ws:df,id+:0" in synauthz("fingerprint", path).stdout,
    )
    with open("/dev/full", "w") as full:
        done = synauthz("fingerprint", path, stdout=full)
    cases.check(
        "results that cannot be written are a failure",
        done.returncode == 1 and "cannot write the results" in done.stderr,
        done,
    )


def main(cases):
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        with open(os.path.join(folder, "policy.yaml"), "w") as file:
            file.write("version: 1\nrules: []\ndefault: allow\n")
        helps(cases)
        bad_usage(cases, folder)
        invalid_files(cases, folder)
        fingerprints(cases, folder)


run_cases(main, private=False)
