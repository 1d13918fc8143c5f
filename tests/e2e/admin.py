#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The server's admin pages: what is asked and answered, by whom, and what they say of threads that hang."""

import calendar
import ctypes
import json
import stat

from _admin import *

ADMIN, ADMIN_SOCKET = ("127.0.0.1", 9102), "/run/synauthz/admin.sock"
ADMIN_OPTION = ("--admin", "%s:%d" % ADMIN)
POLICY = "version: 1\nrules: []\ndefault: allow\n"


def requests(cases, lab, address, where):
    for path in ("/livez", "/metrics", "/config"):
        page = ask(lab, address, path)
        cases.equal(f"{where}: GET {path}", page.status, 200)
        head = ask(lab, address, path, "HEAD")
        cases.check(f"{where}: HEAD {path}: no body", head.status == 200 and head.body == "", head)
    page = ask(lab, address, "/metrics")
    cases.equal(
        f"{where}: Prometheus text", page.headers["Content-Type"], "text/plain; version=0.0.4; charset=utf-8"
    )
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
        page = ask(lab, address, "/metrics", method)
        cases.check(f"{where}: {method}: 405, Allow", page.status == 405 and page.headers["Allow"] == "GET, HEAD", page)
    page = ask(lab, address, "/livez", headers={"Content-Length": "1000000000"})
    cases.equal(f"{where}: GET with a body that is to come: 413", page.status, 413)
    for path in ("/", "/healthz", "/metrics/", "//livez"):
        page = ask(lab, address, path)
        cases.check(
            f"{where}: {path}: 404, and which pages there are",
            page.status == 404 and all(name in page.body for name in ("/metrics", "/config", "/livez", "/readyz")),
            page,
        )


def unix_socket(cases, lab, policy):
    server = lab.serve(policy, "--source", "none", "--admin", f"unix:{ADMIN_SOCKET},mode=0660,group=nogroup")
    found = os.lstat(ADMIN_SOCKET)
    cases.check(
        "unix: the socket has the mode and group that --admin names",
        stat.S_ISSOCK(found.st_mode) and stat.S_IMODE(found.st_mode) == 0o660 and found.st_gid == NOBODY,
        (oct(found.st_mode), found.st_gid),
    )
    requests(cases, lab, ADMIN_SOCKET, "unix")
    cases.equal("unix: without capture to wait for it is ready", ask(lab, ADMIN_SOCKET, "/readyz").status, 200)
    server.stop()


class Held:
    """A thread of a program that stands still, as one does that hangs; the others run on."""

    SEIZE, INTERRUPT, WALL = 0x4206, 0x4207, 0x40000000

    def __init__(self, pid, name):
        self.tasks = f"/proc/{pid}/task"
        wait_until(lambda: name in self.threads(), 10, f"the thread {name}")
        self.thread = self.threads()[name]

    def threads(self):
        return {read(f"{self.tasks}/{thread}/comm").strip(): int(thread) for thread in os.listdir(self.tasks)}

    def __enter__(self):
        for request in (self.SEIZE, self.INTERRUPT):
            if libc.ptrace(request, self.thread, None, None) != 0:
                raise LabError(f"ptrace: {os.strerror(ctypes.get_errno())}")
        os.waitpid(self.thread, self.WALL)

    def __exit__(self, *_):
        libc.ptrace(17, self.thread, None, None)  # detach


def liveness(cases, lab, policy):
    server = lab.serve(policy, "--source", "none", *ADMIN_OPTION)
    for name in ("accept", "answer"):
        with Held(server.pid, name):
            wait_for_page(lab, ADMIN, "/livez", 503, "has not come round", 20)
            cases.check(f"the thread `{name}` hangs: /livez says so", True)
            cases.equal(f"the thread `{name}` hangs: and so does /readyz", ask(lab, ADMIN, "/readyz").status, 503)
            silence = Metrics(lab, ADMIN).value("synauthz_thread_silence_seconds")
            cases.check(f"the thread `{name}` hangs: for how long", silence >= 10, silence)
        wait_for_page(lab, ADMIN, "/livez", 200)
        cases.check(f"the thread `{name}` goes on: /livez turns true", True)
    server.stop()


def refused_starts(cases, lab, policy):
    server = lab.serve(policy, "--source", "none", *ADMIN_OPTION)
    for address, why in (
        (ADMIN_OPTION[1], "Address already in use"),
        ("192.0.2.1:9102", "Cannot assign requested address"),
        ("unix:/no/such/folder/admin", "No such file or directory"),
        (f"unix:{policy}", "the path exists and is not a socket"),
    ):
        done = synauthz(
            lab, "serve", "--policy", policy, "--source", "none", "--listen", "unix:@another", "--admin", address
        )
        cases.check(
            f"--admin {address} cannot be: status 1, and a line says why",
            done.returncode == 1 and f"--admin {address}: " in done.stderr and why in done.stderr,
            done,
        )
    cases.equal("the running server is not harmed", ask(lab, ADMIN, "/livez").status, 200)
    server.stop()


