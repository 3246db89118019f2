/* SPDX-License-Identifier: BSD-2-Clause */

/* Decode: few queries against many keys. Each group attends one split of the keys (Flash-Decoding); combine.cl merges
 * the splits. The split size is fixed, so a sequence is cut alike in every batch. A sequence of one split is finished
 * here.
 *
 * ND-range: local (FRAG_LOCAL_SIZE, 1, 1); groups (splits of the longest sequence * groups of kv heads, row tiles of
 * the largest sequence, batch). Heads come first, so that groups which run at about the same time read
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

/* Which rows of a sequence, and which of its splits. */
typedef struct decode_place {
    int first_row, split, splits;
} decode_place;

static inline void decode_store(const attend_state *state, const attention_args *a, const sequence *s, int kv_head,
                                const decode_place *place, __global const float *sinks,
                                __global ELEMENT(O_STORAGE) *o, __global float *lse, __global float *workspace)
{
    if (place->splits == 1)
        attend_store(state, a, s, kv_head, place->first_row, sinks, o, lse);
    else
        decode_store_partial(state, a, s, kv_head, place->first_row, place->split, workspace);
}

static inline int decode_head_groups(const attention_args *a)
{
#ifdef FRAG_ROW_TILES
    return (a->kv_heads + a->decode_heads - 1) / a->decode_heads;
#else
    return a->kv_heads / FRAG_GROUP_HEADS;
#endif
}

/* The heads of a group attend a split, and are written. */
static inline void decode_split(const attention_args *a, const sequence *s, const index_arrays *indices,
                                const hook_arrays *hooks, const attend_tensors *tensors, const decode_place *place,
                                int head_group, __global const float *sinks, __global ELEMENT(O_STORAGE) *o,
                                __global float *lse, __global float *workspace FRAG_LOCAL_PARAMETER)
{
    const int begin = place->split * a->split_size;
    const int end = min(begin + a->split_size, s->kv_len);
#ifdef FRAG_ROW_TILES
    const int groups = decode_head_groups(a);
    const int first = share_begin(a->kv_heads, head_group, groups);
    const int heads = share_begin(a->kv_heads, head_group + 1, groups) - first;
    row_tile rows[FRAG_ROW_TILES];
    frag_room room;
    attend_step step;
    attend_step_init(&step, a, s, indices, hooks, tensors, first);
    attend_row_tiles(rows, &room, heads, &step, place->first_row, begin, end);
    NO_UNROLL for (int t = 0; t < heads; t++)
        decode_store(&rows[t].state, a, s, first + t, place, sinks, o, lse, workspace);
#else
    attend_state state;
    const int kv_head = head_group * FRAG_GROUP_HEADS + FRAG_GROUP_HEAD;
    attend(&state, a, s, indices, hooks, tensors, kv_head, place->first_row, begin, end FRAG_LOCAL_ARGUMENT);
    decode_store(&state, a, s, kv_head, place, sinks, o, lse, workspace);
#endif
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
    const int head_groups = decode_head_groups(&args);
    const int split = (int)get_group_id(0) / head_groups, head_group = (int)get_group_id(0) % head_groups;
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

    const decode_place place = { first_row, split, splits };
    decode_split(&args, &s, &indices, &hooks, &tensors, &place, head_group, sinks, o, lse,
                 workspace FRAG_LOCAL_ARGUMENT);
}
