/* SPDX-License-Identifier: BSD-2-Clause */
#include "options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"

const command_row command_rows[COMMAND_COUNT] = {
#define COMMAND(name, operands, help) { #name, operands, help },
#include "commands.def"
#undef COMMAND
};

const option_row option_rows[OPTION_COUNT] = {
#define OPTION(command, id, name, kind, need, argument, help)                                                          \
    { COMMAND_##command, name, KIND_##kind, NEED_##need, argument, help },
#include "options.def"
#undef OPTION
};

command_id command_find(const char *name)
{
    int i = 0;
    while (i < COMMAND_COUNT && strcmp(command_rows[i].name, name) != 0)
        i++;
    return (command_id)i;
}

const char *command_name(command_id command)
{
    return command_rows[command].name;
}

/* The place of value[0 .. length) in "A|B|C"; -1 when it is not there. */
static int find_span(const char *choices, const char *value, size_t length)
{
    int index = 0;
    for (const char *at = choices; *at; index++) {
        size_t span = strcspn(at, "|");
        if (span == length && strncmp(at, value, span) == 0)
            return index;
        at += span + (at[span] == '|');
    }
    return -1;
}

static int find_choice(const char *choices, const char *value)
{
    return find_span(choices, value, strlen(value));
}

/* One value, or two with a comma between them. */
static bool parse_choices(const char *choices, const char *text, int64_t pair[2])
{
    size_t first = strcspn(text, ",");
    pair[0] = find_span(choices, text, first);
    pair[1] = text[first] == ',' ? find_choice(choices, text + first + 1) : pair[0];
    return pair[0] >= 0 && pair[1] >= 0;
}

/* Reads a whole decimal integer that ends at `end`. */
static bool parse_integer(const char *text, char end, int64_t *out, const char **rest)
{
    const char *digits = text + (*text == '-' || *text == '+');
    if (*digits < '0' || *digits > '9')
        return false;
    char *stop = NULL;
    errno = 0;
    long long value = strtoll(text, &stop, 10);
    if (errno != 0 || *stop != end)
        return false;
    *out = value;
    *rest = stop;
    return true;
}

static bool parse_pair(const char *text, int64_t pair[2])
{
    const char *rest = NULL;
    return parse_integer(text, ',', &pair[0], &rest) && parse_integer(rest + 1, '\0', &pair[1], &rest);
}

static bool parse_real(const char *text, double *out)
{
    char *stop = NULL;
    *out = strtod(text, &stop);
    return stop != text && *stop == '\0' && *text != ' ';
}

/* Fills `value` from text; on a mistake returns what would be right, else NULL. */
static const char *parse_value(const option_row *row, const char *text, option_value *value)
{
    const char *rest = NULL;
    value->text = text;
    switch (row->kind) {
    case KIND_INT:
        return parse_integer(text, '\0', &value->integer, &rest) ? NULL : "an integer";
    case KIND_REAL:
        return parse_real(text, &value->real) ? NULL : "a number";
    case KIND_PAIR:
        return parse_pair(text, value->pair) ? NULL : "two integers with a comma between them";
    case KIND_CHOICE:
        value->choice = find_choice(row->argument, text);
        return value->choice >= 0 ? NULL : row->argument;
    case KIND_CHOICES:
        return parse_choices(row->argument, text, value->pair) ? NULL : row->argument;
    case KIND_INT_OR_FILE:
        value->is_integer = parse_integer(text, '\0', &value->integer, &rest);
        return NULL;
    case KIND_FLAG:
    case KIND_FILE:
    case KIND_TEXT:
        break;
    }
    return NULL;
}

/* The row of `command` whose name is argument[0 .. length); OPTION_COUNT when there is none. */
static int find_option(command_id command, const char *argument, size_t length)
{
    int i = 0;
    while (i < OPTION_COUNT && !(option_rows[i].command == command && strlen(option_rows[i].name) == length &&
                                 strncmp(option_rows[i].name, argument, length) == 0))
        i++;
    return i;
}

/* One option at argv[*at], with its value there ("--name=value") or in the next argument. */
static int parse_option(command_id command, int argc, char **argv, int *at, options *out)
{
    const char *argument = argv[*at], *name = command_rows[command].name;
    size_t length = strcspn(argument, "=");
    int index = find_option(command, argument, length);
    if (index == OPTION_COUNT)
        return fail_usage("'%s' is not an option of 'clattn %s'; 'clattn %s --help' lists them", argument, name, name);
    const option_row *row = &option_rows[index];
    option_value *value = &out->values[index];
    if (value->given)
        return fail_usage("%s is given twice; it has to be given once", row->name);
    value->given = true;
    if (row->kind == KIND_FLAG)
        return argument[length] == '\0' ? EXIT_DONE : fail_usage("'%s': %s takes no value", argument, row->name);
    const char *text = argument + length + 1;
    if (argument[length] == '\0') {
        if (*at + 1 >= argc || strncmp(argv[*at + 1], "--", 2) == 0)
            return fail_usage("%s has no value; it has to be followed by %s", row->name, row->argument);
        text = argv[++*at];
    }
    const char *right = parse_value(row, text, value);
    if (right)
        return fail_usage("%s is '%s'; it has to be %s", row->name, text, right);
    return EXIT_DONE;
}

static int parse_operand(command_id command, const char *argument, options *out)
{
    const command_row *row = &command_rows[command];
    if (*row->operands == '\0')
        return fail_usage("'%s' is no option, and 'clattn %s' takes nothing else", argument, row->name);
    if (*out->operand != '\0' || find_choice(row->operands, argument) < 0)
        return fail_usage("'%s' cannot follow 'clattn %s%s%s'; that takes one of %s", argument, row->name,
                          *out->operand ? " " : "", out->operand, row->operands);
    out->operand = argument;
    return EXIT_DONE;
}

/* The row that may stand in place of the command's operand or replaceable options; OPTION_COUNT when there is none. */
static int find_instead(command_id command)
{
    int i = 0;
    while (i < OPTION_COUNT && !(option_rows[i].command == command && option_rows[i].need == NEED_INSTEAD))
        i++;
    return i;
}

static int check_operand(command_id command, const options *out)
{
    const command_row *row = &command_rows[command];
    int instead = find_instead(command);
    if (*row->operands == '\0' || *out->operand != '\0')
        return EXIT_DONE;
    if (instead == OPTION_COUNT)
        return fail_usage("'clattn %s' is incomplete; it has to be followed by %s", row->name, row->operands);
    if (!out->values[instead].given)
        return fail_usage("'clattn %s' is incomplete; it has to be followed by %s or %s", row->name, row->operands,
                          option_rows[instead].name);
    return EXIT_DONE;
}

static int fail_missing(command_id command, const option_row *missing, const char *instead)
{
    return fail_usage("%s is missing; 'clattn %s' needs %s %s%s%s", missing->name, command_rows[command].name,
                      missing->name, missing->argument, instead ? " or " : "", instead ? instead : "");
}

static int check_complete(command_id command, const options *out)
{
    int instead = find_instead(command);
    for (int i = 0; i < OPTION_COUNT; i++) {
        const option_row *row = &option_rows[i];
        if (row->command != command || out->values[i].given)
            continue;
        if (row->need == NEED_REQUIRED)
            return fail_missing(command, row, NULL);
        if (row->need == NEED_REPLACEABLE && !out->values[instead].given)
            return fail_missing(command, row, option_rows[instead].name);
    }
    return check_operand(command, out);
}

int options_parse(command_id command, int argc, char **argv, options *out)
{
    *out = (options){ .command = command, .operand = "" };
    for (int i = 0; i < OPTION_COUNT; i++)
        out->values[i].choice = -1;
    for (int i = 0; i < argc; i++)
        out->help = out->help || strcmp(argv[i], "--help") == 0;
    if (out->help)
        return EXIT_DONE;
    for (int i = 0; i < argc; i++) {
        int status =
            argv[i][0] == '-' ? parse_option(command, argc, argv, &i, out) : parse_operand(command, argv[i], out);
        if (status != EXIT_DONE)
            return status;
    }
    return check_complete(command, out);
}

int options_read_window(const option_value *value, window_option *out)
{
    if (!value->given)
        return EXIT_DONE;
    for (int i = 0; i < 2; i++)
        if (value->pair[i] < -1 || value->pair[i] > INT32_MAX)
            return fail("--window is %s; both numbers have to be -1 (no limit) or 0 to %d", value->text, INT32_MAX);
    *out = (window_option){ true, (int32_t)value->pair[0], (int32_t)value->pair[1] };
    return EXIT_DONE;
}
