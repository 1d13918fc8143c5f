#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The server's configuration file: what it says, what SIGHUP makes of it, and what is refused."""

import json
import stat

from _admin import *

ADMIN = ("127.0.0.1", 9102)
POLICY = "version: 1\nrules: []\ndefault: allow\n"
CONFIG = """\
version: 1
pin-dir: /run/synauthz/bpf
serve:
  policy: {policy}
  listen: ["unix:{socket},mode=0666"]
  source: none
  admin: {admin}
  log: "{log}"
{more}"""


def write_config(lab, policy, log, more=""):
    return lab.write(
        "serve.yaml", CONFIG.format(policy=policy, socket=SOCKET, admin="%s:%d" % ADMIN, log=log, more=more)
    )


def configured(cases, lab, policy):
    folder = os.path.join(SCRATCH, "log")
    os.mkdir(folder)
    shutil.chown(folder, NOBODY, NOBODY)
    log = os.path.join(folder, "serve.log")
    strict = lab.write("strict.yaml", "version: 1\nrules: []\ndefault: deny\n")
    config = write_config(lab, policy, log)
    server = lab.start("synauthz", find_synauthz(), "serve", "--config", config).wait_for("ready")

    def hup(answer, count=1):
        server.send(signal.SIGHUP)
        wait_until(lambda: read(log).count(answer) >= count, 10, f"`{answer}` in {read(log)}")

    connection = Connection(lab)
    wait_until(lambda: connection.get().status == 200, 10, "Envoy to find the server")
    cases.check("--config: it serves by the file", connection.get().status == 200)
    cases.equal("the log is its user's, and not everybody's", stat.S_IMODE(os.stat(log).st_mode) & ~0o640, 0)
    cases.check("the log has lines with times", re.match(r"\d{4}-\d\d-\d\dT[\d:.]+Z synauthz: ", read(log)), read(log))
    cases.check("ready is said there, too", "Z synauthz: ready, policy revision" in read(log), read(log))

    os.rename(log, log + ".1")
    hup("policy reloaded")
    cases.check("SIGHUP: a rotated log is opened again", os.path.exists(log) and "reloaded" in read(log))
    write_config(lab, strict, log)
    hup("policy reloaded", 2)
    cases.equal("SIGHUP: the file names another policy", connection.get().status, 403)
    write_config(lab, policy, log, more="  threads: 2\n  user: daemon\n")
    hup("policy reloaded", 3)
    cases.check(
        "SIGHUP: what takes a restart is named",
        "restart the server to change --user, --threads: until then the old value holds" in read(log),
        read(log),
    )
    cases.equal("and the rest holds", connection.get().status, 200)
    write_config(lab, strict, log, more="  polcy: x\n")
    hup("configuration not changed, the last good one stays")
    place = re.search(r"serve\.yaml:\d+:3: .*policy", read(log))
    cases.check("a broken file: the message has its place", place, read(log))
    cases.equal("and nothing has changed", connection.get().status, 200)
    write_config(lab, "/nowhere.yaml", log)
    hup("policy not reloaded, the last good one stays")
    cases.equal("a policy that is not there changes nothing", connection.get().status, 200)
    metrics = Metrics(lab, ADMIN)
    counts = (("config", "ok", 4), ("config", "failed", 1), ("policy", "ok", 3), ("policy", "failed", 1))
    for name, result, count in counts:
        cases.equal(f"{name} reloads, {result}", metrics.value(f"synauthz_{name}_reloads_total", result=result), count)
    told = json.loads(ask(lab, ADMIN, "/config").body)
    last = told["policy"]["reload"]["last"]
    cases.check("/config: why the last policy is not in use", "/nowhere.yaml: cannot read" in last["error"], last)
    cases.equal("/config: the one that is", told["policy"]["file"], policy)
    cases.equal("/config: the last configuration was good", told["config_reload"]["last"]["error"], None)
    cases.equal("/config: its file", told["config_file"], config)
    write_config(lab, policy, log, more="  threads: 2\n")
    hup("policy reloaded", 4)
    told = json.loads(ask(lab, ADMIN, "/config").body)
    threads = {"value": 1, "from": "default", "after_restart": 2}
    cases.equal("/config: what waits for a restart", told["settings"]["threads"], threads)
    cases.equal("/config: a setting's line", told["settings"]["log"], {"value": log, "from": f"{config}:8"})
    cases.equal("/config: the policy's error is over", told["policy"]["reload"]["last"]["error"], None)
    cases.equal("SIGTERM: status 0", server.stop(), 0)
    cases.check("and the log says so", "ending on signal 15" in read(log))


