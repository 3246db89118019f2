/* SPDX-License-Identifier: BSD-2-Clause */
/* Scale, soft cap, windows, masks and per-head vectors of `clattn run`. */
#include <float.h>
#include <math.h>

#include "command.h"
#include "problem_parts.h"

/* The library takes 0 for "default" and "off", and a device may take what is below FLT_MIN for 0: what is not 0 must
 * not become that. Logits are 0 either way. */
static float to_normal_float(double value)
{
    if (value != 0 && fabs(value) < (double)FLT_MIN)
        return value < 0 ? -FLT_MIN : FLT_MIN;
    return (float)value;
}

int problem_read_logit_options(const options *given, problem *out)
{
    const option_value *scale = &given->values[OPTION_run_scale], *softcap = &given->values[OPTION_run_softcap];
    clattn_attention_desc *desc = &out->job.desc;
    desc->causal = given->values[OPTION_run_causal].given;
    if (scale->given && !isfinite((float)scale->real))
        return fail("--scale is %s; it has to be finite, as a float is: %g to %g", scale->text, -(double)FLT_MAX,
                    (double)FLT_MAX);
    if (softcap->given && (!isfinite((float)softcap->real) || softcap->real < 0))
        return fail("--softcap is %s; it has to be finite, as a float is: 0 to %g", softcap->text, (double)FLT_MAX);
    desc->scale = to_normal_float(scale->real);
    desc->softcap = to_normal_float(softcap->real);
    window_option window = { .given = false };
    const int status = options_read_window(&given->values[OPTION_run_window], &window);
    desc->window_mode = window.given ? CLATTN_WINDOW_LR : CLATTN_WINDOW_NONE;
    desc->window_left = window.left;
    desc->window_right = window.right;
    return status;
}

static int read_mask_type(operand *mask, clattn_attention_desc *desc)
{
    switch (mask->array.header.type) {
    case NPY_BOOL:
        desc->mask_kind = CLATTN_MASK_BOOL;
        mask->data = mask->array.data;
        mask->size = mask->array.header.elements;
        return EXIT_DONE;
    case NPY_F16:
        desc->mask_kind = CLATTN_MASK_ADD_F16;
        return operand_convert(mask, CLATTN_F16);
    case NPY_F32:
    case NPY_F64:
        desc->mask_kind = CLATTN_MASK_ADD_F32;
        return operand_convert(mask, CLATTN_F32);
    default:
        break;
    }
    return fail("--mask is '%s', which holds %s; it has to hold bool, float16 or float32", mask->path,
                npy_type_name(mask->array.header.type));
}

int problem_read_mask(const options *given, problem *out)
{
    (void)given;
    operand *mask = &out->operands[JOB_MASK];
    if (!mask->path)
        return EXIT_DONE;
    const npy_header *header = &mask->array.header;
    const int64_t target[4] = { out->batch, out->q.heads, out->max_q_len, out->max_kv_len };
    clattn_attention_desc *desc = &out->job.desc;
    int64_t *const strides[4] = { &desc->mask_batch_stride, &desc->mask_head_stride, &desc->mask_q_stride,
                                  &desc->mask_kv_stride };
    char have[NPY_SHAPE_TEXT], want[NPY_SHAPE_TEXT];
    bool fits = header->rank >= 1 && header->rank <= 4;
    int64_t stride = 1;
    for (int i = 3; fits && i >= 4 - header->rank; i--) {
        int64_t size = header->shape[i - (4 - header->rank)];
        fits = size == 1 || size == target[i];
        *strides[i] = size == 1 ? 0 : stride;
        stride *= size;
    }
    if (!fits)
        return fail("--mask is '%s' of shape %s; it has to have rank 1 to 4 and broadcast from the right to "
                    "[batch, q_heads, q_len, kv_len], which is %s",
                    mask->path, operand_shape(mask, have), npy_shape_text(4, target, want));
    return read_mask_type(mask, desc);
}

int problem_read_head_vectors(const options *given, problem *out)
{
    (void)given;
    operand *alibi = &out->operands[JOB_ALIBI], *sinks = &out->operands[JOB_SINKS];
    int status = EXIT_DONE;
    if (alibi->path)
        status = operand_to_floats(alibi, out->q.heads, "q_heads");
    if (status == EXIT_DONE && sinks->path)
        status = operand_to_floats(sinks, out->q.heads, "q_heads");
    out->job.desc.has_alibi = alibi->path != NULL;
    out->job.desc.has_sinks = sinks->path != NULL;
    return status;
}
