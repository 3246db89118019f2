/* SPDX-License-Identifier: BSD-2-Clause */
/* An OpenCL layer (OPENCL_LAYERS) that makes a driver bad, for tests of the tuner. TUNE_FAULTS has FAULT=TEXT with ';'
 * between them; programs whose build options contain TEXT suffer FAULT:
 *   crash    the build ends the process by abort()
 *   hang     the build does not return; the process ends when its parent, which would end it, was killed
 *   refuse   the build fails
 *   wrong    their kernels are not run: results stay what the buffers held
 *   die      running one of their kernels ends the process by abort()
 *   zero     events of their kernels tell 0 for every time
 *   fast     events of their kernels tell a thousandth of every time */
#define LAYER_NAME "clattn tune fault layer"
#include "cl_layer.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Of each kind of object; older marks are forgotten. Events are read soon after their kernels have run. */
#define MAX_MARKS 16384

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

typedef enum fault { NONE, CRASH, HANG, REFUSE, WRONG, DIE, ZERO, FAST, FAULT_COUNT } fault;
static const char *const fault_names[FAULT_COUNT] = {
    [NONE] = "",       [CRASH] = "crash", [HANG] = "hang", [REFUSE] = "refuse",
    [WRONG] = "wrong", [DIE] = "die",     [ZERO] = "zero", [FAST] = "fast",
};

/* A handle that was released may come again as another object, so that the newest mark counts. */
typedef struct mark {
    const void *object;
    fault fault;
} mark;
typedef struct marks {
    mark newest[MAX_MARKS]; /* number n at n % MAX_MARKS */
    size_t count;
} marks;
static marks programs, kernels, events;

static bool contains(const char *options, const char *text, size_t length)
{
    for (; *options; options++)
        if (strncmp(options, text, length) == 0)
            return true;
    return false;
}

static fault named(const char *text, size_t length)
{
    for (int i = CRASH; i < FAULT_COUNT; i++)
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

static void set_mark(marks *of, const void *object, fault suffered)
{
    pthread_mutex_lock(&lock);
    of->newest[of->count++ % MAX_MARKS] = (mark){ object, suffered };
    pthread_mutex_unlock(&lock);
}

static fault get_mark(const marks *of, const void *object)
{
    pthread_mutex_lock(&lock);
    const size_t oldest = of->count > MAX_MARKS ? of->count - MAX_MARKS : 0;
    size_t i = of->count;
    while (i > oldest && of->newest[(i - 1) % MAX_MARKS].object != object)
        i--;
    const fault found = i > oldest ? of->newest[(i - 1) % MAX_MARKS].fault : NONE;
    pthread_mutex_unlock(&lock);
    return found;
}

static void hang(void)
{
    const pid_t parent = getppid();
    while (getppid() == parent)
        sleep(1);
    _exit(1);
}

/* What happens to a build with these options; CL_SUCCESS: nothing. */
static cl_int suffer_build(cl_program program, const char *options)
{
    const fault suffered = fault_of(options);
    set_mark(&programs, program, suffered);
    if (suffered == CRASH)
        abort();
    if (suffered == HANG)
        hang();
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
        suffered = get_mark(&programs, parts[i]);
    if (linked)
        set_mark(&programs, linked, suffered);
    return linked;
}

static cl_kernel CL_API_CALL create_kernel(cl_program program, const char *name, cl_int *code)
{
    cl_kernel kernel = below->clCreateKernel(program, name, code);
    if (kernel)
        set_mark(&kernels, kernel, get_mark(&programs, program));
    return kernel;
}

static cl_int CL_API_CALL enqueue(cl_command_queue queue, cl_kernel kernel, cl_uint dims, const size_t *offset,
                                  const size_t *global, const size_t *local, cl_uint count, const cl_event *list,
                                  cl_event *event)
{
    const fault suffered = get_mark(&kernels, kernel);
    if (suffered == DIE)
        abort();
    if (suffered == WRONG)
        return below->clEnqueueMarkerWithWaitList(queue, count, list, event);
    const cl_int code = below->clEnqueueNDRangeKernel(queue, kernel, dims, offset, global, local, count, list, event);
    if (code == CL_SUCCESS && event)
        set_mark(&events, *event, suffered);
    return code;
}

static cl_int CL_API_CALL profiling_info(cl_event event, cl_profiling_info name, size_t size, void *value,
                                         size_t *out_size)
{
    const cl_int code = below->clGetEventProfilingInfo(event, name, size, value, out_size);
    const fault suffered = get_mark(&events, event);
    cl_ulong time = 0;
    if ((suffered != ZERO && suffered != FAST) || code != CL_SUCCESS || !value || size < sizeof(time))
        return code;
    memcpy(&time, value, sizeof(time));
    time = suffered == FAST ? time / 1000 : 0;
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
