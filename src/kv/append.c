/* SPDX-License-Identifier: BSD-2-Clause */
#include "kv/append.h"

#include <stdio.h>
#include <stdlib.h>

#include "kernel/first_launch.h"
#include "util/status.h"

#define CLATTN_HOST
#include "append_args.clh"

_Static_assert(APPEND_MAX_PLANES == CLATTN_APPEND_MAX_PLANES, "the kernel and the host share the number of planes");

static bool copies(const clattn_append_plane *plane)
{
    return plane->src_dtype == plane->dtype;
}

static bool same_kernel(const clattn_append_plane *a, const clattn_append_plane *b)
{
    return copies(a) ? copies(b) : a->src_dtype == b->src_dtype && a->dtype == b->dtype;
}

int clattn_append_launches(const clattn_append_plan *plan)
{
    return plan->shares_kernel ? 1 : plan->num_planes;
}

static clattn_status compile(clattn_append_plan *plan)
{
    for (int launch = 0; launch < clattn_append_launches(plan); launch++) {
        const clattn_append_plane *plane = &plan->planes[launch];
        char options[64] = "-DAPPEND_COPIES";
        if (!copies(plane))
            snprintf(options, sizeof(options), "-DFROM_DTYPE=%d -DTO_DTYPE=%d", (int)plane->src_dtype,
                     (int)plane->dtype);
        CLATTN_TRY(clattn_group_kernel_get(plan->device, "append.cl", "clattn_append", options, &plan->tiles[launch],
                                           &plan->kernels[launch]));
    }
    return CLATTN_OK;
}

static clattn_status first_launch(void *user, int index, cl_command_queue queue, cl_mem memory)
{
    clattn_append_call call = { .slots = memory, .error_record = memory, .error_record_offset = -1 };
    for (int i = 0; i < CLATTN_APPEND_MAX_PLANES; i++)
        call.planes[i] = (clattn_append_plane_call){ .src = memory, .cache = memory, .scales = memory };
    return clattn_append_enqueue(user, index, &call, queue, 0, NULL, NULL);
}

static clattn_status build(clattn_append_plan *plan)
{
    CLATTN_TRY(compile(plan));
    clattn_kernel *kernels[] = { plan->kernels[0].kernel, plan->kernels[1].kernel };
    return clattn_kernels_warm_up(plan->device, kernels, CLATTN_APPEND_MAX_PLANES, first_launch, plan);
}

/* A plane without keys or values, of no dims, is left out. */
static void take_plane(clattn_append_plan *plan, const clattn_append_plane *plane, const clattn_tile *tile)
{
    if (plane->head_dim == 0)
        return;
    plan->planes[plan->num_planes] = *plane;
    plan->tiles[plan->num_planes++] = tile ? *tile : clattn_group_default(plan->device, CLATTN_ALGORITHM_APPEND);
}

clattn_status clattn_append_plan_build(clattn_device *device, const clattn_append_desc *desc, const clattn_tile *k_tile,
                                       const clattn_tile *v_tile, clattn_append_plan **out)
{
    clattn_append_plan *plan = calloc(1, sizeof(*plan));
    if (!plan)
        return clattn_fail(CLATTN_OUT_OF_MEMORY, "no memory for a plan");
    plan->device = clattn_device_retain(device);
    plan->desc = *desc;
    take_plane(plan, &desc->k, k_tile);
    take_plane(plan, &desc->v, v_tile);
    plan->shares_kernel = plan->num_planes == 2 && same_kernel(&plan->planes[0], &plan->planes[1]);
    const clattn_status status = build(plan);
    if (status != CLATTN_OK) {
        clattn_append_plan_free(plan);
        return status;
    }
    *out = plan;
    return CLATTN_OK;
}

void clattn_append_plan_free(clattn_append_plan *plan)
{
    for (int launch = 0; launch < CLATTN_APPEND_MAX_PLANES; launch++)
        if (plan->kernels[launch].kernel)
            clattn_kernel_release(plan->kernels[launch].kernel);
    clattn_device_release(plan->device);
    free(plan);
}

/* Whether a token's heads lie behind one another on both sides, so that they are one row: not where each has a scale.
 */
