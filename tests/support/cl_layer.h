/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_SUPPORT_CL_LAYER_H
#define TESTS_SUPPORT_CL_LAYER_H

/* What every OpenCL layer of the tests is: its answers to the loader, and the table of calls that lies over the
 * driver's. A layer includes this once, in the only source that it has, defines LAYER_NAME before, and replaces entries
 * of `table` in layer_replace(). */
#define CL_TARGET_OPENCL_VERSION 300
#include <CL/cl.h>
#include <CL/cl_icd.h>
#include <CL/cl_layer.h>

#include <string.h>

#define EXPORTED __attribute__((visibility("default")))

static struct _cl_icd_dispatch table;
static const struct _cl_icd_dispatch *below;

static void layer_replace(void);

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
    static const char text[] = LAYER_NAME;
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
    layer_replace();
    *out = &table;
    *out_entries = (cl_uint)(size / sizeof(void *));
    return CL_SUCCESS;
}

#endif
