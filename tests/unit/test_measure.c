/* SPDX-License-Identifier: BSD-2-Clause */
/* src/tune/series.c: made-up times of an incumbent and a candidate, by made-up clocks; src/tune/measure.c: what makes a
 * candidate the incumbent. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tune/measure.h"
#include "util/clock.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static uint64_t random_state;

/* -1 to 1 */
static double random_value(void)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (double)(random_state >> 33) / (double)(UINT64_C(1) << 30) - 1;
}

static clattn_reading right(double seconds)
{
    return (clattn_reading){ .wall = seconds * 1.02, .events = seconds };
}

/* Both drift by `drift` from first to last, with noise; of ten repetitions one takes `outlier` times as long. */
static clattn_series make_series(int count, double ratio, double noise, double drift, double outlier)
{
    clattn_series series = { .count = count };
    for (int i = 0; i < count; i++) {
        const double now = 0.01 * (1 + drift * i / count);
        const double spike = i % 10 == 3 ? outlier : 1;
        series.incumbent[i] = right(now * (1 + noise * random_value()) * (i % 20 == 3 ? spike : 1));
        series.candidate[i] = right(now * ratio * (1 + noise * random_value()) * (i % 20 == 13 ? spike : 1));
    }
    return series;
}

static void test_gains(void **unused)
{
    (void)unused;
    static const struct {
        int count;
        double ratio, noise, drift, outlier;
        bool faster;
    } rows[] = {
        { 5, 0.90, 0.005, 0.0, 1, true },    { 5, 0.97, 0.005, 0.0, 1, true },  { 5, 0.995, 0.0, 0.0, 1, false },
        { 5, 1.00, 0.0, 0.0, 1, false },     { 5, 1.10, 0.005, 0.0, 1, false }, { 20, 0.90, 0.01, 3.0, 1, true },
        { 20, 1.00, 0.001, -0.7, 1, false }, { 20, 0.93, 0.01, 0.0, 20, true }, { 20, 1.00, 0.001, 0.0, 0.01, false },
        { 4, 0.50, 0.0, 0.0, 1, false },     { 64, 0.95, 0.05, 1.0, 5, true },
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        random_state = i;
        const clattn_series series =
            make_series(rows[i].count, rows[i].ratio, rows[i].noise, rows[i].drift, rows[i].outlier);
        const clattn_comparison result = clattn_series_compare(&series);
        if (result.faster != rows[i].faster || !result.by_events)
            fail_msg("row %zu: ratio %.4f, noise %.4f, faster %d", i, result.ratio, result.noise, result.faster);
        assert_true(fabs(result.ratio - rows[i].ratio) < 0.001 + rows[i].noise);
    }
}

/* Equals stay equal, whatever the noise: at most 5 % of verdicts are wrong. */
static void test_ties(void **unused)
{
    (void)unused;
    static const double noises[] = { 0.001, 0.01, 0.05, 0.3 };
    random_state = 1;
    for (size_t n = 0; n < LENGTH(noises); n++) {
        int wrong = 0;
        for (int i = 0; i < 400; i++) {
            const clattn_series series = make_series(7, 1, noises[n], 0.2, 3);
            wrong += clattn_series_compare(&series).faster;
        }
        if (wrong > 20)
            fail_msg("noise %.3f: %d of 400 ties were won", noises[n], wrong);
    }
}

static void test_hopeless(void **unused)
{
    (void)unused;
    static const struct {
        int count;
        double ratio;
        bool hopeless;
    } rows[] = {
        { 1, 1.5, true },  { 1, 1.2, false }, { 2, 1.2, true },   { 3, 1.1, true },
        { 4, 1.06, true }, { 9, 1.06, true }, { 9, 1.04, false }, { 9, 0.5, false },
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        const clattn_series series = make_series(rows[i].count, rows[i].ratio, 0, 0, 1);
        if (clattn_series_hopeless(&series) != rows[i].hopeless)
            fail_msg("%d of ratio %.2f", rows[i].count, rows[i].ratio);
    }
    const clattn_series none = { .count = 0 };
    assert_false(clattn_series_hopeless(&none));
}

