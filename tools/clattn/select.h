/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_TOOL_SELECT_H
#define CLATTN_TOOL_SELECT_H

/* Which OpenCL device --device means. */

#include <stdbool.h>
#include <stddef.h>

#ifndef CL_TARGET_OPENCL_VERSION
#define CL_TARGET_OPENCL_VERSION 120
#endif
#include <CL/cl.h>

typedef struct found_device {
    int platform_index, device_index; /* P:D */
    cl_platform_id platform;
    cl_device_id id;
    cl_device_type type;
    char platform_name[128], name[128];
    bool software; /* a software rasteriser */
} found_device;

typedef struct found_devices {
    size_t count;
    found_device *devices;
} found_devices;

/* Every device of every platform. Exit status. */
int devices_find(found_devices *out);
void devices_free(found_devices *found);

/* The device that `selector` means: P:D, "cpu", "gpu" or a part of a name; NULL: CLATTN_DEVICE, else any. Of several,
 * the first GPU, accelerator, CPU, software rasteriser. Exit status. */
int devices_select(const found_devices *found, const char *selector, const found_device **out);

#endif
