/* SPDX-License-Identifier: BSD-2-Clause */
/* The lists of shapes of clattn bench --suite. */
#include <stdio.h>
#include <string.h>

#include "bench.h"
#include "command.h"
#include "report.h"

typedef struct suite_row {
    const char *suite;
    bench_shape shape;
} suite_row;

static const suite_row suite_rows[] = {
#define FULL                                                                                                           \
    false,                                                                                                             \
    {                                                                                                                  \
        false, 0, 0                                                                                                    \
    }
#define CAUSAL                                                                                                         \
    true,                                                                                                              \
    {                                                                                                                  \
        false, 0, 0                                                                                                    \
    }
#define WINDOW(left, right)                                                                                            \
    false,                                                                                                             \
    {                                                                                                                  \
        true, left, right                                                                                              \
    }
#define SHAPE(suite, op, dtype, batch, q_heads, kv_heads, q_len, kv_len, head_dim, mask, page_size, kv_dtype)          \
    { #suite,                                                                                                          \
      { BENCH_##op, CLATTN_##dtype, batch, q_heads, kv_heads, q_len, kv_len, head_dim, mask, page_size,                \
        CLATTN_##kv_dtype, CLATTN_##kv_dtype } },
#include "bench_suites.def"
#undef SHAPE
#undef WINDOW
#undef CAUSAL
#undef FULL
};

/* The next row of the suite from *at on; NULL after the last one. */
static const bench_shape *next_shape(const char *suite, size_t *at)
{
    for (; *at < sizeof suite_rows / sizeof *suite_rows; ++*at)
        if (strcmp(suite_rows[*at].suite, suite) == 0)
            return &suite_rows[(*at)++].shape;
    return NULL;
}

int bench_suite_run(const bench *of, const char *suite)
{
    size_t at = 0;
    int status = bench_print_head(of);
    for (const bench_shape *shape; status == EXIT_DONE && (shape = next_shape(suite, &at));)
        status = bench_row(of, shape);
    return status;
}

static int list_shape(const bench_shape *shape, bool as_json)
{
    if (as_json)
        return report_print(bench_shape_json(shape));
    bench_print_shape(shape);
    putchar('\n');
    return EXIT_DONE;
}

int bench_suite_list(const char *suite, bool as_json)
{
    size_t at = 0;
    int status = EXIT_DONE;
    if (!as_json) {
        bench_print_shape_titles();
        putchar('\n');
    }
    for (const bench_shape *shape; status == EXIT_DONE && (shape = next_shape(suite, &at));)
        status = list_shape(shape, as_json);
    return status;
}
