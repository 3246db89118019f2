/* SPDX-License-Identifier: BSD-2-Clause */

/* Combine: merges the partial states of decode's splits, from the first split to the last, and finishes the rows.
 *
 * ND-range: local (COMBINE_LOCAL_SIZE, 1, 1); groups (partial_rows, kv_heads, batch). Work-item x has dims
 * [x, x + 1) * COMBINE_DIMS, and those COMBINE_LOCAL_SIZE * COMBINE_DIMS further on. Groups without a row, and those of
 * sequences that decode finished by itself, return at once.
 * Local memory: none. */

#define FRAG_WIDTH     1
#define FRAG_ROW_WIDTH 1

#include "attention_args.clh"
#include "arith.clh"
#include "storage.clh"
#include "softmax.clh"
#include "sequence.clh"

/* A split's weights cost more than a few dims do, so a work-item that is alone takes many at a time. */
#define COMBINE_DIMS (COMBINE_LOCAL_SIZE == 1 ? 128 : 8)

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
    const index_arrays indices = { cu_seqlens_q, cu_seqlens_kv, kv_lens, q_offsets, 0, page_indptr, last_page_len, 0 };
    const int row = (int)get_group_id(0);
    const int kv_head = (int)get_group_id(1);
    const int index = (int)get_group_id(2);
    if (index >= args.batch)
        return;
    sequence s;
    sequence_load(&s, &args, &indices, index);
    const int splits = sequence_splits(&args, &s);
    if (splits == 1 || row >= s.rows || s.rows > args.decode_max_rows || !sequence_fits_workspace(&args, &s))
        return;

    const long first = partial_index(&args, &s, kv_head, row, 0);
    __global const float *states = workspace + args.partial_state_offset + 2 * first;
    __global const float *outputs = workspace + args.partial_offset + first * args.v_head_dim;
    const long start = args.o.offset + packed_row(&args.o, &s, kv_head, row);
    const float sink = row_sink(&args, &s, kv_head, row, sinks);
    const int step = COMBINE_LOCAL_SIZE * COMBINE_DIMS;
    for (int dim = (int)get_local_id(0) * COMBINE_DIMS; dim < args.v_head_dim; dim += step) {
        const int count = min(COMBINE_DIMS, args.v_head_dim - dim);
        float sum[COMBINE_DIMS] = { 0.0f };
        float m = ROW_MAX_INITIAL, l = ROW_SUM_INITIAL;
        for (int split = 0; split < splits; split++) {
            row_merge merge;
            row_merge_states(&merge, m, l, states[2 * split], states[2 * split + 1]);
            m = merge.max;
            l = merge.sum;
            __global const float *other = outputs + (long)split * args.v_head_dim + dim;
            for (int i = 0; i < count; i++)
                sum[i] = fma(other[i], merge.add_factor, sum[i] * merge.keep_factor);
        }
        row_result result;
        row_finish(&result, m, l, sink);
        for (int i = 0; i < count; i++)
            STORE(O_STORAGE, sum[i] * result.o_factor, o, start + dim + i);
        if ((args.flags & ARGS_LSE) && dim == 0)
            lse[args.lse.offset + packed_row(&args.lse, &s, kv_head, row)] = result.lse;
    }
}
