/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_TUNE_LINES_H
#define CLATTN_TUNE_LINES_H

/* Objects of JSON, one a line, over a stream socket: between the tuner and its worker. */

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

typedef enum clattn_line_result {
    CLATTN_LINE_READ,
    CLATTN_LINE_LATE,    /* the deadline passed */
    CLATTN_LINE_STOPPED, /* as `stop` asked for */
    CLATTN_LINE_GARBAGE, /* it is no object, or longer than 64 KiB */
    CLATTN_LINE_ENDED    /* the other side is gone */
} clattn_line_result;

typedef struct clattn_lines {
    int socket;
    size_t used; /* of `data`: what came after the last line */
    char data[65536];
} clattn_lines;

/* Takes over the reference. False when the other side is gone, or there is no memory. No SIGPIPE is raised. */
bool clattn_lines_send(clattn_lines *lines, json_t *object);

/* Waits until `deadline`, by clattn_clock_seconds(); asks `stop`, unless it is NULL, several times a second. *out is
 * the caller's. */
clattn_line_result clattn_lines_receive(clattn_lines *lines, double deadline, bool (*stop)(void *user), void *user,
                                        json_t **out);

#endif
