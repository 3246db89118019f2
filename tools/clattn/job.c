/* SPDX-License-Identifier: BSD-2-Clause */
#include "job.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "command.h"
#include "plan/records.h"
#include "job_append.h"

static const char *const input_names[JOB_INPUT_COUNT] = {
    [JOB_Q] = "Q",
    [JOB_K] = "K",
    [JOB_V] = "V",
    [JOB_CU_SEQLENS_Q] = "cu_seqlens_q",
    [JOB_CU_SEQLENS_KV] = "cu_seqlens_kv",
    [JOB_KV_LENS] = "kv_lens",
    [JOB_Q_OFFSETS] = "q_offsets",
    [JOB_BLOCK_TABLE] = "the block table",
    [JOB_K_SCALES] = "K's scales",
    [JOB_V_SCALES] = "V's scales",
    [JOB_PAGE_INDPTR] = "page_indptr",
    [JOB_LAST_PAGE_LEN] = "last_page_len",
    [JOB_ERROR_RECORD] = "the error record",
    [JOB_MASK] = "the mask",
    [JOB_ALIBI] = "ALiBi's slopes",
    [JOB_SINKS] = "the sinks",
};

static clattn_buffer *input_buffer(clattn_attention_args *args, job_input input)
{
    switch (input) {
    case JOB_Q:
        return &args->q;
    case JOB_K:
        return &args->k;
    case JOB_V:
        return &args->v;
    case JOB_CU_SEQLENS_Q:
        return &args->cu_seqlens_q;
    case JOB_CU_SEQLENS_KV:
        return &args->cu_seqlens_kv;
    case JOB_KV_LENS:
        return &args->kv_lens;
    case JOB_Q_OFFSETS:
        return &args->q_offsets;
    case JOB_BLOCK_TABLE:
        return &args->block_table;
    case JOB_K_SCALES:
        return &args->k_scales;
    case JOB_V_SCALES:
        return &args->v_scales;
    case JOB_PAGE_INDPTR:
        return &args->page_indptr;
    case JOB_LAST_PAGE_LEN:
        return &args->last_page_len;
    case JOB_ERROR_RECORD:
        return &args->error_record;
    case JOB_MASK:
        return &args->mask;
    case JOB_ALIBI:
        return &args->alibi_slopes;
    case JOB_SINKS:
        return &args->sinks;
    case JOB_INPUT_COUNT:
        break;
    }
    return NULL;
}

static void free_buffers(clattn_attention_args *args)
{
    for (int i = 0; i < JOB_INPUT_COUNT; i++)
        session_free_buffer(input_buffer(args, (job_input)i));
    session_free_buffer(&args->o);
    session_free_buffer(&args->lse);
    session_free_buffer(&args->workspace);
}

clattn_status job_load_plan(const session *on, const clattn_attention_desc *desc, const clattn_plan_params *params,
                            loaded_job *out)
{
    *out = (loaded_job){ .on = on, .args = CLATTN_ATTENTION_ARGS(.q = { .handle = NULL }) };
    clattn_status status = clattn_plan_create(on->device, desc, params, &out->plan);
    if (status == CLATTN_OK)
        status = clattn_plan_describe(out->plan, &out->info);
    if (status != CLATTN_OK)
        job_unload(out);
    return status;
}

static int upload(loaded_job *loaded, const job *source)
{
    clattn_attention_args *args = &loaded->args;
    int status = EXIT_DONE;
    for (int i = 0; i < JOB_INPUT_COUNT && status == EXIT_DONE; i++)
        if (source->inputs[i].data && !(source->append && (i == JOB_K || i == JOB_V)))
            status = session_make_buffer(loaded->on, input_names[i], source->inputs[i].size, source->inputs[i].data,
                                         input_buffer(args, (job_input)i));
    if (source->desc.kv_mode == CLATTN_KV_PAGE_LIST)
        args->page_indices = args->block_table;
    if (status == EXIT_DONE && source->append)
        status = job_append_kv(loaded->on, source, args);
    if (status == EXIT_DONE)
        status = session_make_buffer(loaded->on, "O", source->o_size, source->o, &args->o);
    if (status == EXIT_DONE && source->lse)
        status = session_make_buffer(loaded->on, "LSE", source->lse_size, source->lse, &args->lse);
    if (status == EXIT_DONE)
        status = session_make_buffer(loaded->on, "the workspace", loaded->info.workspace_size, NULL, &args->workspace);
    return status;
}

