/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "api/bindings.h"
#include "api/queue.h"
#include "util/status.h"

static clattn_status check_pointers(const clattn_plan *plan, const clattn_attention_args *args, cl_command_queue queue)
{
    CLATTN_TRY(clattn_require_pointer("plan", plan));
    CLATTN_TRY(clattn_require_pointer("args", args));
    CLATTN_TRY(clattn_require_pointer("queue", queue));
    if (args->struct_size != sizeof(*args))
        return clattn_fail(CLATTN_INVALID_ARGUMENT,
                           "args->struct_size is %zu; it has to be %zu (CLATTN_ATTENTION_ARGS sets it)",
                           args->struct_size, sizeof(*args));
    return CLATTN_OK;
}

static clattn_status launches_of(const clattn_plan *plan, const clattn_schedule *schedule, clattn_launches *launches)
{
    *launches = clattn_launches_of_bounds(plan);
    if (!schedule)
        return CLATTN_OK;
    memcpy(launches, schedule, sizeof(*launches));
    if (launches->plan != plan || launches->serial != plan->serial)
        return clattn_fail(CLATTN_INVALID_ARGUMENT,
                           "schedule was not made for this plan; it has to come from clattn_schedule_make with it");
    return CLATTN_OK;
}

static int last_step(const clattn_launches *launches)
{
    int last = -1;
    for (int kind = 0; kind < CLATTN_STEP_COUNT; kind++)
        if (clattn_launches_step(launches, (clattn_step_kind)kind))
            last = kind;
    return last;
}

/* Kernels follow each other; an out-of-order queue is told so by events. */
static clattn_status enqueue_steps(const clattn_launches *launches, const clattn_bindings *bindings,
                                   const clattn_queue_use *use, cl_event *event)
{
    const attention_args args = clattn_attention_args_of(launches, bindings);
    const int last = last_step(launches);
    cl_uint num_wait = use->num_wait;
    const cl_event *wait_list = use->wait_list;
    cl_event previous = NULL;
    clattn_status status = CLATTN_OK;
    for (int kind = 0; kind <= last && status == CLATTN_OK; kind++) {
        if (!clattn_launches_step(launches, (clattn_step_kind)kind))
            continue;
        size_t global[3];
        clattn_launches_grid(launches, (clattn_step_kind)kind, global);
        cl_event done = NULL;
        cl_event *wanted = kind == last ? event : use->out_of_order ? &done : NULL;
        status = clattn_step_enqueue(launches->plan, (clattn_step_kind)kind, &args, bindings, global, use->queue,
                                     num_wait, wait_list, wanted);
        if (previous)
            clReleaseEvent(previous);
        previous = done;
        num_wait = previous ? 1 : 0;
        wait_list = previous ? &previous : NULL;
    }
    if (previous)
        clReleaseEvent(previous);
    return status;
}

clattn_status clattn_attention_run(const clattn_plan *plan, const clattn_schedule *schedule,
                                   const clattn_attention_args *args, cl_command_queue queue,
                                   cl_uint num_events_in_wait_list, const cl_event *event_wait_list, cl_event *event)
{
    CLATTN_TRY(check_pointers(plan, args, queue));
    clattn_queue_use use;
    CLATTN_TRY(clattn_queue_use_init(&use, plan->device, queue, num_events_in_wait_list, event_wait_list));
    clattn_launches launches;
    CLATTN_TRY(launches_of(plan, schedule, &launches));
    if (last_step(&launches) < 0)
        return clattn_enqueue_nothing(&use, event);
    clattn_bindings bindings;
    CLATTN_TRY(clattn_bindings_init(&bindings, &launches, args));
    cl_event done = NULL;
    CLATTN_TRY(enqueue_steps(&launches, &bindings, &use, event ? &done : NULL));
    if (event)
        *event = done;
    return CLATTN_OK;
}
