#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the README tells people to run and to copy."""

import tempfile
import textwrap

from _cases import *

DEMO = os.path.join(ROOT, "envoy/demo")


def host_state(mark):
    """What a demo could leave behind here: a set of lines.  BPF links and sockets live as long as their process."""
    found = {f"interface {name}" for name in re.findall(r"^\d+: ([^:@]+)", sh("ip", "-o", "link"), re.M)}
    found |= {f"namespace {line}" for line in sh("ip", "netns", "list").splitlines()}
    with open("/proc/self/mounts") as file:
        found |= {f"mount {line.strip()}" for line in file}
    found |= {f"file {path}" for path in ("/run/synauthz", "/run/lab") if os.path.exists(path)}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as environ, open(f"/proc/{pid}/cmdline", "rb") as command:
                if mark.encode() in environ.read():
                    found.add(f"process {command.read()}")
        except OSError:
            pass  # it has just ended
    return found


def start_demo(folder):
    """The demo, and a word in its environment by which all of its processes are known."""
    mark = f"DEMO_MARK={os.getpid()}-{time.monotonic_ns()}"
    demo = subprocess.Popen(
        [DEMO],
        cwd=folder,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        env={**os.environ, **dict([mark.split("=")])},
    )
    return demo, mark


def check_nothing_left(cases, name, before, mark):
    try:
        wait_until(lambda: host_state(mark) <= before, 10, "the host to be as before")
        cases.check(f"{name}: it leaves nothing behind", True)
    except LabError:
        cases.check(f"{name}: it leaves nothing behind", False, host_state(mark) - before)


def whole_demo(cases, folder):
    before = host_state("no such mark")
    demo, mark = start_demo(folder)
    cases.check("(a running demo is noticed)", host_state(mark) > before)
    output, _ = demo.communicate(timeout=600)
    cases.equal("the demo succeeds, from any folder", demo.returncode, 0)
    cases.check("and says so", "everything held" in output and "NOT " not in output, output)
    cases.check(
        "it shows signatures and who confirms them",
        re.search(r"p0f says the same of the same SYN: 4:64", output)
        and re.search(r"p0f says the same of the same SYN: 6:64", output),
        output,
    )
    check_nothing_left(cases, "the demo", before, mark)


def interrupted_demo(cases, folder):
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        before = host_state("no such mark")
        demo, mark = start_demo(folder)
        for line in demo.stdout:
            if "an ordinary client" in line:
                break
        demo.send_signal(number)
        rest = demo.stdout.read()  # to the end: no child holds it open
        status = demo.wait(20)
        cases.check(f"{number.name}: the demo ends with a failure", status != 0, (status, rest))
        check_nothing_left(cases, number.name, before, mark)


def examples(cases, folder):
    done = subprocess.run(
        [find_envoy(), "--mode", "validate", "-c", os.path.join(ROOT, "envoy/envoy.yaml"), "-l", "error"],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    cases.equal("Envoy accepts envoy/envoy.yaml", (done.returncode, "OK" in done.stdout), (0, True))
    documents = [
        "README.md",
        *(f"docs/{name}" for name in sorted(os.listdir(os.path.join(ROOT, "docs"))) if name.endswith(".md")),
    ]
    files = [
        (document, text) for document in documents for text in yaml_blocks(document) if text.startswith("version: 1\n")
    ]
    policies = [file for file in files if is_policy(file[1])]
    configurations = [file for file in files if not is_policy(file[1])]
    cases.check("the documents have examples of both", policies and configurations, (len(policies), len(configurations)))
    for number, (document, text) in enumerate(policies, 1):
        policy_loads(cases, folder, f"policy {number}, in {document}", text)
    for number, (document, text) in enumerate(configurations, 1):
        configuration_is_read(cases, folder, f"configuration {number}, in {document}", text)
    with open(os.path.join(ROOT, "envoy/policy.yaml")) as file:
        policy_loads(cases, folder, "envoy/policy.yaml", file.read())


def yaml_blocks(document):
    with open(os.path.join(ROOT, document)) as file:
        return [textwrap.dedent(text) for _, text in re.findall(r"^( *)```yaml\n(.*?)^\1```", file.read(), re.M | re.S)]


def is_policy(text):
    return re.search(r"^default:", text, re.M) is not None


def configuration_is_read(cases, folder, name, text):
    """To its end, and all of it is right: what fails is the policy that the command line names."""
    path, policy = os.path.join(folder, "synauthz.yaml"), os.path.join(folder, "no such policy")
    with open(path, "w") as file:
        file.write(text)
    done = subprocess.run(
        [find_synauthz(), "serve", "--config", path, "--policy", policy, "--listen", f"unix:{folder}/s"],
        text=True,
        stderr=subprocess.PIPE,
    )
    cases.equal(
        f"synauthz accepts {name}",
        (done.returncode, done.stderr),
        (3, f"synauthz: {policy}: cannot read the file: No such file or directory\n"),
    )


def policy_loads(cases, folder, name, text):
    path = os.path.join(folder, "policy.yaml")
    with open(path, "w") as file:
        file.write(text)
    server = subprocess.Popen(
        [find_synauthz(), "serve", "--policy", path, "--listen", f"unix:{folder}/s", "--source", "none"],
        text=True,
        stderr=subprocess.PIPE,
    )
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
