/* SPDX-License-Identifier: BSD-2-Clause */
/* The plot of clattn tune --plot: a small diagram for each class. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "command.h"
#include "gnuplot.h"
#include "tune.h"

/* Pixels. */
enum { COLUMNS = 3, PANEL_WIDTH = 420, PANEL_HEIGHT = 230, TITLE_HEIGHT = 50 };

/* A driver's names may hold anything; gnuplot's quoted strings may not. */
static void print_quoted(FILE *script, const char *text)
{
    for (; *text; text++) {
        if (*text == '\'')
            fputc('\'', script);
        fputc(*text >= ' ' && *text <= '~' ? *text : '?', script);
    }
}

static bool is_drawn(const tune_class *of)
{
    return of->done && of->count > 0 && of->default_seconds > 0;
}

static int count_drawn(const tune_results *from)
{
    int count = 0;
    for (int i = 0; i < from->count; i++)
        count += is_drawn(&from->classes[i]);
    return count;
}

static void print_head(FILE *script, const session *on, int panels)
{
    char date[32] = "";
    const int columns = panels < COLUMNS ? panels : COLUMNS, rows = (panels + columns - 1) / columns;
    const int height = TITLE_HEIGHT + rows * PANEL_HEIGHT;
    const time_t now = time(NULL);
    struct tm broken;
    if (gmtime_r(&now, &broken))
        strftime(date, sizeof date, "%Y-%m-%d", &broken);
    fprintf(script, "set terminal svg noenhanced size %d, %d background 'white' font 'sans-serif,11'\nunset key\n",
            columns * PANEL_WIDTH, height);
    fprintf(script, "set multiplot layout %d, %d title '", rows, columns);
    print_quoted(script, on->info.device_name);
    fprintf(script,
            ", %s: time over that of the default tile (no unit), by candidates in the order tried; line: the best so "
            "far; crosses: failed'\n",
            date);
    fputs("set grid\nset logscale y 2\nset xlabel 'candidate' offset 0, 0.5\nset ylabel 'time / default' offset 1\n",
          script);
}

/* The largest time over the default's, and the smallest. */
static void find_range(const tune_class *of, double *low, double *high)
{
    *low = *high = 1.0;
    for (int i = 0; i < of->count; i++) {
        const double part = of->candidates[i].seconds / of->default_seconds;
        if (part <= 0)
            continue;
        *low = fmin(*low, part);
        *high = fmax(*high, part);
    }
}

static void print_points(FILE *script, const tune_class *of)
{
    fputs("$points << END\n", script);
    for (int i = 0; i < of->count; i++)
        if (of->candidates[i].seconds > 0 && !tune_outcome_is_failure(of->candidates[i].outcome))
            fprintf(script, "%d %.6g\n", i + 1, of->candidates[i].seconds / of->default_seconds);
    fputs("END\n", script);
}

/* At the top of the diagram, since no time is known. */
static int print_failures(FILE *script, const tune_class *of, double high)
{
    int count = 0;
    fputs("$failed << END\n", script);
    for (int i = 0; i < of->count; i++)
        if (tune_outcome_is_failure(of->candidates[i].outcome)) {
            fprintf(script, "%d %.6g\n", i + 1, high);
            count++;
        }
    fputs("END\n", script);
    return count;
}

/* A candidate is the best where the search took it for that; a time that is only a little less may be noise. */
static void print_best(FILE *script, const tune_class *of)
{
    double best = 1.0;
    fputs("$best << END\n", script);
    for (int i = 0; i < of->count; i++) {
        if (of->candidates[i].outcome == CLATTN_TUNE_FASTER && of->candidates[i].seconds > 0)
            best = of->candidates[i].seconds / of->default_seconds;
        fprintf(script, "%d %.6g\n", i + 1, best);
    }
    fputs("END\n", script);
}

static void print_panel(FILE *script, const tune_class *of)
{
    char label[TUNE_LABEL_SIZE];
    double low = 1.0, high = 1.0;
    find_range(of, &low, &high);
    print_points(script, of);
    print_best(script, of);
    const int failures = print_failures(script, of, high * 1.2);
    fprintf(script, "set title '");
    print_quoted(script, tune_label(of->name, label));
    fprintf(script, "' offset 0, -0.7\nset xrange [0:%d]\nset yrange [%.6g:%.6g]\n", of->count + 1, low / 1.3,
            high * 1.4);
    fputs("plot 1 with lines linecolor 'gray', $points with points pointtype 7 pointsize 0.35 linecolor '#4477aa', "
          "$best with steps linewidth 1.5 linecolor '#bb5566'",
          script);
    fputs(failures ? ", $failed with points pointtype 2 pointsize 0.6 linecolor 'black'\n" : "\n", script);
}

static void print_script(FILE *script, const session *on, const tune_results *from)
{
    print_head(script, on, count_drawn(from));
    for (int i = 0; i < from->count; i++)
        if (is_drawn(&from->classes[i]))
            print_panel(script, &from->classes[i]);
    fputs("unset multiplot\n", script);
}

int tune_plot_draw(const session *on, const tune_results *from, char **svg, size_t *size)
{
    char *text = NULL;
    size_t length = 0;
    if (count_drawn(from) == 0)
        return fail("--plot: no class was tuned within the budget, so there is nothing to draw; --budget has to be "
                    "larger");
    FILE *script = open_memstream(&text, &length);
    if (script)
        print_script(script, on, from);
    int status = !script || fclose(script) != 0 ? fail("no memory for a plot of %d classes", from->count) : EXIT_DONE;
    if (status == EXIT_DONE)
        status = gnuplot_run("--plot", text, svg, size);
    free(text);
    return status;
}
