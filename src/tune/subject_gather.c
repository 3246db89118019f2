/* SPDX-License-Identifier: BSD-2-Clause */
/* Gather: shuffled pages of a batch go to one tensor [batch, kv_len, heads, dim]. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tune/subject_internal.h"
#include "util/status.h"

/* One copy's sizes. Copies of the cache and of the result lie behind one another; all have one block table. */
typedef struct gather {
    clattn_gather_desc desc;
    int32_t batch, out_len;
    size_t cache_row, out_row, cache_size, out_size;
    cl_mem cache, out, table, lens, scales;
    int32_t *host_table, *host_lens; /* lens: with tails, then the timed ones */
    char *wanted;                    /* the result's rows as the reference converts them; see wanted_row */
    int64_t num_wanted;
} gather;

enum { CASE_TAIL, CASE_TIMED, CASES };

static clattn_gather_desc describe(const clattn_subject *subject)
{
    const clattn_subject_sizes *s = &subject->shape;
    const int64_t row = s->head_dim, blocks = row / clattn_dtype_block_len(subject->row.q_dtype);
    const int64_t heads = s->kv_heads;
    const int32_t columns = (s->kv_len + s->page_size - 1) / s->page_size;
    return CLATTN_GATHER_DESC(.dtype = subject->row.q_dtype, .out_dtype = subject->row.k_dtype,
                              .page_size = s->page_size, .pages = s->batch * columns, .kv_heads = s->kv_heads,
                              .head_dim = s->head_dim, .max_batch = s->batch, .max_pages = columns,
                              .cache = { s->page_size * heads * blocks, heads * blocks, blocks },
                              .out = { .batch = s->kv_len * heads * row, .token = heads * row, .head = row });
}

static clattn_status make_tables(clattn_subject *subject, ref_random *random)
{
    gather *g = subject->own;
    const size_t entries = (size_t)g->desc.pages, lens = CASES * (size_t)g->batch;
    g->host_table = clattn_subject_memory(entries * sizeof(int32_t));
    g->host_lens = clattn_subject_memory(lens * sizeof(int32_t));
    if (!g->host_table || !g->host_lens)
        return CLATTN_OUT_OF_MEMORY;
    clattn_shuffle(g->host_table, g->desc.pages, random);
    for (int32_t b = 0; b < g->batch; b++) {
        g->host_lens[b] = b % 2 ? g->out_len - CLATTN_TAIL_KEYS : CLATTN_TAIL_KEYS;
        g->host_lens[g->batch + b] = g->out_len;
    }
    CLATTN_TRY(clattn_subject_upload(subject, g->host_table, entries * sizeof(int32_t), &g->table));
    return clattn_subject_upload(subject, g->host_lens, lens * sizeof(int32_t), &g->lens);
}

static void convert_row(const gather *g, const char *from, int32_t head, char *out)
{
    for (int32_t d = 0; d < g->desc.head_dim; d++) {
        const double value = ref_load(from, g->desc.dtype, d);
        const double scaled = (double)((float)value * clattn_fp8_scale(head));
        ref_store(out, g->desc.out_dtype, d, g->desc.dtype == CLATTN_FP8 ? scaled : value);
    }
}

/* Rows of the cache repeat, and so do converted ones when their heads do. */
static const char *wanted_row(const gather *g, int32_t b, int32_t token, int32_t head)
{
    const int64_t page = g->host_table[(int64_t)b * g->desc.max_pages + token / g->desc.page_size];
    const int64_t row = (page * g->desc.page_size + token % g->desc.page_size) * g->desc.kv_heads + head;
    return g->wanted + (size_t)(row % g->num_wanted) * g->out_row;
}

static clattn_status make_cache(clattn_subject *subject, ref_random *random)
{
    gather *g = subject->own;
    const int64_t rows = (int64_t)g->desc.pages * g->desc.page_size * g->desc.kv_heads;
    const double unit = g->desc.dtype == CLATTN_FP8 ? CLATTN_FP8_UNIT : 1.0;
    char *cache = clattn_subject_memory(g->cache_size);
    g->wanted = clattn_subject_memory((size_t)g->num_wanted * g->out_row);
    clattn_status status = cache && g->wanted ? CLATTN_OK : CLATTN_OUT_OF_MEMORY;
    if (status == CLATTN_OK) {
        clattn_fill_rows(cache, g->desc.dtype, rows, g->desc.head_dim, unit, random);
        for (int64_t i = 0; i < g->num_wanted; i++)
            convert_row(g, cache + (size_t)i * g->cache_row, (int32_t)(i % g->desc.kv_heads),
                        g->wanted + (size_t)i * g->out_row);
        status = clattn_subject_buffer(subject, (size_t)subject->copies * g->cache_size, &g->cache);
    }
    for (int32_t copy = 0; status == CLATTN_OK && copy < subject->copies; copy++)
        status = clattn_subject_write(subject, g->cache, (size_t)copy * g->cache_size, g->cache_size, cache);
    free(cache);
    return status;
}

