/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_TUNE_MEASURE_H
#define CLATTN_TUNE_MEASURE_H

/* Times a candidate against the incumbent, in turns, so that what disturbs one disturbs the other. */

#include "device/device.h"
#include "tune/series.h"

/* Something that can be called again and again. Starts with `calls` 0. */
typedef struct clattn_timed {
    clattn_status (*enqueue)(void *subject, int turn, cl_event *first, cl_event *last); /* as clattn_trial_enqueue */
    void *subject;
    int calls; /* in a repetition, so that one lasts long enough for a clock; 0: it is not warm, and not known */
} clattn_timed;

/* What measurements of a class share. */
typedef struct clattn_meter {
    clattn_device *device;
    cl_command_queue queue; /* in order, with profiling */
    double deadline;        /* by clattn_clock_seconds(); no repetition begins after it but the first */
    int turn;               /* of the next call */
    bool told;              /* the log knows that times of events are not used */
} clattn_meter;

/* Warms up what is not warm, then repeats: until the candidate is clearly slower, or for at least five repetitions and
 * 50 ms of each, until it is settled which is faster or a second has passed. The errors are those of `enqueue`, and
 * CLATTN_OPENCL_ERROR or CLATTN_OUT_OF_MEMORY when the queue fails. Incumbent and candidate may be the same. */
clattn_status clattn_measure(clattn_meter *meter, clattn_timed *incumbent, clattn_timed *candidate,
                             clattn_comparison *out);

/* Measures a candidate against the incumbent once; `user` is who calls clattn_confirm's. */
typedef clattn_status (*clattn_measuring)(void *user, clattn_comparison *out);

/* What is faster has to be so twice, and the second comparison is the one that counts: a candidate that was lucky once
 * would make way for the default at the end of its class, and those that were compared with it along with it. After
 * `end`, by clattn_clock_seconds(), there is no second one. The errors are those of `measure`. */
clattn_status clattn_confirm(clattn_measuring measure, void *user, double end, clattn_comparison *out);

#endif
