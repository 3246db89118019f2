/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernel/kernel.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "device/device.h"
#include "kernel/build.h"
#include "kernel/store.h"
#include "util/file.h"
#include "util/status.h"
#include "util/text.h"

/* What is left to do. */
typedef enum kernel_state {
    KERNEL_MISSING,  /* to be loaded or built */
    KERNEL_FRESH,    /* built from source: to be launched once, its binary to be taken then */
    KERNEL_LAUNCHED, /* its binary is to be taken when the device goes */
    KERNEL_DONE
} kernel_state;

/* One kernel of the device's table. Entries live as long as the device, so that a plan made again finds its kernels;
 * the device lives as long as somebody holds a kernel. */
typedef struct kernel_entry {
    clattn_kernel kernel; /* first: a clattn_kernel is its entry */
    clattn_key key;
    struct kernel_entry *next;
    clattn_device *device;      /* with a reference to it while `references` is not 0 */
    int references;             /* under the table's lock */
    pthread_mutex_t build_lock; /* the fields below */
    kernel_state state;
    cl_program program;
    char *description; /* for people: source, kernel function, options */
} kernel_entry;

typedef struct kernel_table {
    pthread_mutex_t lock; /* the list and the references of its entries */
    kernel_entry *first;
} kernel_table;

/* A request on its way: what the key is made of and what the program is built from. */
typedef struct kernel_request {
    clattn_device *device;
    const clattn_kernel_spec *spec;
    clattn_sources sources;
    char *options; /* complete */
    clattn_key key;
} kernel_request;

static void *table_make(void)
{
    kernel_table *table = calloc(1, sizeof(*table));
    if (table && pthread_mutex_init(&table->lock, NULL) != 0) {
        free(table);
        table = NULL;
    }
    return table;
}

static void entry_free(kernel_entry *entry)
{
    if (entry->kernel.handle)
        clReleaseKernel(entry->kernel.handle);
    if (entry->program)
        clReleaseProgram(entry->program);
    pthread_mutex_destroy(&entry->kernel.lock);
    pthread_mutex_destroy(&entry->build_lock);
    free(entry->description);
    free(entry);
}

static double milliseconds_since(const struct timespec *start)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - start->tv_sec) * 1e3 + (double)(now.tv_nsec - start->tv_nsec) * 1e-6;
}

static void write_binary(const kernel_entry *entry, const clattn_device_settings *settings, const void *binary,
                         size_t size)
{
    const char *line = clattn_device_line(entry->device);
    clattn_entry stored = { .key = entry->key,
                            .device = line,
                            .program = entry->description,
                            .device_size = strlen(line),
                            .program_size = strlen(entry->description),
                            .binary = binary,
                            .binary_size = size };
    int error = clattn_store_write(settings->cache_dir, &stored, settings->cache_max_bytes);
    char reason[CLATTN_ERRNO_TEXT_SIZE];
    if (error)
        clattn_log(entry->device, CLATTN_LOG_WARN, "program cache folder %s takes no entry for %s: %s",
                   settings->cache_dir, entry->description, clattn_errno_text(error, reason));
}

/* Takes the kernel's binary and writes it to the disk cache. */
static void store(const kernel_entry *entry)
{
    struct timespec start;
    clock_gettime(CLOCK_MONOTONIC, &start);
    void *binary = NULL;
    size_t size = 0;
    const cl_int code = clattn_build_get_binary(entry->device, entry->program, &binary, &size);
    if (code != CL_SUCCESS) {
        clattn_log(entry->device, CLATTN_LOG_WARN, "the driver gives no binary of %s: %s (%d)", entry->description,
                   clattn_cl_error_name(code), code);
        return;
    }
    clattn_log(entry->device, CLATTN_LOG_INFO, "binary taken in %.1f ms: %s", milliseconds_since(&start),
               entry->description);
    write_binary(entry, clattn_device_settings_of(entry->device), binary, size);
    free(binary);
}

static void table_destroy(void *attachment)
{
    kernel_table *table = attachment;
    while (table->first) {
        kernel_entry *entry = table->first;
        table->first = entry->next;
        if (entry->state == KERNEL_LAUNCHED)
            store(entry);
        entry_free(entry);
    }
    pthread_mutex_destroy(&table->lock);
    free(table);
}

static kernel_table *table_of(clattn_device *device)
{
    return clattn_device_attachment(device, CLATTN_SLOT_KERNELS, table_make, table_destroy);
}

