/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_PLAN_PIN_H
#define CLATTN_PLAN_PIN_H

/* The choices of a plan as text, and back: what clattn_plan_export gives. A line each: "clattn-plan 1", then NAME
 * VALUE. */

#include "plan/plan.h"

#define CLATTN_PIN_MAX_SIZE 1024

/* Strings that clattn_plan_params point to. */
typedef struct clattn_pins {
    char fragment[CLATTN_TILE_NAME_SIZE], prefill_tile[CLATTN_TILE_NAME_SIZE], decode_tile[CLATTN_TILE_NAME_SIZE],
        combine_tile[CLATTN_TILE_NAME_SIZE];
    int32_t split_size;
} clattn_pins;

/* Writes the text with its NUL; returns its length. */
size_t clattn_pins_text(const clattn_plan *plan, char text[CLATTN_PIN_MAX_SIZE]);

/* CLATTN_INVALID_ARGUMENT: the line, and what it has to be. Tiles are checked by clattn_plan_build. */
clattn_status clattn_pins_parse(const char *text, clattn_pins *out);

#endif
