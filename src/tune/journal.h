/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_TUNE_JOURNAL_H
#define CLATTN_TUNE_JOURNAL_H

/* What a tuning run has measured so far, in a file beside the record, so that a run that was broken off can go on: a
 * line of JSON for each candidate that was done with, and one for each class. */

#include <clattn/tune.h>

#include "plan/record.h"
#include "tune/subject.h"

/* "faster", "not faster", "wrong", "not built", "crashed", "timed out", "skipped" */
const char *clattn_tune_outcome_name(clattn_tune_outcome outcome);

typedef struct clattn_journal_line {
    const char *class_name, *kernels; /* kernels: version of the kernel's sources */
    clattn_candidate candidate;
    clattn_tune_outcome outcome;
    double cost; /* time by the default's, through the incumbents that it was measured against; 0: not measured */
    double seconds, incumbent_seconds; /* medians; 0: not measured */
    const char *clock_fault; /* why these are by the wall clock: for people, not read again; "": by events, or none */
} clattn_journal_line;

typedef struct clattn_journal clattn_journal;

/* Opens or makes `path`. With `resume` reads it; else starts an empty one. Lines of another driver or of a later schema
 * are left out, and so is a last line that was torn; `refusal`, which may be NULL, hears of them. CLATTN_IO_ERROR names
 * the path. CLATTN_OUT_OF_MEMORY. */
clattn_status clattn_journal_open(const char *path, const char *driver, bool resume, clattn_record_refusal refusal,
                                  void *user, clattn_journal **out);

/* With `finished` removes the file: there is nothing to go on with. NULL is fine. */
void clattn_journal_close(clattn_journal *journal, bool finished);

/* Whether an earlier run has tried the candidate; fills cost, seconds and outcome of *line, whose other fields say
 * which. */
bool clattn_journal_find(const clattn_journal *journal, clattn_journal_line *line);
bool clattn_journal_has_class(const clattn_journal *journal, const char *class_name, const char *kernels);

/* Appends by one write. CLATTN_IO_ERROR, CLATTN_OUT_OF_MEMORY. */
clattn_status clattn_journal_add(clattn_journal *journal, const clattn_journal_line *line);
/* The class is in the record. Waits until the file is on the disk. */
clattn_status clattn_journal_end_class(clattn_journal *journal, const char *class_name, const char *kernels);

#endif
