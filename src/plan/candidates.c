/* SPDX-License-Identifier: BSD-2-Clause */
#include "plan/candidates.h"

#include <stdio.h>

#include "util/status.h"

static const clattn_algorithm algorithms[CLATTN_STEP_COUNT] = {
    [CLATTN_STEP_PREFILL] = CLATTN_ALGORITHM_PREFILL,
    [CLATTN_STEP_DECODE] = CLATTN_ALGORITHM_DECODE,
    [CLATTN_STEP_COMBINE] = CLATTN_ALGORITHM_COMBINE,
};

static const char *wanted_tile(const clattn_plan_params *params, clattn_step_kind kind)
{
    const char *const names[CLATTN_STEP_COUNT] = {
        [CLATTN_STEP_PREFILL] = params->prefill_tile,
        [CLATTN_STEP_DECODE] = params->decode_tile,
        [CLATTN_STEP_COMBINE] = params->combine_tile,
    };
    return names[kind];
}

static clattn_plan_candidate *add(clattn_plan_candidates *to, const clattn_tile *tile)
{
    clattn_plan_candidate *row = &to->rows[to->count++];
    *row = (clattn_plan_candidate){ .tile = *tile, .level = CLATTN_TUNING_DEFAULT };
    return row;
}

static clattn_status add_named(clattn_plan_candidates *to, clattn_step_kind kind, clattn_fragment_id fragment,
                               const char *name)
{
    clattn_tile tile;
    char why[160] = "it is no tile's name";
    if (!clattn_tile_parse(algorithms[kind], fragment, name, &tile) || !clattn_tile_in_space(&tile, why, sizeof(why)))
        return clattn_fail(CLATTN_INVALID_ARGUMENT,
                           "%s_tile is \"%s\"; it has to be a point of the search space of %s in spaces.def: %s",
                           clattn_step_name(kind), name, clattn_fragment_row(fragment)->name, why);
    snprintf(add(to, &tile)->source, CLATTN_CANDIDATE_SOURCE_SIZE, "caller");
    return CLATTN_OK;
}

static void add_recorded(clattn_plan_candidates *to, const clattn_plan *plan, clattn_algorithm algorithm,
                         clattn_fragment_id fragment)
{
    const clattn_tuning_class class = clattn_class_of_problem(&plan->problem, algorithm, plan->fragment);
    const clattn_tile_problem dims = clattn_problem_of_tile(&plan->problem, fragment);
    clattn_tuning_choice choice;
    if (!clattn_records_choose(plan->device, &class, &dims, &choice))
        return;
    clattn_plan_candidate *row = add(to, &choice.tile);
    row->level = choice.level;
    row->split_size = choice.split_size;
    snprintf(row->source, sizeof(row->source), "%s:%d", choice.path, choice.line);
}

static void add_defaults(clattn_plan_candidates *to, const clattn_plan *plan, clattn_algorithm algorithm,
                         clattn_fragment_id fragment)
{
    const clattn_device_info *info = clattn_device_probed(plan->device);
    const clattn_tile_problem dims = clattn_problem_of_tile(&plan->problem, fragment);
    for (size_t i = 0; clattn_tile_row(i); i++) {
        const clattn_tile *tile = clattn_tile_row(i);
        if (tile->algorithm == algorithm && tile->fragment == fragment && clattn_tile_is_default_on(tile, &dims, info))
            add(to, tile);
    }
}

clattn_status clattn_plan_candidates_of(const clattn_plan *plan, clattn_step_kind kind,
                                        const clattn_plan_params *params, clattn_plan_candidates *out)
{
    const clattn_fragment_id fragment = clattn_fragment_of(plan->fragment, algorithms[kind]);
    out->count = 0;
    if (wanted_tile(params, kind))
        return add_named(out, kind, fragment, wanted_tile(params, kind));
    if (!params->ignore_records)
        add_recorded(out, plan, algorithms[kind], fragment);
    add_defaults(out, plan, algorithms[kind], fragment);
    return CLATTN_OK;
}
