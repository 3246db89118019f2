/* SPDX-License-Identifier: BSD-2-Clause */

/* Prefill: many queries. FlashAttention-2 (arXiv 2307.08691): each tile of packed rows attends all its keys.
 *
 * ND-range: local (FRAG_LOCAL_SIZE, 1, 1); groups (row tiles of the longest sequence, or with FRAG_ROW_TILES shares of
 * up to prefill_tiles of them, kv_heads, batch), taken in an order of the kernel's own. Tiles are taken from the last
 * to the first, because under a causal mask the last have the most keys. Groups past a sequence's rows, and those of
 * decode's sequences, return at once.
 * Local memory: the fragment's. */

#include "attend.clh"

/* A group's tile, counted from the last, its kv head and its sequence. Where the fragment says FRAG_HEADS_FIRST the
 * long tiles of all heads start before shorter ones of any, so that short ones fill the end of a launch. Otherwise
 * groups that run at about the same time share a head's keys, which are in a cache: a CPU's, or the GPU's where
 * products are so fast that reading K and V counts. */
static inline void group_place(int *from_last, int *kv_head, int *index)
{
#if FRAG_HEADS_FIRST
    const size_t tiles = get_num_groups(0), heads = get_num_groups(1), sequences = get_num_groups(2);
    const size_t number = get_group_id(0) + tiles * (get_group_id(1) + heads * get_group_id(2));
    *kv_head = (int)(number % heads);
    *index = (int)(number / heads % sequences);
    *from_last = (int)(number / heads / sequences);
#else
    *from_last = (int)get_group_id(0);
    *kv_head = (int)get_group_id(1);
    *index = (int)get_group_id(2);
#endif
}

/* The rows of the group that is the from_last-th from the last attend, and are written. */
static inline void prefill_rows(const attention_args *a, const sequence *s, const index_arrays *indices,
                                const hook_arrays *hooks, const attend_tensors *tensors, int kv_head, int from_last,
                                __global const float *sinks, __global ELEMENT(O_STORAGE) *o,
                                __global float *lse FRAG_LOCAL_PARAMETER)
{
    const int tiles = (s->rows + FRAG_TILE_ROWS - 1) / FRAG_TILE_ROWS;
#ifdef FRAG_ROW_TILES
    const int groups = (tiles + a->prefill_tiles - 1) / a->prefill_tiles;
    const int group = groups - 1 - from_last;
    if (group < 0)
        return;
    const int first = share_begin(tiles, group, groups), end = share_begin(tiles, group + 1, groups);
    row_tile rows[FRAG_ROW_TILES];
    frag_room room;
    attend_step step;
    attend_step_init(&step, a, s, indices, hooks, tensors, kv_head);
    attend_row_tiles(rows, &room, end - first, &step, first * FRAG_TILE_ROWS, 0, s->kv_len);
    NO_UNROLL for (int t = first; t < end; t++)
        attend_store(&rows[t - first].state, a, s, kv_head, t * FRAG_TILE_ROWS, sinks, o, lse);
#else
    const int tile = tiles - 1 - from_last;
    if (tile < 0)
        return;
    attend_state state;
    const int first_row = tile * FRAG_TILE_ROWS;
    attend(&state, a, s, indices, hooks, tensors, kv_head, first_row, 0, s->kv_len FRAG_LOCAL_ARGUMENT);
    attend_store(&state, a, s, kv_head, first_row, sinks, o, lse);
#endif
}

__kernel __attribute__((reqd_work_group_size(FRAG_LOCAL_SIZE, 1, 1)))
void clattn_prefill(ATTEND_PARAMETERS,
                    __global const float *sinks,            /* [q_heads] */
                    __global ELEMENT(O_STORAGE) *o,         /* [batch, q_len, q_heads, v_head_dim], written */
                    __global float *lse)                    /* [batch, q_len, q_heads], written */
{
    FRAG_DECLARE_LOCAL
    const index_arrays indices = ATTEND_INDEX_ARRAYS;
    const hook_arrays hooks = ATTEND_HOOK_ARRAYS;
    const attend_tensors tensors = ATTEND_TENSORS;
    int from_last, kv_head, index;
    group_place(&from_last, &kv_head, &index);
    if (index >= args.batch)
        return;
    sequence s;
    sequence_load(&s, &args, &indices, index);
    if (s.rows <= args.decode_max_rows)
        return;
    prefill_rows(&args, &s, &indices, &hooks, &tensors, kv_head, from_last, sinks, o, lse FRAG_LOCAL_ARGUMENT);
}
