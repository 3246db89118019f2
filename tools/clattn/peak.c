/* SPDX-License-Identifier: BSD-2-Clause */
#include "peak.h"

#include "command.h"

enum { MIB = 1024 * 1024 };

/* What a buffer of the device holds, and a quarter of its memory. */
static size_t within_limits(const clattn_device_info *info, uint64_t bytes)
{
    bytes = bytes > info->max_mem_alloc_size ? info->max_mem_alloc_size : bytes;
    bytes = bytes > info->global_mem_size / 4 ? info->global_mem_size / 4 : bytes;
    return (size_t)(bytes / MIB * MIB);
}

/* Over four times the last cache, and long enough to drown what a run costs beside it. */
static size_t stream_bytes(const clattn_device_info *info)
{
    const uint64_t least = (uint64_t)(info->type[0] == 'g' ? 512 : 128) * MIB, bytes = 5 * info->global_mem_cache_size;
    return within_limits(info, bytes < least ? least : bytes);
}

static int measure(const session *on, peak_set set, size_t bytes, peaks *out)
{
    if (bytes == 0)
        return fail("%s has %llu bytes of memory; its peaks need 4 MiB", on->info.device_name,
                    (unsigned long long)on->info.global_mem_size);
    if (on->chosen.type & CL_DEVICE_TYPE_CPU)
        return peaks_measure_cpu(set, bytes, out);
    return peaks_measure_device(on, set, bytes, out);
}

int peaks_measure(const session *on, peaks *out)
{
    return measure(on, PEAK_ALL, stream_bytes(&on->info), out);
}

int peaks_measure_read(const session *on, size_t bytes, double *rate)
{
    peaks found = { .read_bandwidth = 0 };
    int status = measure(on, PEAK_READ, within_limits(&on->info, bytes + MIB), &found);
    *rate = found.read_bandwidth;
    return status;
}

int peaks_measure_copy(const session *on, size_t bytes, double *rate)
{
    peaks found = { .read_bandwidth = 0 };
    int status = measure(on, PEAK_COPY, within_limits(&on->info, bytes + MIB), &found);
    *rate = found.copy_bandwidth;
    return status;
}
