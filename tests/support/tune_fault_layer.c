/* SPDX-License-Identifier: BSD-2-Clause */
/* An OpenCL layer (OPENCL_LAYERS) that makes drivers bad, for tests of the tuner. Programs whose build options contain
 * the text of TUNE_FAULT_MATCH (empty or unset: none) suffer what TUNE_FAULT says:
 *   crash    the build ends the process by abort()
 *   hang     the build does not return
 *   refuse   the build fails
 *   wrong    their kernels are not run: their results stay what the buffers held
 *   die      running one of their kernels ends the process by abort()
 * and, whatever the program:
 *   zero     events tell 0 for every time
 *   fast     events tell a thousandth of every time */
#define CL_TARGET_OPENCL_VERSION 300
#include <CL/cl.h>
#include <CL/cl_icd.h>
#include <CL/cl_layer.h>

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXPORTED     __attribute__((visibility("default")))
#define MAX_PROGRAMS 4096
#define MAX_KERNELS  16384

static struct _cl_icd_dispatch table;
static const struct _cl_icd_dispatch *below;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* A handle that was released may come again as another object, so that the newest mark counts. */
typedef struct mark {
    const void *object;
    bool bad;
} mark;
static mark programs[MAX_PROGRAMS], kernels[MAX_KERNELS];
static size_t program_count, kernel_count;

static bool is_fault(const char *name)
{
    const char *fault = getenv("TUNE_FAULT");
    return fault && strcmp(fault, name) == 0;
}

static bool matches(const char *options)
{
    const char *text = getenv("TUNE_FAULT_MATCH");
    return text && *text && options && strstr(options, text);
}

static void set_mark(mark *marks, size_t *count, size_t room, const void *object, bool bad)
{
    pthread_mutex_lock(&lock);
    if (*count == room)
        abort();
    marks[(*count)++] = (mark){ object, bad };
    pthread_mutex_unlock(&lock);
}

static bool is_marked(const mark *marks, const size_t *count, const void *object)
{
    bool bad = false;
    pthread_mutex_lock(&lock);
    for (size_t i = *count; i > 0; i--)
        if (marks[i - 1].object == object) {
            bad = marks[i - 1].bad;
            break;
        }
    pthread_mutex_unlock(&lock);
    return bad;
}

/* What happens to a build with these options; CL_SUCCESS: nothing. */
static cl_int suffer_build(cl_program program, const char *options)
{
    const bool bad = matches(options);
    set_mark(programs, &program_count, MAX_PROGRAMS, program, bad);
    if (bad && is_fault("crash"))
        abort();
    while (bad && is_fault("hang"))
        sleep(1);
    return bad && is_fault("refuse") ? CL_BUILD_PROGRAM_FAILURE : CL_SUCCESS;
}

static cl_int CL_API_CALL compile(cl_program program, cl_uint count, const cl_device_id *devices, const char *options,
                                  cl_uint header_count, const cl_program *headers, const char **names,
                                  void(CL_CALLBACK *notify)(cl_program, void *), void *user)
{
    const cl_int code = suffer_build(program, options);
    if (code != CL_SUCCESS)
        return code;
    return below->clCompileProgram(program, count, devices, options, header_count, headers, names, notify, user);
}

static cl_int CL_API_CALL build(cl_program program, cl_uint count, const cl_device_id *devices, const char *options,
                                void(CL_CALLBACK *notify)(cl_program, void *), void *user)
{
    const cl_int code = suffer_build(program, options);
    return code == CL_SUCCESS ? below->clBuildProgram(program, count, devices, options, notify, user) : code;
}

/* A linked program is as bad as its parts. */
static cl_program CL_API_CALL link_programs(cl_context context, cl_uint count, const cl_device_id *devices,
                                            const char *options, cl_uint part_count, const cl_program *parts,
                                            void(CL_CALLBACK *notify)(cl_program, void *), void *user, cl_int *code)
{
    cl_program linked = below->clLinkProgram(context, count, devices, options, part_count, parts, notify, user, code);
    bool bad = false;
    for (cl_uint i = 0; i < part_count; i++)
        bad = bad || is_marked(programs, &program_count, parts[i]);
    if (linked)
        set_mark(programs, &program_count, MAX_PROGRAMS, linked, bad);
    return linked;
}

static cl_kernel CL_API_CALL create_kernel(cl_program program, const char *name, cl_int *code)
{
    cl_kernel kernel = below->clCreateKernel(program, name, code);
    if (kernel)
        set_mark(kernels, &kernel_count, MAX_KERNELS, kernel, is_marked(programs, &program_count, program));
    return kernel;
}

static cl_int CL_API_CALL enqueue(cl_command_queue queue, cl_kernel kernel, cl_uint dims, const size_t *offset,
                                  const size_t *global, const size_t *local, cl_uint count, const cl_event *list,
                                  cl_event *event)
{
    const bool bad = is_marked(kernels, &kernel_count, kernel);
    if (bad && is_fault("die"))
        abort();
    if (bad && is_fault("wrong"))
        return below->clEnqueueMarkerWithWaitList(queue, count, list, event);
    return below->clEnqueueNDRangeKernel(queue, kernel, dims, offset, global, local, count, list, event);
}

static cl_int CL_API_CALL profiling_info(cl_event event, cl_profiling_info name, size_t size, void *value,
                                         size_t *out_size)
{
    const cl_int code = below->clGetEventProfilingInfo(event, name, size, value, out_size);
    cl_ulong time = 0;
    if (code != CL_SUCCESS || !value || size < sizeof(time))
        return code;
    memcpy(&time, value, sizeof(time));
    time = is_fault("zero") ? 0 : is_fault("fast") ? time / 1000 : time;
    memcpy(value, &time, sizeof(time));
    return code;
}

static cl_int give(const void *value, size_t value_size, size_t size, void *out, size_t *out_size)
{
    if (out_size)
        *out_size = value_size;
    if (out && size < value_size)
        return CL_INVALID_VALUE;
    if (out)
        memcpy(out, value, value_size);
    return CL_SUCCESS;
}

EXPORTED CL_API_ENTRY cl_int CL_API_CALL clGetLayerInfo(cl_layer_info name, size_t size, void *value, size_t *out_size)
{
    static const cl_layer_api_version version = CL_LAYER_API_VERSION_100;
    static const char text[] = "clattn tune fault layer";
    if (name == CL_LAYER_API_VERSION)
        return give(&version, sizeof(version), size, value, out_size);
    if (name == CL_LAYER_NAME)
        return give(text, sizeof(text), size, value, out_size);
    return CL_INVALID_VALUE;
}

EXPORTED CL_API_ENTRY cl_int CL_API_CALL clInitLayer(cl_uint entries, const struct _cl_icd_dispatch *target,
                                                     cl_uint *out_entries, const struct _cl_icd_dispatch **out)
{
    size_t size = entries * sizeof(void *);
    if (size > sizeof(table))
        size = sizeof(table);
    below = target;
    memcpy(&table, target, size);
    table.clCompileProgram = compile;
    table.clBuildProgram = build;
    table.clLinkProgram = link_programs;
    table.clCreateKernel = create_kernel;
    table.clEnqueueNDRangeKernel = enqueue;
    table.clGetEventProfilingInfo = profiling_info;
    *out = &table;
    *out_entries = (cl_uint)(size / sizeof(void *));
    return CL_SUCCESS;
}
