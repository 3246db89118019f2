/* SPDX-License-Identifier: BSD-2-Clause */

/* Append: writes the rows of new tokens to the places of a paged cache that slot_mapping gives, in the cache's type.
 *
 * ND-range: local (GROUP_LANES, GROUP_ROWS, 1); groups (ceil(tokens / GROUP_TOKENS), 1, planes). A group has
 * GROUP_TOKENS tokens of a plane, keys or values. Its work-items share the tokens' rows (one a head) along dimension 1
 * and the elements of a row along dimension 0. Local memory: none. APPEND_COPIES: rows are copied as bytes, whatever
 * their type; else FROM_DTYPE and TO_DTYPE say what is converted. All planes of a launch have the same types. */

#include "append_args.clh"
#include "error_record.clh"

#ifdef APPEND_COPIES
#include "copy_bytes.clh"
typedef uchar src_element;
typedef uchar cache_element;
#else
#include "convert.clh"
typedef ELEMENT(FROM) src_element;
typedef ELEMENT(TO) cache_element;
#endif

/* What a plane's buffers are. */
typedef struct append_arrays {
    __global const src_element *src;
    __global cache_element *cache;
    __global const float *scales;
} append_arrays;

void append_row(const append_plane *plane, const append_arrays *in, int token, long place, int head)
{
    const long from = token * plane->src_token + head * plane->src_head;
    const long to = place + head * plane->cache_head;
#ifdef APPEND_COPIES
    copy_bytes(in->src + from, in->cache + to, plane->row, plane->unit);
#else
    const float scale = TO_DTYPE == FP8_DTYPE ? in->scales[head] : 1.0f;
    convert_row(in->src, from, in->cache, to, plane->row, scale);
#endif
}

/* A group's tokens of one plane: rows in the order token, head, each work-item of dimension 1 every GROUP_ROWS'th. */
void append_tokens(const append_args *args, const append_plane *plane, const append_arrays *in,
                   __global const long *slots, __global uint *record, bool reports)
{
    const int first = (int)get_group_id(0) * GROUP_TOKENS;
    const int end = min(first + GROUP_TOKENS, args->tokens);
    int head = (int)get_local_id(1);
    for (int token = first; token < end; token++, head -= plane->heads) {
        const long slot = slots[token];
        if (slot >= args->slots && reports)
            record_error(record, RECORD_SLOT, token);
        if (head >= plane->heads)
            continue;
        const bool writes = slot >= 0 && slot < args->slots;
        const long page = writes ? slot / args->page_size : 0;
        const long place = page * plane->cache_page + (slot - page * args->page_size) * plane->cache_token;
        for (; head < plane->heads; head += GROUP_ROWS)
            if (writes)
                append_row(plane, in, token, place, head);
    }
}

__kernel __attribute__((reqd_work_group_size(GROUP_LANES, GROUP_ROWS, 1)))
void clattn_append(const append_args args,              /* every run-time number */
                   __global const long *slot_mapping,   /* [tokens]; negative: skipped */
                   __global const src_element *src_0,   /* plane 0: [tokens, heads, head_dim] by strides */
                   __global cache_element *cache_0,     /* [pages, page_size, heads, head_dim] by strides, written */
                   __global const float *scales_0,      /* [heads]; read where the cache is fp8 */
                   __global const src_element *src_1,   /* plane 1, alike */
                   __global cache_element *cache_1,
                   __global const float *scales_1,
                   __global uint *error_record)         /* [4]: kinds, lowest token, reserved */
{
    const int index = (int)get_group_id(2);
    append_plane plane = args.planes[0]; /* with no index: not every driver has them into arguments */
    if (index == 1)
        plane = args.planes[1];
    const append_arrays in = { (index == 0 ? src_0 : src_1) + plane.src_offset,
                               (index == 0 ? cache_0 : cache_1) + plane.cache_offset,
                               (index == 0 ? scales_0 : scales_1) + plane.scales_offset };
    const bool reports =
        args.error_record_offset >= 0 && index == 0 && get_local_id(0) == 0 && get_local_id(1) == 0;
    append_tokens(&args, &plane, &in, slot_mapping + args.slots_offset,
                  error_record + (reports ? args.error_record_offset : 0), reports);
}
