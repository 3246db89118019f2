/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>

#include "bench.h"
#include "command.h"
#include "job.h"
#include "plot.h"
#include "report.h"

enum { MIN_RUNS = 5 };
static const double MIN_SECONDS = 0.5;

static int warm_up(const bench_task *task)
{
    int status = EXIT_DONE;
    for (int i = 0; i < task->copies && status == EXIT_DONE; i++)
        status = task->run(task->subject, i, NULL);
    if (status == EXIT_DONE && task->run_other)
        status = task->run_other(task->subject, 0, NULL);
    return status;
}

static bool is_enough(const bench *of, int count, double spent)
{
    if (of->runs > 0)
        return count >= of->runs;
    return count >= BENCH_MAX_RUNS || (count >= MIN_RUNS && spent >= MIN_SECONDS);
}

/* Whether standard input gives another line. */
static bool await_turn(void)
{
    int got = getchar();
    while (got != '\n' && got != EOF)
        got = getchar();
    return got != EOF;
}

static bool wants_more(const bench *of, int count, double spent)
{
    return count < BENCH_MAX_RUNS && (of->in_turns ? await_turn() : !is_enough(of, count, spent));
}

/* `wall`: what a caller waited, which is what other programs can tell of their own runs. */
static int print_turn(const bench_task *task, double seconds, double wall, double other)
{
    json_t *object = json_pack("{s:f, s:f, s:i}", "seconds", seconds, "wall_seconds", wall, "copies", task->copies);
    if (object && task->run_other)
        json_object_set_new(object, "baseline_seconds", json_real(other));
    int status = report_print(object);
    return status == EXIT_DONE ? finish_stdout() : status;
}

/* Both in turns, so that what disturbs one disturbs the other. */
static int take_times(const bench *of, const bench_task *task, bench_times *out)
{
    double spent = 0;
    int status = warm_up(task);
    for (out->count = 0; status == EXIT_DONE && wants_more(of, out->count, spent); out->count++) {
        const int copy = out->count % task->copies;
        double *other = &out->other_seconds[out->count];
        const double start = job_clock();
        status = task->run(task->subject, copy, &out->seconds[out->count]);
        const double wall = job_clock() - start;
        if (status == EXIT_DONE && task->run_other)
            status = task->run_other(task->subject, copy, other);
        if (status == EXIT_DONE && of->in_turns)
            status = print_turn(task, out->seconds[out->count], wall, *other);
        spent += out->seconds[out->count] + *other;
    }
    if (status == EXIT_DONE && out->count == 0)
        return fail("--turns is given, and standard input has no line; it has to have one for each run");
    if (status == EXIT_DONE && of->in_turns && out->count == BENCH_MAX_RUNS && await_turn())
        return fail("--turns is given, and standard input has over %d lines; %d are the most", BENCH_MAX_RUNS,
                    BENCH_MAX_RUNS);
    return status;
}

/* A copy's buffers are two, of half the bytes each. */
static int find_peak(const bench *of, const bench_task *task, double *out)
{
    const double bytes = task->bytes * task->copies;
    switch (task->peak) {
    case BENCH_PEAK_FMA:
        break;
    case BENCH_PEAK_READ:
        return peaks_measure_read(&of->on, (size_t)bytes, out);
    case BENCH_PEAK_COPY:
        return peaks_measure_copy(&of->on, (size_t)(bytes / 2), out);
    }
    *out = of->peaks.fma_flops;
    return EXIT_DONE;
}

int bench_measure(const bench *of, const bench_shape *shape, const bench_task *task, bench_times *out)
{
    *out = (bench_times){ .count = 0 };
    int status = find_peak(of, task, &out->peak);
    if (status == EXIT_DONE)
        status = take_times(of, task, out);
    if (status != EXIT_DONE)
        return status;
    out->median = job_median(out->seconds, out->count);
    out->best = out->seconds[0];
    out->other_median = task->run_other ? job_median(out->other_seconds, out->count) : 0.0;
    out->fraction = (task->peak == BENCH_PEAK_FMA ? task->flops : task->bytes) / out->median / out->peak;
    return of->plot ? bench_plot_add(of->plot, shape, task, out) : EXIT_DONE;
}
