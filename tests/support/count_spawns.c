/* SPDX-License-Identifier: BSD-2-Clause */
/* A preloaded library that writes a line to the file of COUNT_SPAWNS for each program that its process starts. PoCL
 * starts the linker once for each kernel that it compiles and never otherwise, so that the lines count what PoCL
 * compiled. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

typedef int spawn_function(pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *,
                           char *const[], char *const[]);

static void note(const char *path)
{
    const char *log = getenv("COUNT_SPAWNS");
    FILE *file = log ? fopen(log, "a") : NULL;
    if (!file)
        return;
    fprintf(file, "%s\n", path);
    fclose(file);
}

int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
                const posix_spawnattr_t *attributes, char *const argv[], char *const env[])
{
    spawn_function *next;
    *(void **)&next = dlsym(RTLD_NEXT, "posix_spawn");
    note(path);
    return next(pid, path, actions, attributes, argv, env);
}

pid_t fork(void)
{
    pid_t (*next)(void);
    *(void **)&next = dlsym(RTLD_NEXT, "fork");
    note("fork");
    return next();
}
