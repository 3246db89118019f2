/* SPDX-License-Identifier: BSD-2-Clause */
/* An OpenCL layer (OPENCL_LAYERS) above a real driver, whose clEnqueueNDRangeKernel fails when told to. */
#define CL_TARGET_OPENCL_VERSION 300
#include <CL/cl.h>
#include <CL/cl_icd.h>
#include <CL/cl_layer.h>

#include <string.h>

#include "fault_layer.h"

#define EXPORTED __attribute__((visibility("default")))

EXPORTED int fault_layer_count(void);
EXPORTED void fault_layer_arm(int after);

static struct _cl_icd_dispatch table;
static const struct _cl_icd_dispatch *below;
static int seen, fail_at;

EXPORTED int fault_layer_count(void)
{
    return seen;
}

EXPORTED void fault_layer_arm(int after)
{
    fail_at = after ? seen + after : 0;
}

static cl_int CL_API_CALL enqueue(cl_command_queue queue, cl_kernel kernel, cl_uint dims, const size_t *offset,
                                  const size_t *global, const size_t *local, cl_uint count, const cl_event *list,
                                  cl_event *event)
{
    if (++seen == fail_at)
        return FAULT_CODE;
    return below->clEnqueueNDRangeKernel(queue, kernel, dims, offset, global, local, count, list, event);
}

static cl_int give(const void *value, size_t value_size, size_t size, void *out, size_t *out_size)
{
    if (out_size)
        *out_size = value_size;
    if (out && size < value_size)
        return CL_INVALID_VALUE;
    if (out)
        memcpy(out, value, value_size);
    return CL_SUCCESS;
}

EXPORTED CL_API_ENTRY cl_int CL_API_CALL clGetLayerInfo(cl_layer_info name, size_t size, void *value, size_t *out_size)
{
    static const cl_layer_api_version version = CL_LAYER_API_VERSION_100;
    static const char text[] = "clattn fault layer";
    if (name == CL_LAYER_API_VERSION)
        return give(&version, sizeof(version), size, value, out_size);
    if (name == CL_LAYER_NAME)
        return give(text, sizeof(text), size, value, out_size);
    return CL_INVALID_VALUE;
}

EXPORTED CL_API_ENTRY cl_int CL_API_CALL clInitLayer(cl_uint entries, const struct _cl_icd_dispatch *target,
                                                     cl_uint *out_entries, const struct _cl_icd_dispatch **out)
{
    size_t size = entries * sizeof(void *);
    if (size > sizeof(table))
        size = sizeof(table);
    below = target;
    memcpy(&table, target, size);
    table.clEnqueueNDRangeKernel = enqueue;
    *out = &table;
    *out_entries = (cl_uint)(size / sizeof(void *));
    return CL_SUCCESS;
}
