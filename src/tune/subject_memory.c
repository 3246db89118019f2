/* SPDX-License-Identifier: BSD-2-Clause */
/* Numbers of subjects, and their memory. */
#include <stdlib.h>
#include <string.h>

#include "tune/subject_internal.h"
#include "util/status.h"

size_t clattn_row_bytes(clattn_dtype dtype, int32_t dim)
{
    return (size_t)(dim / clattn_dtype_block_len(dtype)) * clattn_dtype_size(dtype);
}

static void draw_row(void *row, clattn_dtype dtype, int32_t dim, double unit, ref_random *random)
{
    double values[CLATTN_SUBJECT_MAX_DIM];
    for (int32_t d = 0; d < dim; d++)
        values[d] = ref_random_normal(random) / unit;
    ref_store_row(row, dtype, 0, dim, values);
}

void clattn_fill_rows(void *data, clattn_dtype dtype, int64_t rows, int32_t dim, double unit, ref_random *random)
{
    const size_t size = clattn_row_bytes(dtype, dim), period = CLATTN_PERIOD * size, whole = (size_t)rows * size;
    char *bytes = data;
    for (int64_t i = 0; i < rows && i < CLATTN_PERIOD; i++)
        draw_row(bytes + (size_t)i * size, dtype, dim, unit, random);
    for (size_t at = period; at < whole; at += period)
        memcpy(bytes + at, bytes, whole - at < period ? whole - at : period);
}

void clattn_shuffle(int32_t *ids, int32_t count, ref_random *random)
{
    for (int32_t i = 0; i < count; i++) {
        const int32_t other = (int32_t)ref_random_range(random, 0, i);
        ids[i] = i;
        ids[i] = ids[other];
        ids[other] = i;
    }
}

float clattn_fp8_scale(int32_t head)
{
    return 1.0f / (float)(64 + 8 * (head % 4));
}

void *clattn_subject_memory(size_t size)
{
    void *memory = malloc(size);
    if (!memory)
        clattn_fail(CLATTN_OUT_OF_MEMORY, "no memory for %zu bytes of what is tuned", size);
    return memory;
}

static clattn_status made(const char *call, cl_int code)
{
    return code == CL_SUCCESS ? CLATTN_OK : clattn_fail_cl(call, code);
}

clattn_status clattn_subject_buffer(const clattn_subject *subject, size_t size, cl_mem *out)
{
    cl_int code = CL_SUCCESS;
    *out = clCreateBuffer(clattn_device_context(subject->device), CL_MEM_READ_WRITE, size, NULL, &code);
    return made("clCreateBuffer", *out ? CL_SUCCESS : code);
}

clattn_status clattn_subject_finish(const clattn_subject *subject)
{
    return made("clFinish", clFinish(subject->queue));
}

clattn_status clattn_subject_scales(const clattn_subject *subject, int32_t heads, cl_mem *out)
{
    const size_t size = (size_t)heads * sizeof(float);
    float *scales = clattn_subject_memory(size);
    if (!scales)
        return CLATTN_OUT_OF_MEMORY;
    for (int32_t head = 0; head < heads; head++)
        scales[head] = clattn_fp8_scale(head);
    const clattn_status status = clattn_subject_upload(subject, scales, size, out);
    free(scales);
    return status;
}

clattn_status clattn_subject_write(const clattn_subject *subject, cl_mem to, size_t offset, size_t size,
                                   const void *from)
{
    return made("clEnqueueWriteBuffer",
                clEnqueueWriteBuffer(subject->queue, to, CL_TRUE, offset, size, from, 0, NULL, NULL));
}

clattn_status clattn_subject_upload(const clattn_subject *subject, const void *from, size_t size, cl_mem *out)
{
    CLATTN_TRY(clattn_subject_buffer(subject, size, out));
    return clattn_subject_write(subject, *out, 0, size, from);
}

clattn_status clattn_subject_copy(const clattn_subject *subject, cl_mem memory, size_t from, size_t to, size_t size)
{
    CLATTN_TRY(made("clEnqueueCopyBuffer",
                    clEnqueueCopyBuffer(subject->queue, memory, memory, from, to, size, 0, NULL, NULL)));
    return clattn_subject_finish(subject);
}

/* Sizes and offsets of outputs are whole numbers of four bytes. */
clattn_status clattn_subject_clear(const clattn_subject *subject, cl_mem memory, size_t offset, size_t size)
{
    const cl_uint unwritten = CLATTN_UNWRITTEN * UINT32_C(0x01010101);
    CLATTN_TRY(made("clEnqueueFillBuffer", clEnqueueFillBuffer(subject->queue, memory, &unwritten, sizeof(unwritten),
                                                               offset, size, 0, NULL, NULL)));
    return clattn_subject_finish(subject);
}

clattn_status clattn_subject_read(const clattn_subject *subject, cl_mem from, size_t offset, size_t size, void *to)
{
    return made("clEnqueueReadBuffer",
                clEnqueueReadBuffer(subject->queue, from, CL_TRUE, offset, size, to, 0, NULL, NULL));
}

void clattn_subject_release(cl_mem *memory)
{
    if (*memory)
        clReleaseMemObject(*memory);
    *memory = NULL;
}

clattn_status clattn_share_event(cl_event event, cl_event *first, cl_event *last)
{
    const cl_int code = clRetainEvent(event);
    if (code != CL_SUCCESS) {
        clReleaseEvent(event);
        return clattn_fail_cl("clRetainEvent", code);
    }
    *first = *last = event;
    return CLATTN_OK;
}
