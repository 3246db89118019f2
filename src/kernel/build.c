/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernel/build.h"

#include <stdlib.h>
#include <string.h>

#include "kernel/ptx.h"
#include "util/status.h"
#include "util/text.h"

#define MAX_LOG_LINES 200

/* What one way of building came to. */
typedef struct attempt {
    const char *call; /* that failed */
    cl_int code;
    char *log; /* of the driver, to be freed; NULL: none */
} attempt;

static char *build_log(const clattn_device *device, cl_program program)
{
    size_t size = 0;
    if (clGetProgramBuildInfo(program, clattn_device_id(device), CL_PROGRAM_BUILD_LOG, 0, NULL, &size) != CL_SUCCESS)
        return NULL;
    char *log = calloc(size + 1, 1);
    if (log &&
        clGetProgramBuildInfo(program, clattn_device_id(device), CL_PROGRAM_BUILD_LOG, size, log, NULL) != CL_SUCCESS)
        log[0] = '\0';
    return log;
}

/* Takes the program: gives it back when `code` is success, else keeps its log and releases it. */
static cl_program finish(const clattn_device *device, attempt *result, const char *call, cl_int code,
                         cl_program program)
{
    result->code = code;
    if (code == CL_SUCCESS)
        return program;
    result->call = call;
    if (program) {
        result->log = build_log(device, program);
        clReleaseProgram(program);
    }
    return NULL;
}

static cl_program create(const clattn_device *device, const char *text, cl_int *code)
{
    return clCreateProgramWithSource(clattn_device_context(device), 1, &text, NULL, code);
}

static void release_all(cl_program *programs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        clReleaseProgram(programs[i]);
    free(programs);
}

static cl_program *create_headers(const clattn_device *device, const clattn_sources *sources, cl_int *code)
{
    cl_program *headers = calloc(sources->header_count + 1, sizeof(*headers));
    *code = headers ? CL_SUCCESS : CL_OUT_OF_HOST_MEMORY;
    for (size_t i = 0; headers && i < sources->header_count; i++) {
        headers[i] = create(device, sources->header_texts[i], code);
        if (headers[i])
            continue;
        release_all(headers, i);
        return NULL;
    }
    return headers;
}

/* Some drivers refuse an empty list by NULL and zero rules of their own: without headers both are NULL. */
static cl_program compile(const clattn_device *device, const clattn_sources *sources, const char *options,
                          attempt *result)
{
    cl_int code = CL_SUCCESS;
    cl_program *headers = create_headers(device, sources, &code);
    if (!headers)
        return finish(device, result, "clCreateProgramWithSource", code, NULL);
    cl_program program = create(device, sources->main_text, &code);
    const char *call = "clCreateProgramWithSource";
    if (program) {
        call = "clCompileProgram";
        cl_device_id id = clattn_device_id(device);
        cl_uint count = (cl_uint)sources->header_count;
        code = clCompileProgram(program, 1, &id, options, count, count ? headers : NULL,
                                count ? sources->header_names : NULL, NULL, NULL);
    }
    release_all(headers, sources->header_count);
    return finish(device, result, call, code, program);
}

static cl_program compile_and_link(const clattn_device *device, const clattn_sources *sources, const char *options,
                                   attempt *result)
{
    cl_program compiled = compile(device, sources, options, result);
    if (!compiled)
        return NULL;
    cl_int code = CL_SUCCESS;
    cl_device_id id = clattn_device_id(device);
    cl_program linked = clLinkProgram(clattn_device_context(device), 1, &id, "", 1, &compiled, NULL, NULL, &code);
    clReleaseProgram(compiled);
    return finish(device, result, "clLinkProgram", code, linked);
}

static cl_program build_flattened(const clattn_device *device, const clattn_sources *sources, const char *options,
                                  attempt *result)
{
    cl_int code = CL_SUCCESS;
    cl_program program = create(device, sources->flattened, &code);
    if (!program)
        return finish(device, result, "clCreateProgramWithSource", code, NULL);
    cl_device_id id = clattn_device_id(device);
    code = clBuildProgram(program, 1, &id, options, NULL, NULL);
    return finish(device, result, "clBuildProgram", code, program);
}

