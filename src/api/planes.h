/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_API_PLANES_H
#define CLATTN_API_PLANES_H

/* What copies and swaps check and need of a caller's planes. */

#include "kv/copy.h"

/* CLATTN_INVALID_ARGUMENT: another number than the plan's, or no array. */
clattn_status clattn_planes_check_count(const clattn_copy_plan *plan, int32_t num_planes, const clattn_buffer *planes);

/* Each there and large enough. CLATTN_INVALID_ARGUMENT, CLATTN_OPENCL_ERROR. */
clattn_status clattn_planes_check_buffers(const clattn_copy_plan *plan, const clattn_buffer *planes);

/* Where the pages of plane `index` lie. */
clattn_page_array clattn_plane_array(const clattn_copy_plan *plan, int32_t index, const clattn_buffer *buffer);

/* Launches that move `count` pages of every plane. */
int64_t clattn_planes_launches(const clattn_copy_plan *plan, int32_t count);

#endif
