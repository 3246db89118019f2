/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_TOOL_COMMAND_H
#define CLATTN_TOOL_COMMAND_H

#include "options.h"

/* What the process ends with. */
enum {
    EXIT_DONE = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,        /* the command line cannot be parsed */
    EXIT_INTERRUPTED = 130 /* SIGINT or SIGTERM */
};

/* The subcommands. Each returns an exit status, and on failure has printed one line on stderr. */
#define COMMAND(name, operands, help) int command_##name(const options *given);
#include "commands.def"
#undef COMMAND

/* Print "clattn: " and the message as one line on stderr, and return EXIT_FAILED or EXIT_USAGE. */
__attribute__((format(printf, 1, 2))) int fail(const char *format, ...);
__attribute__((format(printf, 1, 2))) int fail_usage(const char *format, ...);

/* The same for a call of the library that failed: prints `what` and clattn_last_error(). */
int fail_library(const char *what);

/* Flushes stdout: EXIT_DONE, or EXIT_FAILED when what was printed could not be written. */
int finish_stdout(void);

#endif
