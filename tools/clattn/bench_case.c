/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench_case.h"

#include <stdlib.h>

#include "command.h"
#include "job_append.h"

enum { SEED = 1, CHECKED_SEQUENCES = 2, CHECKED_ROWS = 4 };

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
    desc->window_mode = shape->window.given ? CLATTN_WINDOW_LR : CLATTN_WINDOW_NONE;
    desc->window_left = shape->window.left;
    desc->window_right = shape->window.right;
    desc->q = desc->o = bhsd(shape->q_heads, shape->q_len, shape->head_dim);
    desc->k = desc->v = bhsd(shape->kv_heads, shape->kv_len, shape->head_dim);
    out->lengths = (clattn_lengths){ .batch = shape->batch, .q_len = shape->q_len, .kv_len = shape->kv_len };
}

static int fill(const bench_shape *shape, size_t q_size, size_t kv_size, job *out)
{
    ref_random random = { SEED };
    out->o_size = q_size;
    out->o = calloc(q_size, 1);
    for (int i = JOB_Q; i <= JOB_V; i++) {
        out->inputs[i].size = i == JOB_Q ? q_size : kv_size;
        out->inputs[i].data = bench_make_numbers(shape->dtype, out->inputs[i].size, &random);
        if (!out->o || !out->inputs[i].data)
            return fail("no memory for %zu bytes of random numbers and results", out->inputs[i].size + q_size);
    }
    return EXIT_DONE;
}

static void give_scales(float *scales, int32_t count, job *out)
{
    for (int32_t h = 0; h < count; h++)
        scales[h] = BENCH_FP8_SCALE;
    out->inputs[JOB_K_SCALES].data = out->inputs[JOB_V_SCALES].data = scales;
    out->inputs[JOB_K_SCALES].size = out->inputs[JOB_V_SCALES].size = (size_t)count * sizeof *scales;
}

/* An append a sequence: K and V are [batch, heads, length, dim]. */
static int make_pages(const bench_shape *shape, bench_case *out)
{
    const size_t count = (size_t)shape->batch * (size_t)shape->kv_len;
    int status =
        page_layout_make(&out->work.lengths, shape->kv_len, shape->page_size, PAGES_SHUFFLED, SEED, &out->pages);
    if (status != EXIT_DONE)
        return status;
    out->slots = malloc(count * sizeof *out->slots);
    out->scales = malloc((size_t)shape->kv_heads * sizeof *out->scales);
    if (!out->slots || !out->scales)
        return fail("no memory for the slots of %zu tokens", count);
    for (int32_t b = 0; b < shape->batch; b++)
        for (int32_t t = 0; t < shape->kv_len; t++)
            out->slots[(size_t)b * (size_t)shape->kv_len + (size_t)t] = page_layout_slot(&out->pages, b, t);
    give_scales(out->scales, shape->kv_heads, &out->work);
    page_layout_apply(&out->pages, shape->k_dtype, shape->v_dtype, &out->work, &out->append);
    out->append.slots = out->slots;
    out->append.runs = shape->batch;
    out->append.desc.max_tokens = shape->kv_len;
    out->append.k_run = out->append.v_run = out->work.desc.k.batch;
    return EXIT_DONE;
}

static int copy_inputs(const session *on, const bench_shape *shape, bench_case *out)
{
    int wanted = out->memory_bound ? bench_wanted_copies(on, bench_case_kv_bytes(shape)) : 1, status = EXIT_DONE;
    loaded_job *copies = realloc(out->copies, (size_t)wanted * sizeof *copies);
    if (!copies)
        return fail("no memory for %d copies of K and V", wanted);
    out->copies = copies;
    for (int i = 1; i < wanted && status == EXIT_DONE; i++) {
        const clattn_attention_args *from = &copies[0].args;
        clattn_attention_args *args = &copies[i].args;
        copies[i] = copies[0];
        args->k = args->v = args->block_table = (clattn_buffer){ .handle = NULL };
        out->count = i + 1;
        status = session_copy_buffer(on, "a copy of K", &from->k, &args->k);
        if (status == EXIT_DONE)
            status = session_copy_buffer(on, "a copy of V", &from->v, &args->v);
        if (status == EXIT_DONE && from->block_table.handle)
            status = session_copy_buffer(on, "a copy of the block table", &from->block_table, &args->block_table);
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
    out->memory_bound = shape->op == BENCH_DECODE || rows <= out->copies[0].info.decode_max_rows;
    return copy_inputs(on, shape, out);
}

int bench_case_open(const session *on, const bench_shape *shape, bench_case *out)
{
    size_t q_size = 0, kv_size = 0;
    *out = (bench_case){ .count = 0 };
    describe(shape, &out->work);
    int status = bench_size_tensor(on, "Q", shape, shape->q_heads, shape->q_len, &q_size);
    if (status == EXIT_DONE)
        status = bench_size_tensor(on, "K", shape, shape->kv_heads, shape->kv_len, &kv_size);
    if (status == EXIT_DONE && shape->page_size > 0)
        status = make_pages(shape, out);
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
        session_free_buffer(&open->copies[i].args.block_table);
    }
    if (open->count > 0)
        job_unload(&open->copies[0]);
    for (int i = JOB_Q; i <= JOB_V; i++)
        free((void *)open->work.inputs[i].data);
    free(open->work.o);
    free(open->copies);
    free(open->slots);
    free(open->scales);
    page_layout_free(&open->pages);
    *open = (bench_case){ .count = 0 };
}

double bench_case_kv_bytes(const bench_shape *shape)
{
    const size_t row =
        bench_row_bytes(shape->k_dtype, shape->head_dim) + bench_row_bytes(shape->v_dtype, shape->head_dim);
    return (double)shape->batch * shape->kv_len * shape->kv_heads * (double)row;
}

/* A cache as the device has it. */
static int fetch_cache(const loaded_job *from, const job *work, bool is_k, void **out)
{
    const clattn_append_desc *desc = &work->append->desc;
    const size_t size = job_cache_size(desc, is_k ? &desc->k : &desc->v);
    *out = malloc(size);
    if (!*out)
        return fail("no memory for %zu bytes of a cache", size);
    return session_read_buffer(from->on, "a cache", is_k ? &from->args.k : &from->args.v, size, *out);
}

static int compare(const bench_case *of, const void *k, const void *v)
{
    const job *work = &of->work;
    const ref_sampling sampling = { .max_rows_per_head = CHECKED_ROWS, .seed = SEED };
    ref_inputs in = job_reference(work);
    ref_comparison found;
    in.k = k ? k : in.k;
    in.v = v ? v : in.v;
    in.batch = in.batch < CHECKED_SEQUENCES ? in.batch : CHECKED_SEQUENCES;
    if (!ref_compare(&work->desc, &in, work->o, NULL, &sampling, &found, NULL))
        return fail("no memory to compare with the reference");
    if (ref_passed(&found))
        return EXIT_DONE;
    return fail("the result is wrong: sequence %d, head %d, query %d, element %d is %g and has to be %g", found.b,
                found.q_head, found.i, found.d, found.got, found.want);
}

int bench_case_check(const bench_case *of)
{
    void *k = NULL, *v = NULL;
    int status = job_fetch(&of->copies[0], &of->work);
    if (status == EXIT_DONE && of->work.append)
        status = fetch_cache(&of->copies[0], &of->work, true, &k);
    if (status == EXIT_DONE && of->work.append)
        status = fetch_cache(&of->copies[0], &of->work, false, &v);
    if (status == EXIT_DONE)
        status = compare(of, k, v);
    free(k);
    free(v);
    return status;
}
