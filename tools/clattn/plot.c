/* SPDX-License-Identifier: BSD-2-Clause */
#include "plot.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench_case.h"
#include "command.h"
#include "gnuplot.h"
#include "report.h"

/* Pixels. */
enum { WIDTH = 960, ROOF_HEIGHT = 480, COPY_HEIGHT = 260, ROW_HEIGHT = 18 };

typedef struct bench_point {
    double intensity; /* FLOP a byte; 0: it only copies */
    double rate;      /* FLOP a second, or bytes a second of what only copies */
    bench_peak kind;
    double peak; /* its own: a roof, as those of the whole run are */
    char name[160];
} bench_point;

/* Where a diagram and its key are, from below, as parts of the picture's height. */
typedef struct panel {
    double origin, height;
} panel;

static void name_point(const bench_shape *shape, bench_point *out)
{
    char types[32], page[32] = "", mask[32];
    if (shape->page_size > 0)
        snprintf(page, sizeof page, ", page %d", shape->page_size);
    report_kv_dtype(shape->k_dtype, shape->v_dtype, types, sizeof types);
    if (bench_attends(shape->op))
        snprintf(out->name, sizeof out->name, "%s %s, K and V %s, %s%s: batch %d, heads %d/%d, q %d, kv %d, dim %d",
                 bench_op_name(shape->op), clattn_dtype_name(shape->dtype), types,
                 bench_mask_name(shape, mask, sizeof mask), page, shape->batch, shape->q_heads, shape->kv_heads,
                 shape->q_len, shape->kv_len, shape->head_dim);
    else
        snprintf(out->name, sizeof out->name, "%s %s, K and V %s%s: batch %d, heads %d, kv %d, dim %d",
                 bench_op_name(shape->op), clattn_dtype_name(shape->dtype), types, page, shape->batch, shape->kv_heads,
                 shape->kv_len, shape->head_dim);
}

/* Bytes that count in the row's bandwidth; where that does not count: of Q, K, V and O, each once. */
static double bytes_of(const bench_shape *shape, const bench_task *task)
{
    const double rows = (double)shape->batch * shape->q_heads * shape->q_len;
    if (task->bytes > 0)
        return task->bytes;
    return bench_case_kv_bytes(shape) + 2.0 * rows * (double)bench_row_bytes(shape->dtype, shape->head_dim);
}

int bench_plot_add(bench_plot *to, const bench_shape *shape, const bench_task *task, const bench_times *found)
{
    bench_point *points = realloc(to->points, (size_t)(to->count + 1) * sizeof *points);
    if (!points)
        return fail("no memory for %d points of a plot", to->count + 1);
    bench_point *added = &points[to->count++];
    to->points = points;
    *added = (bench_point){ .kind = task->peak, .peak = found->peak };
    added->intensity = task->flops / bytes_of(shape, task);
    added->rate = (task->flops > 0 ? task->flops : task->bytes) / found->median;
    name_point(shape, added);
    return EXIT_DONE;
}

void bench_plot_free(bench_plot *of)
{
    free(of->points);
    *of = (bench_plot){ .count = 0 };
}

/* The highest that was measured, so that a row is below the roof that it was compared with. */
static double find_roof(const bench_plot *from, bench_peak kind, double roof)
{
    for (int i = 0; i < from->count; i++)
        if (from->points[i].kind == kind)
            roof = fmax(roof, from->points[i].peak);
    return roof;
}

/* As a quoted string of gnuplot's: a driver's names may hold anything. */
static void print_quoted(FILE *script, const char *text)
{
    fputc('\'', script);
    for (; *text; text++) {
        if (*text == '\'')
            fputc('\'', script);
        fputc(*text >= ' ' && *text <= '~' ? *text : '?', script);
    }
    fputc('\'', script);
}

static void print_panel(FILE *script, const panel *place)
{
    fprintf(script, "set origin 0, %.6f\nset size 1, %.6f\nunset label\n", place->origin, place->height);
}

/* Rows that compute, or those that do not, after the roof: numbered as the bench printed them. */
static void print_points(FILE *script, const bench_plot *from, bool computing)
{
    for (int i = 0; i < from->count; i++)
        if ((from->points[i].intensity > 0) == computing)
            fprintf(script, ", '-' with points pointsize 0.8 title '%d: %s'", i + 1, from->points[i].name);
    fputc('\n', script);
    for (int i = 0; i < from->count; i++)
        if ((from->points[i].intensity > 0) == computing)
            fprintf(script, "%.9g %.9g\ne\n", computing ? from->points[i].intensity : i + 1,
                    from->points[i].rate * 1e-9);
}

static void print_labels(FILE *script, const bench_plot *from, bool computing)
{
    for (int i = 0; i < from->count; i++)
        if ((from->points[i].intensity > 0) == computing)
            fprintf(script, "set label '%d' at %.9g, %.9g offset 0.7, 0.3\n", i + 1,
                    computing ? from->points[i].intensity : i + 1, from->points[i].rate * 1e-9);
}

