/* SPDX-License-Identifier: BSD-2-Clause */
#include "tune/points.h"

#include <stdlib.h>

_Static_assert(CLATTN_TILE_MAX_PARAMETERS <= CLATTN_SEARCH_AXES, "each parameter is an axis");

/* Of values that are not in the space, as a default's may be: the last that is not larger. */
static int32_t place_of(const int32_t *values, size_t count, int32_t value)
{
    int32_t place = 0;
    while ((size_t)place + 1 < count && place + 1 < CLATTN_SEARCH_VALUES && values[place + 1] <= value)
        place++;
    return place;
}

static clattn_search_point places_of(const clattn_tile *tile)
{
    clattn_search_point point = { { 0 } };
    for (int axis = 0; axis < CLATTN_TILE_MAX_PARAMETERS; axis++) {
        size_t count = 0;
        const int32_t *values = clattn_space_values(tile->algorithm, tile->fragment, axis, &count);
        point.at[axis] = count ? place_of(values, count, tile->parameters[axis]) : 0;
    }
    return point;
}

static void add(clattn_points *points, const clattn_candidate *candidate)
{
    points->candidates[points->count] = *candidate;
    points->places[points->count++] = places_of(&candidate->tile);
}

static bool is_candidate(const clattn_tile *tile, const clattn_tile_problem *problem, const clattn_device_info *info)
{
    char why[128];
    return clattn_tile_in_space(tile, why, sizeof(why)) && clattn_tile_fits(tile, problem, info, why, sizeof(why)) &&
           clattn_tile_suits(tile, problem, info, why, sizeof(why));
}

bool clattn_points_make(const clattn_candidate *start, const clattn_tile_problem *problem,
                        const clattn_device_info *info, clattn_points *out)
{
    const size_t size = clattn_space_size(start->tile.algorithm, start->tile.fragment);
    *out = (clattn_points){ .candidates = malloc((size + 1) * sizeof(*out->candidates)),
                            .places = malloc((size + 1) * sizeof(*out->places)) };
    if (!out->candidates || !out->places) {
        clattn_points_free(out);
        return false;
    }
    add(out, start);
    for (size_t i = 0; i < size; i++) {
        clattn_candidate candidate = { .split_size = start->split_size };
        clattn_space_point(start->tile.algorithm, start->tile.fragment, i, &candidate.tile);
        if (start->split_size > 0)
            candidate.split_size = clattn_tile_whole_keys(&candidate.tile, start->split_size);
        if (!clattn_tile_equal(&candidate.tile, &start->tile) && is_candidate(&candidate.tile, problem, info))
            add(out, &candidate);
    }
    return true;
}

void clattn_points_free(clattn_points *points)
{
    free(points->candidates);
    free(points->places);
    *points = (clattn_points){ .count = 0 };
}

bool clattn_candidate_equal(const clattn_candidate *a, const clattn_candidate *b)
{
    return a->split_size == b->split_size && clattn_tile_equal(&a->tile, &b->tile);
}

int clattn_points_splits(const clattn_tile *tile, int32_t kv_len, int32_t splits[CLATTN_POINTS_MAX_SPLITS])
{
    static const int32_t sizes[] = { 128, 256, 512, 1024, 2048, 4096, 8192 };
    int count = 0;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        const int32_t split = clattn_tile_whole_keys(tile, sizes[i]);
        if (count > 0 && (splits[count - 1] == split || splits[count - 1] >= kv_len))
            continue;
        splits[count++] = split;
    }
    return count;
}
