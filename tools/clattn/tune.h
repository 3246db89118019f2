/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_TOOL_TUNE_H
#define CLATTN_TOOL_TUNE_H

/* clattn tune: what the library tells of a search, kept for the table, the JSON and the plot. */

#include <clattn/tune.h>

#include "peak.h"

enum { TUNE_OUTCOMES = CLATTN_TUNE_SKIPPED + 1, TUNE_LABEL_SIZE = 128 };

typedef struct tune_candidate {
    char *tile, *detail;
    int split_size;
    clattn_tune_outcome outcome;
    double seconds; /* 0: it was not measured */
} tune_candidate;

/* Strings are "" where nothing is known. */
typedef struct tune_class {
    char *op, *name, *shape, *clock;
    char *tile, *default_tile; /* tile: the best one's */
    int split_size;            /* of the best; 0: none */
    double seconds, default_seconds, work;
    int points;       /* measured */
    bool exhaustive;  /* those were all that fit */
    bool done, loses; /* loses: what is verified is slower than the default, by more than the noise */
    tune_candidate *candidates;
    int count;
} tune_class;

typedef struct tune_results {
    tune_class *classes;
    int count;
} tune_results;

/* Takes what the library told. False without memory. */
bool tune_results_take(tune_results *to, const clattn_tune_progress *progress);
void tune_results_free(tune_results *of);

const char *tune_outcome_name(clattn_tune_outcome outcome);
/* Whether the candidate could not be measured. */
bool tune_outcome_is_failure(clattn_tune_outcome outcome);
/* The default's time over the best one's; 0 when one is not known. */
double tune_ratio(const tune_class *of);
/* The peak that the operation is measured by, its name in *kind; 0 when it was not measured. */
double tune_peak(const char *op, const peaks *at, const char **kind);

/* What a class's name says, by the contract's names; "" and 0 where it says nothing. */
typedef struct tune_words {
    char kernel[16], fragment[32], dtype[16], kv_dtype[32];
    char rest[TUNE_LABEL_SIZE]; /* "dim 128 paged" */
    int head_dim;
} tune_words;
void tune_words_read(const char *name, tune_words *out);
/* "decode f16, K and V q8_0, dim 128 paged". Returns text. */
const char *tune_label(const char *name, char text[TUNE_LABEL_SIZE]);

/* How far the search is: a line on stderr that is drawn again and again on a terminal, else a line a class and a failed
 * candidate. */
typedef struct tune_progress {
    bool terminal;
    bool drawn; /* the line stands */
} tune_progress;
void tune_progress_start(tune_progress *line);
void tune_progress_show(tune_progress *line, const clattn_tune_progress *now);
void tune_progress_clear(tune_progress *line);
/* A clattn_log_callback that has a line of its own; `user` is the tune_progress. */
void tune_progress_log(void *user, clattn_log_level level, const char *message);

/* What is printed at the end, on stdout. */
typedef struct tune_report {
    const session *on;
    const tune_results *results;
    const peaks *peaks;      /* NULL: they were not measured */
    const char *record;      /* path; "": not known */
    const char *interrupted; /* "interrupted"; "" when it was not */
    unsigned ops;            /* clattn_tune_op bits that were asked for */
    double budget, elapsed;  /* seconds; budget negative: no end */
    bool verifies;           /* nothing was searched: recorded choices were measured again */
} tune_report;

/* Both give an exit status. */
int tune_print_table(const tune_report *of);
int tune_print_json(const tune_report *of);

/* What the classes that are done have in common. */
typedef struct tune_totals {
    int classes, points, losers;
    double gain; /* geometric mean of their ratios; 0 without any */
    int outcomes[TUNE_OUTCOMES];
} tune_totals;
tune_totals tune_sum(const tune_report *of);
/* The next class, from row *row of the library's table on, that was asked for and is not done: its name, and *row is
 * where to go on. False when there is none. */
bool tune_next_missing(const tune_report *of, size_t *row, char *name, size_t size);

/* Draws the search as SVG that the caller frees. Exit status. */
int tune_plot_draw(const session *on, const tune_results *from, char **svg, size_t *size);

#endif
