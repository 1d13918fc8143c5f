# SPDX-License-Identifier: Apache-2.0
# fuzz_target(NAME layers...): one line for each parser of bytes that somebody else wrote
fuzz_target(request extauthz proto decide config policy fingerprint syn net bpf_shared)
fuzz_target(doc config policy fingerprint syn net base)
