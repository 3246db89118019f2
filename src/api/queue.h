/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_API_QUEUE_H
#define CLATTN_API_QUEUE_H

/* What every run checks and needs to know of its queue and its caller's events. */

#include <stdbool.h>

#include "device/device.h"

typedef struct clattn_queue_use {
    cl_command_queue queue;
    bool out_of_order;
    cl_uint num_wait;
    const cl_event *wait_list;
} clattn_queue_use;

/* Fills *use. CLATTN_INVALID_ARGUMENT: a wait list without its length, or the other way round; a queue of another
 * context or device than `device`. CLATTN_OPENCL_ERROR. */
clattn_status clattn_queue_use_init(clattn_queue_use *use, const clattn_device *device, cl_command_queue queue,
                                    cl_uint num_wait, const cl_event *wait_list);

/* A call without work: honours the wait list and gives an event. */
clattn_status clattn_enqueue_nothing(const clattn_queue_use *use, cl_event *event);

/* CLATTN_INVALID_ARGUMENT when the argument of that name is NULL. */
clattn_status clattn_require_pointer(const char *name, const void *pointer);

#endif
