/* SPDX-License-Identifier: BSD-2-Clause */
#include "tune.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "gnuplot.h"
#include "job.h"
#include "outputs.h"
#include "plan/records.h"
#include "self.h"

static const double USUAL_BUDGET = 300.0, MOST_SECONDS = 1e9;
/* The peaks take seconds; a budget below this goes to the search alone. */
static const double LEAST_BUDGET_WITH_PEAKS = 30.0;

typedef struct tune {
    const options *given;
    session on;
    clattn_tune_params params;
    tune_results results;
    tune_progress line;
    peaks peaks;
    double start;
    outputs files;
    bool no_memory;
} tune;

/* A number of seconds. Exit status, as for all below. */
static int read_seconds(const options *given, option_id id, double otherwise, double *out)
{
    const option_value *value = &given->values[id];
    *out = value->given ? value->real : otherwise;
    if (!value->given || (*out > 0 && *out <= MOST_SECONDS))
        return EXIT_DONE;
    return fail("%s is %s; it has to be a number of seconds over 0, up to %g", option_rows[id].name, value->text,
                MOST_SECONDS);
}

/* Nothing is searched with --verify; an exhaustive search ends when it is done. */
static int refuse_useless(const options *given)
{
    static const option_id searching[] = { OPTION_tune_resume, OPTION_tune_exhaustive, OPTION_tune_all_classes,
                                           OPTION_tune_plot };
    for (size_t i = 0; given->values[OPTION_tune_verify].given && i < sizeof searching / sizeof *searching; i++)
        if (given->values[searching[i]].given)
            return fail("%s is given with --verify, which searches nothing; one of the two has to go",
                        option_rows[searching[i]].name);
    if (given->values[OPTION_tune_exhaustive].given && given->values[OPTION_tune_budget].given)
        return fail("--budget is %s, and --exhaustive takes as long as it takes; one of the two has to go",
                    given->values[OPTION_tune_budget].text);
    return EXIT_DONE;
}

static int read_params(const options *given, clattn_tune_params *out)
{
    const option_value *op = &given->values[OPTION_tune_op], *seed = &given->values[OPTION_tune_seed];
    const bool whole = given->values[OPTION_tune_exhaustive].given || given->values[OPTION_tune_all_classes].given;
    clattn_tune_params_init(out);
    out->ops = op->given ? 1u << op->choice : CLATTN_TUNE_ALL; /* in the order of clattn_tune_op */
    out->resume = given->values[OPTION_tune_resume].given;
    out->exhaustive = given->values[OPTION_tune_exhaustive].given;
    out->all_classes = given->values[OPTION_tune_all_classes].given;
    out->seed = (uint64_t)seed->integer;
    if (seed->integer < 0)
        return fail("--seed is %s; it has to be 0 or more", seed->text);
    int status = read_seconds(given, OPTION_tune_budget, whole ? -1.0 : USUAL_BUDGET, &out->budget);
    if (status == EXIT_DONE)
        status = read_seconds(given, OPTION_tune_timeout, 0.0, &out->candidate_timeout);
    return status == EXIT_DONE ? refuse_useless(given) : status;
}

/* Nothing of the plot fails after minutes of work that can fail before. */
static int check_plot(tune *of)
{
    const option_value *plot = &of->given->values[OPTION_tune_plot];
    if (!plot->given)
        return EXIT_DONE;
    outputs_add(&of->files, "--plot", plot->text);
    int status = outputs_check(&of->files);
    return status == EXIT_DONE ? gnuplot_check("--plot") : status;
}

static int write_plot(tune *of)
{
    char *svg = NULL;
    size_t size = 0;
    int status = tune_plot_draw(&of->on, &of->results, &svg, &size);
    if (status == EXIT_DONE)
        status = outputs_write(&of->files, 0, NULL, 0, svg, size);
    free(svg);
    return status == EXIT_DONE ? outputs_commit(&of->files) : status;
}

static int take_progress(void *user, const clattn_tune_progress *now)
{
    tune *of = user;
    of->no_memory = of->no_memory || !tune_results_take(&of->results, now);
    tune_progress_show(&of->line, now);
    return of->no_memory || outputs_interrupted();
}

