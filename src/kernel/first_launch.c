/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernel/first_launch.h"

#include "device/device.h"
#include "util/status.h"

enum { MEMORY_SIZE = 256 };

typedef struct warm_up {
    clattn_kernel *const *kernels;
    int count;
    clattn_first_launch launch;
    void *user;
} warm_up;

static bool is_wanted(clattn_kernel *kernel)
{
    return kernel && clattn_kernel_is_fresh(kernel);
}

static clattn_status warm_up_on(const warm_up *wanted, cl_command_queue queue, cl_mem memory)
{
    for (int i = 0; i < wanted->count; i++) {
        if (!is_wanted(wanted->kernels[i]))
            continue;
        CLATTN_TRY(wanted->launch(wanted->user, i, queue, memory));
        const cl_int code = clFinish(queue);
        if (code != CL_SUCCESS)
            return clattn_fail_cl("clFinish after a kernel's first launch", code);
        clattn_kernel_launched(wanted->kernels[i]);
    }
    return CLATTN_OK;
}

clattn_status clattn_kernels_warm_up(const clattn_device *device, clattn_kernel *const *kernels, int count,
                                     clattn_first_launch launch, void *user)
{
    const warm_up wanted = { kernels, count, launch, user };
    bool any = false;
    for (int i = 0; i < count; i++)
        any = any || is_wanted(kernels[i]);
    if (!any)
        return CLATTN_OK;
    cl_context context = clattn_device_context(device);
    cl_int code;
    cl_command_queue queue = clCreateCommandQueue(context, clattn_device_id(device), 0, &code);
    if (code != CL_SUCCESS)
        return clattn_fail_cl("clCreateCommandQueue", code);
    cl_mem memory = clCreateBuffer(context, CL_MEM_READ_WRITE, MEMORY_SIZE, NULL, &code);
    const clattn_status status =
        code == CL_SUCCESS ? warm_up_on(&wanted, queue, memory) : clattn_fail_cl("clCreateBuffer", code);
    if (memory)
        clReleaseMemObject(memory);
    clReleaseCommandQueue(queue);
    return status;
}
