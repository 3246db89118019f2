/* SPDX-License-Identifier: BSD-2-Clause */
#include "plan/proof.h"

#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "plan/arguments.h"
#include "ref/ref.h"
#include "util/status.h"

/* Queries and keys are 16 times a unit vector, so that query i attends exactly the keys i, i + 64, i + 128, i + 192. */
enum { DIM = 64, QUERIES = 64, KEYS = 256, REASON_SIZE = 160 };

#define LENGTH          16.0f
#define LARGEST_MISTAKE 1e-2f

typedef struct proofs {
    pthread_mutex_t lock;
    struct {
        bool known;
        clattn_status status;
        char why[REASON_SIZE];
    } of[CLATTN_FRAGMENT_COUNT];
} proofs;

static void *proofs_make(void)
{
    proofs *all = calloc(1, sizeof(*all));
    if (all && pthread_mutex_init(&all->lock, NULL) != 0) {
        free(all);
        all = NULL;
    }
    return all;
}

static void proofs_destroy(void *object)
{
    proofs *all = object;
    pthread_mutex_destroy(&all->lock);
    free(all);
}

/* -6 to 6: what is exact in f16. */
static int value_of(int key, int dim)
{
    return (key * 7 + dim * 3) % 13 - 6;
}

static float answer_of(int query, int dim)
{
    int sum = 0;
    for (int key = query; key < KEYS; key += DIM)
        sum += value_of(key, dim);
    return (float)sum / (KEYS / DIM);
}

typedef struct trial {
    clattn_plan *plan;
    cl_command_queue queue;
    cl_mem unit_vectors, values, answers; /* of Q and K, of V, of O */
} trial;

static cl_int fill(cl_context context, const uint16_t *elements, cl_mem *memory)
{
    cl_int code = CL_SUCCESS;
    *memory = clCreateBuffer(context, CL_MEM_READ_ONLY | CL_MEM_COPY_HOST_PTR, KEYS * DIM * sizeof(*elements),
                             (void *)(uintptr_t)elements, &code);
    return code;
}

static cl_int make_inputs(trial *t, cl_context context)
{
    uint16_t *elements = calloc(KEYS * DIM, sizeof(*elements));
    if (!elements)
        return CL_OUT_OF_HOST_MEMORY;
    for (int key = 0; key < KEYS; key++)
        elements[key * DIM + key % DIM] = ref_f16_from_f32(LENGTH);
    cl_int code = fill(context, elements, &t->unit_vectors);
    for (int i = 0; i < KEYS * DIM; i++)
        elements[i] = ref_f16_from_f32((float)value_of(i / DIM, i % DIM));
    if (code == CL_SUCCESS)
        code = fill(context, elements, &t->values);
    if (code == CL_SUCCESS)
        t->answers = clCreateBuffer(context, CL_MEM_READ_WRITE, QUERIES * DIM * sizeof(uint16_t), NULL, &code);
    free(elements);
    return code;
}

static clattn_status trial_open(trial *t, clattn_device *device, clattn_fragment_id fragment, int32_t q_len)
{
    const clattn_strides rows = { .batch = KEYS * DIM, .token = DIM, .head = DIM };
    const clattn_attention_desc desc =
        CLATTN_ATTENTION_DESC(.q_dtype = CLATTN_F16, .k_dtype = CLATTN_F16, .v_dtype = CLATTN_F16,
                              .o_dtype = CLATTN_F16, .q_heads = 1, .kv_heads = 1, .head_dim = DIM, .q = rows, .k = rows,
                              .v = rows, .o = rows, .max_batch = 1, .max_q_len = q_len, .min_q_len = q_len,
                              .max_kv_len = KEYS, .scale = 1.0f);
    const clattn_plan_params params =
        CLATTN_PLAN_PARAMS(.fragment = clattn_fragment_row(fragment)->name, .ignore_records = true, .split_size = KEYS);
    cl_int code = CL_SUCCESS;
    CLATTN_TRY(clattn_plan_build_unproven(device, &desc, &params, &t->plan));
    t->queue = clCreateCommandQueue(clattn_device_context(device), clattn_device_id(device), 0, &code);
    if (code == CL_SUCCESS)
        code = make_inputs(t, clattn_device_context(device));
    return code == CL_SUCCESS ? CLATTN_OK : clattn_fail_cl("making a proof's buffers", code);
}

