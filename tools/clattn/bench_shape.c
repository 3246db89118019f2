/* SPDX-License-Identifier: BSD-2-Clause */
/* The words for what a row is. */
#include <stdio.h>

#include "bench.h"

const char *bench_op_name(bench_op op)
{
    static const char *const names[] = { "attention", "decode", "gather", "append" };
    return names[op];
}

bool bench_attends(bench_op op)
{
    return op == BENCH_ATTENTION || op == BENCH_DECODE;
}

const char *bench_mask_name(const bench_shape *shape, char *text, size_t size)
{
    const window_option *window = &shape->window;
    if (!bench_attends(shape->op))
        snprintf(text, size, "%s", "");
    else if (!window->given)
        snprintf(text, size, "%s", shape->causal ? "causal" : "full");
    else
        snprintf(text, size, "%s %d,%d", shape->causal ? "causal" : "window", window->left, window->right);
    return text;
}
