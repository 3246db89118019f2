/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>
#include <string.h>

#include "plan/pin.h"
#include "plan/plan.h"
#include "util/range.h"
#include "util/status.h"

void clattn_attention_desc_init(clattn_attention_desc *desc)
{
    if (desc)
        *desc = CLATTN_ATTENTION_DESC();
}

void clattn_plan_params_init(clattn_plan_params *params)
{
    if (params)
        *params = CLATTN_PLAN_PARAMS();
}

void clattn_attention_args_init(clattn_attention_args *args)
{
    if (args)
        *args = CLATTN_ATTENTION_ARGS();
}

static clattn_status null_argument(const char *name)
{
    return clattn_fail(CLATTN_INVALID_ARGUMENT, "%s is NULL; it has to point to an object", name);
}

/* Copies whole lines of text, as many as fit. */
static void copy_lines(char *to, size_t size, const char *text)
{
    if (!to || size == 0)
        return;
    size_t length = strlen(text);
    if (length >= size) {
        length = size - 1;
        while (length > 0 && text[length] != '\n')
            length--;
    }
    memcpy(to, text, length);
    to[length] = '\0';
}

clattn_status clattn_attention_supported(const clattn_device *device, const clattn_attention_desc *desc, char *reasons,
                                         size_t size)
{
    copy_lines(reasons, size, "");
    if (!device)
        return null_argument("device");
    clattn_problem problem;
    CLATTN_TRY(clattn_problem_init(&problem, desc));
    char text[4096];
    if (clattn_plan_possible(device, &problem, text, sizeof(text)))
        return CLATTN_OK;
    copy_lines(reasons, size, text);
    return clattn_fail(CLATTN_UNSUPPORTED, "no kernel runs this on this device: %.*s", (int)strcspn(text, "\n"), text);
}

clattn_status clattn_plan_create(clattn_device *device, const clattn_attention_desc *desc,
                                 const clattn_plan_params *params, clattn_plan **out)
{
    if (!device)
        return null_argument("device");
    if (!out)
        return null_argument("out");
    if (params)
        CLATTN_TRY(clattn_check_struct_size("params", params->struct_size, sizeof(*params), "CLATTN_PLAN_PARAMS"));
    const clattn_plan_params defaults = CLATTN_PLAN_PARAMS();
    return clattn_plan_build(device, desc, params ? params : &defaults, out);
}

clattn_status clattn_attention_warm_up(clattn_device *device, const clattn_attention_desc *descs, int count,
                                       const clattn_plan_params *params)
{
    if (!descs && count > 0)
        return null_argument("descs");
    if (count < 0)
        return clattn_fail(CLATTN_INVALID_ARGUMENT, "count is %d; it has to be 0 or more", count);
    for (int i = 0; i < count; i++) {
        clattn_plan *plan = NULL;
        CLATTN_TRY(clattn_plan_create(device, &descs[i], params, &plan));
        clattn_plan_destroy(&plan);
    }
    return CLATTN_OK;
}

clattn_status clattn_plan_export(const clattn_plan *plan, char *text, size_t size, size_t *needed)
{
    char all[CLATTN_PIN_MAX_SIZE];
    if (!plan)
        return null_argument("plan");
    if (!text && size > 0)
        return null_argument("text");
    const size_t whole = clattn_pins_text(plan, all) + 1;
    if (size > 0 && size < whole)
        return clattn_fail(CLATTN_INVALID_ARGUMENT, "size is %zu; it has to be 0 or at least %zu", size, whole);
    if (needed)
        *needed = whole;
    if (size > 0)
        memcpy(text, all, whole);
    return CLATTN_OK;
}

