/* SPDX-License-Identifier: BSD-2-Clause */
/* Attention as its definition has it, in double, over the rows of a sequence from its first token on. */
#include <math.h>

#include "serve.h"

/* The larger one; a NaN is larger than anything. */
double worse(double a, double b)
{
    return isnan(a) || isnan(b) ? HUGE_VAL : fmax(a, b);
}

/* One query of one head over the keys 0 .. position; returns how far `output` is off, as a part of the tolerance. */
static double check_head(const job *j, int32_t position, int32_t layer, int32_t head, const float *output)
{
    float query[DIM], key[DIM], value[DIM];
    double sum = 0, largest = 0, y[DIM] = { 0 }, worst = 0;
    make_row(ROW_Q, j->history[position], layer, head, query);
    for (int32_t i = 0; i <= position; i++) {
        make_row(ROW_K, j->history[i], layer, head / (Q_HEADS / KV_HEADS), key);
        make_row(ROW_V, j->history[i], layer, head / (Q_HEADS / KV_HEADS), value);
        double logit = 0;
        for (int32_t d = 0; d < DIM; d++)
            logit += (double)query[d] * (double)key[d];
        logit /= sqrt(DIM);
        largest = fmax(largest, fabs(logit));
        double p = exp(logit);
        sum += p;
        for (int32_t d = 0; d < DIM; d++)
            y[d] += p * (double)value[d];
    }
    for (int32_t d = 0; d < DIM; d++) {
        double right = y[d] / sum, tolerated = 2e-5 + 1e-6 * largest + 1e-3 * fabs(right);
        worst = worse(worst, fabs((double)output[d] - right) / tolerated);
    }
    return worst;
}

static double check_token(const job *j, int32_t position, int32_t layers, const float *output)
{
    double worst = 0;
    for (int32_t layer = 0; layer < layers; layer++)
        for (int32_t head = 0; head < Q_HEADS; head++)
            worst = worse(worst, check_head(j, position, layer, head, output + (layer * Q_HEADS + head) * DIM));
    return worst;
}

/* The first and the last token that each sequence computed. */
double check_step(const step *st, int32_t layers)
{
    double worst = 0;
    const int32_t size = layers * Q_HEADS * DIM;
    for (int32_t b = 0; b < st->batch; b++) {
        const int32_t first = st->indices.cu_seqlens[b], q_len = st->q_lens[b];
        const int32_t position = st->indices.kv_lens[b] - q_len;
        for (int32_t i = 0; i<q_len; i += q_len> 1 ? q_len - 1 : 1)
            worst = worse(worst, check_token(st->jobs[b], position + i, layers, st->output + (first + i) * size));
    }
    return worst;
}
