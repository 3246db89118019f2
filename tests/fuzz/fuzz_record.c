/* SPDX-License-Identifier: BSD-2-Clause */
/* Bytes of a tuning record: nothing outside them is read, what is refused has a line of the text, and what is taken is
 * written so that it is taken again, all of it, and gives the same text. */
#include <stdlib.h>
#include <string.h>

#include "plan/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* `user` is the number of lines. */
static void check_refusal(void *user, const char *path, int line, const char *reason)
{
    if (!path[0] || line < 0 || line > *(int *)user || !reason[0] || strchr(reason, '\n'))
        abort();
}

static void never(void *user, const char *path, int line, const char *reason)
{
    (void)user;
    (void)path;
    (void)line;
    (void)reason;
    abort();
}

static void check_text(const clattn_record *record)
{
    clattn_record again;
    char *text = clattn_record_text(record);
    if (!text)
        return;
    if (!clattn_record_parse("again", text, strlen(text), never, NULL, &again))
        abort();
    char *text_again = clattn_record_text(&again);
    if (text_again && strcmp(text, text_again) != 0)
        abort();
    free(text_again);
    free(text);
    clattn_record_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    clattn_record record;
    int lines = 1;
    for (size_t i = 0; i < size; i++)
        lines += data[i] == '\n';
    if (!clattn_record_parse("record", (const char *)data, size, check_refusal, &lines, &record))
        return 0;
    check_text(&record);
    clattn_record_free(&record);
    return 0;
}
