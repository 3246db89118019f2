/* SPDX-License-Identifier: BSD-2-Clause */
#include "tune_worker.h"

#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include "command.h"
#include "select.h"
#include "tune/worker.h"

/* A candidate may hang its driver for good: nobody but this thread sees then that the tuner is gone. */
static void *end_with_tuner(void *unused)
{
    struct pollfd tuner = { .fd = STDIN_FILENO };
    while (poll(&tuner, 1, -1) <= 0 || !(tuner.revents & (POLLHUP | POLLERR | POLLNVAL)))
        continue;
    _exit(EXIT_DONE);
    return unused;
}

int tune_worker_run(const char *selector)
{
    found_devices found;
    const found_device *chosen = NULL;
    pthread_t watcher;
    if (pthread_create(&watcher, NULL, end_with_tuner, NULL) != 0)
        return fail("no thread can be started");
    pthread_detach(watcher);
    int status = devices_find(&found);
    if (status != EXIT_DONE)
        return status;
    status = devices_select(&found, selector, &chosen);
    if (status == EXIT_DONE && clattn_worker_serve(STDIN_FILENO, chosen->platform, chosen->id) != CLATTN_OK)
        status = fail_library("the tuner's worker");
    devices_free(&found);
    return status;
}
