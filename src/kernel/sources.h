/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_KERNEL_SOURCES_H
#define CLATTN_KERNEL_SOURCES_H

/* The texts that a program is compiled from: embedded, or read from a folder. */

#include <stdbool.h>

#include <clattn/status.h>

#include "util/hash.h"

typedef struct clattn_sources {
    const char *name; /* of the main file */
    const char *main_text;
    const char *flattened; /* NULL: there is none (the sources are a folder's) */
    const char **header_names;
    const char **header_texts;
    size_t header_count;
    char **owned; /* texts read from files, the main one last */
} clattn_sources;

/* kernel_dir NULL: embedded. CLATTN_IO_ERROR: a file of kernel_dir cannot be read; CLATTN_INVALID_ARGUMENT: no such
 * source; CLATTN_OUT_OF_MEMORY. */
clattn_status clattn_sources_load(const char *kernel_dir, const char *name, clattn_sources *sources);
void clattn_sources_free(clattn_sources *sources);

/* Mixes names and texts into the key. */
void clattn_sources_add_to_key(const clattn_sources *sources, clattn_key *key);

/* The texts alone of the main file and of the headers that it includes, and they include, when it is compiled with the
 * fragment of that name: other kernels' and other fragments' headers may change and leave this key. False when there is
 * no memory. */
bool clattn_sources_add_included_to_key(const clattn_sources *sources, const char *fragment, clattn_key *key);

#endif
