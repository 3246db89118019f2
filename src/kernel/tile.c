/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernel/tile.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { WHERE_ANY, WHERE_NVIDIA, WHERE_WIDTH8, WHERE_WIDTH16 };

/* Sums of O in a work-item's registers; more of them spill on every GPU. */
#define MAX_OUTPUTS_PER_WORK_ITEM 160

#define FRAGMENT(makes_plans, name, constant, granule, decode, ...)                                                    \
    { makes_plans, name, constant, granule, CLATTN_FRAGMENT_##decode, __VA_ARGS__ },
#define CLATTN_FRAGMENT(id, ...)        FRAGMENT(true, __VA_ARGS__)
#define CLATTN_DECODE_FRAGMENT(id, ...) FRAGMENT(false, __VA_ARGS__)
static const clattn_fragment fragments[] = {
#include "fragments.def"
};
#undef CLATTN_FRAGMENT
#undef CLATTN_DECODE_FRAGMENT
#undef FRAGMENT

#define CLATTN_TILE(algorithm, fragment, where, ...)                                                                   \
    { CLATTN_ALGORITHM_##algorithm, CLATTN_FRAGMENT_##fragment, WHERE_##where, { __VA_ARGS__ } },
static const clattn_tile tiles[] = {
#include "tiles.def"
};
#undef CLATTN_TILE

/* Positions of the parameters in a row. */
enum { LANES_LANES, LANES_VECTORS, LANES_KEYS };
enum { DIMS_LANES, DIMS_ROWS, DIMS_KEYS };
enum { SCALAR_TX, SCALAR_TY, SCALAR_TM, SCALAR_TN, SCALAR_DIM_SLICE, SCALAR_KEY_SLICE };

const clattn_fragment *clattn_fragment_row(clattn_fragment_id id)
{
    return &fragments[id];
}

clattn_fragment_id clattn_fragment_named(const char *name)
{
    int id = 0;
    while (id < CLATTN_FRAGMENT_COUNT && strcmp(fragments[id].name, name) != 0)
        id++;
    return (clattn_fragment_id)id;
}

clattn_fragment_id clattn_fragment_of(clattn_fragment_id fragment, clattn_algorithm algorithm)
{
    return algorithm == CLATTN_ALGORITHM_DECODE ? fragments[fragment].decode : fragment;
}

const clattn_tile *clattn_tile_row(size_t i)
{
    return i < sizeof(tiles) / sizeof(tiles[0]) ? &tiles[i] : NULL;
}

int32_t clattn_dim_class(clattn_fragment_id fragment, int32_t dim)
{
    const int32_t granule = fragments[fragment].granule;
    return (dim + granule - 1) / granule * granule;
}

int32_t clattn_tile_rows(const clattn_tile *tile)
{
    const int32_t *p = tile->parameters;
    switch (tile->fragment) {
    case CLATTN_FRAGMENT_LANES:
        return p[LANES_LANES] * p[LANES_VECTORS];
    case CLATTN_FRAGMENT_DIMS:
        return p[DIMS_ROWS];
    default:
        return p[SCALAR_TY] * p[SCALAR_TM];
    }
}

int32_t clattn_tile_keys(const clattn_tile *tile)
{
    const int32_t *p = tile->parameters;
    switch (tile->fragment) {
    case CLATTN_FRAGMENT_LANES:
        return p[LANES_KEYS];
    case CLATTN_FRAGMENT_DIMS:
        return p[DIMS_KEYS];
    default:
        return p[SCALAR_TX] * p[SCALAR_TN];
    }
}

size_t clattn_tile_work_group_size(const clattn_tile *tile)
{
    const int32_t *p = tile->parameters;
    return tile->fragment == CLATTN_FRAGMENT_SCALAR ? (size_t)(p[SCALAR_TX] * p[SCALAR_TY]) : 1;
}

/* cl/frag_scalar.clh: FRAG_LOCAL_FLOATS. */
uint64_t clattn_tile_local_bytes(const clattn_tile *tile, const clattn_tile_problem *problem)
{
    if (tile->fragment != CLATTN_FRAGMENT_SCALAR)
        return 0;
    const int32_t *p = tile->parameters;
    const int32_t rows = clattn_tile_rows(tile), keys = clattn_tile_keys(tile);
    const int32_t qk = p[SCALAR_DIM_SLICE] * (rows + keys);
    const int32_t pv = keys * rows + p[SCALAR_KEY_SLICE] * problem->v_head_dim;
    const int32_t places = problem->paged ? 2 * keys + 1 : 0;
    const int32_t floats = (qk > pv ? qk : pv) + rows * (p[SCALAR_TX] + 1) + places;
    return (uint64_t)(floats + 3) / 4 * 16;
}

void clattn_tile_name(const clattn_tile *tile, char name[CLATTN_TILE_NAME_SIZE])
{
    const clattn_fragment *fragment = &fragments[tile->fragment];
    size_t used = 0;
    for (int i = 0; i < CLATTN_TILE_MAX_PARAMETERS && fragment->parameters[i].name; i++)
        used += (size_t)snprintf(name + used, CLATTN_TILE_NAME_SIZE - used, "%s%s%" PRId32, i ? "_" : "",
                                 fragment->parameters[i].name, tile->parameters[i]);
}

void clattn_tile_options(const clattn_tile *tile, char options[CLATTN_TILE_OPTIONS_SIZE])
{
    const clattn_fragment *fragment = &fragments[tile->fragment];
    size_t used = (size_t)snprintf(options, CLATTN_TILE_OPTIONS_SIZE, "-D%s", fragment->constant);
    for (int i = 0; i < CLATTN_TILE_MAX_PARAMETERS && fragment->parameters[i].name; i++)
        used += (size_t)snprintf(options + used, CLATTN_TILE_OPTIONS_SIZE - used, " -D%s=%" PRId32,
                                 fragment->parameters[i].constant, tile->parameters[i]);
}

bool clattn_tile_is_default_on(const clattn_tile *tile, const clattn_device_info *info)
{
    switch (tile->where) {
    case WHERE_NVIDIA:
        return strstr(info->vendor, "NVIDIA") != NULL;
    case WHERE_WIDTH8:
        return info->native_vector_width_float >= 8;
    case WHERE_WIDTH16:
        return info->native_vector_width_float >= 16;
    default:
        return true;
    }
}

bool clattn_tile_fits(const clattn_tile *tile, const clattn_tile_problem *problem, const clattn_device_info *info,
                      char *why, size_t why_size)
{
    const size_t group = clattn_tile_work_group_size(tile);
    if (group > info->max_work_group_size) {
        snprintf(why, why_size, "work-group size %zu is over the device's limit, %zu", group,
                 info->max_work_group_size);
        return false;
    }
    const uint64_t local = clattn_tile_local_bytes(tile, problem);
    if (local > info->local_mem_size) {
        snprintf(why, why_size, "%" PRIu64 " bytes of local memory are over the device's limit, %" PRIu64, local,
                 info->local_mem_size);
        return false;
    }
    const int32_t *p = tile->parameters;
    const int32_t outputs = p[SCALAR_TM] * problem->v_head_dim / p[SCALAR_TX];
    if (tile->fragment == CLATTN_FRAGMENT_SCALAR && group > 1 && outputs > MAX_OUTPUTS_PER_WORK_ITEM) {
        snprintf(why, why_size, "%" PRId32 " sums a work-item would not fit registers (%d do)", outputs,
                 MAX_OUTPUTS_PER_WORK_ITEM);
        return false;
    }
    return true;
}
