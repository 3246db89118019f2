/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "api/bindings.h"
#include "util/status.h"

/* What an enqueue of several kernels needs to know of its queue and its caller's events. */
typedef struct enqueue_context {
    cl_command_queue queue;
    bool out_of_order;
    cl_uint num_wait;
    const cl_event *wait_list;
} enqueue_context;

static clattn_status check_queue(const clattn_plan *plan, enqueue_context *context)
{
    cl_context cl;
    cl_device_id device;
    cl_command_queue_properties properties;
    cl_int code = clGetCommandQueueInfo(context->queue, CL_QUEUE_CONTEXT, sizeof(cl), &cl, NULL);
    if (code == CL_SUCCESS)
        code = clGetCommandQueueInfo(context->queue, CL_QUEUE_DEVICE, sizeof(device), &device, NULL);
    if (code == CL_SUCCESS)
        code = clGetCommandQueueInfo(context->queue, CL_QUEUE_PROPERTIES, sizeof(properties), &properties, NULL);
    if (code != CL_SUCCESS)
        return clattn_fail_cl("clGetCommandQueueInfo on queue", code);
    if (cl != clattn_device_context(plan->device) || device != clattn_device_id(plan->device))
        return clattn_fail(CLATTN_INVALID_ARGUMENT,
                           "queue is of another context or device; it has to be of those that the plan's device has");
    context->out_of_order = (properties & CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE) != 0;
    return CLATTN_OK;
}

static clattn_status check_pointers(const clattn_plan *plan, const clattn_attention_args *args, cl_command_queue queue,
                                    cl_uint num_wait, const cl_event *wait_list)
{
    const struct {
        const char *name;
        const void *pointer;
    } needed[] = { { "plan", plan }, { "args", args }, { "queue", queue } };
    for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
        if (!needed[i].pointer)
            return clattn_fail(CLATTN_INVALID_ARGUMENT, "%s is NULL; it has to point to an object", needed[i].name);
    if (args->struct_size != sizeof(*args))
        return clattn_fail(CLATTN_INVALID_ARGUMENT,
                           "args->struct_size is %zu; it has to be %zu (CLATTN_ATTENTION_ARGS sets it)",
                           args->struct_size, sizeof(*args));
    if ((num_wait > 0) != (wait_list != NULL))
        return clattn_fail(CLATTN_INVALID_ARGUMENT,
                           "num_events_in_wait_list is %u and event_wait_list is %s; both have to be given, or none",
                           num_wait, wait_list ? "not NULL" : "NULL");
    return CLATTN_OK;
}

static clattn_status launches_of(const clattn_plan *plan, const clattn_schedule *schedule, clattn_launches *launches)
{
    *launches = clattn_launches_of_bounds(plan);
    if (!schedule)
        return CLATTN_OK;
    memcpy(launches, schedule, sizeof(*launches));
    if (launches->plan != plan)
        return clattn_fail(CLATTN_INVALID_ARGUMENT,
                           "schedule was not made for this plan; it has to come from clattn_schedule_make with it");
    return CLATTN_OK;
}

static clattn_status enqueue_nothing(const enqueue_context *context, cl_event *event)
{
    const cl_int code = clEnqueueMarkerWithWaitList(context->queue, context->num_wait, context->wait_list, event);
    return code == CL_SUCCESS ? CLATTN_OK : clattn_fail_cl("clEnqueueMarkerWithWaitList", code);
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
                                   const enqueue_context *context, cl_event *event)
{
    const attention_args args = clattn_attention_args_of(launches, bindings);
    const int last = last_step(launches);
    cl_uint num_wait = context->num_wait;
    const cl_event *wait_list = context->wait_list;
    cl_event previous = NULL;
    clattn_status status = CLATTN_OK;
    for (int kind = 0; kind <= last && status == CLATTN_OK; kind++) {
        if (!clattn_launches_step(launches, (clattn_step_kind)kind))
            continue;
        size_t global[3];
        clattn_launches_grid(launches, (clattn_step_kind)kind, global);
        cl_event done = NULL;
        cl_event *wanted = kind == last ? event : context->out_of_order ? &done : NULL;
        status = clattn_step_enqueue(launches->plan, (clattn_step_kind)kind, &args, bindings, global, context->queue,
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
    CLATTN_TRY(check_pointers(plan, args, queue, num_events_in_wait_list, event_wait_list));
    enqueue_context context = { .queue = queue, .num_wait = num_events_in_wait_list, .wait_list = event_wait_list };
    CLATTN_TRY(check_queue(plan, &context));
    clattn_launches launches;
    CLATTN_TRY(launches_of(plan, schedule, &launches));
    if (last_step(&launches) < 0)
        return enqueue_nothing(&context, event);
    clattn_bindings bindings;
    CLATTN_TRY(clattn_bindings_init(&bindings, &launches, args));
    cl_event done = NULL;
    CLATTN_TRY(enqueue_steps(&launches, &bindings, &context, event ? &done : NULL));
    if (event)
        *event = done;
    return CLATTN_OK;
}