/* The first folder of the tuning path: that is where the library writes. NULL without one. */
static char *find_record(const session *on)
{
    const clattn_record_device device = clattn_records_device(on->device);
    char *folder = NULL;
    const bool known = clattn_records_folder(on->device, 0, &folder) == CLATTN_OK && folder;
    char *path = known ? clattn_record_path(folder, &device) : NULL;
    free(folder);
    return path;
}

static int print_report(tune *of, const char *record)
{
    const tune_report report = { .on = &of->on,
                                 .results = &of->results,
                                 .peaks = of->peaks.fma_flops > 0 ? &of->peaks : NULL,
                                 .record = record ? record : "",
                                 .interrupted = outputs_interrupted() ? "interrupted" : "",
                                 .ops = of->params.ops,
                                 .budget = of->params.budget,
                                 .elapsed = job_clock() - of->start,
                                 .verifies = of->given->values[OPTION_tune_verify].given };
    int status = of->given->values[OPTION_tune_json].given ? tune_print_json(&report) : tune_print_table(&report);
    return status == EXIT_DONE ? finish_stdout() : status;
}

static int report_results(tune *of)
{
    char *record = find_record(&of->on);
    int status = print_report(of, record);
    free(record);
    return status;
}

/* The library gets what is left of the budget. */
static clattn_status search(tune *of)
{
    clattn_tune_params params = of->params;
    if (params.budget > 0)
        params.budget = fmax(params.budget - (job_clock() - of->start), 1e-3);
    if (of->given->values[OPTION_tune_verify].given)
        return clattn_tune_verify(of->on.device, &params);
    return clattn_tune(of->on.device, &params);
}

static void find_worker(tune *of, char **worker)
{
    *worker = self_path(of->given->program);
    of->params.worker = *worker;
    if (!*worker)
        fputs("clattn: this system does not tell where the command lies, so no candidate can be tried in a process of "
              "its own: those that may crash are skipped\n",
              stderr);
}

/* What was found before a failure or an interruption is in the record, and is told. */
static int tune_and_report(tune *of)
{
    const bool measures_peaks = of->params.budget < 0 || of->params.budget >= LEAST_BUDGET_WITH_PEAKS;
    char *worker = NULL;
    int status = measures_peaks ? peaks_measure(&of->on, &of->peaks) : EXIT_DONE;
    if (status != EXIT_DONE)
        return status;
    find_worker(of, &worker);
    outputs_defer_signals(of->line.terminal ? "\r\033[Kclattn: interrupted: the best so far is kept; again: end at once"
                                            : "clattn: interrupted: the best so far is kept; again: end at once");
    const clattn_status found = search(of);
    free(worker);
    tune_progress_clear(&of->line);
    if (found == CLATTN_OK || found == CLATTN_CANCELLED || of->results.count > 0)
        status = report_results(of);
    if (status == EXIT_DONE && of->no_memory)
        status = fail("no memory for the figures of %d classes", of->results.count);
    else if (status == EXIT_DONE && found != CLATTN_OK && found != CLATTN_CANCELLED)
        status = fail_library("tuning failed");
    if (outputs_interrupted())
        return EXIT_INTERRUPTED;
    return status == EXIT_DONE && of->files.count > 0 ? write_plot(of) : status;
}

int command_tune(const options *given)
{
    tune of = { .given = given, .start = job_clock() };
    const clattn_device_params logging = { .struct_size = sizeof logging,
                                           .log = tune_progress_log,
                                           .log_user = &of.line };
    int status = read_params(given, &of.params);
    of.params.progress = take_progress;
    of.params.user = &of;
    tune_progress_start(&of.line);
    if (status == EXIT_DONE)
        status = check_plot(&of);
    if (status == EXIT_DONE)
        status = session_open_with(given->values[OPTION_tune_device].text, &logging, &of.on);
    if (status == EXIT_DONE) {
        status = tune_and_report(&of);
        session_close(&of.on);
    }
    tune_results_free(&of.results);
    outputs_discard(&of.files);
    return status;
}
