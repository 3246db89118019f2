/* SPDX-License-Identifier: BSD-2-Clause */
#include "device/device.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "plan/records.h"
#include "util/file.h"
#include "util/status.h"

#define DEFAULT_CACHE_BYTES (UINT64_C(256) << 20)

void clattn_device_params_init(clattn_device_params *params)
{
    if (params)
        *params = CLATTN_DEVICE_PARAMS(0);
}

static const char *environment(const clattn_device_params *params, const char *name)
{
    const char *value = params->ignore_environment ? NULL : getenv(name);
    return value && value[0] ? value : NULL;
}

static clattn_status settle_log(const clattn_device_params *params, clattn_device_settings *settings)
{
    static const char *const names[] = { "error", "warn", "info", "debug" };
    settings->log = params->log;
    settings->log_user = params->log_user;
    if (params->log_level < CLATTN_LOG_DEFAULT || params->log_level > CLATTN_LOG_DEBUG)
        return clattn_fail(CLATTN_INVALID_ARGUMENT, "log_level is %d; it has to be a clattn_log_level, 0 to 4",
                           (int)params->log_level);
    settings->log_level = params->log_level;
    if (params->log_level != CLATTN_LOG_DEFAULT)
        return CLATTN_OK;
    settings->log_level = CLATTN_LOG_WARN;
    const char *value = environment(params, "CLATTN_LOG");
    if (!value)
        return CLATTN_OK;
    for (int i = 0; i < 4; i++) {
        if (strcmp(value, names[i]) != 0)
            continue;
        settings->log_level = (clattn_log_level)(CLATTN_LOG_ERROR + i);
        return CLATTN_OK;
    }
    return clattn_fail(CLATTN_INVALID_ARGUMENT, "CLATTN_LOG is '%s'; it has to be error, warn, info or debug", value);
}

static clattn_status settle_kernel_dir(const clattn_device_params *params, clattn_device_settings *settings)
{
    const char *from = params->kernel_dir ? "kernel_dir" : "CLATTN_KERNEL_DIR";
    settings->kernel_dir = params->kernel_dir ? params->kernel_dir : environment(params, "CLATTN_KERNEL_DIR");
    if (!settings->kernel_dir || clattn_file_is_folder(settings->kernel_dir))
        return CLATTN_OK;
    return clattn_fail(CLATTN_INVALID_ARGUMENT, "%s is '%s'; it has to be an existing folder", from,
                       settings->kernel_dir);
}

/* *cache_dir is to be freed; NULL without a disk cache, which is so too where no folder can be told. */
static clattn_status settle_cache(const clattn_device_params *params, clattn_device_settings *settings,
                                  char **cache_dir)
{
    settings->cache_max_bytes = params->cache_max_bytes ? params->cache_max_bytes : DEFAULT_CACHE_BYTES;
    if (params->cache_dir && !params->cache_dir[0])
        return clattn_fail(CLATTN_INVALID_ARGUMENT, "cache_dir is empty; it has to be a folder's path, or NULL");
    if (params->no_disk)
        return CLATTN_OK;
    if (clattn_path_cache(params->cache_dir, params->ignore_environment, cache_dir) == ENOMEM)
        return clattn_fail(CLATTN_OUT_OF_MEMORY, "no memory for the cache folder's path");
    settings->cache_dir = *cache_dir;
    return CLATTN_OK;
}

static clattn_status settle_tuning(const clattn_device_params *params, clattn_device_settings *settings,
                                   char **tuning_path)
{
    *tuning_path = clattn_path_tuning(params->tuning_path, params->ignore_environment, CLATTN_INSTALLED_TUNING);
    if (!*tuning_path)
        return clattn_fail(CLATTN_OUT_OF_MEMORY, "no memory for the tuning records' path");
    settings->tuning_path = *tuning_path;
    return CLATTN_OK;
}

static clattn_status settle(const clattn_device_params *params, clattn_device_settings *settings, char **cache_dir,
                            char **tuning_path)
{
    CLATTN_TRY(settle_log(params, settings));
    CLATTN_TRY(settle_kernel_dir(params, settings));
    CLATTN_TRY(settle_cache(params, settings, cache_dir));
    return settle_tuning(params, settings, tuning_path);
}

