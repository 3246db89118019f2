/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>

#include "command.h"
#include "report.h"

static int print_device_json(const found_device *device, const clattn_device_info *info)
{
    char index[32];
    snprintf(index, sizeof index, "%d:%d", device->platform_index, device->device_index);
    return report_print(json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:b}", "index",
        index, "platform", info->platform_name, "device", info->device_name, "vendor", info->vendor, "type", info->type,
        "version", info->device_version, "driver", info->driver_version, "fragment", info->fragment, "architecture",
        info->architecture, "tuning_level", info->tuning_level, "quirks", info->quirks, "compute_units",
        (json_int_t)info->compute_units, "native_vector_width_float", (json_int_t)info->native_vector_width_float,
        "global_mem_size", (json_int_t)info->global_mem_size, "max_mem_alloc_size",
        (json_int_t)info->max_mem_alloc_size, "local_mem_size", (json_int_t)info->local_mem_size,
        "global_mem_cache_size", (json_int_t)info->global_mem_cache_size, "max_work_group_size",
        (json_int_t)info->max_work_group_size, "linker_available", info->linker_available, "fp16", info->has_fp16));
}

static void print_device_text(const found_device *device, const clattn_device_info *info)
{
    const double mib = 1024.0 * 1024.0;
    printf("%d:%d %s: %s\n", device->platform_index, device->device_index, info->platform_name, info->device_name);
    printf("    %s by %s, %s, driver %s\n", info->type, info->vendor, info->device_version, info->driver_version);
    printf("    %u compute units, vectors of %u floats, work-groups of up to %zu\n", info->compute_units,
           info->native_vector_width_float, info->max_work_group_size);
    printf("    memory %.0f MiB, one buffer up to %.0f MiB, local %.0f KiB, last cache %.1f MiB\n",
           (double)info->global_mem_size / mib, (double)info->max_mem_alloc_size / mib,
           (double)info->local_mem_size / 1024.0, (double)info->global_mem_cache_size / mib);
    printf("    cl_khr_fp16 %s, linker %s\n", info->has_fp16 ? "yes" : "no", info->linker_available ? "yes" : "no");
    printf("    architecture %s, fragment %s, tuning level %s, quirks %s\n",
           *info->architecture ? info->architecture : "unknown", info->fragment, info->tuning_level,
           *info->quirks ? info->quirks : "none");
}

/* A device that the library cannot use is listed with the reason. */
static int print_unusable(const found_device *device, const char *reason, bool as_json)
{
    char index[32];
    snprintf(index, sizeof index, "%d:%d", device->platform_index, device->device_index);
    if (as_json)
        return report_print(json_pack("{s:s, s:s, s:s, s:s}", "index", index, "platform", device->platform_name,
                                      "device", device->name, "unusable", reason));
    printf("%s %s: %s\n    cannot be used: %s\n", index, device->platform_name, device->name, reason);
    return EXIT_DONE;
}

static int print_device(const found_device *device, bool as_json)
{
    cl_int code = CL_SUCCESS;
    clattn_device *probed = NULL;
    clattn_device_info info;
    char reason[64];
    const cl_context_properties properties[] = { CL_CONTEXT_PLATFORM, (cl_context_properties)device->platform, 0 };
    cl_context context = clCreateContext(properties, 1, &device->id, NULL, NULL, &code);
    if (code != CL_SUCCESS) {
        snprintf(reason, sizeof reason, "clCreateContext failed with OpenCL error %d", code);
        return print_unusable(device, reason, as_json);
    }
    int status = EXIT_DONE;
    if (clattn_device_create(context, device->id, NULL, &probed) != CLATTN_OK ||
        clattn_device_get_info(probed, &info) != CLATTN_OK)
        status = print_unusable(device, clattn_last_error(), as_json);
    else if (as_json)
        status = print_device_json(device, &info);
    else
        print_device_text(device, &info);
    clattn_device_destroy(&probed);
    clReleaseContext(context);
    return status;
}

int command_devices(const options *given)
{
    found_devices found;
    const found_device *chosen = NULL;
    const char *selector = given->values[OPTION_devices_device].text;
    bool as_json = given->values[OPTION_devices_json].given;
    int status = devices_find(&found);
    if (status == EXIT_DONE && selector)
        status = devices_select(&found, selector, &chosen);
    for (size_t i = 0; i < found.count && status == EXIT_DONE; i++)
        if (!chosen || chosen == &found.devices[i])
            status = print_device(&found.devices[i], as_json);
    devices_free(&found);
    return status;
}
