/* SPDX-License-Identifier: BSD-2-Clause */

/* Combine: merges the partial states of decode's splits and finishes the rows (Flash-Decoding).
 *
 * ND-range: local (COMBINE_LOCAL_SIZE, 1, 1); groups (partial_rows, kv_heads, batch). A group's work-items stand in
 * COMBINE_RUNS runs of COMBINE_COLUMNS: run y sums splits y, y + COMBINE_RUNS and so on, column x of it the dims x,
 * x + COMBINE_COLUMNS and so on, COMBINE_DIMS of them at a time. All maxima are there beforehand, other than in an
 * online softmax: so the largest is found first, and nothing is rescaled. Groups without a row, and those of sequences
 * that decode finished by itself, return at once.
 * Local memory: COMBINE_LOCAL_SIZE * COMBINE_DIMS floats, none for a single work-item. */

#define FRAG_WIDTH     1
#define FRAG_ROW_WIDTH 1

#include "attention_args.clh"
#include "arith.clh"
#include "storage.clh"
#include "softmax.clh"
#include "sequence.clh"

#define COMBINE_COLUMNS (COMBINE_LOCAL_SIZE < 32 ? COMBINE_LOCAL_SIZE : 32)
#define COMBINE_RUNS    (COMBINE_LOCAL_SIZE / COMBINE_COLUMNS)
/* A split's weight costs more than a few dims do, so a work-item that is alone takes many at a time. */
#define COMBINE_DIMS    (COMBINE_LOCAL_SIZE == 1 ? 128 : 4)
#define COMBINE_STEP    (COMBINE_COLUMNS * COMBINE_DIMS)
#define COMBINE_ID      ((int)get_local_id(0))

/* For each of this work-item's dims from `first` on, the i-th. A work-item that is alone counts them, so that compilers
 * for CPUs make vectors of the loop; others have constant bounds, so that sums stay in registers. */
#if COMBINE_LOCAL_SIZE == 1
#define COMBINE_DIM(i) (i)
#define COMBINE_FOR(i, first, dims) for (int i = 0; i < min(COMBINE_DIMS, (dims) - (first)); i++)
#else
#define COMBINE_DIM(i) (COMBINE_ID % COMBINE_COLUMNS + (i) * COMBINE_COLUMNS)
#define COMBINE_FOR(i, first, dims)                                                                                    \
    for (int i = 0; i < COMBINE_DIMS; i++)                                                                             \
        if ((first) + COMBINE_DIM(i) < (dims))
#endif

/* A row's partial states: (m, l) of each split, and the outputs that belong to them. */
typedef struct combine_row {
    __global const float *states, *outputs;
    int splits, dims;
} combine_row;

INLINED float combine_weight(const combine_row *row, int split, float max)
{
    return SCALAR_EXP2(row->states[2 * split] - max);
}

/* COMBINE_SHARE: from each work-item's `x` to one of all, from the first to the last: `x` starts anew with `initial`,
 * and becomes `expression` of itself and `other`. Only as many work-items as there are splits have something to say. */
#if COMBINE_LOCAL_SIZE == 1
#define COMBINE_DECLARE_LOCAL
#define COMBINE_LOCAL_PARAMETER
#define COMBINE_LOCAL_ARGUMENT
#define COMBINE_SHARE(x, initial, splits, expression)
#else
#define COMBINE_DECLARE_LOCAL \
    __local float combine_floats[COMBINE_LOCAL_SIZE * COMBINE_DIMS]; \
    __local float *shared = combine_floats;
#define COMBINE_LOCAL_PARAMETER , __local float *shared
#define COMBINE_LOCAL_ARGUMENT  , shared
#define COMBINE_SHARE(x, initial, splits, expression)                                                                  \
    shared[COMBINE_ID] = (x);                                                                                          \
    barrier(CLK_LOCAL_MEM_FENCE);                                                                                      \
    (x) = (initial);                                                                                                   \
    for (int i = 0; i < min(COMBINE_LOCAL_SIZE, splits); i++) {                                                        \
        const float other = shared[i];                                                                                 \
        (x) = (expression);                                                                                            \
    }                                                                                                                  \
    barrier(CLK_LOCAL_MEM_FENCE);
#endif

/* The largest maximum, in every work-item. */
INLINED float combine_max(const combine_row *row COMBINE_LOCAL_PARAMETER)
{
    float max = ROW_MAX_INITIAL;
    for (int split = COMBINE_ID; split < row->splits; split += COMBINE_LOCAL_SIZE)
        max = row->states[2 * split] > max ? row->states[2 * split] : max;
    COMBINE_SHARE(max, ROW_MAX_INITIAL, row->splits, other > max ? other : max)
    return max;
}

