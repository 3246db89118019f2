/* SPDX-License-Identifier: BSD-2-Clause */
/* make_cache_entry_corpus FOLDER: writes corpus/cache_entry, one file per defect and a sound one. To run again when the
 * format changes; the files are in the repository. */
#include <stdio.h>
#include <string.h>

#include "kernel/entry.h"
#include "util/file.h"

/* Byte `at` becomes `value`, then the checksum is made right where `seal` says so, then the file gets `change` bytes
 * longer. */
static const struct {
    const char *name;
    int at, value, seal, change;
} files[] = {
    { "sound", -1, 0, 1, 0 },
    { "short_header", -1, 0, 0, -80 },
    { "magic", 0, 'X', 1, 0 },
    { "version", 8, 99, 1, 0 },
    { "reserved", 36, 1, 1, 0 },
    { "text_too_long", 14, 0xff, 1, 0 },
    { "no_binary", 40, 0, 1, 0 },
    { "truncated", -1, 0, 0, -1 },
    { "trailing", -1, 0, 0, 1 },
    { "checksum", 48, 0xa5, 0, 0 },
    { "control_character", 64, '\n', 1, 0 },
};

int main(int argc, char **argv)
{
    clattn_entry entry = { .key = { .low = 1, .high = 2 },
                           .device = "platform / device",
                           .device_size = 17,
                           .program = "prefill.cl",
                           .program_size = 10,
                           .binary = "binary",
                           .binary_size = 6 };
    int failed = argc != 2;
    for (size_t i = 0; !failed && i < sizeof(files) / sizeof(files[0]); i++) {
        char bytes[256] = { 0 }, path[1024];
        size_t size = clattn_entry_size(&entry);
        clattn_entry_encode(&entry, bytes);
        if (files[i].at >= 0)
            bytes[files[i].at] = (char)files[i].value;
        if (files[i].seal)
            clattn_entry_seal(bytes, size);
        snprintf(path, sizeof(path), "%s/%s", argv[1], files[i].name);
        failed = clattn_file_write_atomic(path, bytes, size + (size_t)files[i].change);
    }
    return failed != 0;
}