/* The line that says most: the first with "error", else the first that is not blank. Ends the log after that line. */
static const char *telling_line(char *log)
{
    char *line = strstr(log, "error");
    while (line && line > log && line[-1] != '\n')
        line--;
    if (!line)
        line = log + strspn(log, " \t\r\n");
    line[strcspn(line, "\r\n")] = '\0';
    return line[0] ? line : "the driver gave no build log";
}

static void log_lines(const clattn_device *device, const char *log)
{
    for (int i = 0; *log && i < MAX_LOG_LINES; i++) {
        size_t length = strcspn(log, "\n");
        if (length)
            clattn_log(device, CLATTN_LOG_ERROR, "  %.*s", (int)length, log);
        log += length + (log[length] == '\n');
    }
}

/* Nothing that the program is to blame for. */
static bool is_out_of_resources(cl_int code)
{
    return code == CL_OUT_OF_HOST_MEMORY || code == CL_OUT_OF_RESOURCES || code == CL_MEM_OBJECT_ALLOCATION_FAILURE;
}

static clattn_status fail(const clattn_device *device, const clattn_sources *sources, const char *options,
                          attempt *result)
{
    if (is_out_of_resources(result->code))
        return clattn_fail_cl(result->call, result->code);
    clattn_log(device, CLATTN_LOG_ERROR, "%s with '%s' does not build on %s: %s failed with %s (%d)", sources->name,
               options, clattn_device_line(device), result->call, clattn_cl_error_name(result->code), result->code);
    char none[1] = "";
    char *log = result->log ? result->log : none;
    log_lines(device, log);
    return clattn_fail(CLATTN_BUILD_FAILED, "kernel source %s: %s failed with %s (%d): %s", sources->name, result->call,
                       clattn_cl_error_name(result->code), result->code, telling_line(log));
}

/* Says why the flattened form comes next, or that there is none. */
static void log_fallback(const clattn_device *device, const clattn_sources *sources, const attempt *linked)
{
    const char *next = sources->flattened ? "building its flattened form"
                                          : "kernel_dir has no flattened form, so that no other way is left";
    if (!linked->call)
        clattn_log(device, sources->flattened ? CLATTN_LOG_INFO : CLATTN_LOG_WARN, "%s: %s has no linker; %s",
                   sources->name, clattn_device_line(device), next);
    else
        clattn_log(device, CLATTN_LOG_WARN, "%s: %s failed with %s (%d); %s", sources->name, linked->call,
                   clattn_cl_error_name(linked->code), linked->code, next);
}

clattn_status clattn_build_from_source(const clattn_device *device, const clattn_sources *sources, const char *options,
                                       cl_program *out)
{
    attempt linked = { .code = CL_LINKER_NOT_AVAILABLE }, flat = { 0 };
    cl_program program = NULL;
    const bool only_flattened = sources->flattened && CLATTN_HAS_QUIRK(device, LINKS_UNCACHED);
    if (!only_flattened && clattn_device_probed(device)->linker_available)
        program = compile_and_link(device, sources, options, &linked);
    if (!only_flattened && !program)
        log_fallback(device, sources, &linked);
    if (!program && sources->flattened)
        program = build_flattened(device, sources, options, &flat);
    clattn_status status = CLATTN_OK;
    if (!program && !linked.call && !sources->flattened)
        status = clattn_fail(CLATTN_BUILD_FAILED, "kernel source %s: %s has no linker, which kernel_dir needs",
                             sources->name, clattn_device_line(device));
    else if (!program)
        status = fail(device, sources, options, sources->flattened ? &flat : &linked);
    free(linked.log);
    free(flat.log);
    if (program)
        *out = program;
    return status;
}

cl_int clattn_build_from_binary(const clattn_device *device, const void *binary, size_t size, const char *options,
                                cl_program *out)
{
    cl_int code = CL_SUCCESS, binary_code = CL_SUCCESS;
    cl_device_id id = clattn_device_id(device);
    const unsigned char *bytes = binary;
    cl_program program =
        clCreateProgramWithBinary(clattn_device_context(device), 1, &id, &size, &bytes, &binary_code, &code);
    if (code == CL_SUCCESS)
        code = binary_code;
    if (code == CL_SUCCESS)
        code = clBuildProgram(program, 1, &id, options, NULL, NULL);
    if (code == CL_SUCCESS)
        *out = program;
    else if (program)
        clReleaseProgram(program);
    return code;
}

