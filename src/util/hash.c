/* SPDX-License-Identifier: BSD-2-Clause */
#include "util/hash.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

void clattn_key_add(clattn_key *key, const void *data, size_t size)
{
    XXH128_hash_t piece = XXH3_128bits(data, size);
    uint64_t mix[5] = { key->low, key->high, piece.low64, piece.high64, size };
    XXH128_hash_t mixed = XXH3_128bits(mix, sizeof(mix));
    key->low = mixed.low64;
    key->high = mixed.high64;
}

void clattn_key_add_text(clattn_key *key, const char *text)
{
    clattn_key_add(key, text, strlen(text));
}

bool clattn_key_equal(clattn_key a, clattn_key b)
{
    return a.low == b.low && a.high == b.high;
}

void clattn_key_hex(clattn_key key, char hex[CLATTN_KEY_HEX_SIZE])
{
    snprintf(hex, CLATTN_KEY_HEX_SIZE, "%016" PRIx64 "%016" PRIx64, key.high, key.low);
}
