/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_PROGRAM_CACHE_H
#define CLATTN_PROGRAM_CACHE_H

#include <clattn/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The folder of compiled programs, seen from outside, with no device at hand. Entries are checked before a driver sees
 * them and replaced by atomic renames, so every function here is safe beside running programs, in any thread. */

typedef struct clattn_program_cache_entry {
    const char *path;    /* of the file */
    const char *device;  /* platform, device and driver that the program was built for; "" when the entry is bad */
    const char *program; /* the kernel's source file and its build options; "" when the entry is bad */
    uint64_t size;       /* bytes on disk */
    int64_t last_used;   /* seconds since 1970-01-01 UTC */
    const char *defect;  /* NULL: the entry is sound; else one line on what is wrong with it */
} clattn_program_cache_entry;

/* Called once an entry; the entry and its strings live for the call. Return non-zero to stop. */
typedef int (*clattn_program_cache_visitor)(void *user, const clattn_program_cache_entry *entry);

/* Writes the folder that `cache_dir` stands for (NULL: as in clattn_device_params) to path[0 .. size).
 *   CLATTN_INVALID_ARGUMENT  path is NULL or size too small
 *   CLATTN_IO_ERROR          neither CLATTN_CACHE_DIR nor XDG_CACHE_HOME nor HOME is set */
CLATTN_API clattn_status clattn_program_cache_dir(const char *cache_dir, char *path, size_t size);

/* Visits every entry of the folder, in order of last use, newest first. A missing folder has no entries.
 *   CLATTN_INVALID_ARGUMENT  visitor is NULL
 *   CLATTN_IO_ERROR          the folder cannot be read */
CLATTN_API clattn_status clattn_program_cache_visit(const char *cache_dir, clattn_program_cache_visitor visitor,
                                                    void *user);

/* Removes every entry, bad ones and abandoned temporary files too, and nothing that the library did not write. Adds up
 * the entries removed and their bytes where `removed` and `bytes` are not NULL.
 *   CLATTN_IO_ERROR  an entry could not be removed; the others were */
CLATTN_API clattn_status clattn_program_cache_clear(const char *cache_dir, uint64_t *removed, uint64_t *bytes);

#ifdef __cplusplus
}
#endif

#endif
