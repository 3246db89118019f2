/* SPDX-License-Identifier: BSD-2-Clause */
/* A row of append: K and V of batch * kv_len new tokens, packed, go to their pages. */
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "command.h"
#include "job_append.h"
#include "report.h"

enum { SEED = 1, MOST_TOKENS = 1 << 30, CHECKED_TOKENS = 64 };

typedef struct append_case {
    const session *on;
    page_layout pages;
    clattn_append_desc desc;
    clattn_append_plan *plan;
    void *k, *v; /* the new rows */
    size_t src_size;
    int64_t *slots;
    float *scales;
    int count;
    clattn_append_args *copies; /* slots and scales are the first one's */
} append_case;

static clattn_append_plane make_plane(const bench_shape *shape, clattn_dtype dtype)
{
    const int64_t token = (int64_t)shape->kv_heads * shape->head_dim;
    return (clattn_append_plane){
        .src_dtype = shape->dtype,
        .dtype = dtype,
        .head_dim = shape->head_dim,
        .src = { .token = token, .head = shape->head_dim },
        .cache = page_layout_strides(shape->page_size, shape->kv_heads, shape->head_dim, dtype),
    };
}

static int make_numbers(const bench_shape *shape, append_case *out)
{
    const size_t tokens = (size_t)shape->batch * (size_t)shape->kv_len;
    ref_random random = { SEED };
    out->k = bench_make_numbers(shape->dtype, out->src_size, &random);
    out->v = bench_make_numbers(shape->dtype, out->src_size, &random);
    out->slots = malloc(tokens * sizeof *out->slots);
    out->scales = malloc((size_t)shape->kv_heads * sizeof *out->scales);
    if (!out->k || !out->v || !out->slots || !out->scales)
        return fail("no memory for %zu tokens of K and V", tokens);
    for (int32_t h = 0; h < shape->kv_heads; h++)
        out->scales[h] = BENCH_FP8_SCALE;
    for (int32_t b = 0; b < shape->batch; b++)
        for (int32_t t = 0; t < shape->kv_len; t++)
            out->slots[(size_t)b * (size_t)shape->kv_len + (size_t)t] = page_layout_slot(&out->pages, b, t);
    return EXIT_DONE;
}

static int make_plan(const bench_shape *shape, append_case *out)
{
    out->desc = CLATTN_APPEND_DESC(.page_size = shape->page_size, .pages = out->pages.pages,
                                   .kv_heads = shape->kv_heads, .max_tokens = shape->batch * shape->kv_len,
                                   .k = make_plane(shape, shape->k_dtype), .v = make_plane(shape, shape->v_dtype));
    return clattn_append_plan_create(out->on->device, &out->desc, &out->plan) == CLATTN_OK
               ? EXIT_DONE
               : fail_library("this shape cannot run");
}

static int make_planes(const append_case *of, clattn_append_args *out)
{
    const clattn_append_desc *desc = &of->desc;
    int status = session_make_buffer(of->on, "K", of->src_size, of->k, &out->k.src);
    if (status == EXIT_DONE)
        status = session_make_buffer(of->on, "V", of->src_size, of->v, &out->v.src);
    if (status == EXIT_DONE)
        status = session_make_buffer(of->on, "K's cache", job_cache_size(desc, &desc->k), NULL, &out->k.cache);
    if (status == EXIT_DONE)
        status = session_make_buffer(of->on, "V's cache", job_cache_size(desc, &desc->v), NULL, &out->v.cache);
    return status;
}

static int load(const bench_shape *shape, double bytes, append_case *out)
{
    const size_t tokens = (size_t)out->desc.max_tokens;
    const int wanted = bench_wanted_copies(out->on, bytes);
    clattn_append_args first = CLATTN_APPEND_ARGS(.slot_mapping = { .handle = NULL });
    int status = EXIT_DONE;
    out->copies = calloc((size_t)wanted, sizeof *out->copies);
    if (!out->copies)
        return fail("no memory for %d copies of K and V", wanted);
    status = session_make_buffer(out->on, "slot_mapping", tokens * sizeof *out->slots, out->slots, &first.slot_mapping);
    if (status == EXIT_DONE)
        status = session_make_buffer(out->on, "the scales", (size_t)shape->kv_heads * sizeof *out->scales, out->scales,
                                     &first.k.scales);
    first.v.scales = first.k.scales;
    out->copies[0] = first;
    for (int i = 0; i < wanted && status == EXIT_DONE; i++) {
        out->copies[i] = first;
        out->count = i + 1;
        status = make_planes(out, &out->copies[i]);
    }
    return status;
}

static void close_case(append_case *open)
{
    for (int i = 0; i < open->count; i++) {
        session_free_buffer(&open->copies[i].k.src);
        session_free_buffer(&open->copies[i].v.src);
        session_free_buffer(&open->copies[i].k.cache);
        session_free_buffer(&open->copies[i].v.cache);
    }
    if (open->copies) {
        session_free_buffer(&open->copies[0].slot_mapping);
        session_free_buffer(&open->copies[0].k.scales);
    }
    clattn_append_plan_destroy(&open->plan);
    free(open->copies);
    free(open->k);
    free(open->v);
    free(open->slots);
    free(open->scales);
    page_layout_free(&open->pages);
}

