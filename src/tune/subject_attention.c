/* SPDX-License-Identifier: BSD-2-Clause */
/* Attention: prefill, decode, and combine behind a decode. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plan/arguments.h"
#include "tune/subject_internal.h"
#include "tune/subject_reference.h"
#include "util/status.h"

/* Sequence 0 of K and V is the one that lengths with tails are tried on: past its length there is NaN. The copies of
 * the timed batch follow it; a copy is chosen by the offset of K and V, and all have one block table. */
typedef struct attention {
    clattn_attention_desc desc;
    int32_t columns; /* of the block table; slots of a sequence are columns * page_size, or kv_len */
    int64_t slots, sequence_blocks;
    size_t q_size, o_size, sequence_bytes;
    cl_mem q, k, v, o, table, lens, scales;
    clattn_reference reference;
    int32_t *host_table, *host_lens;
    float *host_scales;
    char *host_q, *host_k, *host_v;
} attention;

enum { CASE_TAIL, CASE_EDGE, CASE_TIMED, CASES };

/* One more than a multiple of every tile's keys: the last tile has one key. */
#define EDGE_KEYS 385

static clattn_lengths lengths_of(const clattn_subject *subject, int which)
{
    const clattn_subject_sizes *s = &subject->shape;
    const int32_t rows = s->q_len > CLATTN_TAIL_ROWS ? s->q_len - CLATTN_TAIL_ROWS : s->q_len;
    if (which == CASE_TIMED)
        return (clattn_lengths){ .batch = s->batch, .q_len = s->q_len, .kv_len = s->kv_len };
    return (clattn_lengths){ .batch = 1,
                             .q_len = rows,
                             .kv_len = which == CASE_TAIL ? s->kv_len - CLATTN_TAIL_KEYS : EDGE_KEYS };
}

/* Where key j lies, in rows of head_dim from the start of K. */
static int64_t row_of_key(const clattn_subject *subject, int32_t sequence, int32_t head, int32_t j)
{
    const attention *a = subject->own;
    const int64_t heads = subject->shape.kv_heads, page_size = subject->shape.page_size;
    const int64_t first = sequence * heads * a->slots;
    if (page_size == 0)
        return first + head * a->slots + j;
    const int64_t pages_before = sequence > 0 ? a->columns : 0; /* ids count from a copy's first page */
    const int64_t page = pages_before + a->host_table[sequence * (int64_t)a->columns + j / page_size];
    return (page * page_size + j % page_size) * heads + head;
}

static void poison(const clattn_subject *subject, int32_t sequence, int32_t from)
{
    attention *a = subject->own;
    const size_t row = clattn_row_bytes(a->desc.k_dtype, a->desc.head_dim);
    for (int32_t head = 0; head < subject->shape.kv_heads; head++)
        for (int32_t j = from; j < (int32_t)a->slots; j++) {
            const size_t at = (size_t)row_of_key(subject, sequence, head, j) * row;
            memset(a->host_k + at, CLATTN_UNWRITTEN, row);
            memset(a->host_v + at, CLATTN_UNWRITTEN, row);
        }
}

static clattn_status make_tables(clattn_subject *subject, ref_random *random)
{
    attention *a = subject->own;
    const int32_t batch = subject->shape.batch;
    a->host_lens = clattn_subject_memory((size_t)(2 + batch) * sizeof(int32_t));
    a->host_table = clattn_subject_memory((size_t)(1 + batch) * (size_t)a->columns * sizeof(int32_t) + 1);
    a->host_scales = clattn_subject_memory((size_t)subject->shape.kv_heads * sizeof(float));
    if (!a->host_lens || !a->host_table || !a->host_scales)
        return CLATTN_OUT_OF_MEMORY;
    a->host_lens[0] = lengths_of(subject, CASE_TAIL).kv_len;
    a->host_lens[1] = EDGE_KEYS;
    for (int32_t b = 0; b < batch; b++)
        a->host_lens[2 + b] = subject->shape.kv_len;
    for (int32_t head = 0; head < subject->shape.kv_heads; head++)
        a->host_scales[head] = clattn_fp8_scale(head);
    clattn_shuffle(a->host_table, a->columns, random);
    clattn_shuffle(a->host_table + a->columns, batch * a->columns, random);
    return CLATTN_OK;
}

