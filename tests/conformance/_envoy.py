# SPDX-License-Identifier: Apache-2.0
"""Envoy's configuration, put together from what the scenarios ask for, and one running Envoy.

A scenario describes each of its listeners as Http, Tcp or Raw; all that it does not mention is as below.  Dictionaries
are merged into the defaults, deeply.
"""

import collections
import dataclasses
import http.client
import json
import os
import socket
import threading

from _tap import METADATA
from lab import LabError, sh, wait_until

API = "type.googleapis.com/envoy.extensions."
HTTP_AUTHZ, TCP_AUTHZ = "envoy.filters.http.ext_authz", "envoy.filters.network.ext_authz"
ID = "x-conformance-id"  # a request's own number, by which its line in the access log is found
DEADLINE = "10s"  # of a Check: no test of ours waits for it
CHECKED_BY_TAP = "tap"


def merged(base, over):
    """`over` laid over `base`: dictionaries are merged, everything else replaces; None takes a key away."""
    result = dict(base)
    for key, value in over.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merged(result[key], value)
        else:
            result[key] = value
    return result


def typed(name, kind, **config):
    """A filter, or whatever else has a name and a typed configuration."""
    return {"name": name, "typed_config": {"@type": API + kind, **config}}


ROUTER = typed("envoy.filters.http.router", "filters.http.router.v3.Router")


def per_route(**config):
    """What a route says of the HTTP filter: the value of typed_per_filter_config[HTTP_AUTHZ]."""
    return {"@type": API + "filters.http.ext_authz.v3.ExtAuthzPerRoute", **config}


def grpc_service(listener, cluster, deadline=DEADLINE):
    return {
        "envoy_grpc": {"cluster_name": cluster, "authority": "authz"},
        "timeout": deadline,
        "initial_metadata": [{"key": METADATA, "value": listener}],
    }


@dataclasses.dataclass
class Listener:
    """`cluster`: who answers the Checks.  `listener`: laid over the listener.  `since`: older Envoys have it not."""

    cluster: str = CHECKED_BY_TAP
    authz: dict = dataclasses.field(default_factory=dict)  # over the ext_authz filter
    listener: dict = dataclasses.field(default_factory=dict)
    log: dict = dataclasses.field(default_factory=dict)  # more fields of the access log
    before: tuple = ()  # filters in front of ext_authz
    after: tuple = ()  # and behind it
    transport: dict | None = None  # TLS, QUIC
    since: str = "0"

    def chain(self, filters):
        transport = {"transport_socket": self.transport} if self.transport else {}
        return {"filters": filters, **transport}

    def described(self, name, port):
        address = {"socket_address": {"address": "::", "port_value": port, "ipv4_compat": True}}
        base = {"name": name, "address": address, "filter_chains": [self.chain(self.filters(name))]}
        return merged(base, self.listener)

    def access_log(self, name, namespace, **more):
        fields = {
            "id": f"%REQ({ID})%",
            "listener": name,
            "code": "%RESPONSE_CODE%",
            "flags": "%RESPONSE_FLAGS%",
            "details": "%RESPONSE_CODE_DETAILS%",
            "metadata": f"%DYNAMIC_METADATA({namespace})%",
            **more,
            **self.log,
        }
        kind = "access_loggers.file.v3.FileAccessLog"
        return [typed("envoy.access_loggers.file", kind, path=ACCESS_LOG, log_format={"json_format": fields})]


ACCESS_LOG = "/run/lab/access.json"


@dataclasses.dataclass
class Http(Listener):
    """`routes` None: everything goes to the upstream.  `manager`: laid over the HTTP connection manager."""

    manager: dict = dataclasses.field(default_factory=dict)
    routes: list | None = None
    host: dict = dataclasses.field(default_factory=dict)  # over the virtual host

    def filters(self, name):
        base = {
            "transport_api_version": "V3",
            "stat_prefix": name,
            "grpc_service": grpc_service(name, self.cluster),
        }
        authz = typed(HTTP_AUTHZ, "filters.http.ext_authz.v3.ExtAuthz", **merged(base, self.authz))
        routes = self.routes or [{"match": {"prefix": "/"}, "route": {"cluster": "upstream"}}]
        virtual_host = merged({"name": "all", "domains": ["*"], "routes": routes}, self.host)
        manager = {
            "stat_prefix": name,
            "route_config": {"virtual_hosts": [virtual_host]},
            "http_filters": [*self.before, authz, *self.after, ROUTER],
            "access_log": self.access_log(name, HTTP_AUTHZ, path="%REQ(:PATH)%"),
        }
        kind = "filters.network.http_connection_manager.v3.HttpConnectionManager"
        return [typed("envoy.filters.network.http_connection_manager", kind, **merged(manager, self.manager))]


