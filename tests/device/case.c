/* SPDX-License-Identifier: BSD-2-Clause */
#include "case.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_WORDS 8
/* In the order of kt and vt. */
#define FIRST_SCALED_TYPE 3
#define FIRST_BLOCK_TYPE  4

typedef enum field_kind { FIELD_CHOICE, FIELD_INTEGER, FIELD_REAL, FIELD_TEXT } field_kind;

typedef struct field {
    const char *name;
    field_kind kind;
    size_t offset;
    const char *words[MAX_WORDS + 1];
} field;

static const field fields[] = {
#define CHOICE(name, value, ...) { #name, FIELD_CHOICE, offsetof(test_case, name), { __VA_ARGS__ } },
#define INTEGER(name, value)     { #name, FIELD_INTEGER, offsetof(test_case, name), { NULL } },
#define REAL(name, value)        { #name, FIELD_REAL, offsetof(test_case, name), { NULL } },
#define TEXT(name)               { #name, FIELD_TEXT, offsetof(test_case, name), { NULL } },
#include "fields.def"
#undef CHOICE
#undef INTEGER
#undef REAL
#undef TEXT
};

#define FIELD_COUNT (sizeof(fields) / sizeof(fields[0]))

test_case case_default(void)
{
    return (test_case){
#define CHOICE(name, value, ...) .name = value,
#define INTEGER(name, value)     .name = value,
#define REAL(name, value)        .name = value,
#define TEXT(name)               .name = "",
#include "fields.def"
#undef CHOICE
#undef INTEGER
#undef REAL
#undef TEXT
    };
}

static const field *field_named(const char *name, size_t length)
{
    for (size_t i = 0; i < FIELD_COUNT; i++)
        if (strlen(fields[i].name) == length && strncmp(fields[i].name, name, length) == 0)
            return &fields[i];
    return NULL;
}

static bool parse_number(const field *f, void *at, const char *value)
{
    char *end;
    errno = 0;
    if (f->kind == FIELD_REAL)
        *(float *)at = strtof(value, &end);
    else
        *(int32_t *)at = (int32_t)strtol(value, &end, 10);
    return errno == 0 && end != value && *end == '\0';
}

static bool parse_value(const field *f, test_case *c, const char *value)
{
    void *at = (char *)c + f->offset;
    switch (f->kind) {
    case FIELD_TEXT:
        snprintf(at, CASE_TEXT_SIZE, "%s", value);
        return strlen(value) < CASE_TEXT_SIZE;
    case FIELD_CHOICE:
        for (int32_t word = 0; f->words[word]; word++) {
            if (strcmp(f->words[word], value) == 0) {
                *(int32_t *)at = word;
                return true;
            }
        }
        return false;
    case FIELD_INTEGER:
    case FIELD_REAL:
        break;
    }
    return parse_number(f, at, value);
}

bool case_parse(test_case *c, const char *line, char *message, size_t size)
{
    char item[CASE_TEXT_SIZE + 32];
    for (const char *at = line; *at != '\0';) {
        size_t length = strcspn(at, ",");
        if (length >= sizeof(item)) {
            snprintf(message, size, "'%.40s...' is too long", at);
            return false;
        }
        memcpy(item, at, length);
        item[length] = '\0';
        at += length + (at[length] == ',');
        size_t name_length = strcspn(item, "=");
        const field *f = field_named(item, name_length);
        if (!f || item[name_length] != '=' || !parse_value(f, c, item + name_length + 1)) {
            snprintf(message, size, "'%s' is not FIELD=VALUE as fields.def has them", item);
            return false;
        }
    }
    return true;
}

static bool field_equal(const field *f, const test_case *a, const test_case *b)
{
    const char *x = (const char *)a + f->offset, *y = (const char *)b + f->offset;
    return f->kind == FIELD_TEXT ? strcmp(x, y) == 0 : memcmp(x, y, sizeof(int32_t)) == 0;
}

bool case_equal(const test_case *a, const test_case *b)
{
    for (size_t i = 0; i < FIELD_COUNT; i++)
        if (!field_equal(&fields[i], a, b))
            return false;
    return true;
}

