/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_DEVICE_HARNESS_H
#define TESTS_DEVICE_HARNESS_H

/* The device under test, the running of one case on it, and the counting. */

#include <stdatomic.h>

#include <clattn/clattn.h>

#include "problem.h"
#include "ref/ref.h"

typedef enum verdict { PASSED, FAILED, SKIPPED } verdict;

/* What came of a case; starts as PASSED. `why` is one line. */
typedef struct outcome {
    verdict verdict;
    char why[768];
    int64_t compared;
    double max_ratio; /* largest error over its tolerance */
} outcome;

__attribute__((format(printf, 2, 3))) void outcome_fail(outcome *out, const char *format, ...);
__attribute__((format(printf, 2, 3))) void outcome_skip(outcome *out, const char *format, ...);
/* Fails with the library's last error when status is not CLATTN_OK; returns whether it is. */
bool outcome_ok(outcome *out, clattn_status status, const char *call);

typedef struct harness {
    cl_context context;
    cl_device_id id;
    cl_command_queue in_order, out_of_order; /* out_of_order is NULL where the device has none */
    clattn_device *device;
    clattn_device_info info;
    atomic_long programs; /* built from source */
    const char *program;  /* as it was called */
    const char *platform; /* --platform, or NULL */
    const char *suite;
    const char *set;  /* --set: a line on top of every case of the lists; or NULL */
    uint64_t seed;    /* --seed: of what suites draw */
    ref_random draws; /* of the suite at hand, from seed */
    int part, parts;  /* --part: of a covering array's cases those whose number is part, modulo parts */
    bool full, verbose;
    int passed, failed, skipped;
    int64_t compared;
} harness;

/* The first device of the first platform whose name contains `platform` (any case; NULL: any). false: there is none, or
 * it does not work; the reason was printed. */
bool harness_open(harness *h, const char *platform);
void harness_close(harness *h);

/* Counts one case and prints it when it did not pass. `line` reruns it as `--case`; NULL: the suite reruns it. */
void harness_count(harness *h, const char *name, const char *line, const outcome *out);

/* Runs and counts one case, normalized before. */
void harness_run(harness *h, const test_case *c);

/* The steps of harness_run, for tests that need them one by one. All report to `out`. */
bool step_upload(const harness *h, problem *p, outcome *out);
bool step_plan(const harness *h, problem *p, clattn_plan **plan, outcome *out);
/* Fresh buffers' contents, then a run that waits, then the outputs into memory[].got. */
bool step_run(const harness *h, problem *p, const clattn_plan *plan, outcome *out);
bool step_read(const harness *h, problem *p, outcome *out);
void step_verify(const problem *p, outcome *out);
/* All of it but what the error record holds, for tests that know better. */
void step_verify_outputs(const problem *p, outcome *out);

clattn_attention_args problem_args(const problem *p);
cl_command_queue problem_queue(const harness *h, const problem *p);

#endif
