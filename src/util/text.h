/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_UTIL_TEXT_H
#define CLATTN_UTIL_TEXT_H

/* A string that grows. Start from all zero. Once memory runs out `failed` stays true and further additions do nothing,
 * so that one check at the end is enough. */

#include <stdbool.h>
#include <stddef.h>

typedef struct clattn_text {
    char *data;  /* NUL-terminated; NULL while nothing was added */
    size_t size; /* without the NUL */
    size_t capacity;
    bool failed;
} clattn_text;

__attribute__((format(printf, 2, 3))) void clattn_text_add(clattn_text *text, const char *format, ...);

/* Adds `item`, after a separator when there is text already. */
void clattn_text_add_item(clattn_text *text, const char *separator, const char *item);

/* The string, "" when nothing was added. Belongs to the text. */
const char *clattn_text_get(const clattn_text *text);

/* Hands the string over, to be freed by the caller, and empties the text. NULL when memory ran out. */
char *clattn_text_take(clattn_text *text);

void clattn_text_free(clattn_text *text);

/* A copy to be freed, NULL when there is no memory. */
char *clattn_text_copy(const char *string);

/* Replaces control characters by spaces, and bytes that are no UTF-8 by question marks: for text of drivers that goes
 * into single lines and into JSON. */
void clattn_text_to_line(char *string);

#endif