/* The sum of all splits' p, in every work-item. */
INLINED float combine_sum(const combine_row *row, float max COMBINE_LOCAL_PARAMETER)
{
    float sum = ROW_SUM_INITIAL;
    for (int split = COMBINE_ID; split < row->splits; split += COMBINE_LOCAL_SIZE)
        sum = fma(row->states[2 * split + 1], combine_weight(row, split, max), sum);
    COMBINE_SHARE(sum, ROW_SUM_INITIAL, row->splits, sum + other)
    return sum;
}

/* The sums of all runs, from the first to the last, in the work-items of the first. */
INLINED void combine_runs(float *sums COMBINE_LOCAL_PARAMETER)
{
#if COMBINE_RUNS > 1
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int i = 0; i < COMBINE_DIMS; i++)
        shared[i * COMBINE_LOCAL_SIZE + COMBINE_ID] = sums[i];
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int run = 1; run < COMBINE_RUNS; run++)
        for (int i = 0; i < COMBINE_DIMS; i++)
            sums[i] += shared[i * COMBINE_LOCAL_SIZE + run * COMBINE_COLUMNS + COMBINE_ID % COMBINE_COLUMNS];
#endif
}

/* Sums the splits' outputs from dim `first` on: this work-item's dims, where there are so many. */
INLINED void combine_outputs(float *sums, const combine_row *row, float max, int first COMBINE_LOCAL_PARAMETER)
{
    for (int i = 0; i < COMBINE_DIMS; i++)
        sums[i] = 0.0f;
    for (int split = COMBINE_ID / COMBINE_COLUMNS; split < row->splits; split += COMBINE_RUNS) {
        const float weight = combine_weight(row, split, max);
        __global const float *output = row->outputs + (long)split * row->dims + first;
        COMBINE_FOR(i, first, row->dims)
            sums[i] = fma(output[COMBINE_DIM(i)], weight, sums[i]);
    }
    combine_runs(sums COMBINE_LOCAL_ARGUMENT);
}

__kernel __attribute__((reqd_work_group_size(COMBINE_LOCAL_SIZE, 1, 1)))
void clattn_combine(const attention_args args,              /* every run-time number */
                    __global const int *cu_seqlens_q,       /* [batch + 1] */
                    __global const int *cu_seqlens_kv,      /* [batch + 1] */
                    __global const int *kv_lens,            /* [batch] */
                    __global const int *q_offsets,          /* [batch] */
                    __global const int *page_indptr,        /* [batch + 1] */
                    __global const int *last_page_len,      /* [batch] */
                    __global const float *sinks,            /* [q_heads] */
                    __global ELEMENT(O_STORAGE) *o,         /* [batch, q_len, q_heads, v_head_dim], written */
                    __global float *lse,                    /* [batch, q_len, q_heads], written */
                    __global const float *workspace)        /* decode's partial states */
{
    COMBINE_DECLARE_LOCAL
    const index_arrays indices = { cu_seqlens_q, cu_seqlens_kv, kv_lens, q_offsets, 0, page_indptr, last_page_len, 0 };
    const int row_index = (int)get_group_id(0);
    const int kv_head = (int)get_group_id(1);
    const int index = (int)get_group_id(2);
    if (index >= args.batch)
        return;
    sequence s;
    sequence_load(&s, &args, &indices, index);
    const int splits = sequence_splits(&args, &s);
    if (splits == 1 || row_index >= s.rows || s.rows > args.decode_max_rows || !sequence_fits_workspace(&args, &s))
        return;

    const long first = partial_index(&args, &s, kv_head, row_index, 0);
    const combine_row row = { workspace + args.partial_state_offset + 2 * first,
                              workspace + args.partial_offset + first * args.v_head_dim, splits, args.v_head_dim };
    const float max = combine_max(&row COMBINE_LOCAL_ARGUMENT);
    row_result result;
    row_finish(&result, max, combine_sum(&row, max COMBINE_LOCAL_ARGUMENT),
               row_sink(&args, &s, kv_head, row_index, sinks));
    const long start = args.o.offset + packed_row(&args.o, &s, kv_head, row_index);
    for (int dim = 0; dim < args.v_head_dim; dim += COMBINE_STEP) {
        float sums[COMBINE_DIMS];
        combine_outputs(sums, &row, max, dim COMBINE_LOCAL_ARGUMENT);
        if (COMBINE_ID < COMBINE_COLUMNS)
            COMBINE_FOR(i, dim, args.v_head_dim)
                STORE(O_STORAGE, sums[i] * result.o_factor, o, start + dim + COMBINE_DIM(i));
    }
    if ((args.flags & ARGS_LSE) && COMBINE_ID == 0)
        lse[args.lse.offset + packed_row(&args.lse, &s, kv_head, row_index)] = result.lse;
}
