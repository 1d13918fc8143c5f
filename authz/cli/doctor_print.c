/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "doctor.h"
#include "json.h"
#include "syn.h"

/* --- JSON ---------------------------------------------------------------------------------------
 */

static const char *const JSON_ANSWERS[] = {
    [PROBE_UNKNOWN] = "null", [PROBE_YES] = "true", [PROBE_NO] = "false"};

static void print_string_or_null(FILE *out, const char *text)
{
    if (text)
        json_print_string(out, str_from(text));
    else
        (void)fputs("null", out);
}

static void print_member(FILE *out, const char *key, const char *text)
{
    (void)fprintf(out, ",\"%s\":", key);
    print_string_or_null(out, text);
}

static void print_json_mode(const struct doctor *doctor, FILE *out)
{
    const struct probe_report *report = &doctor->report;

    (void)fprintf(out, "\"mode\":{\"capture\":\"auto\",\"tracking\":{\"ok\":%s",
                  JSON_ANSWERS[doctor->tracking]);
    print_member(out, "why", doctor->tracking_why);
    (void)fputs("},\"cgroups\":{\"path\":", out);
    print_string_or_null(out, report->cgroup2_path[0] ? report->cgroup2_path : NULL);
    print_member(out, "hook", doctor->cgroups.hook);
    print_member(out, "why", doctor->cgroups.why);
    (void)fputs("},\"devices\":[", out);
    for (size_t i = 0; i < report->device_count; i++) {
        (void)fprintf(out, "%s{\"name\":", i ? "," : "");
        json_print_string(out, str_from(report->devices[i].name));
        print_member(out, "hook", doctor->devices[i].hook);
        print_member(out, "why", doctor->devices[i].why);
        (void)fputc('}', out);
    }
    (void)fprintf(out, "],\"devices_left_out\":%zu", report->devices_left_out);
    print_member(out, "why", doctor->why);
    (void)fputc('}', out);
}

static void print_json_checks(const struct probe_report *report, FILE *out)
{
    (void)fputs("\"checks\":[", out);
    for (size_t i = 0; i < report->count; i++) {
        const struct probe_check *check = &report->checks[i];

        (void)fprintf(out, "%s{\"id\":", i ? "," : "");
        json_print_string(out, str_from(check->id));
        (void)fprintf(out, ",\"ok\":%s", JSON_ANSWERS[check->ok]);
        print_member(out, "why", check->why);
        print_member(out, "fix", check->fix[0] ? check->fix : NULL);
        (void)fputc('}', out);
    }
    (void)fputc(']', out);
}

static void print_json_coverage(const struct doctor *doctor, FILE *out)
{
    size_t count;
    const struct coverage_way *ways = coverage_ways(&count);

    (void)fputs("\"coverage\":[", out);
    for (size_t i = 0; i < count; i++) {
        struct coverage_answer answer = coverage_of(&ways[i], &doctor->coverage);
        bool known = doctor->coverage_known || ways[i].unsupported;

        (void)fprintf(out, "%s{\"row\":", i ? "," : "");
        json_print_string(out, str_from(ways[i].row));
        print_member(out, "title", ways[i].title);
        print_member(out, "hook", known ? syn_hook_name(answer.hook) : NULL);
        print_member(out, "state", known ? answer.state : NULL);
        print_member(out, "whose", ways[i].whose);
        print_member(out, "like", ways[i].like);
        (void)fputc('}', out);
    }
    (void)fputc(']', out);
}

void doctor_print_json(const struct doctor *doctor, FILE *out)
{
    (void)fprintf(out, "{\"capture\":\"%s\",", doctor->capture);
    print_json_mode(doctor, out);
    (void)fputc(',', out);
    print_json_checks(&doctor->report, out);
    (void)fputc(',', out);
    print_json_coverage(doctor, out);
    (void)fputs("}\n", out);
}

/* --- text ---------------------------------------------------------------------------------------
 */

static void print_text_checks(const struct probe_report *report, FILE *out)
{
    static const char *const ANSWERS[] = {
        [PROBE_UNKNOWN] = "?", [PROBE_YES] = "yes", [PROBE_NO] = "NO"};

    (void)fputs("\nchecks (?: cannot be known from here)\n", out);
    for (size_t i = 0; i < report->count; i++) {
        const struct probe_check *check = &report->checks[i];

        (void)fprintf(out, "  %-4s %-26s %s\n", ANSWERS[check->ok], check->id, check->why);
        if (check->fix[0])
            (void)fprintf(out, "  %-4s %-26s -> %s\n", "", "", check->fix);
    }
}

static void print_text_choice(FILE *out, const char *what, const struct doctor_choice *choice)
{
    (void)fprintf(out, "  %-26s %-7s %s\n", what, choice->hook ? choice->hook : "-", choice->why);
}

static void print_text_mode(const struct doctor *doctor, FILE *out)
{
    const struct probe_report *report = &doctor->report;

    (void)fputs("\nwhat `agent --capture auto` would do\n", out);
    (void)fprintf(out, "  %-26s %-7s %s\n", "sockets",
                  doctor->tracking == PROBE_YES ? "follow" : "-", doctor->tracking_why);
    print_text_choice(out, report->cgroup2_path[0] ? report->cgroup2_path : "control groups",
                      &doctor->cgroups);
    for (size_t i = 0; i < report->device_count; i++)
        print_text_choice(out, report->devices[i].name, &doctor->devices[i]);
    if (report->device_count > 0)
        (void)fputs("  (devices: those that --interface names)\n", out);
    if (report->devices_left_out > 0)
        (void)fprintf(out, "  (and %zu devices more: name those of interest with --interface)\n",
                      report->devices_left_out);
}

static void print_text_coverage(const struct doctor *doctor, FILE *out)
{
    size_t count;
    const struct coverage_way *ways = coverage_ways(&count);

    (void)fputs("\nwhat that sees of a connection, and whose fingerprint it is\n", out);
    for (size_t i = 0; i < count; i++) {
        struct coverage_answer answer = coverage_of(&ways[i], &doctor->coverage);
        bool known = doctor->coverage_known || ways[i].unsupported;
        const char *hook = syn_hook_name(answer.hook);

        (void)fprintf(out, "  %-56s %-11s %-7s %s\n", ways[i].title, known ? answer.state : "?",
                      known && hook ? hook : "-", ways[i].whose);
    }
}

void doctor_print_text(const struct doctor *doctor, FILE *out)
{
    (void)fprintf(out, "capture: %s\n  %s\n", doctor->capture, doctor->why);
    print_text_checks(&doctor->report, out);
    print_text_mode(doctor, out);
    print_text_coverage(doctor, out);
}
