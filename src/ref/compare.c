/* SPDX-License-Identifier: BSD-2-Clause */
#include <math.h>
#include <stdlib.h>

#include "ref/ref_internal.h"

ref_tolerance ref_tolerance_of(clattn_dtype dtype)
{
    switch (dtype) {
    case CLATTN_F16:
        return (ref_tolerance){ .absolute = 2e-3, .logit = 0.0, .relative = 4e-3 };
    case CLATTN_BF16:
        return (ref_tolerance){ .absolute = 1.6e-2, .logit = 0.0, .relative = 1.6e-2 };
    default:
        break;
    }
    return (ref_tolerance){ .absolute = 2e-5, .logit = 1e-6, .relative = 1e-3 };
}

bool ref_passed(const ref_comparison *comparison)
{
    return comparison->compared > 0 && comparison->failed == 0;
}

/* Where an element stands, and the tolerance of its row. */
typedef struct place {
    int32_t b, i, q_head, d;
    double max_abs_logit;
} place;

double ref_error_ratio(const ref_tolerance *tolerance, double max_abs_logit, double got, double want)
{
    if (isfinite(got) && isfinite(want))
        return fabs(got - want) /
               (tolerance->absolute + tolerance->logit * max_abs_logit + tolerance->relative * fabs(want));
    return (isnan(got) && isnan(want)) || got == want ? 0.0 : (double)INFINITY;
}

static void compare_element(const ref_tolerance *tolerance, const place *at, double got, double want,
                            ref_comparison *result)
{
    const double error = isfinite(got) && isfinite(want) ? fabs(got - want) : 0.0;
    const double ratio = ref_error_ratio(tolerance, at->max_abs_logit, got, want);
    result->failed += ratio > 1.0;
    result->max_error = fmax(result->max_error, error);
    if (result->compared == 0 || ratio > result->max_ratio) {
        result->max_ratio = ratio;
        result->b = at->b;
        result->i = at->i;
        result->q_head = at->q_head;
        result->d = at->d;
        result->got = got;
        result->want = want;
    }
    result->compared++;
}

/* What one call of ref_compare carries through its loops. */
typedef struct comparer {
    const clattn_attention_desc *desc;
    const ref_inputs *in;
    const void *o;
    const float *lse;
    ref_tolerance tolerance;
    ref_comparison *o_result, *lse_result;
    double *want; /* [v_head_dim] */
} comparer;

static bool compare_row(const comparer *c, int32_t b, int32_t q_head, int32_t i)
{
    ref_row row;
    if (!ref_attention_row(c->desc, c->in, b, q_head, i, c->want, &row))
        return false;
    place at = { b, i, q_head, 0, row.max_abs_logit };
    int64_t start = ref_o_index(c->desc, c->in, b, i, q_head);
    for (at.d = 0; at.d < ref_v_head_dim(c->desc); at.d++) {
        double got = ref_load(c->o, c->desc->o_dtype, start + at.d);
        compare_element(&c->tolerance, &at, got, c->want[at.d], c->o_result);
    }
    if (c->lse && c->lse_result) {
        at.d = -1;
        double got = (double)c->lse[ref_lse_index(c->desc, c->in, b, i, q_head)];
        compare_element(&c->tolerance, &at, got, row.lse, c->lse_result);
    }
    return true;
}

static bool compare_sequence(const comparer *c, const ref_sampling *sampling, int32_t b)
{
    int32_t q_len = ref_q_len(c->desc, c->in, b);
    bool *chosen = malloc((size_t)q_len + 1);
    bool ok = chosen != NULL;
    for (int32_t q_head = 0; ok && q_head < c->desc->q_heads; q_head++) {
        ref_sample_rows(sampling, b, q_head, q_len, chosen);
        for (int32_t i = 0; ok && i < q_len; i++)
            ok = !chosen[i] || compare_row(c, b, q_head, i);
    }
    free(chosen);
    return ok;
}

bool ref_compare(const clattn_attention_desc *desc, const ref_inputs *in, const void *o, const float *lse,
                 const ref_sampling *sampling, ref_comparison *o_result, ref_comparison *lse_result)
{
    *o_result = (ref_comparison){ 0 };
    if (lse_result)
        *lse_result = (ref_comparison){ 0 };
    comparer c = { desc, in, o, lse, ref_tolerance_of(desc->o_dtype), o_result, lse_result, NULL };
    c.want = malloc((size_t)ref_v_head_dim(desc) * sizeof(double));
    bool ok = c.want != NULL;
    for (int32_t b = 0; ok && b < in->batch; b++)
        ok = compare_sequence(&c, sampling, b);
    free(c.want);
    return ok;
}
