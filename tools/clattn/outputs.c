/* SPDX-License-Identifier: BSD-2-Clause */
#define _XOPEN_SOURCE 700 /* realpath */
#include "outputs.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command.h"

/* What a signal has to remove: the process's own, since signals are. The lock is held while files and this list
 * disagree; a signal waits for it. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char *temporaries[OUTPUTS_MAX];
/* Under the same lock. */
static const char *deferral; /* what the first signal prints; NULL: it ends the process */
static bool interrupted;

static sigset_t interrupting(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    struct sigaction hangup;
    if (sigaction(SIGHUP, NULL, &hangup) == 0 && hangup.sa_handler != SIG_IGN) /* nohup's wish stands */
        sigaddset(&set, SIGHUP);
    return set;
}

void outputs_defer_signals(const char *notice)
{
    pthread_mutex_lock(&lock);
    deferral = notice;
    pthread_mutex_unlock(&lock);
}

bool outputs_interrupted(void)
{
    pthread_mutex_lock(&lock);
    const bool answer = interrupted;
    pthread_mutex_unlock(&lock);
    return answer;
}

/* Waits for one, and for the next if this one only asks for an end. Returns with the lock held. */
static void wait_for_end(void)
{
    sigset_t set = interrupting();
    int number = 0;
    for (;;) {
        while (sigwait(&set, &number) != 0)
            continue;
        pthread_mutex_lock(&lock);
        if (!deferral || interrupted)
            return;
        interrupted = true;
        fprintf(stderr, "%s\n", deferral);
        pthread_mutex_unlock(&lock);
    }
}

static void *wait_for_signal(void *unused)
{
    wait_for_end();
    for (int i = 0; i < OUTPUTS_MAX; i++)
        if (temporaries[i])
            unlink(temporaries[i]);
    _exit(EXIT_INTERRUPTED);
    return unused;
}

/* All threads, those of OpenCL drivers included, inherit the mask, so that only the waiting thread sees the signals.
 * A reader that went away and a file that may not grow are errors of a write then, after which temporary files go. */
void outputs_catch_signals(void)
{
    sigset_t set = interrupting();
    pthread_t thread;
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    if (pthread_create(&thread, NULL, wait_for_signal, NULL) != 0)
        pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    else
        pthread_detach(thread);
}

void outputs_add(outputs *out, const char *option, const char *path)
{
    out->files[out->count++] = (struct output){ .option = option, .path = path };
}

void outputs_add_input(outputs *out, const char *option, const char *path)
{
    out->inputs[out->num_inputs].option = option;
    out->inputs[out->num_inputs++].path = path;
}

/* `target` with its last part replaced by ".LAST.SUFFIX"; NULL without memory. */
static char *beside(const char *target, const char *suffix)
{
    const char *slash = strrchr(target, '/');
    size_t folder = slash ? (size_t)(slash - target) + 1 : 0;
    size_t size = strlen(target) + strlen(suffix) + 3;
    char *path = malloc(size);
    if (path)
        snprintf(path, size, "%.*s.%s.%s", (int)folder, target, target + folder, suffix);
    return path;
}

/* Makes an empty temporary file beside the output; returns its descriptor, or -1 with errno set. */
static int make_temporary(const struct output *file, char **path)
{
    *path = beside(file->target, "XXXXXX");
    if (!*path)
        return -1;
    int descriptor = mkstemp(*path);
    if (descriptor < 0) {
        int error = errno;
        free(*path);
        *path = NULL;
        errno = error;
        return -1;
    }
    mode_t mask = umask(0);
    umask(mask);
    fchmod(descriptor, 0666 & ~mask); /* mkstemp's 0600 is not what an output should have */
    return descriptor;
}

static int fail_output(const struct output *file, int error)
{
    return fail("%s is '%s', which cannot be written: %s; it has to be a name in a folder that takes new files",
                file->option, file->path, strerror(error));
}

/* Where the output goes, and that it can: by making and removing a temporary file. */
static int check_writable(struct output *file)
{
    struct stat info;
    bool exists = stat(file->path, &info) == 0;
    size_t length = strlen(file->path);
    if ((exists && !S_ISREG(info.st_mode)) || length == 0 || file->path[length - 1] == '/')
        return fail("%s is '%s'; it has to be the name of a file, new or to be replaced", file->option, file->path);
    file->target = exists ? realpath(file->path, NULL) : strdup(file->path);
    if (!file->target)
        return fail_output(file, errno);
    char *probe = NULL;
    pthread_mutex_lock(&lock);
    int descriptor = make_temporary(file, &probe);
    int error = errno;
    if (descriptor >= 0) {
        close(descriptor);
        unlink(probe);
        free(probe);
    }
    pthread_mutex_unlock(&lock);
    return descriptor >= 0 ? EXIT_DONE : fail_output(file, error);
}

