/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/internal.h"
#include "util/status.h"
#include "util/text.h"

/* cl_nv_device_attribute_query; not every system has CL/cl_ext.h with it. */
#define COMPUTE_CAPABILITY_MAJOR_NV 0x4000
#define COMPUTE_CAPABILITY_MINOR_NV 0x4001

static clattn_status fail_query(const char *query, cl_int code)
{
    char call[96];
    snprintf(call, sizeof(call), "the query of %s", query);
    return clattn_fail_cl(call, code);
}

static clattn_status device_text(cl_device_id id, cl_device_info query, const char *name, char **out)
{
    size_t size = 0;
    cl_int code = clGetDeviceInfo(id, query, 0, NULL, &size);
    if (code != CL_SUCCESS)
        return fail_query(name, code);
    char *text = calloc(size + 1, 1);
    if (!text)
        return clattn_fail(CLATTN_OUT_OF_MEMORY, "no memory for %s", name);
    code = clGetDeviceInfo(id, query, size, text, NULL);
    if (code != CL_SUCCESS) {
        free(text);
        return fail_query(name, code);
    }
    *out = text;
    return CLATTN_OK;
}

static clattn_status line_of_device(cl_device_id id, cl_device_info query, const char *name, char **out)
{
    CLATTN_TRY(device_text(id, query, name, out));
    clattn_text_to_line(*out);
    return CLATTN_OK;
}

static clattn_status line_of_platform(cl_platform_id id, cl_platform_info query, const char *name, char **out)
{
    size_t size = 0;
    cl_int code = clGetPlatformInfo(id, query, 0, NULL, &size);
    if (code != CL_SUCCESS)
        return fail_query(name, code);
    char *text = calloc(size + 1, 1);
    if (!text)
        return clattn_fail(CLATTN_OUT_OF_MEMORY, "no memory for %s", name);
    *out = text;
    code = clGetPlatformInfo(id, query, size, text, NULL);
    if (code != CL_SUCCESS)
        return fail_query(name, code);
    clattn_text_to_line(text);
    return CLATTN_OK;
}

static clattn_status number(cl_device_id id, cl_device_info query, const char *name, void *out, size_t size)
{
    cl_int code = clGetDeviceInfo(id, query, size, out, NULL);
    return code == CL_SUCCESS ? CLATTN_OK : fail_query(name, code);
}

#define LINE_OF_DEVICE(id, query, out)   line_of_device(id, query, #query, out)
#define LINE_OF_PLATFORM(id, query, out) line_of_platform(id, query, #query, out)
#define NUMBER(id, query, out)           number(id, query, #query, out, sizeof(*(out)))

static clattn_status probe_names(cl_device_id id, clattn_probe *probe)
{
    cl_platform_id platform = NULL;
    CLATTN_TRY(NUMBER(id, CL_DEVICE_PLATFORM, &platform));
    CLATTN_TRY(LINE_OF_PLATFORM(platform, CL_PLATFORM_NAME, &probe->platform_name));
    CLATTN_TRY(LINE_OF_PLATFORM(platform, CL_PLATFORM_VERSION, &probe->platform_version));
    CLATTN_TRY(LINE_OF_DEVICE(id, CL_DEVICE_NAME, &probe->device_name));
    CLATTN_TRY(LINE_OF_DEVICE(id, CL_DEVICE_VENDOR, &probe->vendor));
    CLATTN_TRY(LINE_OF_DEVICE(id, CL_DRIVER_VERSION, &probe->driver_version));
    CLATTN_TRY(LINE_OF_DEVICE(id, CL_DEVICE_VERSION, &probe->device_version));
    probe->info.platform_name = probe->platform_name;
    probe->info.device_name = probe->device_name;
    probe->info.vendor = probe->vendor;
    probe->info.driver_version = probe->driver_version;
    probe->info.device_version = probe->device_version;
    return CLATTN_OK;
}

