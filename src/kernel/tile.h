/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_KERNEL_TILE_H
#define CLATTN_KERNEL_TILE_H

/* Fragments, tiles and search spaces as data: the rows of fragments.def, tiles.def and spaces.def, their names, limits
 * and build constants. Pure host code. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <clattn/device.h>

#define CLATTN_FRAGMENT(id, ...) CLATTN_FRAGMENT_##id,
typedef enum clattn_fragment_id {
#include "fragments.def"
    CLATTN_FRAGMENT_COUNT
} clattn_fragment_id;
#undef CLATTN_FRAGMENT

/* The kernels whose tiles are chosen. */
typedef enum clattn_algorithm {
    CLATTN_ALGORITHM_PREFILL,
    CLATTN_ALGORITHM_DECODE,
    CLATTN_ALGORITHM_COMBINE,
    CLATTN_ALGORITHM_APPEND,
    CLATTN_ALGORITHM_GATHER,
    CLATTN_ALGORITHM_COUNT
} clattn_algorithm;

/* A sequence with up to so many packed rows is decode's: whatever its tile, so that a tile that was tuned moves no
 * sequence from one kernel to the other. */
#define CLATTN_DECODE_MAX_ROWS 16

#define CLATTN_TILE_MAX_PARAMETERS 6
#define CLATTN_TILE_NAME_SIZE      64
#define CLATTN_TILE_OPTIONS_SIZE   256

typedef enum clattn_fragment_role {
    CLATTN_ROLE_PLAN,   /* plans are made of it */
    CLATTN_ROLE_DECODE, /* it is decode's, in the plans of others */
    CLATTN_ROLE_GROUP   /* no fragment include: how a small kernel's groups are made */
} clattn_fragment_role;

typedef struct clattn_fragment {
    clattn_fragment_role role;
    const char *name, *constant; /* constant: NULL with ROLE_GROUP */
    int32_t granule;
    clattn_fragment_id decode;    /* of the decode kernel in its plans */
    clattn_fragment_id otherwise; /* of plans that cannot have this one; itself: there is none */
    int32_t split_size;           /* of decode, where nobody says another */
    struct {
        const char *constant, *name;
    } parameters[CLATTN_TILE_MAX_PARAMETERS];
} clattn_fragment;

/* Positions of the parameters in a tile, as fragments.def has them. */
enum { CLATTN_LANES_LANES, CLATTN_LANES_VECTORS, CLATTN_LANES_KEYS, CLATTN_LANES_KEY_BLOCK, CLATTN_LANES_DIM_BLOCK };
enum { CLATTN_DIMS_LANES, CLATTN_DIMS_ROWS, CLATTN_DIMS_KEYS, CLATTN_DIMS_DIM_BLOCK };
enum { CLATTN_WGMMA_WARPS, CLATTN_WGMMA_KEYS };
enum { CLATTN_MMA_WARPS, CLATTN_MMA_ROWS, CLATTN_MMA_KEYS, CLATTN_MMA_STAGES };
enum {
    CLATTN_SCALAR_TX,
    CLATTN_SCALAR_TY,
    CLATTN_SCALAR_TM,
    CLATTN_SCALAR_TN,
    CLATTN_SCALAR_DIM_SLICE,
    CLATTN_SCALAR_KEY_SLICE
};
enum { CLATTN_LINE_LOCAL };
enum { CLATTN_GROUP_LANES, CLATTN_GROUP_ROWS, CLATTN_GROUP_TOKENS };

typedef struct clattn_tile {
    clattn_algorithm algorithm;
    clattn_fragment_id fragment;
    int where; /* internal to tile.c */
    int32_t parameters[CLATTN_TILE_MAX_PARAMETERS];
} clattn_tile;

/* What a tile is compiled for, as far as its limits depend on it. */
typedef struct clattn_tile_problem {
    int32_t head_dim, v_head_dim;           /* size classes */
    int32_t group;                          /* q_heads a kv head */
    int32_t heads_together;                 /* kv heads whose rows of a token lie one behind the other */
    bool paged;                             /* the places of a tile's keys are kept too */
    bool tail;                              /* clattn_has_tail of a head dim, which several heads' rows read */
    clattn_dtype q_dtype, k_dtype, v_dtype; /* K and V of another type than Q are kept as they are stored */
} clattn_tile_problem;

