/* SPDX-License-Identifier: BSD-2-Clause */
/* tools/clattn/plot.c: a suite's worth of rows, which no quick bench has, and a device's name that has to be quoted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench_case.h"
#include "command.h"
#include "gnuplot.h"
#include "plot.h"
#include "report.h"

#include <cmocka.h> /* last: it has a macro fail() */

/* What the plot needs of the command. */
int(fail)(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
    return EXIT_FAILED;
}

const char *report_kv_dtype(clattn_dtype k, clattn_dtype v, char *text, size_t size)
{
    snprintf(text, size, "%s,%s", clattn_dtype_name(k), clattn_dtype_name(v));
    return text;
}

size_t bench_row_bytes(clattn_dtype dtype, int32_t head_dim)
{
    return clattn_dtype_size(dtype) * (size_t)head_dim;
}

double bench_case_kv_bytes(const bench_shape *shape)
{
    return 2.0 * shape->kv_len;
}

static void add(bench_plot *to, bench_op op, int32_t kv_len, bench_peak peak)
{
    const bool copies = op == BENCH_GATHER || op == BENCH_APPEND;
    const bench_shape shape = {
        .op = op, .batch = 1, .q_heads = 1, .kv_heads = 1, .q_len = 4, .kv_len = kv_len, .head_dim = 8
    };
    const bench_task task = { .peak = peak,
                              .flops = copies ? 0 : 1e6 * kv_len,
                              .bytes = peak == BENCH_PEAK_FMA ? 0 : 1e5 * kv_len };
    const bench_times found = { .median = 1e-3, .peak = 3e10 };
    assert_int_equal(bench_plot_add(to, &shape, &task, &found), EXIT_DONE);
}

static int count(const char *text, const char *wanted)
{
    int found = 0;
    for (; (text = strstr(text, wanted)); text += strlen(wanted))
        found++;
    return found;
}

/* The caller frees. */
static char *draw(const bench_plot *from)
{
    static const bench of = { .peaks = { .fma_flops = 1e11, .read_bandwidth = 1e10, .copy_bandwidth = 2e10 },
                              .on = { .info = { .device_name = "It's a <GPU & `date` \\ \"x\"\n\xff" } } };
    char *svg = NULL;
    size_t size = 0;
    assert_int_equal(bench_plot_draw(from, &of, &svg, &size), EXIT_DONE);
    assert_int_equal(count(svg, ">It's a &lt;GPU &amp; `date` \\ \"x\"?\?<"), 1);
    return svg;
}

static void test_rows(void **state)
{
    (void)state;
    enum { ROWS = 64 };
    static const bench_op ops[] = { BENCH_ATTENTION, BENCH_DECODE, BENCH_GATHER, BENCH_APPEND };
    static const bench_peak kinds[] = { BENCH_PEAK_FMA, BENCH_PEAK_READ, BENCH_PEAK_COPY, BENCH_PEAK_COPY };
    for (int used = 1; used < 16; used++) { /* every set of operations */
        bench_plot plot = { .count = 0 };
        char name[64];
        for (int i = 0; i < ROWS; i++)
            if (used >> i % 4 & 1)
                add(&plot, ops[i % 4], 1000 + i, kinds[i % 4]);
        char *svg = draw(&plot);
        for (int i = 0, at = 0; i < ROWS; i++) {
            snprintf(name, sizeof name, ">%d: %s f32", at + 1, bench_op_name(ops[i % 4]));
            if (used >> i % 4 & 1 && ++at && count(svg, name) != 1)
                fail_msg("operations %x: '%s' is in the picture %d times", used, name, count(svg, name));
        }
        /* each row's point and its mark in the key */
        if (count(svg, "<use xlink:href='#gpPt") - count(svg, "' id='gpPt") != 2 * plot.count)
            fail_msg("operations %x: %d rows, %d marks", used, plot.count, count(svg, "<use xlink:href='#gpPt"));
        assert_int_equal(count(svg, ">roof: fma 100.0 GFLOP/s, read 30.0 GB/s<"), (used & 2) != 0);
        assert_int_equal(count(svg, ">roof: fma 100.0 GFLOP/s, read 10.0 GB/s<"), (used & 3) == 1);
        assert_int_equal(count(svg, ">roof: copy 30.0 GB/s read plus written<"), (used & 12) != 0);
        free(svg);
        bench_plot_free(&plot);
    }
}

static void test_bad_script(void **state)
{
    (void)state;
    char *out = NULL;
    size_t size = 0;
    assert_int_equal(gnuplot_run("--plot", "set terminal svg\nplot [0:1\n", &out, &size), EXIT_FAILED);
    assert_null(out);
}

static int need_gnuplot(void **state)
{
    (void)state;
    return gnuplot_check("--plot");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_bad_script),
    };
    return cmocka_run_group_tests(tests, need_gnuplot, NULL);
}
