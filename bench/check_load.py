# SPDX-License-Identifier: Apache-2.0
"""Servers that answer Checks and the load on them: what the parts share that measure the CPU time of a Check.  Each server
has the first core, the load the last.

For programs that are called as bench.py calls them: PART BUILD SCRATCH.
"""
import collections
import os
import re
import subprocess
import sys
import time

import check_request

BUILD, SCRATCH = sys.argv[1:]
BENCH = os.path.dirname(os.path.abspath(__file__))
CPUS = sorted(os.sched_getaffinity(0))
ROUNDS, ROUNDS_MIN = 7, 3
SECONDS_PER_LOAD = 14   # on a slow or busy machine there are fewer rounds: the whole bench has to end
URI = "http://127.0.0.1:{port}" + check_request.PATH
BODY = os.path.join(SCRATCH, "request")
HEADERS = ["-H", "content-type: application/grpc", "-H", "te: trailers"]

Load = collections.namedtuple("Load", "name requests options")


class Server:
    """A running server with its two addresses: h2load options and URI by transport."""
    def __init__(self, name, port, argv):
        self.name, self.port, self.path = name, port, os.path.join(SCRATCH, f"{name}.sock")
        self.log = os.path.join(SCRATCH, f"{name}.log")
        command = ["taskset", "-c", str(CPUS[0]), *argv(f"unix:{self.path}", f"127.0.0.1:{port}")]
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._wait_ready()

    def _wait_ready(self):
        end = time.monotonic() + 20
        while True:
            with open(self.log, errors="replace") as log:
                said = log.read()
            if "ready" in said:
                return
            if self.process.poll() is not None or time.monotonic() > end:
                sys.exit(f"bench: {self.name} does not get ready:\n{said}")
            time.sleep(0.05)

    def target(self, transport):
        uri = URI.format(port=self.port)
        return ["--base-uri", f"unix:{self.path}", uri] if transport == "unix" else [uri]

    def cpu_seconds(self):
        """Of all threads, past ones too: the process's CPU clock, named as clock_getcpuclockid(3) names it."""
        return time.clock_gettime(~self.process.pid << 3 | 2)

    def resident_mb(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            return int(re.search(r"VmRSS:\s+(\d+) kB", status.read()).group(1)) / 1024


def ask(server):
    """One call, by nghttp, which shows what h2load does not: (the reply's message, grpc-status)."""
    done = subprocess.run(["nghttp", "-v", "-t", "5", "-d", BODY, "-H", ":method: POST", *HEADERS, URI.format(port=server.port)],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=20)
    status = re.search(rb"grpc-status: (\d+)", done.stdout)
    size = re.search(rb"recv DATA frame <length=(\d+)", done.stdout)
    if not status or not size:
        sys.exit(f"bench: {server.name} gave no reply:\n{done.stdout.decode(errors='replace')}")
    return done.stdout, int(status.group(1)), int(size.group(1))


def expect_allow(server, fingerprinted):
    """Returns the bytes of a reply on the wire, gRPC's frame included."""
    said, status, size = ask(server)
    if status != 0 or (fingerprinted and b"verified" not in said):
        sys.exit(f"bench: {server.name} did not answer with {'the live record' if fingerprinted else 'OK'}:\n{said.decode(errors='replace')}")
    return size


def run_load(server, transport, load, reply_size):
    """CPU seconds of the server for each request.  All must have been answered, with a message as long as the first was:
    a gRPC error is a 200 too, but carries none."""
    argv = ["taskset", "-c", str(CPUS[-1]), "h2load", "-t1", "-n", str(load.requests), *load.options, "-d", BODY, *HEADERS, *server.target(transport)]
    before = server.cpu_seconds()
    done = subprocess.run(argv, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
    spent = server.cpu_seconds() - before
    succeeded = re.search(r"status codes: (\d+) 2xx", done.stdout)
    data = re.search(r"\((\d+)\) data", done.stdout)
    if not succeeded or int(succeeded.group(1)) != load.requests or abs(int(data.group(1)) / load.requests - reply_size) > 2:
        sys.exit(f"bench: {server.name} did not answer all of {load.name}:\n{done.stdout}")
    return spent / load.requests


def measure(servers, transport, load, sizes):
    """(figure, floor) in CPU seconds for each round; who goes first alternates."""
    pairs, end = [], time.monotonic() + SECONDS_PER_LOAD
    for number in range(ROUNDS):
        if number >= ROUNDS_MIN and time.monotonic() > end:
            break
        order = list(zip(servers, sizes))[::1 if number % 2 == 0 else -1]
        spent = {server.name: run_load(server, transport, load, size) for server, size in order}
        pairs.append(tuple(spent[server.name] for server in servers))
    return pairs


def readable_policy():
    """The policy where the server, which is nobody, can read it."""
    path = os.path.join(SCRATCH, "policy.yaml")
    with open(os.path.join(BENCH, "policy.yaml"), encoding="utf-8") as source, open(path, "w", encoding="utf-8") as copy:
        copy.write(source.read())
    os.chmod(path, 0o644)
    return path


def write_request(source, destination):
    """The request of the connection between the two, for all servers.  Returns its size."""
    message = check_request.check_request(source, destination)
    with open(BODY, "wb") as body:
        body.write(check_request.grpc_frame(message))
    return len(message)