static clattn_status check_membership(cl_context context, cl_device_id device)
{
    size_t size = 0;
    cl_int code = clGetContextInfo(context, CL_CONTEXT_DEVICES, 0, NULL, &size);
    if (code == CL_INVALID_CONTEXT)
        return clattn_fail(CLATTN_INVALID_ARGUMENT, "context is no valid cl_context");
    if (code != CL_SUCCESS)
        return clattn_fail_cl("clGetContextInfo(CL_CONTEXT_DEVICES)", code);
    cl_device_id *devices = malloc(size ? size : 1);
    if (!devices)
        return clattn_fail(CLATTN_OUT_OF_MEMORY, "no memory for the context's devices");
    code = clGetContextInfo(context, CL_CONTEXT_DEVICES, size, devices, NULL);
    bool found = false;
    for (size_t i = 0; code == CL_SUCCESS && i < size / sizeof(*devices); i++)
        found = found || devices[i] == device;
    free(devices);
    if (code != CL_SUCCESS)
        return clattn_fail_cl("clGetContextInfo(CL_CONTEXT_DEVICES)", code);
    if (!found)
        return clattn_fail(CLATTN_INVALID_ARGUMENT, "device is %p; it has to be one of context's %zu devices",
                           (void *)device, size / sizeof(*devices));
    return CLATTN_OK;
}

static clattn_status check_arguments(cl_context context, cl_device_id device, const clattn_device_params *params,
                                     clattn_device **out)
{
    if (!context)
        return clattn_fail(CLATTN_INVALID_ARGUMENT, "context is NULL; it has to be a cl_context");
    if (!device)
        return clattn_fail(CLATTN_INVALID_ARGUMENT, "device is NULL; it has to be a cl_device_id");
    if (!out)
        return clattn_fail(CLATTN_INVALID_ARGUMENT, "out is NULL; it has to point to a clattn_device *");
    if (params && params->struct_size != sizeof(*params))
        return clattn_fail(CLATTN_INVALID_ARGUMENT,
                           "params->struct_size is %zu; it has to be %zu: start from "
                           "CLATTN_DEVICE_PARAMS() or clattn_device_params_init",
                           params->struct_size, sizeof(*params));
    return check_membership(context, device);
}

clattn_status clattn_device_create(cl_context context, cl_device_id device, const clattn_device_params *params,
                                   clattn_device **out)
{
    CLATTN_TRY(check_arguments(context, device, params, out));
    clattn_device_params defaults = CLATTN_DEVICE_PARAMS(0);
    clattn_device_settings settings = { 0 };
    char *cache_dir = NULL, *tuning_path = NULL;
    params = params ? params : &defaults;
    clattn_status status = settle(params, &settings, &cache_dir, &tuning_path);
    if (status == CLATTN_OK)
        status = clattn_device_open(context, device, &settings, out);
    free(cache_dir);
    free(tuning_path);
    if (status == CLATTN_OK && !settings.cache_dir && !params->no_disk)
        clattn_log(
            *out, CLATTN_LOG_WARN,
            "no disk cache: neither CLATTN_CACHE_DIR nor XDG_CACHE_HOME nor HOME is set; compiled programs are lost");
    return status;
}

void clattn_device_destroy(clattn_device **device)
{
    if (!device || !*device)
        return;
    clattn_device_release(*device);
    *device = NULL;
}

clattn_status clattn_device_get_info(const clattn_device *device, clattn_device_info *info)
{
    if (!device)
        return clattn_fail(CLATTN_INVALID_ARGUMENT, "device is NULL; it has to be a clattn_device");
    if (!info)
        return clattn_fail(CLATTN_INVALID_ARGUMENT, "info is NULL; it has to point to a clattn_device_info");
    *info = *clattn_device_probed(device);
    /* Records are read when first asked for, which changes nothing that callers can see of a device. */
    info->tuning_level = clattn_tuning_level_name(clattn_records_level((clattn_device *)device));
    return CLATTN_OK;
}
