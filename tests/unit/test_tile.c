/* SPDX-License-Identifier: BSD-2-Clause */
/* src/kernel/tile.c: every row of fragments.def and tiles.def, its numbers against those of the kernels, and its
 * limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "kernel/tile.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
#define MAX_DIM       576

typedef enum place { ANY, NVIDIA, WIDTH8, WIDTH16 } place;

/* tiles.def once more, with the parameters by name. */
typedef struct row {
    clattn_algorithm algorithm;
    clattn_fragment_id fragment;
    place where;
    int32_t parameters[CLATTN_TILE_MAX_PARAMETERS];
} row;

#define CLATTN_TILE(algorithm, fragment, where, ...)                                                                   \
    { CLATTN_ALGORITHM_##algorithm, CLATTN_FRAGMENT_##fragment, where, { __VA_ARGS__ } },
static const row rows[] = {
#include "kernel/tiles.def"
};
#undef CLATTN_TILE

typedef struct lanes_tile {
    int32_t lanes, vectors, keys, key_block, dim_block;
} lanes_tile;

typedef struct dims_tile {
    int32_t lanes, rows, keys, dim_block;
} dims_tile;

typedef struct scalar_tile {
    int32_t tx, ty, tm, tn, dim_slice, key_slice;
} scalar_tile;

static lanes_tile lanes_of(const row *r)
{
    const int32_t *p = r->parameters;
    return (lanes_tile){ p[0], p[1], p[2], p[3], p[4] };
}

static dims_tile dims_of(const row *r)
{
    const int32_t *p = r->parameters;
    return (dims_tile){ p[0], p[1], p[2], p[3] };
}

static scalar_tile scalar_of(const row *r)
{
    const int32_t *p = r->parameters;
    return (scalar_tile){ p[0], p[1], p[2], p[3], p[4], p[5] };
}

/* Any device without a vendor's or a width's privileges, and with limits that nothing is over. */
static clattn_device_info plain_device(void)
{
    return (clattn_device_info){
        .vendor = "Plain", .native_vector_width_float = 1, .local_mem_size = UINT64_MAX, .max_work_group_size = SIZE_MAX
    };
}

static void has_every_row(void **state)
{
    (void)state;
    for (size_t i = 0; i < LENGTH(rows); i++) {
        const clattn_tile *tile = clattn_tile_row(i);
        assert_non_null(tile);
        assert_int_equal(tile->algorithm, rows[i].algorithm);
        assert_int_equal(tile->fragment, rows[i].fragment);
        assert_memory_equal(tile->parameters, rows[i].parameters, sizeof(rows[i].parameters));
    }
    assert_null(clattn_tile_row(LENGTH(rows)));
    assert_null(clattn_tile_row(SIZE_MAX));
}

static void finds_fragments_by_name(void **state)
{
    (void)state;
    for (int id = 0; id < CLATTN_FRAGMENT_COUNT; id++)
        assert_int_equal(clattn_fragment_named(clattn_fragment_row((clattn_fragment_id)id)->name), id);
    assert_int_equal(clattn_fragment_named("frag_lanes"), CLATTN_FRAGMENT_LANES);
    assert_int_equal(clattn_fragment_named("frag_dims"), CLATTN_FRAGMENT_DIMS);
    assert_int_equal(clattn_fragment_named("frag_scalar"), CLATTN_FRAGMENT_SCALAR);
    assert_int_equal(clattn_fragment_named("frag"), CLATTN_FRAGMENT_COUNT);
    assert_int_equal(clattn_fragment_named(""), CLATTN_FRAGMENT_COUNT);
}

static void decode_may_have_its_own_fragment(void **state)
{
    (void)state;
    assert_true(clattn_fragment_row(CLATTN_FRAGMENT_LANES)->makes_plans);
    assert_true(clattn_fragment_row(CLATTN_FRAGMENT_SCALAR)->makes_plans);
    assert_false(clattn_fragment_row(CLATTN_FRAGMENT_DIMS)->makes_plans);
    assert_int_equal(clattn_fragment_of(CLATTN_FRAGMENT_LANES, CLATTN_ALGORITHM_PREFILL), CLATTN_FRAGMENT_LANES);
    assert_int_equal(clattn_fragment_of(CLATTN_FRAGMENT_LANES, CLATTN_ALGORITHM_DECODE), CLATTN_FRAGMENT_DIMS);
    assert_int_equal(clattn_fragment_of(CLATTN_FRAGMENT_SCALAR, CLATTN_ALGORITHM_PREFILL), CLATTN_FRAGMENT_SCALAR);
    assert_int_equal(clattn_fragment_of(CLATTN_FRAGMENT_SCALAR, CLATTN_ALGORITHM_DECODE), CLATTN_FRAGMENT_SCALAR);
}

static void names_are_unique_and_whole(void **state)
{
    (void)state;
    for (size_t i = 0; i < LENGTH(rows); i++) {
        char name[CLATTN_TILE_NAME_SIZE], other[CLATTN_TILE_NAME_SIZE], options[CLATTN_TILE_OPTIONS_SIZE];
        clattn_tile_name(clattn_tile_row(i), name);
        clattn_tile_options(clattn_tile_row(i), options);
        assert_true(strlen(name) > 0 && strlen(name) < sizeof(name) - 1);
        assert_true(strlen(options) < sizeof(options) - 1);
        for (size_t j = 0; j < i; j++) {
            clattn_tile_name(clattn_tile_row(j), other);
            if (rows[i].algorithm == rows[j].algorithm && rows[i].fragment == rows[j].fragment)
                assert_string_not_equal(name, other);
        }
    }
}

static void writes_names_and_options(void **state)
{
    (void)state;
    const clattn_tile lanes = { CLATTN_ALGORITHM_PREFILL, CLATTN_FRAGMENT_LANES, 0, { 16, 2, 64, 8, 4 } };
    const clattn_tile dims = { CLATTN_ALGORITHM_DECODE, CLATTN_FRAGMENT_DIMS, 0, { 8, 4, 24, 48 } };
    const clattn_tile scalar = { CLATTN_ALGORITHM_DECODE, CLATTN_FRAGMENT_SCALAR, 0, { 1, 2, 3, 4, 5, 6 } };
    char name[CLATTN_TILE_NAME_SIZE], options[CLATTN_TILE_OPTIONS_SIZE];
    clattn_tile_name(&lanes, name);
    clattn_tile_options(&lanes, options);
    assert_string_equal(name, "lanes16_vectors2_keys64_kb8_db4");
    assert_string_equal(options, "-DCLATTN_FRAG_LANES -DTILE_LANES=16 -DTILE_VECTORS=2 -DTILE_KEYS=64"
                                 " -DTILE_KEY_BLOCK=8 -DTILE_DIM_BLOCK=4");
    clattn_tile_name(&dims, name);
    clattn_tile_options(&dims, options);
    assert_string_equal(name, "lanes8_rows4_keys24_db48");
    assert_string_equal(options, "-DCLATTN_FRAG_DIMS -DTILE_LANES=8 -DTILE_ROWS=4 -DTILE_KEYS=24 -DTILE_DIM_BLOCK=48");
    clattn_tile_name(&scalar, name);
    clattn_tile_options(&scalar, options);
    assert_string_equal(name, "tx1_ty2_tm3_tn4_dim5_key6");
    assert_string_equal(options, "-DCLATTN_FRAG_SCALAR -DTILE_TX=1 -DTILE_TY=2 -DTILE_TM=3 -DTILE_TN=4"
                                 " -DTILE_DIM_SLICE=5 -DTILE_KEY_SLICE=6");
}

/* FRAG_LOCAL_FLOATS of cl/frag_scalar.clh, and float4 by float4 as it is declared there. */
static uint64_t scalar_local_bytes(const scalar_tile *t, int32_t v_head_dim)
{
    const int64_t tile_rows = (int64_t)t->ty * t->tm, keys = (int64_t)t->tx * t->tn;
    const int64_t queries_and_keys = t->dim_slice * tile_rows + t->dim_slice * keys;
    const int64_t weights_and_values = tile_rows * keys + (int64_t)t->key_slice * v_head_dim;
    int64_t floats = queries_and_keys > weights_and_values ? queries_and_keys : weights_and_values;
    floats += tile_rows * t->tx + tile_rows;
    while (floats % 4 != 0)
        floats++;
    return (uint64_t)floats * sizeof(float);
}

static void sizes_are_the_kernels(void **state)
{
    (void)state;
    for (size_t i = 0; i < LENGTH(rows); i++) {
        const clattn_tile *tile = clattn_tile_row(i);
        const bool is_scalar = rows[i].fragment == CLATTN_FRAGMENT_SCALAR;
        const lanes_tile l = lanes_of(&rows[i]);
        const dims_tile d = dims_of(&rows[i]);
        const scalar_tile s = scalar_of(&rows[i]);
        const int32_t tile_rows[] = { [CLATTN_FRAGMENT_LANES] = l.lanes * l.vectors,
                                      [CLATTN_FRAGMENT_DIMS] = d.rows,
                                      [CLATTN_FRAGMENT_SCALAR] = s.ty * s.tm };
        const int32_t keys[] = {
            [CLATTN_FRAGMENT_LANES] = l.keys, [CLATTN_FRAGMENT_DIMS] = d.keys, [CLATTN_FRAGMENT_SCALAR] = s.tx * s.tn
        };
        assert_int_equal(clattn_tile_rows(tile), tile_rows[rows[i].fragment]);
        assert_int_equal(clattn_tile_keys(tile), keys[rows[i].fragment]);
        assert_int_equal(clattn_tile_work_group_size(tile), is_scalar ? s.tx * s.ty : 1);
        for (int32_t dim = 1; dim <= MAX_DIM; dim++) {
            const int32_t v_head_dim = clattn_dim_class(rows[i].fragment, dim);
            const clattn_tile_problem problem = { clattn_dim_class(rows[i].fragment, 1), v_head_dim, false };
            assert_int_equal(clattn_tile_local_bytes(tile, &problem),
                             is_scalar ? scalar_local_bytes(&s, v_head_dim) : 0);
        }
    }
}

/* The formula's two sides and its rounding, where a row of tiles.def may not reach them. */
static void counts_local_bytes_of_any_tile(void **state)
{
    (void)state;
    static const scalar_tile tiles[] = { { 8, 16, 4, 4, 32, 1 }, { 1, 1, 1, 1, 4, 1 }, { 3, 1, 1, 1, 4, 3 } };
    for (size_t i = 0; i < LENGTH(tiles); i++) {
        const scalar_tile *t = &tiles[i];
        const clattn_tile tile = { CLATTN_ALGORITHM_PREFILL,
                                   CLATTN_FRAGMENT_SCALAR,
                                   0,
                                   { t->tx, t->ty, t->tm, t->tn, t->dim_slice, t->key_slice } };
        const clattn_tile_problem problem = { 32, 32, false };
        assert_int_equal(clattn_tile_local_bytes(&tile, &problem), scalar_local_bytes(t, 32));
        assert_int_equal(clattn_tile_local_bytes(&tile, &problem) % 16, 0);
    }
}

/* What the fragments ask of their parameters. */
static void parameters_divide_as_the_fragments_ask(void **state)
{
    (void)state;
    for (size_t i = 0; i < LENGTH(rows); i++) {
        const int32_t granule = clattn_fragment_row(rows[i].fragment)->granule;
        if (rows[i].fragment == CLATTN_FRAGMENT_LANES) {
            const lanes_tile t = lanes_of(&rows[i]);
            assert_true(t.lanes > 0 && t.vectors > 0 && t.keys > 0 && t.key_block > 0 && t.dim_block > 0);
            assert_int_equal(t.keys % t.key_block, 0);
        } else if (rows[i].fragment == CLATTN_FRAGMENT_DIMS) {
            const dims_tile t = dims_of(&rows[i]);
            assert_true((t.lanes == 16 || t.lanes == 8) && t.rows > 0 && t.keys > 0 && t.dim_block > 0);
            assert_int_equal(t.rows % (t.lanes / 4), 0);
            assert_int_equal(t.keys % t.lanes, 0);
            assert_int_equal(t.dim_block % 16, 0);
            assert_int_equal(granule % 16, 0);
        } else {
            const scalar_tile t = scalar_of(&rows[i]);
            assert_true(t.tx > 0 && t.ty > 0 && t.tm > 0 && t.tn > 0 && t.dim_slice > 0 && t.key_slice > 0);
            assert_int_equal(t.dim_slice % 4, 0);
            assert_int_equal(granule % t.dim_slice, 0);
            assert_int_equal(granule % t.tx, 0);
            assert_int_equal(t.tx * t.tn % t.key_slice, 0);
        }
    }
}

static void rounds_dims_up_to_classes(void **state)
{
    (void)state;
    for (int id = 0; id < CLATTN_FRAGMENT_COUNT; id++) {
        const int32_t granule = clattn_fragment_row((clattn_fragment_id)id)->granule;
        int32_t want = granule;
        for (int32_t dim = 1; dim <= MAX_DIM; dim++) {
            if (dim > want)
                want += granule;
            assert_int_equal(clattn_dim_class((clattn_fragment_id)id, dim), want);
        }
    }
    assert_int_equal(clattn_dim_class(CLATTN_FRAGMENT_LANES, 65), 128);
    assert_int_equal(clattn_dim_class(CLATTN_FRAGMENT_SCALAR, 65), 96);
}

static void defaults_follow_the_device(void **state)
{
    (void)state;
    for (size_t i = 0; i < LENGTH(rows); i++) {
        const clattn_tile *tile = clattn_tile_row(i);
        clattn_device_info info = plain_device();
        assert_int_equal(clattn_tile_is_default_on(tile, &info), rows[i].where == ANY);
        info.vendor = "NVIDIA Corporation";
        assert_int_equal(clattn_tile_is_default_on(tile, &info), rows[i].where == ANY || rows[i].where == NVIDIA);
        for (uint32_t width = 4; width <= 16; width++) {
            info = plain_device();
            info.native_vector_width_float = width;
            const bool wide = (rows[i].where == WIDTH8 && width >= 8) || (rows[i].where == WIDTH16 && width >= 16);
            assert_int_equal(clattn_tile_is_default_on(tile, &info), rows[i].where == ANY || wide);
        }
    }
}

/* Without it a device could be left without any tile. The limits are the least that OpenCL 1.2 allows. */
static void last_rows_are_for_every_device(void **state)
{
    (void)state;
    clattn_device_info least = plain_device();
    least.local_mem_size = 32768;
    least.max_work_group_size = 1;
    for (int algorithm = CLATTN_ALGORITHM_PREFILL; algorithm <= CLATTN_ALGORITHM_DECODE; algorithm++)
        for (int fragment = 0; fragment < CLATTN_FRAGMENT_COUNT; fragment++) {
            const clattn_tile *last = NULL;
            const clattn_fragment_id own =
                clattn_fragment_of((clattn_fragment_id)fragment, (clattn_algorithm)algorithm);
            if (!clattn_fragment_row((clattn_fragment_id)fragment)->makes_plans)
                continue;
            for (size_t i = 0; i < LENGTH(rows); i++)
                if ((int)rows[i].algorithm == algorithm && rows[i].fragment == own)
                    last = clattn_tile_row(i);
            assert_non_null(last);
            assert_true(clattn_tile_is_default_on(last, &least));
            for (int32_t dim = 1; dim <= MAX_DIM; dim++) {
                const int32_t class = clattn_dim_class(own, dim);
                const clattn_tile_problem problem = { class, class, true };
                char why[256] = "";
                assert_true(clattn_tile_fits(last, &problem, &least, why, sizeof(why)));
            }
        }
}

static void refuses_over_limits(void **state)
{
    (void)state;
    const clattn_tile_problem problem = { 64, 64, true };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        const clattn_tile *tile = clattn_tile_row(i);
        clattn_device_info info = plain_device();
        char why[256] = "", number[32];
        info.max_work_group_size = clattn_tile_work_group_size(tile);
        info.local_mem_size = clattn_tile_local_bytes(tile, &problem);
        assert_true(clattn_tile_fits(tile, &problem, &info, why, sizeof(why)));
        if (info.local_mem_size > 0) {
            info.local_mem_size--;
            assert_false(clattn_tile_fits(tile, &problem, &info, why, sizeof(why)));
            snprintf(number, sizeof(number), "%llu bytes", (unsigned long long)info.local_mem_size + 1);
            assert_non_null(strstr(why, number));
            assert_non_null(strstr(why, "local memory"));
        }
        info.max_work_group_size--;
        assert_false(clattn_tile_fits(tile, &problem, &info, why, sizeof(why)));
        snprintf(number, sizeof(number), "size %zu", clattn_tile_work_group_size(tile));
        assert_non_null(strstr(why, number));
        assert_non_null(strstr(why, "work-group"));
    }
}

