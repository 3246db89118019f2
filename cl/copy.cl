/* SPDX-License-Identifier: BSD-2-Clause */

/* Copy: pages of one plane to other pages of it, or to or from their places in a staging buffer, as bytes.
 *
 * ND-range: local (GROUP_LANES, GROUP_ROWS, 1); groups (any number that covers a page, 1, pairs). A page is cut into
 * segments of COPY_SEGMENT bytes, a multiple of 16; each work-item row of dimension 1 has one. Local memory: none. */

#include "copy_args.clh"
#include "copy_bytes.clh"

__kernel __attribute__((reqd_work_group_size(GROUP_LANES, GROUP_ROWS, 1)))
void clattn_copy(const copy_args args,      /* every run-time number */
                 __global const uchar *src, /* by offset and stride */
                 __global uchar *dst)       /* by offset and stride, written; the same buffer, or another */
{
    const int pair = (int)get_group_id(2);
    const int start = ((int)get_group_id(0) * GROUP_ROWS + (int)get_local_id(1)) * COPY_SEGMENT;
    if (start < args.bytes)
        copy_bytes(src + args.src_offset + args.src[pair] * args.src_stride + start,
                   dst + args.dst_offset + args.dst[pair] * args.dst_stride + start,
                   min(args.bytes - start, COPY_SEGMENT), args.unit);
}
