/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_TUNE_SERIES_H
#define CLATTN_TUNE_SERIES_H

/* What times say: whether a device's clock can be believed, and whether a candidate is faster than the incumbent. Pure
 * host code, apart from the measuring so that tests can hand it any clock. */

#include <stdbool.h>
#include <stdint.h>

/* Why times of a device are not believed. */
typedef enum clattn_clock_fault {
    CLATTN_CLOCK_RIGHT = 0,
    CLATTN_CLOCK_MISSING,   /* the driver gives none */
    CLATTN_CLOCK_ZERO,      /* a start or an end is 0, or no time passes in a whole repetition */
    CLATTN_CLOCK_BACKWARDS, /* an end before its start, or a call that starts before the one before it */
    CLATTN_CLOCK_TOO_LONG,  /* more than the wall time around it */
    CLATTN_CLOCK_TOO_SHORT, /* less than a twentieth of the wall time around most repetitions */
    CLATTN_CLOCK_UNEVEN     /* a share of the wall time for the one that is three times that for the other */
} clattn_clock_fault;

const char *clattn_clock_fault_text(clattn_clock_fault fault);

/* Of one call, by the device's clock, in nanoseconds: start of its first command, end of its last. */
typedef struct clattn_ticks {
    uint64_t start, end;
} clattn_ticks;

/* A repetition: some calls in a row. Seconds of one of them, on average. */
typedef struct clattn_reading {
    double wall;
    double events;            /* 0 with a fault but TOO_SHORT */
    clattn_clock_fault fault; /* of the device's clock */
} clattn_reading;

/* `wall`: seconds around all of the calls. */
clattn_reading clattn_reading_of_calls(const clattn_ticks *calls, int count, double wall);

enum { CLATTN_SERIES_MAX = 64, CLATTN_SERIES_LEAST = 5 };

/* Repetition i of both was made one right after the other. */
typedef struct clattn_series {
    int count;
    clattn_reading incumbent[CLATTN_SERIES_MAX], candidate[CLATTN_SERIES_MAX];
} clattn_series;

typedef struct clattn_comparison {
    bool by_events;              /* else by the wall clock */
    clattn_clock_fault fault;    /* why it is not by events */
    double incumbent, candidate; /* median seconds */
    double ratio;                /* median of candidate / incumbent, each from one repetition */
    double noise;                /* of the ratio: twice the standard error of its median, by the median deviation */
    bool faster;                 /* by more than 1 %, and by more than the noise; a tie is not */
} clattn_comparison;

/* Of at least one repetition. */
clattn_comparison clattn_series_compare(const clattn_series *series);

/* Whether further repetitions would be wasted: the candidate is clearly slower. True after one that took 1.3 times the
 * incumbent's time. */
bool clattn_series_hopeless(const clattn_series *series);

/* Whether it is settled, one way or the other, that the candidate is faster. */
bool clattn_series_settled(const clattn_series *series);

#endif
