/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "tune.h"

static void print_head(const tune_report *of)
{
    const peaks *at = of->peaks;
    puts(of->on->info.device_name);
    if (at)
        printf("peaks: fma %.1f GFLOP/s, read %.1f GB/s, copy %.1f GB/s read plus written (%s)\n", at->fma_flops * 1e-9,
               at->read_bandwidth * 1e-9, at->copy_bandwidth * 1e-9, at->how);
    printf("%-48s %10s %8s %10s %8s %-7s %5s %13s %7s  %s\n", "class", "default ms", "a second", "tuned ms", "a second",
           "", "ratio", "of peak", of->verifies ? "" : "points", "tile");
}

/* The default is the first candidate. */
static bool is_default(const tune_class *at)
{
    const int split_size = at->count > 0 ? at->candidates[0].split_size : 0;
    return strcmp(at->tile, at->default_tile) == 0 && at->split_size == split_size;
}

static void print_tile(const tune_class *at)
{
    printf("  %s", at->tile);
    if (at->split_size > 0)
        printf(" split %d", at->split_size);
    if (is_default(at))
        fputs(" (the default)", stdout);
}

static void print_row(const tune_report *of, const tune_class *at)
{
    char label[TUNE_LABEL_SIZE], points[32] = "", peak[32] = "";
    const char *kind = "";
    const double best = tune_peak(at->op, of->peaks, &kind), rate = at->seconds > 0 ? at->work / at->seconds : 0.0;
    const double before = at->default_seconds > 0 ? at->work / at->default_seconds : 0.0;
    if (best > 0)
        snprintf(peak, sizeof peak, "%.1f %% %s", rate / best * 100.0, kind);
    if (!of->verifies)
        snprintf(points, sizeof points, "%d%s", at->points, at->exhaustive ? "*" : "");
    printf("%-48s %10.4g %8.1f %10.4g %8.1f %-7s %5.2f %13s %7s", tune_label(at->name, label),
           at->default_seconds * 1e3, before * 1e-9, at->seconds * 1e3, rate * 1e-9,
           strcmp(at->op, "attention") == 0 ? "GFLOP/s" : "GB/s", tune_ratio(at), peak, points);
    print_tile(at);
    puts(of->verifies && at->loses ? "  no longer pays" : "");
}

static void print_missing(const tune_report *of)
{
    char name[256], label[TUNE_LABEL_SIZE];
    int count = 0;
    for (size_t row = 0; tune_next_missing(of, &row, name, sizeof name); count++)
        printf("%s%s", count ? "; " : "not reached: ", tune_label(name, label));
    if (count > 0)
        putchar('\n');
}

static void print_failures(const tune_report *of, const tune_totals *sum)
{
    int count = 0;
    for (int i = 0; i < TUNE_OUTCOMES; i++)
        if (tune_outcome_is_failure((clattn_tune_outcome)i) && sum->outcomes[i] > 0)
            printf("%s%d %s", count++ ? ", " : "candidates that were not measured: ", sum->outcomes[i],
                   tune_outcome_name((clattn_tune_outcome)i));
    if (count > 0)
        putchar('\n');
    for (int i = 0; i < of->results->count; i++) {
        const tune_class *at = &of->results->classes[i];
        char label[TUNE_LABEL_SIZE];
        for (int c = 0; c < at->count; c++)
            if (tune_outcome_is_failure(at->candidates[c].outcome))
                printf("    %s: %s %s%s%s\n", tune_label(at->name, label), at->candidates[c].tile,
                       tune_outcome_name(at->candidates[c].outcome), *at->candidates[c].detail ? ": " : "",
                       at->candidates[c].detail);
    }
}

static void print_foot(const tune_report *of)
{
    const tune_totals sum = tune_sum(of);
    bool exhaustive = false;
    for (int i = 0; i < of->results->count; i++)
        exhaustive = exhaustive || (of->results->classes[i].done && of->results->classes[i].exhaustive);
    if (exhaustive && !of->verifies)
        puts("* every tile that fits was measured");
    printf("%d classes in %.0f s%s%s", sum.classes, of->elapsed, *of->interrupted ? ", " : "", of->interrupted);
    if (sum.gain > 0)
        printf("; geometric mean of the ratios: %.3f", sum.gain);
    putchar('\n');
    if (*of->record)
        printf("%s: %s\n", of->verifies ? "the record" : "recorded in", of->record);
    if (of->verifies && sum.losers > 0)
        printf("%d no longer pay: 'clattn tune' measures them anew\n", sum.losers);
    if (of->verifies)
        return;
    print_missing(of);
    print_failures(of, &sum);
}

int tune_print_table(const tune_report *of)
{
    print_head(of);
    for (int i = 0; i < of->results->count; i++)
        if (of->results->classes[i].done)
            print_row(of, &of->results->classes[i]);
    print_foot(of);
    return EXIT_DONE;
}
