/* SPDX-License-Identifier: BSD-2-Clause */
#include "problem.h"

#include <math.h>
#include <stdlib.h>

#include "command.h"
#include "problem_parts.h"

/* Which option gives which input. */
static const struct {
    option_id option;
    job_input input;
} sources[] = {
    { OPTION_run_q, JOB_Q },
    { OPTION_run_k, JOB_K },
    { OPTION_run_v, JOB_V },
    { OPTION_run_k_cache, JOB_K },
    { OPTION_run_v_cache, JOB_V },
    { OPTION_run_block_table, JOB_BLOCK_TABLE },
    { OPTION_run_cu_seqlens_q, JOB_CU_SEQLENS_Q },
    { OPTION_run_cu_seqlens_k, JOB_CU_SEQLENS_KV },
    { OPTION_run_kv_lens, JOB_KV_LENS },
    { OPTION_run_q_offset, JOB_Q_OFFSETS },
    { OPTION_run_mask, JOB_MASK },
    { OPTION_run_alibi, JOB_ALIBI },
    { OPTION_run_sinks, JOB_SINKS },
};

static int read_operands(const options *given, problem *out)
{
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++) {
        const option_value *value = &given->values[sources[i].option];
        if (!value->given || value->is_integer)
            continue;
        int status = operand_read(&out->operands[sources[i].input], option_rows[sources[i].option].name, value->text);
        if (status != EXIT_DONE)
            return status;
    }
    return EXIT_DONE;
}

static int read_shape(const problem *in, const operand *tensor, problem_shape *out)
{
    static const char *const orders[] = { "[batch, heads, length, dim]", "[batch, length, heads, dim]",
                                          "[tokens, heads, dim]" };
    const npy_header *header = &tensor->array.header;
    char text[NPY_SHAPE_TEXT];
    int rank = in->layout == LAYOUT_THD ? 3 : 4;
    int status = operand_require_float(tensor);
    if (status != EXIT_DONE)
        return status;
    if (header->rank != rank)
        return fail("%s is '%s' of shape %s; it has to be of rank %d, %s", tensor->option, tensor->path,
                    operand_shape(tensor, text), rank, orders[in->layout]);
    for (int i = 0; i < rank; i++)
        if (header->shape[i] > INT32_MAX)
            return fail("%s is '%s' of shape %s; no dimension may be over %d", tensor->option, tensor->path,
                        operand_shape(tensor, text), INT32_MAX);
    const int64_t *shape = header->shape;
    int heads = in->layout == LAYOUT_BSHD ? 2 : 1, length = in->layout == LAYOUT_BHSD   ? 2
                                                            : in->layout == LAYOUT_BSHD ? 1
                                                                                        : 0;
    out->batch = in->layout == LAYOUT_THD ? 1 : (int32_t)shape[0];
    out->heads = (int32_t)shape[heads];
    out->length = (int32_t)shape[length];
    out->dim = (int32_t)shape[rank - 1];
    return EXIT_DONE;
}

static int require_dim(const operand *tensor, int32_t dim)
{
    if (dim >= 1 && dim <= MAX_HEAD_DIM)
        return EXIT_DONE;
    return fail("%s is '%s', whose last dimension is %d; it has to be 1 to %d", tensor->option, tensor->path, dim,
                MAX_HEAD_DIM);
}

static int require_equal(const char *what, const char *a, int32_t have, const char *b, int32_t want)
{
    if (have == want)
        return EXIT_DONE;
    return fail("%s's %s is %d and %s's is %d; they have to be equal", a, what, have, b, want);
}

static int check_shapes(const problem *in)
{
    const problem_shape *q = &in->q, *k = &in->k, *v = &in->v;
    const char *k_name = in->operands[JOB_K].option, *v_name = in->operands[JOB_V].option;
    int status = require_equal("batch", k_name, k->batch, "--q", q->batch);
    if (status == EXIT_DONE)
        status = require_equal("batch", v_name, v->batch, "--q", q->batch);
    if (status == EXIT_DONE)
        status = require_equal("number of heads", v_name, v->heads, k_name, k->heads);
    if (status == EXIT_DONE)
        status = require_equal(in->layout == LAYOUT_THD ? "number of tokens" : "length", v_name, v->length, k_name,
                               k->length);
    if (status == EXIT_DONE)
        status = require_equal("last dimension", k_name, k->dim, "--q", q->dim);
    if (status == EXIT_DONE)
        status = require_dim(&in->operands[JOB_Q], q->dim);
    if (status == EXIT_DONE)
        status = require_dim(&in->operands[JOB_V], v->dim);
    if (status != EXIT_DONE)
        return status;
    if (q->heads < 1 || k->heads < 1 || q->heads % k->heads != 0)
        return fail(
            "--q has %d heads and %s has %d; both have to be at least 1, and the first a multiple of the second",
            q->heads, k_name, k->heads);
    return EXIT_DONE;
}

static clattn_strides make_strides(problem_layout layout, const problem_shape *shape)
{
    int64_t heads = shape->heads, length = shape->length, dim = shape->dim;
    switch (layout) {
    case LAYOUT_BHSD:
        return (clattn_strides){ .batch = heads * length * dim, .token = dim, .head = length * dim };
    case LAYOUT_BSHD:
        return (clattn_strides){ .batch = length * heads * dim, .token = heads * dim, .head = dim };
    case LAYOUT_THD:
        break;
    }
    return (clattn_strides){ .batch = 0, .token = heads * dim, .head = dim };
}