static clattn_status make_numbers(clattn_subject *subject, ref_random *random)
{
    attention *a = subject->own;
    const clattn_subject_sizes *s = &subject->shape;
    const size_t kv_size = (size_t)(1 + s->batch) * a->sequence_bytes;
    const int64_t kv_rows = (1 + s->batch) * s->kv_heads * a->slots;
    const double unit = a->desc.k_dtype == CLATTN_FP8 ? CLATTN_FP8_UNIT : 1.0;
    a->host_q = clattn_subject_memory(a->q_size);
    a->host_k = clattn_subject_memory(kv_size);
    a->host_v = clattn_subject_memory(kv_size);
    subject->got_size = a->o_size;
    subject->got = clattn_subject_memory(subject->got_size);
    if (!a->host_q || !a->host_k || !a->host_v || !subject->got)
        return CLATTN_OUT_OF_MEMORY;
    clattn_fill_rows(a->host_q, a->desc.q_dtype, (int64_t)s->batch * s->q_heads * s->q_len, s->head_dim, 1.0, random);
    clattn_fill_rows(a->host_k, a->desc.k_dtype, kv_rows, s->head_dim, unit, random);
    clattn_fill_rows(a->host_v, a->desc.v_dtype, kv_rows, s->head_dim, unit, random);
    poison(subject, 0, a->host_lens[0]);
    for (int32_t b = 0; b < s->batch; b++)
        poison(subject, 1 + b, s->kv_len);
    return CLATTN_OK;
}

/* Later copies are made on the device. */
static clattn_status load_keys(const clattn_subject *subject, const char *from, cl_mem *out)
{
    const attention *a = subject->own;
    const size_t one = (size_t)subject->shape.batch * a->sequence_bytes, first = a->sequence_bytes;
    CLATTN_TRY(clattn_subject_buffer(subject, first + (size_t)subject->copies * one, out));
    CLATTN_TRY(clattn_subject_write(subject, *out, 0, first + one, from));
    for (int32_t copy = 1; copy < subject->copies; copy++)
        CLATTN_TRY(clattn_subject_copy(subject, *out, first, first + (size_t)copy * one, one));
    return CLATTN_OK;
}

static clattn_status load(clattn_subject *subject)
{
    attention *a = subject->own;
    const size_t sequences = 1 + (size_t)subject->shape.batch, heads = (size_t)subject->shape.kv_heads;
    CLATTN_TRY(clattn_subject_upload(subject, a->host_q, a->q_size, &a->q));
    CLATTN_TRY(load_keys(subject, a->host_k, &a->k));
    CLATTN_TRY(load_keys(subject, a->host_v, &a->v));
    CLATTN_TRY(clattn_subject_buffer(subject, a->o_size, &a->o));
    CLATTN_TRY(clattn_subject_upload(subject, a->host_lens, (1 + sequences) * sizeof(int32_t), &a->lens));
    CLATTN_TRY(clattn_subject_upload(subject, a->host_scales, heads * sizeof(float), &a->scales));
    if (a->columns == 0)
        return CLATTN_OK;
    return clattn_subject_upload(subject, a->host_table, sequences * (size_t)a->columns * sizeof(int32_t), &a->table);
}

/* K and V once a kv head; for combine the partial states, and O. */
static double count_work(const clattn_subject *subject)
{
    const clattn_subject_sizes *s = &subject->shape;
    const attention *a = subject->own;
    const double rows = (double)s->batch * s->q_len * s->q_heads;
    if (subject->row.algorithm == CLATTN_ALGORITHM_PREFILL)
        return 4.0 * rows * s->kv_len * s->head_dim;
    if (subject->row.algorithm == CLATTN_ALGORITHM_DECODE)
        return 2.0 * s->batch * s->kv_len * s->kv_heads * (double)clattn_row_bytes(a->desc.k_dtype, s->head_dim);
    const double splits = ceil((double)s->kv_len / s->split_size);
    return rows * (splits * (s->head_dim + 2) * sizeof(float) + (double)clattn_row_bytes(a->desc.o_dtype, s->head_dim));
}

