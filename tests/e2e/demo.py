#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the README tells people to run and to copy."""
import tempfile

from _cases import *

DEMO = os.path.join(ROOT, "envoy/demo")


def host_state():
    """What a demo could leave behind on this machine."""
    interfaces = sorted(re.findall(r"^\d+: ([^:@]+)", sh("ip", "-o", "link"), re.M))
    namespaces = sh("ip", "netns", "list")
    with open("/proc/self/mounts") as file:
        mounts = file.read()
    return interfaces, namespaces, mounts, os.path.exists("/run/synauthz"), sh("bpftool", "-j", "link", "show")


def whole_demo(cases, folder):
    before = host_state()
    done = subprocess.run([DEMO], cwd=folder, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600)
    cases.equal("the demo succeeds, from any folder", done.returncode, 0)
    cases.check("and says so", "everything held" in done.stdout and "NOT " not in done.stdout, done.stdout)
    cases.check("it shows a signature and who confirms it", re.search(r"p0f says the same of the same SYN: 4:64", done.stdout)
                and re.search(r"p0f says the same of the same SYN: 6:64", done.stdout), done.stdout)
    cases.equal("it leaves nothing behind", host_state(), before)


def interrupted_demo(cases, folder):
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        before = host_state()
        demo = Popen_in_group(DEMO, folder)
        for line in demo.stdout:
            if "an ordinary client" in line:
                break
        demo.send_signal(number)
        rest = demo.stdout.read()     # to the end: no child holds it open
        status = demo.wait(20)
        cases.check(f"{number.name}: the demo ends with a failure", status != 0, (status, rest))
        try:
            wait_until(lambda: host_state() == before, 10, "the host to be as before")
            cases.check(f"{number.name}: it leaves nothing behind", True)
        except LabError:
            cases.equal(f"{number.name}: it leaves nothing behind", host_state(), before)


def Popen_in_group(program, folder):
    return subprocess.Popen([program], cwd=folder, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            start_new_session=True)


def examples(cases, folder):
    done = subprocess.run([find_envoy(), "--mode", "validate", "-c", os.path.join(ROOT, "envoy/envoy.yaml"), "-l", "error"],
                          text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    cases.equal("Envoy accepts envoy/envoy.yaml", (done.returncode, "OK" in done.stdout), (0, True))
    for document in ("README.md", "docs/policy.md"):
        with open(os.path.join(ROOT, document)) as file:
            blocks = re.findall(r"^```yaml\n(version: 1\n.*?)^```", file.read(), re.M | re.S)
        for number, text in enumerate(blocks, 1):
            policy_loads(cases, folder, f"{document}, policy {number}", text)
    with open(os.path.join(ROOT, "envoy/policy.yaml")) as file:
        policy_loads(cases, folder, "envoy/policy.yaml", file.read())


def policy_loads(cases, folder, name, text):
    path = os.path.join(folder, "policy.yaml")
    with open(path, "w") as file:
        file.write(text)
    server = subprocess.Popen([find_synauthz(), "serve", "--policy", path, "--listen", f"unix:{folder}/s", "--source", "none"],
                              text=True, stderr=subprocess.PIPE)
    line = server.stderr.readline()
    cases.check(f"synauthz accepts {name}", "ready" in line, line)
    server.terminate()
    server.communicate()


def main(cases):
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        examples(cases, folder)
        whole_demo(cases, folder)
        interrupted_demo(cases, folder)


run_cases(main, private=False)