/* Whether two paths name one file, through links too, or would if both existed. */
static bool same_file(const char *a, const char *b)
{
    struct stat first, second;
    bool have_first = stat(a, &first) == 0, have_second = stat(b, &second) == 0;
    if (have_first || have_second)
        return have_first && have_second && first.st_dev == second.st_dev && first.st_ino == second.st_ino;
    const char *last_a = strrchr(a, '/'), *last_b = strrchr(b, '/');
    if (strcmp(last_a ? last_a + 1 : a, last_b ? last_b + 1 : b) != 0)
        return false;
    char folder_a[PATH_MAX], folder_b[PATH_MAX];
    snprintf(folder_a, sizeof folder_a, "%.*s.", last_a ? (int)(last_a - a) + 1 : 0, a);
    snprintf(folder_b, sizeof folder_b, "%.*s.", last_b ? (int)(last_b - b) + 1 : 0, b);
    return stat(folder_a, &first) == 0 && stat(folder_b, &second) == 0 && first.st_dev == second.st_dev &&
           first.st_ino == second.st_ino;
}

int outputs_check(outputs *out)
{
    for (int i = 0; i < out->count; i++) {
        const struct output *file = &out->files[i];
        for (int j = 0; j < out->num_inputs; j++)
            if (same_file(file->path, out->inputs[j].path))
                return fail("%s is '%s', which is %s's file too; an output has to be no input", file->option,
                            file->path, out->inputs[j].option);
        for (int j = 0; j < i; j++)
            if (same_file(file->path, out->files[j].path))
                return fail("%s is '%s', which is %s's file too; outputs have to differ", file->option, file->path,
                            out->files[j].option);
    }
    for (int i = 0; i < out->count; i++) {
        int status = check_writable(&out->files[i]);
        if (status != EXIT_DONE)
            return status;
    }
    return EXIT_DONE;
}

static bool write_all(int descriptor, const void *data, size_t size)
{
    const char *at = data;
    while (size > 0) {
        ssize_t written = write(descriptor, at, size);
        if (written < 0 && errno != EINTR)
            return false;
        at += written > 0 ? written : 0;
        size -= written > 0 ? (size_t)written : 0;
    }
    return true;
}

int outputs_write(outputs *out, int index, const void *header, size_t header_size, const void *data, size_t data_size)
{
    struct output *file = &out->files[index];
    pthread_mutex_lock(&lock);
    int descriptor = make_temporary(file, &file->temporary);
    int error = errno;
    temporaries[index] = file->temporary;
    pthread_mutex_unlock(&lock);
    if (descriptor < 0)
        return fail_output(file, error);
    bool sound = write_all(descriptor, header, header_size) && write_all(descriptor, data, data_size);
    error = errno;
    if (close(descriptor) != 0 && sound) {
        sound = false;
        error = errno;
    }
    return sound ? EXIT_DONE : fail_output(file, error);
}

/* Removes what was renamed so far, or puts back what it replaced. */
static void roll_back(outputs *out, int renamed)
{
    for (int i = 0; i < renamed; i++) {
        struct output *file = &out->files[i];
        if (file->backup)
            rename(file->backup, file->target);
        else
            unlink(file->target);
        free(file->backup);
        file->backup = NULL;
    }
}

/* Keeps what the target holds under a second name. A failure means only that it cannot be put back. */
static void keep_backup(struct output *file)
{
    char suffix[32];
    snprintf(suffix, sizeof suffix, "old.%ld", (long)getpid());
    file->backup = beside(file->target, suffix);
    if (file->backup && link(file->target, file->backup) != 0) {
        free(file->backup);
        file->backup = NULL;
    }
}

int outputs_commit(outputs *out)
{
    int status = EXIT_DONE;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < out->count && status == EXIT_DONE; i++) {
        struct output *file = &out->files[i];
        keep_backup(file);
        if (rename(file->temporary, file->target) != 0) {
            status = fail_output(file, errno);
            if (file->backup)
                unlink(file->backup);
            roll_back(out, i);
            continue;
        }
        temporaries[i] = NULL;
        free(file->temporary);
        file->temporary = NULL;
    }
    for (int i = 0; i < out->count; i++) {
        if (status == EXIT_DONE && out->files[i].backup)
            unlink(out->files[i].backup);
    }
    pthread_mutex_unlock(&lock);
    return status;
}

void outputs_discard(outputs *out)
{
    pthread_mutex_lock(&lock);
    for (int i = 0; i < out->count; i++) {
        struct output *file = &out->files[i];
        if (file->temporary)
            unlink(file->temporary);
        temporaries[i] = NULL;
        free(file->temporary);
        free(file->target);
        free(file->backup);
    }
    *out = (outputs){ .count = 0 };
    pthread_mutex_unlock(&lock);
}
