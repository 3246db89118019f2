/* SPDX-License-Identifier: BSD-2-Clause */
/* One candidate, from what is known of it already to its time. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tune/run.h"
#include "util/clock.h"
#include "util/status.h"

#define DEFAULT_TIMEOUT 60.0
#define LITTLE_MORE     2.0 /* seconds that the worker may take past the end of the class */
/* What takes twice the incumbent's time in the worker, and long enough for that to be a measurement, is not worth
 * compiling here. */
#define SLOW_FACTOR           2.0
#define SLOW_SECONDS          1e-3
#define LEAST_DEFAULT_SECONDS 2.0

/* What is known of a candidate. */
typedef struct attempt {
    const clattn_candidate *candidate;
    clattn_tune_outcome outcome;
    char detail[512];
    double seconds, cost, incumbent_seconds; /* 0: not measured */
    double worker_seconds;
    clattn_clock_fault clock_fault; /* why it is timed by the wall clock */
    bool recalled;                  /* from the journal */
} attempt;

static bool is_measured(const attempt *a)
{
    return a->outcome == CLATTN_TUNE_FASTER || a->outcome == CLATTN_TUNE_NOT_FASTER;
}

static void note(attempt *a, clattn_tune_outcome outcome, const char *detail)
{
    a->outcome = outcome;
    snprintf(a->detail, sizeof(a->detail), "%s", detail);
}

/* The incumbent's trial is closed, unless it is the default's, which is measured again at the end. */
static void replace_best(clattn_tuned *of, const clattn_contender *by)
{
    if (of->best.trial != of->first.trial)
        clattn_contender_close(&of->best);
    of->best = *by;
}

static bool recall(clattn_tuned *of, attempt *a)
{
    clattn_journal_line line = { .class_name = of->name, .kernels = of->kernels, .candidate = *a->candidate };
    if (!of->run->journal || !clattn_journal_find(of->run->journal, &line) || line.outcome == CLATTN_TUNE_SKIPPED)
        return false;
    a->recalled = true;
    a->outcome = line.outcome;
    a->seconds = line.seconds;
    a->cost = line.cost;
    snprintf(a->detail, sizeof(a->detail), "%s", is_measured(a) ? "" : "in the run that this one goes on with");
    if (line.outcome != CLATTN_TUNE_FASTER)
        return true;
    clattn_contender known;
    if (clattn_contender_open(of, a->candidate, &known) != CLATTN_OK) {
        note(a, CLATTN_TUNE_NOT_BUILT, clattn_last_error());
        return true;
    }
    known.cost = line.cost;
    known.seconds = line.seconds;
    replace_best(of, &known);
    return true;
}

static const clattn_record_fault *known_fault(const clattn_tuned *of, const clattn_candidate *candidate)
{
    for (size_t i = 0; i < of->run->own.fault_count; i++) {
        const clattn_record_fault *fault = &of->run->own.faults[i];
        if (clattn_class_equal(&fault->class, &of->class) && clattn_tile_equal(&fault->tile, &candidate->tile) &&
            fault->split_size == candidate->split_size && strcmp(fault->driver, of->run->driver) == 0 &&
            strcmp(fault->kernels, of->kernels) == 0)
            return fault;
    }
    return NULL;
}

/* Whether it is not to be tried. */
static bool skip(const clattn_tuned *of, attempt *a)
{
    const clattn_record_fault *fault = known_fault(of, a->candidate);
    a->outcome = CLATTN_TUNE_SKIPPED;
    if (fault)
        snprintf(a->detail, sizeof(a->detail), "it is recorded as: %s", fault->fault);
    else if (!of->run->worker)
        snprintf(a->detail, sizeof(a->detail), "it needs the worker, and there is none");
    return fault || !of->run->worker;
}

/* False: nothing is known of the candidate, and the class ends. */
static bool ask_worker(clattn_tuned *of, const clattn_candidate *candidate, double end, clattn_worker_answer *answer)
{
    const clattn_worker_request request = { of->row_index, of->run->params->seed, *candidate };
    const double limit = of->run->params->candidate_timeout > 0 ? of->run->params->candidate_timeout : DEFAULT_TIMEOUT;
    const double timeout = fmin(limit, fmax(end - clattn_clock_seconds(), 0) + LITTLE_MORE);
    of->status = clattn_worker_try(of->run->worker, &request, timeout, answer);
    if (of->status != CLATTN_OK || answer->outcome == CLATTN_WORKER_STOPPED)
        return false;
    /* Late for the class is no fault of a candidate that has not had its time. */
    return answer->outcome != CLATTN_WORKER_TIMED_OUT || timeout >= limit;
}