static clattn_status open_attention(clattn_subject *subject, uint64_t seed)
{
    attention *a = calloc(1, sizeof(*a));
    const clattn_subject_sizes *s = &subject->shape;
    ref_random random = { seed };
    if (!a)
        return clattn_fail(CLATTN_OUT_OF_MEMORY, "no memory for an attention problem");
    subject->own = a;
    a->desc = clattn_subject_describe(&subject->row, s);
    a->columns = s->page_size ? a->desc.max_pages : 0;
    a->slots = s->page_size ? (int64_t)a->columns * s->page_size : s->kv_len;
    a->sequence_blocks = a->slots * s->kv_heads * (s->head_dim / clattn_dtype_block_len(a->desc.k_dtype));
    a->sequence_bytes = (size_t)a->sequence_blocks * clattn_dtype_size(a->desc.k_dtype);
    a->q_size =
        (size_t)s->batch * (size_t)s->q_heads * (size_t)s->q_len * clattn_row_bytes(a->desc.q_dtype, s->head_dim);
    a->o_size = a->q_size;
    subject->work = count_work(subject);
    subject->copies = subject->row.algorithm == CLATTN_ALGORITHM_DECODE
                          ? clattn_subject_wanted_copies(subject, 2.0 * s->batch * (double)a->sequence_bytes)
                          : 1;
    CLATTN_TRY(make_tables(subject, &random));
    CLATTN_TRY(make_numbers(subject, &random));
    a->reference = (clattn_reference){ .random = random };
    return load(subject);
}

static void close_attention(clattn_subject *subject)
{
    attention *a = subject->own;
    cl_mem *memory[] = { &a->q, &a->k, &a->v, &a->o, &a->table, &a->lens, &a->scales };
    for (size_t i = 0; i < sizeof(memory) / sizeof(memory[0]); i++)
        clattn_subject_release(memory[i]);
    clattn_reference_free(&a->reference);
    free(a->host_table);
    free(a->host_lens);
    free(a->host_scales);
    free(a->host_q);
    free(a->host_k);
    free(a->host_v);
    free(a);
}

/* A fragment whose plans have the tile's for its kernel: the device's, where that one has. */
static clattn_fragment_id plan_fragment(const clattn_subject *subject, const clattn_tile *tile)
{
    if (clattn_fragment_of(subject->fragment, tile->algorithm) == tile->fragment)
        return subject->fragment;
    int id = 0;
    while (id < CLATTN_FRAGMENT_COUNT &&
           (clattn_fragment_row((clattn_fragment_id)id)->role != CLATTN_ROLE_PLAN ||
            clattn_fragment_of((clattn_fragment_id)id, tile->algorithm) != tile->fragment))
        id++;
    return (clattn_fragment_id)id;
}

static clattn_step_kind step_of(clattn_algorithm algorithm)
{
    switch (algorithm) {
    case CLATTN_ALGORITHM_PREFILL:
        return CLATTN_STEP_PREFILL;
    case CLATTN_ALGORITHM_DECODE:
        return CLATTN_STEP_DECODE;
    default:
        return CLATTN_STEP_COMBINE;
    }
}

/* What is launched; `timed` leaves out what is not of the candidate: the decode before a combine. */
static bool launches_step(const clattn_trial *trial, const clattn_launches *launches, clattn_step_kind kind, bool timed)
{
    const bool left_out =
        timed && trial->candidate.tile.algorithm == CLATTN_ALGORITHM_COMBINE && kind != CLATTN_STEP_COMBINE;
    return !left_out && clattn_launches_step(launches, kind);
}

