/* SPDX-License-Identifier: BSD-2-Clause */
#include "desc_limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "plan/problem.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

void expect_right(const clattn_attention_desc *desc, const char *what)
{
    clattn_problem problem;
    if (clattn_problem_init(&problem, desc) != CLATTN_OK)
        fail_msg("%s was refused: %s", what, clattn_last_error());
}

void expect_wrong(const clattn_attention_desc *desc, const char *names)
{
    clattn_problem problem;
    if (clattn_problem_init(&problem, desc) != CLATTN_INVALID_ARGUMENT)
        fail_msg("a wrong %s was taken", names);
    if (!strstr(clattn_last_error(), names))
        fail_msg("the message does not name %s: %s", names, clattn_last_error());
}

static clattn_attention_desc desc_with(const desc_limits *f, clattn_attention_desc desc, int64_t value)
{
    const int32_t narrow = (int32_t)value;
    f->prepare(&desc);
    memcpy((char *)&desc + f->offset, f->size == sizeof(value) ? (const void *)&value : &narrow, f->size);
    return desc;
}

static void expect_limits_of(const desc_limits *f, clattn_attention_desc right)
{
    const int64_t least = f->size == sizeof(int64_t) ? INT64_MIN : INT32_MIN;
    const int64_t most = f->size == sizeof(int64_t) ? INT64_MAX : INT32_MAX;
    clattn_attention_desc desc = desc_with(f, right, f->low);
    expect_right(&desc, f->name);
    desc = desc_with(f, right, f->high);
    expect_right(&desc, f->name);
    const int64_t wrong[] = { f->low > least ? f->low - 1 : f->low, least, most > f->high ? f->high + 1 : f->low,
                              most };
    for (size_t n = 0; n < LENGTH(wrong); n++) {
        desc = desc_with(f, right, wrong[n]);
        const bool within = wrong[n] >= f->low && wrong[n] <= f->high;
        if (!within)
            expect_wrong(&desc, f->name);
    }
}

void expect_limits(const desc_limits *rows, size_t count, clattn_attention_desc (*right)(void))
{
    for (size_t i = 0; i < count; i++)
        expect_limits_of(&rows[i], right());
}