def config_page(cases, lab, policy):
    """What is fixed from the start on; what reloads change is serve_config.py's."""
    server = lab.serve(policy, "--source", "none", *ADMIN_OPTION)
    page = ask(lab, ADMIN, "/config")
    cases.equal("/config: JSON", page.headers["Content-Type"], "application/json")
    told = json.loads(page.body)
    version = json.loads(synauthz(lab, "version", "-o", "json").stdout)
    program = {"version": version["version"], "commit": version["commit"], "verb": "serve", "pid": server.pid}
    cases.equal("/config: the program", told["program"], program)
    cases.equal("/config: ready", (told["ready"], told["why"]), (True, None))
    cases.equal("/config: listeners", told["listeners"], [f"unix:{SOCKET}"])
    cases.equal("/config: source", told["source"], {"kind": "none"})
    cases.equal("/config: without a file", told["config_file"], None)
    cases.equal("/config: a setting that was given", told["settings"]["policy"], {"value": policy, "from": "command line"})
    cases.equal("/config: one that was not", told["settings"]["threads"], {"value": 1, "from": "default"})
    cases.equal("/config: and one that nobody has set", told["settings"]["attach"], {"value": None, "from": "not set"})
    loaded = told["policy"]
    cases.equal("/config: the policy", (loaded["file"], loaded["rules"]), (policy, 0))
    cases.check("/config: its revision is that of the log", f"revision {loaded['revision']}," in server.output(), loaded)
    age = time.time() - calendar.timegm(time.strptime(loaded["reload"]["loaded"], "%Y-%m-%dT%H:%M:%SZ"))
    cases.check("/config: and when it was loaded", -1 <= age < 60, age)
    server.stop()


def no_secrets(cases, lab, policy):
    """A key is named, and never shown."""
    key, certificate = os.path.join(SCRATCH, "tls.key"), os.path.join(SCRATCH, "tls.crt")
    sh(
        *"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=lab.test".split(),
        *("-keyout", key, "-out", certificate),
    )
    shutil.chown(key, NOBODY, NOBODY)
    options = ("--source", "none", "--tls-cert", certificate, "--tls-key", key, *ADMIN_OPTION)
    server = lab.serve(policy, *options, listen="127.0.0.1:9443,tls")
    text = "".join(line for line in read(key).splitlines(True) if "-----" not in line)
    page = ask(lab, ADMIN, "/config").body
    printed = synauthz(
        lab, "serve", "--policy", policy, "--listen", "127.0.0.1:9443,tls", *options, "--print-config"
    ).stdout
    for where, shown in (("/config", page), ("--print-config", printed), ("the log", server.output())):
        cases.check(
            f"{where}: nothing of the key", not any(line in shown for line in text.splitlines()) and "PRIVATE" not in shown
        )
    cases.check("/config and --print-config: its name", key in page and key in printed, (page, printed))
    tls = json.loads(page)["tls"]
    cases.check("/config: until when the certificate is good", tls["certificate_expires"] > tls["reload"]["loaded"], tls)
    server.stop()


def watchdog(cases, lab, policy):
    manager = Manager()
    environment = {**os.environ, "NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": "400000"}
    server = lab.serve(policy, "--source", "none", *ADMIN_OPTION, env=environment)
    wait_until(lambda: manager.listen().count("WATCHDOG=1") >= 5, 15, "WATCHDOG=1")
    cases.check("the service manager hears WATCHDOG=1 and READY=1", "READY=1" in manager.listen(), manager.told)
    with Held(server.pid, "answer"):
        wait_for_page(lab, ADMIN, "/livez", 503, "has not come round", 20)
        time.sleep(1)  # one may be on its way
        heard = len(manager.listen())
        time.sleep(2)
        cases.equal("a thread that answers calls hangs: no more of them", manager.listen()[heard:], [])
    wait_until(lambda: len(manager.listen()) > heard, 15, "WATCHDOG=1 again")
    server.stop()


def main(cases):
    lab = Lab()
    policy = lab.write("policy.yaml", POLICY)
    unix_socket(cases, lab, policy)
    refused_starts(cases, lab, policy)
    liveness(cases, lab, policy)
    config_page(cases, lab, policy)
    no_secrets(cases, lab, policy)
    watchdog(cases, lab, policy)


run_cases(main)
