# SPDX-License-Identifier: Apache-2.0
"""33, 34: routes, and whether they are checked."""

from _envoy import HTTP_AUTHZ, Http, per_route, typed
from _scenario import scenario

TO_UPSTREAM = {"cluster": "upstream"}
NOBODY = {"filter_enabled": {"default_value": {"numerator": 0}, "runtime_key": "none"}}
DENY_DISABLED = {"deny_at_disable": {"default_value": True, "runtime_key": "none"}}
MARKED = {"filter": "conformance", "path": [{"key": "checked"}], "value": {"bool_match": True}}


def marked(value):
    """A filter that says in dynamic metadata whether the request is to be checked."""
    entry = {"metadata_namespace": "conformance", "value": {"checked": value}}
    return typed("envoy.filters.http.set_metadata", "filters.http.set_metadata.v3.Config", metadata=[entry])


@scenario(
    33,
    "Routes without a check",
    {
        "main": Http(
            routes=[
                {
                    "match": {"prefix": "/s33/off"},
                    "route": TO_UPSTREAM,
                    "typed_per_filter_config": {HTTP_AUTHZ: per_route(disabled=True)},
                },
                {"match": {"prefix": "/s33/on"}, "route": TO_UPSTREAM},
            ]
        ),
        "nobody": Http(authz=NOBODY),
        "denied": Http(authz={**NOBODY, **DENY_DISABLED, "status_on_error": {"code": 503}}),
        "marked": Http(before=[marked(True)], authz={"filter_enabled_metadata": MARKED}),
        "unmarked": Http(before=[marked(False)], authz={"filter_enabled_metadata": MARKED}),
        "unmarked-denied": Http(before=[marked(False)], authz={"filter_enabled_metadata": MARKED, **DENY_DISABLED}),
    },
)
def unchecked_routes(t):
    """a route that switches it off, no route, a disabled filter: no Check; deny_at_disable denies without one"""
    t.equal("route that is off", t.get("/off").status, 200)
    t.equal("no route", t.get("/none").status, 404)
    t.equal("route that is on", t.get("/on").status, 200)
    t.equal("the filter is disabled", t.get(listener="nobody").status, 200)
    t.equal("and denies then", t.get(listener="denied").status, 503)
    t.equal("enabled by metadata", t.get(listener="marked").status, 200)
    t.equal("not enabled by metadata", t.get(listener="unmarked").status, 200)
    t.equal("and denies then", t.get(listener="unmarked-denied").status, 403)
    for listener, count in (("main", 1), ("marked", 1), ("nobody", 0), ("denied", 0), ("unmarked", 0)):
        t.calls(count, listener)
    t.calls(0, "unmarked-denied")


@scenario(
    34,
    "Routes that answer by themselves",
    Http(
        routes=[
            {"match": {"prefix": "/s34/direct"}, "direct_response": {"status": 202}},
            {"match": {"prefix": "/s34/redirect"}, "redirect": {"path_redirect": "/there"}},
        ]
    ),
    rules="""\
  - id: s34
    when: {http.path: {prefix: /s34}, http.method: DELETE}
    then: deny
    respond: {status: 409}
""",
)
def routes_that_answer(t):
    """they are checked, and denied"""
    for path, status in (("/direct", 202), ("/redirect", 301)):
        t.equal(path, t.get(path).status, status)
        t.equal(f"{path}, denied", t.get(path, method="DELETE").status, 409)
    t.calls(4)
