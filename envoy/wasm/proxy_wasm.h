/* SPDX-License-Identifier: Apache-2.0 */
/* What this filter uses of the proxy-wasm ABI 0.2.1, which Envoy speaks.
 *
 * Addresses and sizes are of the module's own memory.  Where the host hands something over it first
 * asks for memory (proxy_on_memory_allocate), from within the very call that it answers. */
#ifndef PROXY_WASM_H
#define PROXY_WASM_H

#include <stdint.h>

#define HOST(name)     __attribute__((import_module("env"), import_name(#name))) name
#define EXPORTED(name) __attribute__((export_name(#name))) name

enum wasm_result { WASM_OK = 0, WASM_NOT_FOUND = 1 };
enum wasm_log_level { WASM_LOG_ERROR = 4 };
enum wasm_buffer { WASM_PLUGIN_CONFIGURATION = 7 };
enum wasm_header_map { WASM_RESPONSE_HEADERS = 2 };
enum wasm_action { WASM_CONTINUE = 0, WASM_PAUSE = 1 };
enum { GRPC_STATUS_PERMISSION_DENIED = 7 };

/* All return an enum wasm_result. */
int32_t HOST(proxy_log)(int32_t level, const char *text, uint32_t size);
int32_t HOST(proxy_get_buffer_bytes)(int32_t buffer, uint32_t start, uint32_t max_size,
                                     const char **ret_bytes, uint32_t *ret_size);

/* `path`: names with a zero byte between them.  A text is handed over as its bytes, everything else
 * in an encoding of its own. */
int32_t HOST(proxy_get_property)(const char *path, uint32_t path_size, const char **ret_value,
                                 uint32_t *ret_size);
int32_t HOST(proxy_replace_header_map_value)(int32_t map, const char *name, uint32_t name_size,
                                             const char *value, uint32_t value_size);
int32_t HOST(proxy_remove_header_map_value)(int32_t map, const char *name, uint32_t name_size);

/* `headers`: how many there are, the sizes of each one's name and value, all as little-endian
 * 32-bit numbers, then each name and value with a zero byte behind it. */
int32_t HOST(proxy_send_local_response)(int32_t status, const char *details, uint32_t details_size,
                                        const char *body, uint32_t body_size, const char *headers,
                                        uint32_t headers_size, int32_t grpc_status);

#endif
