/* SPDX-License-Identifier: Apache-2.0 */
#include "finding.h"

#include "json.h"
#include "os.h"

void finding_make(const struct syn *syn, const struct databases *databases,
                  struct finding *ret_finding)
{
    const struct match *match = &ret_finding->match;
    struct signature signature;

    ret_finding->syn = syn;
    signature_from_syn(syn, &signature);
    matcher_match_first((const struct fp_db *const *)databases->items, databases->count, &signature,
                        &ret_finding->match);
    ret_finding->kind =
        match->label && (match->sendsyn || fp_label_is_app(match->label)) ? "app" : "os";
    (void)signature_format(&signature, ret_finding->signature);
    (void)matcher_params(match, &signature, ret_finding->params);
}

/* p0f's guess is of how far the packet had come. */
static int distance_of(const struct finding *finding)
{
    return syn_distance_to_node(finding->syn, finding->match.distance);
}

/* --- JSON ------------------------------------------------------------------------------------- */

void member_print_string(const char *key, const char *value)
{
    (void)printf("\"%s\":", key);
    if (value && value[0])
        json_print_string(stdout, str_from(value));
    else
        (void)fputs("null", stdout);
}

void member_print_number(const char *key, bool known, long long value)
{
    if (known)
        (void)printf("\"%s\":%lld", key, value);
    else
        (void)printf("\"%s\":null", key);
}

static const struct fp_label *label_of(const struct finding *finding)
{
    return finding ? finding->match.label : NULL;
}

/* Name and flavor as p0f prints them. */
static void print_label(const struct fp_label *label)
{
    json_print_text(stdout, str_from(label->name));
    if (label->flavor[0]) {
        (void)putchar(' ');
        json_print_text(stdout, str_from(label->flavor));
    }
}

void finding_print_label(const struct finding *finding)
{
    const struct fp_label *label = label_of(finding);

    if (!label) {
        (void)fputs("\"label\":null", stdout);
        return;
    }
    (void)fputs("\"label\":\"", stdout);
    print_label(label);
    (void)putchar('"');
}

void finding_print_os(const struct finding *finding)
{
    const struct fp_label *label = label_of(finding);

    if (!finding) {
        (void)fputs("\"os\":null", stdout);
        return;
    }
    (void)fputs("\"os\":{", stdout);
    member_print_string("class", label ? label->class_name : NULL);
    (void)putchar(',');
    member_print_string("name", label ? label->name : NULL);
    (void)putchar(',');
    member_print_string("flavor", label ? label->flavor : NULL);
    (void)putchar(',');
    member_print_string("family", os_family_name(os_family_of(label)));
    (void)putchar('}');
}

void finding_print_match(const struct finding *finding)
{
    member_print_string("match", finding ? match_kind_name(finding->match.kind) : NULL);
}

void finding_print_distance(const struct finding *finding)
{
    bool known = finding && !finding->match.random_ttl;

    member_print_number("distance", known, known ? distance_of(finding) : 0);
}

void finding_print_link(const struct finding *finding)
{
    int mtu = finding ? finding->match.mtu : 0;

    member_print_number("mtu", mtu != 0, mtu);
    (void)putchar(',');
    member_print_string("link", finding ? finding->match.link : NULL);
}

/* --- text ------------------------------------------------------------------------------------- */

void finding_print_label_text(const struct finding *finding)
{
    if (finding->match.label)
        print_label(finding->match.label);
    else
        (void)fputs("???", stdout);
}

void finding_print_path_text(const struct finding *finding)
{
    const struct match *match = &finding->match;

    if (!match->random_ttl)
        (void)printf(", distance %d", distance_of(finding));
    if (match->mtu)
        (void)printf(", MTU %d", match->mtu);
    if (match->link) {
        (void)fputs(" (", stdout);
        json_print_text(stdout, str_from(match->link));
        (void)putchar(')');
    }
}
