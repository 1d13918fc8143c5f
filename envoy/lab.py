# SPDX-License-Identifier: Apache-2.0
"""Two network namespaces joined by a veth pair, and the real programs that run in them.

    client  10.77.N.2, fd00:77:N::2  ----veth----  10.77.N.1, fd00:77:N::1  server
            clients, attackers                      synauthz, Envoy, an upstream

run_privately() runs a script in process and mount namespaces of its own, with a /run of its own: when it ends, for
whatever reason, the kernel takes everything away that it made - processes, network namespaces, sockets, BPF links.
So there is no clean-up code here that could be skipped, and labs run side by side: each has a number N of its own,
because synauthz follows the sockets of all namespaces, and would have to call a tuple that lives in two ambiguous.

The demo and the end-to-end tests share this file.
"""

import contextlib
import ctypes
import http.client
import os
import random
import re
import signal
import socket
import struct
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
PORT, UPSTREAM_PORT = 8080, 9000
SERVER_DEVICE, CLIENT_DEVICE = "lab-server", "lab-client"
SOCKET = "/run/synauthz/authz.sock"
SCRATCH = "/run/lab"

INSIDE = "SYNAUTHZ_LAB_INSIDE"  # in the environment of the run inside: the lab's number
NUMBER = os.environ.pop(INSIDE, "")
SERVER_IPV4, SERVER_IPV6 = f"10.77.{NUMBER}.1", f"fd00:77:{NUMBER}::1"
CLIENT_IPV4, CLIENT_IPV6 = f"10.77.{NUMBER}.2", f"fd00:77:{NUMBER}::2"
PRIVATELY = "setpriv --pdeathsig KILL unshare --mount --pid --fork --kill-child --mount-proc".split()
CLONE_NEWNET = 0x40000000
NOBODY = 65534
libc = ctypes.CDLL(None, use_errno=True)


class LabError(Exception):
    """Something that the lab itself needs does not work; the text says what."""


def run_privately():
    """Runs this script again inside namespaces of its own and exits with its status; returns when it is that run."""
    if NUMBER and os.getpid() == 1:  # never mount anything anywhere else
        _private_run()
        return
    if os.geteuid() != 0:
        sys.exit("must be root: network namespaces and BPF programs are made")
    child = subprocess.Popen([*PRIVATELY, sys.executable, "-u", *sys.argv], env={**os.environ, INSIDE: number_of_lab()})
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _frame: sys.exit(128 + number))
    try:
        status = child.wait()
    finally:
        child.kill()  # its children die with their process namespace
        child.wait()
    sys.exit(status if status >= 0 else 128 - status)


def number_of_lab():
    """By chance: process numbers repeat in the namespaces that tests/run makes."""
    return str(random.randint(1, 250))


