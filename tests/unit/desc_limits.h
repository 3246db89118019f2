/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_UNIT_DESC_LIMITS_H
#define TESTS_UNIT_DESC_LIMITS_H

/* Which attention descriptions are right, and the range of each of their integers. */

#include <stddef.h>

#include <clattn/attention.h>

/* Fail the test when clattn_problem_init takes it otherwise; a refusal has to name what is wrong. */
void expect_right(const clattn_attention_desc *desc, const char *what);
void expect_wrong(const clattn_attention_desc *desc, const char *names);

typedef struct desc_limits {
    const char *name;
    size_t offset, size;
    int64_t low, high;
    void (*prepare)(clattn_attention_desc *desc); /* makes the others fit */
} desc_limits;

#define DESC_LIMITS(member, low, high, prepare)                                                                        \
    {                                                                                                                  \
#member, offsetof(clattn_attention_desc, member), sizeof(((clattn_attention_desc *)0)->member), low, high,     \
            prepare                                                                                                    \
    }

/* Both ends of each range are right; the values beside them and the type's own ends, as far as outside, are wrong. */
void expect_limits(const desc_limits *rows, size_t count, clattn_attention_desc (*right)(void));

#endif
