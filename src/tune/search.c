/* SPDX-License-Identifier: BSD-2-Clause */
#include "tune/search.h"

#include <math.h>
#include <stdlib.h>

/* In units of log(cost): a step away is as bad as 3 % more time, a failure as a doubling. */
#define STEP_PENALTY 0.03
#define FAILED_COST  0.7
/* How much the model counts, which finds the way out of a bad start, against the vouchers. */
#define MODEL_WEIGHT 1.0
#define RANDOM_EVERY 8

typedef struct state {
    const clattn_search *search;
    double *voucher; /* of each point: the least log(cost) + penalty that a measured one gives; HUGE_VAL: tried */
    size_t *tried;   /* in order */
    double *log_cost;
    double effect[CLATTN_SEARCH_AXES][CLATTN_SEARCH_VALUES];
    uint64_t random;
    clattn_search_result result;
} state;

/* splitmix64 */
static uint64_t next_random(uint64_t *random)
{
    uint64_t bits = *random += UINT64_C(0x9e3779b97f4a7c15);
    bits = (bits ^ bits >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    bits = (bits ^ bits >> 27) * UINT64_C(0x94d049bb133111eb);
    return bits ^ bits >> 31;
}

static int steps_between(const clattn_search_point *a, const clattn_search_point *b)
{
    int steps = 0;
    for (int axis = 0; axis < CLATTN_SEARCH_AXES; axis++)
        steps += abs(a->at[axis] - b->at[axis]);
    return steps;
}

static void vouch(state *s, size_t by, double log_cost)
{
    for (size_t i = 0; i < s->search->count; i++) {
        const int steps = steps_between(&s->search->points[i], &s->search->points[by]);
        const double voucher = log_cost + STEP_PENALTY * steps;
        if (isfinite(s->voucher[i]) && voucher < s->voucher[i])
            s->voucher[i] = voucher;
    }
    s->voucher[by] = HUGE_VAL;
}

static double model(const state *s, const clattn_search_point *point)
{
    double sum = 0;
    for (int axis = 0; axis < CLATTN_SEARCH_AXES; axis++)
        sum += s->effect[axis][point->at[axis]];
    return sum;
}

/* One sweep over the axes: an effect is the mean of what the others leave, drawn to zero where few points say so. */
static void fit_axis(state *s, int axis)
{
    double sum[CLATTN_SEARCH_VALUES] = { 0 };
    int count[CLATTN_SEARCH_VALUES] = { 0 };
    double mean = 0;
    for (size_t n = 0; n < s->result.tried; n++)
        mean += s->log_cost[n];
    mean /= (double)s->result.tried;
    for (size_t n = 0; n < s->result.tried; n++) {
        const clattn_search_point *point = &s->search->points[s->tried[n]];
        const int32_t place = point->at[axis];
        sum[place] += s->log_cost[n] - mean - model(s, point) + s->effect[axis][place];
        count[place]++;
    }
    for (int place = 0; place < CLATTN_SEARCH_VALUES; place++)
        s->effect[axis][place] = sum[place] / (count[place] + 1);
}

static void fit(state *s)
{
    for (int sweep = 0; sweep < 2; sweep++)
        for (int axis = 0; axis < CLATTN_SEARCH_AXES; axis++)
            fit_axis(s, axis);
}

static size_t pick_random(state *s)
{
    size_t skip = (size_t)(next_random(&s->random) % (s->search->count - s->result.tried));
    for (size_t i = 0; i < s->search->count; i++)
        if (isfinite(s->voucher[i]) && skip-- == 0)
            return i;
    return s->search->count;
}

static size_t pick(state *s)
{
    if (s->result.tried == 0)
        return s->search->start;
    if (s->result.tried % RANDOM_EVERY == 0)
        return pick_random(s);
    size_t best = s->search->count, equals = 0;
    double best_score = HUGE_VAL;
    for (size_t i = 0; i < s->search->count; i++) {
        if (!isfinite(s->voucher[i]))
            continue;
        const double score = s->voucher[i] + MODEL_WEIGHT * model(s, &s->search->points[i]);
        if (score > best_score)
            continue;
        equals = score < best_score ? 1 : equals + 1;
        if (next_random(&s->random) % equals == 0)
            best = i;
        best_score = score;
    }
    return best;
}

/* Returns false when the search ends. */
static bool try_next(state *s)
{
    clattn_search_result *result = &s->result;
    const size_t index = pick(s);
    double cost = 0;
    const clattn_search_answer answer = s->search->try_point(s->search->user, index, &cost);
    if (answer == CLATTN_SEARCH_STOP)
        return false;
    double log_cost = (result->measured ? log(result->cost) : 0) + FAILED_COST;
    if (answer == CLATTN_SEARCH_MEASURED) {
        log_cost = log(cost);
        result->measured++;
        if (result->best == s->search->count || cost < result->cost) {
            result->best = index;
            result->cost = cost;
        }
    }
    s->tried[result->tried] = index;
    s->log_cost[result->tried++] = log_cost;
    vouch(s, index, log_cost);
    fit(s);
    return true;
}

bool clattn_search_run(const clattn_search *search, clattn_search_result *out)
{
    state s = { .search = search, .random = search->seed, .result = { .best = search->count } };
    s.voucher = malloc((search->count + 1) * sizeof(*s.voucher));
    s.tried = malloc((search->count + 1) * sizeof(*s.tried));
    s.log_cost = malloc((search->count + 1) * sizeof(*s.log_cost));
    const bool memory = s.voucher && s.tried && s.log_cost;
    for (size_t i = 0; memory && i < search->count; i++)
        s.voucher[i] = 1e300;
    while (memory && s.result.tried < search->count && try_next(&s))
        continue;
    s.result.exhaustive = s.result.tried == search->count;
    free(s.voucher);
    free(s.tried);
    free(s.log_cost);
    if (memory)
        *out = s.result;
    return memory;
}
