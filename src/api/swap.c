/* SPDX-License-Identifier: BSD-2-Clause */
#include <inttypes.h>

#include "api/buffers.h"
#include "api/chain.h"
#include "api/planes.h"
#include "util/range.h"
#include "util/status.h"

void clattn_swap_args_init(clattn_swap_args *args)
{
    if (args)
        *args = CLATTN_SWAP_ARGS();
}

/* One call, checked. */
typedef struct swap {
    const clattn_copy_plan *plan;
    const clattn_swap_args *args;
    int32_t num_pages;
    const int32_t *pages;
    size_t bytes; /* of all pages */
    bool out;
} swap;

static clattn_status check_host(swap *s)
{
    if (__builtin_mul_overflow((size_t)s->num_pages, s->plan->page_bytes, &s->bytes) || s->args->host_size < s->bytes)
        return clattn_fail(CLATTN_INVALID_ARGUMENT,
                           "host_size is %zu; it has to be at least %" PRId32 " pages of %zu bytes", s->args->host_size,
                           s->num_pages, s->plan->page_bytes);
    return CLATTN_OK;
}

static clattn_status check_run(swap *s, cl_command_queue queue)
{
    CLATTN_TRY(clattn_require_pointer("plan", s->plan));
    CLATTN_TRY(clattn_require_pointer("args", s->args));
    CLATTN_TRY(clattn_require_pointer("queue", queue));
    if (s->num_pages != 0)
        CLATTN_TRY(clattn_require_pointer("pages", s->pages));
    CLATTN_TRY(clattn_check_struct_size("args", s->args->struct_size, sizeof(*s->args), "CLATTN_SWAP_ARGS"));
    if (s->num_pages != 0)
        CLATTN_TRY(clattn_require_pointer("args->host", s->args->host));
    const clattn_range fields[] = { { "num_pages", s->num_pages, 0, CLATTN_MAX_COUNT } };
    CLATTN_TRY(clattn_check_ranges(fields, 1));
    CLATTN_TRY(clattn_planes_check_count(s->plan, s->args->num_planes, s->args->planes));
    CLATTN_TRY(clattn_page_ids_check(s->plan->marks, s->num_pages, s->pages, !s->out));
    return check_host(s);
}

static clattn_status check_buffers(const swap *s)
{
    CLATTN_TRY(clattn_planes_check_buffers(s->plan, s->args->planes));
    const clattn_buffer_need staging =
        clattn_array_need("staging", &s->args->staging, 1, s->bytes <= INT64_MAX ? (int64_t)s->bytes : -1);
    return clattn_buffer_check(&staging);
}

/* The ids of `move`: pages in the planes, places in the staging buffer. */
static void take_pages(const swap *s, int32_t first, clattn_page_move *move)
{
    const int32_t left = s->num_pages - first;
    move->count = left < CLATTN_COPY_MAX_PAIRS ? left : CLATTN_COPY_MAX_PAIRS;
    for (int32_t i = 0; i < move->count; i++) {
        move->src_ids[i] = s->out ? s->pages[first + i] : first + i;
        move->dst_ids[i] = s->out ? first + i : s->pages[first + i];
    }
}

/* Between planes and staging buffer, 64 pages a launch. */
static clattn_status enqueue_moves(const swap *s, cl_command_queue queue, clattn_chain *chain)
{
    clattn_status status = CLATTN_OK;
    for (int32_t first = 0; first < s->num_pages && status == CLATTN_OK; first += CLATTN_COPY_MAX_PAIRS) {
        clattn_page_move move;
        clattn_page_array staged = { .memory = (cl_mem)s->args->staging.handle,
                                     .offset = (int64_t)s->args->staging.offset,
                                     .stride = (int64_t)s->plan->page_bytes };
        take_pages(s, first, &move);
        for (int32_t i = 0; i < s->plan->num_planes && status == CLATTN_OK; i++) {
            const clattn_page_array plane = clattn_plane_array(s->plan, i, &s->args->planes[i]);
            move.src = s->out ? plane : staged;
            move.dst = s->out ? staged : plane;
            move.bytes = s->plan->planes[i].page_bytes;
            status =
                clattn_copy_enqueue(s->plan, &move, queue, chain->num_wait, chain->wait_list, clattn_chain_next(chain));
            clattn_chain_advance(chain);
            staged.offset += move.bytes;
        }
    }
    return status;
}

static clattn_status enqueue_transfer(const swap *s, cl_command_queue queue, clattn_chain *chain)
{
    cl_mem staging = (cl_mem)s->args->staging.handle;
    const size_t offset = s->args->staging.offset;
    cl_event *event = clattn_chain_next(chain);
    const cl_int code = s->out ? clEnqueueReadBuffer(queue, staging, CL_FALSE, offset, s->bytes, s->args->host,
                                                     chain->num_wait, chain->wait_list, event)
                               : clEnqueueWriteBuffer(queue, staging, CL_FALSE, offset, s->bytes, s->args->host,
                                                      chain->num_wait, chain->wait_list, event);
    clattn_chain_advance(chain);
    return code == CL_SUCCESS ? CLATTN_OK
                              : clattn_fail_cl(s->out ? "clEnqueueReadBuffer" : "clEnqueueWriteBuffer", code);
}

static clattn_status run(swap *s, cl_command_queue queue, cl_uint num_wait, const cl_event *wait_list, cl_event *event)
{
    CLATTN_TRY(check_run(s, queue));
    clattn_queue_use use;
    CLATTN_TRY(clattn_queue_use_init(&use, s->plan->device, queue, num_wait, wait_list));
    if (s->num_pages == 0)
        return clattn_enqueue_nothing(&use, event);
    CLATTN_TRY(check_buffers(s));
    clattn_chain chain;
    clattn_chain_begin(&chain, &use, clattn_planes_launches(s->plan, s->num_pages) + 1, event != NULL);
    clattn_status status = s->out ? enqueue_moves(s, queue, &chain) : enqueue_transfer(s, queue, &chain);
    if (status == CLATTN_OK)
        status = s->out ? enqueue_transfer(s, queue, &chain) : enqueue_moves(s, queue, &chain);
    return clattn_chain_end(&chain, status, event);
}

clattn_status clattn_swap_out_run(const clattn_copy_plan *plan, int32_t num_pages, const int32_t *pages,
                                  const clattn_swap_args *args, cl_command_queue queue, cl_uint num_events_in_wait_list,
                                  const cl_event *event_wait_list, cl_event *event)
{
    swap call = { .plan = plan, .args = args, .num_pages = num_pages, .pages = pages, .out = true };
    return run(&call, queue, num_events_in_wait_list, event_wait_list, event);
}

clattn_status clattn_swap_in_run(const clattn_copy_plan *plan, int32_t num_pages, const int32_t *pages,
                                 const clattn_swap_args *args, cl_command_queue queue, cl_uint num_events_in_wait_list,
                                 const cl_event *event_wait_list, cl_event *event)
{
    swap call = { .plan = plan, .args = args, .num_pages = num_pages, .pages = pages, .out = false };
    return run(&call, queue, num_events_in_wait_list, event_wait_list, event);
}
