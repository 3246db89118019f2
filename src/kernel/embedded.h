/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_KERNEL_EMBEDDED_H
#define CLATTN_KERNEL_EMBEDDED_H

/* The files of cl/, put into the library by tools/embed.py. */

#include <stddef.h>

typedef struct clattn_embedded_file {
    const char *name; /* "prefill.cl" */
    const char *text; /* NUL-terminated */
    size_t size;      /* without the NUL */
} clattn_embedded_file;

/* Every .cl and .clh as it is. */
extern const clattn_embedded_file clattn_embedded_sources[];
extern const size_t clattn_embedded_source_count;

/* Every .cl with its quoted includes expanded, for drivers that cannot link. */
extern const clattn_embedded_file clattn_embedded_flattened[];
extern const size_t clattn_embedded_flattened_count;

#endif
