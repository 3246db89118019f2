/* SPDX-License-Identifier: BSD-2-Clause */
/* The search spaces of tile.h: their points, and which of them a device may run. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "kernel/tile.h"

#define MAX_VALUES 8

/* Sums of O in a work-item's registers; more of them spill on every GPU. */
#define MAX_OUTPUTS_PER_WORK_ITEM 160
/* Registers of a work-item on NVIDIA; what is sure to be there on others. */
#define NVIDIA_REGISTERS 255
#define GPU_REGISTERS    128
/* What a work-item of frag_scalar needs beside its products: addresses, counters, the softmax state. */
#define OTHER_REGISTERS 24
/* Two fused multiply-adds start a cycle and take four: fewer sums than these leave units idle. */
#define MIN_SUMS 8
/* What a group may have on sm_90 from PTX; CL_DEVICE_LOCAL_MEM_SIZE says 48 KiB there. */
#define SM_90_LOCAL_BYTES (227 * 1024)
/* Sums and operands that a work-item of frag_nv_wgmma may keep beside its other registers: none has more than 255. */
#define WGMMA_MAX_REGISTERS 176
/* Sides of a GPU's groups: a hardware vector, and what still leaves room for several groups a unit. */
#define MIN_GPU_GROUP 32
#define MAX_GPU_GROUP 512

typedef struct values {
    size_t count;
    int32_t values[MAX_VALUES];
} values;

typedef struct space {
    clattn_algorithm algorithm;
    clattn_fragment_id fragment;
    values parameters[CLATTN_TILE_MAX_PARAMETERS];
} space;

#define VALUES(...)                                                                                                    \
    {                                                                                                                  \
        sizeof((int32_t[]){ __VA_ARGS__ }) / sizeof(int32_t),                                                          \
        {                                                                                                              \
            __VA_ARGS__                                                                                                \
        }                                                                                                              \
    }
