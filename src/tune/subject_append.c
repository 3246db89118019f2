/* SPDX-License-Identifier: BSD-2-Clause */
/* Append: K and V of batch * kv_len new tokens go to shuffled pages. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tune/subject_internal.h"
#include "util/status.h"

enum { PLANES = 2 };

static const char *const plane_names[PLANES] = { "K", "V" };

/* One copy's sizes. The rows of new tokens are [tokens, heads, dim], those of a cache [slots, heads, dim]; copies lie
 * behind one another, and a copy is chosen by the offsets of both. */
typedef struct append {
    clattn_append_desc desc;
    int32_t slots;
    size_t src_row, cache_row, src_size, cache_size;
    cl_mem slot_mapping, scales, src[PLANES], cache[PLANES];
    int32_t *tokens;      /* [slots]: which goes there; -1: none */
    char *wanted[PLANES]; /* the cache's rows as the reference converts them; see wanted_row */
    int64_t num_wanted;
} append;

enum { CASE_TAIL, CASE_TIMED, CASES };

static int32_t tokens_of(const append *a, int which)
{
    return which == CASE_TIMED ? a->desc.max_tokens : a->desc.max_tokens - CLATTN_TAIL_KEYS;
}

static clattn_append_desc describe(const clattn_subject *subject)
{
    const clattn_subject_sizes *s = &subject->shape;
    const int64_t row = s->head_dim, blocks = row / clattn_dtype_block_len(subject->row.k_dtype);
    const int64_t heads = s->kv_heads;
    const clattn_append_plane plane = { .src_dtype = subject->row.q_dtype,
                                        .dtype = subject->row.k_dtype,
                                        .head_dim = s->head_dim,
                                        .src = { .token = heads * row, .head = row },
                                        .cache = { s->page_size * heads * blocks, heads * blocks, blocks } };
    return CLATTN_APPEND_DESC(.page_size = s->page_size,
                              .pages = s->batch * ((s->kv_len + s->page_size - 1) / s->page_size),
                              .kv_heads = s->kv_heads, .max_tokens = s->batch * s->kv_len, .k = plane, .v = plane);
}

/* Token n has slot n of its pages, and pages are shuffled. */
static clattn_status make_slots(clattn_subject *subject, ref_random *random)
{
    append *a = subject->own;
    const int32_t page_size = a->desc.page_size, tokens = a->desc.max_tokens;
    int64_t *mapping = clattn_subject_memory((size_t)tokens * sizeof(int64_t));
    int32_t *pages = clattn_subject_memory((size_t)a->desc.pages * sizeof(int32_t));
    a->tokens = clattn_subject_memory((size_t)a->slots * sizeof(int32_t));
    clattn_status status = mapping && pages && a->tokens ? CLATTN_OK : CLATTN_OUT_OF_MEMORY;
    if (status == CLATTN_OK) {
        clattn_shuffle(pages, a->desc.pages, random);
        for (int32_t slot = 0; slot < a->slots; slot++)
            a->tokens[slot] = -1;
        for (int32_t n = 0; n < tokens; n++) {
            mapping[n] = (int64_t)pages[n / page_size] * page_size + n % page_size;
            a->tokens[mapping[n]] = n;
        }
        status = clattn_subject_upload(subject, mapping, (size_t)tokens * sizeof(int64_t), &a->slot_mapping);
    }
    free(mapping);
    free(pages);
    return status;
}

static void convert_row(const append *a, const char *src, int32_t head, char *out)
{
    const clattn_append_plane *plane = &a->desc.k;
    double values[CLATTN_SUBJECT_MAX_DIM];
    for (int32_t d = 0; d < plane->head_dim; d++) {
        values[d] = ref_load(src, plane->src_dtype, d);
        if (plane->dtype == CLATTN_FP8)
            values[d] = (double)((float)values[d] / clattn_fp8_scale(head));
    }
    ref_store_row(out, plane->dtype, 0, plane->head_dim, values);
}

