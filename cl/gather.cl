/* SPDX-License-Identifier: BSD-2-Clause */

/* Gather: copies a paged cache into a contiguous tensor, bit for bit, zeros where no page is.
 *
 * ND-range: local (GATHER_LANES, GATHER_ROWS, 1); groups (ceil(out_len / GATHER_TOKENS), 1, any number up to batch). A
 * group has GATHER_TOKENS tokens of a sequence, and those of each further sequence get_num_groups(2) on. Its work-items
 * share the tokens' rows (one a head) along dimension 1 and the elements of a row along dimension 0.
 * Local memory: none. GATHER_ELEMENT_SIZE is the bytes of an element, 2 or 4: types do not matter to a copy. */

#include "gather_args.clh"

#if GATHER_ELEMENT_SIZE == 2
typedef ushort element;
#else
typedef uint element;
#endif

#define NO_PAGE (-1)

/* The page of a sequence's token, NO_PAGE where it has none: past the length, a hole, an id outside [0, pages). */
int gather_page(const gather_args *args, __global const int *row, int length, int token)
{
    if (token >= length)
        return NO_PAGE;
    const int page = row[token / args->page_size];
    return page >= 0 && page < args->pages ? page : NO_PAGE;
}

void gather_report(__global uint *record, int sequence)
{
    atomic_or((volatile __global uint *)record, GATHER_ERROR_PAGE_ID);
    atomic_min((volatile __global uint *)record + 1, (uint)sequence);
}

void gather_row(const gather_args *args, __global const element *restrict from, __global element *restrict to)
{
    for (int i = (int)get_local_id(0); i < args->head_dim; i += GATHER_LANES)
        to[i] = from[i];
}

void gather_zeros(const gather_args *args, __global element *to)
{
    for (int i = (int)get_local_id(0); i < args->head_dim; i += GATHER_LANES)
        to[i] = 0;
}

/* A group's tokens of one sequence. */
void gather_sequence(const gather_args *args, int sequence, int length, __global const element *cache,
                     __global const int *row, __global element *out, __global uint *record)
{
    const int first = (int)get_group_id(0) * GATHER_TOKENS;
    const int tokens = min(GATHER_TOKENS, args->out_len - first);
    for (int r = (int)get_local_id(1); r < tokens * args->heads; r += GATHER_ROWS) {
        const int token = first + r / args->heads;
        const int head = r % args->heads;
        const int page = gather_page(args, row, length, token);
        __global element *to = out + sequence * args->out_batch + token * args->out_token + head * args->out_head;
        if (page != NO_PAGE) {
            gather_row(args,
                       cache + page * args->cache_page + token % args->page_size * args->cache_token +
                           head * args->cache_head,
                       to);
            continue;
        }
        gather_zeros(args, to);
        const bool reports = args->error_record_offset >= 0 && head == 0 && get_local_id(0) == 0;
        if (reports && token < length && row[token / args->page_size] != NO_PAGE)
            gather_report(record + args->error_record_offset, sequence);
    }
}

__kernel __attribute__((reqd_work_group_size(GATHER_LANES, GATHER_ROWS, 1)))
void clattn_gather(const gather_args args,             /* every run-time number */
                   __global const element *cache,      /* [pages, page_size, heads, head_dim] by strides */
                   __global const int *block_table,    /* [batch, max_pages], -1 is a hole */
                   __global const int *kv_lens,        /* [batch], clamped to capacity and out_len */
                   __global element *out,              /* [batch, out_len, heads, head_dim] by strides, written */
                   __global uint *error_record)        /* [4]: kinds, lowest sequence, reserved */
{
    for (int sequence = (int)get_group_id(2); sequence < args.batch; sequence += (int)get_num_groups(2)) {
        const int room = (int)min(args.capacity, (long)args.out_len);
        const int length = min(kv_lens[args.kv_lens_offset + sequence], room);
        gather_sequence(&args, sequence, length, cache + args.cache_offset,
                        block_table + args.block_table_offset + sequence * args.block_table_row,
                        out + args.out_offset, error_record);
    }
}
