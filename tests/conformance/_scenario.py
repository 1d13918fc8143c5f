# SPDX-License-Identifier: Apache-2.0
"""What a scenario is, and what it may do: the list of all, and the Trial that each gets for one version of Envoy."""

import dataclasses
import importlib
import itertools
import os

import _wire
from _client import Http1, Http2, connect
from _envoy import ID, Http
from lab import SERVER_IPV4

SCENARIOS = []
_ids = itertools.count(1)


def release(version):
    """(1, 36) of "1.36.4"."""
    return tuple(int(part) for part in version.split(".")[:2])


def port_of(number, index=0):
    """Of a scenario's listener, by its place among them."""
    return 10000 + 20 * number + index


@dataclasses.dataclass
class Scenario:
    number: int
    title: str
    run: object
    listen: dict  # {name: Http, Tcp or Raw of _envoy.py}
    rules: str  # of synauthz's policy, YAML
    clusters: dict  # {name: address, or a cluster in full, or what makes it of the server's path}
    needs: tuple | None  # (first release of Envoy that can do it, what it lacks before)
    versions: tuple | None  # releases to run on; None: all
    background: bool  # takes long and waits most of that time: runs beside the others
    about: str  # "envoy": the server under test is not asked; "synauthz": only ours can be started and stopped so

    def port(self, listener):
        return port_of(self.number, list(self.listen).index(listener))


def scenario(
    number,
    title,
    listen=None,
    rules="",
    clusters=None,
    needs=None,
    versions=None,
    background=False,
    about="server",
):
    """Registers a function as a scenario of ext_authz; it gets a Trial.

    Paths begin with the trial's own (/s07), which is how its rules in the common policy know its requests.
    """

    def register(function):
        listeners = listen if isinstance(listen, dict) else {"main": listen or Http()}
        SCENARIOS.append(
            Scenario(
                number, title, function, listeners, rules, clusters or {}, needs, versions, background, about
            )
        )
        return function

    return register


class Trial:
    """One scenario on one version of Envoy.  `listener` is a name of the scenario's `listen`."""

    def __init__(self, scenario, world):
        self.scenario, self.world = scenario, world
        self.lab, self.tap, self.envoy, self.upstream = world.lab, world.tap, world.envoy, world.upstream
        self.path = f"/s{scenario.number:02}"
        self.checks, self.failures, self.notes, self.said = 0, [], [], []

    # -------------------------------------------------------------------------------------------------- judging

    def check(self, what, holds, seen=""):
        self.checks += 1
        if not holds:
            self.failures.append(f"{what}: {seen!r}")
        return holds

    def equal(self, what, got, wanted):
        return self.check(what, got == wanted, f"got {got!r}, wanted {wanted!r}")

    def note(self, text):
        """Something about this version of Envoy that belongs into the table."""
        self.notes.append(text)

    def say(self, text):
        """What another server did, where the tap has not seen it."""
        self.said.append(text)

    def at_least(self, version):
        return release(self.world.version) >= release(version)

    # --------------------------------------------------------------------------------------------------- asking

    def name(self, listener="main"):
        return f"s{self.scenario.number:02}-{listener}"

    def connect(self, listener="main", address=SERVER_IPV4, **options):
        return connect(self.lab.client, address, self.scenario.port(listener), **options)

    def http1(self, listener="main", **options):
        return Http1(self.connect(listener, **options))

    def http2(self, listener="main", **options):
        return Http2(self.connect(listener, **options))

    def get(self, path="", listener="main", method="GET", headers=(), body=b"", http=1, over=None):
        """One request, on a connection of its own unless `over` one; `path` is put behind the trial's."""
        client = over or (self.http1 if http == 1 else self.http2)(listener)
        number = next(_ids)
        reply = client.request(method, self.path + path, [(ID, str(number)), *headers], body)
        reply.id = number
        if not over:
            client.close()
        return reply

    def post(self, path="", body=b"body", **options):
        return self.get(path, method="POST", body=body, **options)

    # --------------------------------------------------------------------------------------------------- seeing

    def script(self, *steps, listener="main"):
        """What the tap does with the next Checks, see _tap.py."""
        self.tap.script(self.name(listener), *steps)

    def calls(self, count, listener="main"):
        """All Checks of the listener, of which there must be `count`."""
        found = self.tap.wait_calls(self.name(listener), count)
        self.equal(f"Checks of {self.name(listener)}", len(self.tap.calls[self.name(listener)]), count)
        return found

    def call_of(self, reply):
        """The Check that a request made."""
        return self.tap.wait_call(lambda call: request_id(call) == str(reply.id))

    def log(self, reply):
        """The request's line in Envoy's access log."""
        return self.world.log.of(reply.id)

    def stat(self, name, listener="main"):
        """A counter of the HTTP filter; one that this Envoy does not have is an error."""
        full = f"http.{self.name(listener)}.ext_authz.{self.name(listener)}.{name}"
        return self.envoy.stats(full)[full]


