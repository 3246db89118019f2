/* SPDX-License-Identifier: BSD-2-Clause */
/* Causal attention of one sequence, from host arrays to a checked result. Build it against an installed clattn:
 *   cc -std=c11 -o attention attention.c $(pkg-config --cflags --libs clattn OpenCL) -lm
 * It takes the first OpenCL device that it finds, or the one of the platform that argv[1] counts. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <clattn/clattn.h>

enum { BATCH = 1, TOKENS = 200, Q_HEADS = 4, KV_HEADS = 2, DIM = 64 };
enum { Q_COUNT = BATCH * TOKENS * Q_HEADS * DIM, KV_COUNT = BATCH * TOKENS * KV_HEADS * DIM };

static void check_cl(cl_int code, const char *what)
{
    if (code != CL_SUCCESS) {
        fprintf(stderr, "%s: OpenCL error %d\n", what, code);
        exit(1);
    }
}

static void check(clattn_status status)
{
    if (status != CLATTN_OK) {
        fprintf(stderr, "%s: %s\n", clattn_status_name(status), clattn_last_error());
        exit(1);
    }
}

static cl_device_id first_device(unsigned wanted)
{
    cl_platform_id platforms[16];
    cl_uint count = 0;
    check_cl(clGetPlatformIDs(16, platforms, &count), "clGetPlatformIDs");
    for (cl_uint i = wanted; i < count && i < 16; i++) {
        cl_device_id device;
        if (clGetDeviceIDs(platforms[i], CL_DEVICE_TYPE_ALL, 1, &device, NULL) == CL_SUCCESS)
            return device;
    }
    fprintf(stderr, "no OpenCL device found\n");
    exit(1);
}

/* Numbers in [-1, 1) that are the same on every machine. */
static void fill(float *x, size_t count, uint32_t seed)
{
    for (size_t i = 0; i < count; i++) {
        seed = seed * 1664525u + 1013904223u;
        x[i] = (float)(seed >> 8) / 8388608.0f - 1.0f;
    }
}

static cl_mem upload(cl_context context, size_t size, float *data)
{
    cl_int code;
    cl_mem_flags flags = data ? CL_MEM_READ_ONLY | CL_MEM_COPY_HOST_PTR : CL_MEM_READ_WRITE;
    cl_mem mem = clCreateBuffer(context, flags, size, data, &code);
    check_cl(code, "clCreateBuffer");
    return mem;
}

/* The plan: what compiles. Q and O are [batch, tokens, Q_HEADS, DIM], K and V [batch, tokens, KV_HEADS, DIM]. */
static clattn_plan *make_plan(clattn_device *device)
{
    clattn_strides q = { .batch = TOKENS * Q_HEADS * DIM, .token = Q_HEADS * DIM, .head = DIM };
    clattn_strides kv = { .batch = TOKENS * KV_HEADS * DIM, .token = KV_HEADS * DIM, .head = DIM };
    clattn_attention_desc desc =
        CLATTN_ATTENTION_DESC(.q_heads = Q_HEADS, .kv_heads = KV_HEADS, .head_dim = DIM, .max_batch = BATCH,
                              .max_q_len = TOKENS, .max_kv_len = TOKENS, .q = q, .k = kv, .v = kv, .o = q, .causal = 1);
    clattn_plan *plan = NULL;
    check(clattn_plan_create(device, &desc, NULL, &plan));
    return plan;
}

/* One step: uploads the inputs, runs attention, waits for it and reads the result to `o`. */
static void attend(const clattn_plan *plan, cl_context context, cl_command_queue queue, float *q, float *k, float *v,
                   float *o)
{
    size_t workspace_size = clattn_plan_workspace_size(plan);
    cl_mem q_mem = upload(context, Q_COUNT * sizeof(float), q);
    cl_mem k_mem = upload(context, KV_COUNT * sizeof(float), k);
    cl_mem v_mem = upload(context, KV_COUNT * sizeof(float), v);
    cl_mem o_mem = upload(context, Q_COUNT * sizeof(float), NULL);
    cl_mem workspace = workspace_size ? upload(context, workspace_size, NULL) : NULL;

    clattn_schedule schedule;
    clattn_lengths lengths = { .batch = BATCH, .q_len = TOKENS, .kv_len = TOKENS };
    check(clattn_schedule_make(plan, &lengths, &schedule));

    clattn_attention_args args =
        CLATTN_ATTENTION_ARGS(.q = { .handle = q_mem }, .k = { .handle = k_mem }, .v = { .handle = v_mem },
                              .o = { .handle = o_mem }, .workspace = { .handle = workspace });
    cl_event done;
    check(clattn_attention_run(plan, &schedule, &args, queue, 0, NULL, &done));
    check_cl(clEnqueueReadBuffer(queue, o_mem, CL_TRUE, 0, Q_COUNT * sizeof(float), o, 1, &done, NULL),
             "clEnqueueReadBuffer");

    clReleaseEvent(done);
    cl_mem mems[] = { q_mem, k_mem, v_mem, o_mem };
    for (size_t i = 0; i < sizeof(mems) / sizeof(mems[0]); i++)
        clReleaseMemObject(mems[i]);
    if (workspace)
        clReleaseMemObject(workspace);
}

/* The largest difference from attention in double, over one head of the last query, which attends every key. */
static double error_of_last_query(const float *q, const float *k, const float *v, const float *o, int head)
{
    int kv_head = head / (Q_HEADS / KV_HEADS);
    const float *row = q + ((TOKENS - 1) * Q_HEADS + head) * DIM;
    double sum = 0, y[DIM] = { 0 }, worst = 0;
    for (int j = 0; j < TOKENS; j++) {
        double logit = 0;
        for (int d = 0; d < DIM; d++)
            logit += (double)row[d] * (double)k[(j * KV_HEADS + kv_head) * DIM + d];
        double p = exp(logit / sqrt(DIM));
        sum += p;
        for (int d = 0; d < DIM; d++)
            y[d] += p * (double)v[(j * KV_HEADS + kv_head) * DIM + d];
    }
    for (int d = 0; d < DIM; d++)
        worst = fmax(worst, fabs(y[d] / sum - (double)o[((TOKENS - 1) * Q_HEADS + head) * DIM + d]));
    return worst;
}

int main(int argc, char **argv)
{
    static float q[Q_COUNT], k[KV_COUNT], v[KV_COUNT], o[Q_COUNT];
    fill(q, Q_COUNT, 1);
    fill(k, KV_COUNT, 2);
    fill(v, KV_COUNT, 3);

    cl_int code;
    cl_device_id id = first_device(argc > 1 ? (unsigned)atoi(argv[1]) : 0);
    cl_context context = clCreateContext(NULL, 1, &id, NULL, NULL, &code);
    check_cl(code, "clCreateContext");
    cl_command_queue queue = clCreateCommandQueue(context, id, 0, &code);
    check_cl(code, "clCreateCommandQueue");

    clattn_device *device = NULL;
    check(clattn_device_create(context, id, NULL, &device));
    clattn_plan *plan = make_plan(device);
    attend(plan, context, queue, q, k, v, o);

    double worst = 0;
    for (int head = 0; head < Q_HEADS; head++)
        worst = fmax(worst, error_of_last_query(q, k, v, o, head));
    clattn_device_info info;
    check(clattn_device_get_info(device, &info));
    printf("clattn %s on %s: largest error of the last query %.1e\n", clattn_version(), info.device_name, worst);

    clattn_plan_destroy(&plan);
    clattn_device_destroy(&device);
    clReleaseCommandQueue(queue);
    clReleaseContext(context);
    return worst <= 1e-4 ? 0 : 1;
}
