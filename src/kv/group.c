/* SPDX-License-Identifier: BSD-2-Clause */
#include "kv/group.h"

#include <stdio.h>

#include "util/status.h"

static clattn_status compile(clattn_device *device, const char *source, const char *entry, const char *options,
                             clattn_group_kernel *out)
{
    char tile[CLATTN_TILE_OPTIONS_SIZE], all[2 * CLATTN_TILE_OPTIONS_SIZE];
    clattn_tile_options(&out->tile, tile);
    snprintf(all, sizeof(all), "%s %s", options, tile);
    const clattn_kernel_spec spec = { source, entry, all, false };
    return clattn_kernel_get(device, &spec, &out->kernel);
}

clattn_tile clattn_group_default(const clattn_device *device, clattn_algorithm algorithm)
{
    const clattn_tile_problem any = { 0 };
    return *clattn_tile_default(algorithm, CLATTN_FRAGMENT_GROUP, &any, clattn_device_probed(device));
}

clattn_status clattn_group_kernel_get(clattn_device *device, const char *source, const char *entry, const char *options,
                                      const clattn_tile *tile, clattn_group_kernel *out)
{
    *out = (clattn_group_kernel){ .tile = *tile };
    CLATTN_TRY(compile(device, source, entry, options, out));
    if (out->kernel->max_work_group_size >= clattn_tile_work_group_size(tile))
        return CLATTN_OK;
    clattn_log(device, CLATTN_LOG_INFO, "%s: groups of 1 work-item, since the built kernel allows %zu, under %zu",
               source, out->kernel->max_work_group_size, clattn_tile_work_group_size(tile));
    clattn_kernel_release(out->kernel);
    out->kernel = NULL;
    out->tile.parameters[CLATTN_GROUP_LANES] = out->tile.parameters[CLATTN_GROUP_ROWS] = 1;
    return compile(device, source, entry, options, out);
}

size_t clattn_group_lanes(const clattn_group_kernel *group)
{
    return (size_t)group->tile.parameters[CLATTN_GROUP_LANES];
}

size_t clattn_group_rows(const clattn_group_kernel *group)
{
    return (size_t)group->tile.parameters[CLATTN_GROUP_ROWS];
}

size_t clattn_group_chunks(const clattn_group_kernel *group, int32_t tokens)
{
    const size_t each = (size_t)group->tile.parameters[CLATTN_GROUP_TOKENS];
    const size_t chunks = ((size_t)tokens + each - 1) / each;
    return chunks ? chunks : 1;
}

int32_t clattn_copy_unit(const int64_t *numbers, int count)
{
    int64_t bits = 16;
    for (int i = 0; i < count; i++)
        bits |= numbers[i];
    const int64_t lowest = bits & -bits;
    return lowest == 8 ? 4 : (int32_t)lowest;
}
