/* SPDX-License-Identifier: BSD-2-Clause */

/* Gather: copies a paged cache into a contiguous tensor, bit for bit or converted to a type without scales, zeros where
 * no page is.
 *
 * ND-range: local (GROUP_LANES, GROUP_ROWS, 1); groups (ceil(out_len / GROUP_TOKENS), 1, any number up to batch). A
 * group has GROUP_TOKENS tokens of a sequence, and those of each further sequence get_num_groups(2) on. Its work-items
 * share the tokens' rows (one a head) along dimension 1 and the elements of a row along dimension 0. No local memory.
 * GATHER_COPIES: rows are copied as bytes, whatever their type; else FROM_DTYPE and TO_DTYPE say what is converted. */

#include "error_record.clh"
#include "gather_args.clh"

#ifdef GATHER_COPIES
#include "copy_bytes.clh"
typedef uchar cache_element;
typedef uchar out_element;
#else
#include "convert.clh"
typedef ELEMENT(FROM) cache_element;
typedef ELEMENT(TO) out_element;
#endif

#define NO_PAGE (-1)

/* The buffers, at what the arguments say is their start. */
typedef struct gather_arrays {
    __global const cache_element *cache;
    __global const float *scales;
    __global out_element *out;
    __global uint *record;
} gather_arrays;

/* The page of a sequence's token, NO_PAGE where it has none: past the length, a hole, an id outside [0, pages). */
int gather_page(const gather_args *args, __global const int *row, int length, int token, int sequence,
                __global uint *record)
{
    if (token >= length)
        return NO_PAGE;
    const int page = row[token / args->page_size];
    if (page >= 0 && page < args->pages)
        return page;
    const bool reports = args->error_record_offset >= 0 && get_local_id(0) == 0 && get_local_id(1) == 0;
    if (page != NO_PAGE && reports)
        record_error(record, RECORD_PAGE_ID, sequence);
    return NO_PAGE;
}

void gather_row(const gather_args *args, const gather_arrays *in, long from, long to, int head)
{
#ifdef GATHER_COPIES
    copy_bytes(in->cache + from, in->out + to, args->row, args->unit);
#else
    const float scale = FROM_DTYPE == FP8_DTYPE ? in->scales[head] : 1.0f;
    convert_row(in->cache, from, in->out, to, args->row, scale);
#endif
}

void gather_zeros(const gather_args *args, const gather_arrays *in, long to)
{
#ifdef GATHER_COPIES
    zero_bytes(in->out + to, args->row, args->unit);
#else
    zero_row(in->out, to, args->row);
#endif
}

/* A group's tokens of one sequence: rows in the order token, head, a work-item of dimension 1 every GROUP_ROWS'th. */
void gather_sequence(const gather_args *args, const gather_arrays *in, int sequence, int length,
                     __global const int *row)
{
    const int first = (int)get_group_id(0) * GROUP_TOKENS;
    const int end = min(first + GROUP_TOKENS, args->out_len);
    int head = (int)get_local_id(1);
    for (int token = first; token < end; token++, head -= args->heads) {
        const int page = gather_page(args, row, length, token, sequence, in->record);
        const long from = page * args->cache_page + token % args->page_size * args->cache_token;
        const long to = sequence * args->out_batch + token * args->out_token;
        for (; head < args->heads; head += GROUP_ROWS) {
            if (page != NO_PAGE)
                gather_row(args, in, from + head * args->cache_head, to + head * args->out_head, head);
            else
                gather_zeros(args, in, to + head * args->out_head);
        }
    }
}

__kernel __attribute__((reqd_work_group_size(GROUP_LANES, GROUP_ROWS, 1)))
void clattn_gather(const gather_args args,              /* every run-time number */
                   __global const cache_element *cache, /* [pages, page_size, heads, head_dim] by strides */
                   __global const int *block_table,     /* [batch, max_pages], -1 is a hole */
                   __global const int *kv_lens,         /* [batch], clamped to capacity and out_len */
                   __global const float *scales,        /* [heads]; read where the cache is fp8 and is converted */
                   __global out_element *out,           /* [batch, out_len, heads, head_dim] by strides, written */
                   __global uint *error_record)         /* [4]: kinds, lowest sequence, reserved */
{
    const gather_arrays in = { cache + args.cache_offset, scales + args.scales_offset, out + args.out_offset,
                               error_record + max(args.error_record_offset, 0L) };
    for (int sequence = (int)get_group_id(2); sequence < args.batch; sequence += (int)get_num_groups(2)) {
        const int room = (int)min(args.capacity, (long)args.out_len);
        const int length = min(kv_lens[args.kv_lens_offset + sequence], room);
        gather_sequence(&args, &in, sequence, length,
                        block_table + args.block_table_offset + sequence * args.block_table_row);
    }
}