static clattn_status open_gather(clattn_subject *subject, uint64_t seed)
{
    gather *g = calloc(1, sizeof(*g));
    ref_random random = { seed };
    if (!g)
        return clattn_fail(CLATTN_OUT_OF_MEMORY, "no memory for a gather");
    subject->own = g;
    g->desc = describe(subject);
    g->batch = subject->shape.batch;
    g->out_len = subject->shape.kv_len;
    const size_t heads = (size_t)g->desc.kv_heads, tokens = (size_t)g->batch * (size_t)g->out_len;
    const size_t slots = (size_t)g->desc.pages * (size_t)g->desc.page_size;
    const int64_t period = (int64_t)CLATTN_PERIOD * g->desc.kv_heads, rows = (int64_t)(slots * heads);
    g->cache_row = clattn_row_bytes(g->desc.dtype, g->desc.head_dim);
    g->out_row = clattn_row_bytes(g->desc.out_dtype, g->desc.head_dim);
    g->cache_size = slots * heads * g->cache_row;
    g->out_size = tokens * heads * g->out_row;
    g->num_wanted = rows < period ? rows : period;
    subject->work = (double)(tokens * heads * (g->cache_row + g->out_row));
    subject->copies = clattn_subject_wanted_copies(subject, subject->work);
    subject->got_size = g->out_size;
    subject->got = clattn_subject_memory(subject->got_size);
    if (!subject->got)
        return CLATTN_OUT_OF_MEMORY;
    CLATTN_TRY(make_tables(subject, &random));
    CLATTN_TRY(clattn_subject_scales(subject, g->desc.kv_heads, &g->scales));
    CLATTN_TRY(make_cache(subject, &random));
    return clattn_subject_buffer(subject, (size_t)subject->copies * g->out_size, &g->out);
}

static void close_gather(clattn_subject *subject)
{
    gather *g = subject->own;
    cl_mem *memory[] = { &g->cache, &g->out, &g->table, &g->lens, &g->scales };
    for (size_t i = 0; i < sizeof(memory) / sizeof(memory[0]); i++)
        clattn_subject_release(memory[i]);
    free(g->host_table);
    free(g->host_lens);
    free(g->wanted);
    free(g);
}

static clattn_status build_gather(clattn_trial *trial)
{
    const gather *g = trial->subject->own;
    return clattn_gather_plan_build(trial->subject->device, &g->desc, &trial->candidate.tile, &trial->gather);
}

static clattn_status enqueue(const clattn_trial *trial, int which, int32_t copy, cl_event *event)
{
    const gather *g = trial->subject->own;
    const size_t cache_units = g->cache_size / clattn_dtype_alignment(g->desc.dtype);
    const size_t out_units = g->out_size / clattn_dtype_alignment(g->desc.out_dtype);
    const clattn_gather_call call = {
        .batch = g->batch,
        .out_len = g->out_len,
        .memory = { [CLATTN_GATHER_CACHE] = g->cache,
                    [CLATTN_GATHER_BLOCK_TABLE] = g->table,
                    [CLATTN_GATHER_KV_LENS] = g->lens,
                    [CLATTN_GATHER_SCALES] = g->scales,
                    [CLATTN_GATHER_OUT] = g->out,
                    [CLATTN_GATHER_ERROR_RECORD] = g->out },
        .offsets = { [CLATTN_GATHER_CACHE] = copy * (int64_t)cache_units,
                     [CLATTN_GATHER_KV_LENS] = which == CASE_TIMED ? g->batch : 0,
                     [CLATTN_GATHER_OUT] = copy * (int64_t)out_units },
    };
    return clattn_gather_enqueue(trial->gather, &call, trial->subject->queue, 0, NULL, event);
}

static clattn_status run_gather_case(clattn_trial *trial, int which)
{
    const clattn_subject *subject = trial->subject;
    const gather *g = subject->own;
    const int32_t copy = which == CASE_TIMED ? subject->copies - 1 : 0;
    const size_t offset = (size_t)copy * g->out_size;
    CLATTN_TRY(clattn_subject_clear(subject, g->out, offset, g->out_size));
    CLATTN_TRY(enqueue(trial, which, copy, NULL));
    CLATTN_TRY(clattn_subject_finish(subject));
    return clattn_subject_read(subject, g->out, offset, g->out_size, subject->got);
}

static bool token_is_right(const clattn_subject *subject, int which, int32_t b, int32_t token, char *why,
                           size_t why_size)
{
    static const char zeros[CLATTN_SUBJECT_MAX_DIM * sizeof(float)];
    const gather *g = subject->own;
    const bool there = token < g->host_lens[which * g->batch + b];
    for (int32_t head = 0; head < g->desc.kv_heads; head++) {
        const int64_t row = ((int64_t)b * g->out_len + token) * g->desc.kv_heads + head;
        const char *got = subject->got + (size_t)row * g->out_row;
        if (memcmp(got, there ? wanted_row(g, b, token, head) : zeros, g->out_row) == 0)
            continue;
        snprintf(why, why_size, "token %" PRId32 ", head %" PRId32 ", of sequence %" PRId32 " is not %s", token, head,
                 b, there ? "the reference's bytes" : "zeros, past the sequence's length");
        return false;
    }
    return true;
}

static clattn_status judge_gather(clattn_subject *subject, int which, bool *right, char *why, size_t why_size)
{
    const gather *g = subject->own;
    *right = true;
    for (int32_t b = 0; b < g->batch; b++)
        for (int32_t token = 0; *right && token < g->out_len; token++)
            *right = token_is_right(subject, which, b, token, why, why_size);
    return CLATTN_OK;
}

static clattn_status enqueue_gather(clattn_trial *trial, int turn, cl_event *first, cl_event *last)
{
    cl_event event = NULL;
    CLATTN_TRY(enqueue(trial, CASE_TIMED, turn % trial->subject->copies, &event));
    return clattn_share_event(event, first, last);
}

const clattn_subject_kind clattn_gather_kind = {
    .open = open_gather,
    .close = close_gather,
    .build = build_gather,
    .cases = CASES,
    .run_case = run_gather_case,
    .judge = judge_gather,
    .enqueue = enqueue_gather,
};