clattn_status clattn_plan_import(clattn_device *device, const clattn_attention_desc *desc,
                                 const clattn_plan_params *params, const char *text, clattn_plan **out)
{
    clattn_pins pins;
    clattn_plan_params pinned = CLATTN_PLAN_PARAMS();
    if (!text)
        return null_argument("text");
    if (params)
        pinned = *params;
    if (pinned.fragment || pinned.prefill_tile || pinned.decode_tile || pinned.combine_tile || pinned.split_size)
        return clattn_fail(
            CLATTN_INVALID_ARGUMENT,
            "params names a fragment, a tile or a split_size; they have to be unset, since text has them");
    CLATTN_TRY(clattn_pins_parse(text, &pins));
    pinned.fragment = pins.fragment;
    pinned.prefill_tile = pins.prefill_tile;
    pinned.decode_tile = pins.decode_tile;
    pinned.combine_tile = pins.combine_tile;
    pinned.split_size = pins.split_size;
    return clattn_plan_create(device, desc, &pinned, out);
}

void clattn_plan_destroy(clattn_plan **plan)
{
    if (!plan || !*plan)
        return;
    clattn_plan_free(*plan);
    *plan = NULL;
}

size_t clattn_plan_workspace_size(const clattn_plan *plan)
{
    return plan ? plan->workspace_size : 0;
}

static void describe_step(const clattn_plan *plan, clattn_step_kind kind, clattn_kernel_info *info)
{
    const clattn_step *step = &plan->steps[kind];
    info->kernel = clattn_step_name(kind);
    info->fragment = clattn_fragment_row(step->tile.fragment)->name;
    info->tile = step->tile_name;
    info->tuning_level = clattn_tuning_level_name(step->level);
    info->tuning_source = step->source;
    info->options = step->options;
    info->work_group_size = step->local_size;
    info->local_mem_size = step->kernel->local_mem_size;
}

clattn_status clattn_plan_describe(const clattn_plan *plan, clattn_plan_info *info)
{
    if (!plan)
        return null_argument("plan");
    if (!info)
        return null_argument("info");
    *info = (clattn_plan_info){
        .split_size = plan->steps[CLATTN_STEP_DECODE].present ? plan->split_size : 0,
        .decode_max_rows = plan->decode_max_rows,
        .workspace_size = plan->workspace_size,
        .refused = plan->refused ? plan->refused : "",
    };
    clattn_tuning_level weakest = CLATTN_TUNING_EXACT;
    for (int kind = 0; kind < CLATTN_STEP_COUNT; kind++) {
        if (!plan->steps[kind].present)
            continue;
        describe_step(plan, (clattn_step_kind)kind, &info->kernels[info->num_kernels++]);
        weakest = plan->steps[kind].level > weakest ? plan->steps[kind].level : weakest;
    }
    info->tuning_level = clattn_tuning_level_name(info->num_kernels ? weakest : CLATTN_TUNING_DEFAULT);
    return CLATTN_OK;
}

clattn_status clattn_schedule_make(const clattn_plan *plan, const clattn_lengths *lengths, clattn_schedule *out)
{
    if (!plan)
        return null_argument("plan");
    if (!lengths)
        return null_argument("lengths");
    if (!out)
        return null_argument("out");
    clattn_launches launches;
    CLATTN_TRY(clattn_launches_of_lengths(plan, lengths, &launches));
    memset(out, 0, sizeof(*out));
    memcpy(out, &launches, sizeof(launches));
    return CLATTN_OK;
}

uint32_t clattn_schedule_kernels(const clattn_plan *plan, const clattn_schedule *schedule)
{
    if (!plan)
        return 0;
    clattn_launches launches = clattn_launches_of_bounds(plan);
    if (schedule)
        memcpy(&launches, schedule, sizeof(launches));
    uint32_t bits = 0;
    int index = 0;
    for (int kind = 0; kind < CLATTN_STEP_COUNT; kind++) {
        if (!plan->steps[kind].present)
            continue;
        if (clattn_launches_step(&launches, (clattn_step_kind)kind))
            bits |= 1u << index;
        index++;
    }
    return bits;
}