static void test_settled(void **unused)
{
    (void)unused;
    random_state = 3;
    clattn_series series = make_series(5, 0.8, 0.01, 0, 1);
    assert_true(clattn_series_settled(&series));
    series.count = 4;
    assert_false(clattn_series_settled(&series));
    series = make_series(8, 1.2, 0.01, 0, 1);
    assert_true(clattn_series_settled(&series));
    series = make_series(6, 0.97, 0.1, 0, 1);
    assert_false(clattn_series_settled(&series));
    series = make_series(8, 1.0, 0.0001, 0, 1);
    assert_true(clattn_series_settled(&series));
}

/* Calls of `seconds` one after the other, with gaps of a hundredth, on a clock that runs `rate` times as fast. */
static clattn_reading read_clock(int calls, double seconds, double rate, double start)
{
    clattn_ticks ticks[8];
    for (int i = 0; i < calls; i++) {
        const double begin = start + 1.01 * seconds * i;
        ticks[i].start = (uint64_t)llround(begin * rate * 1e9);
        ticks[i].end = (uint64_t)llround((begin + seconds) * rate * 1e9);
    }
    return clattn_reading_of_calls(ticks, calls, 1.01 * seconds * calls + 20e-6);
}

static void test_clocks(void **unused)
{
    (void)unused;
    static const struct {
        int calls;
        double seconds, rate;
        clattn_clock_fault fault;
    } rows[] = {
        { 1, 0.01, 1, CLATTN_CLOCK_RIGHT },         { 8, 0.0005, 1, CLATTN_CLOCK_RIGHT },
        { 4, 0.01, 0.001, CLATTN_CLOCK_TOO_SHORT }, { 8, 0.0005, 0.001, CLATTN_CLOCK_TOO_SHORT },
        { 4, 0.01, 1000, CLATTN_CLOCK_TOO_LONG },   { 4, 0.01, 1.3, CLATTN_CLOCK_TOO_LONG },
        { 4, 0.01, 0, CLATTN_CLOCK_ZERO },          { 4, 0.01, 0.2, CLATTN_CLOCK_RIGHT },
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        const clattn_reading reading = read_clock(rows[i].calls, rows[i].seconds, rows[i].rate, 100);
        if (reading.fault != rows[i].fault)
            fail_msg("row %zu: %s", i, clattn_clock_fault_text(reading.fault));
        if (reading.fault == CLATTN_CLOCK_RIGHT || reading.fault == CLATTN_CLOCK_TOO_SHORT)
            assert_true(fabs(reading.events / (rows[i].seconds * rows[i].rate) - 1) < 0.001);
        else
            assert_true(reading.events == 0);
        assert_true(fabs(reading.wall / rows[i].seconds - 1) < 0.1);
    }
}

static void test_broken_ticks(void **unused)
{
    (void)unused;
    static const struct {
        clattn_ticks ticks[2];
        clattn_clock_fault fault;
    } rows[] = {
        { { { 0, 1000000 }, { 1000000, 2000000 } }, CLATTN_CLOCK_ZERO },
        { { { 1000, 0 }, { 1000000, 2000000 } }, CLATTN_CLOCK_ZERO },
        { { { 5000000, 5000000 }, { 5000000, 5000000 } }, CLATTN_CLOCK_ZERO },
        { { { 5000000, 4000000 }, { 6000000, 7000000 } }, CLATTN_CLOCK_BACKWARDS },
        { { { 5000000, 6000000 }, { 4000000, 5000000 } }, CLATTN_CLOCK_BACKWARDS },
        { { { 5000000, UINT64_MAX }, { 6000000, 7000000 } }, CLATTN_CLOCK_TOO_LONG },
        { { { 5000000, 6000000 }, { 6000000, 7000000 } }, CLATTN_CLOCK_RIGHT },
    };
    for (size_t i = 0; i < LENGTH(rows); i++)
        assert_int_equal(clattn_reading_of_calls(rows[i].ticks, 2, 0.0021).fault, rows[i].fault);
}