def request_id(call):
    """The number that a request was given by Trial.get()."""
    headers = call.http.get("headers", {})
    for header in call.http.get("header_map", {}).get("headers", []):
        headers.setdefault(header.get("key"), header.get("raw_value", b"").decode("latin-1"))
    return headers.get(ID)


def describe(call, log):
    """What the server under test did with one Check, and what Envoy and its client made of it."""
    if call.http:
        where = call.http.get("path") or call.http.get("host")  # CONNECT has no path
        asked = f"{call.http.get('method')} {where} {call.http.get('protocol')}"
    else:
        asked = "a connection"
    made = "" if not log else f" -> client {log['code']}" + (f", {log['details']}" if log.get("details") else "")
    return f"{asked[:100]}: {describe_answer(call)}{made}"


def describe_answer(call):
    if call.status is None:
        return "no answer before Envoy gave up"
    if call.status != 0:
        return f"error, grpc-status {call.status}" + (f" ({call.message})" if call.message else "")
    if call.response is None:
        return "error, status 0 without a message"
    try:
        answer = call.answer
    except ValueError as error:
        return f"an answer that is no CheckResponse: {error}"
    if not call.response:
        return "allow, by an empty message"
    metadata = _wire.plain(answer.get("dynamic_metadata", {}))
    return "; ".join([*_verdict(answer), *([f"metadata {', '.join(metadata)}"] if metadata else [])])


def _verdict(answer):
    code = answer.get("status", {}).get("code", 0)
    if code == 0:
        yield "allow" if "status" in answer else "allow, without a status"
        ok = answer.get("ok_response", {})
        for what, label in (("request header", "headers"), ("response header", "response_headers_to_add")):
            if ok.get(label):
                yield f"{what} " + ", ".join(_option(option) for option in ok[label])
        if ok.get("headers_to_remove"):
            yield f"removes {', '.join(ok['headers_to_remove'])}"
        if ok.get("query_parameters_to_set"):
            pairs = (f"{pair.get('key', '')}={pair.get('value', '')}" for pair in ok["query_parameters_to_set"])
            yield f"query {', '.join(pairs)}"
        if ok.get("query_parameters_to_remove"):
            yield f"removes from the query {', '.join(ok['query_parameters_to_remove'])}"
        return
    kind = "error_response" if "error_response" in answer else "denied_response"
    denied = answer.get(kind)
    yield f"deny, code {code}" + ("" if denied is None else f", {kind} {denied.get('status', {}).get('code', 0)}")
    if denied and denied.get("headers"):
        yield "headers " + ", ".join(_option(option) for option in denied["headers"])
    if denied and denied.get("body"):
        yield f"body of {len(denied['body'])} characters"


def _option(option):
    header = option.get("header", {})
    how = ""
    if "append" in option:
        how = " (append)" if option["append"].get("value") else " (set)"
    elif "append_action" in option:
        how = f" (append_action {option['append_action']})"
    return f"{header.get('key')}: {header.get('value', '')}{how}"


def load():
    """Imports the files of scenarios, s*.py, which register them."""
    for name in sorted(os.listdir(os.path.dirname(os.path.abspath(__file__)))):
        if name.startswith("s") and name.endswith(".py"):
            importlib.import_module(name[:-3])
