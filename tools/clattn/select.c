/* SPDX-License-Identifier: BSD-2-Clause */
#include "select.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"

static bool contains(const char *text, const char *part)
{
    size_t length = strlen(part);
    for (;; text++) {
        size_t i = 0;
        while (i < length && tolower((unsigned char)text[i]) == tolower((unsigned char)part[i]))
            i++;
        if (i == length)
            return true;
        if (*text == '\0')
            return false;
    }
}

static bool is_software(const found_device *device)
{
    static const char *const names[] = { "llvmpipe", "softpipe", "swrast" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (contains(device->name, names[i]) || contains(device->platform_name, names[i]))
            return true;
    return false;
}

static bool probe_device(cl_platform_id platform, int platform_index, cl_device_id id, int device_index,
                         found_device *out)
{
    *out = (found_device){
        .platform_index = platform_index, .device_index = device_index, .platform = platform, .id = id
    };
    if (clGetPlatformInfo(platform, CL_PLATFORM_NAME, sizeof out->platform_name, out->platform_name, NULL) !=
        CL_SUCCESS)
        snprintf(out->platform_name, sizeof out->platform_name, "unnamed platform");
    if (clGetDeviceInfo(id, CL_DEVICE_NAME, sizeof out->name, out->name, NULL) != CL_SUCCESS)
        snprintf(out->name, sizeof out->name, "unnamed device");
    out->software = is_software(out);
    return clGetDeviceInfo(id, CL_DEVICE_TYPE, sizeof out->type, &out->type, NULL) == CL_SUCCESS;
}

static int find_of_platform(cl_platform_id platform, int platform_index, found_devices *out)
{
    cl_uint count = 0;
    if (clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 0, NULL, &count) != CL_SUCCESS || count == 0)
        return EXIT_DONE; /* a platform without devices is none of our concern */
    cl_device_id *ids = calloc(count, sizeof *ids);
    found_device *larger = realloc(out->devices, (out->count + count) * sizeof *larger);
    if (larger)
        out->devices = larger;
    if (!ids || !larger) {
        free(ids);
        return fail("no memory for a list of %u devices", count);
    }
    if (clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, count, ids, NULL) != CL_SUCCESS)
        count = 0;
    for (cl_uint i = 0; i < count; i++)
        if (probe_device(platform, platform_index, ids[i], (int)i, &out->devices[out->count]))
            out->count++;
    free(ids);
    return EXIT_DONE;
}

int devices_find(found_devices *out)
{
    enum { MAX_PLATFORMS = 64 };
    cl_platform_id platforms[MAX_PLATFORMS];
    cl_uint count = 0;
    *out = (found_devices){ .count = 0 };
    if (clGetPlatformIDs(MAX_PLATFORMS, platforms, &count) != CL_SUCCESS)
        count = 0;
    int status = EXIT_DONE;
    for (cl_uint i = 0; i < count && i < MAX_PLATFORMS && status == EXIT_DONE; i++)
        status = find_of_platform(platforms[i], (int)i, out);
    if (status == EXIT_DONE && out->count == 0)
        status = fail("no OpenCL device is there (%u platforms); a driver has to be installed, such as Debian's "
                      "pocl-opencl-icd",
                      count);
    if (status != EXIT_DONE)
        devices_free(out);
    return status;
}

void devices_free(found_devices *found)
{
    free(found->devices);
    *found = (found_devices){ .count = 0 };
}

/* 0 is what is wanted most. */
static int rank(const found_device *device)
{
    if (device->software)
        return 4;
    if (device->type & CL_DEVICE_TYPE_GPU)
        return 0;
    if (device->type & CL_DEVICE_TYPE_ACCELERATOR)
        return 1;
    return device->type & CL_DEVICE_TYPE_CPU ? 2 : 3;
}

/* "P:D" in digits. */
static bool is_index(const char *selector, int *platform, int *device)
{
    int colon = 0, end = 0;
    if (strspn(selector, "0123456789:") != strlen(selector))
        return false;
    return sscanf(selector, "%9d%n:%9d%n", platform, &colon, device, &end) == 2 && end > colon && selector[end] == '\0';
}

static bool equals(const char *a, const char *b)
{
    return strlen(a) == strlen(b) && contains(a, b);
}

static bool matches(const found_device *device, const char *selector)
{
    int platform = 0, index = 0;
    if (!selector)
        return true;
    if (is_index(selector, &platform, &index))
        return device->platform_index == platform && device->device_index == index;
    if (equals(selector, "cpu"))
        return device->type & CL_DEVICE_TYPE_CPU;
    if (equals(selector, "gpu"))
        return device->type & CL_DEVICE_TYPE_GPU;
    return contains(device->name, selector) || contains(device->platform_name, selector);
}

static int fail_no_match(const found_devices *found, const char *origin, const char *selector)
{
    char list[4096];
    size_t used = 0;
    list[0] = '\0';
    for (size_t i = 0; i < found->count && used < sizeof list; i++) {
        const found_device *device = &found->devices[i];
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%d:%d (%s, %s)", i ? ", " : "",
                                 device->platform_index, device->device_index, device->platform_name, device->name);
    }
    return fail("%s is '%s', which matches no device; there are %s", origin, selector, list);
}

int devices_select(const found_devices *found, const char *selector, const found_device **out)
{
    const char *origin = "--device", *from_environment = getenv("CLATTN_DEVICE");
    if (!selector && from_environment && *from_environment) {
        selector = from_environment;
        origin = "CLATTN_DEVICE";
    }
    const found_device *best = NULL;
    int count = 0;
    for (size_t i = 0; i < found->count; i++) {
        const found_device *device = &found->devices[i];
        if (!matches(device, selector))
            continue;
        count++;
        if (!best || rank(device) < rank(best))
            best = device;
    }
    if (!best)
        return fail_no_match(found, origin, selector);
    if (selector && count > 1)
        fprintf(stderr, "clattn: %s '%s' matches %d devices: taking %d:%d (%s, %s)\n", origin, selector, count,
                best->platform_index, best->device_index, best->platform_name, best->name);
    *out = best;
    return EXIT_DONE;
}
