/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_TOOL_OPTIONS_H
#define CLATTN_TOOL_OPTIONS_H

/* The command line, parsed by the tables of commands.def and options.def. */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

typedef enum command_id {
#define COMMAND(name, operands, help) COMMAND_##name,
#include "commands.def"
#undef COMMAND
    COMMAND_COUNT
} command_id;

typedef enum option_id {
#define OPTION(command, id, name, kind, need, argument, help) OPTION_##command##_##id,
#include "options.def"
#undef OPTION
    OPTION_COUNT
} option_id;

typedef struct option_value {
    bool given;
    bool is_integer;  /* INT_OR_FILE: it was a number */
    const char *text; /* as given; NULL when it was not */
    int64_t integer;  /* INT, INT_OR_FILE */
    int64_t pair[2];  /* PAIR; CHOICES: places among the values, the same twice when one is given */
    double real;      /* REAL */
    int choice;       /* CHOICE: index among the values; -1 when not given */
} option_value;

typedef struct options {
    command_id command;
    const char *program; /* how the command was called */
    const char *operand; /* "" when the command takes none */
    bool help;           /* --help was among the arguments: nothing else counts */
    option_value values[OPTION_COUNT];
} options;

/* Parses what follows the subcommand's name. Returns EXIT_DONE, or EXIT_USAGE with a message printed. */
int options_parse(command_id command, int argc, char **argv, options *out);

/* A window, as attention's window_left and window_right, where it is given. */
typedef struct window_option {
    bool given;
    int32_t left, right;
} window_option;

/* The value of a --window L,R; leaves *out alone where there is none. Exit status. */
int options_read_window(const option_value *value, window_option *out);

/* The subcommand of that name, COMMAND_COUNT when there is none. */
command_id command_find(const char *name);
const char *command_name(command_id command);

/* --help of the program and of a subcommand. */
void help_print(FILE *stream);
void help_print_command(FILE *stream, command_id command);

/* The tables' rows, for help.c and options.c. */
typedef enum option_kind {
    KIND_FLAG,
    KIND_FILE,
    KIND_TEXT,
    KIND_INT,
    KIND_REAL,
    KIND_PAIR,
    KIND_INT_OR_FILE,
    KIND_CHOICE,
    KIND_CHOICES
} option_kind;
typedef enum option_need { NEED_OPTIONAL, NEED_REQUIRED, NEED_REPLACEABLE, NEED_INSTEAD } option_need;
typedef struct option_row {
    command_id command;
    const char *name;
    option_kind kind;
    option_need need;
    const char *argument, *help;
} option_row;
typedef struct command_row {
    const char *name, *operands, *help;
} command_row;
extern const option_row option_rows[OPTION_COUNT];
extern const command_row command_rows[COMMAND_COUNT];

#endif
