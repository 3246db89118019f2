/* SPDX-License-Identifier: BSD-2-Clause */
/* A row of gather: one paged cache into one tensor [batch, kv_len, kv_heads, head_dim]. */
#include <stdlib.h>
#include <string.h>

#include <clattn/kv_cache.h>

#include "bench.h"
#include "command.h"
#include "report.h"

enum { SEED = 1, CHECKED_TOKENS = 256 };

typedef struct gather_case {
    const session *on;
    page_layout pages;
    clattn_gather_desc desc;
    clattn_gather_plan *plan;
    int32_t batch, out_len;
    char *cache;
    int32_t *lens;
    float *scales;
    size_t cache_size, out_size;
    int count;
    clattn_gather_args *copies; /* lengths and scales are the first one's */
} gather_case;

/* Rows of a prime number of random ones in turn. */
static void fill_cache(const bench_shape *shape, gather_case *out)
{
    enum { ROWS = 997 };
    const size_t row_bytes = bench_row_bytes(shape->k_dtype, shape->head_dim), rows = out->cache_size / row_bytes;
    ref_random random = { SEED };
    const double unit = shape->k_dtype == CLATTN_FP8 ? BENCH_FP8_UNIT : 1.0;
    double values[MAX_HEAD_DIM];
    for (size_t i = 0; i < rows && i < ROWS; i++) {
        for (int32_t d = 0; d < shape->head_dim; d++)
            values[d] = ref_random_normal(&random) / unit;
        ref_store_row(out->cache + i * row_bytes, shape->k_dtype, 0, shape->head_dim, values);
    }
    for (size_t i = ROWS; i < rows; i++)
        memcpy(out->cache + i * row_bytes, out->cache + (i - ROWS) * row_bytes, row_bytes);
}

static int make_numbers(const bench_shape *shape, gather_case *out)
{
    out->cache = malloc(out->cache_size);
    out->lens = malloc((size_t)shape->batch * sizeof *out->lens);
    out->scales = malloc((size_t)shape->kv_heads * sizeof *out->scales);
    if (!out->cache || !out->lens || !out->scales)
        return fail("no memory for a cache of %zu bytes", out->cache_size);
    fill_cache(shape, out);
    for (int32_t h = 0; h < shape->kv_heads; h++)
        out->scales[h] = BENCH_FP8_SCALE;
    for (int32_t b = 0; b < shape->batch; b++)
        out->lens[b] = shape->kv_len;
    return EXIT_DONE;
}

static int make_plan(const bench_shape *shape, gather_case *out)
{
    const int64_t token = (int64_t)shape->kv_heads * shape->head_dim;
    out->batch = shape->batch;
    out->out_len = shape->kv_len;
    out->cache_size = (size_t)out->pages.pages * (size_t)shape->page_size * (size_t)shape->kv_heads *
                      bench_row_bytes(shape->k_dtype, shape->head_dim);
    out->desc = CLATTN_GATHER_DESC(.dtype = shape->k_dtype, .out_dtype = shape->dtype, .page_size = shape->page_size,
                                   .pages = out->pages.pages, .kv_heads = shape->kv_heads, .head_dim = shape->head_dim,
                                   .max_batch = shape->batch, .max_pages = out->pages.max_pages,
                                   .cache = page_layout_strides(shape->page_size, shape->kv_heads, shape->head_dim,
                                                                shape->k_dtype),
                                   .out = { .batch = shape->kv_len * token, .token = token, .head = shape->head_dim });
    return clattn_gather_plan_create(out->on->device, &out->desc, &out->plan) == CLATTN_OK
               ? EXIT_DONE
               : fail_library("this shape cannot run");
}

static int make_copy(const gather_case *of, clattn_gather_args *out)
{
    const size_t table_size = (size_t)of->batch * (size_t)of->pages.max_pages * sizeof *of->pages.block_table;
    int status = session_make_buffer(of->on, "a cache", of->cache_size, of->cache, &out->cache);
    if (status == EXIT_DONE)
        status = session_make_buffer(of->on, "a block table", table_size, of->pages.block_table, &out->block_table);
    return status == EXIT_DONE ? session_make_buffer(of->on, "a result", of->out_size, NULL, &out->out) : status;
}

static int load(double bytes, gather_case *out)
{
    const int wanted = bench_wanted_copies(out->on, bytes);
    clattn_gather_args first = CLATTN_GATHER_ARGS(.cache = { .handle = NULL });
    out->copies = calloc((size_t)wanted, sizeof *out->copies);
    if (!out->copies)
        return fail("no memory for %d copies of a cache", wanted);
    int status =
        session_make_buffer(out->on, "kv_lens", (size_t)out->batch * sizeof *out->lens, out->lens, &first.kv_lens);
    if (status == EXIT_DONE)
        status = session_make_buffer(out->on, "the scales", (size_t)out->desc.kv_heads * sizeof *out->scales,
                                     out->scales, &first.scales);
    out->copies[0] = first;
    for (int i = 0; i < wanted && status == EXIT_DONE; i++) {
        out->copies[i] = first;
        out->count = i + 1;
        status = make_copy(out, &out->copies[i]);
    }
    return status;
}

