/* SPDX-License-Identifier: BSD-2-Clause */
/* JSON libraries do not say where a value stood; people want the line. The text was parsed before, so it is sound here.
 */
#include <string.h>

#include "plan/record_internal.h"

typedef struct scanner {
    const char *at, *end;
    int line, depth;
    const char *name; /* of the array */
    bool named;       /* the last string of depth 1 was that name */
    bool inside;      /* of the array */
    bool expecting;   /* an element */
} scanner;

/* Steps over the string that starts here; returns its characters between the quotes. */
static const char *skip_string(scanner *s, size_t *size)
{
    const char *start = ++s->at;
    while (s->at < s->end && *s->at != '"')
        s->at += *s->at == '\\' ? 2 : 1;
    const char *stop = s->at < s->end ? s->at : s->end;
    *size = (size_t)(stop - start);
    s->at = stop;
    return start;
}

static void step(scanner *s)
{
    size_t size = 0;
    const char *string = NULL;
    switch (*s->at) {
    case '"':
        string = skip_string(s, &size);
        s->named = s->depth == 1 && size == strlen(s->name) && memcmp(string, s->name, size) == 0;
        break;
    case '[':
    case '{':
        s->inside = s->inside || (s->depth == 1 && s->named && *s->at == '[');
        s->depth++;
        s->expecting = s->inside && s->depth == 2;
        break;
    case ']':
    case '}':
        s->depth--;
        s->inside = s->inside && s->depth > 1;
        break;
    case ',':
        s->expecting = s->inside && s->depth == 2;
        break;
    default:
        break;
    }
}

void clattn_record_lines(const char *text, size_t size, const char *name, int *lines, size_t count)
{
    scanner s = { .at = text, .end = text + size, .line = 1, .name = name };
    size_t found = 0;
    for (; s.at < s.end && found < count; s.at++) {
        if (*s.at == '\n')
            s.line++;
        if (strchr(" \t\r\n", *s.at))
            continue;
        if (s.expecting) {
            lines[found++] = s.line;
            s.expecting = false;
        }
        step(&s);
    }
}
