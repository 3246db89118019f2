/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_TOOL_SESSION_H
#define CLATTN_TOOL_SESSION_H

/* One device, opened for work: context, in-order queue that keeps times, and the library's view of it. */

#include <clattn/clattn.h>

#include "select.h"

typedef struct session {
    found_device chosen;
    cl_context context;
    cl_command_queue queue;
    clattn_device *device;
    clattn_device_info info;
} session;

/* Opens what --device (NULL: its default) means. Exit status; on failure nothing is left open. */
int session_open(const char *selector, session *out);

/* The same with parameters for the library's device; NULL: its defaults. */
int session_open_with(const char *selector, const clattn_device_params *params, session *out);

void session_close(session *open);

/* A buffer of `size` bytes (of 1 for 0, which OpenCL has not), filled from `data` unless that is NULL. `what` names it
 * in messages. Exit status. */
int session_make_buffer(const session *on, const char *what, size_t size, const void *data, clattn_buffer *out);
/* A buffer of the same size and content, made on the device. Exit status. */
int session_copy_buffer(const session *on, const char *what, const clattn_buffer *from, clattn_buffer *out);
void session_free_buffer(clattn_buffer *buffer);

/* Reads `size` bytes and waits for them. Exit status. */
int session_read_buffer(const session *on, const char *what, const clattn_buffer *buffer, size_t size, void *data);

#endif
