/* SPDX-License-Identifier: BSD-2-Clause */
#include "plan/merge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/first_launch.h"
#include "util/status.h"

#define CLATTN_HOST
#include "merge_args.clh"

/* Of groups where work-items run side by side; on a CPU they would be one loop inside another. */
#define GROUP_LANES 32
#define GROUP_ROWS  8
/* Elements of a load where a work-item has vectors. */
#define VECTOR_WIDTH 16
/* Sums that a work-item holds in registers. */
#define MAX_BLOCKS 8
/* Rows a group of one work-item: enough that its start costs little, unless compute units would be left without work.
 */
#define MAX_ROWS_PER_GROUP 32
#define GROUPS_PER_UNIT    4
/* Groups take further rows by themselves. So few that PoCL, which compiles for grids under 2^16 apart, has one case. */
#define MAX_GROUPS 2047

static int ceil_div(int n, int by)
{
    return (n + by - 1) / by;
}

/* As few rounds through the parts as MAX_BLOCKS allows, and no more blocks than those need. */
static int blocks_of(int32_t dim, int step)
{
    const int loads = ceil_div(dim, step);
    return ceil_div(loads, ceil_div(loads, MAX_BLOCKS));
}

static clattn_merge_shape choose_shape(const clattn_device *device, int32_t dim)
{
    const bool vectors = strcmp(clattn_preferred_fragment(device), "frag_lanes") == 0 && dim >= VECTOR_WIDTH;
    const bool cpu = (clattn_device_type(device) & CL_DEVICE_TYPE_CPU) != 0;
    const bool fits = clattn_device_probed(device)->max_work_group_size >= GROUP_LANES * GROUP_ROWS;
    clattn_merge_shape shape = { .lanes = 1, .rows = 1, .width = vectors ? VECTOR_WIDTH : 1 };
    if (!cpu && fits) {
        shape.lanes = GROUP_LANES;
        shape.rows = GROUP_ROWS;
    }
    shape.blocks = blocks_of(dim, shape.lanes * shape.width);
    return shape;
}

static clattn_status compile(clattn_merge_plan *plan)
{
    const clattn_merge_shape *shape = &plan->shape;
    char options[192];
    snprintf(options, sizeof(options),
             "-DCLATTN_PART_DTYPE=%d -DCLATTN_O_DTYPE=%d -DMERGE_LANES=%d -DMERGE_ROWS=%d -DMERGE_WIDTH=%d "
             "-DMERGE_BLOCKS=%d",
             (int)plan->desc.part_dtype, (int)plan->desc.o_dtype, shape->lanes, shape->rows, shape->width,
             shape->blocks);
    const clattn_kernel_spec spec = { "merge.cl", "clattn_merge", options, false };
    return clattn_kernel_get(plan->device, &spec, &plan->kernel);
}

/* A built kernel may allow less than its device; one work-item runs everywhere. */
static clattn_status compile_what_runs(clattn_merge_plan *plan)
{
    clattn_merge_shape *shape = &plan->shape;
    *shape = choose_shape(plan->device, plan->desc.v_head_dim);
    CLATTN_TRY(compile(plan));
    if (plan->kernel->max_work_group_size >= (size_t)(shape->lanes * shape->rows))
        return CLATTN_OK;
    clattn_kernel_release(plan->kernel);
    plan->kernel = NULL;
    shape->lanes = shape->rows = 1;
    shape->blocks = blocks_of(plan->desc.v_head_dim, shape->width);
    return compile(plan);
}

static clattn_status first_launch(void *user, int index, cl_command_queue queue, cl_mem memory)
{
    (void)index;
    clattn_merge_call call = { .tokens = 0 };
    for (int i = 0; i < CLATTN_MERGE_ARGUMENT_COUNT; i++)
        call.memory[i] = memory;
    return clattn_merge_enqueue(user, &call, queue, 0, NULL, NULL);
}

