/* SPDX-License-Identifier: BSD-2-Clause */
#include "clblast.h"

#include <math.h>
#include <stdlib.h>

#include <clblast_c.h>

#include "bench_program.h"
#include "command.h"

enum { GROUP_ITEMS = 128 /* LANES of clblast_softmax.cl */ };

bool baseline_available(void)
{
    return true;
}

static int make_softmax(baseline *out, const clattn_attention_desc *desc)
{
    bool by_group = !(out->on->chosen.type & CL_DEVICE_TYPE_CPU) && out->on->info.max_work_group_size >= GROUP_ITEMS;
    int status = program_build(out->on, "clblast_softmax.cl", &out->program);
    if (status == EXIT_DONE)
        status = program_kernel(out->program, by_group ? "softmax_group" : "softmax_item", &out->softmax);
    if (status != EXIT_DONE)
        return status;
    cl_uint q_len = (cl_uint)desc->max_q_len, keys = (cl_uint)desc->max_kv_len;
    cl_long offset = desc->causal ? (cl_long)desc->max_kv_len - desc->max_q_len : desc->max_kv_len;
    out->softmax_items = by_group ? GROUP_ITEMS : 1;
    cl_int code = clSetKernelArg(out->softmax, 0, sizeof(cl_mem), &out->s.handle);
    if (code == CL_SUCCESS)
        code = clSetKernelArg(out->softmax, 1, sizeof q_len, &q_len);
    if (code == CL_SUCCESS)
        code = clSetKernelArg(out->softmax, 2, sizeof keys, &keys);
    if (code == CL_SUCCESS)
        code = clSetKernelArg(out->softmax, 3, sizeof offset, &offset);
    return code == CL_SUCCESS ? EXIT_DONE : fail("clSetKernelArg failed with OpenCL error %d", code);
}

int baseline_open(const loaded_job *loaded, const job *source, baseline *out)
{
    const clattn_attention_desc *desc = &source->desc;
    *out = (baseline){ .on = loaded->on,
                       .sequences = (size_t)source->lengths.batch * (size_t)desc->kv_heads,
                       .rows = (size_t)desc->max_q_len * (size_t)(desc->q_heads / desc->kv_heads),
                       .keys = (size_t)desc->max_kv_len,
                       .dim = (size_t)desc->head_dim,
                       .scale = 1.0f / sqrtf((float)desc->head_dim) };
    size_t weights = out->sequences * out->rows * out->keys * sizeof(float);
    if (weights > loaded->on->info.max_mem_alloc_size)
        return fail("--baseline clblast needs a buffer of %zu bytes for the weights; %s allows %llu", weights,
                    loaded->on->info.device_name, (unsigned long long)loaded->on->info.max_mem_alloc_size);
    int status = session_make_buffer(out->on, "the baseline's weights", weights, NULL, &out->s);
    if (status == EXIT_DONE)
        status = session_make_buffer(out->on, "the baseline's O", source->o_size, NULL, &out->o);
    if (status == EXIT_DONE)
        status = make_softmax(out, desc);
    if (status != EXIT_DONE)
        baseline_close(out);
    return status;
}

void baseline_close(baseline *open)
{
    session_free_buffer(&open->s);
    session_free_buffer(&open->o);
    if (open->softmax)
        clReleaseKernel(open->softmax);
    if (open->program)
        clReleaseProgram(open->program);
    *open = (baseline){ .on = NULL };
}

/* S = scale * Q K^T */
static int enqueue_logits(const baseline *open, const clattn_attention_args *args, cl_command_queue queue)
{
    CLBlastStatusCode code = CLBlastSgemmStridedBatched(
        CLBlastLayoutRowMajor, CLBlastTransposeNo, CLBlastTransposeYes, open->rows, open->keys, open->dim, open->scale,
        (cl_mem)args->q.handle, 0, open->dim, open->rows * open->dim, (cl_mem)args->k.handle, 0, open->dim,
        open->keys * open->dim, 0.0f, (cl_mem)open->s.handle, 0, open->keys, open->rows * open->keys, open->sequences,
        &queue, NULL);
    return code == CLBlastSuccess ? EXIT_DONE : fail("CLBlast's GEMM of Q and K failed with status %d", (int)code);
}