static clattn_status check_version(const clattn_probe *probe)
{
    int major = 0, minor = 0;
    if (sscanf(probe->device_version, "OpenCL %d.%d", &major, &minor) == 2 && (major > 1 || (major == 1 && minor >= 2)))
        return CLATTN_OK;
    return clattn_fail(CLATTN_UNSUPPORTED, "device '%s' has version '%s'; it has to be OpenCL 1.2 or newer",
                       probe->device_name, probe->device_version);
}

static clattn_status check_compiler(cl_device_id id, const clattn_probe *probe)
{
    cl_bool compiler = CL_FALSE;
    CLATTN_TRY(NUMBER(id, CL_DEVICE_COMPILER_AVAILABLE, &compiler));
    if (compiler)
        return CLATTN_OK;
    return clattn_fail(CLATTN_UNSUPPORTED, "device '%s' has no online compiler; kernels have to be compiled on it",
                       probe->device_name);
}

static clattn_status probe_limits(cl_device_id id, clattn_device_info *info)
{
    cl_uint units = 0, vector = 0;
    cl_ulong global = 0, alloc = 0, local = 0, cache = 0;
    cl_bool linker = CL_FALSE;
    CLATTN_TRY(NUMBER(id, CL_DEVICE_MAX_COMPUTE_UNITS, &units));
    CLATTN_TRY(NUMBER(id, CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT, &vector));
    CLATTN_TRY(NUMBER(id, CL_DEVICE_GLOBAL_MEM_SIZE, &global));
    CLATTN_TRY(NUMBER(id, CL_DEVICE_MAX_MEM_ALLOC_SIZE, &alloc));
    CLATTN_TRY(NUMBER(id, CL_DEVICE_LOCAL_MEM_SIZE, &local));
    CLATTN_TRY(NUMBER(id, CL_DEVICE_GLOBAL_MEM_CACHE_SIZE, &cache));
    CLATTN_TRY(NUMBER(id, CL_DEVICE_MAX_WORK_GROUP_SIZE, &info->max_work_group_size));
    CLATTN_TRY(NUMBER(id, CL_DEVICE_LINKER_AVAILABLE, &linker));
    info->compute_units = units;
    info->native_vector_width_float = vector;
    info->global_mem_size = global;
    info->max_mem_alloc_size = alloc;
    info->local_mem_size = local;
    info->global_mem_cache_size = cache;
    info->linker_available = linker != CL_FALSE;
    return CLATTN_OK;
}

static clattn_status probe_extensions(cl_device_id id, clattn_device_info *info, bool *has_attributes)
{
    char *extensions = NULL;
    CLATTN_TRY(LINE_OF_DEVICE(id, CL_DEVICE_EXTENSIONS, &extensions));
    info->has_fp16 = clattn_has_word(extensions, "cl_khr_fp16");
    *has_attributes = clattn_has_word(extensions, "cl_nv_device_attribute_query");
    free(extensions);
    return CLATTN_OK;
}

/* Oclgrind says that its device is of all types at once: the order makes it a GPU, whose kernels it can run. */
static const char *type_name(cl_device_type type)
{
    if (type & CL_DEVICE_TYPE_GPU)
        return "gpu";
    if (type & CL_DEVICE_TYPE_ACCELERATOR)
        return "accelerator";
    return type & CL_DEVICE_TYPE_CPU ? "cpu" : "custom";
}

int clattn_sm_version(const char *architecture)
{
    int version = 0;
    return sscanf(architecture, "sm_%d", &version) == 1 ? version : 0;
}

/* frag_nv_wgmma's instructions are Hopper's alone; frag_nv_mma's are there from Ampere on. */
static const char *nvidia_fragment(const char *architecture)
{
    const int version = clattn_sm_version(architecture);
    return version == 90 ? "frag_nv_wgmma" : version >= 80 ? "frag_nv_mma" : "frag_scalar";
}

/* Lanes are queries where a work-item has vector registers to itself. llvmpipe under rusticl says CPU with width 1: it
 * vectorises over work-items, and miscompiles kernels that hold arrays of vectors. */
