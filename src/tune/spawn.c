/* SPDX-License-Identifier: BSD-2-Clause */
#include "tune/spawn.h"

#include <fcntl.h>
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "util/file.h"
#include "util/status.h"

extern char **environ;

/* The place among the platform's devices; -1: it is not there. */
static int place_on_platform(cl_platform_id platform, cl_device_id id)
{
    cl_uint count = 0;
    if (clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 0, NULL, &count) != CL_SUCCESS || count == 0)
        return -1;
    cl_device_id *ids = calloc(count, sizeof(*ids));
    if (!ids || clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, count, ids, NULL) != CL_SUCCESS)
        count = 0;
    int place = -1;
    for (cl_uint i = 0; i < count && place < 0; i++)
        if (ids[i] == id)
            place = (int)i;
    free(ids);
    return place;
}

clattn_status clattn_spawn_selector(cl_device_id id, char *selector, size_t size)
{
    enum { MAX_PLATFORMS = 64 };
    cl_platform_id platforms[MAX_PLATFORMS];
    cl_uint count = 0;
    if (clGetPlatformIDs(MAX_PLATFORMS, platforms, &count) != CL_SUCCESS)
        count = 0;
    for (cl_uint i = 0; i < count && i < MAX_PLATFORMS; i++) {
        const int place = place_on_platform(platforms[i], id);
        if (place < 0)
            continue;
        snprintf(selector, size, "%u:%d", i, place);
        return CLATTN_OK;
    }
    return clattn_fail(CLATTN_UNSUPPORTED,
                       "no platform lists the device, so that a worker cannot open it; it has to be a "
                       "device of clGetDeviceIDs, not a part of one");
}

void clattn_spawn_device_key(const clattn_device *device, char hex[CLATTN_KEY_HEX_SIZE])
{
    clattn_key key = { 0 };
    clattn_key_add_text(&key, clattn_device_identity(device));
    clattn_key_hex(key, hex);
}

/* Of the child: what it inherits. Returns 0 or an errno value. */
static int set_up(posix_spawn_file_actions_t *actions, posix_spawnattr_t *attributes, int socket, bool quiet)
{
    sigset_t none, defaults;
    sigemptyset(&none);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    sigaddset(&defaults, SIGINT);
    sigaddset(&defaults, SIGTERM);
    int error = posix_spawn_file_actions_adddup2(actions, socket, STDIN_FILENO);
    if (!error)
        error = posix_spawn_file_actions_addopen(actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    if (!error && quiet)
        error = posix_spawn_file_actions_addopen(actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    if (!error)
        error = posix_spawnattr_setflags(attributes,
                                         POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    if (!error)
        error = posix_spawnattr_setpgroup(attributes, 0);
    if (!error)
        error = posix_spawnattr_setsigmask(attributes, &none);
    return error ? error : posix_spawnattr_setsigdefault(attributes, &defaults);
}

static int spawn_with(char *const argv[], bool quiet, int socket, pid_t *process)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int error = posix_spawn_file_actions_init(&actions);
    if (error)
        return error;
    error = posix_spawnattr_init(&attributes);
    if (!error) {
        error = set_up(&actions, &attributes, socket, quiet);
        if (!error)
            error = posix_spawn(process, argv[0], &actions, &attributes, argv, environ);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

clattn_status clattn_spawn(char *const argv[], bool quiet, pid_t *process, int *socket)
{
    char text[CLATTN_ERRNO_TEXT_SIZE];
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        return clattn_fail(CLATTN_IO_ERROR, "no socket to the worker can be made: %s", clattn_errno_text(errno, text));
    const int error = spawn_with(argv, quiet, ends[1], process);
    close(ends[1]);
    if (!error) {
        *socket = ends[0];
        return CLATTN_OK;
    }
    close(ends[0]);
    *process = 0;
    return clattn_fail(CLATTN_IO_ERROR, "'%s' cannot be started: %s", argv[0], clattn_errno_text(error, text));
}
