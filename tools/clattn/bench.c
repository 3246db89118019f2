/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench.h"

#include <stdlib.h>

#include "clblast.h"
#include "command.h"
#include "gnuplot.h"
#include "outputs.h"
#include "plot.h"

/* A sweep's programs are many, and are wanted again by the next shape. */
static const uint64_t SWEEP_CACHE_BYTES = (uint64_t)8 << 30;

static int read_repeat(const option_value *repeat, int *runs)
{
    *runs = (int)repeat->integer;
    if (!repeat->given || (repeat->integer >= 1 && repeat->integer <= BENCH_MAX_RUNS))
        return EXIT_DONE;
    return fail("--repeat is %s; it has to be 1 to %d", repeat->text, BENCH_MAX_RUNS);
}

static int check_baseline(const options *given, const bench_shape *shape)
{
    if (!given->values[OPTION_bench_baseline].given)
        return EXIT_DONE;
    if (!baseline_available())
        return fail(
            "--baseline is clblast, and this command was built without CLBlast; build it where pkg-config finds "
            "clblast");
    if (shape->page_size > 0)
        return fail("--baseline is clblast, which knows no pages, and --page-size is %d; it has to be 0",
                    shape->page_size);
    if (shape->window.given)
        return fail("--baseline is clblast, which knows no windows, and --window is %s; it has to be left out",
                    given->values[OPTION_bench_window].text);
    if (!given->values[OPTION_bench_suite].given && shape->dtype != CLATTN_F32)
        return fail("--baseline clblast is f32 only and --dtype is %s; it has to be f32",
                    clattn_dtype_name(shape->dtype));
    return EXIT_DONE;
}

/* Options that cannot stand beside one that is given; they end with it. Exit status. */
static int refuse_beside(const options *given, option_id one, const option_id *others)
{
    const char *value = given->values[one].text;
    for (; *others != one; others++)
        if (given->values[*others].given)
            return fail("%s is given with %s%s%s; one of the two has to go", option_rows[*others].name,
                        option_rows[one].name, value ? " " : "", value ? value : "");
    return EXIT_DONE;
}

/* A sweep has rows of its own, of one shape, and measures no peak. */
static int check_sweep(const options *given, bench_op op, bench_sweep *out)
{
    static const option_id others[] = { OPTION_bench_suite,  OPTION_bench_baseline, OPTION_bench_plot,
                                        OPTION_bench_repeat, OPTION_bench_turns,    OPTION_bench_sweep };
    const option_value *sweep = &given->values[OPTION_bench_sweep];
    *out = sweep->given ? (bench_sweep)(sweep->choice + 1) : BENCH_SWEEP_NONE;
    if (!sweep->given)
        return EXIT_DONE;
    if (op != BENCH_ATTENTION && op != BENCH_DECODE)
        return fail("--sweep is %s, of %s; it has to be of attention or decode", sweep->text, bench_op_name(op));
    return refuse_beside(given, OPTION_bench_sweep, others);
}

/* Turns are of one shape, and as many as the caller wants, up to BENCH_MAX_RUNS. */
static int check_turns(const options *given, bool *out)
{
    static const option_id others[] = { OPTION_bench_suite, OPTION_bench_repeat, OPTION_bench_turns };
    *out = given->values[OPTION_bench_turns].given;
    if (!*out)
        return EXIT_DONE;
    if (!given->values[OPTION_bench_json].given)
        return fail("--turns is given without --json, as which it prints; --json has to be given too");
    return refuse_beside(given, OPTION_bench_turns, others);
}

int bench_row(const bench *of, const bench_shape *shape)
{
    static int (*const rows[])(const bench *, const bench_shape *) = {
        [BENCH_ATTENTION] = bench_attention_row,
        [BENCH_DECODE] = bench_attention_row,
        [BENCH_GATHER] = bench_gather_row,
        [BENCH_APPEND] = bench_append_row,
    };
    int status = of->sweep ? bench_sweep_row(of, shape) : rows[shape->op](of, shape);
    return status == EXIT_DONE ? finish_stdout() : status;
}

