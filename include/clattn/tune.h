/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_TUNE_H
#define CLATTN_TUNE_H

#include <clattn/device.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Tuning: measures on this device which tiles are fastest, class by class, and keeps the choices in the device's tuning
 * record, a file that every later clattn_device of such a device reads. docs/tuning.md says how it searches and how it
 * measures, and what a class is.
 *
 * A candidate that differs from the built-in default is first built, run and compared with the float64 reference in a
 * child process, the worker, with a time limit: a driver that crashes, hangs or computes wrongly costs that candidate,
 * which is recorded and not tried again. The calling process installs no signal handler and never forks. */

typedef enum clattn_tune_op {
    CLATTN_TUNE_ATTENTION = 1, /* prefill */
    CLATTN_TUNE_DECODE = 2,    /* decode, its split size, and combine */
    CLATTN_TUNE_GATHER = 4,
    CLATTN_TUNE_APPEND = 8,
    CLATTN_TUNE_ALL = 15
} clattn_tune_op;

typedef enum clattn_tune_event {
    CLATTN_TUNE_CLASS_STARTED = 0,
    CLATTN_TUNE_CANDIDATE = 1,  /* one was measured, or could not be; `outcome` says which */
    CLATTN_TUNE_CLASS_DONE = 2, /* its figures are final, and in the record */
    CLATTN_TUNE_FINISHED = 3,   /* the last call: class_index of class_count classes are done */
    CLATTN_TUNE_WAITING = 4     /* the worker is at a candidate: told several times a second, so that a wait can end */
} clattn_tune_event;

typedef enum clattn_tune_outcome {
    CLATTN_TUNE_FASTER = 0, /* than all before it in its class */
    CLATTN_TUNE_NOT_FASTER = 1,
    CLATTN_TUNE_WRONG = 2, /* its result differed from the reference */
    CLATTN_TUNE_NOT_BUILT = 3,
    CLATTN_TUNE_CRASHED = 4,
    CLATTN_TUNE_TIMED_OUT = 5,
    CLATTN_TUNE_SKIPPED = 6 /* it needs the worker and there is none, or it failed in an earlier run */
} clattn_tune_outcome;

/* What a callback is told. Strings live until it returns. */
typedef struct clattn_tune_progress {
    clattn_tune_event event;
    const char *op;         /* "attention", "decode", "gather", "append" */
    const char *class_name; /* "prefill frag_lanes q_dtype f32 ..." */
    int class_index, class_count;
    int candidate, candidates; /* of the class: measured or tried so far, and how many are planned */
    const char *tile;          /* the candidate's; with CLASS_DONE: the best one's */
    int split_size;            /* of that tile; 0: none */
    /* With CANDIDATE. With CLASS_DONE: NOT_FASTER when a choice that is verified loses to the default by more than the
     * noise, else FASTER. */
    clattn_tune_outcome outcome;
    const char *detail;     /* why a candidate failed; "" when it did not */
    double seconds;         /* the candidate's median; 0 when it was not measured */
    double best_seconds;    /* of the class so far */
    double default_seconds; /* the built-in default's, measured in turns with the best */
    const char *default_tile;
    double work;            /* FLOP (attention) or bytes (the others) of the timed call */
    int exhaustive;         /* non-zero: every candidate that fits was measured */
    double elapsed, budget; /* seconds */
    const char *shape;      /* the timed problem: "batch 1 q_heads 8 ..." */
    const char *clock;      /* what timed it: "events" or "wall" */
} clattn_tune_progress;

/* Returns non-zero to stop: the class at hand is closed with the best so far, and the call returns CLATTN_CANCELLED.
 * Called from the thread that called clattn_tune. */
typedef int (*clattn_tune_callback)(void *user, const clattn_tune_progress *progress);

typedef struct clattn_tune_params {
    size_t struct_size;
    double budget;            /* seconds until the search stops; 0: 300. Negative: no end */
    unsigned ops;             /* clattn_tune_op bits; 0: all */
    const char *folder;       /* where the record goes; NULL: the first folder of the device's tuning path */
    const char *worker;       /* path of the command clattn; NULL: candidates that need a worker are skipped */
    double candidate_timeout; /* seconds that the worker may take for one; 0: 60 */
    int resume;               /* non-zero: goes on from the journal of a run that was broken off */
    int exhaustive;           /* non-zero: every point that fits, however long it takes */
    int all_classes;          /* non-zero: every class of the table; else those that the budget allows, common first */
    uint64_t seed;            /* of the numbers that are attended to */
    clattn_tune_callback progress; /* NULL: none */
    void *user;
} clattn_tune_params;

#ifndef __cplusplus
#define CLATTN_TUNE_PARAMS(...) ((clattn_tune_params){ .struct_size = sizeof(clattn_tune_params), __VA_ARGS__ })
#endif

/* Sets every field to its default. */
CLATTN_API void clattn_tune_params_init(clattn_tune_params *params);

/* Tunes. Blocks until done, cancelled, or the budget is spent. Each class is in the record as soon as it is done.
 * Several processes may tune at once: their classes are merged.
 *   CLATTN_OK
 *   CLATTN_CANCELLED         a callback asked for it; what was found is recorded
 *   CLATTN_INVALID_ARGUMENT  device is NULL; an unknown struct_size; an op that is none; no folder is known; a path
 *                            that is no executable file
 *   CLATTN_IO_ERROR          the record cannot be written (before any work starts, as far as that can be known)
 *   CLATTN_OUT_OF_MEMORY, CLATTN_OPENCL_ERROR
 * Thread-safe, but figures are those of a busy device when it is used meanwhile. */
CLATTN_API clattn_status clattn_tune(clattn_device *device, const clattn_tune_params *params);

/* Measures every entry that the record has of this device against the built-in default again, in turns, and tells each
 * by CLATTN_TUNE_CLASS_DONE: seconds is the recorded tile's now, default_seconds the default's. Changes nothing. The
 * same errors as clattn_tune. */
CLATTN_API clattn_status clattn_tune_verify(clattn_device *device, const clattn_tune_params *params);

#ifdef __cplusplus
}
#endif

#endif