def refused_configurations(cases, lab, policy):
    table = (
        ("a file that the server could not read again", policy, "-", 3, f"user {NOBODY}, as whom it serves"),
        ("a policy that the server may not read", lab.write("secret.yaml", POLICY), "-", 3, f"user {NOBODY}, as whom"),
        ("a policy that is not there", "/nowhere.yaml", "-", 3, "/nowhere.yaml: cannot read the file: No such file"),
        ("a log in a folder that is root's", policy, "/run/lab.log", 1, "--log /run/lab.log: cannot open it to write"),
        ("a log that is a FIFO", policy, fifo(), 1, "/fifo: "),
    )
    os.chmod(os.path.join(SCRATCH, "secret.yaml"), 0o600)
    for number, (name, file, log, status, message) in enumerate(table):
        config = write_config(lab, file, log)
        if number == 0:
            os.chmod(config, 0o600)
        done = synauthz(lab, "serve", "--config", config)
        cases.check(
            f"{name}: status {status}, `{message}`",
            done.returncode == status and message in done.stderr and done.stderr.count("\n") == 1,
            done,
        )


def fifo():
    path = os.path.join(SCRATCH, "fifo")
    os.mkfifo(path)
    os.chmod(path, 0o666)
    return path


# ------------------------------------------------------------------------------------------- --print-config


def values(text):
    """A printed configuration without its comments."""
    return [line for line in re.sub(r" +# [^\n]*", "", text).splitlines() if line.strip()]


def printed(cases, lab, verb, *options):
    """Prints, reads what was printed, and prints that."""
    first = synauthz(lab, verb, *options, "--print-config")
    cases.check(f"{verb} --print-config: status 0", first.returncode == 0 and not first.stderr, first)
    again = lab.write("printed.yaml", first.stdout)
    second = synauthz(lab, verb, "--config", again, "--print-config")
    cases.equal(f"{verb} --print-config: read and printed again it is the same", values(second.stdout), values(first.stdout))
    origins = set(re.findall(r" # ((?!.* # ).*)$", second.stdout, re.M))
    cases.equal(
        f"{verb} --print-config: then all is from the file, or not set",
        {re.sub(r"\d+$", "N", origin) for origin in origins},
        {f"{again}:N", "not set"},
    )
    return first.stdout


def print_config(cases, lab, policy):
    listen = f"unix:{SOCKET},mode=0600"
    config = lab.write("some.yaml", f"version: 1\npin-dir: /run/x\nserve:\n  policy: {policy}\n  drain-timeout: 9000ms\n")
    text = printed(cases, lab, "serve", "--config", config, "--listen", listen, "--require-capture")
    for line, origin in (
        (f'policy: "{policy}"', f"{config}:4"),
        ('pin-dir: "/run/x"', f"{config}:2"),
        ("drain-timeout: 9s", f"{config}:5"),
        ("listen:", "command line"),
        ("require-capture: true", "command line"),
        ("threads: 1", "default"),
        ("# attach: IFACE", "not set"),
    ):
        found = re.search(rf"^  {re.escape(line)} +# {re.escape(origin)}$", text, re.M)
        cases.check(f"serve --print-config: {line} is from: {origin}", found, text)
    printed(cases, lab, "agent", "--port", "443,8443", "--interface", "eth*", "--interface", 'a"b')
    cases.equal("nothing was started", (os.path.exists(SOCKET), os.path.exists("/run/synauthz/bpf")), (False, False))
    for verb, options, status, message in (
        ("serve", ["--policy", policy], 2, "--listen ADDR is missing"),
        ("serve", ["--config", lab.write("w.yaml", "version: 1\nserve: {thraeds: 2}\n")], 3, "w.yaml:2:9: unknown key"),
        ("agent", [], 2, "capture SYNs to which ports?"),
        ("agent", ["--config", lab.write("v.yaml", "version: 1\nagent: {prefix: x, port: 80}\n")], 3, "v.yaml:2:17: "),
    ):
        done = synauthz(lab, verb, *options, "--print-config")
        cases.check(
            f"{verb} --print-config of what is wrong: status {status}, `{message}`",
            done.returncode == status and message in done.stderr and not done.stdout,
            done,
        )
    program = readable_copy(find_synauthz())
    done = subprocess.run([program, "agent", "--port", "80", "--print-config"], user=NOBODY, capture_output=True, timeout=60)
    cases.equal("anybody may ask", done.returncode, 0)


def main(cases):
    lab = Lab()
    policy = lab.write("policy.yaml", POLICY)
    print_config(cases, lab, policy)
    lab.start_upstream()
    lab.start_envoy()
    configured(cases, lab, policy)
    refused_configurations(cases, lab, policy)


run_cases(main)
