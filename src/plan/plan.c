/* SPDX-License-Identifier: BSD-2-Clause */
#include "plan/plan.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/first_launch.h"
#include "plan/arguments.h"
#include "plan/candidates.h"
#include "plan/fragment.h"
#include "plan/proof.h"
#include "util/status.h"

_Static_assert(CLATTN_PLAN_MAX_KERNELS >= CLATTN_STEP_COUNT, "clattn_plan_info has room for every step");

#define REASON_SIZE 256

typedef struct step_row {
    const char *name, *source, *entry;
} step_row;

static const step_row step_rows[CLATTN_STEP_COUNT] = {
    [CLATTN_STEP_PREFILL] = { "prefill", "prefill.cl", "clattn_prefill" },
    [CLATTN_STEP_DECODE] = { "decode", "decode.cl", "clattn_decode" },
    [CLATTN_STEP_COMBINE] = { "combine", "combine.cl", "clattn_combine" },
};

const char *clattn_step_name(clattn_step_kind kind)
{
    return step_rows[kind].name;
}

/* Notes why a better row was not taken; without memory the note is lost, which the log has too. */
__attribute__((format(printf, 2, 3))) static void refuse(clattn_plan *plan, const char *format, ...)
{
    char line[2 * REASON_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    clattn_log(plan->device, CLATTN_LOG_INFO, "refused: %s", line);
    const size_t old = plan->refused ? strlen(plan->refused) : 0;
    char *text = realloc(plan->refused, old + strlen(line) + 2);
    if (!text)
        return;
    snprintf(text + old, strlen(line) + 2, "%s%s", old ? "\n" : "", line);
    plan->refused = text;
}

/* "a", "b": the names of the fragments that plans are made of. */
static void name_fragments(char *names, size_t size)
{
    size_t used = 0;
    names[0] = '\0';
    for (int id = 0; id < CLATTN_FRAGMENT_COUNT; id++)
        if (clattn_fragment_row((clattn_fragment_id)id)->role == CLATTN_ROLE_PLAN && used < size)
            used += (size_t)snprintf(names + used, size - used, "%s\"%s\"", used ? ", " : "",
                                     clattn_fragment_row((clattn_fragment_id)id)->name);
}

/* The fragment that the caller names. */
static clattn_status name_fragment(clattn_plan *plan, const char *name)
{
    char names[REASON_SIZE];
    plan->fragment = clattn_fragment_named(name);
    if (plan->fragment != CLATTN_FRAGMENT_COUNT)
        return CLATTN_OK;
    name_fragments(names, sizeof(names));
    return clattn_fail(CLATTN_INVALID_ARGUMENT, "fragment is \"%s\"; it has to be one of %s", name, names);
}

/* See CLATTN_ROLLED in cl/arith.clh. */
static bool is_rolled(const clattn_plan *plan, const clattn_tile *tile)
{
    return tile->fragment == CLATTN_FRAGMENT_SCALAR && (clattn_device_type(plan->device) & CL_DEVICE_TYPE_CPU) != 0;
}

static char *step_options(const clattn_plan *plan, clattn_step_kind kind)
{
    const clattn_step *step = &plan->steps[kind];
    const clattn_attention_desc *d = &plan->problem.desc;
    char tile[CLATTN_TILE_OPTIONS_SIZE], options[2 * CLATTN_TILE_OPTIONS_SIZE];
    clattn_tile_options(&step->tile, tile);
    if (kind != CLATTN_STEP_COMBINE) {
        const clattn_tile_problem dims = clattn_problem_of_tile(&plan->problem, step->tile.fragment);
        snprintf(options, sizeof(options),
                 "%s -DCLATTN_HEAD_DIM=%" PRId32 " -DCLATTN_V_HEAD_DIM=%" PRId32 " -DCLATTN_MASK_CLASS=%d"
                 " -DCLATTN_Q_DTYPE=%d -DCLATTN_K_DTYPE=%d -DCLATTN_V_DTYPE=%d -DCLATTN_O_DTYPE=%d%s%s%s%s",
                 tile, dims.head_dim, dims.v_head_dim, (int)plan->problem.mask_class, (int)d->q_dtype, (int)d->k_dtype,
                 (int)d->v_dtype, (int)d->o_dtype, plan->problem.paged ? " -DCLATTN_PAGED" : "",
                 CLATTN_HAS_QUIRK(plan->device, FAST_EXP2) ? " -DCLATTN_EXP2_NATIVE" : "",
                 CLATTN_HAS_QUIRK(plan->device, PREFETCH_BUILTIN) ? " -DCLATTN_PREFETCH_BUILTIN" : "",
                 is_rolled(plan, &step->tile) ? " -DCLATTN_ROLLED" : "");
    } else {
        snprintf(options, sizeof(options), "%s -DCLATTN_O_DTYPE=%d", tile, (int)d->o_dtype);
    }
    return strdup(options);
}

static clattn_status compile_step(clattn_plan *plan, clattn_step_kind kind)
{
    clattn_step *step = &plan->steps[kind];
    step->options = step_options(plan, kind);
    if (!step->options)
        return clattn_fail(CLATTN_OUT_OF_MEMORY, "no memory for build options");
    const clattn_kernel_spec spec = { step_rows[kind].source, step_rows[kind].entry, step->options,
                                      step->tile.fragment == CLATTN_FRAGMENT_NV_WGMMA };
    return clattn_kernel_get(plan->device, &spec, &step->kernel);
}

static void release_step(clattn_step *step)
{
    if (step->kernel)
        clattn_kernel_release(step->kernel);
    free(step->options);
    step->kernel = NULL;
    step->options = NULL;
}

/* Sets the step's tile; returns false, with the reason noted, when limits known before the build forbid it. */
static bool take_candidate(clattn_plan *plan, clattn_step *step, const clattn_plan_candidate *candidate)
{
    const clattn_tile_problem dims = clattn_problem_of_tile(&plan->problem, candidate->tile.fragment);
    char why[REASON_SIZE];
    step->tile = candidate->tile;
    step->level = candidate->level;
    step->split_size = candidate->split_size;
    snprintf(step->source, sizeof(step->source), "%s", candidate->source);
    clattn_tile_name(&step->tile, step->tile_name);
    step->local_size = clattn_tile_work_group_size(&step->tile);
    step->most_row_tiles = clattn_tile_row_tiles(&step->tile, &dims);
    if (clattn_tile_fits(&step->tile, &dims, clattn_device_probed(plan->device), why, sizeof(why)))
        return true;
    refuse(plan, "tile %s: %s", step->tile_name, why);
    return false;
}

/* Compiles the step, if it is present, with the tile it has. *runs is false, with the reason noted, when the compiler
 * or the built kernel's limit refuses it. */
static clattn_status try_compile(clattn_plan *plan, clattn_step_kind kind, bool *runs)
{
    clattn_step *step = &plan->steps[kind];
    *runs = true;
    if (!step->present)
        return CLATTN_OK;
    const clattn_status status = compile_step(plan, kind);
    if (status == CLATTN_OK && step->kernel->max_work_group_size >= step->local_size)
        return CLATTN_OK;
    *runs = false;
    if (status == CLATTN_BUILD_FAILED)
        refuse(plan, "tile %s: %s", step->tile_name, clattn_last_error());
    else if (status == CLATTN_OK)
        refuse(plan, "tile %s: the built kernel's work-group limit is %zu, under %zu", step->tile_name,
               step->kernel->max_work_group_size, step->local_size);
    release_step(step);
    return status;
}

/* Gives the step the first tile that the device's limits, the compiler and the built kernel's limit allow: the one that
 * the caller names, or what was measured, then the built-in defaults. */
static clattn_status choose_tile(clattn_plan *plan, clattn_step_kind kind, const clattn_plan_params *params)
{
    clattn_plan_candidates candidates;
    clattn_status failure = CLATTN_OK;
    const size_t before = plan->refused ? strlen(plan->refused) : 0;
    CLATTN_TRY(clattn_plan_candidates_of(plan, kind, params, &candidates));
    for (int i = 0; i < candidates.count; i++) {
        bool runs = false;
        if (!take_candidate(plan, &plan->steps[kind], &candidates.rows[i]))
            continue;
        failure = try_compile(plan, kind, &runs);
        if (runs || (failure != CLATTN_OK && failure != CLATTN_BUILD_FAILED))
            return failure;
    }
    if (failure == CLATTN_BUILD_FAILED)
        return failure;
    const bool has_reason = plan->refused && strlen(plan->refused) > before;
    const char *why = has_reason ? plan->refused + before + (before > 0) : "";
    return clattn_fail(CLATTN_UNSUPPORTED, "no %s tile of %s runs on this device: %.*s", clattn_step_name(kind),
                       clattn_fragment_row(plan->steps[kind].tile.fragment)->name, (int)strcspn(why, "\n"), why);
}

/* What the caller asks for, else what was measured with the tile, else the default, in whole key tiles. */
static clattn_status choose_split_size(clattn_plan *plan, int32_t wanted)
{
    const clattn_step *decode = &plan->steps[CLATTN_STEP_DECODE];
    const int32_t unasked =
        decode->split_size ? decode->split_size : clattn_fragment_row(decode->tile.fragment)->split_size;
    if (wanted < 0 || wanted > CLATTN_MAX_SPLIT_SIZE)
        return clattn_fail(CLATTN_INVALID_ARGUMENT, "split_size is %" PRId32 "; it has to be 0 to %d", wanted,
                           CLATTN_MAX_SPLIT_SIZE);
    plan->split_size = clattn_tile_whole_keys(&decode->tile, wanted ? wanted : unasked);
    plan->uncapped_split_size = plan->split_size;
    return CLATTN_OK;
}

/* Doubles the split size until the partial states of the bounds fit the caller's cap; see clattn_plan_params. */
static void cap_workspace(clattn_plan *plan, size_t cap)
{
    size_t size = 0;
    while (cap > 0 && plan->split_size < plan->problem.desc.max_kv_len &&
           (clattn_workspace_of_bounds(plan, &size) != CLATTN_OK || size > cap))
        plan->split_size = plan->split_size > CLATTN_MAX_SPLIT_SIZE / 2 ? CLATTN_MAX_SPLIT_SIZE : 2 * plan->split_size;
}

/* Every tile is chosen, even where its kernel is not compiled: an exported plan may be imported with other bounds. */
static clattn_status compile_steps(clattn_plan *plan, const clattn_plan_params *params)
{
    const clattn_attention_desc *d = &plan->problem.desc;
    clattn_step *steps = plan->steps, *decode = &steps[CLATTN_STEP_DECODE];
    const int64_t most_rows = (int64_t)d->max_q_len * plan->problem.group;
    const int64_t least_rows = (int64_t)d->min_q_len * plan->problem.group;
    decode->present = least_rows <= CLATTN_DECODE_MAX_ROWS;
    CLATTN_TRY(choose_tile(plan, CLATTN_STEP_DECODE, params));
    plan->decode_max_rows = CLATTN_DECODE_MAX_ROWS;
    CLATTN_TRY(choose_split_size(plan, params->split_size));
    cap_workspace(plan, params->max_workspace_size);

    steps[CLATTN_STEP_PREFILL].present = most_rows > plan->decode_max_rows;
    CLATTN_TRY(choose_tile(plan, CLATTN_STEP_PREFILL, params));
    steps[CLATTN_STEP_COMBINE].present = decode->present && d->max_kv_len > plan->split_size;
    return choose_tile(plan, CLATTN_STEP_COMBINE, params);
}

static clattn_status first_launch(void *user, int index, cl_command_queue queue, cl_mem memory)
{
    const clattn_plan *plan = user;
    clattn_launches launches = clattn_launches_of_bounds(plan);
    launches.batch = 0;
    clattn_bindings bindings = { 0 };
    for (int i = 0; i < CLATTN_ARG_COUNT; i++)
        bindings.memory[i] = memory;
    const attention_args args = clattn_attention_args_of(&launches, &bindings);
    const size_t global[3] = { plan->steps[index].local_size, 1, 1 };
    return clattn_step_enqueue(plan, (clattn_step_kind)index, &args, &bindings, global, queue, 0, NULL, NULL);
}

static clattn_status warm_up(clattn_plan *plan)
{
    clattn_kernel *kernels[CLATTN_STEP_COUNT];
    for (int kind = 0; kind < CLATTN_STEP_COUNT; kind++)
        kernels[kind] = plan->steps[kind].present ? plan->steps[kind].kernel : NULL;
    return clattn_kernels_warm_up(plan->device, kernels, CLATTN_STEP_COUNT, first_launch, plan);
}

static void release_steps(clattn_plan *plan)
{
    for (int kind = 0; kind < CLATTN_STEP_COUNT; kind++)
        release_step(&plan->steps[kind]);
}

/* Whether the spaces of the fragment's kernels hold the tiles that the caller names. */
static bool has_named_tiles(clattn_fragment_id fragment, const clattn_plan_params *params)
{
    const struct {
        clattn_algorithm algorithm;
        const char *name;
    } named[] = { { CLATTN_ALGORITHM_PREFILL, params->prefill_tile },
                  { CLATTN_ALGORITHM_DECODE, params->decode_tile } };
    for (size_t i = 0; i < sizeof(named) / sizeof(named[0]); i++) {
        const clattn_algorithm algorithm = named[i].algorithm;
        clattn_tile tile;
        if (named[i].name &&
            (!clattn_tile_parse(algorithm, clattn_fragment_of(fragment, algorithm), named[i].name, &tile) ||
             !clattn_tile_in_space(&tile, NULL, 0)))
            return false;
    }
    return true;
}

/* Compiles the plan with its fragment, if that takes the problem; *takes says so. */
static clattn_status compile_with_fragment(clattn_plan *plan, const clattn_plan_params *params, bool proven,
                                           bool *takes)
{
    char why[REASON_SIZE];
    *takes =
        clattn_fragment_takes(plan->fragment, &plan->problem, clattn_device_probed(plan->device), why, sizeof(why));
    if (!*takes)
        return clattn_fail(CLATTN_UNSUPPORTED, "%s", why);
    if (!proven)
        CLATTN_TRY(clattn_fragment_prove(plan->device, plan->fragment));
    return compile_steps(plan, params);
}

/* Compiles the plan with the device's best fragment that takes the problem, has the tiles that the caller names, and
 * builds; tiles that are named are no other's. */
static clattn_status compile_best(clattn_plan *plan, const clattn_plan_params *params)
{
    const bool named = params->prefill_tile || params->decode_tile;
    plan->fragment = clattn_fragment_named(clattn_preferred_fragment(plan->device));
    for (;;) {
        const clattn_fragment *row = clattn_fragment_row(plan->fragment);
        const bool last = row->otherwise == plan->fragment, has_tiles = has_named_tiles(plan->fragment, params);
        clattn_status status = CLATTN_UNSUPPORTED;
        bool takes = false;
        if (has_tiles || last)
            status = compile_with_fragment(plan, params, false, &takes);
        else
            clattn_fail(status, "it has no such tile as is asked for");
        if (status == CLATTN_OK || last || (named && takes) ||
            (status != CLATTN_UNSUPPORTED && status != CLATTN_BUILD_FAILED))
            return status;
        refuse(plan, "fragment %s: %s", row->name, clattn_last_error());
        release_steps(plan);
        plan->fragment = row->otherwise;
    }
}

static clattn_status fill_plan(clattn_plan *plan, const clattn_attention_desc *desc, const clattn_plan_params *params,
                               bool proven)
{
    CLATTN_TRY(clattn_problem_init(&plan->problem, desc));
    if (params->fragment) {
        CLATTN_TRY(name_fragment(plan, params->fragment));
        bool takes = false;
        CLATTN_TRY(compile_with_fragment(plan, params, proven, &takes));
    } else {
        CLATTN_TRY(compile_best(plan, params));
    }
    CLATTN_TRY(clattn_workspace_of_bounds(plan, &plan->workspace_size));
    return warm_up(plan);
}

bool clattn_plan_possible(const clattn_device *device, const clattn_problem *problem, char *reasons, size_t size)
{
    const clattn_device_info *info = clattn_device_probed(device);
    const clattn_fragment_id fragment = clattn_fragment_for(device, problem);
    bool fits[2] = { false, false };
    size_t used = 0;
    reasons[0] = '\0';
    for (size_t i = 0; clattn_tile_row(i); i++) {
        const clattn_tile *tile = clattn_tile_row(i);
        char why[REASON_SIZE], name[CLATTN_TILE_NAME_SIZE];
        const clattn_tile_problem dims = clattn_problem_of_tile(problem, tile->fragment);
        if (tile->algorithm > CLATTN_ALGORITHM_DECODE ||
            tile->fragment != clattn_fragment_of(fragment, tile->algorithm) ||
            !clattn_tile_is_default_on(tile, &dims, info))
            continue;
        if (clattn_tile_fits(tile, &dims, info, why, sizeof(why))) {
            fits[tile->algorithm] = true;
            continue;
        }
        clattn_tile_name(tile, name);
        const int length = snprintf(reasons + used, size - used, "%stile %s: %s", used ? "\n" : "", name, why);
        if (length > 0 && (size_t)length < size - used)
            used += (size_t)length;
    }
    reasons[used] = '\0';
    return fits[CLATTN_ALGORITHM_PREFILL] && fits[CLATTN_ALGORITHM_DECODE];
}

static clattn_status build(clattn_device *device, const clattn_attention_desc *desc, const clattn_plan_params *params,
                           bool proven, clattn_plan **out)
{
    clattn_plan *plan = calloc(1, sizeof(*plan));
    if (!plan)
        return clattn_fail(CLATTN_OUT_OF_MEMORY, "no memory for a plan");
    plan->device = clattn_device_retain(device);
    const uint32_t compute_units = clattn_device_probed(device)->compute_units;
    plan->compute_units = compute_units > 0 ? compute_units : 1;
    plan->serial = clattn_device_next_serial(device);
    const clattn_status status = fill_plan(plan, desc, params, proven);
    if (status != CLATTN_OK) {
        clattn_plan_free(plan);
        return status;
    }
    *out = plan;
    return CLATTN_OK;
}

clattn_status clattn_plan_build(clattn_device *device, const clattn_attention_desc *desc,
                                const clattn_plan_params *params, clattn_plan **out)
{
    return build(device, desc, params, false, out);
}

clattn_status clattn_plan_build_unproven(clattn_device *device, const clattn_attention_desc *desc,
                                         const clattn_plan_params *params, clattn_plan **out)
{
    return build(device, desc, params, true, out);
}

void clattn_plan_free(clattn_plan *plan)
{
    release_steps(plan);
    clattn_device_release(plan->device);
    free(plan->refused);
    free(plan);
}