static clattn_bindings bind(const clattn_trial *trial, int which, int32_t copy)
{
    const clattn_subject *subject = trial->subject;
    const attention *a = subject->own;
    const int64_t units = (int64_t)(clattn_dtype_size(a->desc.k_dtype) / clattn_dtype_alignment(a->desc.k_dtype));
    const bool timed = which == CASE_TIMED;
    clattn_bindings bindings = { 0 };
    for (int i = 0; i < CLATTN_ARG_COUNT; i++)
        bindings.memory[i] = a->o;
    bindings.memory[CLATTN_ARG_Q] = a->q;
    bindings.memory[CLATTN_ARG_K] = a->k;
    bindings.memory[CLATTN_ARG_V] = a->v;
    bindings.memory[CLATTN_ARG_KV_LENS] = a->lens;
    bindings.memory[CLATTN_ARG_K_SCALES] = bindings.memory[CLATTN_ARG_V_SCALES] = a->scales;
    bindings.offsets[CLATTN_ARG_KV_LENS] = which;
    if (a->table)
        bindings.memory[CLATTN_ARG_BLOCK_TABLE] = a->table;
    if (trial->workspace)
        bindings.memory[CLATTN_ARG_WORKSPACE] = trial->workspace;
    bindings.offsets[CLATTN_ARG_BLOCK_TABLE] = timed ? a->columns : 0;
    bindings.offsets[CLATTN_ARG_K] =
        timed ? (1 + (int64_t)copy * subject->shape.batch) * a->sequence_blocks * units : 0;
    bindings.offsets[CLATTN_ARG_V] = bindings.offsets[CLATTN_ARG_K];
    return bindings;
}

/* The steps, each behind the one before. *first and *last are NULL where none is launched. */
static clattn_status enqueue_steps(const clattn_trial *trial, int which, int32_t copy, bool timed, cl_event *first,
                                   cl_event *last)
{
    const clattn_lengths lengths = lengths_of(trial->subject, which);
    const clattn_bindings bindings = bind(trial, which, copy);
    clattn_launches launches;
    CLATTN_TRY(clattn_launches_of_lengths(trial->plan, &lengths, &launches));
    const attention_args args = clattn_attention_args_of(&launches, &bindings);
    cl_event events[CLATTN_STEP_COUNT] = { NULL };
    clattn_status status = CLATTN_OK;
    int count = 0;
    for (int kind = 0; kind < CLATTN_STEP_COUNT && status == CLATTN_OK; kind++) {
        size_t global[3];
        if (!launches_step(trial, &launches, (clattn_step_kind)kind, timed))
            continue;
        clattn_launches_grid(&launches, (clattn_step_kind)kind, global);
        status =
            clattn_step_enqueue(trial->plan, (clattn_step_kind)kind, &args, &bindings, global, trial->subject->queue,
                                count > 0, count > 0 ? &events[count - 1] : NULL, &events[count]);
        count += status == CLATTN_OK;
    }
    *first = count > 0 ? events[0] : NULL;
    *last = count > 0 ? events[count - 1] : NULL;
    for (int i = 1; i < count - 1; i++)
        clReleaseEvent(events[i]);
    return status;
}

static void release_events(cl_event first, cl_event last)
{
    if (first)
        clReleaseEvent(first);
    if (last && last != first)
        clReleaseEvent(last);
}

static clattn_status run_steps(const clattn_trial *trial, int which, int32_t copy)
{
    cl_event first = NULL, last = NULL;
    const clattn_status status = enqueue_steps(trial, which, copy, false, &first, &last);
    release_events(first, last);
    CLATTN_TRY(clattn_subject_finish(trial->subject));
    return status;
}

static clattn_status check_launches(const clattn_trial *trial)
{
    const clattn_step_kind kind = step_of(trial->candidate.tile.algorithm);
    const clattn_lengths lengths = lengths_of(trial->subject, CASE_TIMED);
    clattn_launches launches;
    CLATTN_TRY(clattn_launches_of_lengths(trial->plan, &lengths, &launches));
    if (clattn_launches_step(&launches, kind))
        return CLATTN_OK;
    return clattn_fail(CLATTN_UNSUPPORTED, "a plan with this tile does not run %s on %s", clattn_step_name(kind),
                       trial->subject->text);
}