const clattn_fragment *clattn_fragment_row(clattn_fragment_id id);
/* Whether it is one of the two for NVIDIA's tensor cores. */
bool clattn_fragment_is_tensor_core(clattn_fragment_id id);
/* The fragment that plans are made of with this name; CLATTN_FRAGMENT_COUNT when there is none. */
clattn_fragment_id clattn_fragment_named(const char *name);
/* Which fragment a kernel has in a plan of `fragment`. */
clattn_fragment_id clattn_fragment_of(clattn_fragment_id fragment, clattn_algorithm algorithm);
/* The fragment with this name that such kernels may have; CLATTN_FRAGMENT_COUNT when there is none. */
clattn_fragment_id clattn_fragment_of_kernel(clattn_algorithm algorithm, const char *name);

/* How many parameters its tiles have. */
int clattn_fragment_parameters(clattn_fragment_id id);

/* "prefill", "decode", ...; and back: CLATTN_ALGORITHM_COUNT when no kernel has this name. */
const char *clattn_algorithm_name(clattn_algorithm algorithm);
clattn_algorithm clattn_algorithm_named(const char *name);

/* Row i of tiles.def; NULL past the last. */
const clattn_tile *clattn_tile_row(size_t i);

/* The search space of a kernel with a fragment: every combination of its row's values, those that no device may run
 * among them. 0 points: spaces.def has no such row. Point 0 <= i < size; neighbours differ in the last parameters. */
size_t clattn_space_size(clattn_algorithm algorithm, clattn_fragment_id fragment);
void clattn_space_point(clattn_algorithm algorithm, clattn_fragment_id fragment, size_t i, clattn_tile *tile);
/* The values of parameter `index`, ascending; *count is 0 when the space has no such parameter. */
const int32_t *clattn_space_values(clattn_algorithm algorithm, clattn_fragment_id fragment, int index, size_t *count);
/* Whether each parameter is one of the space's values, and the tile is consistent in itself; else a reason in `why`. */
bool clattn_tile_in_space(const clattn_tile *tile, char *why, size_t why_size);

bool clattn_is_nvidia(const clattn_device_info *info);

int32_t clattn_dim_class(clattn_fragment_id fragment, int32_t dim);
/* Whether a row of so many dims is no whole number of pieces of 16, which kernels read at a time: they read what is
 * left one by one. */
bool clattn_has_tail(int32_t dim);

/* Rows of a kv head; kv heads that a group of decode attends; keys. */
int32_t clattn_tile_rows(const clattn_tile *tile);
int32_t clattn_tile_heads(const clattn_tile *tile);
/* Whether a group may have so many heads: K and V are in blocks, and heads lie together, whole groups of them. */
bool clattn_tile_problem_groups(const clattn_tile_problem *problem, int32_t heads);
int32_t clattn_tile_keys(const clattn_tile *tile);
/* Tiles of rows that a group may take: on CPUs, of prefill those of a kv head, of decode those of several. */
int32_t clattn_tile_row_tiles(const clattn_tile *tile, const clattn_tile_problem *problem);
/* So many keys, rounded up to whole tiles. */
int32_t clattn_tile_whole_keys(const clattn_tile *tile, int32_t keys);
size_t clattn_tile_work_group_size(const clattn_tile *tile);
uint64_t clattn_tile_local_bytes(const clattn_tile *tile, const clattn_tile_problem *problem);

bool clattn_tile_equal(const clattn_tile *a, const clattn_tile *b);
void clattn_tile_name(const clattn_tile *tile, char name[CLATTN_TILE_NAME_SIZE]);
/* The tile with that name, whether it is in the space or not; false when it is no tile's name. */
bool clattn_tile_parse(clattn_algorithm algorithm, clattn_fragment_id fragment, const char *name, clattn_tile *tile);
/* "-DCLATTN_FRAG_... -DTILE_...=..." */
void clattn_tile_options(const clattn_tile *tile, char options[CLATTN_TILE_OPTIONS_SIZE]);

/* Whether this row is among the defaults of such devices and dims. */
bool clattn_tile_is_default_on(const clattn_tile *tile, const clattn_tile_problem *problem,
                               const clattn_device_info *info);
/* The first row that is a default of such devices and fits; NULL when none does. */
const clattn_tile *clattn_tile_default(clattn_algorithm algorithm, clattn_fragment_id fragment,
                                       const clattn_tile_problem *problem, const clattn_device_info *info);

/* Whether the device can run the tile, by its limits and the tile's own rules; else a reason in `why`. */
bool clattn_tile_fits(const clattn_tile *tile, const clattn_tile_problem *problem, const clattn_device_info *info,
                      char *why, size_t why_size);

/* Whether a tile that fits can be fast there, as far as registers and the width of the device tell: a hint for the
 * tuner, which measures no others; else a reason in `why`. */
bool clattn_tile_suits(const clattn_tile *tile, const clattn_tile_problem *problem, const clattn_device_info *info,
                       char *why, size_t why_size);

#endif
