/* SPDX-License-Identifier: Apache-2.0 */
/* A proxy-wasm filter that reads what synauthz left in Envoy's dynamic metadata and acts on it: it
 * tells the client in a response header, and answers 403 or a redirect itself.
 * filter_settings.h has its configuration. */
#include "proxy_wasm.h"

#include "filter_contexts.h"

#include <stddef.h>

static struct filter_contexts contexts; /* the module's memory is one VM's, which has one thread */

/* --- memory that the host asks for ------------------------------------------------------------ */

/* What the host hands over lives until the end of the callback that it is handed over in. */
enum { HANDED_OVER_MAX = 64 << 10 };
static _Alignas(8) char handed_over[HANDED_OVER_MAX];
static uint32_t handed_over_size;

void *EXPORTED(proxy_on_memory_allocate)(uint32_t size);
void *proxy_on_memory_allocate(uint32_t size)
{
    void *memory = handed_over + handed_over_size;

    if (size > HANDED_OVER_MAX - handed_over_size)
        return NULL;
    handed_over_size += (size + 7) & ~7U; /* what is left is a multiple of 8, too */
    return memory;
}

static void begin_callback(void)
{
    handed_over_size = 0;
}

/* --- configuration ---------------------------------------------------------------------------- */

struct message {
    char text[256];
    uint32_t size;
};

static void add_text(struct message *message, const char *text)
{
    while (*text && message->size < sizeof(message->text))
        message->text[message->size++] = *text++;
}

static void add_number(struct message *message, uint32_t number)
{
    char digits[11] = "";
    uint32_t at = sizeof(digits) - 1;

    do
        digits[--at] = (char)('0' + number % 10);
    while (number /= 10);
    add_text(message, digits + at);
}

static int32_t refuse_configuration(uint32_t line, const char *wrong)
{
    struct message message = {.size = 0};

    add_text(&message, "configuration");
    if (line) {
        add_text(&message, " line ");
        add_number(&message, line);
    }
    add_text(&message, ": ");
    add_text(&message, wrong);
    (void)proxy_log(WASM_LOG_ERROR, message.text, message.size);
    return 0;
}

int32_t EXPORTED(proxy_on_configure)(uint32_t root, uint32_t size);
int32_t proxy_on_configure(uint32_t root, uint32_t size)
{
    struct filter_settings *settings = filter_contexts_add_root(&contexts, root);
    struct text text = {NULL, 0};
    const char *wrong;
    uint32_t line;

    begin_callback();
    if (!settings)
        return refuse_configuration(0, "too many of them at once");
    if (size && proxy_get_buffer_bytes(WASM_PLUGIN_CONFIGURATION, 0, size, &text.ptr, &text.len))
        return refuse_configuration(0, "it cannot be read, or is too long");
    wrong = filter_settings_read(text, settings, &line);
    return wrong ? refuse_configuration(line, wrong) : 1;
}

/* --- contexts --------------------------------------------------------------------------------- */

void EXPORTED(proxy_on_context_create)(uint32_t context, uint32_t parent);
void proxy_on_context_create(uint32_t context, uint32_t parent)
{
    if (parent)
        filter_contexts_add_request(&contexts, context, parent);
}

void EXPORTED(proxy_on_delete)(uint32_t context);
void proxy_on_delete(uint32_t context)
{
    filter_contexts_remove(&contexts, context);
}

/* --- requests --------------------------------------------------------------------------------- */

/* What is no text that fits into a header counts as absent. */
static struct text read_value(const struct filter_settings *settings)
{
    struct text value = {NULL, 0};

    if (proxy_get_property(settings->path, settings->path_size, &value.ptr, &value.len) !=
            WASM_OK ||
        !text_is_printable(value))
        return (struct text){NULL, 0};
    return value;
}

static void add_bytes(char **at, const void *bytes, uint32_t size)
{
    __builtin_memcpy(*at, bytes, size);
    *at += size;
}

static void send_redirect(const struct filter_settings *settings)
{
    static const struct text NAME = {"location", 8}, DETAILS = {"wasm_filter_redirected", 22};
    const uint32_t numbers[] = {1, NAME.len, settings->url_size};
    char headers[sizeof(numbers) + sizeof("location") + FILTER_URL_MAX + 1];
    char *at = headers;

    add_bytes(&at, numbers, sizeof(numbers));
    add_bytes(&at, NAME.ptr, NAME.len + 1);
    add_bytes(&at, settings->url, settings->url_size);
    *at++ = '\0';
    (void)proxy_send_local_response(302, DETAILS.ptr, DETAILS.len, "", 0, headers,
                                    (uint32_t)(at - headers), GRPC_STATUS_PERMISSION_DENIED);
}

static void send_refusal(int32_t status, struct text details)
{
    (void)proxy_send_local_response(status, details.ptr, details.len, "", 0, "", 0,
                                    GRPC_STATUS_PERMISSION_DENIED);
}

int32_t EXPORTED(proxy_on_request_headers)(uint32_t context, uint32_t count, int32_t is_last);
int32_t proxy_on_request_headers(uint32_t context, uint32_t count, int32_t is_last)
{
    const struct filter_settings *settings = filter_contexts_find(&contexts, context);

    (void)count;
    (void)is_last;
    begin_callback();
    if (!settings) /* too many requests at once: what the filter would say of it is not known */
        send_refusal(503, TEXT("wasm_filter_overload"));
    else if (!filter_settings_refuse(settings, read_value(settings)))
        return WASM_CONTINUE;
    else if (settings->url_size)
        send_redirect(settings);
    else
        send_refusal(403, TEXT("wasm_filter_refused"));
    return WASM_PAUSE;
}

/* The header is ours: what the upstream says there does not get to the client. */
int32_t EXPORTED(proxy_on_response_headers)(uint32_t context, uint32_t count, int32_t is_last);
int32_t proxy_on_response_headers(uint32_t context, uint32_t count, int32_t is_last)
{
    const struct filter_settings *settings = filter_contexts_find(&contexts, context);
    struct text value;

    (void)count;
    (void)is_last;
    begin_callback();
    if (!settings || !settings->header_size)
        return WASM_CONTINUE;
    value = read_value(settings);
    if (value.ptr)
        (void)proxy_replace_header_map_value(WASM_RESPONSE_HEADERS, settings->header,
                                             settings->header_size, value.ptr, value.len);
    else
        (void)proxy_remove_header_map_value(WASM_RESPONSE_HEADERS, settings->header,
                                            settings->header_size);
    return WASM_CONTINUE;
}

/* --- the version of the ABI ------------------------------------------------------------------- */

/* Only its name counts. */
void EXPORTED(proxy_abi_version_0_2_1)(void);
void proxy_abi_version_0_2_1(void)
{
}
