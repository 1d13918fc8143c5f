#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""healthcheck: every form of address, every answer, and a root folder that holds the program alone."""

import json
import shutil
import tempfile
import threading

from _cases import *

POLICY = "version: 1\nrules: []\ndefault: allow\n"
SERVICE = "envoy.service.auth.v3.Authorization"


def healthcheck(*argv, before=(), **options):
    begun = time.monotonic()
    done = subprocess.run(
        [*before, find_synauthz(), "healthcheck", *argv],
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        timeout=60,
        **options,
    )
    done.seconds = time.monotonic() - begun
    return done


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    def __init__(self, folder):
        self.addresses = (
            f"unix:{folder}/a b.sock",
            f"unix:@synauthz-healthcheck-{os.getpid()}",
            f"127.0.0.1:{free_port()}",
            f"[::1]:{free_port()}",
        )
        policy = os.path.join(folder, "policy.yaml")
        with open(policy, "w") as file:
            file.write(POLICY)
        listen = [option for address in self.addresses for option in ("--listen", address)]
        self.process = subprocess.Popen(
            [find_synauthz(), "serve", "--policy", policy, "--source", "none", *listen],
            text=True,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        next(line for line in iter(self.process.stderr.readline, "") if "ready" in line)

    def stop(self):
        self.process.terminate()
        return self.process.wait(20)


def answers(cases, server):
    for address in server.addresses:
        done = healthcheck(address)
        cases.equal(
            f"{address.split('/')[-1]}: status 0, serving",
            (done.returncode, done.stdout, done.stderr),
            (0, "serving\n", ""),
        )
    done = healthcheck(server.addresses[0], "--service", SERVICE)
    cases.equal("the service by its name: status 0", done.returncode, 0)
    done = healthcheck(server.addresses[0], "--service", "no.such.Service")
    cases.check(
        "another service: status 4, and why",
        done.returncode == 4 and "not serving: no such service" in done.stdout and not done.stderr,
        done,
    )
    told = json.loads(healthcheck(server.addresses[1], "-o", "json").stdout)
    cases.equal(
        "as JSON", told, {"address": server.addresses[1], "service": "", "serving": True, "reason": None}
    )
    done = healthcheck(server.addresses[2], "-o", "json", "--service", 'x"y')
    told = json.loads(done.stdout)
    cases.check(
        "not serving, as JSON",
        done.returncode == 4 and told["serving"] is False and told["service"] == 'x"y' and told["reason"],
        done,
    )
    done = healthcheck(server.addresses[2], env={**os.environ, "http_proxy": "http://127.0.0.1:1"})
    cases.equal("a proxy in the environment is not asked", done.returncode, 0)


def nobody_there(cases, folder):
    for address in (f"unix:{folder}/nothing", "unix:@synauthz-nothing", f"127.0.0.1:{free_port()}", "[::1]:1"):
        done = healthcheck(address)
        cases.check(
            f"{address.split('/')[-1]}, nobody there: status 4, and why",
            done.returncode == 4 and "not serving: " in done.stdout and not done.stderr and done.seconds < 5,
            done,
        )


def silence(cases):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        done = healthcheck("127.0.0.1:%d" % silent.getsockname()[1], "--timeout", "1")
    cases.check(
        "nobody answers: status 4 when --timeout has passed",
        done.returncode == 4 and "no answer within 1000 ms" in done.stdout and 0.9 < done.seconds < 5,
        (done, done.seconds),
    )


def other_protocol(cases):
    """An HTTP/1.1 server, as the admin pages are."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def answer():
            while True:
                try:
                    connection = listener.accept()[0]
                except OSError:
                    return
                with connection:
                    connection.recv(100)
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        done = healthcheck("127.0.0.1:%d" % listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(10)
    cases.check("another protocol: status 4", done.returncode == 4 and "not serving: " in done.stdout, done)


def from_scratch(cases, server):
    """The program, the libraries that it is linked with, and nothing else: no /etc, /proc, /dev, /tmp; no user but a
    number."""
    with tempfile.TemporaryDirectory() as root:
        os.chmod(root, 0o755)
        linked = subprocess.run(["ldd", find_synauthz()], text=True, stdout=subprocess.PIPE).stdout
        for library in re.findall(r"(/\S+) \(0x", linked):
            os.makedirs(root + os.path.dirname(library), exist_ok=True)
            shutil.copy(library, root + library)
        shutil.copy(find_synauthz(), root + "/synauthz")
        chroot = [shutil.which("chroot"), "--userspec=12345:12345", "--groups=", root, "/synauthz"]
        for address, status in ((server.addresses[1], 0), (server.addresses[2], 0), ("unix:/nothing", 4)):
            done = subprocess.run(
                [*chroot, "healthcheck", address],
                text=True,
                env={},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                timeout=60,
            )
            cases.check(
                f"from scratch, {address}: status {status}", done.returncode == status and not done.stderr, done
            )


def draining(cases, server):
    cases.equal("SIGTERM: the server ends with 0", server.stop(), 0)
    done = healthcheck(server.addresses[0])
    cases.check("the socket of a server that has ended: status 4", done.returncode == 4, done)


def main(cases):
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        server = Server(folder)
        try:
            answers(cases, server)
            nobody_there(cases, folder)
            silence(cases)
            other_protocol(cases)
            from_scratch(cases, server)
            draining(cases, server)
        finally:
            server.process.kill()


run_cases(main, private=False)
