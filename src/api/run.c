/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "api/bindings.h"
#include "api/chain.h"
#include "util/range.h"
#include "util/status.h"

static clattn_status check_pointers(const clattn_plan *plan, const clattn_attention_args *args, cl_command_queue queue)
{
    CLATTN_TRY(clattn_require_pointer("plan", plan));
    CLATTN_TRY(clattn_require_pointer("args", args));
    CLATTN_TRY(clattn_require_pointer("queue", queue));
    CLATTN_TRY(clattn_check_struct_size("args", args->struct_size, sizeof(*args), "CLATTN_ATTENTION_ARGS"));
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

static int64_t count_steps(const clattn_launches *launches)
{
    int64_t count = 0;
    for (int kind = 0; kind < CLATTN_STEP_COUNT; kind++)
        count += clattn_launches_step(launches, (clattn_step_kind)kind);
    return count;
}

static clattn_status enqueue_steps(const clattn_launches *launches, const clattn_bindings *bindings,
                                   const clattn_queue_use *use, cl_event *event)
{
    const attention_args args = clattn_attention_args_of(launches, bindings);
    clattn_chain chain;
    clattn_status status = CLATTN_OK;
    clattn_chain_begin(&chain, use, count_steps(launches), event != NULL);
    for (int kind = 0; kind < CLATTN_STEP_COUNT && status == CLATTN_OK; kind++) {
        size_t global[3];
        if (!clattn_launches_step(launches, (clattn_step_kind)kind))
            continue;
        clattn_launches_grid(launches, (clattn_step_kind)kind, global);
        status = clattn_step_enqueue(launches->plan, (clattn_step_kind)kind, &args, bindings, global, use->queue,
                                     chain.num_wait, chain.wait_list, clattn_chain_next(&chain));
        clattn_chain_advance(&chain);
    }
    return clattn_chain_end(&chain, status, event);
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
    if (count_steps(&launches) == 0)
        return clattn_enqueue_nothing(&use, event);
    clattn_bindings bindings;
    CLATTN_TRY(clattn_bindings_init(&bindings, &launches, args));
    return enqueue_steps(&launches, &bindings, &use, event);
}
