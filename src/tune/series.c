/* SPDX-License-Identifier: BSD-2-Clause */
#include "tune/series.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Clocks of host and device do not tick alike, and the wall clock is read a little inside of what it times. */
#define SLACK_FACTOR  1.05
#define SLACK_SECONDS 50e-6
#define LEAST_SHARE   0.05
#define LEAST_WALL    1e-3 /* below, launching may well take twenty times the call */
#define MOST_UNEVEN   3.0
#define LEAST_GAIN    0.01

/* From a median absolute deviation to twice the standard error of a median of n: 2 * 1.4826 * 1.2533 / sqrt(n). */
#define TWO_ERRORS 3.716
/* A deviation from few numbers is uncertain itself, as Student's distribution has it. */
#define FEW(count) (1 + 4.0 / (count))

const char *clattn_clock_fault_text(clattn_clock_fault fault)
{
    switch (fault) {
    case CLATTN_CLOCK_RIGHT:
        break;
    case CLATTN_CLOCK_MISSING:
        return "the driver gives no times of events";
    case CLATTN_CLOCK_ZERO:
        return "times of events are zero";
    case CLATTN_CLOCK_BACKWARDS:
        return "times of events run backwards";
    case CLATTN_CLOCK_TOO_LONG:
        return "events take longer than the wall time around them";
    case CLATTN_CLOCK_TOO_SHORT:
        return "events take less than a twentieth of the wall time around them";
    case CLATTN_CLOCK_UNEVEN:
        return "events take another share of the wall time from one kernel to the next";
    }
    return "";
}

/* Apart from TOO_SHORT, which is a judgement, not a contradiction. */
static bool is_broken(const clattn_reading *reading)
{
    return reading->fault != CLATTN_CLOCK_RIGHT && reading->fault != CLATTN_CLOCK_TOO_SHORT;
}

clattn_reading clattn_reading_of_calls(const clattn_ticks *calls, int count, double wall)
{
    clattn_reading reading = { .wall = wall / count, .fault = CLATTN_CLOCK_RIGHT };
    uint64_t before = 0;
    double sum = 0;
    for (int i = 0; i < count && reading.fault == CLATTN_CLOCK_RIGHT; i++) {
        if (calls[i].start == 0 || calls[i].end == 0)
            reading.fault = CLATTN_CLOCK_ZERO;
        else if (calls[i].end < calls[i].start || calls[i].start < before)
            reading.fault = CLATTN_CLOCK_BACKWARDS;
        sum += (double)(calls[i].end - calls[i].start) * 1e-9;
        before = calls[i].start;
    }
    if (reading.fault != CLATTN_CLOCK_RIGHT)
        return reading;
    if (sum <= 0)
        reading.fault = CLATTN_CLOCK_ZERO;
    else if (sum > wall * SLACK_FACTOR + SLACK_SECONDS)
        reading.fault = CLATTN_CLOCK_TOO_LONG;
    else if (wall > LEAST_WALL && sum < wall * LEAST_SHARE)
        reading.fault = CLATTN_CLOCK_TOO_SHORT;
    if (!is_broken(&reading))
        reading.events = sum / count;
    return reading;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(const double *values, int count)
{
    double sorted[CLATTN_SERIES_MAX];
    memcpy(sorted, values, (size_t)count * sizeof(*values));
    qsort(sorted, (size_t)count, sizeof(*sorted), ascending);
    return (sorted[(count - 1) / 2] + sorted[count / 2]) / 2;
}

/* How much of the wall time is the device's, by its clock. */
static double median_share(const clattn_reading *readings, int count)
{
    double shares[CLATTN_SERIES_MAX];
    for (int i = 0; i < count; i++)
        shares[i] = readings[i].events / readings[i].wall;
    return median(shares, count);
}

/* A host that was busy once looks the same, so that most of them have to be. */
static bool are_short(const clattn_reading *readings, int count)
{
    int found = 0;
    for (int i = 0; i < count; i++)
        found += readings[i].fault == CLATTN_CLOCK_TOO_SHORT;
    return 2 * found > count;
}

/* With a fault events time neither of the two: they are compared by one clock. */
static clattn_clock_fault find_fault(const clattn_series *series)
{
    for (int i = 0; i < series->count; i++) {
        if (is_broken(&series->incumbent[i]))
            return series->incumbent[i].fault;
        if (is_broken(&series->candidate[i]))
            return series->candidate[i].fault;
    }
    if (are_short(series->incumbent, series->count) || are_short(series->candidate, series->count))
        return CLATTN_CLOCK_TOO_SHORT;
    const double incumbent = median_share(series->incumbent, series->count);
    const double candidate = median_share(series->candidate, series->count);
    const bool even = incumbent <= candidate * MOST_UNEVEN && candidate <= incumbent * MOST_UNEVEN;
    return even ? CLATTN_CLOCK_RIGHT : CLATTN_CLOCK_UNEVEN;
}

static double seconds_of(const clattn_reading *reading, bool by_events)
{
    return by_events ? reading->events : reading->wall;
}

clattn_comparison clattn_series_compare(const clattn_series *series)
{
    const int count = series->count;
    double incumbent[CLATTN_SERIES_MAX], candidate[CLATTN_SERIES_MAX], ratios[CLATTN_SERIES_MAX];
    clattn_comparison result = { .fault = find_fault(series) };
    result.by_events = result.fault == CLATTN_CLOCK_RIGHT;
    for (int i = 0; i < count; i++) {
        incumbent[i] = seconds_of(&series->incumbent[i], result.by_events);
        candidate[i] = seconds_of(&series->candidate[i], result.by_events);
        ratios[i] = candidate[i] / incumbent[i];
    }
    result.incumbent = median(incumbent, count);
    result.candidate = median(candidate, count);
    result.ratio = median(ratios, count);
    for (int i = 0; i < count; i++)
        ratios[i] = fabs(ratios[i] - result.ratio);
    result.noise = TWO_ERRORS * FEW(count) * median(ratios, count) / sqrt(count);
    result.faster = count >= CLATTN_SERIES_LEAST && 1 - result.ratio > fmax(LEAST_GAIN, result.noise);
    return result;
}

bool clattn_series_hopeless(const clattn_series *series)
{
    /* The least ratio of all so far: one repetition may have been disturbed, several in a row less likely. */
    static const double limits[] = { 1.3, 1.15, 1.08, 1.05 };
    const int last = (int)(sizeof(limits) / sizeof(limits[0])) - 1;
    const bool by_events = find_fault(series) == CLATTN_CLOCK_RIGHT;
    double least = HUGE_VAL;
    for (int i = 0; i < series->count; i++)
        least =
            fmin(least, seconds_of(&series->candidate[i], by_events) / seconds_of(&series->incumbent[i], by_events));
    return series->count > 0 && least > limits[series->count - 1 < last ? series->count - 1 : last];
}

bool clattn_series_settled(const clattn_series *series)
{
    if (series->count < CLATTN_SERIES_LEAST)
        return false;
    const clattn_comparison now = clattn_series_compare(series);
    const double gain = 1 - now.ratio;
    return gain + now.noise < LEAST_GAIN || gain > fmax(LEAST_GAIN, 1.5 * now.noise) + LEAST_GAIN / 2;
}
