# SPDX-License-Identifier: Apache-2.0
"""27, 28: dynamic metadata of the reply."""

from _envoy import Http
from _scenario import scenario


@scenario(
    27,
    "Dynamic metadata on allow and on deny",
    rules="""\
  - id: s27-deny
    when: {http.path: {prefix: /s27/deny}}
    then: deny
    metadata: {note: "denied by %{rule}"}
  - id: s27
    when: {http.path: {prefix: /s27}}
    then: continue
    metadata: {note: "of %{source.address}"}
""",
)
def metadata(t):
    """the access log shows it both times; ext_authz_duration is there on allow"""
    allowed, denied = t.get(), t.get("/deny")
    t.equal("statuses", (allowed.status, denied.status), (200, 403))
    first, second = t.log(allowed)["metadata"] or {}, t.log(denied)["metadata"] or {}
    t.equal("on allow", (first.get("verdict"), first.get("rule")), ("allow", "default"))
    t.check("of the rule, on allow", first.get("note", "").startswith("of 10.77."), first)
    t.equal("on deny", (second.get("verdict"), second.get("rule")), ("deny", "s27-deny"))
    t.equal("of the rule, on deny", second.get("note"), "denied by s27-deny")
    t.check("ext_authz_duration on allow", "ext_authz_duration" in first, first)
    t.equal("nested", first.get("p0f", {}).get("state"), "verified")
    t.equal("flat twin", first.get("p0f_signature"), first.get("p0f", {}).get("signature"))


@scenario(28, "enable_dynamic_metadata_ingestion: false", Http(authz={"enable_dynamic_metadata_ingestion": False}))
def metadata_not_wanted(t):
    """the request goes on, nothing is in the access log, ignored_dynamic_metadata counts 1"""
    reply = t.get()
    t.equal("status", reply.status, 200)
    t.equal("metadata", t.log(reply)["metadata"], None)
    t.equal("ignored_dynamic_metadata", t.stat("ignored_dynamic_metadata"), 1)