static void refuses_what_registers_cannot_hold(void **state)
{
    (void)state;
    const clattn_device_info info = plain_device();
    const clattn_tile shared = { CLATTN_ALGORITHM_PREFILL, CLATTN_FRAGMENT_SCALAR, 0, { 8, 16, 4, 4, 16, 8 } };
    const clattn_tile alone = { CLATTN_ALGORITHM_PREFILL, CLATTN_FRAGMENT_SCALAR, 0, { 1, 1, 4, 8, 16, 8 } };
    const clattn_tile_problem most = { 576, 320, false }, over = { 576, 352, false };
    char why[256] = "";
    assert_true(clattn_tile_fits(&shared, &most, &info, why, sizeof(why)));
    assert_false(clattn_tile_fits(&shared, &over, &info, why, sizeof(why)));
    assert_non_null(strstr(why, "176 sums"));
    assert_non_null(strstr(why, "160"));
    assert_true(clattn_tile_fits(&alone, &over, &info, why, sizeof(why)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_every_row),
        cmocka_unit_test(finds_fragments_by_name),
        cmocka_unit_test(decode_may_have_its_own_fragment),
        cmocka_unit_test(names_are_unique_and_whole),
        cmocka_unit_test(writes_names_and_options),
        cmocka_unit_test(sizes_are_the_kernels),
        cmocka_unit_test(counts_local_bytes_of_any_tile),
        cmocka_unit_test(parameters_divide_as_the_fragments_ask),
        cmocka_unit_test(rounds_dims_up_to_classes),
        cmocka_unit_test(defaults_follow_the_device),
        cmocka_unit_test(last_rows_are_for_every_device),
        cmocka_unit_test(refuses_over_limits),
        cmocka_unit_test(refuses_what_registers_cannot_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