def _private_run():
    sh("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
    for folder in ("/run/netns", "/run/synauthz", SCRATCH):
        os.mkdir(folder, 0o755)


def sh(*argv, **options):
    """Output of a command that must succeed."""
    done = subprocess.run(
        argv, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options
    )
    if done.returncode != 0:
        raise LabError(f"`{' '.join(argv)}` ended with {done.returncode}: {done.stdout[-2000:]}")
    return done.stdout


def wait_until(condition, seconds, what):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise LabError(f"waited {seconds} s for {what}")
        time.sleep(0.02)


def find_envoy():
    return sh(os.path.join(HERE, "find-envoy")).strip()


def find_synauthz():
    """The program under test: $SYNAUTHZ, else the release build."""
    binary = os.environ.get("SYNAUTHZ", os.path.join(ROOT, "build/release/synauthz"))
    if not os.access(binary, os.X_OK):
        raise LabError(f"{binary} is not built: cmake --preset release && cmake --build --preset release")
    return os.path.abspath(binary)


class Namespace:
    """A network namespace.  `with namespace.entered():` makes sockets of this thread belong to it."""

    def __init__(self, name):
        self.name = name
        sh("ip", "netns", "add", name)
        self.path = f"/run/netns/{name}"
        sh("ip", "-n", name, "link", "set", "lo", "up")

    def ip(self, *argv):
        return sh("ip", "-n", self.name, *argv)

    def inside(self, *argv):
        """The command line that runs `argv` in here, all else unchanged."""
        return ["nsenter", f"--net={self.path}", *argv]

    def sh(self, *argv, **options):
        return sh(*self.inside(*argv), **options)

    @contextlib.contextmanager
    def entered(self):
        with open("/proc/thread-self/ns/net") as outside, open(self.path) as here:
            _set_namespace(here.fileno())
            try:
                yield
            finally:
                _set_namespace(outside.fileno())

    def sysctl(self, key, value):
        with self.entered(), open("/proc/sys/" + key.replace(".", "/"), "w") as file:
            file.write(str(value))

    @contextlib.contextmanager
    def changed(self, key, value):
        """A setting that goes back to what it was."""
        with self.entered(), open("/proc/sys/" + key.replace(".", "/")) as file:
            before = file.read().strip()
        self.sysctl(key, value)
        try:
            yield
        finally:
            self.sysctl(key, before)


def _set_namespace(fd):
    if libc.setns(fd, CLONE_NEWNET) != 0:
        raise LabError(f"setns: {os.strerror(ctypes.get_errno())}")


class Program:
    """A program that runs beside us, its output in a file."""

    def __init__(self, name, argv, **options):
        self.name = name
        self.log = os.path.join(SCRATCH, f"{name}.{time.monotonic_ns()}.log")
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, **options
            )
        self.pid = self.process.pid  # nsenter and setpriv exec, so it is the program's own

    def output(self):
        with open(self.log, errors="replace") as log:
            return log.read()

    def runs(self):
        return self.process.poll() is None

    def wait_for(self, text, seconds=20):
        def there():
            if text in self.output():
                return True
            if not self.runs():
                raise LabError(f"{self.name} ended with {self.process.returncode}:\n{self.output()[-3000:]}")
            return False

        wait_until(there, seconds, f"`{text}` from {self.name}, which said:\n{self.output()[-3000:]}")
        return self

    def send(self, number):
        self.process.send_signal(number)

    def stop(self, number=signal.SIGTERM, seconds=15):
        """Ends it and returns its exit status."""
        if self.runs():
            self.send(number)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise LabError(f"{self.name} did not end within {seconds} s:\n{self.output()[-3000:]}") from None


class Reply:
    """A response, each of its header lines in `lines`; `received` is what the upstream says it got: [(name, value)],
    None when it was not reached."""

    def __init__(self, status, headers, body, header_lines=()):
        self.status, self.headers, self.body, self.lines = status, headers, body, header_lines
        lines = body.splitlines()
        self.received = None
        if status == 200 and lines and re.match(r"[A-Z]+ /", lines[0]):
            self.received = [tuple(line.split(": ", 1)) for line in lines[1:]]

    def header(self, name):
        return self.headers.get(name.lower())

    def upstream(self, name):
        """Values of a header as the upstream received it."""
        return [value for key, value in self.received or [] if key == name]

    def __repr__(self):
        return f"<{self.status} {self.headers} {self.body[:400]!r}>"


