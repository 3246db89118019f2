/* SPDX-License-Identifier: BSD-2-Clause */
#include "device/device.h"

#include <stdlib.h>

#include "device/internal.h"
#include "util/status.h"
#include "util/text.h"

static void destroy(clattn_device *device)
{
    for (int slot = 0; slot < CLATTN_SLOT_COUNT; slot++)
        if (device->attachments[slot].object)
            device->attachments[slot].destroy(device->attachments[slot].object);
    if (device->id)
        clReleaseDevice(device->id);
    if (device->context)
        clReleaseContext(device->context);
    clattn_probe_free(&device->probe);
    free(device->cache_dir);
    free(device->kernel_dir);
    free(device->tuning_path);
    pthread_mutex_destroy(&device->lock);
    pthread_mutex_destroy(&device->log_lock);
    free(device);
}

static clattn_device *make_empty(void)
{
    clattn_device *device = calloc(1, sizeof(*device));
    if (!device)
        return NULL;
    if (pthread_mutex_init(&device->lock, NULL) != 0) {
        free(device);
        return NULL;
    }
    if (pthread_mutex_init(&device->log_lock, NULL) != 0) {
        pthread_mutex_destroy(&device->lock);
        free(device);
        return NULL;
    }
    device->references = 1;
    return device;
}

static clattn_status copy_settings(clattn_device *device, const clattn_device_settings *settings)
{
    device->settings = *settings;
    if (settings->cache_dir)
        device->settings.cache_dir = device->cache_dir = clattn_text_copy(settings->cache_dir);
    if (settings->kernel_dir)
        device->settings.kernel_dir = device->kernel_dir = clattn_text_copy(settings->kernel_dir);
    if (settings->tuning_path)
        device->settings.tuning_path = device->tuning_path = clattn_text_copy(settings->tuning_path);
    if ((settings->cache_dir && !device->cache_dir) || (settings->kernel_dir && !device->kernel_dir) ||
        (settings->tuning_path && !device->tuning_path))
        return clattn_fail(CLATTN_OUT_OF_MEMORY, "no memory for the device's folders");
    return CLATTN_OK;
}

static clattn_status retain_handles(clattn_device *device, cl_context context, cl_device_id id)
{
    cl_int code = clRetainContext(context);
    if (code != CL_SUCCESS)
        return clattn_fail_cl("clRetainContext", code);
    device->context = context;
    code = clRetainDevice(id);
    if (code != CL_SUCCESS)
        return clattn_fail_cl("clRetainDevice", code);
    device->id = id;
    return CLATTN_OK;
}

static clattn_status fill(clattn_device *device, cl_context context, cl_device_id id,
                          const clattn_device_settings *settings)
{
    CLATTN_TRY(copy_settings(device, settings));
    CLATTN_TRY(retain_handles(device, context, id));
    return clattn_probe_device(id, &device->probe);
}

clattn_status clattn_device_open(cl_context context, cl_device_id id, const clattn_device_settings *settings,
                                 clattn_device **out)
{
    clattn_device *device = make_empty();
    if (!device)
        return clattn_fail(CLATTN_OUT_OF_MEMORY, "no memory for a clattn_device");
    clattn_status status = fill(device, context, id, settings);
    if (status != CLATTN_OK) {
        destroy(device);
        return status;
    }
    *out = device;
    return CLATTN_OK;
}

clattn_device *clattn_device_retain(clattn_device *device)
{
    pthread_mutex_lock(&device->lock);
    device->references++;
    pthread_mutex_unlock(&device->lock);
    return device;
}

void clattn_device_release(clattn_device *device)
{
    pthread_mutex_lock(&device->lock);
    int left = --device->references;
    pthread_mutex_unlock(&device->lock);
    if (left == 0)
        destroy(device);
}

cl_context clattn_device_context(const clattn_device *device)
{
    return device->context;
}

cl_device_id clattn_device_id(const clattn_device *device)
{
    return device->id;
}

cl_device_type clattn_device_type(const clattn_device *device)
{
    return device->probe.type;
}

const clattn_device_info *clattn_device_probed(const clattn_device *device)
{
    return &device->probe.info;
}

const clattn_device_settings *clattn_device_settings_of(const clattn_device *device)
{
    return &device->settings;
}

const char *clattn_device_identity(const clattn_device *device)
{
    return device->probe.identity;
}

const char *clattn_device_isa(const clattn_device *device)
{
    return device->probe.isa;
}

const char *clattn_device_line(const clattn_device *device)
{
    return device->probe.line;
}

const char *clattn_preferred_fragment(const clattn_device *device)
{
    return device->probe.info.fragment;
}

bool clattn_device_has_quirk(const clattn_device *device, int quirk_index)
{
    return device->probe.quirks >> quirk_index & 1;
}

void *clattn_device_attachment(clattn_device *device, clattn_device_slot slot, void *(*make)(void),
                               void (*destroy_object)(void *))
{
    pthread_mutex_lock(&device->lock);
    if (!device->attachments[slot].object) {
        device->attachments[slot].object = make();
        device->attachments[slot].destroy = destroy_object;
    }
    void *object = device->attachments[slot].object;
    pthread_mutex_unlock(&device->lock);
    return object;
}

uint64_t clattn_device_next_serial(clattn_device *device)
{
    pthread_mutex_lock(&device->lock);
    const uint64_t serial = ++device->serial;
    pthread_mutex_unlock(&device->lock);
    return serial;
}