static bool heads_join(const clattn_append_plane *plane, int32_t kv_heads)
{
    const int64_t bytes = (int64_t)kv_heads * plane->head_dim * (int64_t)sizeof(float);
    const int64_t blocks = plane->head_dim / clattn_dtype_block_len(plane->dtype);
    const bool neighbours = plane->src.head == plane->head_dim && plane->cache.head == blocks;
    return plane->dtype != CLATTN_FP8 && (kv_heads == 1 || neighbours) && bytes <= CLATTN_MAX_JOINED_ROW;
}

static append_plane plane_args(const clattn_append_plan *plan, int index, const clattn_append_plane_call *call)
{
    const clattn_append_plane *p = &plan->planes[index];
    const bool join = heads_join(p, plan->desc.kv_heads);
    const int64_t size = copies(p) ? (int64_t)clattn_dtype_size(p->dtype) : 1;
    append_plane args = {
        .src_offset = call->src_offset * size,
        .src_token = p->src.token * size,
        .src_head = p->src.head * size,
        .cache_offset = call->cache_offset * size,
        .cache_page = p->cache.page * size,
        .cache_token = p->cache.token * size,
        .cache_head = p->cache.head * size,
        .scales_offset = call->scales_offset,
        .heads = join ? 1 : plan->desc.kv_heads,
        .row = (join ? plan->desc.kv_heads * p->head_dim : p->head_dim) * (int32_t)size,
    };
    const int64_t numbers[] = { args.src_offset, args.src_token,   args.src_head,   args.cache_offset,
                                args.cache_page, args.cache_token, args.cache_head, args.row };
    args.unit = clattn_copy_unit(numbers, sizeof(numbers) / sizeof(numbers[0]));
    return args;
}

static append_args args_of(const clattn_append_plan *plan, int first, int planes, const clattn_append_call *call)
{
    append_args args = {
        .slots_offset = call->slots_offset,
        .slots = (int64_t)plan->desc.pages * plan->desc.page_size,
        .error_record_offset = call->error_record_offset,
        .tokens = call->tokens,
        .page_size = plan->desc.page_size,
    };
    for (int i = 0; i < planes; i++)
        args.planes[i] = plane_args(plan, first + i, &call->planes[first + i]);
    return args;
}

static cl_int set_arguments(cl_kernel kernel, const append_args *args, const clattn_append_call *call,
                            const clattn_append_plane_call *first, const clattn_append_plane_call *second)
{
    const cl_mem memory[] = { call->slots, first->src,    first->cache,   first->scales,
                              second->src, second->cache, second->scales, call->error_record };
    cl_int code = clSetKernelArg(kernel, 0, sizeof(*args), args);
    for (cl_uint i = 0; i < sizeof(memory) / sizeof(memory[0]) && code == CL_SUCCESS; i++)
        code = clSetKernelArg(kernel, i + 1, sizeof(cl_mem), &memory[i]);
    return code;
}

clattn_status clattn_append_enqueue(const clattn_append_plan *plan, int launch, const clattn_append_call *call,
                                    cl_command_queue queue, cl_uint num_wait, const cl_event *wait_list,
                                    cl_event *event)
{
    const int planes = plan->shares_kernel ? 2 : 1;
    const append_args args = args_of(plan, launch, planes, call);
    const clattn_group_kernel *group = &plan->kernels[launch];
    const size_t local[3] = { clattn_group_lanes(group), clattn_group_rows(group), 1 };
    const size_t global[3] = { local[0] * clattn_group_chunks(group, call->tokens), local[1], (size_t)planes };
    pthread_mutex_lock(&group->kernel->lock);
    cl_int code =
        set_arguments(group->kernel->handle, &args, call, &call->planes[launch], &call->planes[launch + planes - 1]);
    if (code == CL_SUCCESS)
        code = clEnqueueNDRangeKernel(queue, group->kernel->handle, 3, NULL, global, local, num_wait, wait_list, event);
    pthread_mutex_unlock(&group->kernel->lock);
    return code == CL_SUCCESS ? CLATTN_OK : clattn_fail_cl("clEnqueueNDRangeKernel", code);
}
