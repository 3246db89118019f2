/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_PLAN_PLAN_H
#define CLATTN_PLAN_PLAN_H

/* From a problem and a device to compiled kernels, and from a step's lengths to launches. */

#include <stdbool.h>

#include "device/device.h"
#include "kernel/kernel.h"
#include "kernel/tile.h"
#include "plan/problem.h"
#include "plan/records.h"

#define CLATTN_CANDIDATE_SOURCE_SIZE 512
#define CLATTN_MAX_SPLIT_SIZE        (1 << 30)

typedef enum clattn_step_kind {
    CLATTN_STEP_PREFILL,
    CLATTN_STEP_DECODE,
    CLATTN_STEP_COMBINE,
    CLATTN_STEP_COUNT
} clattn_step_kind;

/* One kernel of a plan. */
typedef struct clattn_step {
    bool present;
    clattn_kernel *kernel;
    clattn_tile tile; /* chosen, whether the step is present or not */
    size_t local_size;
    int32_t most_row_tiles; /* that a group may take */
    char *options;
    char tile_name[CLATTN_TILE_NAME_SIZE];
    clattn_tuning_level level;                 /* who chose the tile */
    char source[CLATTN_CANDIDATE_SOURCE_SIZE]; /* "RECORD:LINE", "caller", or "" for a built-in default */
    int32_t split_size;                        /* decode: measured with the tile; 0: none */
} clattn_step;

struct clattn_plan {
    clattn_device *device;
    uint32_t compute_units; /* of the device */
    uint64_t serial;        /* no other plan of the device has it */
    clattn_problem problem;
    clattn_fragment_id fragment;
    clattn_step steps[CLATTN_STEP_COUNT];
    int32_t decode_max_rows;
    int32_t split_size;
    int32_t uncapped_split_size; /* before max_workspace_size */
    size_t workspace_size;
    char *refused; /* see clattn_plan_info */
};

const char *clattn_step_name(clattn_step_kind kind);

/* clattn_plan_create with a checked device and params; see there for the errors. */
clattn_status clattn_plan_build(clattn_device *device, const clattn_attention_desc *desc,
                                const clattn_plan_params *params, clattn_plan **out);
/* The same without the fragment's proof (proof.h): for the proof itself. */
clattn_status clattn_plan_build_unproven(clattn_device *device, const clattn_attention_desc *desc,
                                         const clattn_plan_params *params, clattn_plan **out);
void clattn_plan_free(clattn_plan *plan);

/* Whether some fragment has a tile of each kernel within the device's limits; else a line for each that has not. */
bool clattn_plan_possible(const clattn_device *device, const clattn_problem *problem, char *reasons, size_t size);

/* What a run launches: the content of a clattn_schedule. */
typedef struct clattn_launches {
    const clattn_plan *plan; /* that it was made for */
    uint64_t serial;         /* of that plan: another may come to lie at its address */
    int32_t batch;
    int32_t q_len, kv_len;                      /* of uniform sequences; the largest otherwise */
    int32_t prefill_rows;                       /* most packed rows of a prefill sequence; 0: no prefill */
    int32_t decode_rows;                        /* most packed rows of a decode sequence; 0: no decode */
    int32_t splits;                             /* of the longest decode sequence; 1: no combine */
    int64_t prefill_tiles;                      /* tiles of rows of all prefill sequences, of one kv head */
    int64_t decode_tiles;                       /* the same of decode, of all splits */
    bool q_lens_are_bounds, kv_lens_are_bounds; /* the device's own may be shorter */
} clattn_launches;

/* The launches of any step within the plan's bounds. */
clattn_launches clattn_launches_of_bounds(const clattn_plan *plan);

/* CLATTN_INVALID_ARGUMENT, see clattn_schedule_make. */
clattn_status clattn_launches_of_lengths(const clattn_plan *plan, const clattn_lengths *lengths, clattn_launches *out);

/* Whether a step has to be enqueued. */
bool clattn_launches_step(const clattn_launches *launches, clattn_step_kind kind);

/* Tiles of rows that a group of prefill takes, and kv heads that one of decode takes where tile.h says that groups take
 * several: as many as they may, and fewer where there are too few to keep the device busy. No result depends on it. */
int32_t clattn_launches_prefill_tiles(const clattn_launches *launches);
int32_t clattn_launches_decode_heads(const clattn_launches *launches);

/* The grid of a step, in work-items. */
void clattn_launches_grid(const clattn_launches *launches, clattn_step_kind kind, size_t global[3]);

/* Bytes of workspace for any step within the plan's bounds; CLATTN_INVALID_ARGUMENT when they overflow. */
clattn_status clattn_workspace_of_bounds(const clattn_plan *plan, size_t *size);

/* Bytes of workspace for such launches. */
size_t clattn_launches_workspace(const clattn_launches *launches);

#endif
