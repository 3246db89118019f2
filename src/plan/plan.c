/* SPDX-License-Identifier: BSD-2-Clause */
#include "plan/plan.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/first_launch.h"
#include "plan/arguments.h"
#include "util/status.h"

/* Keys a split where nothing else is asked, rounded up to the tile: large against the merge's cost, and small enough
 * that one long sequence fills a GPU. */
#define DEFAULT_SPLIT_SIZE 512
#define MAX_SPLIT_SIZE     (1 << 30)

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

static clattn_tile_problem tile_problem(const clattn_problem *problem, const clattn_tile *tile)
{
    return (clattn_tile_problem){ .head_dim = clattn_dim_class(tile->fragment, problem->desc.head_dim),
                                  .v_head_dim = clattn_dim_class(tile->fragment, problem->desc.v_head_dim),
                                  .paged = problem->paged };
}

static clattn_status choose_fragment(clattn_plan *plan, const char *wanted)
{
    const char *name = wanted ? wanted : clattn_preferred_fragment(plan->device);
    plan->fragment = clattn_fragment_named(name);
    if (plan->fragment == CLATTN_FRAGMENT_COUNT || !clattn_fragment_row(plan->fragment)->makes_plans)
        return clattn_fail(CLATTN_INVALID_ARGUMENT, "fragment is \"%s\"; it has to be \"%s\" or \"%s\"", name,
                           clattn_fragment_row(CLATTN_FRAGMENT_SCALAR)->name,
                           clattn_fragment_row(CLATTN_FRAGMENT_LANES)->name);
    return CLATTN_OK;
}

static bool is_of_plan(const clattn_plan *plan, const clattn_tile *tile, clattn_algorithm algorithm)
{
    return tile->algorithm == algorithm && tile->fragment == clattn_fragment_of(plan->fragment, algorithm);
}

static bool is_tile_named(const clattn_plan *plan, const clattn_tile *tile, clattn_algorithm algorithm,
                          const char *wanted)
{
    char name[CLATTN_TILE_NAME_SIZE];
    clattn_tile_name(tile, name);
    return is_of_plan(plan, tile, algorithm) && strcmp(name, wanted) == 0;
}

static clattn_status check_tile_name(const clattn_plan *plan, const char *argument, clattn_algorithm algorithm,
                                     const char *wanted)
{
    for (size_t i = 0; wanted && clattn_tile_row(i); i++)
        if (is_tile_named(plan, clattn_tile_row(i), algorithm, wanted))
            return CLATTN_OK;
    if (!wanted)
        return CLATTN_OK;
    return clattn_fail(CLATTN_INVALID_ARGUMENT, "%s is \"%s\"; it has to be a tile of %s in tiles.def", argument,
                       wanted, clattn_fragment_row(clattn_fragment_of(plan->fragment, algorithm))->name);
}

static bool is_candidate(const clattn_plan *plan, const clattn_tile *tile, clattn_algorithm algorithm,
                         const char *wanted)
{
    if (wanted)
        return is_tile_named(plan, tile, algorithm, wanted);
    return is_of_plan(plan, tile, algorithm) && clattn_tile_is_default_on(tile, clattn_device_probed(plan->device));
}

/* See CLATTN_ROLLED in cl/arith.clh. */
static bool is_rolled(const clattn_plan *plan, const clattn_tile *tile)
{
    return tile->fragment == CLATTN_FRAGMENT_SCALAR && (clattn_device_type(plan->device) & CL_DEVICE_TYPE_CPU) != 0;
}

static char *step_options(const clattn_plan *plan, const clattn_step *step)
{
    const clattn_attention_desc *d = &plan->problem.desc;
    char tile[CLATTN_TILE_OPTIONS_SIZE], options[2 * CLATTN_TILE_OPTIONS_SIZE];
    if (step->tile) {
        const clattn_tile_problem dims = tile_problem(&plan->problem, step->tile);
        clattn_tile_options(step->tile, tile);
        snprintf(options, sizeof(options),
                 "%s -DCLATTN_HEAD_DIM=%" PRId32 " -DCLATTN_V_HEAD_DIM=%" PRId32 " -DCLATTN_MASK_CLASS=%d"
                 " -DCLATTN_Q_DTYPE=%d -DCLATTN_K_DTYPE=%d -DCLATTN_V_DTYPE=%d -DCLATTN_O_DTYPE=%d%s%s%s%s",
                 tile, dims.head_dim, dims.v_head_dim, (int)plan->problem.mask_class, (int)d->q_dtype, (int)d->k_dtype,
                 (int)d->v_dtype, (int)d->o_dtype, plan->problem.paged ? " -DCLATTN_PAGED" : "",
                 CLATTN_HAS_QUIRK(plan->device, FAST_EXP2) ? " -DCLATTN_EXP2_NATIVE" : "",
                 CLATTN_HAS_QUIRK(plan->device, PREFETCH_BUILTIN) ? " -DCLATTN_PREFETCH_BUILTIN" : "",
                 is_rolled(plan, step->tile) ? " -DCLATTN_ROLLED" : "");
    } else {
        snprintf(options, sizeof(options), "-DCOMBINE_LOCAL_SIZE=%zu -DCLATTN_O_DTYPE=%d", step->local_size,
                 (int)d->o_dtype);
    }
    return strdup(options);
}

