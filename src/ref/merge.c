/* SPDX-License-Identifier: BSD-2-Clause */
#include <math.h>

#include "ref/ref.h"

static double lse_of(const clattn_merge_desc *d, const ref_merge_inputs *in, int32_t part, int32_t token, int32_t head)
{
    return (double)in->lse_parts[part * d->lse_parts.part + token * d->lse_parts.token + head * d->lse_parts.head];
}

static double o_of(const clattn_merge_desc *d, const ref_merge_inputs *in, int32_t part, int32_t token, int32_t head,
                   int32_t dim)
{
    const int64_t row = part * d->o_parts.part + token * d->o_parts.token + head * d->o_parts.head;
    return ref_load(in->o_parts, d->part_dtype, row + dim);
}

static bool is_empty(double lse)
{
    return lse == -(double)INFINITY;
}

int32_t ref_merge_filled(const clattn_merge_desc *d, const ref_merge_inputs *in, int32_t token, int32_t head)
{
    int32_t filled = 0;
    for (int32_t part = 0; part < in->parts; part++)
        filled += !is_empty(lse_of(d, in, part, token, head));
    return filled;
}

/* The only part of a row that is not empty. */
static double copy_row(const clattn_merge_desc *d, const ref_merge_inputs *in, int32_t token, int32_t head, double *out)
{
    int32_t part = 0;
    while (is_empty(lse_of(d, in, part, token, head)))
        part++;
    for (int32_t dim = 0; dim < d->v_head_dim; dim++)
        out[dim] = o_of(d, in, part, token, head, dim);
    return lse_of(d, in, part, token, head);
}

double ref_merge_row(const clattn_merge_desc *d, const ref_merge_inputs *in, int32_t token, int32_t head, double *out)
{
    const double sink = d->has_sinks ? (double)in->sinks[head] : -(double)INFINITY;
    const int32_t filled = ref_merge_filled(d, in, token, head);
    if (filled == 1 && is_empty(sink))
        return copy_row(d, in, token, head, out);
    for (int32_t dim = 0; dim < d->v_head_dim; dim++)
        out[dim] = 0.0;
    if (filled == 0)
        return sink;
    double largest = sink;
    for (int32_t part = 0; part < in->parts; part++)
        largest = fmax(largest, lse_of(d, in, part, token, head)); /* of those that are no NaN */
    double total = is_empty(sink) ? 0.0 : exp(sink - largest);
    for (int32_t part = 0; part < in->parts; part++) {
        const double lse = lse_of(d, in, part, token, head);
        if (is_empty(lse))
            continue;
        const double weight = exp(lse - largest);
        total += weight;
        for (int32_t dim = 0; dim < d->v_head_dim; dim++)
            out[dim] += weight * o_of(d, in, part, token, head, dim);
    }
    for (int32_t dim = 0; dim < d->v_head_dim; dim++)
        out[dim] /= total;
    return largest + log(total);
}