class Connection:
    """One keep-alive HTTP/1.1 connection from the client's namespace."""

    def __init__(self, lab, address=SERVER_IPV4, port=PORT, source_port=0):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with lab.client.entered():
            self.socket = socket.socket(family, socket.SOCK_STREAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.settimeout(10)
        if source_port:
            self.socket.bind(("", source_port))
        self.socket.connect((address, port))
        self.local = self.socket.getsockname()[:2]
        self.http = http.client.HTTPConnection("lab.test")
        self.http.sock = self.socket

    def get(self, path="/", headers=(), method="GET"):
        """One request; `headers` are sent as they are, repetitions and spelling included."""
        self.http.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in (("host", "lab.test"), *headers):
            self.http.putheader(name, value)
        self.http.endheaders()
        response = self.http.getresponse()
        body = response.read().decode("utf-8", "replace")
        if response.will_close:
            raise LabError("the connection was not kept")
        lines = [(name.lower(), value) for name, value in response.getheaders()]
        return Reply(response.status, dict(lines), body, lines)

    def close(self, reset=False):
        if reset:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.http.sock = None
        self.socket.close()


class Lab:
    """The two namespaces, and what is started in them.  After run_privately() only."""

    def __init__(self):
        self.server, self.client = Namespace("server"), Namespace("client")
        sh(
            "ip",
            "link",
            "add",
            SERVER_DEVICE,
            "netns",
            "server",
            "type",
            "veth",
            "peer",
            "name",
            CLIENT_DEVICE,
            "netns",
            "client",
        )
        for namespace, device, ipv4, ipv6 in (
            (self.server, SERVER_DEVICE, SERVER_IPV4, SERVER_IPV6),
            (self.client, CLIENT_DEVICE, CLIENT_IPV4, CLIENT_IPV6),
        ):
            namespace.ip("addr", "add", f"{ipv4}/24", "dev", device)
            namespace.ip("addr", "add", f"{ipv6}/64", "dev", device, "nodad")
            namespace.ip("link", "set", device, "up")
        self.server.ip("route", "add", "blackhole", "default")  # answers to invented sources go nowhere

    def start(self, name, *argv, namespace=None, **options):
        return Program(name, (namespace or self.server).inside(*argv), **options)

    def serve(self, policy, *options, listen=f"unix:{SOCKET}", ports=(PORT,), ready="ready", **more):
        """synauthz, attached to the server's device unless `options` name another source; waits until it is ready."""
        source = () if "--source" in options else ("--attach", SERVER_DEVICE, "--port", ",".join(map(str, ports)))
        return self.start(
            "synauthz", find_synauthz(), "serve", "--policy", policy, "--listen", listen, *source, *options, **more
        ).wait_for(ready)

    def start_upstream(self):
        return self.start(
            "upstream", sys.executable, "-u", os.path.join(HERE, "upstream.py"), str(UPSTREAM_PORT)
        ).wait_for("listening")

    def start_envoy(self, more="", port=PORT, config="envoy.yaml"):
        """Envoy with a file of this folder and `more` YAML: Envoy appends its listeners and clusters to those of the
        file."""
        envoy = self.start(
            "envoy",
            find_envoy(),
            "--config-path",
            os.path.join(HERE, config),
            *(("--config-yaml", more) if more else ()),
            "--concurrency",
            "2",
            "--disable-hot-restart",
            "--use-dynamic-base-id",
            "--log-level",
            "warning",
            "--file-flush-interval-msec",
            "50",
        )
        wait_until(lambda: self._listens(envoy, port), 30, "Envoy's listener")
        return envoy

    def _listens(self, envoy, port):
        if not envoy.runs():
            raise LabError(f"Envoy ended:\n{envoy.output()[-3000:]}")
        return f":{port} " in self.server.sh("ss", "--no-header", "--listening", "--tcp", "--numeric")

    def write(self, name, text):
        """A file that the unprivileged server can read."""
        path = os.path.join(SCRATCH, name)
        with open(path + ".new", "w") as file:
            file.write(text)
        os.chmod(path + ".new", 0o644)
        os.rename(path + ".new", path)
        return path

    def copy(self, path):
        """The same for a file of the tree, which may lie where only root looks."""
        with open(path) as file:
            return self.write(os.path.basename(path), file.read())

    def record_syns(self):
        return SynRecording(self)

    def attached(self):
        """Does a BPF program hang on the server's device?"""
        return "xdp" in self.server.ip("-details", "link", "show", "dev", SERVER_DEVICE)


class SynRecording:
    """tcpdump on the server's device; signatures() asks the real p0f about what it saw."""

    def __init__(self, lab):
        self.pcap = os.path.join(SCRATCH, f"syn.{time.monotonic_ns()}.pcap")
        syn = "(tcp[tcpflags] & (tcp-syn|tcp-ack) == tcp-syn) or (ip6 proto 6 and ip6[53] & 0x12 == 2)"
        self.tcpdump = lab.start(
            "tcpdump", "tcpdump", "-Z", "root", "-i", SERVER_DEVICE, "-U", "--immediate-mode", "-w", self.pcap, syn
        ).wait_for("listening on")

    def signatures(self):
        """{(client's address, port): the signature that p0f prints} of all SYNs until now; ends the recording."""
        time.sleep(0.2)
        self.tcpdump.stop()
        log = self.pcap + ".p0f"
        sh("p0f", "-f", "/etc/p0f/p0f.fp", "-r", self.pcap, "-o", log)
        found = {}
        with open(log) as lines:
            for line in lines:
                fields = dict(field.split("=", 1) for field in line.split("] ", 1)[1].strip().split("|"))
                if fields["mod"] == "syn":
                    address, port = fields["cli"].rsplit("/", 1)
                    found[canonical(address), int(port)] = fields["raw_sig"]
        return found


def canonical(address):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return socket.inet_ntop(family, socket.inet_pton(family, address))