/* All points, the ridge of the roof, and some air; then the roof. */
static void print_roof(FILE *script, const bench_plot *from, double flops, double bandwidth)
{
    const double ridge = flops / bandwidth;
    double left = ridge / 2, right = ridge * 4, low = flops, high = flops;
    for (int i = 0; i < from->count; i++) {
        if (from->points[i].intensity <= 0)
            continue;
        left = fmin(left, from->points[i].intensity / 2);
        right = fmax(right, from->points[i].intensity * 4);
        low = fmin(low, from->points[i].rate);
        high = fmax(high, from->points[i].rate);
    }
    low = fmin(low, left * bandwidth);
    fprintf(script, "set xrange [%.9g:%.9g]\nset yrange [%.9g:%.9g]\n", left, right, low / 2 * 1e-9, high * 2 * 1e-9);
    fprintf(script, "$roof << END\n%.9g %.9g\n%.9g %.9g\n%.9g %.9g\nEND\n", left, left * bandwidth * 1e-9, ridge,
            flops * 1e-9, right, flops * 1e-9);
}

static void print_roofline(FILE *script, const bench_plot *from, const peaks *at, const panel *place)
{
    const double flops = find_roof(from, BENCH_PEAK_FMA, at->fma_flops);
    const double bandwidth = find_roof(from, BENCH_PEAK_READ, at->read_bandwidth);
    print_panel(script, place);
    fputs("set logscale xy\nset xlabel 'FLOP a byte'\nset ylabel 'GFLOP/s'\n", script);
    print_roof(script, from, flops, bandwidth);
    print_labels(script, from, true);
    fprintf(script,
            "plot $roof with lines linewidth 2 linecolor 'black' title 'roof: fma %.1f GFLOP/s, read %.1f GB/s'",
            flops * 1e-9, bandwidth * 1e-9);
    print_points(script, from, true);
}

static void print_copies(FILE *script, const bench_plot *from, const peaks *at, const panel *place)
{
    double high = find_roof(from, BENCH_PEAK_COPY, at->copy_bandwidth);
    int first = from->count, last = 0;
    print_panel(script, place);
    fprintf(script, "$roof << END\n0 %.9g\n%d %.9g\nEND\n", high * 1e-9, from->count + 1, high * 1e-9);
    fprintf(script, "title = 'roof: copy %.1f GB/s read plus written'\n", high * 1e-9);
    for (int i = 0; i < from->count; i++) {
        if (from->points[i].intensity > 0)
            continue;
        first = i < first ? i : first;
        last = i;
        high = fmax(high, from->points[i].rate);
    }
    fprintf(script,
            "unset logscale\nset xlabel 'row, without FLOP'\nset ylabel 'GB/s'\nset xtics 1\n"
            "set xrange [%d:%d]\nset yrange [0:%.9g]\n",
            first, last + 2, high * 1.2e-9);
    print_labels(script, from, false);
    fputs("plot $roof with lines linewidth 2 linecolor 'black' title title", script);
    print_points(script, from, false);
}

static void print_script(FILE *script, const bench_plot *from, const bench *of)
{
    int computing = 0;
    for (int i = 0; i < from->count; i++)
        computing += from->points[i].intensity > 0;
    const int copying = from->count - computing;
    const int roof_height = computing ? ROOF_HEIGHT + computing * ROW_HEIGHT : 0;
    const int height = roof_height + (copying ? COPY_HEIGHT + copying * ROW_HEIGHT : 0);
    const double part = (double)roof_height / height;
    fprintf(script,
            "set terminal svg noenhanced size %d, %d background 'white' font 'sans-serif,12'\n"
            "set key outside below left vertical maxcols 1 Left reverse samplen 2\nset grid\n"
            "set multiplot\nset title ",
            WIDTH, height);
    print_quoted(script, of->on.info.device_name);
    fputc('\n', script);
    if (computing) {
        print_roofline(script, from, &of->peaks, &(panel){ 1.0 - part, part });
        fputs("unset title\n", script);
    }
    if (copying)
        print_copies(script, from, &of->peaks, &(panel){ 0.0, 1.0 - part });
    fputs("unset multiplot\n", script);
}

int bench_plot_draw(const bench_plot *from, const bench *of, char **svg, size_t *size)
{
    char *text = NULL;
    size_t length = 0;
    FILE *script = open_memstream(&text, &length);
    if (script)
        print_script(script, from, of);
    int status = !script || fclose(script) != 0 ? fail("no memory for a plot of %d rows", from->count) : EXIT_DONE;
    if (status == EXIT_DONE)
        status = gnuplot_run("--plot", text, svg, size);
    free(text);
    return status;
}
