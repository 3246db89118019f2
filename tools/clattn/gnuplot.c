/* SPDX-License-Identifier: BSD-2-Clause */
/* gnuplot as a child process. Its three streams are files that have no name, so nothing blocks and nothing is left. */
#include "gnuplot.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "command.h"

enum { STREAMS = 3 }; /* in the order of their descriptors */

extern char **environ;

/* The command blocks and ignores signals (outputs.c), which a child would inherit. errno's value. */
static int set_signals(posix_spawnattr_t *attributes)
{
    sigset_t none, usual;
    sigemptyset(&none);
    sigemptyset(&usual);
    sigaddset(&usual, SIGPIPE);
    sigaddset(&usual, SIGXFSZ);
    int error = posix_spawnattr_setsigmask(attributes, &none);
    if (error == 0)
        error = posix_spawnattr_setsigdefault(attributes, &usual);
    return error ? error : posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
}

/* errno's value. */
static int start(FILE *const streams[STREAMS], pid_t *child)
{
    char *arguments[] = { "gnuplot", "--default-settings", NULL };
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int error = posix_spawn_file_actions_init(&actions);
    if (error != 0)
        return error;
    error = posix_spawnattr_init(&attributes);
    if (error == 0) {
        error = set_signals(&attributes);
        for (int i = 0; i < STREAMS && error == 0; i++)
            error = posix_spawn_file_actions_adddup2(&actions, fileno(streams[i]), i);
        if (error == 0)
            error = posix_spawnp(child, arguments[0], &actions, &attributes, arguments, environ);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

/* The last line of what gnuplot complained of. */
static const char *find_complaint(FILE *stream, char *text, size_t size)
{
    rewind(stream);
    size_t length = fread(text, 1, size - 1, stream);
    while (length > 0 && text[length - 1] == '\n')
        length--;
    text[length] = '\0';
    const char *line = strrchr(text, '\n');
    line = line ? line + 1 : text;
    return line + strspn(line, " ");
}

static int wait_for(const char *option, pid_t child, FILE *complaints)
{
    char text[1024];
    int ended = 0;
    while (waitpid(child, &ended, 0) < 0)
        if (errno != EINTR)
            return fail("%s: gnuplot's end cannot be seen: %s", option, strerror(errno));
    if (WIFEXITED(ended) && WEXITSTATUS(ended) == 0)
        return EXIT_DONE;
    return fail("%s: gnuplot failed: %s", option, find_complaint(complaints, text, sizeof text));
}

static int read_all(const char *option, FILE *stream, char **out, size_t *size)
{
    long end = fseek(stream, 0, SEEK_END) == 0 ? ftell(stream) : -1;
    *size = end > 0 ? (size_t)end : 0;
    *out = malloc(*size + 1);
    rewind(stream);
    if (*out && end >= 0 && fread(*out, 1, *size, stream) == *size) {
        (*out)[*size] = '\0';
        return EXIT_DONE;
    }
    free(*out);
    *out = NULL;
    return fail("%s: what gnuplot drew cannot be read", option);
}

static int run(const char *option, const char *script, FILE *const streams[STREAMS], char **out, size_t *size)
{
    pid_t child = 0;
    if (fputs(script, streams[0]) < 0 || fflush(streams[0]) != 0 || fseek(streams[0], 0, SEEK_SET) != 0)
        return fail("%s: gnuplot's script cannot be written to a temporary file: %s", option, strerror(errno));
    int error = start(streams, &child);
    if (error != 0)
        return fail("%s needs gnuplot, which cannot be run: %s; install it (Debian's package is gnuplot-nox) or leave "
                    "out %s",
                    option, strerror(error), option);
    int status = wait_for(option, child, streams[2]);
    return status == EXIT_DONE ? read_all(option, streams[1], out, size) : status;
}

int gnuplot_run(const char *option, const char *script, char **out, size_t *size)
{
    FILE *streams[STREAMS] = { NULL };
    *out = NULL;
    int count = 0, status = EXIT_DONE;
    while (count < STREAMS && (streams[count] = tmpfile()))
        count++;
    if (count < STREAMS)
        status = fail("%s: no temporary file can be made for gnuplot: %s", option, strerror(errno));
    else
        status = run(option, script, streams, out, size);
    while (count > 0)
        fclose(streams[--count]);
    return status;
}

int gnuplot_check(const char *option)
{
    char *nothing = NULL;
    size_t size = 0;
    int status = gnuplot_run(option, "set terminal svg\n", &nothing, &size);
    free(nothing);
    return status;
}
