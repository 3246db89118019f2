/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_DEVICE_GUARDED_H
#define TESTS_DEVICE_GUARDED_H

/* Buffers with guard bands: what each holds before, and what it has to hold after, byte for byte. */

#include "harness.h"

typedef struct guarded {
    const char *name;
    unsigned char *host;  /* what the view holds before; the bands lie around it */
    unsigned char *want;  /* what it has to hold after */
    size_t offset, bytes; /* of the view, in its buffer */
    unsigned char *base;  /* of both, with the bands */
    cl_mem memory;
} guarded;

/* Host memory full of poison; `shift` bytes are added to the view's offset. false: no memory. */
bool guarded_make(guarded *g, const char *name, size_t bytes, size_t shift);
/* The same bytes in both. */
void guarded_put(guarded *g, size_t at, const void *data, size_t bytes);
/* Makes the device's buffer of what `host` holds. Reports to `out`. */
bool guarded_upload(const harness *h, guarded *g, outcome *out);
void guarded_free(guarded *g);

clattn_buffer guarded_view(const guarded *g);

/* Compares all bytes with what they have to be. `canonical`, which may be NULL, is called with the bytes of the view
 * first.
 */
typedef void (*guarded_canonical)(const void *user, unsigned char *bytes);
void guarded_verify(const harness *h, const guarded *g, guarded_canonical canonical, const void *user, outcome *out);

#endif
