/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_TUNE_POINTS_H
#define CLATTN_TUNE_POINTS_H

/* The candidates of a class. Pure host code. */

#include "tune/search.h"
#include "tune/subject.h"

typedef struct clattn_points {
    size_t count, start; /* start: the built-in default */
    clattn_candidate *candidates;
    clattn_search_point *places;
} clattn_points;

/* The default, and every point of its space that is consistent, fits the device and may be fast there; each with the
 * default's split size, rounded up to the tile's keys. False when there is no memory. */
bool clattn_points_make(const clattn_candidate *start, const clattn_tile_problem *problem,
                        const clattn_device_info *info, clattn_points *out);
void clattn_points_free(clattn_points *points);

bool clattn_candidate_equal(const clattn_candidate *a, const clattn_candidate *b);

#define CLATTN_POINTS_MAX_SPLITS 8

/* The split sizes worth trying with a tile of decode, ascending, rounded up to its keys: none twice, and none that is
 * past one that covers kv_len already. Returns how many. */
int clattn_points_splits(const clattn_tile *tile, int32_t kv_len, int32_t splits[CLATTN_POINTS_MAX_SPLITS]);

#endif