static clattn_status compile_step(clattn_plan *plan, clattn_step_kind kind)
{
    clattn_step *step = &plan->steps[kind];
    step->options = step_options(plan, step);
    if (!step->options)
        return clattn_fail(CLATTN_OUT_OF_MEMORY, "no memory for build options");
    const clattn_kernel_spec spec = { step_rows[kind].source, step_rows[kind].entry, step->options };
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
static bool take_tile(clattn_plan *plan, clattn_step *step, const clattn_tile *tile)
{
    const clattn_tile_problem dims = tile_problem(&plan->problem, tile);
    char why[REASON_SIZE];
    clattn_tile_name(tile, step->tile_name);
    if (!clattn_tile_fits(tile, &dims, clattn_device_probed(plan->device), why, sizeof(why))) {
        refuse(plan, "tile %s: %s", step->tile_name, why);
        return false;
    }
    step->tile = tile;
    step->local_size = clattn_tile_work_group_size(tile);
    return true;
}

/* Compiles a step with the first tile that the device's limits, the compiler and the built kernel's limit allow. */
static clattn_status compile_first_tile(clattn_plan *plan, clattn_step_kind kind, clattn_algorithm algorithm,
                                        const char *wanted)
{
    clattn_step *step = &plan->steps[kind];
    clattn_status failure = CLATTN_OK;
    for (size_t i = 0; clattn_tile_row(i); i++) {
        const clattn_tile *tile = clattn_tile_row(i);
        if (!is_candidate(plan, tile, algorithm, wanted))
            continue;
        if (!take_tile(plan, step, tile))
            continue;
        failure = step->present ? compile_step(plan, kind) : CLATTN_OK;
        if (failure == CLATTN_OK && (!step->present || step->kernel->max_work_group_size >= step->local_size))
            return CLATTN_OK;
        if (failure != CLATTN_OK && failure != CLATTN_BUILD_FAILED)
            return failure;
        if (failure == CLATTN_BUILD_FAILED)
            refuse(plan, "tile %s: %s", step->tile_name, clattn_last_error());
        else
            refuse(plan, "tile %s: the built kernel's work-group limit is %zu, under %zu", step->tile_name,
                   step->kernel->max_work_group_size, step->local_size);
        release_step(step);
    }
    if (failure == CLATTN_BUILD_FAILED)
        return failure;
    return clattn_fail(CLATTN_UNSUPPORTED, "no %s tile of %s runs on this device: %.*s", step_rows[kind].name,
                       clattn_fragment_row(clattn_fragment_of(plan->fragment, algorithm))->name,
                       plan->refused ? (int)strcspn(plan->refused, "\n") : 0, plan->refused ? plan->refused : "");
}

static clattn_status choose_split_size(clattn_plan *plan, int32_t wanted)
{
    const int32_t keys = clattn_tile_keys(plan->steps[CLATTN_STEP_DECODE].tile);
    if (wanted < 0 || wanted > MAX_SPLIT_SIZE)
        return clattn_fail(CLATTN_INVALID_ARGUMENT, "split_size is %" PRId32 "; it has to be 0 to %d", wanted,
                           MAX_SPLIT_SIZE);
    plan->split_size = ((wanted ? wanted : DEFAULT_SPLIT_SIZE) + keys - 1) / keys * keys;
    return CLATTN_OK;
}

/* Doubles the split size until the partial states of the bounds fit the caller's cap; see clattn_plan_params. */
static void cap_workspace(clattn_plan *plan, size_t cap)
{
    size_t size = 0;
    while (cap > 0 && plan->split_size < plan->problem.desc.max_kv_len &&
           (clattn_workspace_of_bounds(plan, &size) != CLATTN_OK || size > cap))
        plan->split_size = plan->split_size > MAX_SPLIT_SIZE / 2 ? MAX_SPLIT_SIZE : 2 * plan->split_size;
}

/* Combine's work-items share a row's dims; where decode has one work-item, it has them all. */
static size_t combine_local_size(const clattn_plan *plan)
{
    const size_t limit = clattn_device_probed(plan->device)->max_work_group_size;
    const size_t wanted = plan->steps[CLATTN_STEP_DECODE].local_size == 1 ? 1 : 32;
    return wanted < limit ? wanted : limit;
}

static clattn_status compile_combine(clattn_plan *plan)
{
    clattn_step *step = &plan->steps[CLATTN_STEP_COMBINE];
    step->local_size = combine_local_size(plan);
    CLATTN_TRY(compile_step(plan, CLATTN_STEP_COMBINE));
    if (step->kernel->max_work_group_size < step->local_size) {
        release_step(step);
        step->local_size = 1;
        CLATTN_TRY(compile_step(plan, CLATTN_STEP_COMBINE));
    }
    return CLATTN_OK;
}

/* Decode's tile divides the sequences among the kernels, so it is chosen even where decode itself is not compiled. */
static clattn_status compile_steps(clattn_plan *plan, const clattn_plan_params *params)
{
    const clattn_attention_desc *d = &plan->problem.desc;
    clattn_step *steps = plan->steps;
    const int64_t most_rows = (int64_t)d->max_q_len * plan->problem.group;
    steps[CLATTN_STEP_DECODE].present = true;
    if (d->min_q_len > 0) {
        steps[CLATTN_STEP_DECODE].present = false;
        CLATTN_TRY(compile_first_tile(plan, CLATTN_STEP_DECODE, CLATTN_ALGORITHM_DECODE, params->decode_tile));
        free(plan->refused); /* a second pass would note it again */
        plan->refused = NULL;
        steps[CLATTN_STEP_DECODE].present =
            (int64_t)d->min_q_len * plan->problem.group <= clattn_tile_rows(steps[CLATTN_STEP_DECODE].tile);
    }
    if (steps[CLATTN_STEP_DECODE].present)
        CLATTN_TRY(compile_first_tile(plan, CLATTN_STEP_DECODE, CLATTN_ALGORITHM_DECODE, params->decode_tile));
    plan->decode_max_rows = clattn_tile_rows(steps[CLATTN_STEP_DECODE].tile);
    CLATTN_TRY(choose_split_size(plan, params->split_size));
    cap_workspace(plan, params->max_workspace_size);

    steps[CLATTN_STEP_PREFILL].present = most_rows > plan->decode_max_rows;
    if (steps[CLATTN_STEP_PREFILL].present)
        CLATTN_TRY(compile_first_tile(plan, CLATTN_STEP_PREFILL, CLATTN_ALGORITHM_PREFILL, params->prefill_tile));
    steps[CLATTN_STEP_COMBINE].present = steps[CLATTN_STEP_DECODE].present && d->max_kv_len > plan->split_size;
    if (steps[CLATTN_STEP_COMBINE].present)
        CLATTN_TRY(compile_combine(plan));
    return CLATTN_OK;
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

static clattn_status fill_plan(clattn_plan *plan, const clattn_attention_desc *desc, const clattn_plan_params *params)
{
    CLATTN_TRY(clattn_problem_init(&plan->problem, desc));
    CLATTN_TRY(choose_fragment(plan, params->fragment));
    CLATTN_TRY(check_tile_name(plan, "prefill_tile", CLATTN_ALGORITHM_PREFILL, params->prefill_tile));
    CLATTN_TRY(check_tile_name(plan, "decode_tile", CLATTN_ALGORITHM_DECODE, params->decode_tile));
    CLATTN_TRY(compile_steps(plan, params));
    CLATTN_TRY(clattn_workspace_of_bounds(plan, &plan->workspace_size));
    return warm_up(plan);
}

bool clattn_plan_possible(const clattn_device *device, const clattn_problem *problem, char *reasons, size_t size)
{
    const clattn_device_info *info = clattn_device_probed(device);
    const clattn_fragment_id fragment = clattn_fragment_named(clattn_preferred_fragment(device));
    bool fits[2] = { false, false };
    size_t used = 0;
    reasons[0] = '\0';
    for (size_t i = 0; clattn_tile_row(i); i++) {
        const clattn_tile *tile = clattn_tile_row(i);
        char why[REASON_SIZE], name[CLATTN_TILE_NAME_SIZE];
        if (tile->fragment != clattn_fragment_of(fragment, tile->algorithm) || !clattn_tile_is_default_on(tile, info))
            continue;
        const clattn_tile_problem dims = tile_problem(problem, tile);
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

clattn_status clattn_plan_build(clattn_device *device, const clattn_attention_desc *desc,
                                const clattn_plan_params *params, clattn_plan **out)
{
    clattn_plan *plan = calloc(1, sizeof(*plan));
    if (!plan)
        return clattn_fail(CLATTN_OUT_OF_MEMORY, "no memory for a plan");
    plan->device = clattn_device_retain(device);
    plan->serial = clattn_device_next_serial(device);
    const clattn_status status = fill_plan(plan, desc, params);
    if (status != CLATTN_OK) {
        clattn_plan_free(plan);
        return status;
    }
    *out = plan;
    return CLATTN_OK;
}

void clattn_plan_free(clattn_plan *plan)
{
    for (int kind = 0; kind < CLATTN_STEP_COUNT; kind++)
        release_step(&plan->steps[kind]);
    clattn_device_release(plan->device);
    free(plan->refused);
    free(plan);
}