int job_load_step(loaded_job *loaded, const job *source)
{
    free_buffers(&loaded->args);
    if (clattn_schedule_make(loaded->plan, &source->lengths, &loaded->schedule) != CLATTN_OK)
        return fail_library("the schedule cannot be made");
    loaded->kernels = clattn_schedule_kernels(loaded->plan, &loaded->schedule);
    int status = upload(loaded, source);
    if (status != EXIT_DONE)
        free_buffers(&loaded->args);
    return status;
}

int job_load(const session *on, const job *source, const clattn_plan_params *params, loaded_job *out)
{
    if (job_load_plan(on, &source->desc, params, out) != CLATTN_OK)
        return fail_library("the plan cannot be made");
    int status = job_load_step(out, source);
    if (status != EXIT_DONE)
        job_unload(out);
    return status;
}

double job_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

double job_device_seconds(cl_event start, cl_profiling_info of_start, cl_event end, double wall)
{
    cl_ulong from = 0, to = 0;
    if (clGetEventProfilingInfo(start, of_start, sizeof from, &from, NULL) != CL_SUCCESS ||
        clGetEventProfilingInfo(end, CL_PROFILING_COMMAND_END, sizeof to, &to, NULL) != CL_SUCCESS || to <= from)
        return wall;
    double seconds = (double)(to - from) * 1e-9;
    return seconds < wall && seconds > 0.01 * wall ? seconds : wall;
}

int job_time_call(const session *on, const timed_call *call, double *seconds)
{
    cl_command_queue queue = on->queue;
    cl_event marker = NULL, done = NULL;
    clFinish(queue);
    double start = job_clock();
    cl_int code = call->single ? CL_SUCCESS : clEnqueueMarkerWithWaitList(queue, 0, NULL, &marker);
    if (code != CL_SUCCESS)
        return fail("clEnqueueMarkerWithWaitList failed with OpenCL error %d", code);
    int status = EXIT_DONE;
    if (call->enqueue(call->subject, queue, &done) != CLATTN_OK)
        status = fail_library(call->refusal);
    code = clFinish(queue);
    if (status == EXIT_DONE && code != CL_SUCCESS)
        status = fail("%s failed on the device: clFinish failed with OpenCL error %d", call->name, code);
    if (status == EXIT_DONE && seconds)
        *seconds = call->single ? job_device_seconds(done, CL_PROFILING_COMMAND_START, done, job_clock() - start)
                                : job_device_seconds(marker, CL_PROFILING_COMMAND_END, done, job_clock() - start);
    if (marker)
        clReleaseEvent(marker);
    if (done)
        clReleaseEvent(done);
    return status;
}

static clattn_status enqueue(const void *subject, cl_command_queue queue, cl_event *done)
{
    const loaded_job *loaded = subject;
    return clattn_attention_run(loaded->plan, &loaded->schedule, &loaded->args, queue, 0, NULL, done);
}

int job_run(const loaded_job *loaded, double *seconds)
{
    const timed_call call = { .name = "attention",
                              .refusal = "attention cannot run",
                              .single = (loaded->kernels & (loaded->kernels - 1)) == 0,
                              .enqueue = enqueue,
                              .subject = loaded };
    return job_time_call(loaded->on, &call, seconds);
}

int job_fetch(const loaded_job *loaded, const job *target)
{
    int status = session_read_buffer(loaded->on, "O", &loaded->args.o, target->o_size, target->o);
    if (status == EXIT_DONE && target->lse)
        status = session_read_buffer(loaded->on, "LSE", &loaded->args.lse, target->lse_size, target->lse);
    return status;
}