static int run_shape(const bench *of, const bench_shape *shape)
{
    int status = of->as_json || of->sweep ? EXIT_DONE : bench_print_head(of);
    return status == EXIT_DONE ? bench_row(of, shape) : status;
}

/* Nothing of the plot fails after minutes of work that can fail before. */
static int check_plot(const option_value *plot, outputs *files)
{
    if (!plot->given)
        return EXIT_DONE;
    outputs_add(files, "--plot", plot->text);
    int status = outputs_check(files);
    return status == EXIT_DONE ? gnuplot_check("--plot") : status;
}

static int write_plot(const bench *of, outputs *files)
{
    char *svg = NULL;
    size_t size = 0;
    int status = bench_plot_draw(of->plot, of, &svg, &size);
    if (status == EXIT_DONE)
        status = outputs_write(files, 0, NULL, 0, svg, size);
    free(svg);
    return status == EXIT_DONE ? outputs_commit(files) : status;
}

static int measure(const options *given, const bench_shape *shape, outputs *files, bench *of)
{
    const option_value *suite = &given->values[OPTION_bench_suite];
    bench_plot plot = { .count = 0 };
    if (files->count > 0)
        of->plot = &plot;
    int status = of->sweep ? EXIT_DONE : peaks_measure(&of->on, &of->peaks);
    if (status == EXIT_DONE)
        status = suite->given ? bench_suite_run(of, suite->text) : run_shape(of, shape);
    if (status == EXIT_DONE && of->plot)
        status = write_plot(of, files);
    bench_plot_free(&plot);
    return status;
}

static int open_session(const options *given, bench *of)
{
    const clattn_device_params params = { .struct_size = sizeof params,
                                          .cache_max_bytes = of->sweep ? SWEEP_CACHE_BYTES : 0 };
    return session_open_with(given->values[OPTION_bench_device].text, &params, &of->on);
}

/* A list is no measurement, and takes no option of one. */
static int list_suite(const options *given)
{
    static const option_id others[] = { OPTION_bench_baseline, OPTION_bench_plot,   OPTION_bench_sweep,
                                        OPTION_bench_repeat,   OPTION_bench_device, OPTION_bench_turns,
                                        OPTION_bench_list };
    const option_value *suite = &given->values[OPTION_bench_suite];
    if (!suite->given)
        return fail("--list is given with %s; it has to be given with --suite", given->operand);
    int status = refuse_beside(given, OPTION_bench_list, others);
    if (status == EXIT_DONE)
        status = bench_refuse_shape(given);
    return status == EXIT_DONE ? bench_suite_list(suite->text, given->values[OPTION_bench_json].given) : status;
}

int command_bench(const options *given)
{
    if (given->values[OPTION_bench_list].given)
        return list_suite(given);
    bench of = { .as_json = given->values[OPTION_bench_json].given,
                 .with_baseline = given->values[OPTION_bench_baseline].given };
    bench_shape shape = { .dtype = CLATTN_F32 };
    outputs files = { .count = 0 };
    int status = given->values[OPTION_bench_suite].given ? bench_refuse_shape(given) : bench_read_shape(given, &shape);
    if (status == EXIT_DONE)
        status = read_repeat(&given->values[OPTION_bench_repeat], &of.runs);
    if (status == EXIT_DONE)
        status = check_baseline(given, &shape);
    if (status == EXIT_DONE)
        status = check_sweep(given, shape.op, &of.sweep);
    if (status == EXIT_DONE)
        status = check_turns(given, &of.in_turns);
    if (status == EXIT_DONE)
        status = check_plot(&given->values[OPTION_bench_plot], &files);
    if (status == EXIT_DONE)
        status = open_session(given, &of);
    if (status == EXIT_DONE) {
        status = measure(given, &shape, &files, &of);
        session_close(&of.on);
    }
    outputs_discard(&files);
    return status;
}
