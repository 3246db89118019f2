/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_TOOL_PLOT_H
#define CLATTN_TOOL_PLOT_H

/* The plot of clattn bench --plot: a roofline of the rows that compute, and the bandwidth of those that only copy. */

#include "bench.h"

typedef struct bench_plot {
    int count;
    struct bench_point *points;
} bench_plot;

/* Adds a row that was measured. Exit status. */
int bench_plot_add(bench_plot *to, const bench_shape *shape, const bench_task *task, const bench_times *found);

/* Draws the rows below the peaks of `of`, as SVG that the caller frees. Exit status. */
int bench_plot_draw(const bench_plot *from, const bench *of, char **svg, size_t *size);

void bench_plot_free(bench_plot *of);

#endif