/* A clock that is wrong for the candidate alone must not make it win. */
static void test_wrong_for_one(void **unused)
{
    (void)unused;
    static const double rates[] = { 0, 0.001, 0.1, 0.3, 1000 };
    for (size_t n = 0; n < LENGTH(rates); n++) {
        clattn_series series = { .count = 6 };
        for (int i = 0; i < series.count; i++) {
            series.incumbent[i] = read_clock(4, 0.01, 1, 100 + i);
            series.candidate[i] = read_clock(4, 0.011, rates[n], 100 + i);
        }
        const clattn_comparison result = clattn_series_compare(&series);
        assert_false(result.by_events);
        assert_true(result.fault != CLATTN_CLOCK_RIGHT && clattn_clock_fault_text(result.fault)[0]);
        assert_false(result.faster);
        assert_true(fabs(result.ratio - 1.1) < 0.01);
    }
}

/* One repetition without a clock: all are compared by the wall clock. */
static void test_one_fault(void **unused)
{
    (void)unused;
    clattn_series series = make_series(6, 0.8, 0, 0, 1);
    series.candidate[4] = (clattn_reading){ .wall = 0.00816, .fault = CLATTN_CLOCK_MISSING };
    const clattn_comparison result = clattn_series_compare(&series);
    assert_false(result.by_events);
    assert_int_equal(result.fault, CLATTN_CLOCK_MISSING);
    assert_true(result.faster);
    assert_true(fabs(result.candidate - 0.00816) < 1e-6);
}

/* The host was away once: the clock is right. */
static void test_busy_host(void **unused)
{
    (void)unused;
    clattn_series series = make_series(6, 0.8, 0, 0, 1);
    series.candidate[4] = (clattn_reading){ .wall = 0.5, .events = 0.008, .fault = CLATTN_CLOCK_TOO_SHORT };
    clattn_comparison result = clattn_series_compare(&series);
    assert_true(result.by_events && result.faster);
    series.count = 1;
    series.candidate[0] = series.candidate[4];
    result = clattn_series_compare(&series);
    assert_false(result.by_events);
    assert_int_equal(result.fault, CLATTN_CLOCK_TOO_SHORT);
}

/* Comparisons that were made up beforehand, and how many were asked for. */
typedef struct script {
    clattn_comparison answers[2];
    clattn_status last; /* what the second one comes to */
    int asked;
} script;

static clattn_status read_script(void *user, clattn_comparison *out)
{
    script *from = user;
    assert_in_range(from->asked, 0, 1);
    *out = from->answers[from->asked++];
    return from->asked == 2 ? from->last : CLATTN_OK;
}

static void test_faster_twice(void **unused)
{
    (void)unused;
    static const struct {
        bool first, second, late;
        int asked;
        bool faster;
    } rows[] = {
        { false, true, false, 1, false }, { true, false, false, 2, false }, { true, true, false, 2, true },
        { false, true, true, 1, false },  { true, false, true, 1, true },
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        clattn_comparison result;
        script from = { .answers = { { .faster = rows[i].first, .ratio = 1 },
                                     { .faster = rows[i].second, .ratio = 2 } } };
        const double end = rows[i].late ? clattn_clock_seconds() : (double)INFINITY;
        assert_int_equal(clattn_confirm(read_script, &from, end, &result), CLATTN_OK);
        if (from.asked != rows[i].asked || result.faster != rows[i].faster || result.ratio != from.asked)
            fail_msg("row %zu: %d asked, faster %d, ratio %.1f", i, from.asked, result.faster, result.ratio);
    }
}

static void test_second_fails(void **unused)
{
    (void)unused;
    clattn_comparison result;
    script from = { .answers = { { .faster = true }, { .faster = true } }, .last = CLATTN_OPENCL_ERROR };
    assert_int_equal(clattn_confirm(read_script, &from, (double)INFINITY, &result), CLATTN_OPENCL_ERROR);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gains),         cmocka_unit_test(test_ties),         cmocka_unit_test(test_hopeless),
        cmocka_unit_test(test_settled),       cmocka_unit_test(test_clocks),       cmocka_unit_test(test_broken_ticks),
        cmocka_unit_test(test_wrong_for_one), cmocka_unit_test(test_one_fault),    cmocka_unit_test(test_busy_host),
        cmocka_unit_test(test_faster_twice),  cmocka_unit_test(test_second_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