const char *case_print(const test_case *c, char line[CASE_LINE_SIZE])
{
    const test_case defaults = case_default();
    size_t used = 0;
    line[0] = '\0';
    for (size_t i = 0; i < FIELD_COUNT && used < CASE_LINE_SIZE; i++) {
        const field *f = &fields[i];
        const void *at = (const char *)c + f->offset;
        char value[CASE_TEXT_SIZE];
        if (field_equal(f, c, &defaults))
            continue;
        if (f->kind == FIELD_TEXT)
            snprintf(value, sizeof(value), "%s", (const char *)at);
        else if (f->kind == FIELD_CHOICE)
            snprintf(value, sizeof(value), "%s", f->words[*(const int32_t *)at]);
        else if (f->kind == FIELD_INTEGER)
            snprintf(value, sizeof(value), "%" PRId32, *(const int32_t *)at);
        else
            snprintf(value, sizeof(value), "%.9g", (double)*(const float *)at);
        used += (size_t)snprintf(line + used, CASE_LINE_SIZE - used, "%s%s=%s", used ? "," : "", f->name, value);
    }
    return line;
}

bool case_next_lengths(const char **at, int32_t *q, int32_t *kv)
{
    char *end;
    *q = (int32_t)strtol(*at, &end, 10);
    if (end == *at || *end != ':')
        return false;
    *kv = (int32_t)strtol(end + 1, &end, 10);
    *at = end + (*end == '+');
    return true;
}

/* The batch and the longest lengths of the list become the case's own. */
static void normalize_list(test_case *c)
{
    const char *at = c->lens;
    int32_t q, kv;
    c->batch = c->q = c->kv = 0;
    while (c->batch < CASE_MAX_BATCH && case_next_lengths(&at, &q, &kv)) {
        c->q = q > c->q ? q : c->q;
        c->kv = kv > c->kv ? kv : c->kv;
        c->batch++;
    }
    c->mix = 0;
    c->qmode = 1;
    if (c->kvmode == KVMODE_UNIFORM)
        c->kvmode = c->kvform ? KVMODE_PER_SEQUENCE : KVMODE_RAGGED;
}

static void normalize_pages(test_case *c)
{
    if (c->kvform == KVFORM_DENSE) {
        c->page = 16;
        c->pform = 0;
        c->holes = HOLES_NONE;
        c->shuffle = 0;
        return;
    }
    if (c->kvmode >= KVMODE_RAGGED || c->kvform == KVFORM_LIST)
        c->kvmode = KVMODE_PER_SEQUENCE;
    if (c->layout == LAYOUT_QKV)
        c->layout = LAYOUT_BSHD;
}

/* Blocks of 32 elements have to fill rows. */
static void normalize_types(test_case *c)
{
    if (c->kt >= FIRST_BLOCK_TYPE)
        c->d = (c->d + 31) / 32 * 32;
    if (c->vt >= FIRST_BLOCK_TYPE)
        c->dv = (c->dv + 31) / 32 * 32;
    if (c->values == VALUES_INF && (c->kt >= FIRST_SCALED_TYPE || c->vt >= FIRST_SCALED_TYPE))
        c->values = VALUES_NAN; /* these types have no Inf */
}

static void normalize_memory(test_case *c)
{
    if (c->layout == LAYOUT_QKV && c->kt >= FIRST_SCALED_TYPE)
        c->layout = LAYOUT_BSHD;
    if (c->layout == LAYOUT_QKV)
        c->kt = c->vt = c->qt;
    if (c->layout == LAYOUT_MLA) {
        c->vt = c->kt;
        if (c->dv > c->d)
            c->dv = c->d;
    }
    /* Views of one buffer share its tokens: both packed or neither. */
    if (c->layout == LAYOUT_QKV && (c->qmode == 1) != (c->kvmode >= KVMODE_RAGGED))
        c->layout = LAYOUT_BSHD;
}

void case_normalize(test_case *c)
{
    if (c->lens[0] != '\0')
        normalize_list(c);
    normalize_pages(c);
    normalize_memory(c);
    normalize_types(c);
    if (c->batch > CASE_MAX_BATCH)
        c->batch = CASE_MAX_BATCH;
    c->hq = c->hq / c->hk * c->hk;
    if (c->hq == 0)
        c->hq = c->hk;
    if (!c->sched && c->lens[0] == '\0' && (c->qmode == 0 || c->kvmode == KVMODE_UNIFORM))
        c->slack = 0; /* without a schedule, uniform lengths are the bounds */
    if (c->mask == 0)
        c->empty = c->mform = 0;
    if (c->mform == MFORM_K)
        c->empty = 0;
    if (c->omode == 0)
        c->offset = 0;
    if (c->wmode == 0)
        c->wl = c->wr = -1;
    if (c->values == VALUES_INF && c->scale < 0.0f)
        c->scale = -c->scale; /* +Inf in a key has to make the logit +inf */
}