/* The caller closes, in either case. */
static int open_case(const bench_shape *shape, double bytes, append_case *out)
{
    const clattn_lengths lengths = { .batch = shape->batch, .kv_len = shape->kv_len };
    int status = bench_size_tensor(out->on, "K", shape, shape->kv_heads, shape->kv_len, &out->src_size);
    if (status == EXIT_DONE && (double)shape->batch * shape->kv_len > MOST_TOKENS)
        return fail("--batch is %d and --kv-len is %d; their product has to be at most %d tokens", shape->batch,
                    shape->kv_len, MOST_TOKENS);
    if (status == EXIT_DONE)
        status = page_layout_make(&lengths, shape->kv_len, shape->page_size, PAGES_SHUFFLED, SEED, &out->pages);
    if (status == EXIT_DONE)
        status = make_plan(shape, out);
    if (status == EXIT_DONE)
        status = make_numbers(shape, out);
    return status == EXIT_DONE ? load(shape, bytes, out) : status;
}

typedef struct append_copy {
    const append_case *of;
    int copy;
} append_copy;

static clattn_status enqueue(const void *subject, cl_command_queue queue, cl_event *done)
{
    const append_copy *one = subject;
    const append_case *of = one->of;
    return clattn_append_run(of->plan, of->desc.max_tokens, &of->copies[one->copy], queue, 0, NULL, done);
}

static int run(const void *subject, int copy, double *seconds)
{
    const append_case *of = subject;
    const append_copy one = { of, copy };
    const timed_call call = { .name = "append",
                              .refusal = "append cannot run",
                              .single = of->desc.k.dtype == of->desc.v.dtype,
                              .enqueue = enqueue,
                              .subject = &one };
    return job_time_call(of->on, &call, seconds);
}

/* Rows of some tokens, all heads, against the reference's bytes. */
static bool same_rows(const append_case *of, const clattn_append_plane *plane, const void *src, const char *cache)
{
    const int32_t dim = plane->head_dim, tokens = of->desc.max_tokens;
    const size_t row_bytes = bench_row_bytes(plane->dtype, dim), block = clattn_dtype_size(plane->dtype);
    const int32_t step = tokens / CHECKED_TOKENS + 1;
    double values[MAX_HEAD_DIM];
    char want[MAX_HEAD_DIM * sizeof(float)];
    for (int32_t n = 0; n < tokens; n += step)
        for (int32_t h = 0; h < of->desc.kv_heads; h++) {
            const int64_t from = n * plane->src.token + h * plane->src.head;
            const int64_t slot = of->slots[n], page = slot / of->desc.page_size, place = slot % of->desc.page_size;
            const int64_t at = page * plane->cache.page + place * plane->cache.token + h * plane->cache.head;
            for (int32_t d = 0; d < dim; d++) {
                values[d] = ref_load(src, plane->src_dtype, from + d);
                if (plane->dtype == CLATTN_FP8)
                    values[d] = (double)((float)values[d] / BENCH_FP8_SCALE);
            }
            ref_store_row(want, plane->dtype, 0, dim, values);
            if (memcmp(want, cache + (size_t)at * block, row_bytes) != 0)
                return false;
        }
    return true;
}

static int check_plane(const append_case *of, const char *name, const clattn_append_plane *plane, const void *src,
                       const clattn_buffer *cache)
{
    const size_t size = job_cache_size(&of->desc, plane);
    char *got = malloc(size);
    if (!got)
        return fail("no memory for %zu bytes of a cache", size);
    int status = session_read_buffer(of->on, "a cache", cache, size, got);
    if (status == EXIT_DONE && !same_rows(of, plane, src, got))
        status = fail("append's %s are wrong: they are not the reference's bytes", name);
    free(got);
    return status;
}

/* The bytes count before the times do. */
static int check(const append_case *of)
{
    int status = run(of, 0, NULL);
    if (status == EXIT_DONE)
        status = check_plane(of, "keys", &of->desc.k, of->k, &of->copies[0].k.cache);
    return status == EXIT_DONE ? check_plane(of, "values", &of->desc.v, of->v, &of->copies[0].v.cache) : status;
}

static int print(const bench *of, const bench_shape *shape, const bench_task *task, const bench_times *found)
{
    char types[32];
    if (!of->as_json) {
        bench_print_text(shape, task, found, "append");
        return EXIT_DONE;
    }
    json_t *object =
        json_pack("{s:s, s:s, s:s, s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:s}", "device", of->on.info.device_name, "op",
                  "append", "dtype", clattn_dtype_name(shape->dtype), "kv_dtype",
                  report_kv_dtype(shape->k_dtype, shape->v_dtype, types, sizeof types), "batch", shape->batch,
                  "kv_heads", shape->kv_heads, "kv_len", shape->kv_len, "head_dim", shape->head_dim, "v_head_dim",
                  shape->head_dim, "page_size", shape->page_size, "kernel", "append");
    return bench_print_json(object, task, found);
}

int bench_append_row(const bench *of, const bench_shape *shape)
{
    const double rows = (double)shape->batch * shape->kv_len * shape->kv_heads;
    const size_t row_bytes = 2 * bench_row_bytes(shape->dtype, shape->head_dim) +
                             bench_row_bytes(shape->k_dtype, shape->head_dim) +
                             bench_row_bytes(shape->v_dtype, shape->head_dim);
    append_case on = { .on = &of->on };
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
