/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <clattn/clattn.h>

#include "command.h"
#include "outputs.h"

/* One line, whatever the names and texts in it hold. */
static void print_message(const char *format, va_list arguments)
{
    char text[16384];
    vsnprintf(text, sizeof text, format, arguments);
    for (char *at = text; *at; at++)
        if ((unsigned char)*at < ' ')
            *at = at[1] ? '?' : '\0';
    fprintf(stderr, "clattn: %s\n", text);
}

int fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    print_message(format, arguments);
    va_end(arguments);
    return EXIT_FAILED;
}

int fail_usage(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    print_message(format, arguments);
    va_end(arguments);
    return EXIT_USAGE;
}

int fail_library(const char *what)
{
    return fail("%s: %s", what, clattn_last_error());
}

int finish_stdout(void)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return EXIT_DONE;
    return fail("stdout cannot be written to: %s", strerror(errno));
}

static int run_command(command_id command, const options *given)
{
    switch (command) {
#define COMMAND(name, operands, help)                                                                                  \
    case COMMAND_##name:                                                                                               \
        return command_##name(given);
#include "commands.def"
#undef COMMAND
    case COMMAND_COUNT:
        break;
    }
    return EXIT_USAGE;
}

int main(int argc, char **argv)
{
    outputs_catch_signals();
    if (argc < 2)
        return fail_usage("no command is given; 'clattn --help' lists them");
    if (strcmp(argv[1], "--help") == 0) {
        help_print(stdout);
        return finish_stdout();
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("clattn %s\n", clattn_version());
        return finish_stdout();
    }
    command_id command = command_find(argv[1]);
    if (command == COMMAND_COUNT)
        return fail_usage("'%s' is not a command; 'clattn --help' lists them", argv[1]);
    options given;
    int status = options_parse(command, argc - 2, argv + 2, &given);
    given.program = argv[0];
    if (status != EXIT_DONE)
        return status;
    if (given.help) {
        help_print_command(stdout, command);
        return finish_stdout();
    }
    status = run_command(command, &given);
    int written = status == EXIT_DONE ? finish_stdout() : EXIT_DONE;
    return status != EXIT_DONE ? status : written;
}