static void trial_close(trial *t)
{
    cl_mem memory[] = { t->unit_vectors, t->values, t->answers };
    for (size_t i = 0; i < sizeof(memory) / sizeof(memory[0]); i++)
        if (memory[i])
            clReleaseMemObject(memory[i]);
    if (t->queue)
        clReleaseCommandQueue(t->queue);
    if (t->plan)
        clattn_plan_free(t->plan);
}

static clattn_status run(const trial *t, uint16_t *answers, size_t size)
{
    const clattn_launches launches = clattn_launches_of_bounds(t->plan);
    clattn_bindings bindings = { 0 };
    for (int i = 0; i < CLATTN_ARG_COUNT; i++)
        bindings.memory[i] = t->answers;
    bindings.memory[CLATTN_ARG_Q] = bindings.memory[CLATTN_ARG_K] = t->unit_vectors;
    bindings.memory[CLATTN_ARG_V] = t->values;
    const attention_args args = clattn_attention_args_of(&launches, &bindings);
    for (int kind = 0; kind < CLATTN_STEP_COUNT; kind++) {
        size_t global[3];
        if (!clattn_launches_step(&launches, (clattn_step_kind)kind))
            continue;
        clattn_launches_grid(&launches, (clattn_step_kind)kind, global);
        CLATTN_TRY(
            clattn_step_enqueue(t->plan, (clattn_step_kind)kind, &args, &bindings, global, t->queue, 0, NULL, NULL));
    }
    const cl_int code = clEnqueueReadBuffer(t->queue, t->answers, CL_TRUE, 0, size, answers, 0, NULL, NULL);
    return code == CL_SUCCESS ? CLATTN_OK : clattn_fail_cl("reading a proof's answer", code);
}

static clattn_status compare(const uint16_t *answers, int q_len)
{
    for (int query = 0; query < q_len; query++)
        for (int dim = 0; dim < DIM; dim++) {
            const float got = ref_f32_from_f16(answers[query * DIM + dim]), right = answer_of(query, dim);
            if (!(fabsf(got - right) <= LARGEST_MISTAKE))
                return clattn_fail(CLATTN_UNSUPPORTED, "its answer of query %d, dim %d is %g; right is %g", query, dim,
                                   (double)got, (double)right);
        }
    return CLATTN_OK;
}

static clattn_status prove(clattn_device *device, clattn_fragment_id fragment, int32_t q_len)
{
    trial t = { 0 };
    uint16_t answers[QUERIES * DIM];
    clattn_status status = trial_open(&t, device, fragment, q_len);
    if (status == CLATTN_OK)
        status = run(&t, answers, (size_t)q_len * DIM * sizeof(answers[0]));
    if (status == CLATTN_OK)
        status = compare(answers, q_len);
    trial_close(&t);
    return status;
}

/* With the lock held. What is not the fragment's doing is not kept. */
static clattn_status prove_once(proofs *all, clattn_device *device, clattn_fragment_id fragment)
{
    clattn_status status = prove(device, fragment, QUERIES);
    if (status == CLATTN_OK)
        status = prove(device, fragment, 1);
    if (status == CLATTN_UNSUPPORTED || status == CLATTN_BUILD_FAILED)
        snprintf(all->of[fragment].why, REASON_SIZE, "its probe run failed: %s", clattn_last_error());
    else if (status != CLATTN_OK)
        return status;
    all->of[fragment].known = true;
    all->of[fragment].status = status;
    return CLATTN_OK;
}

clattn_status clattn_fragment_prove(clattn_device *device, clattn_fragment_id fragment)
{
    if (!clattn_fragment_is_tensor_core(fragment))
        return CLATTN_OK;
    proofs *all = clattn_device_attachment(device, CLATTN_SLOT_PROOFS, proofs_make, proofs_destroy);
    if (!all)
        return clattn_fail(CLATTN_OUT_OF_MEMORY, "no memory for a fragment's proof");
    pthread_mutex_lock(&all->lock);
    clattn_status status = all->of[fragment].known ? CLATTN_OK : prove_once(all, device, fragment);
    if (status == CLATTN_OK && all->of[fragment].status != CLATTN_OK)
        status = clattn_fail(all->of[fragment].status, "%s", all->of[fragment].why);
    pthread_mutex_unlock(&all->lock);
    return status;
}
