/* SPDX-License-Identifier: BSD-2-Clause */
#include "plan/pin.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/status.h"

#define HEAD "clattn-plan 1"

/* One line of the text: where its value goes. */
typedef struct pin_line {
    const char *name;
    size_t offset;
} pin_line;

static const pin_line lines[] = {
    { "fragment", offsetof(clattn_pins, fragment) },
    { "prefill_tile", offsetof(clattn_pins, prefill_tile) },
    { "decode_tile", offsetof(clattn_pins, decode_tile) },
    { "combine_tile", offsetof(clattn_pins, combine_tile) },
};
#define LINES ((int)(sizeof(lines) / sizeof(lines[0])))

size_t clattn_pins_text(const clattn_plan *plan, char text[CLATTN_PIN_MAX_SIZE])
{
    const clattn_step *steps = plan->steps;
    return (size_t)snprintf(
        text, CLATTN_PIN_MAX_SIZE,
        HEAD "\nfragment %s\nprefill_tile %s\ndecode_tile %s\ncombine_tile %s\nsplit_size %" PRId32 "\n",
        clattn_fragment_row(plan->fragment)->name, steps[CLATTN_STEP_PREFILL].tile_name,
        steps[CLATTN_STEP_DECODE].tile_name, steps[CLATTN_STEP_COMBINE].tile_name, plan->uncapped_split_size);
}

static clattn_status wrong_line(int number, const char *line, const char *wanted)
{
    return clattn_fail(CLATTN_INVALID_ARGUMENT, "line %d of text is \"%.*s\"; it has to be \"%s\"", number,
                       (int)strcspn(line, "\n"), line, wanted);
}

/* The value of a line "NAME VALUE\n" at *at, which is moved behind it. False when the line is another. */
static bool take_value(const char **at, const char *name, char value[CLATTN_TILE_NAME_SIZE])
{
    const size_t length = strlen(name);
    if (strncmp(*at, name, length) != 0 || (*at)[length] != ' ')
        return false;
    const char *start = *at + length + 1;
    const size_t size = strcspn(start, "\n");
    if (size == 0 || size >= CLATTN_TILE_NAME_SIZE || start[size] != '\n')
        return false;
    memcpy(value, start, size);
    value[size] = '\0';
    *at = start + size + 1;
    return true;
}

static bool take_split_size(const char **at, int32_t *out)
{
    char value[CLATTN_TILE_NAME_SIZE], again[16];
    if (!take_value(at, "split_size", value))
        return false;
    const long size = strtol(value, NULL, 10);
    *out = (int32_t)size;
    snprintf(again, sizeof(again), "%ld", size);
    return size >= 1 && size <= CLATTN_MAX_SPLIT_SIZE && strcmp(value, again) == 0;
}

clattn_status clattn_pins_parse(const char *text, clattn_pins *out)
{
    const char *at = text;
    int number = 1;
    if (strncmp(at, HEAD "\n", strlen(HEAD) + 1) != 0)
        return wrong_line(number, at, HEAD);
    at += strlen(HEAD) + 1;
    for (int i = 0; i < LINES; i++) {
        char wanted[64];
        snprintf(wanted, sizeof(wanted), "%s VALUE", lines[i].name);
        number++;
        if (!take_value(&at, lines[i].name, (char *)out + lines[i].offset))
            return wrong_line(number, at, wanted);
    }
    number++;
    if (!take_split_size(&at, &out->split_size))
        return wrong_line(number, at, "split_size N, with N from 1 to 2^30");
    return *at ? wrong_line(number + 1, at, "the end of the text") : CLATTN_OK;
}
