# SPDX-License-Identifier: Apache-2.0
# fuzz_target(NAME layers...): one line for each parser of bytes that somebody else wrote
fuzz_target(record log policy fingerprint syn net base)
fuzz_target(request extauthz proto decide config policy fingerprint syn net bpf_shared)
fuzz_target(doc config policy fingerprint syn net base)
fuzz_target(parse fingerprint syn bpf_shared)
fuzz_target(signature fingerprint syn)
fuzz_target(fp_db fingerprint syn)
fuzz_target(config_file config policy fingerprint syn net base)
target_sources(fuzz_config_file PRIVATE ${CMAKE_SOURCE_DIR}/authz/cli/config_file.c ${CMAKE_SOURCE_DIR}/authz/cli/options.c)
target_include_directories(fuzz_config_file PRIVATE ${CMAKE_SOURCE_DIR}/authz/cli)
fuzz_target(filter_settings wasm_filter base)
