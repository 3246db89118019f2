/* SPDX-License-Identifier: BSD-2-Clause */
#include "api/buffers.h"

#include <inttypes.h>

#include "util/status.h"

#define CLATTN_HOST
#include "error_record.clh"

_Static_assert(RECORD_PAGE_ID == CLATTN_ERROR_PAGE_ID && RECORD_SLOT == CLATTN_ERROR_SLOT,
               "kernels and the interface share the record's bits");

clattn_buffer_need clattn_array_need(const char *name, const clattn_buffer *buffer, size_t element_size,
                                     int64_t elements)
{
    return (clattn_buffer_need){ name, buffer, element_size, elements, element_size };
}

clattn_buffer_need clattn_tensor_need(const char *name, const clattn_buffer *buffer, clattn_dtype dtype, int64_t blocks)
{
    return (clattn_buffer_need){ name, buffer, clattn_dtype_size(dtype), blocks, clattn_dtype_alignment(dtype) };
}

clattn_buffer_need clattn_record_need(const clattn_buffer *error_record)
{
    return clattn_array_need("error_record", error_record, sizeof(uint32_t),
                             (int64_t)(sizeof(clattn_error_record) / sizeof(uint32_t)));
}

static clattn_status memory_size(const clattn_buffer_need *need, size_t *size)
{
    const clattn_buffer *buffer = need->buffer;
    size_t whole = 0;
    const cl_int code = clGetMemObjectInfo((cl_mem)buffer->handle, CL_MEM_SIZE, sizeof(whole), &whole, NULL);
    if (code != CL_SUCCESS)
        return clattn_fail_cl("clGetMemObjectInfo", code);
    if (buffer->offset > whole || buffer->size > whole - buffer->offset)
        return clattn_fail(CLATTN_INVALID_ARGUMENT,
                           "%s.offset + %s.size is %zu + %zu; it has to be within its cl_mem of %zu bytes", need->name,
                           need->name, buffer->offset, buffer->size, whole);
    *size = buffer->size ? buffer->size : whole - buffer->offset;
    return CLATTN_OK;
}

clattn_status clattn_buffer_check(const clattn_buffer_need *need)
{
    const clattn_buffer *buffer = need->buffer;
    if (buffer->kind != CLATTN_BUFFER_CL_MEM)
        return clattn_fail(CLATTN_INVALID_ARGUMENT, "%s.kind is %d; it has to be CLATTN_BUFFER_CL_MEM (%d)", need->name,
                           (int)buffer->kind, CLATTN_BUFFER_CL_MEM);
    if (!buffer->handle)
        return clattn_fail(CLATTN_INVALID_ARGUMENT, "%s.handle is NULL; the description needs this buffer", need->name);
    if (buffer->offset % need->alignment != 0)
        return clattn_fail(CLATTN_INVALID_ARGUMENT, "%s.offset is %zu; it has to be a multiple of %zu bytes",
                           need->name, buffer->offset, need->alignment);
    size_t size = 0;
    CLATTN_TRY(memory_size(need, &size));
    if (need->elements < 0 || (uint64_t)need->elements > size / need->element_size)
        return clattn_fail(CLATTN_INVALID_ARGUMENT,
                           "%s has %zu bytes; strides and lengths reach element %" PRId64 " of %zu bytes", need->name,
                           size, need->elements < 0 ? INT64_MAX : need->elements, need->element_size);
    return CLATTN_OK;
}

int64_t clattn_buffer_offset(const clattn_buffer_need *need)
{
    return (int64_t)(need->buffer->offset / need->alignment);
}
