/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_UTIL_HASH_H
#define CLATTN_UTIL_HASH_H

/* 128-bit keys of content (XXH3). They tell apart what differs by accident, not by malice. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct clattn_key {
    uint64_t low, high;
} clattn_key;

#define CLATTN_KEY_HEX_SIZE 33 /* 32 digits and the NUL */

/* Mixes a piece into the key, its length included: ("ab", "c") and ("a", "bc") give different keys. Start from zero. */
void clattn_key_add(clattn_key *key, const void *data, size_t size);
void clattn_key_add_text(clattn_key *key, const char *text);

bool clattn_key_equal(clattn_key a, clattn_key b);
void clattn_key_hex(clattn_key key, char hex[CLATTN_KEY_HEX_SIZE]);

#endif
