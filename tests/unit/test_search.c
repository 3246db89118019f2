/* SPDX-License-Identifier: BSD-2-Clause */
/* src/tune/search.c on spaces whose costs are formulas: what a search finds of what there is. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tune/search.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

enum { MAX_POINTS = 2048, SEEDS = 64 };

/* Negative: the point fails. The seed moves the optimum and the noise. */
typedef double (*cost_function)(const int32_t *at, uint64_t seed);

/* A space, a cost, and what the search was seen to do. */
typedef struct world {
    clattn_search_point points[MAX_POINTS];
    bool tried[MAX_POINTS];
    size_t count, tries, limit;
    cost_function cost;
    uint64_t seed;
} world;

static double random_of(uint64_t key)
{
    key = (key ^ key >> 31) * UINT64_C(0x9e3779b97f4a7c15);
    key = (key ^ key >> 29) * UINT64_C(0xbf58476d1ce4e5b9);
    return (double)(key >> 40) / (double)(1 << 24);
}

static uint64_t key_of(const int32_t *at, uint64_t seed)
{
    uint64_t key = seed + 1;
    for (int axis = 0; axis < CLATTN_SEARCH_AXES; axis++)
        key = key * 1000003 + (uint64_t)at[axis];
    return key;
}

/* Where the optimum of an axis lies, and how steep it is there. */
static double bowl(const int32_t *at, uint64_t seed, int axis)
{
    const double middle = 5 * random_of(seed * 16 + (uint64_t)axis), steep = 0.05 + 0.3 * random_of(seed * 31 + 7);
    return 1 + steep * fabs(at[axis] - middle);
}

static double separable(const int32_t *at, uint64_t seed)
{
    return bowl(at, seed, 0) * bowl(at, seed, 1) * bowl(at, seed, 2) * bowl(at, seed, 3);
}

/* The product of two parameters has to be right, as a tile's registers or its local memory. */
static double interaction(const int32_t *at, uint64_t seed)
{
    const double wanted = 3 + 4 * random_of(seed);
    const double off = at[0] + at[1] - wanted;
    return (1 + 0.15 * off * off) * bowl(at, seed, 1) * bowl(at, seed, 2) * (1 + 0.1 * at[3]);
}

static double noisy(const int32_t *at, uint64_t seed)
{
    return interaction(at, seed) * (1 + 0.1 * random_of(key_of(at, seed)));
}

static double plateaus(const int32_t *at, uint64_t seed)
{
    return ceil(3 * separable(at, seed)) / 3;
}

/* A third of the points fail, the best region's among them. */
static double holes(const int32_t *at, uint64_t seed)
{
    return random_of(key_of(at, seed)) < 0.33 ? -1 : interaction(at, seed);
}

static double only_default(const int32_t *at, uint64_t seed)
{
    (void)seed;
    return at[0] == 0 && at[1] == 0 && at[2] == 0 && at[3] == 0 ? 1 : -1;
}

static double all_failed(const int32_t *at, uint64_t seed)
{
    (void)at;
    (void)seed;
    return -1;
}

static clattn_search_answer try_point(void *user, size_t index, double *cost)
{
    world *w = user;
    assert_true(index < w->count);
    if (w->tries == w->limit)
        return CLATTN_SEARCH_STOP;
    assert_false(w->tried[index]);
    w->tried[index] = true;
    w->tries++;
    *cost = w->cost(w->points[index].at, w->seed);
    return *cost < 0 ? CLATTN_SEARCH_FAILED : CLATTN_SEARCH_MEASURED;
}

/* 6 x 6 x 4 x 3 places. */
static void make_world(world *w, cost_function cost, uint64_t seed, size_t limit)
{
    *w = (world){ .cost = cost, .seed = seed, .limit = limit };
    for (int32_t i = 0; i < 6 * 6 * 4 * 3; i++)
        w->points[w->count++] = (clattn_search_point){ { i % 6, i / 6 % 6, i / 36 % 4, i / 144 } };
}

static clattn_search_result search_world(world *w, size_t start)
{
    clattn_search_result result;
    const clattn_search search = { w->points, w->count, start, w->seed, try_point, w };
    assert_true(clattn_search_run(&search, &result));
    assert_int_equal(result.tried, w->tries);
    return result;
}