static kernel_entry *entry_make(const kernel_request *request)
{
    kernel_entry *entry = calloc(1, sizeof(*entry));
    if (!entry)
        return NULL;
    clattn_text text = { 0 };
    clattn_text_add(&text, "%s %s %s", request->spec->source, request->spec->entry, request->spec->options);
    entry->description = clattn_text_take(&text);
    entry->key = request->key;
    entry->device = request->device;
    bool first = pthread_mutex_init(&entry->kernel.lock, NULL) == 0;
    bool second = pthread_mutex_init(&entry->build_lock, NULL) == 0;
    if (first && second && entry->description)
        return entry;
    if (first)
        pthread_mutex_destroy(&entry->kernel.lock);
    if (second)
        pthread_mutex_destroy(&entry->build_lock);
    free(entry->description);
    free(entry);
    return NULL;
}

/* Finds or makes the key's entry and takes a reference. NULL: no memory. */
static kernel_entry *table_take(kernel_table *table, const kernel_request *request)
{
    pthread_mutex_lock(&table->lock);
    kernel_entry *entry = table->first;
    while (entry && !clattn_key_equal(entry->key, request->key))
        entry = entry->next;
    if (!entry) {
        entry = entry_make(request);
        if (entry) {
            entry->next = table->first;
            table->first = entry;
        }
    }
    if (entry && entry->references++ == 0)
        clattn_device_retain(request->device);
    pthread_mutex_unlock(&table->lock);
    return entry;
}

/* Makes the kernel of the program and asks for its limits. Changes nothing of the entry on failure. */
static cl_int adopt(kernel_entry *entry, cl_program program, const char *function)
{
    cl_device_id id = clattn_device_id(entry->device);
    cl_int code = CL_SUCCESS;
    cl_kernel handle = clCreateKernel(program, function, &code);
    if (code != CL_SUCCESS)
        return code;
    size_t group = 0;
    cl_ulong local_size = 0;
    code = clGetKernelWorkGroupInfo(handle, id, CL_KERNEL_WORK_GROUP_SIZE, sizeof(group), &group, NULL);
    if (code == CL_SUCCESS)
        code = clGetKernelWorkGroupInfo(handle, id, CL_KERNEL_LOCAL_MEM_SIZE, sizeof(local_size), &local_size, NULL);
    if (code != CL_SUCCESS) {
        clReleaseKernel(handle);
        return code;
    }
    entry->program = program;
    entry->kernel.handle = handle;
    entry->kernel.max_work_group_size = group;
    entry->kernel.local_mem_size = local_size;
    return CL_SUCCESS;
}

static void log_unusable(const kernel_request *request, const char *folder, const char *what)
{
    char hex[CLATTN_KEY_HEX_SIZE];
    clattn_key_hex(request->key, hex);
    clattn_log(request->device, CLATTN_LOG_WARN, "program cache entry %s/%s.clprog is not used: %s", folder, hex, what);
}

static bool load_binary(kernel_entry *entry, const kernel_request *request, const clattn_entry *stored,
                        const char *folder)
{
    cl_program program = NULL;
    const char *step = "the driver refuses its binary";
    cl_int code =
        clattn_build_from_binary(request->device, stored->binary, stored->binary_size, request->options, &program);
    if (code == CL_SUCCESS) {
        step = "its binary lacks the kernel";
        code = adopt(entry, program, request->spec->entry);
        if (code != CL_SUCCESS)
            clReleaseProgram(program);
    }
    if (code == CL_SUCCESS)
        return true;
    char what[160];
    snprintf(what, sizeof(what), "%s, with %s (%d)", step, clattn_cl_error_name(code), code);
    log_unusable(request, folder, what);
    return false;
}

/* A defect of any kind is a miss. */
static bool load_from_disk(kernel_entry *entry, const kernel_request *request)
{
    const char *folder = clattn_device_settings_of(request->device)->cache_dir;
    if (!folder)
        return false;
    char *bytes = NULL;
    clattn_entry stored;
    const char *defect = NULL;
    int error = clattn_store_read(folder, request->key, &bytes, &stored, &defect);
    if (error == ENOENT || error == ENOTDIR)
        return false;
    if (error) {
        char reason[CLATTN_ERRNO_TEXT_SIZE];
        log_unusable(request, folder, defect ? defect : clattn_errno_text(error, reason));
        return false;
    }
    bool loaded = load_binary(entry, request, &stored, folder);
    free(bytes);
    return loaded;
}

static clattn_status build(kernel_entry *entry, const kernel_request *request)
{
    cl_program program = NULL;
    CLATTN_TRY(clattn_build_from_source(request->device, &request->sources, request->options, &program));
    if (request->spec->for_sm_90a)
        CLATTN_TRY(clattn_build_for_sm_90a(request->device, request->options, &program));
    cl_int code = adopt(entry, program, request->spec->entry);
    if (code == CL_SUCCESS)
        return CLATTN_OK;
    clReleaseProgram(program);
    if (code == CL_INVALID_KERNEL_NAME)
        return clattn_fail(CLATTN_BUILD_FAILED, "kernel source %s has no kernel function '%s'", request->spec->source,
                           request->spec->entry);
    return clattn_fail_cl("clCreateKernel", code);
}

