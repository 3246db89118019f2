/* SPDX-License-Identifier: BSD-2-Clause */
#include "api/planes.h"

#include <inttypes.h>
#include <stdio.h>

#include "api/buffers.h"
#include "api/queue.h"
#include "plan/reach.h"
#include "util/status.h"

clattn_status clattn_planes_check_count(const clattn_copy_plan *plan, int32_t num_planes, const clattn_buffer *planes)
{
    if (num_planes != plan->num_planes)
        return clattn_fail(CLATTN_INVALID_ARGUMENT, "num_planes is %" PRId32 "; it has to be the plan's, %" PRId32,
                           num_planes, plan->num_planes);
    return clattn_require_pointer("args->planes", planes);
}

clattn_status clattn_planes_check_buffers(const clattn_copy_plan *plan, const clattn_buffer *planes)
{
    for (int32_t i = 0; i < plan->num_planes; i++) {
        char name[32];
        snprintf(name, sizeof(name), "planes[%" PRId32 "]", i);
        const clattn_dimension pages = { plan->pages, plan->planes[i].page_stride };
        const clattn_buffer_need need =
            clattn_array_need(name, &planes[i], 1, clattn_reach(&pages, 1, plan->planes[i].page_bytes));
        CLATTN_TRY(clattn_buffer_check(&need));
    }
    return CLATTN_OK;
}

clattn_page_array clattn_plane_array(const clattn_copy_plan *plan, int32_t index, const clattn_buffer *buffer)
{
    return (clattn_page_array){ .memory = (cl_mem)buffer->handle,
                                .offset = (int64_t)buffer->offset,
                                .stride = plan->planes[index].page_stride };
}

int64_t clattn_planes_launches(const clattn_copy_plan *plan, int32_t count)
{
    return ((int64_t)count + CLATTN_COPY_MAX_PAIRS - 1) / CLATTN_COPY_MAX_PAIRS * plan->num_planes;
}
