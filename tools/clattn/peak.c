/* SPDX-License-Identifier: BSD-2-Clause */
#include "peak.h"

#include "command.h"

/* Over four times the last cache, and long enough to drown what a run costs beside it; within what one buffer of the
 * device and a quarter of its memory hold. */
static size_t stream_bytes(const clattn_device_info *info)
{
    const uint64_t mib = 1024 * 1024, least = (info->type[0] == 'g' ? 512 : 128) * mib;
    uint64_t bytes = 5 * info->global_mem_cache_size;
    bytes = bytes < least ? least : bytes;
    bytes = bytes > info->max_mem_alloc_size ? info->max_mem_alloc_size : bytes;
    bytes = bytes > info->global_mem_size / 4 ? info->global_mem_size / 4 : bytes;
    return (size_t)(bytes / mib * mib);
}

int peaks_measure(const session *on, peaks *out)
{
    size_t bytes = stream_bytes(&on->info);
    if (bytes == 0)
        return fail("%s has %llu bytes of memory; its peaks need 4 MiB", on->info.device_name,
                    (unsigned long long)on->info.global_mem_size);
    if (on->chosen.type & CL_DEVICE_TYPE_CPU)
        return peaks_measure_cpu(bytes, out);
    return peaks_measure_device(on, bytes, out);
}
