/* SPDX-License-Identifier: BSD-2-Clause */
#include "api/queue.h"

#include "util/status.h"

clattn_status clattn_require_pointer(const char *name, const void *pointer)
{
    if (!pointer)
        return clattn_fail(CLATTN_INVALID_ARGUMENT, "%s is NULL; it has to point to an object", name);
    return CLATTN_OK;
}

static clattn_status check_queue(clattn_queue_use *use, const clattn_device *own)
{
    cl_context cl;
    cl_device_id device;
    cl_command_queue_properties properties;
    cl_int code = clGetCommandQueueInfo(use->queue, CL_QUEUE_CONTEXT, sizeof(cl), &cl, NULL);
    if (code == CL_SUCCESS)
        code = clGetCommandQueueInfo(use->queue, CL_QUEUE_DEVICE, sizeof(device), &device, NULL);
    if (code == CL_SUCCESS)
        code = clGetCommandQueueInfo(use->queue, CL_QUEUE_PROPERTIES, sizeof(properties), &properties, NULL);
    if (code != CL_SUCCESS)
        return clattn_fail_cl("clGetCommandQueueInfo on queue", code);
    if (cl != clattn_device_context(own) || device != clattn_device_id(own))
        return clattn_fail(CLATTN_INVALID_ARGUMENT,
                           "queue is of another context or device; it has to be of those that the plan's device has");
    use->out_of_order = (properties & CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE) != 0;
    return CLATTN_OK;
}

clattn_status clattn_queue_use_init(clattn_queue_use *use, const clattn_device *device, cl_command_queue queue,
                                    cl_uint num_wait, const cl_event *wait_list)
{
    *use = (clattn_queue_use){ .queue = queue, .num_wait = num_wait, .wait_list = wait_list };
    if ((num_wait > 0) != (wait_list != NULL))
        return clattn_fail(CLATTN_INVALID_ARGUMENT,
                           "num_events_in_wait_list is %u and event_wait_list is %s; both have to be given, or none",
                           num_wait, wait_list ? "not NULL" : "NULL");
    return check_queue(use, device);
}

clattn_status clattn_enqueue_nothing(const clattn_queue_use *use, cl_event *event)
{
    const cl_int code = clEnqueueMarkerWithWaitList(use->queue, use->num_wait, use->wait_list, event);
    return code == CL_SUCCESS ? CLATTN_OK : clattn_fail_cl("clEnqueueMarkerWithWaitList", code);
}