static double least_cost(const world *w)
{
    double least = HUGE_VAL;
    for (size_t i = 0; i < w->count; i++) {
        const double cost = w->cost(w->points[i].at, w->seed);
        least = cost >= 0 && cost < least ? cost : least;
    }
    return least;
}

/* Geometric mean over seeds of what is found in `limit` tries, by what there is. */
static double regret(cost_function cost, size_t limit, double *worst)
{
    static world w;
    double sum = 0;
    *worst = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        make_world(&w, cost, seed, limit);
        size_t start = (size_t)(random_of(seed * 77) * (double)w.count);
        while (cost(w.points[start].at, seed) < 0) /* the default works */
            start = (start + 1) % w.count;
        const clattn_search_result result = search_world(&w, start);
        const double found = result.measured ? result.cost / least_cost(&w) : 2;
        *worst = found > *worst ? found : *worst;
        sum += log(found);
    }
    return exp(sum / SEEDS);
}

static void test_regret(void **unused)
{
    (void)unused;
    static const struct {
        const char *name;
        cost_function cost;
        double most_20, most_40;
    } rows[] = {
        { "separable", separable, 1.05, 1.01 }, { "interaction", interaction, 1.22, 1.12 },
        { "noisy", noisy, 1.22, 1.12 },         { "plateaus", plateaus, 1.05, 1.01 },
        { "holes", holes, 1.30, 1.15 },
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        double worst_20, worst_40;
        const double mean_20 = regret(rows[i].cost, 20, &worst_20), mean_40 = regret(rows[i].cost, 40, &worst_40);
        printf(
            "%-12s 432 points, %d seeds: 20 tries find %.3f times the least cost (worst %.3f), 40 tries %.3f (%.3f)\n",
            rows[i].name, SEEDS, mean_20, worst_20, mean_40, worst_40);
        assert_true(mean_20 <= rows[i].most_20);
        assert_true(mean_40 <= rows[i].most_40);
    }
}

typedef struct measured_cost {
    double cost;
    clattn_search_point place;
} measured_cost;

enum { PREFILL, DECODE };
static const struct {
    int space;
    measured_cost measured;
} measured_rows[] = {
#define MEASURED_COST(space, cost, ...) { space, { cost, { { __VA_ARGS__ } } } },
#include "measured_costs.def"
#undef MEASURED_COST
};

typedef struct replay {
    double costs[LENGTH(measured_rows)];
    clattn_search_point points[LENGTH(measured_rows)];
    size_t count, tries, limit;
} replay;

static clattn_search_answer replay_point(void *user, size_t index, double *cost)
{
    replay *r = user;
    if (r->tries == r->limit)
        return CLATTN_SEARCH_STOP;
    r->tries++;
    *cost = r->costs[index];
    return CLATTN_SEARCH_MEASURED;
}

static double replay_regret(int space, size_t limit)
{
    replay r = { .limit = limit };
    double least = HUGE_VAL, sum = 0;
    for (size_t i = 0; i < LENGTH(measured_rows); i++) {
        const measured_cost *row = &measured_rows[i].measured;
        if (measured_rows[i].space != space)
            continue;
        r.points[r.count] = row->place;
        r.costs[r.count++] = row->cost;
        least = row->cost < least ? row->cost : least;
    }
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        clattn_search_result result;
        const clattn_search search = { r.points, r.count, 0, seed, replay_point, &r };
        r.tries = 0;
        assert_true(clattn_search_run(&search, &result));
        sum += result.cost / least;
    }
    return sum / SEEDS;
}

/* On spaces that were measured to the last point. */
static void test_measured_spaces(void **unused)
{
    (void)unused;
    static const struct {
        const char *name;
        double most_8, most_12;
    } rows[] = { [PREFILL] = { "prefill", 1.05, 1.02 }, [DECODE] = { "decode", 1.06, 1.03 } };
    for (int i = 0; i < (int)LENGTH(rows); i++) {
        const double after_8 = replay_regret(i, 8), after_12 = replay_regret(i, 12);
        printf("%-12s the start is %.3f times the least time, the best of 4 tries %.3f, of 8 %.3f, of 12 %.3f\n",
               rows[i].name, replay_regret(i, 1), replay_regret(i, 4), after_8, after_12);
        assert_true(after_8 <= rows[i].most_8);
        assert_true(after_12 <= rows[i].most_12);
    }
}

