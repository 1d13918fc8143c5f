/* SPDX-License-Identifier: Apache-2.0 */
/* The words of p0f's signature language: one table for what is printed and what is parsed. */
#ifndef SIGNATURE_WORDS_H
#define SIGNATURE_WORDS_H

#include "signature.h"
#include "str.h"

enum { QUIRK_COUNT = 17, OPTION_NAMED_COUNT = 9 };

/* "df", ... of the quirk with this bit number, 0..QUIRK_COUNT - 1. */
struct str signature_quirk_name(unsigned bit);

/* "mss", ...; {NULL, 0} for kinds without a name, which p0f writes as "?KIND". */
struct str signature_option_name(uint8_t kind);

/* What precedes the number: "", "mss*", "mtu*", "%"; "*" stands alone. */
struct str signature_window_prefix(enum window_form form);

/* Takes decimal digits, perhaps none (then 0), off the front.  Overflows as p0f does, which keeps
 * the result of atol() in 32 bits; a negative result is out of every range. */
int32_t signature_take_number(struct str *rest);

#endif
