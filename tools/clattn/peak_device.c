/* SPDX-License-Identifier: BSD-2-Clause */
#include <math.h>
#include <stdio.h>

#include "bench_program.h"
#include "command.h"
#include "peak.h"

enum { LOCAL_SIZE = 256, GROUPS_A_UNIT = 32, CHAINS = 16 /* as in peak.cl */, RUNS = 8, MOST_ITERATIONS = 1 << 16 };

typedef struct device_bench {
    const session *on;
    cl_program program;
    clattn_buffer from, to;
    size_t global_size, local_size;
} device_bench;

/* Enqueues once and waits. Exit status, as for all below. */
static int run_once(const device_bench *on, cl_kernel kernel, double *seconds)
{
    cl_event event = NULL;
    cl_ulong start = 0, end = 0;
    cl_int code =
        clEnqueueNDRangeKernel(on->on->queue, kernel, 1, NULL, &on->global_size, &on->local_size, 0, NULL, &event);
    if (code == CL_SUCCESS)
        code = clWaitForEvents(1, &event);
    if (code == CL_SUCCESS)
        code = clGetEventProfilingInfo(event, CL_PROFILING_COMMAND_START, sizeof start, &start, NULL);
    if (code == CL_SUCCESS)
        code = clGetEventProfilingInfo(event, CL_PROFILING_COMMAND_END, sizeof end, &end, NULL);
    if (event)
        clReleaseEvent(event);
    if (code != CL_SUCCESS)
        return fail("%s: a kernel for the peaks failed with OpenCL error %d", on->on->info.device_name, code);
    *seconds = end > start ? (double)(end - start) * 1e-9 : HUGE_VAL;
    return EXIT_DONE;
}

/* Work a second at best, where one run is `work`. */
static int run_best(const device_bench *on, cl_kernel kernel, double work, double *rate)
{
    int status = EXIT_DONE;
    for (int i = 0; i < RUNS && status == EXIT_DONE; i++) {
        double seconds = 0;
        status = run_once(on, kernel, &seconds);
        *rate = status == EXIT_DONE && work / seconds > *rate ? work / seconds : *rate;
    }
    return status;
}

/* Longer runs until one takes 2 ms, from where on its start and end no longer count. */
static int measure_fma(const device_bench *on, double *rate)
{
    const float half = 0.5f;
    double seconds = 0, items = (double)on->global_size;
    cl_kernel kernel = NULL;
    cl_int iterations = 64;
    int status = program_kernel(on->program, "peak_fma", &kernel);
    if (status != EXIT_DONE)
        return status;
    clSetKernelArg(kernel, 0, sizeof(cl_mem), &on->to.handle);
    clSetKernelArg(kernel, 2, sizeof half, &half);
    do {
        iterations *= 2;
        clSetKernelArg(kernel, 1, sizeof iterations, &iterations);
        status = run_once(on, kernel, &seconds);
    } while (status == EXIT_DONE && seconds < 2e-3 && iterations < MOST_ITERATIONS);
    if (status == EXIT_DONE)
        status = run_best(on, kernel, 2.0 * CHAINS * iterations * items, rate);
    clReleaseKernel(kernel);
    return status;
}

static int measure_stream(const device_bench *on, const char *name, size_t bytes, double moved, double *rate)
{
    cl_ulong count = bytes / sizeof(cl_float4);
    cl_kernel kernel = NULL;
    int status = program_kernel(on->program, name, &kernel);
    if (status != EXIT_DONE)
        return status;
    clSetKernelArg(kernel, 0, sizeof(cl_mem), &on->from.handle);
    clSetKernelArg(kernel, 1, sizeof(cl_mem), &on->to.handle);
    clSetKernelArg(kernel, 2, sizeof count, &count);
    status = run_best(on, kernel, moved, rate);
    clReleaseKernel(kernel);
    return status;
}

/* Memory that nothing was written to may be no memory yet. */
static int make_stream(const device_bench *on, size_t bytes, clattn_buffer *out)
{
    const cl_float zero = 0.0f;
    int status = session_make_buffer(on->on, "the memory peak", bytes, NULL, out);
    if (status != EXIT_DONE)
        return status;
    cl_int code = clEnqueueFillBuffer(on->on->queue, (cl_mem)out->handle, &zero, sizeof zero, 0, bytes, 0, NULL, NULL);
    return code == CL_SUCCESS ? EXIT_DONE : fail("clEnqueueFillBuffer failed with OpenCL error %d", code);
}

int peaks_measure_device(const session *on, peak_set set, size_t bytes, peaks *out)
{
    device_bench bench = { .on = on, .local_size = LOCAL_SIZE };
    *out = (peaks){ .how = "kernels" };
    if (bench.local_size > on->info.max_work_group_size)
        bench.local_size = on->info.max_work_group_size;
    bench.global_size = bench.local_size * GROUPS_A_UNIT * on->info.compute_units;
    int status = program_build(on, "peak.cl", &bench.program);
    if (status == EXIT_DONE)
        status = make_stream(&bench, bytes, &bench.from);
    if (status == EXIT_DONE)
        status = make_stream(&bench, bytes, &bench.to);
    if (status == EXIT_DONE && set == PEAK_ALL)
        status = measure_fma(&bench, &out->fma_flops);
    if (status == EXIT_DONE && set != PEAK_COPY)
        status = measure_stream(&bench, "peak_read", bytes, (double)bytes, &out->read_bandwidth);
    if (status == EXIT_DONE && set != PEAK_READ)
        status = measure_stream(&bench, "peak_copy", bytes, 2.0 * (double)bytes, &out->copy_bandwidth);
    session_free_buffer(&bench.from);
    session_free_buffer(&bench.to);
    if (bench.program)
        clReleaseProgram(bench.program);
    return status;
}
