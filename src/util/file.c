/* SPDX-License-Identifier: BSD-2-Clause */
#include "util/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/text.h"

const char *clattn_errno_text(int code, char text[CLATTN_ERRNO_TEXT_SIZE])
{
    if (strerror_r(code, text, CLATTN_ERRNO_TEXT_SIZE) != 0)
        snprintf(text, CLATTN_ERRNO_TEXT_SIZE, "error %d", code);
    return text;
}

static int read_all(int file, char *data, size_t size, size_t *done)
{
    *done = 0;
    while (*done < size) {
        ssize_t got = read(file, data + *done, size - *done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return errno;
        if (got == 0)
            break;
        *done += (size_t)got;
    }
    return 0;
}

static int size_of_open(int file, size_t max_size, size_t *size)
{
    struct stat info;
    if (fstat(file, &info) != 0)
        return errno;
    if (S_ISDIR(info.st_mode))
        return EISDIR;
    if (!S_ISREG(info.st_mode))
        return EINVAL;
    if (info.st_size < 0 || (uintmax_t)info.st_size > max_size || (uintmax_t)info.st_size >= SIZE_MAX)
        return EFBIG;
    *size = (size_t)info.st_size;
    return 0;
}

static int read_open(int file, size_t max_size, char **data, size_t *size)
{
    size_t expected = 0;
    int error = size_of_open(file, max_size, &expected);
    if (error)
        return error;
    char *buffer = malloc(expected + 1);
    if (!buffer)
        return ENOMEM;
    error = read_all(file, buffer, expected, size);
    if (error) {
        free(buffer);
        return error;
    }
    buffer[*size] = '\0';
    *data = buffer;
    return 0;
}

int clattn_file_read(const char *path, size_t max_size, char **data, size_t *size)
{
    /* Not blocking: a FIFO in the folder must not hang the reader. */
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0)
        return errno;
    int error = read_open(file, max_size, data, size);
    close(file);
    return error;
}

static int make_folder(const char *path)
{
    if (mkdir(path, 0700) == 0)
        return 0;
    int error = errno;
    return clattn_file_is_folder(path) ? 0 : error;
}

int clattn_file_make_folders(const char *path)
{
    char *copy = clattn_text_copy(path);
    if (!copy)
        return ENOMEM;
    int error = 0;
    for (char *at = copy + 1; *copy && *at && !error; at++) {
        if (*at != '/')
            continue;
        *at = '\0';
        error = make_folder(copy);
        *at = '/';
    }
    if (!error)
        error = make_folder(copy);
    free(copy);
    return error;
}

static int write_all(int file, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t put = write(file, data, size);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return errno;
        data += put;
        size -= (size_t)put;
    }
    return fsync(file) == 0 ? 0 : errno;
}

int clattn_file_write_atomic(const char *path, const void *data, size_t size)
{
    clattn_text text = { 0 };
    clattn_text_add(&text, "%s.XXXXXX", path);
    char *temporary = clattn_text_take(&text);
    if (!temporary)
        return ENOMEM;
    int file = mkstemp(temporary);
    int error = file < 0 ? errno : 0;
    if (file >= 0) {
        error = write_all(file, data, size);
        if (close(file) != 0 && !error)
            error = errno;
        if (!error && rename(temporary, path) != 0)
            error = errno;
        if (error)
            unlink(temporary);
    }
    free(temporary);
    return error;
}

bool clattn_file_is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

char *clattn_path_join(const char *folder, const char *name)
{
    clattn_text text = { 0 };
    clattn_text_add(&text, "%s/%s", folder, name);
    return clattn_text_take(&text);
}

static const char *variable(const char *name)
{
    const char *value = getenv(name);
    return value && value[0] ? value : NULL;
}

int clattn_path_cache(const char *given, bool ignore_environment, char **out)
{
    if (!given && !ignore_environment)
        given = variable("CLATTN_CACHE_DIR");
    const char *xdg = ignore_environment ? NULL : variable("XDG_CACHE_HOME");
    const char *home = variable("HOME");
    if (given)
        *out = clattn_text_copy(given);
    else if (xdg && xdg[0] == '/')
        *out = clattn_path_join(xdg, "clattn");
    else if (home)
        *out = clattn_path_join(home, ".cache/clattn");
    else
        return ENOENT;
    return *out ? 0 : ENOMEM;
}

char *clattn_path_tuning(const char *given, bool ignore_environment, const char *installed)
{
    if (!given && !ignore_environment)
        given = variable("CLATTN_TUNING_PATH");
    if (given)
        return clattn_text_copy(given);
    const char *xdg = ignore_environment ? NULL : variable("XDG_DATA_HOME");
    const char *home = ignore_environment ? NULL : variable("HOME");
    clattn_text path = { 0 };
    if (xdg && xdg[0] == '/')
        clattn_text_add(&path, "%s/clattn/tuning:", xdg);
    else if (home)
        clattn_text_add(&path, "%s/.local/share/clattn/tuning:", home);
    clattn_text_add(&path, "%s", installed);
    return clattn_text_take(&path);
}