#define CLATTN_SPACE(algorithm, fragment, ...)                                                                         \
    { CLATTN_ALGORITHM_##algorithm, CLATTN_FRAGMENT_##fragment, { __VA_ARGS__ } },
static const space spaces[] = {
#include "spaces.def"
};
#undef CLATTN_SPACE
#undef VALUES

static const space *find(clattn_algorithm algorithm, clattn_fragment_id fragment)
{
    for (size_t i = 0; i < sizeof(spaces) / sizeof(spaces[0]); i++)
        if (spaces[i].algorithm == algorithm && spaces[i].fragment == fragment)
            return &spaces[i];
    return NULL;
}

size_t clattn_space_size(clattn_algorithm algorithm, clattn_fragment_id fragment)
{
    const space *of = find(algorithm, fragment);
    size_t size = of ? 1 : 0;
    for (int i = 0; of && i < clattn_fragment_parameters(fragment); i++)
        size *= of->parameters[i].count;
    return size;
}

void clattn_space_point(clattn_algorithm algorithm, clattn_fragment_id fragment, size_t i, clattn_tile *tile)
{
    const space *of = find(algorithm, fragment);
    *tile = (clattn_tile){ .algorithm = algorithm, .fragment = fragment };
    for (int at = clattn_fragment_parameters(fragment) - 1; at >= 0; at--) {
        const values *row = &of->parameters[at];
        tile->parameters[at] = row->values[i % row->count];
        i /= row->count;
    }
}

const int32_t *clattn_space_values(clattn_algorithm algorithm, clattn_fragment_id fragment, int index, size_t *count)
{
    const space *of = find(algorithm, fragment);
    const bool known = of && index >= 0 && index < clattn_fragment_parameters(fragment);
    *count = known ? of->parameters[index].count : 0;
    return known ? of->parameters[index].values : NULL;
}

/* Notes why and returns false, so that a rule is one line. */
__attribute__((format(printf, 3, 4))) static bool no(char *why, size_t why_size, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    if (why_size > 0)
        vsnprintf(why, why_size, format, arguments);
    va_end(arguments);
    return false;
}

static bool is_value(const values *row, int32_t value)
{
    size_t i = 0;
    while (i < row->count && row->values[i] != value)
        i++;
    return i < row->count;
}

static bool lanes_agree(const int32_t *p, char *why, size_t why_size)
{
    if (p[CLATTN_LANES_KEYS] % p[CLATTN_LANES_KEY_BLOCK] != 0)
        return no(why, why_size, "kb %" PRId32 " does not divide keys %" PRId32, p[CLATTN_LANES_KEY_BLOCK],
                  p[CLATTN_LANES_KEYS]);
    return true;
}

static bool dims_agree(const int32_t *p, char *why, size_t why_size)
{
    if (p[CLATTN_DIMS_KEYS] % p[CLATTN_DIMS_LANES] != 0 || p[CLATTN_DIMS_ROWS] % (p[CLATTN_DIMS_LANES] / 4) != 0)
        return no(why, why_size, "lanes %" PRId32 " do not divide keys %" PRId32 ", or a quarter of them rows %" PRId32,
                  p[CLATTN_DIMS_LANES], p[CLATTN_DIMS_KEYS], p[CLATTN_DIMS_ROWS]);
    return true;
}

static bool scalar_agrees(const int32_t *p, char *why, size_t why_size)
{
    const int32_t keys = p[CLATTN_SCALAR_TX] * p[CLATTN_SCALAR_TN];
    if (p[CLATTN_SCALAR_TX] == 1 && p[CLATTN_SCALAR_TY] != 1)
        return no(why, why_size, "tx 1 and ty %" PRId32 ": a group of one lane over keys is one work-item",
                  p[CLATTN_SCALAR_TY]);
    if (keys % p[CLATTN_SCALAR_KEY_SLICE] != 0)
        return no(why, why_size, "key %" PRId32 " does not divide tx * tn, %" PRId32, p[CLATTN_SCALAR_KEY_SLICE], keys);
    return true;
}

/* Whether the parameters agree among themselves, as the fragment's head asks. */
static bool agrees(const clattn_tile *tile, char *why, size_t why_size)
{
    switch (tile->fragment) {
    case CLATTN_FRAGMENT_LANES:
        return lanes_agree(tile->parameters, why, why_size);
    case CLATTN_FRAGMENT_DIMS:
        return dims_agree(tile->parameters, why, why_size);
    case CLATTN_FRAGMENT_SCALAR:
        return scalar_agrees(tile->parameters, why, why_size);
    default:
        return true;
    }
}

bool clattn_tile_in_space(const clattn_tile *tile, char *why, size_t why_size)
{
    const space *of = find(tile->algorithm, tile->fragment);
    if (!of)
        return no(why, why_size, "%s has no tiles of %s", clattn_algorithm_name(tile->algorithm),
                  clattn_fragment_row(tile->fragment)->name);
    for (int i = 0; i < clattn_fragment_parameters(tile->fragment); i++)
        if (!is_value(&of->parameters[i], tile->parameters[i]))
            return no(why, why_size, "%s is %" PRId32 "; it has to be a value of its row in spaces.def",
                      clattn_fragment_row(tile->fragment)->parameters[i].name, tile->parameters[i]);
    return agrees(tile, why, why_size);
}

static uint64_t local_limit(const clattn_tile *tile, const clattn_device_info *info)
{
    const bool opt_in = tile->fragment == CLATTN_FRAGMENT_NV_WGMMA && info->local_mem_size < SM_90_LOCAL_BYTES;
    return opt_in ? SM_90_LOCAL_BYTES : info->local_mem_size;
}

/* S, P and O of a work-item. */
static bool wgmma_fits(const clattn_tile *tile, const clattn_tile_problem *problem, char *why, size_t why_size)
{
    const int32_t keys = tile->parameters[CLATTN_WGMMA_KEYS];
    const int32_t held = keys / 2 + keys / 4 + problem->v_head_dim / 2;
    if (held > WGMMA_MAX_REGISTERS)
        return no(why, why_size, "%" PRId32 " sums and operands a work-item would not fit registers (%d do)", held,
                  WGMMA_MAX_REGISTERS);
    return true;
}

bool clattn_tile_fits(const clattn_tile *tile, const clattn_tile_problem *problem, const clattn_device_info *info,
                      char *why, size_t why_size)
{
    const size_t group = clattn_tile_work_group_size(tile);
    const uint64_t local = clattn_tile_local_bytes(tile, problem);
    if (group > info->max_work_group_size)
        return no(why, why_size, "work-group size %zu is over the device's limit, %zu", group,
                  info->max_work_group_size);
    if (local > local_limit(tile, info))
        return no(why, why_size, "%" PRIu64 " bytes of local memory are over the device's limit, %" PRIu64, local,
                  local_limit(tile, info));
    if (!clattn_tile_problem_groups(problem, clattn_tile_heads(tile)))
        return no(why, why_size,
                  "%" PRId32 " kv heads a group are for K and V in blocks, whose rows lie together for so many heads; "
                  "here for %" PRId32,
                  clattn_tile_heads(tile), problem->heads_together);
    if (tile->fragment == CLATTN_FRAGMENT_NV_WGMMA)
        return wgmma_fits(tile, problem, why, why_size);
    if (tile->fragment != CLATTN_FRAGMENT_SCALAR || group == 1)
        return true;
    const int32_t *p = tile->parameters;
    const int32_t outputs = p[CLATTN_SCALAR_TM] * problem->v_head_dim / p[CLATTN_SCALAR_TX];
    if (outputs > MAX_OUTPUTS_PER_WORK_ITEM)
        return no(why, why_size, "%" PRId32 " sums a work-item would not fit registers (%d do)", outputs,
                  MAX_OUTPUTS_PER_WORK_ITEM);
    return true;
}

static bool is_cpu(const clattn_device_info *info)
{
    return strcmp(info->type, "cpu") == 0;
}

/* `sums` vectors of `lanes` are kept in registers, while `others` are at work on them. */
static bool sums_suit(const clattn_device_info *info, const char *product, int32_t sums, int32_t others, int32_t lanes,
                      char *why, size_t why_size)
{
    const int32_t width = info->native_vector_width_float > 4 ? (int32_t)info->native_vector_width_float : 4;
    const int32_t registers = width >= 16 ? 32 : 16, each = lanes / width;
    if (lanes < width)
        return no(why, why_size, "lanes %" PRId32 " leave a part of the device's vectors, %" PRId32 " wide, idle",
                  lanes, width);
    if (sums * each < MIN_SUMS)
        return no(why, why_size, "%" PRId32 " sums of %s are too few to keep the units busy", sums * each, product);
    if ((sums + others) * each >= registers)
        return no(why, why_size, "%" PRId32 " sums of %s and %" PRId32 " operands do not fit %" PRId32 " registers",
                  sums * each, product, others * each, registers);
    return true;
}

static bool lanes_suit(const int32_t *p, const clattn_device_info *info, char *why, size_t why_size)
{
    const int32_t vectors = p[CLATTN_LANES_VECTORS], lanes = p[CLATTN_LANES_LANES];
    return sums_suit(info, "QK", p[CLATTN_LANES_KEY_BLOCK] * vectors, vectors, lanes, why, why_size) &&
           sums_suit(info, "PV", p[CLATTN_LANES_DIM_BLOCK] * vectors, vectors, lanes, why, why_size);
}

/* QK's block is given by the lanes; PV's is row block times dim block, beside the dims of V. Rows that a sequence lacks
 * cost nothing, while those that a tile lacks read K and V once more, which one query does not show. */
static bool dims_suit(const int32_t *p, const clattn_device_info *info, char *why, size_t why_size)
{
    const int32_t lanes = p[CLATTN_DIMS_LANES], wides = p[CLATTN_DIMS_DIM_BLOCK] / lanes;
    if (p[CLATTN_DIMS_ROWS] < CLATTN_DECODE_MAX_ROWS)
        return no(why, why_size, "%" PRId32 " rows are fewer than decode may have, %d", p[CLATTN_DIMS_ROWS],
                  CLATTN_DECODE_MAX_ROWS);
    return sums_suit(info, "PV", lanes / 4 * wides, wides, lanes, why, why_size);
}

static bool scalar_suits(const int32_t *p, const clattn_tile_problem *problem, const clattn_device_info *info,
                         char *why, size_t why_size)
{
    const int32_t limit = clattn_is_nvidia(info) ? NVIDIA_REGISTERS : GPU_REGISTERS;
    const int32_t dims = problem->v_head_dim / p[CLATTN_SCALAR_TX], tm = p[CLATTN_SCALAR_TM], tn = p[CLATTN_SCALAR_TN];
    const int32_t held = tm * (tn + dims) + tm + (tn > dims ? tn : dims) + OTHER_REGISTERS;
    if (held > limit)
        return no(why, why_size, "about %" PRId32 " registers a work-item are over %" PRId32, held, limit);
    return true;
}

/* O, S, P and Q of a work-item, and what it knows of its rows. */
static bool mma_suits(const int32_t *p, const clattn_tile_problem *problem, char *why, size_t why_size)
{
    const int32_t sums = problem->v_head_dim + p[CLATTN_MMA_KEYS];
    const int32_t operands = problem->head_dim + p[CLATTN_MMA_KEYS];
    const int32_t slots = p[CLATTN_MMA_ROWS] / 4;
    const int32_t held = p[CLATTN_MMA_ROWS] * (2 * sums + operands) / 64 + 5 * slots + OTHER_REGISTERS;
    if (held > NVIDIA_REGISTERS)
        return no(why, why_size, "%" PRId32 " sums and operands a work-item are over %d registers", held,
                  NVIDIA_REGISTERS);
    return true;
}

static bool group_suits(const clattn_tile *tile, const clattn_device_info *info, char *why, size_t why_size)
{
    const size_t size = clattn_tile_work_group_size(tile);
    const size_t low = is_cpu(info) ? 1 : MIN_GPU_GROUP, high = is_cpu(info) ? 1 : MAX_GPU_GROUP;
    if (size < low || size > high)
        return no(why, why_size, "groups of %zu work-items are no good on a %s", size, info->type);
    return true;
}

bool clattn_tile_suits(const clattn_tile *tile, const clattn_tile_problem *problem, const clattn_device_info *info,
                       char *why, size_t why_size)
{
    if (tile->algorithm == CLATTN_ALGORITHM_DECODE && clattn_tile_rows(tile) > CLATTN_DECODE_MAX_ROWS)
        return no(why, why_size, "%" PRId32 " rows are more than decode has", clattn_tile_rows(tile));
    switch (tile->fragment) {
    case CLATTN_FRAGMENT_LANES:
        return lanes_suit(tile->parameters, info, why, why_size);
    case CLATTN_FRAGMENT_DIMS:
        return dims_suit(tile->parameters, info, why, why_size);
    case CLATTN_FRAGMENT_NV_MMA:
        return group_suits(tile, info, why, why_size) && mma_suits(tile->parameters, problem, why, why_size);
    case CLATTN_FRAGMENT_SCALAR:
        return (is_cpu(info) || group_suits(tile, info, why, why_size)) &&
               scalar_suits(tile->parameters, problem, info, why, why_size);
    default:
        return group_suits(tile, info, why, why_size);
    }
}
