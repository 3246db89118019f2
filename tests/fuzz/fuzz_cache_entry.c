/* SPDX-License-Identifier: BSD-2-Clause */
/* Bytes of a cache file, as they are and with a right checksum, which a fuzzer does not find: nothing outside them is
 * read, and what decodes encodes to the same bytes. */
#include <stdlib.h>
#include <string.h>

#include "kernel/entry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const void *bytes, size_t size)
{
    clattn_entry entry;
    if (clattn_entry_decode(bytes, size, &entry) != NULL)
        return;
    if (clattn_entry_size(&entry) != size)
        abort();
    void *again = malloc(size);
    if (!again)
        return;
    clattn_entry_encode(&entry, again);
    if (memcmp(again, bytes, size) != 0)
        abort();
    free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check(data, size);
    if (size < CLATTN_ENTRY_HEADER_SIZE)
        return 0;
    void *sealed = malloc(size);
    if (!sealed)
        return 0;
    memcpy(sealed, data, size);
    clattn_entry_seal(sealed, size);
    check(sealed, size);
    free(sealed);
    return 0;
}