/* With no end every point is tried once, and the best is what there is. */
static void test_exhaustive(void **unused)
{
    (void)unused;
    static world w;
    static const cost_function costs[] = { separable, noisy, plateaus, holes };
    for (size_t i = 0; i < LENGTH(costs); i++) {
        make_world(&w, costs[i], 3, MAX_POINTS);
        const clattn_search_result result = search_world(&w, 17);
        assert_true(result.exhaustive);
        assert_int_equal(result.tried, w.count);
        assert_true(result.cost == least_cost(&w));
        assert_true(w.cost(w.points[result.best].at, w.seed) == result.cost);
    }
}

static void test_stopped_at_any_moment(void **unused)
{
    (void)unused;
    static world w;
    double before = HUGE_VAL;
    for (size_t limit = 0; limit <= 60; limit++) {
        make_world(&w, interaction, 5, limit);
        const clattn_search_result result = search_world(&w, 100);
        assert_int_equal(result.tried, limit);
        assert_false(result.exhaustive);
        assert_true(limit == 0 || w.tried[100]);
        assert_true((result.best == w.count) == (limit == 0));
        const double cost = limit ? result.cost : HUGE_VAL;
        assert_true(cost <= before);
        before = cost;
    }
}

static void test_failures(void **unused)
{
    (void)unused;
    static world w;
    make_world(&w, only_default, 1, MAX_POINTS);
    clattn_search_result result = search_world(&w, 0);
    assert_true(result.exhaustive);
    assert_int_equal(result.measured, 1);
    assert_int_equal(result.best, 0);
    make_world(&w, all_failed, 1, MAX_POINTS);
    result = search_world(&w, 0);
    assert_true(result.exhaustive);
    assert_int_equal(result.measured, 0);
    assert_int_equal(result.best, w.count);
}

static void test_tiny_spaces(void **unused)
{
    (void)unused;
    static world w;
    make_world(&w, separable, 1, MAX_POINTS);
    w.count = 1;
    clattn_search_result result = search_world(&w, 0);
    assert_true(result.exhaustive && result.best == 0 && result.tried == 1);
    make_world(&w, separable, 1, MAX_POINTS);
    w.count = 0;
    result = search_world(&w, 0);
    assert_true(result.exhaustive && result.best == 0 && result.tried == 0);
}

/* The neighbours of the best point come before what is far from all that was tried. */
static void test_neighbours_first(void **unused)
{
    (void)unused;
    static world w;
    make_world(&w, separable, 9, 7);
    const size_t start = 2 + 2 * 6 + 1 * 36 + 1 * 144;
    search_world(&w, start);
    for (size_t i = 0; i < w.count; i++) {
        int nearest = 100;
        for (size_t j = 0; j < w.count && w.tried[i] && i != start; j++) {
            int steps = 0;
            for (int axis = 0; axis < 4; axis++)
                steps += abs(w.points[i].at[axis] - w.points[j].at[axis]);
            nearest = w.tried[j] && j != i && steps < nearest ? steps : nearest;
        }
        assert_true(!w.tried[i] || i == start || nearest == 1);
    }
}

static void test_same_seed(void **unused)
{
    (void)unused;
    static world a, b;
    make_world(&a, noisy, 4, 50);
    make_world(&b, noisy, 4, 50);
    search_world(&a, 10);
    search_world(&b, 10);
    assert_memory_equal(a.tried, b.tried, sizeof(a.tried));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_regret),           cmocka_unit_test(test_measured_spaces),
        cmocka_unit_test(test_exhaustive),       cmocka_unit_test(test_stopped_at_any_moment),
        cmocka_unit_test(test_failures),         cmocka_unit_test(test_tiny_spaces),
        cmocka_unit_test(test_neighbours_first), cmocka_unit_test(test_same_seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
