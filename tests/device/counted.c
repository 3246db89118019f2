/* SPDX-License-Identifier: BSD-2-Clause */
#include "counted.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <CL/cl.h>

#define MOST_KERNEL_NAMES 16
#define NAME_SIZE         64

enum {
#define COUNTED(result, name, parameters, arguments) COUNTED_##name,
#include "counted.def"
#undef COUNTED
    COUNTED_COUNT
};

static const char *const counted_names[] = {
#define COUNTED(result, name, parameters, arguments) #name,
#include "counted.def"
#undef COUNTED
};

typedef struct kernel_count {
    char name[NAME_SIZE];
    long calls;
} kernel_count;

static bool on;
static long calls[COUNTED_COUNT];
static kernel_count kernels[MOST_KERNEL_NAMES];

/* The names are the linker's. */
#define COUNTED(result, name, parameters, arguments)                                                                   \
    result __real_##name parameters;                                                                                   \
    result __wrap_##name parameters;                                                                                   \
    result __wrap_##name parameters                                                                                    \
    {                                                                                                                  \
        calls[COUNTED_##name] += on;                                                                                   \
        return __real_##name arguments;                                                                                \
    }
#include "counted.def"
#undef COUNTED

cl_int __real_clEnqueueNDRangeKernel(cl_command_queue queue, cl_kernel kernel, cl_uint dims, const size_t *offset,
                                     const size_t *global, const size_t *local, cl_uint count, const cl_event *list,
                                     cl_event *event);
cl_int __wrap_clEnqueueNDRangeKernel(cl_command_queue queue, cl_kernel kernel, cl_uint dims, const size_t *offset,
                                     const size_t *global, const size_t *local, cl_uint count, const cl_event *list,
                                     cl_event *event);

cl_int __wrap_clEnqueueNDRangeKernel(cl_command_queue queue, cl_kernel kernel, cl_uint dims, const size_t *offset,
                                     const size_t *global, const size_t *local, cl_uint count, const cl_event *list,
                                     cl_event *event)
{
    char name[NAME_SIZE] = "";
    int n = 0;
    if (on && clGetKernelInfo(kernel, CL_KERNEL_FUNCTION_NAME, sizeof(name), name, NULL) == CL_SUCCESS) {
        while (n < MOST_KERNEL_NAMES - 1 && kernels[n].calls > 0 && strcmp(kernels[n].name, name) != 0)
            n++;
        memcpy(kernels[n].name, name, sizeof(name));
        kernels[n].calls++;
    }
    return __real_clEnqueueNDRangeKernel(queue, kernel, dims, offset, global, local, count, list, event);
}

void counted_begin(void)
{
    on = true;
}

void counted_end(void)
{
    on = false;
}

long counted_calls(const char *name)
{
    for (int n = 0; n < COUNTED_COUNT; n++)
        if (strcmp(counted_names[n], name) == 0)
            return calls[n];
    return -1;
}

long counted_report(void)
{
    long total = 0;
    for (int n = 0; n < COUNTED_COUNT; n++) {
        total += calls[n];
        if (calls[n] > 0)
            printf("# %s: %ld calls\n", counted_names[n], calls[n]);
    }
    return total;
}

void counted_reset(void)
{
    memset(calls, 0, sizeof(calls));
    memset(kernels, 0, sizeof(kernels));
}

long counted_kernels(const char *part)
{
    long total = 0;
    for (int n = 0; n < MOST_KERNEL_NAMES; n++)
        if (strstr(kernels[n].name, part))
            total += kernels[n].calls;
    return total;
}
