/* SPDX-License-Identifier: BSD-2-Clause */
#include <poll.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command.h"
#include "select.h"
#include "tune/worker.h"

enum { GRACE_SECONDS = 2 };

/* Ends the process when the tuner is gone, even where a candidate hangs. */
static void *watch_tuner(void *unused)
{
    struct pollfd tuner = { .fd = STDIN_FILENO };
    while (poll(&tuner, 1, -1) < 0 || !(tuner.revents & (POLLHUP | POLLERR | POLLNVAL)))
        continue;
    sleep(GRACE_SECONDS);
    _exit(EXIT_FAILED);
    return unused;
}

static int serve(const options *given)
{
    found_devices found;
    const found_device *chosen = NULL;
    int status = devices_find(&found);
    if (status != EXIT_DONE)
        return status;
    status = devices_select(&found, given->values[OPTION_worker_device].text, &chosen);
    if (status == EXIT_DONE && clattn_worker_serve(STDIN_FILENO, chosen->platform, chosen->id) != CLATTN_OK)
        status = fail_library(chosen->name);
    devices_free(&found);
    return status;
}

int command_worker(const options *given)
{
    struct stat input;
    pthread_t thread;
    if (fstat(STDIN_FILENO, &input) != 0 || !S_ISSOCK(input.st_mode))
        return fail("stdin is no socket; it has to be one to a tuner: 'clattn worker' is started by 'clattn tune'");
    if (pthread_create(&thread, NULL, watch_tuner, NULL) != 0)
        return fail("no thread can be made that watches the tuner");
    pthread_detach(thread);
    /* It is there to crash, and nobody asked for what a driver's crash leaves. */
    setrlimit(RLIMIT_CORE, &(struct rlimit){ .rlim_cur = 0, .rlim_max = 0 });
    return serve(given);
}
