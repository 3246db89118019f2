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

/* Bytes of the UTF-8 sequence that starts here; 0 when it is none. The second byte's range leaves out overlong forms,
 * surrogates, and what is past U+10FFFF. */
static size_t utf8_size(const char *string)
{
    const unsigned char *s = (const unsigned char *)string;
    if (s[0] < 0x80)
        return 1;
    if (s[0] < 0xc2 || s[0] > 0xf4)
        return 0;
    const size_t size = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
    const unsigned char low = s[0] == 0xe0 ? 0xa0 : s[0] == 0xf0 ? 0x90 : 0x80;
    const unsigned char high = s[0] == 0xed ? 0x9f : s[0] == 0xf4 ? 0x8f : 0xbf;
    if (s[1] < low || s[1] > high)
        return 0;
    for (size_t i = 2; i < size; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    return size;
}

void clattn_text_to_line(char *string)
{
    while (*string) {
        const size_t size = utf8_size(string);
        if (size == 0)
            *string = '?';
        else if ((unsigned char)*string < 0x20 || *string == 0x7f)
            *string = ' ';
        string += size ? size : 1;
    }
}
