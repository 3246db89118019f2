/* SPDX-License-Identifier: BSD-2-Clause */
#include "job_append.h"

#include "command.h"

/* What append reads beside the caches. */
typedef struct append_step {
    clattn_append_plan *plan;
    clattn_append_args args;
} append_step;

size_t job_cache_size(const clattn_append_desc *desc, const clattn_append_plane *plane)
{
    return (size_t)desc->pages * (size_t)plane->cache.page * clattn_dtype_size(plane->dtype);
}

/* All bits set are a NaN in every type: in the scale of a block, else in the element. */
static int make_cache(const session *on, const char *what, size_t size, clattn_buffer *out)
{
    const cl_uchar ones = 0xff;
    int status = session_make_buffer(on, what, size, NULL, out);
    if (status != EXIT_DONE || size == 0)
        return status;
    cl_int code = clEnqueueFillBuffer(on->queue, (cl_mem)out->handle, &ones, sizeof ones, 0, size, 0, NULL, NULL);
    return code == CL_SUCCESS ? EXIT_DONE : fail("%s: clEnqueueFillBuffer failed with OpenCL error %d", what, code);
}

static int make_buffers(const session *on, const job *source, clattn_attention_args *args, append_step *out)
{
    const job_append *append = source->append;
    const size_t slots = (size_t)append->runs * (size_t)append->desc.max_tokens;
    int status = make_cache(on, "K in pages", job_cache_size(&append->desc, &append->desc.k), &args->k);
    if (status == EXIT_DONE)
        status = make_cache(on, "V in pages", job_cache_size(&append->desc, &append->desc.v), &args->v);
    if (status == EXIT_DONE)
        status = session_make_buffer(on, "K", source->inputs[JOB_K].size, source->inputs[JOB_K].data, &out->args.k.src);
    if (status == EXIT_DONE)
        status = session_make_buffer(on, "V", source->inputs[JOB_V].size, source->inputs[JOB_V].data, &out->args.v.src);
    if (status == EXIT_DONE)
        status = session_make_buffer(on, "slot_mapping", slots * sizeof *append->slots, append->slots,
                                     &out->args.slot_mapping);
    out->args.k.cache = args->k;
    out->args.v.cache = args->v;
    out->args.k.scales = args->k_scales;
    out->args.v.scales = args->v_scales;
    return status;
}

static int run_all(const session *on, const job_append *append, append_step *step)
{
    const clattn_append_desc *desc = &append->desc;
    const size_t k_bytes = clattn_dtype_size(desc->k.src_dtype) * (size_t)append->k_run;
    const size_t v_bytes = clattn_dtype_size(desc->v.src_dtype) * (size_t)append->v_run;
    clattn_append_args at = step->args;
    for (int32_t i = 0; i < append->runs; i++) {
        at.k.src.offset = (size_t)i * k_bytes;
        at.v.src.offset = (size_t)i * v_bytes;
        at.slot_mapping.offset = (size_t)i * (size_t)desc->max_tokens * sizeof *append->slots;
        if (clattn_append_run(step->plan, desc->max_tokens, &at, on->queue, 0, NULL, NULL) != CLATTN_OK)
            return fail_library("K and V cannot be put into pages");
    }
    cl_int code = clFinish(on->queue);
    return code == CL_SUCCESS ? EXIT_DONE
                              : fail("append failed on the device: clFinish failed with OpenCL error %d", code);
}

int job_append_kv(const session *on, const job *source, clattn_attention_args *args)
{
    append_step step = { .args = CLATTN_APPEND_ARGS(.slot_mapping = { .handle = NULL }) };
    if (clattn_append_plan_create(on->device, &source->append->desc, &step.plan) != CLATTN_OK)
        return fail_library("K and V cannot be put into pages");
    int status = make_buffers(on, source, args, &step);
    if (status == EXIT_DONE)
        status = run_all(on, source->append, &step);
    session_free_buffer(&step.args.k.src);
    session_free_buffer(&step.args.v.src);
    session_free_buffer(&step.args.slot_mapping);
    clattn_append_plan_destroy(&step.plan);
    return status;
}
