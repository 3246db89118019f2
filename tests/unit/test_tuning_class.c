/* SPDX-License-Identifier: BSD-2-Clause */
/* Tuning classes: their fields, their names, and how far apart they are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "plan/tuning_class.h"

static clattn_tuning_class class_of(clattn_dtype q, clattn_dtype kv, int32_t dim, bool paged)
{
    const clattn_problem problem = {
        .desc = { .q_dtype = q, .k_dtype = kv, .v_dtype = kv, .head_dim = dim, .v_head_dim = dim }, .paged = paged
    };
    return clattn_class_of_problem(&problem, CLATTN_ALGORITHM_DECODE, CLATTN_FRAGMENT_LANES);
}

static int distance(clattn_tuning_class a, clattn_tuning_class b)
{
    assert_int_equal(clattn_class_distance(&a, &b), clattn_class_distance(&b, &a));
    return clattn_class_distance(&a, &b);
}

static void every_kernel_has_fields(void **state)
{
    (void)state;
    for (int algorithm = 0; algorithm < CLATTN_ALGORITHM_COUNT; algorithm++) {
        int count = 0;
        while (clattn_class_field_row((clattn_algorithm)algorithm, count))
            count++;
        assert_in_range(count, 1, CLATTN_CLASS_MAX_FIELDS);
        assert_null(clattn_class_field_row((clattn_algorithm)algorithm, count + 1));
    }
}

static void a_problem_gives_its_class(void **state)
{
    (void)state;
    char name[CLATTN_CLASS_NAME_SIZE];
    clattn_problem problem = { .desc = { .q_dtype = CLATTN_F16,
                                         .k_dtype = CLATTN_Q8_0,
                                         .v_dtype = CLATTN_Q4_0,
                                         .head_dim = 96,
                                         .v_head_dim = 32 },
                               .group = 4,
                               .paged = true };
    clattn_tuning_class of = clattn_class_of_problem(&problem, CLATTN_ALGORITHM_DECODE, CLATTN_FRAGMENT_LANES);
    assert_int_equal(of.fragment, CLATTN_FRAGMENT_DIMS);
    assert_int_equal(clattn_class_value(&of, "v_dtype"), CLATTN_Q4_0);
    assert_int_equal(clattn_class_value(&of, "head_dim"), 128);
    clattn_class_name(&of, name);
    assert_string_equal(name, "decode frag_dims q_dtype f16 k_dtype q8_0 v_dtype q4_0 head_dim 128 v_head_dim 64 paged "
                              "grouped");
    problem.paged = false;
    of = clattn_class_of_problem(&problem, CLATTN_ALGORITHM_PREFILL, CLATTN_FRAGMENT_SCALAR);
    clattn_class_name(&of, name);
    assert_string_equal(name, "prefill frag_scalar q_dtype f16 k_dtype q8_0 v_dtype q4_0 head_dim 96 v_head_dim 32");
    of = clattn_class_of_problem(&problem, CLATTN_ALGORITHM_COMBINE, CLATTN_FRAGMENT_SCALAR);
    assert_int_equal(clattn_class_value(&of, "v_head_dim"), 64);
}

static void cache_operations_are_classed_by_types(void **state)
{
    (void)state;
    char name[CLATTN_CLASS_NAME_SIZE];
    const clattn_tuning_class of = clattn_class_of_types(CLATTN_ALGORITHM_APPEND, CLATTN_F32, CLATTN_FP8);
    assert_int_equal(clattn_class_value(&of, "from"), CLATTN_F32);
    assert_int_equal(clattn_class_value(&of, "to"), CLATTN_FP8);
    clattn_class_name(&of, name);
    assert_string_equal(name, "append none from f32 to fp8");
}

static void equal_classes_are_at_distance_0(void **state)
{
    (void)state;
    const clattn_tuning_class a = class_of(CLATTN_F16, CLATTN_Q8_0, 112, true);
    clattn_tuning_class b = class_of(CLATTN_F16, CLATTN_Q8_0, 128, true);
    assert_true(clattn_class_equal(&a, &b));
    assert_int_equal(distance(a, b), 0);
    b = class_of(CLATTN_F16, CLATTN_Q8_0, 144, true);
    assert_false(clattn_class_equal(&a, &b));
    assert_true(distance(a, b) > 0);
}

static void distances_are_ordered(void **state)
{
    (void)state;
    const clattn_tuning_class f16 = class_of(CLATTN_F16, CLATTN_F16, 128, false);
    const int paged = distance(f16, class_of(CLATTN_F16, CLATTN_F16, 128, true));
    const int bf16 = distance(f16, class_of(CLATTN_BF16, CLATTN_BF16, 128, false));
    const int f32 = distance(f16, class_of(CLATTN_F32, CLATTN_F32, 128, false));
    const int near_dim = distance(f16, class_of(CLATTN_F16, CLATTN_F16, 64, false));
    const int far_dim = distance(f16, class_of(CLATTN_F16, CLATTN_F16, 256, false));
    assert_true(0 < paged && paged < bf16 && bf16 < f32 && paged < near_dim && near_dim < far_dim);
}

static void tails_say_nothing_about_whole_rows(void **state)
{
    (void)state;
    const clattn_tuning_class tail = class_of(CLATTN_F16, CLATTN_F16, 100, false);
    const clattn_tuning_class whole = class_of(CLATTN_F16, CLATTN_F16, 112, false);
    const clattn_problem v_only = { .desc = { .head_dim = 64, .v_head_dim = 40 } };
    const clattn_tuning_class v_tail = clattn_class_of_problem(&v_only, CLATTN_ALGORITHM_DECODE, CLATTN_FRAGMENT_LANES);
    assert_int_equal(clattn_class_value(&tail, "tail"), 1);
    assert_int_equal(clattn_class_value(&whole, "tail"), 0);
    assert_int_equal(clattn_class_value(&v_tail, "tail"), 1);
    assert_int_equal(clattn_class_value(&tail, "head_dim"), clattn_class_value(&whole, "head_dim"));
    assert_true(distance(tail, whole) < 0);
    assert_true(distance(tail, class_of(CLATTN_F32, CLATTN_F32, 40, true)) > 0);
}

static void tiles_know_tails_of_groups(void **state)
{
    (void)state;
    static const struct {
        int32_t group, head_dim, v_head_dim;
        bool tail;
    } rows[] = { { 4, 40, 64, true }, { 2, 64, 8, true }, { 1, 40, 40, false }, { 4, 48, 64, false } };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const clattn_problem problem = { .desc = { .head_dim = rows[i].head_dim, .v_head_dim = rows[i].v_head_dim },
                                         .group = rows[i].group };
        assert_int_equal(clattn_problem_of_tile(&problem, CLATTN_FRAGMENT_DIMS).tail, rows[i].tail);
    }
}

static void quantised_caches_say_nothing_about_floats(void **state)
{
    (void)state;
    const clattn_tuning_class q8 = class_of(CLATTN_F16, CLATTN_Q8_0, 128, false);
    const int q4 = distance(q8, class_of(CLATTN_F16, CLATTN_Q4_0, 128, false));
    const int fp8 = distance(q8, class_of(CLATTN_F16, CLATTN_FP8, 128, false));
    assert_true(0 < q4 && q4 < fp8);
    assert_true(distance(q8, class_of(CLATTN_F16, CLATTN_F16, 128, false)) < 0);
    assert_true(distance(q8, class_of(CLATTN_F32, CLATTN_F32, 128, false)) < 0);
}

static void other_kernels_and_fragments_say_nothing(void **state)
{
    (void)state;
    const clattn_tuning_class decode = class_of(CLATTN_F16, CLATTN_F16, 128, false);
    clattn_tuning_class other = decode;
    other.algorithm = CLATTN_ALGORITHM_PREFILL;
    assert_true(distance(decode, other) < 0);
    other = decode;
    other.fragment = CLATTN_FRAGMENT_SCALAR;
    assert_true(distance(decode, other) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kernel_has_fields),
        cmocka_unit_test(a_problem_gives_its_class),
        cmocka_unit_test(cache_operations_are_classed_by_types),
        cmocka_unit_test(equal_classes_are_at_distance_0),
        cmocka_unit_test(distances_are_ordered),
        cmocka_unit_test(tails_say_nothing_about_whole_rows),
        cmocka_unit_test(tiles_know_tails_of_groups),
        cmocka_unit_test(quantised_caches_say_nothing_about_floats),
        cmocka_unit_test(other_kernels_and_fragments_say_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
