/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_KERNEL_STORE_H
#define CLATTN_KERNEL_STORE_H

/* The folder of the program cache: one file an entry, "<32 hexadecimal digits>.clprog", written as
 * "<the same>.clprog.XXXXXX" and renamed. Knows no OpenCL. Several processes may work on one folder: readers see whole
 * files, and whoever finds a file gone goes on. Functions that return int give 0 or an errno value. */

#include <stdbool.h>
#include <stdint.h>

#include "kernel/entry.h"

/* Reads the entry of `key`. 0: *bytes (to be freed) holds it and *entry points into it; its time of use is now. ENOENT:
 * there is none. EBADMSG: there is one, and *defect says what is wrong with it. Else it could not be read. */
int clattn_store_read(const char *folder, clattn_key key, char **bytes, clattn_entry *entry, const char **defect);

/* Writes the entry under its key, making the folder, then removes the least recently used entries while all together
 * exceed max_bytes, and temporary files that a crash left an hour ago. EFBIG: larger than max_bytes or than an entry
 * may be; nothing was written. */
int clattn_store_write(const char *folder, const clattn_entry *entry, uint64_t max_bytes);

typedef struct clattn_store_file {
    char *name;
    uint64_t size;
    int64_t seconds; /* of last use, and its nanoseconds */
    int64_t nanoseconds;
    bool temporary;
} clattn_store_file;

typedef struct clattn_store_list {
    clattn_store_file *files; /* newest use first */
    size_t count;
} clattn_store_list;

/* Every file that is the cache's by its name. A missing folder has none. */
int clattn_store_list_make(const char *folder, clattn_store_list *list);
void clattn_store_list_free(clattn_store_list *list);

/* Reads one listed file and decodes it: 0 with *bytes, *entry and *defect (NULL: sound; an entry under another key's
 * name is a defect), or what reading gave. */
int clattn_store_read_listed(const char *folder, const clattn_store_file *file, char **bytes, clattn_entry *entry,
                             const char **defect);

/* Removes a listed file; fine when it is gone already. */
int clattn_store_remove(const char *folder, const clattn_store_file *file);

#endif
