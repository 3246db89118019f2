/* SPDX-License-Identifier: BSD-2-Clause */

/* Copy: pages of one plane to other pages of it, or to or from their places in a staging buffer, as bytes.
 *
 * ND-range: local (GROUP_LANES, GROUP_ROWS, 1); groups (any number that covers a page, 1, pairs). A page is cut into
 * segments of COPY_SEGMENT bytes, a multiple of 16; each work-item row of dimension 1 has one. Local memory: none.
 * COPY_HELD_ARGS: for drivers that cannot index into arguments, a private copy of them is indexed. */

#include "copy_args.clh"
#include "copy_bytes.clh"

__kernel __attribute__((reqd_work_group_size(GROUP_LANES, GROUP_ROWS, 1)))
void clattn_copy(const copy_args args,      /* every run-time number */
                 __global const uchar *src, /* by offset and stride */
                 __global uchar *dst)       /* by offset and stride, written; the same buffer, or another */
{
#ifdef COPY_HELD_ARGS
    const copy_args held = args;
#else
#define held args
#endif
    const int pair = (int)get_group_id(2);
    const long from = args.src_offset + held.src[pair] * args.src_stride;
    const long to = args.dst_offset + held.dst[pair] * args.dst_stride;
    const int start = ((int)get_group_id(0) * GROUP_ROWS + (int)get_local_id(1)) * COPY_SEGMENT;
    if (start < args.bytes)
        copy_bytes(src + from + start, dst + to + start, min(args.bytes - start, COPY_SEGMENT), args.unit);
}
