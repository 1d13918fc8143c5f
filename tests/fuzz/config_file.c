/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes -> configuration file, with an option of each kind.  What is refused has a message and a
 * place; what is accepted has passed its checks. */
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "cleanup.h"
#include "config_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct target {
    bool flag;
    const char *text;
    struct text_list list, items;
    uint64_t number;
    unsigned choice;
};

static const char *const CHOICES[] = {"first", "second", NULL};

static int check_item(struct str value, struct diag *diag)
{
    return str_contains(value, STR("bad")) ? diag_set(diag, -EINVAL, "bad") : 0;
}

#define AT(field) offsetof(struct target, field)
static const struct option_spec SPECS[] = {
    {.name = "flag", .kind = OPTION_FLAG, .offset = AT(flag)},
    {.name = "text", .kind = OPTION_TEXT, .value = "TEXT", .offset = AT(text), .check = check_item},
    {.name = "list", .kind = OPTION_LIST, .value = "L", .offset = AT(list), .check = check_item},
    {.name = "items",
     .kind = OPTION_LIST,
     .value = "I[,I...]",
     .offset = AT(items),
     .check = check_item,
     .items = true},
    {.name = "number",
     .kind = OPTION_NUMBER,
     .value = "N",
     .offset = AT(number),
     .min = 2,
     .max = 1000},
    {.name = "choice",
     .kind = OPTION_CHOICE,
     .value = "first|second",
     .offset = AT(choice),
     .choices = CHOICES},
    {.name = "config",
     .kind = OPTION_TEXT,
     .value = "F",
     .offset = AT(text),
     .command_line_only = true},
};
#undef AT
static const struct option_table TABLE = {SPECS, OPTION_COUNT(SPECS)};
const struct config_section CONFIG_SECTIONS[] = {{"one", &TABLE}, {"two", &TABLE}, {NULL, NULL}};

static void check_list(const struct text_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        assert(list->items[i][0] && !strstr(list->items[i], "bad"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(config_file_freep) struct config_file *file = NULL;
    const struct options_given given = {.bits = size % 2}; /* the flag, sometimes */
    struct target target = {.number = 2};
    struct diag diag = {0};
    int r = config_file_parse((struct str){(const char *)data, size}, "fuzz", "one", &given,
                              &target, &file, &diag);

    assert((r < 0) == (file == NULL));
    assert((r < 0) == (diag.text[0] != '\0'));
    if (r < 0) {
        assert(diag.place.line > 0 && diag.place.column > 0);
        return 0;
    }
    check_list(&target.list);
    check_list(&target.items);
    assert(!target.text || (target.text[0] && !strstr(target.text, "bad")));
    assert(target.number >= 2 && target.number <= 1000 && target.choice < 2);
    assert(!target.flag || !given.bits);
    return 0;
}