static clattn_status make_plan(clattn_trial *trial)
{
    const clattn_tile *tile = &trial->candidate.tile;
    const clattn_subject *subject = trial->subject;
    const attention *a = subject->own;
    char name[CLATTN_TILE_NAME_SIZE];
    clattn_plan_params params =
        CLATTN_PLAN_PARAMS(.fragment = clattn_fragment_row(plan_fragment(subject, tile))->name, .ignore_records = 1,
                           .split_size =
                               subject->shape.split_size ? subject->shape.split_size : trial->candidate.split_size);
    clattn_tile_name(tile, name);
    if (tile->algorithm == CLATTN_ALGORITHM_PREFILL)
        params.prefill_tile = name;
    else if (tile->algorithm == CLATTN_ALGORITHM_DECODE)
        params.decode_tile = name;
    else
        params.combine_tile = name;
    return clattn_plan_build(subject->device, &a->desc, &params, &trial->plan);
}

/* Combine's states are there before it is timed. */
static clattn_status build_attention(clattn_trial *trial)
{
    CLATTN_TRY(make_plan(trial));
    CLATTN_TRY(check_launches(trial));
    if (trial->plan->workspace_size > 0)
        CLATTN_TRY(clattn_subject_buffer(trial->subject, trial->plan->workspace_size, &trial->workspace));
    if (trial->candidate.tile.algorithm == CLATTN_ALGORITHM_COMBINE)
        CLATTN_TRY(run_steps(trial, CASE_TIMED, 0));
    return CLATTN_OK;
}

static clattn_status run_attention_case(clattn_trial *trial, int which)
{
    const clattn_subject *subject = trial->subject;
    const attention *a = subject->own;
    CLATTN_TRY(clattn_subject_clear(subject, a->o, 0, a->o_size));
    CLATTN_TRY(run_steps(trial, which, subject->copies - 1));
    return clattn_subject_read(subject, a->o, 0, a->o_size, subject->got);
}

static ref_inputs inputs_of(const clattn_subject *subject, int which)
{
    const attention *a = subject->own;
    const clattn_lengths lengths = lengths_of(subject, which);
    const size_t first = which == CASE_TIMED ? a->sequence_bytes : 0;
    return (ref_inputs){ .q = a->host_q,
                         .k = a->host_k + first,
                         .v = a->host_v + first,
                         .k_scales = a->host_scales,
                         .v_scales = a->host_scales,
                         .kv_lens = a->host_lens + which,
                         .block_table = a->host_table + (which == CASE_TIMED ? a->columns : 0),
                         .batch = lengths.batch,
                         .q_len = lengths.q_len,
                         .kv_len = lengths.kv_len };
}

static clattn_status judge_attention(clattn_subject *subject, int which, bool *right, char *why, size_t why_size)
{
    attention *a = subject->own;
    const ref_inputs inputs = inputs_of(subject, which);
    return clattn_reference_judge(&a->reference, which, &a->desc, &inputs, subject->got, right, why, why_size);
}

static clattn_status enqueue_attention(clattn_trial *trial, int turn, cl_event *first, cl_event *last)
{
    cl_event begins = NULL, ends = NULL;
    const clattn_status status = enqueue_steps(trial, CASE_TIMED, turn % trial->subject->copies, true, &begins, &ends);
    if (status != CLATTN_OK) {
        release_events(begins, ends);
        return status;
    }
    if (begins == ends)
        return clattn_share_event(begins, first, last);
    *first = begins;
    *last = ends;
    return CLATTN_OK;
}

const clattn_subject_kind clattn_attention_kind = {
    .open = open_attention,
    .close = close_attention,
    .build = build_attention,
    .cases = CASES,
    .run_case = run_attention_case,
    .judge = judge_attention,
    .enqueue = enqueue_attention,
};