/* A program made from source belongs to all devices of its context. Lists sizes and binaries in that order. */
typedef struct binaries {
    cl_device_id *devices;
    size_t *sizes;
    unsigned char **bytes;
    cl_uint count, index; /* index: of our device; count: it is not there */
} binaries;

static cl_int query_sizes(const clattn_device *device, cl_program program, binaries *all)
{
    cl_int code = clGetProgramInfo(program, CL_PROGRAM_NUM_DEVICES, sizeof(all->count), &all->count, NULL);
    if (code != CL_SUCCESS)
        return code;
    all->devices = calloc(all->count + 1u, sizeof(*all->devices));
    all->sizes = calloc(all->count + 1u, sizeof(*all->sizes));
    all->bytes = calloc(all->count + 1u, sizeof(*all->bytes));
    if (!all->devices || !all->sizes || !all->bytes)
        return CL_OUT_OF_HOST_MEMORY;
    code = clGetProgramInfo(program, CL_PROGRAM_DEVICES, all->count * sizeof(*all->devices), all->devices, NULL);
    if (code != CL_SUCCESS)
        return code;
    while (all->index < all->count && all->devices[all->index] != clattn_device_id(device))
        all->index++;
    return clGetProgramInfo(program, CL_PROGRAM_BINARY_SIZES, all->count * sizeof(*all->sizes), all->sizes, NULL);
}

cl_int clattn_build_get_binary(const clattn_device *device, cl_program program, void **binary, size_t *size)
{
    binaries all = { 0 };
    cl_int code = query_sizes(device, program, &all);
    if (code == CL_SUCCESS && (all.index == all.count || all.sizes[all.index] == 0))
        code = CL_INVALID_BINARY;
    if (code == CL_SUCCESS) {
        *size = all.sizes[all.index];
        *binary = all.bytes[all.index] = malloc(*size);
        code = CL_OUT_OF_HOST_MEMORY;
    }
    /* Entries that are NULL are not asked for. */
    if (all.bytes && all.index < all.count && all.bytes[all.index]) {
        code = clGetProgramInfo(program, CL_PROGRAM_BINARIES, all.count * sizeof(*all.bytes), all.bytes, NULL);
        if (code != CL_SUCCESS)
            free(*binary);
    }
    free(all.devices);
    free(all.sizes);
    free(all.bytes);
    return code;
}

static clattn_status build_ptx(const clattn_device *device, const char *options, const char *ptx, size_t size,
                               cl_program *out)
{
    size_t text_size = 0;
    if (!clattn_ptx_is_for_sm_90(ptx, size))
        return clattn_fail(CLATTN_BUILD_FAILED, "the driver's binary is no PTX for sm_90");
    char *text = clattn_ptx_for_sm_90a(ptx, size, &text_size);
    if (!text)
        return clattn_fail(CLATTN_OUT_OF_MEMORY, "no memory for the PTX of a kernel");
    const cl_int code = clattn_build_from_binary(device, text, text_size, options, out);
    free(text);
    if (code == CL_SUCCESS)
        return CLATTN_OK;
    if (is_out_of_resources(code))
        return clattn_fail_cl("building PTX for sm_90a", code);
    return clattn_fail(CLATTN_BUILD_FAILED, "the driver refuses the PTX for sm_90a: %s (%d)",
                       clattn_cl_error_name(code), code);
}

clattn_status clattn_build_for_sm_90a(const clattn_device *device, const char *options, cl_program *program)
{
    cl_program source = *program;
    void *binary = NULL;
    size_t size = 0;
    *program = NULL;
    const cl_int code = clattn_build_get_binary(device, source, &binary, &size);
    clReleaseProgram(source);
    if (is_out_of_resources(code))
        return clattn_fail_cl("reading a program's PTX", code);
    if (code != CL_SUCCESS)
        return clattn_fail(CLATTN_BUILD_FAILED, "the driver gives no PTX: %s (%d)", clattn_cl_error_name(code), code);
    const clattn_status status = build_ptx(device, options, binary, size, program);
    free(binary);
    return status;
}
