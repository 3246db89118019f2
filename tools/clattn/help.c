/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "options.h"

enum { HELP_COLUMN = 28, HELP_WIDTH = 100 };

/* Prints text in words from HELP_COLUMN on, broken at HELP_WIDTH. `column` is where the line stands. */
static void print_wrapped(FILE *stream, int column, const char *text)
{
    if (column >= HELP_COLUMN) {
        fputc('\n', stream);
        column = 0;
    }
    fprintf(stream, "%*s", HELP_COLUMN - column, "");
    column = HELP_COLUMN;
    while (*text) {
        int word = (int)strcspn(text, " ");
        if (column > HELP_COLUMN && column + 1 + word > HELP_WIDTH) {
            fprintf(stream, "\n%*s", HELP_COLUMN, "");
            column = HELP_COLUMN;
        }
        column += fprintf(stream, "%s%.*s", column > HELP_COLUMN ? " " : "", word, text);
        text += word;
        text += *text == ' ';
    }
    fputc('\n', stream);
}

void help_print(FILE *stream)
{
    fprintf(stream, "usage: clattn COMMAND [OPTION...]\n\nAttention on OpenCL devices.\n\ncommands:\n");
    for (int i = 0; i < COMMAND_COUNT; i++)
        print_wrapped(stream,
                      fprintf(stream, "  %s%s%s", command_rows[i].name, *command_rows[i].operands ? " " : "",
                              command_rows[i].operands),
                      command_rows[i].help);
    fprintf(stream, "\noptions:\n");
    print_wrapped(stream, fprintf(stream, "  --help"), "this text; after a command: that command's options");
    print_wrapped(stream, fprintf(stream, "  --version"), "the version");
    fprintf(stream,
            "\nexit status: 0 done, 1 failed, 2 the command line cannot be parsed, 130 interrupted\n"
            "environment: CLATTN_DEVICE, CLATTN_CACHE_DIR, CLATTN_TUNING_PATH, CLATTN_KERNEL_DIR, CLATTN_LOG\n");
}

void help_print_command(FILE *stream, command_id command)
{
    const command_row *row = &command_rows[command];
    fprintf(stream, "usage: clattn %s%s%s", row->name, *row->operands ? " " : "", row->operands);
    for (int i = 0; i < OPTION_COUNT; i++)
        if (option_rows[i].command == command &&
            (option_rows[i].need == NEED_REQUIRED || option_rows[i].need == NEED_REPLACEABLE))
            fprintf(stream, " %s %s", option_rows[i].name, option_rows[i].argument);
    fprintf(stream, " [OPTION...]\n\n%s\n\noptions:\n", row->help);
    for (int i = 0; i < OPTION_COUNT; i++)
        if (option_rows[i].command == command)
            print_wrapped(stream,
                          fprintf(stream, "  %s%s%s", option_rows[i].name, *option_rows[i].argument ? " " : "",
                                  option_rows[i].argument),
                          option_rows[i].help);
    print_wrapped(stream, fprintf(stream, "  --help"), "this text");
}