/* Whether it is right. */
static bool take_answer(const clattn_worker_answer *answer, attempt *a)
{
    static const clattn_tune_outcome outcomes[] = {
        [CLATTN_WORKER_WRONG] = CLATTN_TUNE_WRONG,         [CLATTN_WORKER_NOT_BUILT] = CLATTN_TUNE_NOT_BUILT,
        [CLATTN_WORKER_FAILED] = CLATTN_TUNE_CRASHED,      [CLATTN_WORKER_CRASHED] = CLATTN_TUNE_CRASHED,
        [CLATTN_WORKER_TIMED_OUT] = CLATTN_TUNE_TIMED_OUT,
    };
    a->worker_seconds = answer->seconds;
    if (answer->outcome == CLATTN_WORKER_RIGHT)
        return true;
    note(a, outcomes[answer->outcome], answer->detail);
    return false;
}

static bool is_slow_in_worker(const clattn_tuned *of, attempt *a)
{
    if (of->best.worker_seconds <= 0 || a->worker_seconds < SLOW_SECONDS ||
        a->worker_seconds < SLOW_FACTOR * of->best.worker_seconds)
        return false;
    const double ratio = a->worker_seconds / of->best.worker_seconds;
    note(a, CLATTN_TUNE_NOT_FASTER, "");
    a->cost = of->best.cost * ratio;
    a->seconds = of->best.seconds * ratio;
    return true;
}

static void note_clock(clattn_tuned *of, const clattn_comparison *result)
{
    of->run->progress.clock = result->by_events ? "events" : "wall";
}

typedef struct pair {
    clattn_tuned *of;
    clattn_timed *candidate;
} pair;

static clattn_status measure_pair(void *user, clattn_comparison *out)
{
    const pair *both = user;
    return clattn_measure(&both->of->meter, &both->of->best.timed, both->candidate, out);
}

static void time_contender(clattn_tuned *of, clattn_contender *contender, attempt *a)
{
    clattn_comparison result;
    pair both = { of, &contender->timed };
    of->meter.deadline = of->end;
    const clattn_status status = clattn_confirm(measure_pair, &both, of->end, &result);
    if (status != CLATTN_OK) {
        note(a, CLATTN_TUNE_CRASHED, clattn_last_error());
        /* Whether the device goes on working, which the incumbent tells. */
        of->status = clattn_measure(&of->meter, &of->best.timed, &of->best.timed, &result);
        return;
    }
    note_clock(of, &result);
    note(a, result.faster ? CLATTN_TUNE_FASTER : CLATTN_TUNE_NOT_FASTER, "");
    a->seconds = contender->seconds = result.candidate;
    a->cost = contender->cost = result.ratio * of->best.cost;
    a->incumbent_seconds = result.incumbent;
    a->clock_fault = result.fault;
    contender->worker_seconds = a->worker_seconds;
}

static void time_here(clattn_tuned *of, attempt *a)
{
    clattn_contender contender;
    if (clattn_contender_open(of, a->candidate, &contender) != CLATTN_OK) {
        note(a, CLATTN_TUNE_NOT_BUILT, clattn_last_error());
        return;
    }
    time_contender(of, &contender, a);
    if (a->outcome == CLATTN_TUNE_FASTER)
        replace_best(of, &contender);
    else
        clattn_contender_close(&contender);
}

/* A journal that cannot be written costs a later --resume, not this run. */
static void keep_in_journal(clattn_tuned *of, const attempt *a)
{
    clattn_run *run = of->run;
    if (!run->journal || a->recalled || a->outcome == CLATTN_TUNE_SKIPPED)
        return;
    const clattn_journal_line line = {
        .class_name = of->name,
        .kernels = of->kernels,
        .candidate = *a->candidate,
        .outcome = a->outcome,
        .cost = a->cost,
        .seconds = a->seconds,
        .incumbent_seconds = a->incumbent_seconds,
        .clock_fault = clattn_clock_fault_text(a->clock_fault),
    };
    if (clattn_journal_add(run->journal, &line) == CLATTN_OK)
        return;
    clattn_log(run->device, CLATTN_LOG_WARN, "%s; the run cannot be resumed", clattn_last_error());
    clattn_journal_close(run->journal, true);
    run->journal = NULL;
}

