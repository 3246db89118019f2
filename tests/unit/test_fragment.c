/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "plan/fragment.h"

static clattn_problem problem_of(clattn_dtype q, clattn_dtype kv, clattn_dtype o, int32_t head_dim, int32_t v_head_dim)
{
    clattn_problem problem = { .desc = { .q_dtype = q,
                                         .k_dtype = kv,
                                         .v_dtype = kv,
                                         .o_dtype = o,
                                         .head_dim = head_dim,
                                         .v_head_dim = v_head_dim } };
    return problem;
}

static clattn_device_info nvidia(const char *architecture)
{
    return (clattn_device_info){ .vendor = "NVIDIA Corporation", .architecture = architecture };
}

/* Every fragment of plans, on devices with tensor cores and without. */
static void tensor_cores_have_their_architectures(void **state)
{
    (void)state;
    static const struct {
        const char *vendor, *architecture;
        bool mma, wgmma;
    } devices[] = {
        { "NVIDIA Corporation", "sm_90", true, true },   { "NVIDIA Corporation", "sm_80", true, false },
        { "NVIDIA Corporation", "sm_89", true, false },  { "NVIDIA Corporation", "sm_120", true, false },
        { "NVIDIA Corporation", "sm_75", false, false }, { "NVIDIA Corporation", "", false, false },
        { "GenuineIntel", "x86-64-v4", false, false },   { "Advanced Micro Devices", "gfx90a", false, false },
    };
    const clattn_problem problem = problem_of(CLATTN_F16, CLATTN_F16, CLATTN_F16, 128, 128);
    for (size_t i = 0; i < sizeof(devices) / sizeof(devices[0]); i++) {
        const clattn_device_info info = { .vendor = devices[i].vendor, .architecture = devices[i].architecture };
        char why[128];
        assert_int_equal(clattn_fragment_takes(CLATTN_FRAGMENT_NV_MMA, &problem, &info, why, sizeof(why)),
                         devices[i].mma);
        assert_int_equal(why[0] == '\0', devices[i].mma);
        assert_int_equal(clattn_fragment_takes(CLATTN_FRAGMENT_NV_WGMMA, &problem, &info, why, sizeof(why)),
                         devices[i].wgmma);
        assert_true(devices[i].wgmma || strstr(why, "sm_90"));
        assert_true(clattn_fragment_takes(CLATTN_FRAGMENT_SCALAR, &problem, &info, why, sizeof(why)));
    }
}

static void tensor_cores_have_their_types_and_dims(void **state)
{
    (void)state;
    static const struct {
        clattn_dtype q, kv, o;
        int32_t head_dim, v_head_dim;
        const char *why; /* NULL: it takes them */
    } cases[] = {
        { CLATTN_F16, CLATTN_F16, CLATTN_F16, 1, 256, NULL },
        { CLATTN_BF16, CLATTN_BF16, CLATTN_BF16, 256, 1, NULL },
        { CLATTN_F16, CLATTN_BF16, CLATTN_F16, 64, 64, "f16, bf16, bf16, f16" },
        { CLATTN_F32, CLATTN_F32, CLATTN_F32, 64, 64, "f32, f32" },
        { CLATTN_F16, CLATTN_Q8_0, CLATTN_F16, 64, 64, NULL },
        { CLATTN_BF16, CLATTN_Q4_0, CLATTN_BF16, 256, 32, NULL },
        { CLATTN_F16, CLATTN_FP8, CLATTN_F16, 64, 64, "f16, fp8" },
        { CLATTN_F16, CLATTN_F16, CLATTN_F32, 64, 64, "f16, f32" },
        { CLATTN_F16, CLATTN_F16, CLATTN_F16, 257, 64, "257 and 64" },
        { CLATTN_BF16, CLATTN_BF16, CLATTN_BF16, 64, 257, "64 and 257" },
    };
    const clattn_device_info info = nvidia("sm_90");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const clattn_problem problem =
            problem_of(cases[i].q, cases[i].kv, cases[i].o, cases[i].head_dim, cases[i].v_head_dim);
        char why[160];
        const bool takes = clattn_fragment_takes(CLATTN_FRAGMENT_NV_MMA, &problem, &info, why, sizeof(why));
        assert_int_equal(takes, cases[i].why == NULL);
        assert_true(takes || strstr(why, cases[i].why));
        const bool as_is = cases[i].q == cases[i].kv;
        assert_int_equal(clattn_fragment_takes(CLATTN_FRAGMENT_NV_WGMMA, &problem, &info, why, sizeof(why)),
                         takes && as_is);
    }
}

/* Whatever a fragment cannot have, the last of its line can. */
static void lines_end_with_one_for_all(void **state)
{
    (void)state;
    for (int id = 0; id < CLATTN_FRAGMENT_COUNT; id++) {
        clattn_fragment_id at = (clattn_fragment_id)id;
        int steps = 0;
        while (clattn_fragment_row(at)->otherwise != at && steps++ < CLATTN_FRAGMENT_COUNT)
            at = clattn_fragment_row(at)->otherwise;
        assert_true(steps < CLATTN_FRAGMENT_COUNT);
        const clattn_problem problem = problem_of(CLATTN_F32, CLATTN_Q4_0, CLATTN_F32, 576, 576);
        const clattn_device_info info = nvidia("sm_90");
        char why[160];
        assert_true(clattn_fragment_takes(at, &problem, &info, why, sizeof(why)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tensor_cores_have_their_architectures),
        cmocka_unit_test(tensor_cores_have_their_types_and_dims),
        cmocka_unit_test(lines_end_with_one_for_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
