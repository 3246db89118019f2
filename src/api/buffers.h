/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_API_BUFFERS_H
#define CLATTN_API_BUFFERS_H

/* The checks of one buffer that a caller gives to a run. */

#include <clattn/device.h>

typedef struct clattn_buffer_need {
    const char *name;
    const clattn_buffer *buffer;
    size_t element_size; /* bytes; of a block, where the type has blocks */
    int64_t elements;    /* that it has to reach; -1: more than an int64_t counts */
    size_t alignment;    /* of its offset, in bytes */
} clattn_buffer_need;

/* Elements of plain C types, and elements or blocks of a tensor. */
clattn_buffer_need clattn_array_need(const char *name, const clattn_buffer *buffer, size_t element_size,
                                     int64_t elements);
clattn_buffer_need clattn_tensor_need(const char *name, const clattn_buffer *buffer, clattn_dtype dtype,
                                      int64_t blocks);

clattn_buffer_need clattn_record_need(const clattn_buffer *error_record);

/* There, aligned, and large enough. CLATTN_INVALID_ARGUMENT, CLATTN_OPENCL_ERROR. */
clattn_status clattn_buffer_check(const clattn_buffer_need *need);

/* Its offset in units of its alignment, once checked: in elements, or in halves of block types. */
int64_t clattn_buffer_offset(const clattn_buffer_need *need);

#endif
