/* SPDX-License-Identifier: BSD-2-Clause */
/* An OpenCL layer (OPENCL_LAYERS) above a real driver, whose clEnqueueNDRangeKernel fails when told to. */
#define LAYER_NAME "clattn fault layer"
#include "../support/cl_layer.h"
#include "fault_layer.h"

EXPORTED int fault_layer_count(void);
EXPORTED void fault_layer_arm(int after);

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

static void layer_replace(void)
{
    table.clEnqueueNDRangeKernel = enqueue;
}