/* New rows repeat, and so do converted ones when their heads do. */
static const char *wanted_row(const append *a, int plane, int32_t token, int32_t head)
{
    const int64_t row = (int64_t)token * a->desc.kv_heads + head;
    return a->wanted[plane] + (size_t)(row % a->num_wanted) * a->cache_row;
}

static clattn_status make_plane(clattn_subject *subject, int plane, ref_random *random)
{
    append *a = subject->own;
    const int32_t heads = a->desc.kv_heads;
    const int64_t rows = (int64_t)a->desc.max_tokens * heads;
    char *src = clattn_subject_memory(a->src_size);
    a->wanted[plane] = clattn_subject_memory((size_t)a->num_wanted * a->cache_row);
    clattn_status status = src && a->wanted[plane] ? CLATTN_OK : CLATTN_OUT_OF_MEMORY;
    if (status == CLATTN_OK) {
        clattn_fill_rows(src, a->desc.k.src_dtype, rows, a->desc.k.head_dim, 1.0, random);
        for (int64_t i = 0; i < a->num_wanted; i++)
            convert_row(a, src + (size_t)i * a->src_row, (int32_t)(i % heads),
                        a->wanted[plane] + (size_t)i * a->cache_row);
        status = clattn_subject_buffer(subject, (size_t)subject->copies * a->src_size, &a->src[plane]);
    }
    for (int32_t copy = 0; status == CLATTN_OK && copy < subject->copies; copy++)
        status = clattn_subject_write(subject, a->src[plane], (size_t)copy * a->src_size, a->src_size, src);
    free(src);
    if (status == CLATTN_OK)
        status = clattn_subject_buffer(subject, (size_t)subject->copies * a->cache_size, &a->cache[plane]);
    return status;
}

static clattn_status open_append(clattn_subject *subject, uint64_t seed)
{
    append *a = calloc(1, sizeof(*a));
    ref_random random = { seed };
    if (!a)
        return clattn_fail(CLATTN_OUT_OF_MEMORY, "no memory for an append");
    subject->own = a;
    a->desc = describe(subject);
    const size_t heads = (size_t)a->desc.kv_heads, tokens = (size_t)a->desc.max_tokens;
    const int64_t period = (int64_t)CLATTN_PERIOD * a->desc.kv_heads, rows = (int64_t)(tokens * heads);
    a->slots = a->desc.pages * a->desc.page_size;
    a->src_row = clattn_row_bytes(a->desc.k.src_dtype, a->desc.k.head_dim);
    a->cache_row = clattn_row_bytes(a->desc.k.dtype, a->desc.k.head_dim);
    a->src_size = tokens * heads * a->src_row;
    a->cache_size = (size_t)a->slots * heads * a->cache_row;
    a->num_wanted = rows < period ? rows : period;
    subject->work = (double)(PLANES * tokens * heads * (a->src_row + a->cache_row));
    subject->copies = clattn_subject_wanted_copies(subject, subject->work);
    subject->got_size = PLANES * a->cache_size;
    subject->got = clattn_subject_memory(subject->got_size);
    if (!subject->got)
        return CLATTN_OUT_OF_MEMORY;
    CLATTN_TRY(make_slots(subject, &random));
    CLATTN_TRY(clattn_subject_scales(subject, a->desc.kv_heads, &a->scales));
    for (int plane = 0; plane < PLANES; plane++)
        CLATTN_TRY(make_plane(subject, plane, &random));
    return CLATTN_OK;
}

static void close_append(clattn_subject *subject)
{
    append *a = subject->own;
    clattn_subject_release(&a->slot_mapping);
    clattn_subject_release(&a->scales);
    for (int plane = 0; plane < PLANES; plane++) {
        clattn_subject_release(&a->src[plane]);
        clattn_subject_release(&a->cache[plane]);
        free(a->wanted[plane]);
    }
    free(a->tokens);
    free(a);
}

static clattn_status build_append(clattn_trial *trial)
{
    const append *a = trial->subject->own;
    const clattn_tile *tile = &trial->candidate.tile;
    return clattn_append_plan_build(trial->subject->device, &a->desc, tile, tile, &trial->append);
}

