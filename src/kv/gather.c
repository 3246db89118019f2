/* SPDX-License-Identifier: BSD-2-Clause */
#include "kv/gather.h"

#include <stdio.h>
#include <stdlib.h>

#include "kernel/first_launch.h"
#include "util/status.h"

#define CLATTN_HOST
#include "gather_args.clh"

_Static_assert(GATHER_ERROR_PAGE_ID == CLATTN_ERROR_PAGE_ID, "the kernel and the interface share the record's bits");

/* Tokens a group: enough that the group's start costs little, few enough that short sequences still make many groups.
 */
#define GATHER_TOKENS 16
/* Of groups where work-items run side by side; on a CPU they would be one loop inside another. */
#define GROUP_LANES 32
#define GROUP_ROWS  8
/* Some drivers count groups of dimension 2 in 16 bits; each group takes further sequences by itself. */
#define MAX_GROUPS_Z 65535
/* Longest row that heads are joined into: far from where 32 bits end. */
#define MAX_JOINED_ROW (1 << 30)

static clattn_status compile(clattn_gather_plan *plan)
{
    char options[128];
    snprintf(options, sizeof(options),
             "-DGATHER_ELEMENT_SIZE=%zu -DGATHER_TOKENS=%d -DGATHER_LANES=%zu -DGATHER_ROWS=%zu",
             clattn_dtype_size(plan->desc.dtype), GATHER_TOKENS, plan->local_size[0], plan->local_size[1]);
    const clattn_kernel_spec spec = { "gather.cl", "clattn_gather", options };
    return clattn_kernel_get(plan->device, &spec, &plan->kernel);
}

static void choose_local_size(clattn_gather_plan *plan)
{
    const bool cpu = (clattn_device_type(plan->device) & CL_DEVICE_TYPE_CPU) != 0;
    const bool fits = clattn_device_probed(plan->device)->max_work_group_size >= GROUP_LANES * GROUP_ROWS;
    plan->local_size[0] = !cpu && fits ? GROUP_LANES : 1;
    plan->local_size[1] = !cpu && fits ? GROUP_ROWS : 1;
}

/* A built kernel may allow less than its device; one work-item runs everywhere. */
static clattn_status compile_what_runs(clattn_gather_plan *plan)
{
    choose_local_size(plan);
    CLATTN_TRY(compile(plan));
    if (plan->kernel->max_work_group_size >= plan->local_size[0] * plan->local_size[1])
        return CLATTN_OK;
    clattn_kernel_release(plan->kernel);
    plan->kernel = NULL;
    plan->local_size[0] = plan->local_size[1] = 1;
    return compile(plan);
}

static clattn_status first_launch(void *user, int index, cl_command_queue queue, cl_mem memory)
{
    (void)index;
    clattn_gather_call call = { .batch = 0 };
    for (int i = 0; i < CLATTN_GATHER_ARGUMENT_COUNT; i++)
        call.memory[i] = memory;
    return clattn_gather_enqueue(user, &call, queue, 0, NULL, NULL);
}

clattn_status clattn_gather_plan_build(clattn_device *device, const clattn_gather_desc *desc, clattn_gather_plan **out)
{
    clattn_gather_plan *plan = calloc(1, sizeof(*plan));
    if (!plan)
        return clattn_fail(CLATTN_OUT_OF_MEMORY, "no memory for a plan");
    plan->device = clattn_device_retain(device);
    plan->desc = *desc;
    if (plan->desc.block_table_stride == 0)
        plan->desc.block_table_stride = desc->max_pages;
    clattn_status status = compile_what_runs(plan);
    if (status == CLATTN_OK)
        status = clattn_kernels_warm_up(device, &plan->kernel, 1, first_launch, plan);
    if (status != CLATTN_OK) {
        clattn_gather_plan_free(plan);
        return status;
    }
    *out = plan;
    return CLATTN_OK;
}

void clattn_gather_plan_free(clattn_gather_plan *plan)
{
    if (plan->kernel)
        clattn_kernel_release(plan->kernel);
    clattn_device_release(plan->device);
    free(plan);
}

/* Whether a token's heads lie behind one another on both sides, so that they are one row to a copy. */
static bool heads_join(const clattn_gather_desc *d)
{
    const bool neighbours = d->cache.head == d->head_dim && d->out.head == d->head_dim;
    return (d->kv_heads == 1 || neighbours) && (int64_t)d->kv_heads * d->head_dim <= MAX_JOINED_ROW;
}

static gather_args args_of(const clattn_gather_plan *plan, const clattn_gather_call *call)
{
    const clattn_gather_desc *d = &plan->desc;
    const bool join = heads_join(d);
    return (gather_args){
        .cache_offset = call->offsets[CLATTN_GATHER_CACHE],
        .cache_page = d->cache.page,
        .cache_token = d->cache.token,
        .cache_head = d->cache.head,
        .out_offset = call->offsets[CLATTN_GATHER_OUT],
        .out_batch = d->out.batch,
        .out_token = d->out.token,
        .out_head = d->out.head,
        .block_table_offset = call->offsets[CLATTN_GATHER_BLOCK_TABLE],
        .block_table_row = d->block_table_stride,
        .kv_lens_offset = call->offsets[CLATTN_GATHER_KV_LENS],
        .error_record_offset = call->has_error_record ? call->offsets[CLATTN_GATHER_ERROR_RECORD] : -1,
        .capacity = (int64_t)d->max_pages * d->page_size,
        .batch = call->batch,
        .out_len = call->out_len,
        .pages = d->pages,
        .page_size = d->page_size,
        .heads = join ? 1 : d->kv_heads,
        .head_dim = join ? d->kv_heads * d->head_dim : d->head_dim,
    };
}

static cl_int set_and_enqueue(const clattn_gather_plan *plan, const clattn_gather_call *call, const gather_args *args,
                              cl_command_queue queue, cl_uint num_wait, const cl_event *wait_list, cl_event *event)
{
    cl_kernel kernel = plan->kernel->handle;
    cl_int code = clSetKernelArg(kernel, 0, sizeof(*args), args);
    for (int i = 0; i < CLATTN_GATHER_ARGUMENT_COUNT && code == CL_SUCCESS; i++)
        code = clSetKernelArg(kernel, (cl_uint)i + 1, sizeof(cl_mem), &call->memory[i]);
    if (code != CL_SUCCESS)
        return code;
    const size_t chunks = ((size_t)call->out_len + GATHER_TOKENS - 1) / GATHER_TOKENS;
    const size_t sequences = call->batch < MAX_GROUPS_Z ? (size_t)call->batch : MAX_GROUPS_Z;
    const size_t local[3] = { plan->local_size[0], plan->local_size[1], 1 };
    const size_t global[3] = { local[0] * (chunks ? chunks : 1), local[1], sequences ? sequences : 1 };
    return clEnqueueNDRangeKernel(queue, kernel, 3, NULL, global, local, num_wait, wait_list, event);
}

clattn_status clattn_gather_enqueue(const clattn_gather_plan *plan, const clattn_gather_call *call,
                                    cl_command_queue queue, cl_uint num_wait, const cl_event *wait_list,
                                    cl_event *event)
{
    const gather_args args = args_of(plan, call);
    pthread_mutex_lock(&plan->kernel->lock);
    const cl_int code = set_and_enqueue(plan, call, &args, queue, num_wait, wait_list, event);
    pthread_mutex_unlock(&plan->kernel->lock);
    return code == CL_SUCCESS ? CLATTN_OK : clattn_fail_cl("clEnqueueNDRangeKernel", code);
}