static void close_case(gather_case *open)
{
    for (int i = 0; i < open->count; i++) {
        session_free_buffer(&open->copies[i].cache);
        session_free_buffer(&open->copies[i].block_table);
        session_free_buffer(&open->copies[i].out);
    }
    if (open->copies) {
        session_free_buffer(&open->copies[0].kv_lens);
        session_free_buffer(&open->copies[0].scales);
    }
    clattn_gather_plan_destroy(&open->plan);
    free(open->copies);
    free(open->cache);
    free(open->lens);
    free(open->scales);
    page_layout_free(&open->pages);
}

/* The caller closes, in either case. */
static int open_case(const bench_shape *shape, double bytes, gather_case *out)
{
    const clattn_lengths lengths = { .batch = shape->batch, .kv_len = shape->kv_len };
    int status = bench_size_tensor(out->on, "the result", shape, shape->kv_heads, shape->kv_len, &out->out_size);
    if (status == EXIT_DONE)
        status = page_layout_make(&lengths, shape->kv_len, shape->page_size, PAGES_SHUFFLED, SEED, &out->pages);
    if (status == EXIT_DONE)
        status = make_plan(shape, out);
    if (status == EXIT_DONE)
        status = make_numbers(shape, out);
    return status == EXIT_DONE ? load(bytes, out) : status;
}

typedef struct gather_copy {
    const gather_case *of;
    int copy;
} gather_copy;

static clattn_status enqueue(const void *subject, cl_command_queue queue, cl_event *done)
{
    const gather_copy *one = subject;
    const gather_case *of = one->of;
    return clattn_gather_run(of->plan, of->batch, of->out_len, &of->copies[one->copy], queue, 0, NULL, done);
}

static int run(const void *subject, int copy, double *seconds)
{
    const gather_case *of = subject;
    const gather_copy one = { of, copy };
    const timed_call call = {
        .name = "gather", .refusal = "gather cannot run", .single = true, .enqueue = enqueue, .subject = &one
    };
    return job_time_call(of->on, &call, seconds);
}

/* A row as the cache has it, in the result's type. */
static void convert_row(const gather_case *of, int64_t row, char *want)
{
    const clattn_gather_desc *desc = &of->desc;
    for (int32_t d = 0; d < desc->head_dim; d++) {
        const double value = ref_load(of->cache, desc->dtype, row * desc->head_dim + d);
        ref_store(want, desc->out_dtype, d,
                  desc->dtype == CLATTN_FP8 ? (double)((float)value * BENCH_FP8_SCALE) : value);
    }
}

static bool same_tokens(const gather_case *of, const char *got)
{
    const int64_t tokens = (int64_t)of->batch * of->out_len, step = tokens / CHECKED_TOKENS + 1;
    const int32_t heads = of->desc.kv_heads;
    const size_t row_bytes = bench_row_bytes(of->desc.out_dtype, of->desc.head_dim);
    char want[MAX_HEAD_DIM * sizeof(float)];
    for (int64_t n = 0; n < tokens; n += step) {
        const int64_t slot = page_layout_slot(&of->pages, (int32_t)(n / of->out_len), (int32_t)(n % of->out_len));
        for (int32_t h = 0; h < heads; h++) {
            convert_row(of, slot * heads + h, want);
            if (memcmp(want, got + (size_t)(n * heads + h) * row_bytes, row_bytes) != 0)
                return false;
        }
    }
    return true;
}

/* The bytes count before the times do. */
static int check(const gather_case *of)
{
    char *got = malloc(of->out_size);
    if (!got)
        return fail("no memory for %zu bytes of a result", of->out_size);
    int status = run(of, 0, NULL);
    if (status == EXIT_DONE)
        status = session_read_buffer(of->on, "the result", &of->copies[0].out, of->out_size, got);
    if (status == EXIT_DONE && !same_tokens(of, got))
        status = fail("gather's result is wrong: it is not what the cache holds");
    free(got);
    return status;
}

static int print(const bench *of, const bench_shape *shape, const bench_task *task, const bench_times *found)
{
    if (!of->as_json) {
        bench_print_text(shape, task, found, "gather");
        return EXIT_DONE;
    }
    json_t *object =
        json_pack("{s:s, s:s, s:s, s:s, s:i, s:i, s:i, s:i, s:i, s:s}", "device", of->on.info.device_name, "op",
                  "gather", "dtype", clattn_dtype_name(shape->dtype), "kv_dtype", clattn_dtype_name(shape->k_dtype),
                  "batch", shape->batch, "kv_heads", shape->kv_heads, "kv_len", shape->kv_len, "head_dim",
                  shape->head_dim, "page_size", shape->page_size, "kernel", "gather");
    return bench_print_json(object, task, found);
}

int bench_gather_row(const bench *of, const bench_shape *shape)
{
    const double rows = (double)shape->batch * shape->kv_len * shape->kv_heads;
    const size_t row_bytes =
        bench_row_bytes(shape->dtype, shape->head_dim) + bench_row_bytes(shape->k_dtype, shape->head_dim);
    gather_case on = { .on = &of->on };
    bench_task task = { .subject = &on, .run = run, .peak = BENCH_PEAK_COPY, .bytes = rows * (double)row_bytes };
    bench_times found;
    int status = open_case(shape, task.bytes, &on);
    task.copies = on.count;
    if (status == EXIT_DONE)
        status = check(&on);
    if (status == EXIT_DONE)
        status = bench_measure(of, shape, &task, &found);
    if (status == EXIT_DONE)
        status = print(of, shape, &task, &found);
    close_case(&on);
    return status;
}
