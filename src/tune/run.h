/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_TUNE_RUN_H
#define CLATTN_TUNE_RUN_H

/* What the files of a tuning run share: the run, and the class at hand. */

#include "plan/records.h"
#include "tune/journal.h"
#include "tune/measure.h"
#include "tune/points.h"
#include "tune/worker.h"

typedef struct clattn_run {
    clattn_device *device; /* whose programs candidates are: the caller's, or one without a disk cache */
    clattn_device *caller;
    const clattn_tune_params *params;
    const char *folder;
    cl_command_queue queue;
    double begin, end;       /* by clattn_clock_seconds(); end: infinite without one */
    clattn_worker *worker;   /* NULL: none */
    clattn_journal *journal; /* NULL: none */
    clattn_record own;       /* of this device, as the folder had it at the start */
    const char *driver;
    clattn_kernel_versions kernels; /* of sources; NULL: not asked for yet */
    char date[16];
    bool cancelled, told_clock;
    clattn_tune_progress progress; /* what the next call of the callback is told */
} clattn_run;

/* One that is compiled here. */
typedef struct clattn_contender {
    clattn_candidate candidate;
    clattn_trial *trial; /* NULL: none */
    clattn_timed timed;
    double cost;           /* time by the default's */
    double seconds;        /* median */
    double worker_seconds; /* by the worker; 0: not known */
} clattn_contender;

typedef struct clattn_tuned {
    clattn_run *run;
    size_t row_index;
    const clattn_subject_row *row;
    clattn_tuning_class class;
    char name[CLATTN_CLASS_NAME_SIZE];
    const char *kernels;
    clattn_subject *subject;
    clattn_meter meter;
    clattn_points points;
    clattn_contender first, best; /* the built-in default, and the incumbent; first.trial may be best.trial */
    clattn_candidate seen;        /* the choice of an earlier run, which is tried right after the default */
    bool has_seen;
    clattn_search_answer seen_answer;
    double seen_cost;
    double end; /* by clattn_clock_seconds(): of trying */
    int tried, measured;
    clattn_status status; /* what ended the class, other than time */
    char default_tile[CLATTN_TILE_NAME_SIZE], tile[CLATTN_TILE_NAME_SIZE];
} clattn_tuned;

/* run.c. What all runs need; `searching`: with worker and journal, and a device for candidates. */
clattn_status clattn_run_open(clattn_device *device, const clattn_tune_params *params, const char *folder,
                              bool searching, clattn_run *run);
void clattn_run_close(clattn_run *run, bool finished);
clattn_status clattn_run_kernels(clattn_run *run, clattn_algorithm algorithm, clattn_fragment_id fragment,
                                 const char **out);
/* The progress of no class: what it told of the last one is gone. */
void clattn_run_clear(clattn_run *run);
/* Calls back with run->progress; notes whether the callback wants an end. */
void clattn_run_tell(clattn_run *run, clattn_tune_event event);
/* A clattn_record_refusal that logs. */
void clattn_run_refuse(void *user, const char *path, int line, const char *reason);

/* contender.c. Compiles here. */
clattn_status clattn_contender_open(clattn_tuned *of, const clattn_candidate *candidate, clattn_contender *out);
void clattn_contender_close(clattn_contender *contender);

/* candidate.c. Tries one: checks it in the worker, times it here against the incumbent, which it replaces when it is
 * faster; tells of it, and notes it in the journal, and in the record when it is never to be tried again. */
clattn_search_answer clattn_tuned_try(clattn_tuned *of, const clattn_candidate *candidate, double *cost);
/* The built-in default, measured against itself. */
clattn_search_answer clattn_tuned_try_default(clattn_tuned *of);

/* class.c */
clattn_status clattn_tuned_open(clattn_run *run, size_t row_index, clattn_tuned *of);
void clattn_tuned_close(clattn_tuned *of);
/* Tells of the class: all fields but those of a candidate. */
void clattn_tuned_tell(clattn_tuned *of, clattn_tune_event event);
/* Searches until `end`, and records what it finds. CLATTN_OK also when the run was cancelled, or the class cannot be
 * tuned, which is logged. */
clattn_status clattn_tuned_run(clattn_run *run, size_t row_index, double end);

#endif