static const char *fragment_for(const clattn_probe *probe)
{
    const bool lanes = strcmp(probe->info.type, "cpu") == 0 && probe->info.native_vector_width_float >= 4;
    return lanes ? "frag_lanes" : nvidia_fragment(probe->architecture);
}

/* "sm_90", as NVIDIA's compilers say it; "" where the driver does not tell. */
static void nvidia_architecture(cl_device_id id, clattn_text *text)
{
    cl_uint major = 0, minor = 0;
    if (clGetDeviceInfo(id, COMPUTE_CAPABILITY_MAJOR_NV, sizeof(major), &major, NULL) == CL_SUCCESS &&
        clGetDeviceInfo(id, COMPUTE_CAPABILITY_MINOR_NV, sizeof(minor), &minor, NULL) == CL_SUCCESS)
        clattn_text_add(text, "sm_%u%u", major, minor);
}

/* What code is compiled for: devices of one architecture differ in units and memory only. */
static clattn_status probe_architecture(cl_device_id id, bool has_attributes, clattn_probe *probe)
{
    const clattn_device_info *info = &probe->info;
    clattn_text text = { 0 };
    if (has_attributes)
        nvidia_architecture(id, &text);
    else if (strcmp(info->type, "cpu") == 0)
        clattn_text_add(&text, "%s", clattn_cpu_architecture());
    else if (strncmp(info->device_name, "gfx", 3) == 0) /* AMD's: "gfx90a:sramecc+:xnack-" */
        clattn_text_add(&text, "%.*s", (int)strcspn(info->device_name, ":"), info->device_name);
    probe->architecture = clattn_text_take(&text);
    probe->isa = probe->type & CL_DEVICE_TYPE_CPU ? clattn_cpu_isa() : clattn_text_copy("");
    if (!probe->architecture || !probe->isa)
        return clattn_fail(CLATTN_OUT_OF_MEMORY, "no memory for the device's architecture");
    probe->info.architecture = probe->architecture;
    return CLATTN_OK;
}

static clattn_status make_texts(clattn_probe *probe)
{
    clattn_device_info *info = &probe->info;
    clattn_text line = { 0 };
    clattn_text_add(&line, "%s / %s / %s", info->platform_name, info->device_name, info->driver_version);
    probe->line = clattn_text_take(&line);
    probe->identity = clattn_identity_make(probe);
    probe->quirk_names = clattn_quirks_names(probe->quirks);
    if (!probe->line || !probe->identity || !probe->quirk_names)
        return clattn_fail(CLATTN_OUT_OF_MEMORY, "no memory for the device's names");
    info->quirks = probe->quirk_names;
    return CLATTN_OK;
}

clattn_status clattn_probe_device(cl_device_id id, clattn_probe *probe)
{
    clattn_device_info *info = &probe->info;
    bool has_attributes = false;
    CLATTN_TRY(probe_names(id, probe));
    CLATTN_TRY(check_version(probe));
    CLATTN_TRY(check_compiler(id, probe));
    CLATTN_TRY(NUMBER(id, CL_DEVICE_TYPE, &probe->type));
    CLATTN_TRY(probe_limits(id, info));
    CLATTN_TRY(probe_extensions(id, info, &has_attributes));
    info->type = type_name(probe->type);
    CLATTN_TRY(probe_architecture(id, has_attributes, probe));
    info->fragment = fragment_for(probe);
    info->tuning_level = "default";
    probe->quirks = clattn_quirks_match(info->platform_name, info->device_name, info->vendor);
    return make_texts(probe);
}

void clattn_probe_free(clattn_probe *probe)
{
    char *strings[] = { probe->platform_name,
                        probe->platform_version,
                        probe->device_name,
                        probe->vendor,
                        probe->driver_version,
                        probe->device_version,
                        probe->quirk_names,
                        probe->architecture,
                        probe->isa,
                        probe->identity,
                        probe->line };
    for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++)
        free(strings[i]);
}
