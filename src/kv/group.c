/* SPDX-License-Identifier: BSD-2-Clause */
#include "kv/group.h"

#include <stdio.h>

#include "util/status.h"

/* Of groups where work-items run side by side; on a CPU they would be one loop inside another. */
#define GROUP_LANES 32
#define GROUP_ROWS  8

#define CPU_TOKENS 16
#define GPU_TOKENS 8

static bool is_cpu(const clattn_device *device)
{
    return (clattn_device_type(device) & CL_DEVICE_TYPE_CPU) != 0;
}

static clattn_status compile(clattn_device *device, const char *source, const char *entry, const char *options,
                             clattn_group_kernel *out)
{
    char all[192];
    snprintf(all, sizeof(all), "%s -DGROUP_LANES=%zu -DGROUP_ROWS=%zu", options, out->lanes, out->rows);
    const clattn_kernel_spec spec = { source, entry, all };
    return clattn_kernel_get(device, &spec, &out->kernel);
}

/* A built kernel may allow less than its device; one work-item runs everywhere. */
clattn_status clattn_group_kernel_get(clattn_device *device, const char *source, const char *entry, const char *options,
                                      clattn_group_kernel *out)
{
    const bool fits = clattn_device_probed(device)->max_work_group_size >= GROUP_LANES * GROUP_ROWS;
    const bool wide = fits && !is_cpu(device);
    *out = (clattn_group_kernel){ .lanes = wide ? GROUP_LANES : 1, .rows = wide ? GROUP_ROWS : 1 };
    CLATTN_TRY(compile(device, source, entry, options, out));
    if (out->kernel->max_work_group_size >= out->lanes * out->rows)
        return CLATTN_OK;
    clattn_kernel_release(out->kernel);
    *out = (clattn_group_kernel){ .lanes = 1, .rows = 1 };
    return compile(device, source, entry, options, out);
}

int32_t clattn_group_tokens(const clattn_device *device)
{
    return is_cpu(device) ? CPU_TOKENS : GPU_TOKENS;
}

int32_t clattn_copy_unit(const int64_t *numbers, int count)
{
    int64_t bits = 16;
    for (int i = 0; i < count; i++)
        bits |= numbers[i];
    const int64_t lowest = bits & -bits;
    return lowest == 8 ? 4 : (int32_t)lowest;
}
