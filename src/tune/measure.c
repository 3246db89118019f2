/* SPDX-License-Identifier: BSD-2-Clause */
#include "tune/measure.h"

#include <math.h>

#include "util/clock.h"
#include "util/status.h"

enum {
    MAX_CALLS = 256,
    LEAST_HOPELESS = 3 /* repetitions, where they are short: a busy host spoils one easily */
};

#define LEAST_REPETITION 2e-3 /* seconds; shorter ones are made of several calls */
#define LEAST_SECONDS    0.1  /* of both together */
#define MOST_SECONDS     1.0  /* for what is not settled */

static bool read_clock(cl_event event, cl_profiling_info what, uint64_t *out)
{
    cl_ulong ticks = 0;
    const bool known = clGetEventProfilingInfo(event, what, sizeof(ticks), &ticks, NULL) == CL_SUCCESS;
    *out = ticks;
    return known;
}

static clattn_reading read_events(const cl_event *first, const cl_event *last, int count, double wall)
{
    clattn_ticks ticks[MAX_CALLS];
    bool known = true;
    for (int i = 0; i < count && known; i++)
        known = read_clock(first[i], CL_PROFILING_COMMAND_START, &ticks[i].start) &&
                read_clock(last[i], CL_PROFILING_COMMAND_END, &ticks[i].end);
    if (known)
        return clattn_reading_of_calls(ticks, count, wall);
    return (clattn_reading){ .wall = wall / count, .fault = CLATTN_CLOCK_MISSING };
}

/* One repetition of `calls`. */
static clattn_status repeat(clattn_meter *meter, const clattn_timed *timed, int calls, clattn_reading *out)
{
    cl_event first[MAX_CALLS], last[MAX_CALLS];
    clattn_status status = CLATTN_OK;
    int done = 0;
    const double begin = clattn_clock_seconds();
    while (done < calls && status == CLATTN_OK) {
        status = timed->enqueue(timed->subject, meter->turn++, &first[done], &last[done]);
        done += status == CLATTN_OK;
    }
    const cl_int code = clFinish(meter->queue);
    const double wall = clattn_clock_seconds() - begin;
    if (status == CLATTN_OK && code != CL_SUCCESS)
        status = clattn_fail_cl("clFinish", code);
    if (status == CLATTN_OK)
        *out = read_events(first, last, calls, wall);
    for (int i = 0; i < done; i++) {
        clReleaseEvent(first[i]);
        clReleaseEvent(last[i]);
    }
    return status;
}

/* The first call may compile, upload or page in; after it, as many calls a repetition as it takes. */
static clattn_status warm_up(clattn_meter *meter, clattn_timed *timed)
{
    clattn_reading reading;
    CLATTN_TRY(repeat(meter, timed, 1, &reading));
    if (timed->calls > 0)
        return CLATTN_OK;
    int calls = 1;
    CLATTN_TRY(repeat(meter, timed, calls, &reading));
    while (reading.wall * calls < LEAST_REPETITION && calls < MAX_CALLS) {
        const double wanted = ceil(1.2 * LEAST_REPETITION / fmax(reading.wall, 1e-9));
        calls = (int)fmin(MAX_CALLS, fmax(wanted, calls + 1));
        CLATTN_TRY(repeat(meter, timed, calls, &reading));
    }
    timed->calls = calls;
    return CLATTN_OK;
}

/* A repetition of both; every other time the candidate goes first, against a steady drift. */
static clattn_status repeat_both(clattn_meter *meter, const clattn_timed *incumbent, const clattn_timed *candidate,
                                 clattn_series *series)
{
    clattn_reading *of_incumbent = &series->incumbent[series->count];
    clattn_reading *of_candidate = &series->candidate[series->count];
    const bool candidate_first = series->count % 2 != 0;
    if (candidate_first)
        CLATTN_TRY(repeat(meter, candidate, candidate->calls, of_candidate));
    CLATTN_TRY(repeat(meter, incumbent, incumbent->calls, of_incumbent));
    if (!candidate_first)
        CLATTN_TRY(repeat(meter, candidate, candidate->calls, of_candidate));
    series->count++;
    return CLATTN_OK;
}

static bool is_enough(const clattn_meter *meter, const clattn_series *series, double begin)
{
    const double now = clattn_clock_seconds();
    if (series->count == CLATTN_SERIES_MAX || now >= meter->deadline)
        return true;
    if (clattn_series_hopeless(series) && (series->count >= LEAST_HOPELESS || now - begin >= LEAST_SECONDS / 2))
        return true;
    if (series->count < CLATTN_SERIES_LEAST || now - begin < LEAST_SECONDS)
        return false;
    return now - begin >= MOST_SECONDS || clattn_series_settled(series);
}

clattn_status clattn_measure(clattn_meter *meter, clattn_timed *incumbent, clattn_timed *candidate,
                             clattn_comparison *out)
{
    clattn_series series = { .count = 0 };
    CLATTN_TRY(warm_up(meter, candidate));
    CLATTN_TRY(warm_up(meter, incumbent));
    const double begin = clattn_clock_seconds();
    do
        CLATTN_TRY(repeat_both(meter, incumbent, candidate, &series));
    while (!is_enough(meter, &series, begin));
    *out = clattn_series_compare(&series);
    if (!out->by_events && !meter->told) {
        meter->told = true;
        clattn_log(meter->device, CLATTN_LOG_WARN, "tuning by the wall clock, not by times of events: %s",
                   clattn_clock_fault_text(out->fault));
    }
    return CLATTN_OK;
}

clattn_status clattn_confirm(clattn_measuring measure, void *user, double end, clattn_comparison *out)
{
    CLATTN_TRY(measure(user, out));
    if (!out->faster || clattn_clock_seconds() >= end)
        return CLATTN_OK;
    return measure(user, out);
}
