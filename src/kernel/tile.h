/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_KERNEL_TILE_H
#define CLATTN_KERNEL_TILE_H

/* Fragments and tiles as data: the rows of fragments.def and tiles.def, their names, limits and build constants. Pure
 * host code. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <clattn/device.h>

#define CLATTN_FRAGMENT(id, ...)        CLATTN_FRAGMENT_##id,
#define CLATTN_DECODE_FRAGMENT(id, ...) CLATTN_FRAGMENT_##id,
typedef enum clattn_fragment_id {
#include "fragments.def"
    CLATTN_FRAGMENT_COUNT
} clattn_fragment_id;
#undef CLATTN_FRAGMENT
#undef CLATTN_DECODE_FRAGMENT

typedef enum clattn_algorithm { CLATTN_ALGORITHM_PREFILL, CLATTN_ALGORITHM_DECODE } clattn_algorithm;

#define CLATTN_TILE_MAX_PARAMETERS 6
#define CLATTN_TILE_NAME_SIZE      64
#define CLATTN_TILE_OPTIONS_SIZE   256

typedef struct clattn_fragment {
    bool makes_plans; /* else it is only decode's, in the plans of others */
    const char *name, *constant;
    int32_t granule;
    clattn_fragment_id decode; /* of the decode kernel in its plans */
    struct {
        const char *constant, *name;
    } parameters[CLATTN_TILE_MAX_PARAMETERS];
} clattn_fragment;

typedef struct clattn_tile {
    clattn_algorithm algorithm;
    clattn_fragment_id fragment;
    int where; /* internal to tile.c */
    int32_t parameters[CLATTN_TILE_MAX_PARAMETERS];
} clattn_tile;

/* What a tile is compiled for, as far as its limits depend on it. */
typedef struct clattn_tile_problem {
    int32_t head_dim, v_head_dim; /* size classes */
    bool paged;                   /* the places of a tile's keys are kept too */
} clattn_tile_problem;

const clattn_fragment *clattn_fragment_row(clattn_fragment_id id);
/* CLATTN_FRAGMENT_COUNT when no fragment has this name. */
clattn_fragment_id clattn_fragment_named(const char *name);
/* Which fragment a kernel has in a plan of `fragment`. */
clattn_fragment_id clattn_fragment_of(clattn_fragment_id fragment, clattn_algorithm algorithm);

/* Row i of tiles.def; NULL past the last. */
const clattn_tile *clattn_tile_row(size_t i);

int32_t clattn_dim_class(clattn_fragment_id fragment, int32_t dim);

int32_t clattn_tile_rows(const clattn_tile *tile);
int32_t clattn_tile_keys(const clattn_tile *tile);
size_t clattn_tile_work_group_size(const clattn_tile *tile);
uint64_t clattn_tile_local_bytes(const clattn_tile *tile, const clattn_tile_problem *problem);

void clattn_tile_name(const clattn_tile *tile, char name[CLATTN_TILE_NAME_SIZE]);
/* "-DCLATTN_FRAG_... -DTILE_...=..." */
void clattn_tile_options(const clattn_tile *tile, char options[CLATTN_TILE_OPTIONS_SIZE]);

/* Whether this row is among the defaults of such devices. */
bool clattn_tile_is_default_on(const clattn_tile *tile, const clattn_device_info *info);

/* Whether the device can run the tile, by its limits; else a reason in `why`. */
bool clattn_tile_fits(const clattn_tile *tile, const clattn_tile_problem *problem, const clattn_device_info *info,
                      char *why, size_t why_size);

#endif