void job_unload(loaded_job *loaded)
{
    free_buffers(&loaded->args);
    clattn_plan_destroy(&loaded->plan);
}

ref_inputs job_reference(const job *source)
{
    return (ref_inputs){
        .q = source->inputs[JOB_Q].data,
        .k = source->inputs[JOB_K].data,
        .v = source->inputs[JOB_V].data,
        .cu_seqlens_q = source->inputs[JOB_CU_SEQLENS_Q].data,
        .cu_seqlens_kv = source->inputs[JOB_CU_SEQLENS_KV].data,
        .kv_lens = source->inputs[JOB_KV_LENS].data,
        .q_offsets = source->inputs[JOB_Q_OFFSETS].data,
        .block_table = source->inputs[JOB_BLOCK_TABLE].data,
        .k_scales = source->inputs[JOB_K_SCALES].data,
        .v_scales = source->inputs[JOB_V_SCALES].data,
        .page_indices = source->inputs[JOB_BLOCK_TABLE].data,
        .page_indptr = source->inputs[JOB_PAGE_INDPTR].data,
        .last_page_len = source->inputs[JOB_LAST_PAGE_LEN].data,
        .mask = source->inputs[JOB_MASK].data,
        .alibi_slopes = source->inputs[JOB_ALIBI].data,
        .sinks = source->inputs[JOB_SINKS].data,
        .batch = source->lengths.batch,
        .q_len = source->lengths.q_len,
        .kv_len = source->lengths.kv_len,
    };
}

static const char *kernel_word(const clattn_kernel_info *kernel, job_names which)
{
    switch (which) {
    case JOB_KERNEL_NAMES:
        return kernel->kernel;
    case JOB_FRAGMENT_NAMES:
        return kernel->fragment;
    case JOB_TILE_NAMES:
        return kernel->tile;
    }
    return "";
}

const char *job_join_names(const loaded_job *loaded, job_names which, char *text, size_t size)
{
    const clattn_plan_info *info = &loaded->info;
    size_t used = 0;
    snprintf(text, size, "none");
    for (int i = 0; i < info->num_kernels; i++) {
        const char *word = kernel_word(&info->kernels[i], which);
        bool runs = loaded->kernels >> i & 1, bare = strcmp(info->kernels[i].fragment, "none") == 0;
        bool repeats = used > 0 && strstr(text, word);
        if (!runs || repeats || !word || *word == '\0' || (bare && which != JOB_KERNEL_NAMES))
            continue;
        used += (size_t)snprintf(text + used, size - used, "%s%s", used ? "+" : "", word);
        if (used >= size)
            break;
    }
    return text;
}

const char *job_tuning_level(const loaded_job *loaded)
{
    for (int level = CLATTN_TUNING_DEFAULT; level > CLATTN_TUNING_EXACT; level--) {
        const char *name = clattn_tuning_level_name((clattn_tuning_level)level);
        for (int i = 0; i < loaded->info.num_kernels; i++)
            if (loaded->kernels >> i & 1 && strcmp(loaded->info.kernels[i].tuning_level, name) == 0)
                return name;
    }
    return loaded->kernels ? clattn_tuning_level_name(CLATTN_TUNING_EXACT) : loaded->info.tuning_level;
}

int32_t job_split_size(const loaded_job *loaded)
{
    const clattn_plan_info *info = &loaded->info;
    for (int i = 0; i < info->num_kernels; i++)
        if ((loaded->kernels >> i & 1) && strcmp(info->kernels[i].kernel, "decode") == 0)
            return info->split_size;
    return 0;
}

static int compare_seconds(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double job_median(double *seconds, int count)
{
    qsort(seconds, (size_t)count, sizeof *seconds, compare_seconds);
    return count % 2 ? seconds[count / 2] : 0.5 * (seconds[count / 2 - 1] + seconds[count / 2]);
}
