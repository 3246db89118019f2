/* SPDX-License-Identifier: BSD-2-Clause */
/* What a run and a schedule cost on the host: the median time of clattn_attention_run over many calls, less that of the
 * same clSetKernelArg and clEnqueueNDRangeKernel calls made bare. A decode step of 64 sequences over pages, one kernel.
 * Prints JSON lines; nothing passes or fails here. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <clattn/clattn.h>

#include "plan/arguments.h"

#define CALLS     10000
#define IN_FLIGHT 50
#define BATCH     64
#define KEYS      16
#define DIM       32
#define BYTES     (1 << 20)

typedef struct bench {
    cl_context context;
    cl_command_queue queue;
    clattn_device *device;
    clattn_plan *plan;
    cl_mem memory;
    double times[CALLS];
} bench;

static void require(bool condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "host_cost: %s: %s\n", what, clattn_last_error());
    exit(1);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(bench *b)
{
    qsort(b->times, CALLS, sizeof(b->times[0]), by_value);
    return b->times[CALLS / 2];
}

static void open_device(bench *b)
{
    cl_platform_id platform;
    cl_device_id id;
    cl_int code;
    require(clGetPlatformIDs(1, &platform, NULL) == CL_SUCCESS, "no platform");
    require(clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 1, &id, NULL) == CL_SUCCESS, "no device");
    b->context = clCreateContext(NULL, 1, &id, NULL, NULL, &code);
    require(code == CL_SUCCESS, "clCreateContext");
    b->queue = clCreateCommandQueue(b->context, id, 0, &code);
    require(code == CL_SUCCESS, "clCreateCommandQueue");
    b->memory = clCreateBuffer(b->context, CL_MEM_READ_WRITE, BYTES, NULL, &code);
    require(code == CL_SUCCESS, "clCreateBuffer");
    const cl_int zero = 0;
    require(clEnqueueFillBuffer(b->queue, b->memory, &zero, sizeof(zero), 0, BYTES, 0, NULL, NULL) == CL_SUCCESS &&
                clFinish(b->queue) == CL_SUCCESS,
            "clEnqueueFillBuffer");
    require(clattn_device_create(b->context, id, NULL, &b->device) == CLATTN_OK, "clattn_device_create");
}

/* Lengths in the buffer are 0: the kernel itself does next to nothing. */
static void make_plan(bench *b)
{
    const clattn_strides rows = { 4 * DIM, 4 * DIM, DIM };
    const clattn_page_strides pages = { KEYS * DIM, DIM, DIM };
    const clattn_attention_desc desc =
        CLATTN_ATTENTION_DESC(.q_dtype = CLATTN_F16, .k_dtype = CLATTN_F16, .v_dtype = CLATTN_F16,
                              .o_dtype = CLATTN_F16, .q_heads = 4, .kv_heads = 1, .head_dim = DIM, .max_batch = BATCH,
                              .max_q_len = 1, .max_kv_len = KEYS, .kv_length_mode = CLATTN_LENGTH_PER_SEQUENCE,
                              .kv_mode = CLATTN_KV_BLOCK_TABLE, .page_size = KEYS, .pages = 64, .k_cache = pages,
                              .v_cache = pages, .q = rows, .o = rows);
    require(clattn_plan_create(b->device, &desc, NULL, &b->plan) == CLATTN_OK, "clattn_plan_create");
}

static double time_schedules(bench *b, clattn_schedule *schedule)
{
    int32_t kv_lens[BATCH];
    for (int i = 0; i < BATCH; i++)
        kv_lens[i] = i % (KEYS + 1);
    const clattn_lengths lengths = { .batch = BATCH, .q_len = 1, .kv_lens = kv_lens };
    for (int i = 0; i < CALLS; i++) {
        const double start = now();
        require(clattn_schedule_make(b->plan, &lengths, schedule) == CLATTN_OK, "clattn_schedule_make");
        b->times[i] = now() - start;
    }
    return median(b);
}

static double time_runs(bench *b, const clattn_schedule *schedule)
{
    const clattn_buffer part = { .handle = b->memory };
    clattn_buffer output = part;
    output.offset = BYTES / 2;
    const clattn_attention_args args =
        CLATTN_ATTENTION_ARGS(.q = part, .k = part, .v = part, .o = output, .kv_lens = part, .block_table = part);
    for (int i = 0; i < CALLS; i++) {
        const double start = now();
        const clattn_status status = clattn_attention_run(b->plan, schedule, &args, b->queue, 0, NULL, NULL);
        b->times[i] = now() - start;
        require(status == CLATTN_OK, "clattn_attention_run");
        if (i % IN_FLIGHT == 0)
            clFinish(b->queue);
    }
    clFinish(b->queue);
    return median(b);
}

static double time_bare_calls(bench *b, const clattn_schedule *schedule)
{
    clattn_launches launches;
    memcpy(&launches, schedule, sizeof(launches));
    clattn_bindings bindings = { 0 };
    for (int i = 0; i < CLATTN_ARG_COUNT; i++)
        bindings.memory[i] = b->memory;
    bindings.offsets[CLATTN_ARG_O] = BYTES / 4;
    const attention_args args = clattn_attention_args_of(&launches, &bindings);
    const clattn_step *step = &b->plan->steps[CLATTN_STEP_DECODE];
    size_t global[3];
    const size_t local[3] = { step->local_size, 1, 1 };
    cl_uint arguments = 0;
    clattn_launches_grid(&launches, CLATTN_STEP_DECODE, global);
    clGetKernelInfo(step->kernel->handle, CL_KERNEL_NUM_ARGS, sizeof(arguments), &arguments, NULL);
    for (int i = 0; i < CALLS; i++) {
        const double start = now();
        cl_int code = clSetKernelArg(step->kernel->handle, 0, sizeof(args), &args);
        for (cl_uint n = 1; n < arguments; n++)
            code |= clSetKernelArg(step->kernel->handle, n, sizeof(cl_mem), &b->memory);
        code |= clEnqueueNDRangeKernel(b->queue, step->kernel->handle, 3, NULL, global, local, 0, NULL, NULL);
        b->times[i] = now() - start;
        require(code == CL_SUCCESS, "clEnqueueNDRangeKernel");
        if (i % IN_FLIGHT == 0)
            clFinish(b->queue);
    }
    clFinish(b->queue);
    return median(b);
}

int main(void)
{
    static bench b;
    clattn_schedule schedule;
    open_device(&b);
    make_plan(&b);
    const double schedule_time = time_schedules(&b, &schedule);
    for (int round = 0; round < 3; round++) {
        const double bare = time_bare_calls(&b, &schedule);
        const double run = time_runs(&b, &schedule);
        printf(
            "{\"bench\": \"host_cost\", \"calls\": %d, \"run_us\": %.2f, \"bare_us\": %.2f, \"difference_us\": %.2f, "
            "\"schedule_%d_sequences_us\": %.3f}\n",
            CALLS, run, bare, run - bare, BATCH, schedule_time);
    }
    clattn_plan_destroy(&b.plan);
    clattn_device_destroy(&b.device);
    clReleaseMemObject(b.memory);
    clReleaseCommandQueue(b.queue);
    clReleaseContext(b.context);
    return 0;
}
