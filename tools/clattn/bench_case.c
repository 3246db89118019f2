/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "command.h"

/* Random elements that are made; then they repeat. A prime, so that no two heads are equal. */
enum { DISTINCT = 1000003, MOST_COPIES = 4096 };

static clattn_strides bhsd(int64_t heads, int64_t length, int64_t dim)
{
    return (clattn_strides){ .batch = heads * length * dim, .token = dim, .head = length * dim };
}

static void describe(const bench_shape *shape, job *out)
{
    clattn_attention_desc *desc = &out->desc;
    clattn_attention_desc_init(desc);
    desc->q_dtype = desc->k_dtype = desc->v_dtype = desc->o_dtype = shape->dtype;
    desc->q_heads = shape->q_heads;
    desc->kv_heads = shape->kv_heads;
    desc->head_dim = desc->v_head_dim = shape->head_dim;
    desc->max_batch = shape->batch;
    desc->min_q_len = desc->max_q_len = shape->q_len;
    desc->max_kv_len = shape->kv_len;
    desc->causal = shape->causal;
    desc->q = desc->o = bhsd(shape->q_heads, shape->q_len, shape->head_dim);
    desc->k = desc->v = bhsd(shape->kv_heads, shape->kv_len, shape->head_dim);
    out->lengths = (clattn_lengths){ .batch = shape->batch, .q_len = shape->q_len, .kv_len = shape->kv_len };
}

/* Bytes of a tensor of the shape, where the device holds as many. Exit status. */
static int size_tensor(const session *on, const char *what, const bench_shape *shape, int32_t heads, int32_t length,
                       size_t *out)
{
    double bytes = (double)shape->batch * heads * length * shape->head_dim * (double)clattn_dtype_size(shape->dtype);
    if (bytes > (double)on->info.max_mem_alloc_size)
        return fail("%s of batch %d, %d heads, length %d and dimension %d has %.0f bytes; a buffer of %s holds %llu",
                    what, shape->batch, heads, length, shape->head_dim, bytes, on->info.device_name,
                    (unsigned long long)on->info.max_mem_alloc_size);
    *out = (size_t)bytes;
    return EXIT_DONE;
}

/* Owned by the caller. NULL without memory. */
static void *make_numbers(clattn_dtype dtype, size_t bytes, ref_random *random)
{
    const size_t element = clattn_dtype_size(dtype), period = DISTINCT * element;
    char *data = malloc(bytes);
    for (size_t i = 0; data && i < DISTINCT && i < bytes / element; i++)
        ref_store(data, dtype, (int64_t)i, 2.0 * ref_random_uniform(random) - 1.0);
    for (size_t at = period; data && at < bytes; at += period)
        memcpy(data + at, data, bytes - at < period ? bytes - at : period);
    return data;
}

static int fill(const bench_shape *shape, size_t q_size, size_t kv_size, job *out)
{
    ref_random random = { 1 };
    out->o_size = q_size;
    out->o = calloc(q_size, 1);
    for (int i = JOB_Q; i <= JOB_V; i++) {
        out->inputs[i].size = i == JOB_Q ? q_size : kv_size;
        out->inputs[i].data = make_numbers(shape->dtype, out->inputs[i].size, &random);
        if (!out->o || !out->inputs[i].data)
            return fail("no memory for %zu bytes of random numbers and results", out->inputs[i].size + q_size);
    }
    return EXIT_DONE;
}

/* Copies of K and V until together they exceed four times the last cache, where memory is what is measured. */
static int wanted_copies(const session *on, const bench_case *of)
{
    double copies = 4.0 * (double)on->info.global_mem_cache_size / bench_case_kv_bytes(of);
    if (!of->memory_bound)
        return 1;
    return copies + 1.0 < MOST_COPIES ? (int)copies + 1 : MOST_COPIES;
}

static int copy_inputs(const session *on, bench_case *out)
{
    int wanted = wanted_copies(on, out), status = EXIT_DONE;
    loaded_job *copies = realloc(out->copies, (size_t)wanted * sizeof *copies);
    if (!copies)
        return fail("no memory for %d copies of K and V", wanted);
    out->copies = copies;
    for (int i = 1; i < wanted && status == EXIT_DONE; i++) {
        clattn_attention_args *args = &copies[i].args;
        copies[i] = copies[0];
        args->k = args->v = (clattn_buffer){ .handle = NULL };
        out->count = i + 1;
        status = session_make_buffer(on, "a copy of K", out->work.inputs[JOB_K].size, out->work.inputs[JOB_K].data,
                                     &args->k);
        if (status == EXIT_DONE)
            status = session_make_buffer(on, "a copy of V", out->work.inputs[JOB_V].size, out->work.inputs[JOB_V].data,
                                         &args->v);
    }
    return status;
}

static int load(const session *on, const bench_shape *shape, bench_case *out)
{
    out->copies = calloc(1, sizeof *out->copies);
    if (!out->copies)
        return fail("no memory for a job");
    int status = job_load(on, &out->work, NULL, &out->copies[0]);
    if (status != EXIT_DONE)
        return status;
    int64_t rows = (int64_t)shape->q_len * (shape->q_heads / shape->kv_heads);
    out->count = 1;
    out->memory_bound = rows <= out->copies[0].info.decode_max_rows;
    return copy_inputs(on, out);
}

int bench_case_open(const session *on, const bench_shape *shape, bench_case *out)
{
    size_t q_size = 0, kv_size = 0;
    *out = (bench_case){ .count = 0 };
    describe(shape, &out->work);
    int status = size_tensor(on, "Q", shape, shape->q_heads, shape->q_len, &q_size);
    if (status == EXIT_DONE)
        status = size_tensor(on, "K", shape, shape->kv_heads, shape->kv_len, &kv_size);
    if (status == EXIT_DONE && clattn_attention_supported(on->device, &out->work.desc, NULL, 0) != CLATTN_OK)
        status = fail_library("this shape cannot run");
    if (status == EXIT_DONE)
        status = fill(shape, q_size, kv_size, &out->work);
    if (status == EXIT_DONE)
        status = load(on, shape, out);
    if (status != EXIT_DONE)
        bench_case_close(out);
    return status;
}

void bench_case_close(bench_case *open)
{
    for (int i = 1; i < open->count; i++) {
        session_free_buffer(&open->copies[i].args.k);
        session_free_buffer(&open->copies[i].args.v);
    }
    if (open->count > 0)
        job_unload(&open->copies[0]);
    for (int i = JOB_Q; i <= JOB_V; i++)
        free((void *)open->work.inputs[i].data);
    free(open->work.o);
    free(open->copies);
    *open = (bench_case){ .count = 0 };
}

double bench_case_kv_bytes(const bench_case *open)
{
    return (double)open->work.inputs[JOB_K].size + (double)open->work.inputs[JOB_V].size;
}
