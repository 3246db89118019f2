/* SPDX-License-Identifier: BSD-2-Clause */
#include "tune/lines.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "util/clock.h"

#define ASK_EVERY 0.2 /* seconds */

static bool send_all(int socket, const char *data, size_t size)
{
    while (size > 0) {
        const ssize_t sent = send(socket, data, size, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return false;
        data += sent;
        size -= (size_t)sent;
    }
    return true;
}

bool clattn_lines_send(clattn_lines *lines, json_t *object)
{
    char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;
    json_decref(object);
    const bool sent = text && send_all(lines->socket, text, strlen(text)) && send_all(lines->socket, "\n", 1);
    free(text);
    return sent;
}

/* The first line, when there is a whole one. */
static clattn_line_result take_line(clattn_lines *lines, json_t **out)
{
    const char *end = memchr(lines->data, '\n', lines->used);
    if (!end)
        return lines->used == sizeof(lines->data) ? CLATTN_LINE_GARBAGE : CLATTN_LINE_LATE;
    const size_t size = (size_t)(end - lines->data) + 1;
    *out = json_loadb(lines->data, size, 0, NULL);
    memmove(lines->data, lines->data + size, lines->used - size);
    lines->used -= size;
    if (json_is_object(*out))
        return CLATTN_LINE_READ;
    json_decref(*out);
    return CLATTN_LINE_GARBAGE;
}

/* Waits for bytes for at most `seconds`; LATE: there may be some now. */
static clattn_line_result wait_for_bytes(clattn_lines *lines, double seconds)
{
    struct pollfd ready = { .fd = lines->socket, .events = POLLIN };
    const int count = poll(&ready, 1, (int)ceil(fmin(fmax(seconds, 0), ASK_EVERY) * 1000));
    if (count == 0 || (count < 0 && errno == EINTR))
        return CLATTN_LINE_LATE;
    if (count < 0)
        return CLATTN_LINE_ENDED;
    const ssize_t got = recv(lines->socket, lines->data + lines->used, sizeof(lines->data) - lines->used, 0);
    if (got > 0)
        lines->used += (size_t)got;
    return got > 0 || (got < 0 && errno == EINTR) ? CLATTN_LINE_LATE : CLATTN_LINE_ENDED;
}

clattn_line_result clattn_lines_receive(clattn_lines *lines, double deadline, bool (*stop)(void *user), void *user,
                                        json_t **out)
{
    for (;;) {
        clattn_line_result result = take_line(lines, out);
        const double left = deadline - clattn_clock_seconds();
        if (result != CLATTN_LINE_LATE || left <= 0)
            return result;
        result = wait_for_bytes(lines, left);
        if (result != CLATTN_LINE_LATE)
            return result;
        if (stop && stop(user))
            return CLATTN_LINE_STOPPED;
    }
}
