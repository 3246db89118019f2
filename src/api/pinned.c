/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>

#include <clattn/cache_copy.h>

#include "api/queue.h"
#include "util/status.h"

struct clattn_pinned {
    clattn_device *device;
    cl_command_queue queue; /* of its own: nobody's commands are waited for */
    cl_mem memory;
    void *data;
};

static clattn_status map(clattn_pinned *pinned, size_t size)
{
    cl_context context = clattn_device_context(pinned->device);
    cl_int code;
    pinned->queue = clCreateCommandQueue(context, clattn_device_id(pinned->device), 0, &code);
    if (code != CL_SUCCESS)
        return clattn_fail_cl("clCreateCommandQueue", code);
    pinned->memory = clCreateBuffer(context, CL_MEM_READ_WRITE | CL_MEM_ALLOC_HOST_PTR, size, NULL, &code);
    if (code != CL_SUCCESS)
        return clattn_fail_cl("clCreateBuffer", code);
    pinned->data = clEnqueueMapBuffer(pinned->queue, pinned->memory, CL_TRUE, CL_MAP_READ | CL_MAP_WRITE, 0, size, 0,
                                      NULL, NULL, &code);
    return code == CL_SUCCESS ? CLATTN_OK : clattn_fail_cl("clEnqueueMapBuffer", code);
}

clattn_status clattn_pinned_create(clattn_device *device, size_t size, clattn_pinned **out)
{
    CLATTN_TRY(clattn_require_pointer("device", device));
    CLATTN_TRY(clattn_require_pointer("out", out));
    if (size == 0)
        return clattn_fail(CLATTN_INVALID_ARGUMENT, "size is 0; it has to be at least 1 byte");
    clattn_pinned *pinned = calloc(1, sizeof(*pinned));
    if (!pinned)
        return clattn_fail(CLATTN_OUT_OF_MEMORY, "no memory for a pinned buffer");
    pinned->device = clattn_device_retain(device);
    const clattn_status status = map(pinned, size);
    if (status != CLATTN_OK) {
        clattn_pinned_destroy(&pinned);
        return status;
    }
    *out = pinned;
    return CLATTN_OK;
}

void *clattn_pinned_data(const clattn_pinned *pinned)
{
    return pinned ? pinned->data : NULL;
}

void clattn_pinned_destroy(clattn_pinned **pinned)
{
    if (!pinned || !*pinned)
        return;
    clattn_pinned *p = *pinned;
    if (p->data && clEnqueueUnmapMemObject(p->queue, p->memory, p->data, 0, NULL, NULL) == CL_SUCCESS)
        clFinish(p->queue);
    if (p->memory)
        clReleaseMemObject(p->memory);
    if (p->queue)
        clReleaseCommandQueue(p->queue);
    clattn_device_release(p->device);
    free(p);
    *pinned = NULL;
}
