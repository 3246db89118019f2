/* SPDX-License-Identifier: BSD-2-Clause */
#define _XOPEN_SOURCE 700 /* realpath */
#include "self.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A program that was replaced while it runs has a link to a name that is gone. */
static char *keep_program(const char *path)
{
    struct stat info;
    char *whole = realpath(path, NULL);
    if (whole && stat(whole, &info) == 0 && S_ISREG(info.st_mode) && access(whole, X_OK) == 0)
        return whole;
    free(whole);
    return NULL;
}

static char *read_link(void)
{
    char path[PATH_MAX];
    const ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    if (length <= 0)
        return NULL;
    path[length] = '\0';
    return keep_program(path);
}

static char *find_in_path(const char *name)
{
    char *found = NULL;
    for (const char *folder = getenv("PATH"); folder && !found;) {
        const size_t length = strcspn(folder, ":");
        char path[PATH_MAX];
        if (snprintf(path, sizeof path, "%.*s/%s", length ? (int)length : 1, length ? folder : ".", name) < PATH_MAX)
            found = keep_program(path);
        folder = folder[length] ? folder + length + 1 : NULL;
    }
    return found;
}

char *self_path(const char *called)
{
    char *path = read_link();
    if (path || !called || *called == '\0')
        return path;
    return strchr(called, '/') ? keep_program(called) : find_in_path(called);
}