/* At once: a driver that crashed may take the machine along next time. */
static clattn_status keep_fault(const clattn_tuned *of, const attempt *a)
{
    if (a->recalled || a->outcome < CLATTN_TUNE_WRONG || a->outcome > CLATTN_TUNE_TIMED_OUT)
        return CLATTN_OK;
    clattn_record_fault fault = {
        .class = of->class,
        .tile = a->candidate->tile,
        .split_size = a->candidate->split_size,
        .driver = (char *)of->run->driver,
        .kernels = (char *)of->kernels,
        .fault = (char *)clattn_tune_outcome_name(a->outcome),
    };
    const clattn_record changes = { .device = clattn_records_device(of->run->device),
                                    .faults = &fault,
                                    .fault_count = 1 };
    return clattn_record_merge(of->run->folder, &changes, clattn_run_refuse, of->run);
}

static void tell(clattn_tuned *of, const attempt *a)
{
    of->run->progress.outcome = a->outcome;
    of->run->progress.detail = a->detail;
    of->run->progress.seconds = a->seconds;
    clattn_tuned_tell(of, CLATTN_TUNE_CANDIDATE);
}

static void show_candidate(clattn_tuned *of, const clattn_candidate *candidate)
{
    clattn_tile_name(&candidate->tile, of->tile);
    of->run->progress.tile = of->tile;
    of->run->progress.split_size = candidate->split_size;
}

/* False: it was not tried. */
static bool find_out(clattn_tuned *of, attempt *a)
{
    clattn_worker_answer answer;
    if (recall(of, a) || skip(of, a))
        return true;
    if (!ask_worker(of, a->candidate, of->end, &answer))
        return false;
    if (take_answer(&answer, a) && !is_slow_in_worker(of, a))
        time_here(of, a);
    return true;
}

clattn_search_answer clattn_tuned_try(clattn_tuned *of, const clattn_candidate *candidate, double *cost)
{
    attempt a = { .candidate = candidate };
    if (of->status != CLATTN_OK || of->run->cancelled || clattn_clock_seconds() >= of->end)
        return CLATTN_SEARCH_STOP;
    show_candidate(of, candidate);
    if (!find_out(of, &a))
        return CLATTN_SEARCH_STOP;
    of->tried++;
    of->measured += is_measured(&a);
    keep_in_journal(of, &a);
    const clattn_status kept = keep_fault(of, &a);
    of->status = of->status == CLATTN_OK ? kept : of->status;
    tell(of, &a);
    *cost = a.cost;
    return is_measured(&a) ? CLATTN_SEARCH_MEASURED : CLATTN_SEARCH_FAILED;
}

/* Against itself: both series together are its time. */
static void time_default(clattn_tuned *of, attempt *a)
{
    clattn_comparison result;
    of->status = clattn_contender_open(of, a->candidate, &of->first);
    if (of->status != CLATTN_OK)
        return;
    of->meter.deadline = fmax(of->end, clattn_clock_seconds() + LEAST_DEFAULT_SECONDS);
    of->status = clattn_measure(&of->meter, &of->first.timed, &of->first.timed, &result);
    if (of->status != CLATTN_OK)
        return;
    note_clock(of, &result);
    of->first.seconds = a->seconds = fmin(result.incumbent, result.candidate);
    of->first.cost = a->cost = 1;
    of->first.worker_seconds = a->worker_seconds;
    of->best = of->first;
}

clattn_search_answer clattn_tuned_try_default(clattn_tuned *of)
{
    const clattn_candidate *candidate = &of->points.candidates[of->points.start];
    attempt a = { .candidate = candidate, .outcome = CLATTN_TUNE_FASTER };
    clattn_worker_answer answer;
    show_candidate(of, candidate);
    if (of->run->worker && !ask_worker(of, candidate, of->run->end, &answer))
        return CLATTN_SEARCH_STOP;
    if (!of->run->worker || take_answer(&answer, &a))
        time_default(of, &a);
    if (of->status != CLATTN_OK)
        return CLATTN_SEARCH_STOP;
    of->tried++;
    of->measured += is_measured(&a);
    tell(of, &a);
    if (is_measured(&a))
        return CLATTN_SEARCH_MEASURED;
    clattn_log(of->run->device, CLATTN_LOG_ERROR, "the built-in default of '%s', %s, is %s: %s", of->name, of->tile,
               clattn_tune_outcome_name(a.outcome), a.detail);
    return CLATTN_SEARCH_FAILED;
}