@dataclasses.dataclass
class Tcp(Listener):
    """The network filter in front of a TCP proxy to the upstream."""

    def filters(self, name):
        base = {
            "transport_api_version": "V3",
            "stat_prefix": name,
            "grpc_service": grpc_service(name, self.cluster),
        }
        authz = typed(TCP_AUTHZ, "filters.network.ext_authz.v3.ExtAuthz", **merged(base, self.authz))
        log = self.access_log(name, TCP_AUTHZ)
        kind = "filters.network.tcp_proxy.v3.TcpProxy"
        proxy = typed(
            "envoy.filters.network.tcp_proxy", kind, stat_prefix=name, cluster="upstream", access_log=log
        )
        return [*self.before, authz, *self.after, proxy]


@dataclasses.dataclass
class Raw:
    """A listener described in full by `make(name, port)`."""

    make: object
    since: str = "0"

    def described(self, name, port):
        return self.make(name, port)


LABELS = {"app": "edge", **{f"label-{number}": "x" * 50 for number in range(20)}}  # of the node
HTTP2 = {
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": API + "upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {}},
    }
}


def cluster(name, address, http2=False, **more):
    """`address`: the path of a unix socket (@ for an abstract one), or (host, port)."""
    where = {"pipe": {"path": address}} if isinstance(address, str) else None
    where = where or {"socket_address": {"address": address[0], "port_value": address[1]}}
    base = {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "5s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": where}}]}]},
        **({"typed_extension_protocol_options": HTTP2} if http2 else {}),
    }
    return merged(base, more)


def unix_get(address, path):
    """The page of an HTTP server on a unix socket."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(20)
        sock.connect(address)
        client = http.client.HTTPConnection("unix")
        client.sock = sock
        client.request("GET", path)
        return client.getresponse().read().decode()


class Envoy:
    """One Envoy.  `listeners`: {name: described}, `clusters`: list."""

    def __init__(self, lab, version, listeners, clusters, concurrency=2, name="envoy", more=None):
        self.lab, self.name = lab, name
        self.admin = f"/run/lab/{name}.admin"
        internal = typed("envoy.bootstrap.internal_listener", "bootstrap.internal_listener.v3.InternalListener")
        config = {
            "bootstrap_extensions": [internal],
            "node": {"id": name, "cluster": "conformance", "metadata": {"labels": LABELS}},
            "admin": {"address": {"pipe": {"path": self.admin}}},
            "static_resources": {"listeners": list(listeners), "clusters": clusters},
        }
        path = lab.write(f"{name}.json", json.dumps(merged(config, more or {}), indent=1))
        self.program = lab.start(
            name,
            sh(os.path.join(os.path.dirname(__file__), "../../envoy/find-envoy"), version).strip(),
            "--config-path",
            path,
            "--concurrency",
            str(concurrency),
            "--disable-hot-restart",
            "--use-dynamic-base-id",
            "--log-level",
            "warning",
            "--file-flush-interval-msec",
            "20",
        )
        wait_until(self._ready, 60, f"Envoy to be ready:\n{self.program.output()[-3000:]}")

    def _ready(self):
        if not self.program.runs():
            raise LabError(f"Envoy ended:\n{self.program.output()[-4000:]}")
        try:
            return self.get("/ready").startswith("LIVE")
        except OSError:
            return False

    def get(self, path):
        """A page of the admin interface."""
        return unix_get(self.admin, path)

    def stats(self, prefix):
        """{name: value} of the counters and gauges that begin so."""
        page = json.loads(self.get("/stats?format=json"))["stats"]
        return {stat["name"]: stat["value"] for stat in page if stat.get("name", "").startswith(prefix)}


class AccessLog:
    """The lines of ACCESS_LOG."""

    def __init__(self):
        self.lock, self.read, self.rest = threading.Lock(), 0, b""
        self.by_id, self.by_listener = {}, collections.defaultdict(list)

    def _take(self):
        if not os.path.exists(ACCESS_LOG):
            return
        with open(ACCESS_LOG, "rb") as file:
            file.seek(self.read)
            text = self.rest + file.read()
            self.read = file.tell()
        *lines, self.rest = text.split(b"\n")
        for line in lines:
            entry = json.loads(line.decode("utf-8", "replace"))
            if entry.get("id"):
                self.by_id[entry["id"]] = entry
            self.by_listener[entry["listener"]].append(entry)

    def find(self, number):
        """The line of the request with this ID, None if it is not there yet."""
        with self.lock:
            self._take()
            return self.by_id.get(str(number))

    def of(self, number, seconds=20):
        wait_until(lambda: self.find(number), seconds, f"request {number} in the access log")
        return self.find(number)

    def nth(self, listener, index, seconds=20):
        """The line of a listener's request or connection number `index`, from 0."""

        def there():
            with self.lock:
                self._take()
                return len(self.by_listener[listener]) > index

        wait_until(there, seconds, f"line {index} of {listener} in the access log")
        return self.by_listener[listener][index]