static int enqueue_softmax(const baseline *open, cl_command_queue queue)
{
    const size_t global = open->sequences * open->rows * open->softmax_items;
    cl_int code = clEnqueueNDRangeKernel(queue, open->softmax, 1, NULL, &global, &open->softmax_items, 0, NULL, NULL);
    return code == CL_SUCCESS ? EXIT_DONE : fail("the baseline's softmax failed with OpenCL error %d", code);
}

/* O = S V */
static int enqueue_output(const baseline *open, const clattn_attention_args *args, cl_command_queue queue)
{
    CLBlastStatusCode code = CLBlastSgemmStridedBatched(
        CLBlastLayoutRowMajor, CLBlastTransposeNo, CLBlastTransposeNo, open->rows, open->dim, open->keys, 1.0f,
        (cl_mem)open->s.handle, 0, open->keys, open->rows * open->keys, (cl_mem)args->v.handle, 0, open->dim,
        open->keys * open->dim, 0.0f, (cl_mem)open->o.handle, 0, open->dim, open->rows * open->dim, open->sequences,
        &queue, NULL);
    return code == CLBlastSuccess ? EXIT_DONE : fail("CLBlast's GEMM with V failed with status %d", (int)code);
}

/* Markers around the work: CLBlast's own events tell of its last kernel only. */
static int run_between(const baseline *open, const clattn_attention_args *args, cl_event *first, cl_event *last)
{
    cl_command_queue queue = open->on->queue;
    cl_int code = clEnqueueMarkerWithWaitList(queue, 0, NULL, first);
    int status = code == CL_SUCCESS ? enqueue_logits(open, args, queue) : EXIT_DONE;
    if (status == EXIT_DONE && code == CL_SUCCESS)
        status = enqueue_softmax(open, queue);
    if (status == EXIT_DONE && code == CL_SUCCESS)
        status = enqueue_output(open, args, queue);
    if (status == EXIT_DONE && code == CL_SUCCESS)
        code = clEnqueueMarkerWithWaitList(queue, 0, NULL, last);
    cl_int finished = clFinish(queue);
    if (code == CL_SUCCESS)
        code = finished;
    if (status == EXIT_DONE && code != CL_SUCCESS)
        status = fail("--baseline clblast failed on the device with OpenCL error %d", code);
    return status;
}

int baseline_run(const baseline *open, const loaded_job *loaded, double *seconds)
{
    cl_event first = NULL, last = NULL;
    clFinish(open->on->queue);
    double start = job_clock();
    int status = run_between(open, &loaded->args, &first, &last);
    if (status == EXIT_DONE && seconds)
        *seconds = job_device_seconds(first, CL_PROFILING_COMMAND_END, last, job_clock() - start);
    if (first)
        clReleaseEvent(first);
    if (last)
        clReleaseEvent(last);
    return status;
}

/* The term that grows with the logits is left out: with the bench's numbers they are small. */
int baseline_compare(const baseline *open, const job *source, double *largest)
{
    const ref_tolerance allowed = ref_tolerance_of(CLATTN_F32);
    const size_t count = source->o_size / sizeof(float);
    const float *ours = source->o;
    float *theirs = malloc(source->o_size);
    if (!theirs)
        return fail("--baseline clblast: no memory for %zu bytes of results", source->o_size);
    int status = session_read_buffer(open->on, "the baseline's O", &open->o, source->o_size, theirs);
    *largest = 0;
    for (size_t i = 0; i < count && status == EXIT_DONE; i++) {
        double difference = fabs((double)ours[i] - (double)theirs[i]);
        if (!(difference <= allowed.absolute + allowed.relative * fabs((double)theirs[i])))
            status = fail("--baseline clblast: element %zu of O is %g, and %g with CLBlast; they have to agree", i,
                          (double)ours[i], (double)theirs[i]);
        *largest = difference > *largest ? difference : *largest;
    }
    free(theirs);
    return status;
}
