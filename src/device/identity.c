/* SPDX-License-Identifier: BSD-2-Clause */
#include <inttypes.h>

#include "device/internal.h"
#include "util/text.h"

/* A CPU's name is no identity ("Intel Xeon Processor" in every cloud), and its programs are compiled for the very CPU.
 */
static void add_cpu(clattn_text *text, const clattn_probe *probe)
{
    const clattn_device_info *info = &probe->info;
    clattn_text_add(text, "%" PRIu32 " units\n%" PRIu64 " bytes of cache\nvectors of %" PRIu32 "\n%s\n",
                    info->compute_units, info->global_mem_cache_size, info->native_vector_width_float, probe->isa);
}

char *clattn_identity_make(const clattn_probe *probe)
{
    const clattn_device_info *info = &probe->info;
    clattn_text text = { 0 };
    clattn_text_add(&text, "%s\n%s\n%s\n%s\n%s\n%s\n", info->platform_name, probe->platform_version, info->device_name,
                    info->vendor, info->driver_version, info->device_version);
    if (probe->type & CL_DEVICE_TYPE_CPU)
        add_cpu(&text, probe);
    return clattn_text_take(&text);
}
