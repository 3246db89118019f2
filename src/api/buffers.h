/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_API_BUFFERS_H
#define CLATTN_API_BUFFERS_H

/* The checks of one buffer that a caller gives to a run. */

#include <clattn/device.h>

typedef struct clattn_buffer_need {
    const char *name;
    const clattn_buffer *buffer;
    size_t element_size;
    int64_t elements; /* that it has to reach; -1: more than an int64_t counts */
} clattn_buffer_need;

/* There, aligned, and large enough. CLATTN_INVALID_ARGUMENT, CLATTN_OPENCL_ERROR. */
clattn_status clattn_buffer_check(const clattn_buffer_need *need);

/* Its offset in elements, once checked. */
int64_t clattn_buffer_offset(const clattn_buffer_need *need);

#endif
