/* SPDX-License-Identifier: BSD-2-Clause */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "device/internal.h"
#include "util/hash.h"
#include "util/text.h"

/* The first line of /proc/cpuinfo that lists instruction sets ("flags" on x86, "Features" on Arm), hashed. Zero
 * elsewhere: the rest of the identity has to do there. */
static clattn_key instruction_sets(void)
{
    clattn_key key = { 0 };
    FILE *file = fopen("/proc/cpuinfo", "re");
    if (!file)
        return key;
    char line[8192];
    while (fgets(line, sizeof(line), file)) {
        if (strncmp(line, "flags", 5) != 0 && strncmp(line, "Features", 8) != 0)
            continue;
        clattn_key_add_text(&key, line);
        break;
    }
    fclose(file);
    return key;
}

/* A CPU's name is no identity ("Intel Xeon Processor" in every cloud), and its programs are compiled for the very CPU.
 */
static void add_cpu(clattn_text *text, const clattn_device_info *info)
{
    char hex[CLATTN_KEY_HEX_SIZE];
    clattn_key_hex(instruction_sets(), hex);
    clattn_text_add(text, "%" PRIu32 " units\n%" PRIu64 " bytes of cache\nvectors of %" PRIu32 "\n%s\n",
                    info->compute_units, info->global_mem_cache_size, info->native_vector_width_float, hex);
}

char *clattn_identity_make(const clattn_probe *probe)
{
    const clattn_device_info *info = &probe->info;
    clattn_text text = { 0 };
    clattn_text_add(&text, "%s\n%s\n%s\n%s\n%s\n%s\n", info->platform_name, probe->platform_version, info->device_name,
                    info->vendor, info->driver_version, info->device_version);
    if (probe->type & CL_DEVICE_TYPE_CPU)
        add_cpu(&text, info);
    return clattn_text_take(&text);
}
