/* SPDX-License-Identifier: BSD-2-Clause */

/* Merge: from partial results over disjoint sets of keys to the result over all of them.
 *
 * ND-range: local (MERGE_LANES, MERGE_ROWS, 1); groups (any number, 1, 1). A group has rows_per_group rows (a row is a
 * token's head), and those that as many rows as all groups have lie behind. Its work-items share the rows along
 * dimension 1 and the elements of a row along dimension 0: MERGE_WIDTH neighbours each, MERGE_BLOCKS times at once.
 * Local memory: none.
 *
 * All LSEs are there beforehand, other than in an online softmax: so a first pass finds the largest, and
 * nothing is rescaled. LSEs stay natural, since the largest has to come out as it went in. */

#define FRAG_WIDTH MERGE_WIDTH

#include "merge_args.clh"
#include "arith.clh"
#include "storage.clh"

#if MERGE_WIDTH == 1
#define MERGE_LOAD   LOAD
#define MERGE_STORE  STORE
#define MERGE_ANY(x) (x)
#else
#define MERGE_LOAD   LOAD16
#define MERGE_STORE  STORE16
#define MERGE_ANY(x) (x).s0
#endif

#define PART_STORAGE STORAGE(CLATTN_PART_DTYPE)
#define BLOCK_STEP   (MERGE_LANES * MERGE_WIDTH)

/* One row's inputs, and what its LSEs say. */
typedef struct merge_row {
    __global const ELEMENT(PART_STORAGE) *o_parts;
    __global const float *lse_parts;
    float sink;    /* -inf: none */
    float largest; /* LSE, the sink's logit included; that of NaNs does not count */
    int filled;    /* parts that are not empty */
    int last;      /* of them */
} merge_row;

static inline bool merge_is_empty(float lse)
{
    return lse == -INFINITY;
}

/* The same in all of a vector: a scalar exp2 takes PoCL three times as long. */
static inline vfloat merge_weight(float lse, float largest)
{
    return EXP2((vfloat)((lse - largest) * LOG2_E));
}

static inline void merge_survey(const merge_args *args, merge_row *row)
{
    row->largest = row->sink;
    row->filled = 0;
    row->last = 0;
    for (int part = 0; part < args->parts; part++) {
        const float lse = row->lse_parts[part * args->lse_parts_part];
        if (merge_is_empty(lse))
            continue;
        row->largest = lse > row->largest ? lse : row->largest;
        row->last = part;
        row->filled++;
    }
}

/* Where block `block` of a work-item begins. Blocks that reach over the row's end begin earlier: what two of them share
 * both compute alike. */
static inline int merge_block(const merge_args *args, int dim, int block)
{
    return min(dim + block * BLOCK_STEP, args->dim - MERGE_WIDTH);
}

/* From dim on, the work-item's blocks of the sum of weights * O, divided by the sum of weights, which is returned. */
static inline float merge_dims(const merge_args *args, const merge_row *row, int dim,
                               __global ELEMENT(O_STORAGE) *o)
{
    vfloat sums[MERGE_BLOCKS];
    int at[MERGE_BLOCKS];
    UNROLL
    for (int block = 0; block < MERGE_BLOCKS; block++) {
        sums[block] = (vfloat)0.0f;
        at[block] = merge_block(args, dim, block);
    }
    vfloat total = merge_is_empty(row->sink) ? (vfloat)0.0f : merge_weight(row->sink, row->largest);
    for (int part = 0; part < args->parts; part++) {
        const float lse = row->lse_parts[part * args->lse_parts_part];
        if (merge_is_empty(lse))
            continue;
        const vfloat weight = merge_weight(lse, row->largest);
        const long start = part * args->o_parts_part;
        total += weight;
        UNROLL
        for (int block = 0; block < MERGE_BLOCKS; block++)
            sums[block] = fma(MERGE_LOAD(PART_STORAGE, row->o_parts, start, at[block]), weight, sums[block]);
    }
    const vfloat factor = 1.0f / total;
    UNROLL
    for (int block = 0; block < MERGE_BLOCKS; block++)
        if (dim + block * BLOCK_STEP < args->dim)
            MERGE_STORE(O_STORAGE, sums[block] * factor, o, at[block]);
    return MERGE_ANY(total);
}

/* The only part that is not empty, or zeros where there is none. Not by weights of 1 and 0: a device may flush
 * subnormals when it calculates. */
static inline void merge_copy(const merge_args *args, const merge_row *row, int dim, __global ELEMENT(O_STORAGE) *o)
{
    UNROLL
    for (int block = 0; block < MERGE_BLOCKS; block++) {
        const int at = merge_block(args, dim, block);
        vfloat value = (vfloat)0.0f;
        if (row->filled == 1)
            value = MERGE_LOAD(PART_STORAGE, row->o_parts, row->last * args->o_parts_part, at);
        if (dim + block * BLOCK_STEP < args->dim)
            MERGE_STORE(O_STORAGE, value, o, at);
    }
}

/* Writes a row of O, as far as the work-item has a share of it; lane 0 writes its LSE, if there is a place. */
static inline void merge_write(const merge_args *args, const merge_row *row, __global ELEMENT(O_STORAGE) *o,
                               __global float *lse)
{
    const bool is_sum = row->filled > 1 || (row->filled == 1 && !merge_is_empty(row->sink));
    float total = 1.0f;
    for (int dim = (int)get_local_id(0) * MERGE_WIDTH; dim < args->dim; dim += BLOCK_STEP * MERGE_BLOCKS) {
        if (is_sum)
            total = merge_dims(args, row, dim, o);
        else
            merge_copy(args, row, dim, o);
    }
    if (args->lse_offset < 0 || get_local_id(0) != 0)
        return;
    if (is_sum)
        *lse = row->largest + log(total);
    else
        *lse = row->filled == 1 ? row->lse_parts[row->last * args->lse_parts_part] : row->sink;
}

__kernel __attribute__((reqd_work_group_size(MERGE_LANES, MERGE_ROWS, 1)))
void clattn_merge(const merge_args args,                            /* every run-time number */
                  __global const ELEMENT(PART_STORAGE) *o_parts,    /* [parts, tokens, heads, dim] by strides */
                  __global const float *lse_parts,                  /* [parts, tokens, heads] by strides */
                  __global ELEMENT(O_STORAGE) *o,                   /* [tokens, heads, dim] by strides, written */
                  __global float *lse,                              /* [tokens, heads] by strides, written */
                  __global const float *sinks)                      /* [heads] */
{
    const long step = (long)get_num_groups(0) * args.rows_per_group;
    for (long first = (long)get_group_id(0) * args.rows_per_group; first < args.rows; first += step) {
        const long end = min(first + args.rows_per_group, (long)args.rows);
        for (long r = first + get_local_id(1); r < end; r += MERGE_ROWS) {
            const long token = r / args.heads, head = r % args.heads;
            merge_row row;
            row.o_parts = o_parts + args.o_parts_offset + token * args.o_parts_token + head * args.o_parts_head;
            row.lse_parts = lse_parts + args.lse_parts_offset + token * args.lse_parts_token +
                            head * args.lse_parts_head;
            row.sink = args.sinks_offset >= 0 ? sinks[args.sinks_offset + head] : -INFINITY;
            merge_survey(&args, &row);
            merge_write(&args, &row, o + args.o_offset + token * args.o_token + head * args.o_head,
                        lse + args.lse_offset + token * args.lse_token + head * args.lse_head);
        }
    }
}
