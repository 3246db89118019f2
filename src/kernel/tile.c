/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernel/tile.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* cl/row_tiles.clh: ROW_TILES_BYTES, and the most FRAG_ROW_TILES. */
#define ROW_TILES_BYTES (192 * 1024)
#define MOST_ROW_TILES  8
/* Of the local memory of frag_nv_wgmma and frag_nv_mma. */
#define NV_ALIGNMENT 1024

enum {
    WHERE_ANY,
    WHERE_NVIDIA,
    WHERE_NVIDIA_DIM64,
    WHERE_NVIDIA_GROUP8,
    WHERE_NVIDIA_HEADS4,
    WHERE_CPU,
    WHERE_WIDTH8,
    WHERE_WIDTH8_TAIL,
    WHERE_WIDTH16
};

#define CLATTN_FRAGMENT(id, role, name, constant, granule, decode, otherwise, split_size, ...)                         \
    { CLATTN_ROLE_##role,          name,       constant,   granule, CLATTN_FRAGMENT_##decode,                          \
      CLATTN_FRAGMENT_##otherwise, split_size, __VA_ARGS__ },
static const clattn_fragment fragments[] = {
#include "fragments.def"
};
#undef CLATTN_FRAGMENT

#define CLATTN_TILE(algorithm, fragment, where, ...)                                                                   \
    { CLATTN_ALGORITHM_##algorithm, CLATTN_FRAGMENT_##fragment, WHERE_##where, { __VA_ARGS__ } },
static const clattn_tile tiles[] = {
#include "tiles.def"
};
#undef CLATTN_TILE

static const char *const algorithm_names[CLATTN_ALGORITHM_COUNT] = {
    [CLATTN_ALGORITHM_PREFILL] = "prefill", [CLATTN_ALGORITHM_DECODE] = "decode",
    [CLATTN_ALGORITHM_COMBINE] = "combine", [CLATTN_ALGORITHM_APPEND] = "append",
    [CLATTN_ALGORITHM_GATHER] = "gather",
};

const clattn_fragment *clattn_fragment_row(clattn_fragment_id id)
{
    return &fragments[id];
}

bool clattn_fragment_is_tensor_core(clattn_fragment_id id)
{
    return id == CLATTN_FRAGMENT_NV_WGMMA || id == CLATTN_FRAGMENT_NV_MMA;
}

clattn_fragment_id clattn_fragment_named(const char *name)
{
    int id = 0;
    while (id < CLATTN_FRAGMENT_COUNT &&
           (fragments[id].role != CLATTN_ROLE_PLAN || strcmp(fragments[id].name, name) != 0))
        id++;
    return (clattn_fragment_id)id;
}

clattn_fragment_id clattn_fragment_of(clattn_fragment_id fragment, clattn_algorithm algorithm)
{
    switch (algorithm) {
    case CLATTN_ALGORITHM_PREFILL:
        return fragment;
    case CLATTN_ALGORITHM_DECODE:
        return fragments[fragment].decode;
    case CLATTN_ALGORITHM_COMBINE:
        return CLATTN_FRAGMENT_LINE;
    default:
        return CLATTN_FRAGMENT_GROUP;
    }
}

clattn_fragment_id clattn_fragment_of_kernel(clattn_algorithm algorithm, const char *name)
{
    int id = 0;
    while (id < CLATTN_FRAGMENT_COUNT &&
           (clattn_space_size(algorithm, (clattn_fragment_id)id) == 0 || strcmp(fragments[id].name, name) != 0))
        id++;
    return (clattn_fragment_id)id;
}

const char *clattn_algorithm_name(clattn_algorithm algorithm)
{
    return algorithm_names[algorithm];
}

clattn_algorithm clattn_algorithm_named(const char *name)
{
    int algorithm = 0;
    while (algorithm < CLATTN_ALGORITHM_COUNT && strcmp(algorithm_names[algorithm], name) != 0)
        algorithm++;
    return (clattn_algorithm)algorithm;
}

const clattn_tile *clattn_tile_row(size_t i)
{
    return i < sizeof(tiles) / sizeof(tiles[0]) ? &tiles[i] : NULL;
}

bool clattn_is_nvidia(const clattn_device_info *info)
{
    return strstr(info->vendor, "NVIDIA") != NULL;
}

int32_t clattn_dim_class(clattn_fragment_id fragment, int32_t dim)
{
    const int32_t granule = fragments[fragment].granule;
    return (dim + granule - 1) / granule * granule;
}

bool clattn_has_tail(int32_t dim)
{
    return dim % 16 != 0;
}

int32_t clattn_tile_rows(const clattn_tile *tile)
{
    const int32_t *p = tile->parameters;
    switch (tile->fragment) {
    case CLATTN_FRAGMENT_LANES:
        return p[CLATTN_LANES_LANES] * p[CLATTN_LANES_VECTORS];
    case CLATTN_FRAGMENT_DIMS:
        return p[CLATTN_DIMS_ROWS];
    case CLATTN_FRAGMENT_NV_WGMMA:
        return p[CLATTN_WGMMA_WARPS] * 16;
    case CLATTN_FRAGMENT_NV_MMA:
        return p[CLATTN_MMA_WARPS] * p[CLATTN_MMA_ROWS] / clattn_tile_heads(tile);
    case CLATTN_FRAGMENT_SCALAR:
        return p[CLATTN_SCALAR_TY] * p[CLATTN_SCALAR_TM];
    case CLATTN_FRAGMENT_GROUP:
        return p[CLATTN_GROUP_ROWS];
    default:
        return 1;
    }
}

/* cl/row_tiles.clh: FRAG_ROW_TILES; and heads that do not lie together are read faster by themselves. */
int32_t clattn_tile_row_tiles(const clattn_tile *tile, const clattn_tile_problem *problem)
{
    if (tile->fragment != CLATTN_FRAGMENT_LANES && tile->fragment != CLATTN_FRAGMENT_DIMS)
        return 1;
    const int32_t bytes = clattn_tile_rows(tile) * (problem->head_dim + problem->v_head_dim) * (int32_t)sizeof(float);
    const int32_t fit = ROW_TILES_BYTES / bytes;
    const int32_t most = tile->fragment == CLATTN_FRAGMENT_DIMS && problem->heads_together < MOST_ROW_TILES
                             ? problem->heads_together
                             : MOST_ROW_TILES;
    return fit > most ? most : fit > 1 ? fit : 1;
}

int32_t clattn_tile_heads(const clattn_tile *tile)
{
    const bool a_head_a_warp = tile->algorithm == CLATTN_ALGORITHM_DECODE && tile->fragment == CLATTN_FRAGMENT_NV_MMA;
    return a_head_a_warp ? tile->parameters[CLATTN_MMA_WARPS] : 1;
}

bool clattn_tile_problem_groups(const clattn_tile_problem *problem, int32_t heads)
{
    const bool in_blocks = clattn_dtype_block_len(problem->k_dtype) > 1 && clattn_dtype_block_len(problem->v_dtype) > 1;
    return heads == 1 || (in_blocks && problem->heads_together % heads == 0);
}

int32_t clattn_tile_keys(const clattn_tile *tile)
{
    const int32_t *p = tile->parameters;
    switch (tile->fragment) {
    case CLATTN_FRAGMENT_LANES:
        return p[CLATTN_LANES_KEYS];
    case CLATTN_FRAGMENT_DIMS:
        return p[CLATTN_DIMS_KEYS];
    case CLATTN_FRAGMENT_NV_WGMMA:
        return p[CLATTN_WGMMA_KEYS];
    case CLATTN_FRAGMENT_NV_MMA:
        return p[CLATTN_MMA_KEYS];
    case CLATTN_FRAGMENT_SCALAR:
        return p[CLATTN_SCALAR_TX] * p[CLATTN_SCALAR_TN];
    default:
        return 0;
    }
}

int32_t clattn_tile_whole_keys(const clattn_tile *tile, int32_t keys)
{
    const int32_t tile_keys = clattn_tile_keys(tile);
    return (keys + tile_keys - 1) / tile_keys * tile_keys;
}

size_t clattn_tile_work_group_size(const clattn_tile *tile)
{
    const int32_t *p = tile->parameters;
    switch (tile->fragment) {
    case CLATTN_FRAGMENT_NV_WGMMA:
        return (size_t)p[CLATTN_WGMMA_WARPS] * 32;
    case CLATTN_FRAGMENT_NV_MMA:
        return (size_t)p[CLATTN_MMA_WARPS] * 32;
    case CLATTN_FRAGMENT_SCALAR:
        return (size_t)(p[CLATTN_SCALAR_TX] * p[CLATTN_SCALAR_TY]);
    case CLATTN_FRAGMENT_LINE:
        return (size_t)p[CLATTN_LINE_LOCAL];
    case CLATTN_FRAGMENT_GROUP:
        return (size_t)(p[CLATTN_GROUP_LANES] * p[CLATTN_GROUP_ROWS]);
    default:
        return 1;
    }
}

/* cl/frag_scalar.clh: FRAG_LOCAL_FLOATS. */
static uint64_t scalar_local_bytes(const clattn_tile *tile, const clattn_tile_problem *problem)
{
    const int32_t *p = tile->parameters;
    const int32_t rows = clattn_tile_rows(tile), keys = clattn_tile_keys(tile);
    const int32_t tx = p[CLATTN_SCALAR_TX], v = p[CLATTN_SCALAR_KEY_SLICE] * problem->v_head_dim;
    const int32_t dims = p[CLATTN_SCALAR_DIM_SLICE], lines = dims < 32 ? 32 / dims : 1;
    const int32_t qk = 2 * ((rows + keys) * dims + (rows / lines + keys / lines) * 4);
    const int32_t pv = rows * (keys + (tx < 4 ? 4 : tx)) + v + (v > rows * tx ? v : rows * tx);
    const int32_t starts = 2 * (rows + 2 * keys);
    const int32_t places = problem->paged ? 2 * keys + 1 : 0;
    const int32_t floats = (qk > pv ? qk : pv) + starts + places;
    return (uint64_t)(floats + 3) / 4 * 16;
}

/* cl/nv_group.clh: NV_TILE_BYTES. */
static uint64_t nv_tile_bytes(int32_t rows, int32_t dims)
{
    return (uint64_t)(dims + 63) / 64 * 128 * (uint64_t)rows;
}

/* cl/nv_group.clh: NV_K_ROOM and NV_V_ROOM. */
static uint64_t nv_room_bytes(const clattn_tile *tile, clattn_dtype q_dtype, clattn_dtype dtype, int32_t dims)
{
    const int32_t keys = clattn_tile_keys(tile), all_dims = clattn_tile_heads(tile) * dims;
    if (dtype == q_dtype)
        return nv_tile_bytes(keys, dims);
    const uint64_t row = (uint64_t)(all_dims / clattn_dtype_block_len(dtype)) * clattn_dtype_size(dtype);
    const uint64_t pieces = (row + 14 + 15) / 16;
    return ((uint64_t)keys * ((pieces | 1) * 16 + sizeof(uint32_t)) + 127) / 128 * 128;
}

/* cl/frag_nv_wgmma.clh and cl/frag_nv_mma.clh: NV_TILES_BYTES, and what aligning them may take. */
static uint64_t nv_local_bytes(const clattn_tile *tile, const clattn_tile_problem *problem)
{
    const bool is_mma = tile->fragment == CLATTN_FRAGMENT_NV_MMA;
    const int32_t keys = clattn_tile_keys(tile);
    const uint64_t stages = is_mma ? (uint64_t)tile->parameters[CLATTN_MMA_STAGES] : 2;
    const uint64_t q = nv_tile_bytes(clattn_tile_heads(tile) * clattn_tile_rows(tile), problem->head_dim);
    const uint64_t k = nv_room_bytes(tile, problem->q_dtype, problem->k_dtype, problem->head_dim);
    const uint64_t v = nv_room_bytes(tile, problem->q_dtype, problem->v_dtype, problem->v_head_dim);
    const uint64_t last = !is_mma ? v + q : q > v ? q : v;
    const uint64_t places = problem->paged ? (stages + 1) * (2 * (uint64_t)keys + 1) * sizeof(int32_t) : 0;
    return stages * k + (stages - 1) * v + last + places + NV_ALIGNMENT;
}

/* cl/combine.cl: combine_floats. */
static uint64_t line_local_bytes(const clattn_tile *tile)
{
    const uint64_t local = (uint64_t)tile->parameters[CLATTN_LINE_LOCAL];
    return local > 1 ? local * 4 * sizeof(float) : 0;
}

uint64_t clattn_tile_local_bytes(const clattn_tile *tile, const clattn_tile_problem *problem)
{
    switch (tile->fragment) {
    case CLATTN_FRAGMENT_NV_WGMMA:
    case CLATTN_FRAGMENT_NV_MMA:
        return nv_local_bytes(tile, problem);
    case CLATTN_FRAGMENT_SCALAR:
        return scalar_local_bytes(tile, problem);
    case CLATTN_FRAGMENT_LINE:
        return line_local_bytes(tile);
    default:
        return 0;
    }
}

bool clattn_tile_equal(const clattn_tile *a, const clattn_tile *b)
{
    return a->algorithm == b->algorithm && a->fragment == b->fragment &&
           memcmp(a->parameters, b->parameters, sizeof(a->parameters)) == 0;
}

int clattn_fragment_parameters(clattn_fragment_id id)
{
    int count = 0;
    while (count < CLATTN_TILE_MAX_PARAMETERS && fragments[id].parameters[count].name)
        count++;
    return count;
}

void clattn_tile_name(const clattn_tile *tile, char name[CLATTN_TILE_NAME_SIZE])
{
    const clattn_fragment *fragment = &fragments[tile->fragment];
    size_t used = 0;
    for (int i = 0; i < clattn_fragment_parameters(tile->fragment); i++)
        used += (size_t)snprintf(name + used, CLATTN_TILE_NAME_SIZE - used, "%s%s%" PRId32, i ? "_" : "",
                                 fragment->parameters[i].name, tile->parameters[i]);
}

bool clattn_tile_parse(clattn_algorithm algorithm, clattn_fragment_id fragment, const char *name, clattn_tile *tile)
{
    char again[CLATTN_TILE_NAME_SIZE];
    const char *at = name;
    *tile = (clattn_tile){ .algorithm = algorithm, .fragment = fragment };
    for (int i = 0; i < clattn_fragment_parameters(fragment); i++) {
        at += strcspn(at, "0123456789");
        char *end = NULL;
        const long value = strtol(at, &end, 10);
        if (end == at || value > INT32_MAX)
            return false;
        tile->parameters[i] = (int32_t)value;
        at = end;
    }
    clattn_tile_name(tile, again);
    return strcmp(name, again) == 0;
}

void clattn_tile_options(const clattn_tile *tile, char options[CLATTN_TILE_OPTIONS_SIZE])
{
    const clattn_fragment *fragment = &fragments[tile->fragment];
    size_t used = 0;
    options[0] = '\0';
    if (fragment->constant)
        used = (size_t)snprintf(options, CLATTN_TILE_OPTIONS_SIZE, "-D%s ", fragment->constant);
    for (int i = 0; i < clattn_fragment_parameters(tile->fragment); i++)
        used += (size_t)snprintf(options + used, CLATTN_TILE_OPTIONS_SIZE - used, "%s-D%s=%" PRId32, i ? " " : "",
                                 fragment->parameters[i].constant, tile->parameters[i]);
}

bool clattn_tile_is_default_on(const clattn_tile *tile, const clattn_tile_problem *problem,
                               const clattn_device_info *info)
{
    switch (tile->where) {
    case WHERE_NVIDIA:
        return clattn_is_nvidia(info);
    case WHERE_NVIDIA_DIM64:
        return clattn_is_nvidia(info) && problem->head_dim <= 64 && problem->v_head_dim <= 64;
    case WHERE_NVIDIA_GROUP8:
        return clattn_is_nvidia(info) && problem->group <= 8;
    case WHERE_NVIDIA_HEADS4:
        return clattn_is_nvidia(info) && problem->group <= 8 && clattn_tile_problem_groups(problem, 4);
    case WHERE_CPU:
        return strcmp(info->type, "cpu") == 0;
    case WHERE_WIDTH8:
        return info->native_vector_width_float >= 8;
    case WHERE_WIDTH8_TAIL:
        return info->native_vector_width_float >= 8 && problem->tail;
    case WHERE_WIDTH16:
        return info->native_vector_width_float >= 16;
    default:
        return true;
    }
}

const clattn_tile *clattn_tile_default(clattn_algorithm algorithm, clattn_fragment_id fragment,
                                       const clattn_tile_problem *problem, const clattn_device_info *info)
{
    for (size_t i = 0; i < sizeof(tiles) / sizeof(tiles[0]); i++)
        if (tiles[i].algorithm == algorithm && tiles[i].fragment == fragment &&
            clattn_tile_is_default_on(&tiles[i], problem, info) && clattn_tile_fits(&tiles[i], problem, info, NULL, 0))
            return &tiles[i];
    return NULL;
}
