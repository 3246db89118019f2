/* SPDX-License-Identifier: BSD-2-Clause */
/* An OpenCL layer (OPENCL_LAYERS) that makes a driver bad, for tests of the tuner. TUNE_FAULTS has FAULT=TEXT with ';'
 * between them; programs whose build options contain TEXT suffer FAULT:
 *   crash    the build ends the process by abort()
 *   hang     the build does not return
 *   refuse   the build fails
 *   wrong    their kernels are not run: results stay what the buffers held
 *   die      running one of their kernels ends the process by abort()
 * TUNE_CLOCK is of all events:
 *   zero     they tell 0 for every time
 *   fast     they tell a thousandth of every time */
#define LAYER_NAME "clattn tune fault layer"
#include "cl_layer.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_PROGRAMS 4096
#define MAX_KERNELS  16384

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

typedef enum fault { NONE, CRASH, HANG, REFUSE, WRONG, DIE } fault;
static const char *const fault_names[] = {
    [NONE] = "", [CRASH] = "crash", [HANG] = "hang", [REFUSE] = "refuse", [WRONG] = "wrong", [DIE] = "die"
};

/* A handle that was released may come again as another object, so that the newest mark counts. */
typedef struct mark {
    const void *object;
    fault fault;
} mark;
static mark programs[MAX_PROGRAMS], kernels[MAX_KERNELS];
static size_t program_count, kernel_count;

static bool contains(const char *options, const char *text, size_t length)
{
    for (; *options; options++)
        if (strncmp(options, text, length) == 0)
            return true;
    return false;
}

static fault named(const char *text, size_t length)
{
    for (int i = CRASH; i <= DIE; i++)
        if (strlen(fault_names[i]) == length && strncmp(fault_names[i], text, length) == 0)
            return (fault)i;
    abort();
}

static fault fault_of(const char *options)
{
    const char *at = getenv("TUNE_FAULTS");
    while (options && at && *at) {
        const size_t name = strcspn(at, "="), whole = strcspn(at, ";");
        if (name < whole && contains(options, at + name + 1, whole - name - 1))
            return named(at, name);
        at += whole + (at[whole] == ';');
    }
    return NONE;
}

static void set_mark(mark *marks, size_t *count, size_t room, const void *object, fault suffered)
{
    pthread_mutex_lock(&lock);
    if (*count == room)
        abort();
    marks[(*count)++] = (mark){ object, suffered };
    pthread_mutex_unlock(&lock);
}

static fault get_mark(const mark *marks, const size_t *count, const void *object)
{
    fault found = NONE;
    pthread_mutex_lock(&lock);
    for (size_t i = *count; i > 0; i--)
        if (marks[i - 1].object == object) {
            found = marks[i - 1].fault;
            break;
        }
    pthread_mutex_unlock(&lock);
    return found;
}

/* What happens to a build with these options; CL_SUCCESS: nothing. */
static cl_int suffer_build(cl_program program, const char *options)
{
    const fault suffered = fault_of(options);
    set_mark(programs, &program_count, MAX_PROGRAMS, program, suffered);
    if (suffered == CRASH)
        abort();
    while (suffered == HANG)
        sleep(1);
    return suffered == REFUSE ? CL_BUILD_PROGRAM_FAILURE : CL_SUCCESS;
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
    fault suffered = NONE;
    for (cl_uint i = 0; i < part_count && suffered == NONE; i++)
        suffered = get_mark(programs, &program_count, parts[i]);
    if (linked)
        set_mark(programs, &program_count, MAX_PROGRAMS, linked, suffered);
    return linked;
}

static cl_kernel CL_API_CALL create_kernel(cl_program program, const char *name, cl_int *code)
{
    cl_kernel kernel = below->clCreateKernel(program, name, code);
    if (kernel)
        set_mark(kernels, &kernel_count, MAX_KERNELS, kernel, get_mark(programs, &program_count, program));
    return kernel;
}

static cl_int CL_API_CALL enqueue(cl_command_queue queue, cl_kernel kernel, cl_uint dims, const size_t *offset,
                                  const size_t *global, const size_t *local, cl_uint count, const cl_event *list,
                                  cl_event *event)
{
    const fault suffered = get_mark(kernels, &kernel_count, kernel);
    if (suffered == DIE)
        abort();
    if (suffered == WRONG)
        return below->clEnqueueMarkerWithWaitList(queue, count, list, event);
    return below->clEnqueueNDRangeKernel(queue, kernel, dims, offset, global, local, count, list, event);
}

static cl_int CL_API_CALL profiling_info(cl_event event, cl_profiling_info name, size_t size, void *value,
                                         size_t *out_size)
{
    const cl_int code = below->clGetEventProfilingInfo(event, name, size, value, out_size);
    const char *clock = getenv("TUNE_CLOCK");
    cl_ulong time = 0;
    if (!clock || code != CL_SUCCESS || !value || size < sizeof(time))
        return code;
    memcpy(&time, value, sizeof(time));
    time = strcmp(clock, "fast") == 0 ? time / 1000 : 0;
    memcpy(value, &time, sizeof(time));
    return code;
}

static void layer_replace(void)
{
    table.clCompileProgram = compile;
    table.clBuildProgram = build;
    table.clLinkProgram = link_programs;
    table.clCreateKernel = create_kernel;
    table.clEnqueueNDRangeKernel = enqueue;
    table.clGetEventProfilingInfo = profiling_info;
}
