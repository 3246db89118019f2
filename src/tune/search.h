/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_TUNE_SEARCH_H
#define CLATTN_TUNE_SEARCH_H

/* In which order the points of a space are tried, so that little time finds a good one. Pure host code that knows no
 * device: a callback measures.
 *
 * A point is worth trying when it is near a good one: every point that was measured vouches for its neighbours, by its
 * cost and a penalty a step, and the point with the best voucher is next. So the neighbours of the best point come
 * first, those that differ in one parameter by one step, then those that differ in two, then the neighbours of what is
 * nearly as good. A separable model of what was measured so far orders points that are equally near. Every few points
 * one is drawn at random instead, against local minima. Nothing is left out: with no end the search is exhaustive. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLATTN_SEARCH_AXES   8
#define CLATTN_SEARCH_VALUES 32 /* most places on an axis */

/* Places on each axis, 0 .. CLATTN_SEARCH_VALUES - 1, as steps of the parameter's values; 0 on axes that are not used.
 */
typedef struct clattn_search_point {
    int32_t at[CLATTN_SEARCH_AXES];
} clattn_search_point;

typedef enum clattn_search_answer {
    CLATTN_SEARCH_MEASURED, /* *cost is set: positive, less is better */
    CLATTN_SEARCH_FAILED,   /* cannot be used; what is near it is less promising */
    CLATTN_SEARCH_STOP      /* not tried: the search ends */
} clattn_search_answer;

typedef struct clattn_search {
    const clattn_search_point *points;
    size_t count;
    size_t start; /* tried first */
    uint64_t seed;
    clattn_search_answer (*try_point)(void *user, size_t index, double *cost);
    void *user;
} clattn_search;

typedef struct clattn_search_result {
    size_t best; /* of least cost, the first of equals; `count` when none was measured */
    double cost; /* of it */
    size_t tried, measured;
    bool exhaustive; /* every point was tried */
} clattn_search_result;

/* Tries every point at most once. False when there is no memory: nothing was tried. */
bool clattn_search_run(const clattn_search *search, clattn_search_result *out);

#endif
