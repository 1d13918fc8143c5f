/* SPDX-License-Identifier: Apache-2.0 */
#include "serve_config.h"

#include <inttypes.h>

#include "certificates.h"
#include "json.h"
#include "pin_source.h"
#include "policy.h"
#include "policy_store.h"
#include "program_metrics.h"
#include "serve_settings.h"

enum { NS_PER_MS = 1000000 };

static void print_texts(const struct text_list *list, FILE *out)
{
    (void)fputc('[', out);
    for (size_t i = 0; i < list->count; i++) {
        (void)fputs(i > 0 ? "," : "", out);
        json_print_string(out, str_from(list->items[i]));
    }
    (void)fputc(']', out);
}

static void print_policy(struct serve_metrics *metrics, FILE *out)
{
    struct policy_reader reader = {0};
    const struct policy *policy = policy_reader_get(&reader, metrics->store);

    (void)fputs("{\"name\":", out);
    json_print_string(out, policy->name);
    (void)fputs(",\"file\":", out);
    json_print_string(out, str_from(policy->file));
    (void)fprintf(out, ",\"revision\":\"%s\",\"rules\":%zu,\"databases\":%zu,\"reload\":",
                  policy->revision, policy->rule_count, policy->database_count);
    reload_log_print_json(&metrics->policy_reloads, out);
    (void)fputc('}', out);
    policy_reader_done(&reader);
}

static void print_tls(struct serve_metrics *metrics, FILE *out)
{
    if (!metrics->certificates) {
        (void)fputs("null", out);
        return;
    }
    (void)fputs("{\"certificate_expires\":", out);
    json_print_time(out, (int64_t)certificates_expiry(metrics->certificates));
    (void)fputs(",\"reload\":", out);
    reload_log_print_json(&metrics->tls_reloads, out);
    (void)fputc('}', out);
}

static void print_pins(const struct serve_metrics *metrics, FILE *out)
{
    struct pin_source_status status;

    pin_source_get_status(metrics->pins, &status);
    (void)fputs(",\"pin_dir\":", out);
    json_print_string(out, str_from(metrics->orders->options.pin_dir));
    (void)fprintf(out, ",\"state\":\"%s\",\"why\":", serve_pin_state(status.state));
    json_print_text_or_null(out, status.why);
    if (status.state == PIN_SOURCE_ABSENT) /* neither of the two is known then */
        (void)fputs(",\"tracked\":null,\"heartbeat_age_ms\":null", out);
    else
        (void)fprintf(out, ",\"tracked\":%s,\"heartbeat_age_ms\":%" PRIu64,
                      status.tracked ? "true" : "false", status.heartbeat_age_ns / NS_PER_MS);
    (void)fprintf(out, ",\"swaps\":%" PRIu64 ",\"failures\":%" PRIu64, status.swaps,
                  status.failures);
}

static void print_source(const struct serve_metrics *metrics, FILE *out)
{
    static const char *const KINDS[] = {[SERVE_PINS] = "pins",
                                        [SERVE_ATTACH] = "attach",
                                        [SERVE_PCAP] = "pcap",
                                        [SERVE_NONE] = "none"};
    const struct serve_orders *orders = metrics->orders;

    (void)fprintf(out, "{\"kind\":\"%s\"", KINDS[orders->settings.source]);
    if (metrics->pins)
        print_pins(metrics, out);
    if (orders->settings.source == SERVE_ATTACH) {
        (void)fputs(",\"interfaces\":", out);
        print_texts(&orders->options.attach, out);
    }
    if (orders->settings.source == SERVE_PCAP) {
        (void)fputs(",\"file\":", out);
        json_print_string(out, str_from(orders->settings.pcap_file));
    }
    (void)fputc('}', out);
}

static void print_health(struct serve_metrics *metrics, FILE *out)
{
    char why[ADMIN_WHY_MAX] = "";
    const bool is_ready = serve_is_ready(metrics, why);

    (void)fprintf(out, "\"ready\":%s,\"why\":", is_ready ? "true" : "false");
    json_print_text_or_null(out, is_ready ? NULL : why);
}

void serve_config_print(struct serve_metrics *metrics, FILE *out)
{
    const struct serve_options *options = &metrics->orders->options;

    (void)fputs("{\"program\":", out);
    program_print_json("serve", out);
    (void)fputc(',', out);
    print_health(metrics, out);
    (void)fputs(",\"listeners\":", out);
    print_texts(&options->listen, out);
    (void)fputs(",\"policy\":", out);
    print_policy(metrics, out);
    (void)fputs(",\"tls\":", out);
    print_tls(metrics, out);
    (void)fputs(",\"source\":", out);
    print_source(metrics, out);
    (void)fputc(',', out);
    config_page_print(&metrics->config, out);
    (void)fputc('}', out);
}
