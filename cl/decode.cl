/* SPDX-License-Identifier: BSD-2-Clause */

/* Decode: few queries against many keys. Each group attends one split of the keys (Flash-Decoding); combine.cl merges
 * the splits. The split size is fixed, so a sequence is cut alike in every batch. A sequence of one split is finished
 * here.
 *
 * ND-range: local (FRAG_LOCAL_SIZE, 1, 1); groups (splits of the longest sequence * kv_heads / FRAG_GROUP_HEADS, row
 * tiles of the largest sequence, batch). Heads come first, so that groups which run at about the same time read
 * neighbouring rows of a cache whose tokens have their heads side by side. Groups past a sequence's splits or rows,
 * those of prefill's sequences and those that find no room in the workspace return at once.
 * Local memory: the fragment's. */

#define CLATTN_DECODE
#include "attend.clh"

/* kv heads that a group attends with the same keys, and which of them is this work-item's. */
#ifndef FRAG_GROUP_HEADS
#define FRAG_GROUP_HEADS 1
#define FRAG_GROUP_HEAD  0
#endif

/* Writes a split's states: (m, l) and the output that belongs to them, not yet divided by l. */
static inline void decode_store_partial(const attend_state *state, const attention_args *a, const sequence *s,
                                        int kv_head, int first_row, int split, __global float *workspace)
{
    FRAG_UNROLL_STORE for (int slot = 0; slot < FRAG_SLOTS(s->rows - first_row); slot++) {
        float max[FRAG_ROW_WIDTH], sum[FRAG_ROW_WIDTH];
        ROW_ARRAY_OF(state->max[slot], max);
        ROW_ARRAY_OF(state->sum[slot], sum);
        COMPACT for (int lane = 0; lane < FRAG_ROW_WIDTH; lane++) {
            const int row = first_row + FRAG_ROW(FRAG_LANE_ID, slot, lane);
            if (row >= s->rows)
                continue;
            const long partial = partial_index(a, s, kv_head, row, split);
            __global float *o = workspace + a->partial_offset + partial * a->v_head_dim;
            FRAG_STORE_OUTPUT(f32, o, 0, &state->output, slot, lane, a->v_head_dim, state->v_scale);
            if (FRAG_OWNS_ROW) {
                workspace[a->partial_state_offset + 2 * partial] = max[lane];
                workspace[a->partial_state_offset + 2 * partial + 1] = sum[lane];
            }
        }
    }
}

__kernel __attribute__((reqd_work_group_size(FRAG_LOCAL_SIZE, 1, 1)))
void clattn_decode(ATTEND_PARAMETERS,
                   __global const float *sinks,            /* [q_heads] */
                   __global ELEMENT(O_STORAGE) *o,         /* [batch, q_len, q_heads, v_head_dim], written */
                   __global float *lse,                    /* [batch, q_len, q_heads], written */
                   __global float *workspace)              /* partial states, written */
{
    FRAG_DECLARE_LOCAL
    const index_arrays indices = ATTEND_INDEX_ARRAYS;
    const hook_arrays hooks = ATTEND_HOOK_ARRAYS;
    const attend_tensors tensors = ATTEND_TENSORS;
    const int split = (int)get_group_id(0) / (args.kv_heads / FRAG_GROUP_HEADS);
    const int kv_head = (int)get_group_id(0) % (args.kv_heads / FRAG_GROUP_HEADS) * FRAG_GROUP_HEADS + FRAG_GROUP_HEAD;
    const int first_row = (int)get_group_id(1) * FRAG_TILE_ROWS;
    const int index = (int)get_group_id(2);
    if (index >= args.batch)
        return;
    sequence s;
    sequence_load(&s, &args, &indices, index);
    const int splits = sequence_splits(&args, &s);
    if (split >= splits || first_row >= s.rows || s.rows > args.decode_max_rows)
        return;
    if (splits > 1 && !sequence_fits_workspace(&args, &s))
        return;

    attend_state state;
    const int begin = split * args.split_size;
    const int end = min(begin + args.split_size, s.kv_len);
    attend(&state, &args, &s, &indices, &hooks, &tensors, kv_head, first_row, begin, end FRAG_LOCAL_ARGUMENT);
    if (splits == 1)
        attend_store(&state, &args, &s, kv_head, first_row, sinks, o, lse);
    else
        decode_store_partial(&state, &args, &s, kv_head, first_row, split, workspace);
}