/* K and V are of one type, so that they go in one launch. */
static clattn_status enqueue(const clattn_trial *trial, int32_t tokens, int32_t copy, cl_event *event)
{
    const append *a = trial->subject->own;
    clattn_append_call call = {
        .tokens = tokens, .slots = a->slot_mapping, .error_record = a->slot_mapping, .error_record_offset = -1
    };
    for (int plane = 0; plane < PLANES; plane++)
        call.planes[plane] = (clattn_append_plane_call){
            .src = a->src[plane],
            .cache = a->cache[plane],
            .scales = a->scales,
            .src_offset = copy * (int64_t)(a->src_size / clattn_dtype_alignment(a->desc.k.src_dtype)),
            .cache_offset = copy * (int64_t)(a->cache_size / clattn_dtype_alignment(a->desc.k.dtype)),
        };
    return clattn_append_enqueue(trial->append, 0, &call, trial->subject->queue, 0, NULL, event);
}

static clattn_status run_append_case(clattn_trial *trial, int which)
{
    const clattn_subject *subject = trial->subject;
    const append *a = subject->own;
    const int32_t copy = which == CASE_TIMED ? subject->copies - 1 : 0;
    const size_t offset = (size_t)copy * a->cache_size;
    for (int plane = 0; plane < PLANES; plane++)
        CLATTN_TRY(clattn_subject_clear(subject, a->cache[plane], offset, a->cache_size));
    CLATTN_TRY(enqueue(trial, tokens_of(a, which), copy, NULL));
    CLATTN_TRY(clattn_subject_finish(subject));
    for (int plane = 0; plane < PLANES; plane++)
        CLATTN_TRY(clattn_subject_read(subject, a->cache[plane], offset, a->cache_size,
                                       subject->got + (size_t)plane * a->cache_size));
    return CLATTN_OK;
}

static bool slot_is_right(const clattn_subject *subject, int which, int plane, int32_t slot, char *why, size_t why_size)
{
    const append *a = subject->own;
    const bool written = a->tokens[slot] >= 0 && a->tokens[slot] < tokens_of(a, which);
    char unwritten[CLATTN_SUBJECT_MAX_DIM * sizeof(float)];
    memset(unwritten, CLATTN_UNWRITTEN, a->cache_row);
    for (int32_t head = 0; head < a->desc.kv_heads; head++) {
        const size_t row = (size_t)slot * (size_t)a->desc.kv_heads + (size_t)head;
        const char *got = subject->got + (size_t)plane * a->cache_size + row * a->cache_row;
        if (memcmp(got, written ? wanted_row(a, plane, a->tokens[slot], head) : unwritten, a->cache_row) == 0)
            continue;
        if (written)
            snprintf(why, why_size, "%s of token %" PRId32 ", head %" PRId32 ", is not the reference's bytes",
                     plane_names[plane], a->tokens[slot], head);
        else
            snprintf(why, why_size, "%s of slot %" PRId32 ", head %" PRId32 ", was written, and no token has it",
                     plane_names[plane], slot, head);
        return false;
    }
    return true;
}

static clattn_status judge_append(clattn_subject *subject, int which, bool *right, char *why, size_t why_size)
{
    const append *a = subject->own;
    *right = true;
    for (int plane = 0; plane < PLANES; plane++)
        for (int32_t slot = 0; *right && slot < a->slots; slot++)
            *right = slot_is_right(subject, which, plane, slot, why, why_size);
    return CLATTN_OK;
}

static clattn_status enqueue_append(clattn_trial *trial, int turn, cl_event *first, cl_event *last)
{
    const append *a = trial->subject->own;
    cl_event event = NULL;
    CLATTN_TRY(enqueue(trial, tokens_of(a, CASE_TIMED), turn % trial->subject->copies, &event));
    return clattn_share_event(event, first, last);
}

const clattn_subject_kind clattn_append_kind = {
    .open = open_append,
    .close = close_append,
    .build = build_append,
    .cases = CASES,
    .run_case = run_append_case,
    .judge = judge_append,
    .enqueue = enqueue_append,
};
