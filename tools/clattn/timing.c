/* SPDX-License-Identifier: BSD-2-Clause */
#include "timing.h"

#include <stdlib.h>

#include "command.h"

enum { MAX_REPEAT = 1000000 };

int timing_make(const option_value *repeat, bool json, timing *out)
{
    *out = (timing){ .count = 0 };
    if (repeat->given && (repeat->integer < 1 || repeat->integer > MAX_REPEAT))
        return fail("--repeat is %s; it has to be 1 to %d", repeat->text, MAX_REPEAT);
    if (!repeat->given && !json)
        return EXIT_DONE;
    out->count = repeat->given ? (int)repeat->integer : 1;
    out->seconds = calloc((size_t)out->count, sizeof *out->seconds);
    return out->seconds ? EXIT_DONE : fail("--repeat is %s: no memory for as many times", repeat->text);
}

void timing_free(timing *used)
{
    free(used->seconds);
    *used = (timing){ .count = 0 };
}