clattn_status clattn_merge_plan_build(clattn_device *device, const clattn_merge_desc *desc, clattn_merge_plan **out)
{
    clattn_merge_plan *plan = calloc(1, sizeof(*plan));
    if (!plan)
        return clattn_fail(CLATTN_OUT_OF_MEMORY, "no memory for a plan");
    plan->device = clattn_device_retain(device);
    plan->desc = *desc;
    clattn_status status = compile_what_runs(plan);
    if (status == CLATTN_OK)
        status = clattn_kernels_warm_up(device, &plan->kernel, 1, first_launch, plan);
    if (status != CLATTN_OK) {
        clattn_merge_plan_free(plan);
        return status;
    }
    *out = plan;
    return CLATTN_OK;
}

void clattn_merge_plan_free(clattn_merge_plan *plan)
{
    if (plan->kernel)
        clattn_kernel_release(plan->kernel);
    clattn_device_release(plan->device);
    free(plan);
}

static int32_t rows_per_group(const clattn_merge_plan *plan, int64_t rows)
{
    if (plan->shape.rows > 1)
        return plan->shape.rows;
    const int64_t spread = rows / ((int64_t)clattn_device_probed(plan->device)->compute_units * GROUPS_PER_UNIT);
    return spread < 1 ? 1 : spread > MAX_ROWS_PER_GROUP ? MAX_ROWS_PER_GROUP : (int32_t)spread;
}

static merge_args args_of(const clattn_merge_plan *plan, const clattn_merge_call *call)
{
    const clattn_merge_desc *d = &plan->desc;
    const int64_t rows = (int64_t)call->tokens * d->q_heads;
    return (merge_args){
        .o_parts_offset = call->offsets[CLATTN_MERGE_O_PARTS],
        .o_parts_part = d->o_parts.part,
        .o_parts_token = d->o_parts.token,
        .o_parts_head = d->o_parts.head,
        .lse_parts_offset = call->offsets[CLATTN_MERGE_LSE_PARTS],
        .lse_parts_part = d->lse_parts.part,
        .lse_parts_token = d->lse_parts.token,
        .lse_parts_head = d->lse_parts.head,
        .o_offset = call->offsets[CLATTN_MERGE_O],
        .o_token = d->o.token,
        .o_head = d->o.head,
        .lse_offset = d->has_lse ? call->offsets[CLATTN_MERGE_LSE] : -1,
        .lse_token = d->lse.token,
        .lse_head = d->lse.head,
        .sinks_offset = d->has_sinks ? call->offsets[CLATTN_MERGE_SINKS] : -1,
        .rows = rows,
        .rows_per_group = rows_per_group(plan, rows),
        .heads = d->q_heads,
        .dim = d->v_head_dim,
        .parts = call->parts,
    };
}

static cl_int set_and_enqueue(const clattn_merge_plan *plan, const clattn_merge_call *call, const merge_args *args,
                              cl_command_queue queue, cl_uint num_wait, const cl_event *wait_list, cl_event *event)
{
    cl_kernel kernel = plan->kernel->handle;
    cl_int code = clSetKernelArg(kernel, 0, sizeof(*args), args);
    for (int i = 0; i < CLATTN_MERGE_ARGUMENT_COUNT && code == CL_SUCCESS; i++)
        code = clSetKernelArg(kernel, (cl_uint)i + 1, sizeof(cl_mem), &call->memory[i]);
    if (code != CL_SUCCESS)
        return code;
    const int64_t wanted = (args->rows + args->rows_per_group - 1) / args->rows_per_group;
    const size_t groups = wanted < 1 ? 1 : wanted > MAX_GROUPS ? MAX_GROUPS : (size_t)wanted;
    const size_t local[2] = { (size_t)plan->shape.lanes, (size_t)plan->shape.rows };
    const size_t global[2] = { local[0] * groups, local[1] };
    return clEnqueueNDRangeKernel(queue, kernel, 2, NULL, global, local, num_wait, wait_list, event);
}

clattn_status clattn_merge_enqueue(const clattn_merge_plan *plan, const clattn_merge_call *call, cl_command_queue queue,
                                   cl_uint num_wait, const cl_event *wait_list, cl_event *event)
{
    const merge_args args = args_of(plan, call);
    pthread_mutex_lock(&plan->kernel->lock);
    const cl_int code = set_and_enqueue(plan, call, &args, queue, num_wait, wait_list, event);
    pthread_mutex_unlock(&plan->kernel->lock);
    return code == CL_SUCCESS ? CLATTN_OK : clattn_fail_cl("clEnqueueNDRangeKernel", code);
}
