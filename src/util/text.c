/* SPDX-License-Identifier: BSD-2-Clause */
#include "util/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool reserve(clattn_text *text, size_t extra)
{
    if (extra < text->capacity - text->size)
        return true;
    size_t capacity = text->capacity ? text->capacity : 64;
    while (capacity - text->size <= extra) {
        if (capacity > (size_t)-1 / 2)
            return false;
        capacity *= 2;
    }
    char *data = realloc(text->data, capacity);
    if (!data)
        return false;
    text->data = data;
    text->capacity = capacity;
    return true;
}

void clattn_text_add(clattn_text *text, const char *format, ...)
{
    if (text->failed)
        return;
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    if (length < 0 || !reserve(text, (size_t)length)) {
        text->failed = true;
    } else {
        vsnprintf(text->data + text->size, (size_t)length + 1, format, again);
        text->size += (size_t)length;
    }
    va_end(again);
    va_end(args);
}

void clattn_text_add_item(clattn_text *text, const char *separator, const char *item)
{
    clattn_text_add(text, "%s%s", text->size ? separator : "", item);
}

const char *clattn_text_get(const clattn_text *text)
{
    return text->data ? text->data : "";
}

char *clattn_text_take(clattn_text *text)
{
    if (!text->data)
        clattn_text_add(text, "%s", "");
    char *data = text->data;
    if (text->failed) {
        free(data);
        data = NULL;
    }
    *text = (clattn_text){ 0 };
    return data;
}

void clattn_text_free(clattn_text *text)
{
    free(text->data);
    *text = (clattn_text){ 0 };
}

char *clattn_text_copy(const char *string)
{
    size_t size = strlen(string) + 1;
    char *copy = malloc(size);
    if (copy)
        memcpy(copy, string, size);
    return copy;
}

void clattn_text_to_line(char *string)
{
    for (; *string; string++)
        if ((unsigned char)*string < 0x20 || *string == 0x7f)
            *string = ' ';
}