static void describe_layout(problem *out)
{
    clattn_attention_desc *desc = &out->job.desc;
    problem_shape o = out->q, lse = out->q;
    o.dim = out->v.dim;
    lse.dim = 1;
    desc->q = make_strides(out->layout, &out->q);
    desc->k = make_strides(out->layout, &out->k);
    desc->v = make_strides(out->layout, &out->v);
    desc->o = make_strides(out->layout, &o);
    desc->lse = make_strides(out->layout, &lse);
    desc->q_heads = out->q.heads;
    desc->kv_heads = out->k.heads;
    desc->head_dim = out->q.dim;
    desc->v_head_dim = out->v.dim;
    const npy_header *q = &out->operands[JOB_Q].array.header;
    out->out_rank = q->rank;
    for (int i = 0; i < q->rank; i++)
        out->out_shape[i] = q->shape[i];
    out->out_shape[q->rank - 1] = out->v.dim;
}

static int convert_tensors(const options *given, problem *out)
{
    int choice = given->values[OPTION_run_dtype].choice; /* auto|f32|f16|bf16 */
    bool half = out->operands[JOB_Q].array.header.type == NPY_F16;
    out->dtype = choice <= 0   ? (half ? CLATTN_F16 : CLATTN_F32)
                 : choice == 1 ? CLATTN_F32
                 : choice == 2 ? CLATTN_F16
                               : CLATTN_BF16;
    clattn_attention_desc *desc = &out->job.desc;
    desc->q_dtype = desc->k_dtype = desc->v_dtype = desc->o_dtype = out->dtype;
    int status = operand_convert(&out->operands[JOB_Q], out->dtype);
    if (status == EXIT_DONE)
        status = operand_convert(&out->operands[JOB_K], out->dtype);
    if (status == EXIT_DONE)
        status = operand_convert(&out->operands[JOB_V], out->dtype);
    return status;
}

static int make_outputs(const options *given, problem *out)
{
    int64_t rows = 1;
    for (int i = 0; i < out->out_rank - 1; i++)
        rows *= out->out_shape[i];
    size_t elements = 0;
    if (__builtin_mul_overflow((size_t)rows, (size_t)out->v.dim, &elements) || elements > PTRDIFF_MAX / 4)
        return fail("--out would have %lld rows of %d elements, which overflows 63 bits", (long long)rows, out->v.dim);
    job *work = &out->job;
    work->o_size = elements * clattn_dtype_size(out->dtype);
    work->o = calloc(work->o_size ? work->o_size : 1, 1);
    work->desc.has_lse = given->values[OPTION_run_lse].given;
    if (work->desc.has_lse) {
        work->lse_size = (size_t)rows * sizeof *work->lse;
        work->lse = calloc(work->lse_size ? work->lse_size : 1, 1);
    }
    if (!work->o || (work->desc.has_lse && !work->lse))
        return fail("--out: no memory for %zu bytes", work->o_size + work->lse_size);
    return EXIT_DONE;
}

static int collect_inputs(const options *given, problem *out)
{
    (void)given;
    for (int i = 0; i < JOB_INPUT_COUNT; i++) {
        out->job.inputs[i].data = out->operands[i].data;
        out->job.inputs[i].size = out->operands[i].size;
    }
    return EXIT_DONE;
}

static int read_shapes(problem *out)
{
    int status = read_shape(out, &out->operands[JOB_Q], &out->q);
    if (status == EXIT_DONE && out->has_cache)
        return problem_read_cache_shapes(out);
    if (status == EXIT_DONE)
        status = read_shape(out, &out->operands[JOB_K], &out->k);
    return status == EXIT_DONE ? read_shape(out, &out->operands[JOB_V], &out->v) : status;
}

int problem_load(const options *given, problem *out)
{
    static int (*const steps[])(const options *, problem *) = {
        problem_read_lengths,
        problem_read_offsets,
        problem_read_logit_options,
        problem_read_mask,
        problem_read_head_vectors,
        convert_tensors,
        make_outputs,
        collect_inputs,
        problem_make_pages,
    };
    *out = (problem){
        .layout =
            (problem_layout)(given->values[OPTION_run_layout].given ? given->values[OPTION_run_layout].choice : 0),
        .has_cache = given->values[OPTION_run_k_cache].given,
    };
    clattn_attention_desc_init(&out->job.desc);
    int status = problem_check_page_options(given);
    if (status == EXIT_DONE)
        status = read_operands(given, out);
    if (status == EXIT_DONE)
        status = read_shapes(out);
    if (status == EXIT_DONE)
        status = check_shapes(out);
    if (status == EXIT_DONE)
        describe_layout(out);
    for (size_t i = 0; i < sizeof steps / sizeof *steps && status == EXIT_DONE; i++)
        status = steps[i](given, out);
    return status;
}

void problem_free(problem *used)
{
    for (int i = 0; i < JOB_INPUT_COUNT; i++)
        operand_free(&used->operands[i]);
    free(used->q_lens);
    free(used->kv_lens);
    free(used->slots);
    free(used->k_scales);
    free(used->v_scales);
    page_layout_free(&used->pages);
    free(used->job.o);
    free(used->job.lse);
    *used = (problem){ .batch = 0 };
}

void problem_add_inputs(const problem *used, outputs *out)
{
    for (int i = 0; i < JOB_INPUT_COUNT; i++)
        if (used->operands[i].path)
            outputs_add_input(out, used->operands[i].option, used->operands[i].path);
}