/* With the entry's build lock held. */
static clattn_status make_ready(kernel_entry *entry, const kernel_request *request)
{
    if (entry->state != KERNEL_MISSING) {
        clattn_log(request->device, CLATTN_LOG_DEBUG, "kernel from memory: %s", entry->description);
        return CLATTN_OK;
    }
    struct timespec start;
    clock_gettime(CLOCK_MONOTONIC, &start);
    const bool on_disk = load_from_disk(entry, request);
    if (!on_disk)
        CLATTN_TRY(build(entry, request));
    entry->state = on_disk ? KERNEL_DONE : KERNEL_FRESH;
    clattn_log(request->device, CLATTN_LOG_INFO, "kernel from %s in %.1f ms: %s", on_disk ? "disk" : "source",
               milliseconds_since(&start), entry->description);
    return CLATTN_OK;
}

static clattn_status prepare(clattn_device *device, const clattn_kernel_spec *spec, kernel_request *request)
{
    request->device = device;
    request->spec = spec;
    CLATTN_TRY(clattn_sources_load(clattn_device_settings_of(device)->kernel_dir, spec->source, &request->sources));
    clattn_text options = { 0 };
    clattn_text_add(&options, "%s", CLATTN_COMMON_OPTIONS);
    clattn_text_add_item(&options, " ", spec->options);
    request->options = clattn_text_take(&options);
    if (!request->options)
        return clattn_fail(CLATTN_OUT_OF_MEMORY, "no memory for build options");
    uint32_t version = CLATTN_ENTRY_VERSION;
    clattn_key_add(&request->key, &version, sizeof(version));
    clattn_key_add_text(&request->key, clattn_device_identity(device));
    clattn_key_add_text(&request->key, request->options);
    /* Each kernel function has its own program: PoCL's binary holds code of only those that ran before it was taken. */
    clattn_key_add_text(&request->key, spec->entry);
    clattn_sources_add_to_key(&request->sources, &request->key);
    return CLATTN_OK;
}

static clattn_status get(kernel_request *request, clattn_kernel **out)
{
    kernel_table *table = table_of(request->device);
    kernel_entry *entry = table ? table_take(table, request) : NULL;
    if (!entry)
        return clattn_fail(CLATTN_OUT_OF_MEMORY, "no memory for kernel %s", request->spec->entry);
    pthread_mutex_lock(&entry->build_lock);
    clattn_status status = make_ready(entry, request);
    pthread_mutex_unlock(&entry->build_lock);
    if (status == CLATTN_OK)
        *out = &entry->kernel;
    else
        clattn_kernel_release(&entry->kernel);
    return status;
}

clattn_status clattn_kernel_get(clattn_device *device, const clattn_kernel_spec *spec, clattn_kernel **out)
{
    kernel_request request = { 0 };
    clattn_status status = prepare(device, spec, &request);
    if (status == CLATTN_OK)
        status = get(&request, out);
    clattn_sources_free(&request.sources);
    free(request.options);
    return status;
}

void clattn_kernel_release(clattn_kernel *kernel)
{
    if (!kernel)
        return;
    kernel_entry *entry = (kernel_entry *)kernel;
    clattn_device *device = entry->device;
    kernel_table *table = table_of(device);
    pthread_mutex_lock(&table->lock);
    int left = --entry->references;
    pthread_mutex_unlock(&table->lock);
    if (left == 0)
        clattn_device_release(device);
}

bool clattn_kernel_is_fresh(clattn_kernel *kernel)
{
    kernel_entry *entry = (kernel_entry *)kernel;
    pthread_mutex_lock(&entry->build_lock);
    bool fresh = entry->state == KERNEL_FRESH;
    pthread_mutex_unlock(&entry->build_lock);
    return fresh;
}

void clattn_kernel_launched(clattn_kernel *kernel)
{
    kernel_entry *entry = (kernel_entry *)kernel;
    pthread_mutex_lock(&entry->build_lock);
    const bool fresh = entry->state == KERNEL_FRESH;
    const bool wanted = fresh && clattn_device_settings_of(entry->device)->cache_dir;
    if (fresh)
        entry->state = KERNEL_DONE;
    if (wanted && CLATTN_HAS_QUIRK(entry->device, BINARY_COMPILES))
        entry->state = KERNEL_LAUNCHED;
    else if (wanted)
        store(entry);
    pthread_mutex_unlock(&entry->build_lock);
}
