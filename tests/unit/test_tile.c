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

typedef enum place { ANY, NVIDIA, NVIDIA_DIM64, NVIDIA_GROUP8, NVIDIA_HEADS4, CPU, WIDTH8, WIDTH8_TAIL, WIDTH16 } place;

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

typedef struct tensor_core_tile {
    int32_t warps, rows, keys, stages; /* stages: 0 for wgmma */
} tensor_core_tile;

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

static tensor_core_tile tensor_core_of(const row *r)
{
    const int32_t *p = r->parameters;
    return r->fragment == CLATTN_FRAGMENT_NV_WGMMA ? (tensor_core_tile){ p[0], 16, p[1], 0 }
                                                   : (tensor_core_tile){ p[0], p[1], p[2], p[3] };
}

static scalar_tile scalar_of(const row *r)
{
    const int32_t *p = r->parameters;
    return (scalar_tile){ p[0], p[1], p[2], p[3], p[4], p[5] };
}

/* Any device without a vendor's or a width's privileges, and with limits that nothing is over. */
static clattn_device_info plain_device(void)
{
    return (clattn_device_info){ .vendor = "Plain",
                                 .type = "gpu",
                                 .native_vector_width_float = 1,
                                 .local_mem_size = UINT64_MAX,
                                 .max_work_group_size = SIZE_MAX };
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
    assert_int_equal(clattn_fragment_named("frag_lanes"), CLATTN_FRAGMENT_LANES);
    assert_int_equal(clattn_fragment_named("frag_scalar"), CLATTN_FRAGMENT_SCALAR);
    assert_int_equal(clattn_fragment_named("frag_dims"), CLATTN_FRAGMENT_COUNT);
    assert_int_equal(clattn_fragment_named("none"), CLATTN_FRAGMENT_COUNT);
    assert_int_equal(clattn_fragment_named("frag"), CLATTN_FRAGMENT_COUNT);
    assert_int_equal(clattn_fragment_named(""), CLATTN_FRAGMENT_COUNT);
}

static void decode_may_have_its_own_fragment(void **state)
{
    (void)state;
    assert_int_equal(clattn_fragment_row(CLATTN_FRAGMENT_LANES)->role, CLATTN_ROLE_PLAN);
    assert_int_equal(clattn_fragment_row(CLATTN_FRAGMENT_SCALAR)->role, CLATTN_ROLE_PLAN);
    assert_int_equal(clattn_fragment_row(CLATTN_FRAGMENT_DIMS)->role, CLATTN_ROLE_DECODE);
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
            const bool same_kernel = rows[i].algorithm == rows[j].algorithm && rows[i].fragment == rows[j].fragment;
            if (same_kernel && rows[i].where == rows[j].where)
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
    const int64_t padded = t->dim_slice < 32 ? 32 / t->dim_slice : 1;
    const int64_t queries = tile_rows * t->dim_slice + tile_rows / padded * 4;
    const int64_t one_v = (int64_t)t->key_slice * v_head_dim, shares = tile_rows * t->tx;
    const int64_t weights = tile_rows * keys + tile_rows * (t->tx > 4 ? t->tx : 4);
    const int64_t queries_and_keys = 2 * (queries + keys * t->dim_slice + keys / padded * 4);
    const int64_t weights_and_values = weights + one_v + (one_v > shares ? one_v : shares);
    int64_t floats = queries_and_keys > weights_and_values ? queries_and_keys : weights_and_values;
    floats += (int64_t)sizeof(uint64_t) / (int64_t)sizeof(float) * (tile_rows + 2 * keys);
    while (floats % 4 != 0)
        floats++;
    return (uint64_t)floats * sizeof(float);
}

/* NV_TILES_BYTES of cl/frag_nv_wgmma.clh and cl/frag_nv_mma.clh, counted row by row, and what aligns them. */
static uint64_t tensor_core_local_bytes(const tensor_core_tile *t, int32_t head_dim, int32_t v_head_dim)
{
    uint64_t q = 0, k = 0, v = 0;
    for (int32_t dim = 0; dim < head_dim; dim += 64) {
        q += (uint64_t)t->warps * (uint64_t)t->rows * 64 * 2;
        k += (uint64_t)t->keys * 64 * 2;
    }
    for (int32_t dim = 0; dim < v_head_dim; dim += 64)
        v += (uint64_t)t->keys * 64 * 2;
    if (t->stages == 0)
        return q + 2 * k + 2 * v + 1024;
    return (uint64_t)t->stages * (k + v) + (q > v ? q - v : 0) + 1024;
}

static void counts_local_bytes_of_tensor_cores(void **state)
{
    (void)state;
    for (size_t i = 0; i < LENGTH(rows); i++) {
        const clattn_tile *tile = clattn_tile_row(i);
        if (!clattn_fragment_is_tensor_core(rows[i].fragment))
            continue;
        const tensor_core_tile t = tensor_core_of(&rows[i]);
        const bool decodes = rows[i].algorithm == CLATTN_ALGORITHM_DECODE;
        assert_int_equal(clattn_tile_rows(tile), decodes ? t.rows : t.warps * t.rows);
        assert_int_equal(clattn_tile_heads(tile), decodes ? t.warps : 1);
        assert_int_equal(clattn_tile_keys(tile), t.keys);
        assert_int_equal(clattn_tile_work_group_size(tile), t.warps * 32);
        for (int32_t dim = 16; dim <= 256; dim += 16)
            for (int32_t v = 16; v <= 256; v += 16) {
                const clattn_tile_problem dense = { .head_dim = dim, .v_head_dim = v },
                                          paged = { .head_dim = dim, .v_head_dim = v, .paged = true };
                const uint64_t bytes = tensor_core_local_bytes(&t, dim, v);
                assert_int_equal(clattn_tile_local_bytes(tile, &dense), bytes);
                const uint64_t buffers = t.stages == 0 ? 3 : (uint64_t)t.stages + 1;
                assert_int_equal(clattn_tile_local_bytes(tile, &paged),
                                 bytes + buffers * 4 * (2 * (uint64_t)t.keys + 1));
            }
    }
}

/* Whole lines of 128 bytes; each stored row has an address besides. */
static uint64_t rounded_room(uint64_t keys, clattn_dtype dtype, int32_t pieces)
{
    uint64_t bytes = keys * (16 * (uint64_t)pieces + (dtype == CLATTN_F16 ? 0 : 4));
    while (bytes % 128 != 0)
        bytes++;
    return bytes;
}

/* Rows of blocks, in pieces of 16 bytes: from 2 to 14 bytes may stand before a row, and rows lie an odd number of
 * pieces apart (cl/nv_stored.clh). Q passes through the last room of V. */
static void counts_local_bytes_of_stored_rows(void **state)
{
    (void)state;
    static const struct {
        clattn_dtype k_dtype, v_dtype;
        int32_t head_dim, v_head_dim, heads, k_pieces, v_pieces;
    } cases[] = {
        { CLATTN_Q8_0, CLATTN_Q8_0, 128, 128, 1, 11, 11 }, { CLATTN_Q8_0, CLATTN_Q4_0, 64, 256, 1, 7, 11 },
        { CLATTN_F16, CLATTN_Q4_0, 64, 32, 1, 8, 3 },      { CLATTN_Q4_0, CLATTN_F16, 160, 64, 1, 7, 8 },
        { CLATTN_Q8_0, CLATTN_Q4_0, 128, 64, 4, 35, 11 },  { CLATTN_Q4_0, CLATTN_Q8_0, 32, 32, 8, 11, 19 },
    };
    const uint64_t keys = 32, stages = 2;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        const int32_t heads = cases[i].heads;
        const clattn_tile tile = { CLATTN_ALGORITHM_DECODE, CLATTN_FRAGMENT_NV_MMA, 0, { heads, 16, 32, 2 } };
        const clattn_tile_problem problem = { .head_dim = cases[i].head_dim,
                                              .v_head_dim = cases[i].v_head_dim,
                                              .q_dtype = CLATTN_F16,
                                              .k_dtype = cases[i].k_dtype,
                                              .v_dtype = cases[i].v_dtype };
        const uint64_t k = rounded_room(keys, cases[i].k_dtype, cases[i].k_pieces);
        const uint64_t v = rounded_room(keys, cases[i].v_dtype, cases[i].v_pieces);
        const uint64_t q = (uint64_t)(cases[i].head_dim + 63) / 64 * 128 * 16 * (uint64_t)heads;
        assert_int_equal(clattn_tile_local_bytes(&tile, &problem), stages * (k + v) + (q > v ? q - v : 0) + 1024);
    }
}

/* Whatever it takes, frag_nv_mma has a prefill and a decode tile that fit 48 KiB, NVIDIA's CL_DEVICE_LOCAL_MEM_SIZE. */
static void tensor_cores_have_defaults_for_all_they_take(void **state)
{
    (void)state;
    static const clattn_dtype types[] = { CLATTN_F16, CLATTN_Q8_0, CLATTN_Q4_0 };
    clattn_device_info info = plain_device();
    info.vendor = "NVIDIA Corporation";
    info.local_mem_size = 49152;
    for (int32_t dim = 16; dim <= 256; dim += 16)
        for (int32_t v = 16; v <= 256; v += 16)
            for (size_t n = 0; n < 2 * LENGTH(types) * LENGTH(types); n++) {
                const clattn_tile_problem problem = { .head_dim = dim,
                                                      .v_head_dim = v,
                                                      .paged = n % 2 == 1,
                                                      .q_dtype = CLATTN_F16,
                                                      .k_dtype = types[n / 2 % LENGTH(types)],
                                                      .v_dtype = types[n / 2 / LENGTH(types)] };
                for (int algorithm = CLATTN_ALGORITHM_PREFILL; algorithm <= CLATTN_ALGORITHM_DECODE; algorithm++)
                    assert_non_null(
                        clattn_tile_default((clattn_algorithm)algorithm, CLATTN_FRAGMENT_NV_MMA, &problem, &info));
            }
}

/* Heads of a group are loaded as one row: they have to be in blocks, and to lie together, whole groups of them. */
static void heads_are_together(void **state)
{
    (void)state;
    const clattn_device_info info = plain_device();
    for (int32_t heads = 1; heads <= 8; heads *= 2)
        for (int32_t together = 1; together <= 9; together++)
            for (int n = 0; n < 4; n++) {
                const clattn_tile tile = { CLATTN_ALGORITHM_DECODE, CLATTN_FRAGMENT_NV_MMA, 0, { heads, 8, 32, 1 } };
                const clattn_tile_problem problem = { .head_dim = 64,
                                                      .v_head_dim = 64,
                                                      .heads_together = together,
                                                      .q_dtype = CLATTN_F16,
                                                      .k_dtype = n % 2 ? CLATTN_Q8_0 : CLATTN_F16,
                                                      .v_dtype = n / 2 ? CLATTN_Q4_0 : CLATTN_F16 };
                char why[256] = "";
                const bool fits = heads == 1 || (n == 3 && together % heads == 0);
                assert_int_equal(clattn_tile_fits(&tile, &problem, &info, why, sizeof(why)), fits);
                assert_int_equal(why[0] == '\0', fits);
            }
}

static void sizes_are_the_kernels(void **state)
{
    (void)state;
    for (size_t i = 0; i < LENGTH(rows); i++) {
        const clattn_tile *tile = clattn_tile_row(i);
        if (clattn_fragment_row(rows[i].fragment)->role == CLATTN_ROLE_GROUP ||
            clattn_fragment_is_tensor_core(rows[i].fragment))
            continue;
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
            const clattn_tile_problem problem = { .head_dim = clattn_dim_class(rows[i].fragment, 1),
                                                  .v_head_dim = v_head_dim };
            assert_int_equal(clattn_tile_local_bytes(tile, &problem),
                             is_scalar ? scalar_local_bytes(&s, v_head_dim) : 0);
        }
    }
}

/* 192 KiB of Q and O at most, eight tiles of rows at most, and of decode heads that lie together. */
static void counts_tiles_of_rows_of_a_group(void **state)
{
    (void)state;
    const clattn_tile lanes = { CLATTN_ALGORITHM_PREFILL, CLATTN_FRAGMENT_LANES, 0, { 8, 3, 64, 4, 4 } };
    const clattn_tile dims = { CLATTN_ALGORITHM_DECODE, CLATTN_FRAGMENT_DIMS, 0, { 8, 16, 16, 32 } };
    const clattn_tile scalar = { CLATTN_ALGORITHM_PREFILL, CLATTN_FRAGMENT_SCALAR, 0, { 8, 16, 4, 4, 16, 16 } };
    const struct {
        const clattn_tile *tile;
        int32_t head_dim, v_head_dim, heads_together, most;
    } cases[] = { { &lanes, 64, 64, 1, 8 },   { &lanes, 128, 128, 1, 8 }, { &lanes, 256, 256, 1, 4 },
                  { &lanes, 576, 512, 1, 1 }, { &dims, 128, 128, 8, 8 },  { &dims, 128, 128, 32, 8 },
                  { &dims, 128, 128, 3, 3 },  { &dims, 64, 64, 1, 1 },    { &dims, 256, 256, 8, 6 },
                  { &scalar, 64, 64, 8, 1 } };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        const clattn_tile_problem problem = { .head_dim = cases[i].head_dim,
                                              .v_head_dim = cases[i].v_head_dim,
                                              .heads_together = cases[i].heads_together };
        assert_int_equal(clattn_tile_row_tiles(cases[i].tile, &problem), cases[i].most);
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
        const clattn_tile_problem problem = { .head_dim = 32, .v_head_dim = 32 };
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
        } else if (rows[i].fragment == CLATTN_FRAGMENT_SCALAR) {
            const scalar_tile t = scalar_of(&rows[i]);
            assert_true(t.tx > 0 && t.ty > 0 && t.tm > 0 && t.tn > 0 && t.dim_slice > 0 && t.key_slice > 0);
            assert_int_equal(t.dim_slice % 4, 0);
            assert_int_equal(granule % t.dim_slice, 0);
            assert_int_equal(granule % t.tx, 0);
            assert_int_equal(t.key_slice % 4, 0);
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
        const clattn_tile_problem small = { .head_dim = 64, .v_head_dim = 64 },
                                  wide_k = { .head_dim = 80, .v_head_dim = 64 },
                                  wide_v = { .head_dim = 64, .v_head_dim = 80 },
                                  large_group = { .head_dim = 64, .v_head_dim = 64, .group = 9 },
                                  tail = { .head_dim = 64, .v_head_dim = 64, .tail = true };
        clattn_tile_problem heads = small;
        heads.heads_together = 4;
        heads.k_dtype = heads.v_dtype = CLATTN_Q8_0;
        const bool nvidia = rows[i].where == ANY || rows[i].where == NVIDIA;
        const bool dim64 = rows[i].where == NVIDIA_DIM64, group8 = rows[i].where == NVIDIA_GROUP8;
        clattn_device_info info = plain_device();
        assert_int_equal(clattn_tile_is_default_on(tile, &small, &info), rows[i].where == ANY);
        info.vendor = "NVIDIA Corporation";
        assert_int_equal(clattn_tile_is_default_on(tile, &small, &info), nvidia || dim64 || group8);
        assert_int_equal(clattn_tile_is_default_on(tile, &wide_k, &info), nvidia || group8);
        assert_int_equal(clattn_tile_is_default_on(tile, &wide_v, &info), nvidia || group8);
        assert_int_equal(clattn_tile_is_default_on(tile, &large_group, &info), nvidia || dim64);
        const bool heads4 = rows[i].where == NVIDIA_HEADS4;
        assert_int_equal(clattn_tile_is_default_on(tile, &heads, &info), nvidia || dim64 || group8 || heads4);
        heads.heads_together = 6;
        assert_int_equal(clattn_tile_is_default_on(tile, &heads, &info), nvidia || dim64 || group8);
        for (uint32_t width = 4; width <= 16; width++) {
            info = plain_device();
            info.native_vector_width_float = width;
            const bool wide = (rows[i].where == WIDTH8 && width >= 8) || (rows[i].where == WIDTH16 && width >= 16);
            const bool for_tails = rows[i].where == WIDTH8_TAIL && width >= 8;
            assert_int_equal(clattn_tile_is_default_on(tile, &small, &info), rows[i].where == ANY || wide);
            assert_int_equal(clattn_tile_is_default_on(tile, &tail, &info), rows[i].where == ANY || wide || for_tails);
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
            if (clattn_fragment_row((clattn_fragment_id)fragment)->role != CLATTN_ROLE_PLAN ||
                clattn_fragment_is_tensor_core(
                    (clattn_fragment_id)fragment)) /* what they cannot do, frag_scalar does */
                continue;
            for (size_t i = 0; i < LENGTH(rows); i++)
                if ((int)rows[i].algorithm == algorithm && rows[i].fragment == own)
                    last = clattn_tile_row(i);
            assert_non_null(last);
            for (int32_t dim = 1; dim <= MAX_DIM; dim++) {
                const int32_t class = clattn_dim_class(own, dim);
                const clattn_tile_problem problem = { .head_dim = class, .v_head_dim = class, .paged = true };
                char why[256] = "";
                assert_true(clattn_tile_is_default_on(last, &problem, &least));
                assert_true(clattn_tile_fits(last, &problem, &least, why, sizeof(why)));
            }
        }
}

static void refuses_over_limits(void **state)
{
    (void)state;
    const clattn_tile_problem floats = { .head_dim = 64, .v_head_dim = 64, .paged = true },
                              blocks = { .head_dim = 64,
                                         .v_head_dim = 64,
                                         .heads_together = 8,
                                         .paged = true,
                                         .q_dtype = CLATTN_F16,
                                         .k_dtype = CLATTN_Q8_0,
                                         .v_dtype = CLATTN_Q8_0 };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        const clattn_tile *tile = clattn_tile_row(i);
        const clattn_tile_problem problem = clattn_tile_heads(tile) > 1 ? blocks : floats;
        clattn_device_info info = plain_device();
        char why[256] = "", number[32];
        info.max_work_group_size = clattn_tile_work_group_size(tile);
        info.local_mem_size = clattn_tile_local_bytes(tile, &problem);
        assert_true(clattn_tile_fits(tile, &problem, &info, why, sizeof(why)));
        if (info.local_mem_size > 0 && tile->fragment != CLATTN_FRAGMENT_NV_WGMMA) {
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
    const clattn_tile_problem most = { .head_dim = 576, .v_head_dim = 320 },
                              over = { .head_dim = 576, .v_head_dim = 352 };
    char why[256] = "";
    assert_true(clattn_tile_fits(&shared, &most, &info, why, sizeof(why)));
    assert_false(clattn_tile_fits(&shared, &over, &info, why, sizeof(why)));
    assert_non_null(strstr(why, "176 sums"));
    assert_non_null(strstr(why, "160"));
    assert_true(clattn_tile_fits(&alone, &over, &info, why, sizeof(why)));
}

/* Of frag_nv_wgmma: Hopper gives a group 227 KiB of local memory, whatever its driver says, and 255 registers. */
static void refuses_wgmma_tiles_over_hopper(void **state)
{
    (void)state;
    static const struct {
        clattn_tile tile;
        clattn_tile_problem problem;
        const char *why; /* NULL: it fits */
    } cases[] = {
        { { CLATTN_ALGORITHM_PREFILL, CLATTN_FRAGMENT_NV_WGMMA, 0, { 8, 128 } },
          { .head_dim = 128, .v_head_dim = 128, .paged = true },
          NULL },
        { { CLATTN_ALGORITHM_PREFILL, CLATTN_FRAGMENT_NV_WGMMA, 0, { 8, 64 } },
          { .head_dim = 256, .v_head_dim = 256, .paged = true },
          NULL },
        { { CLATTN_ALGORITHM_PREFILL, CLATTN_FRAGMENT_NV_WGMMA, 0, { 8, 128 } },
          { .head_dim = 256, .v_head_dim = 128, .paged = true },
          "local memory" },
        { { CLATTN_ALGORITHM_PREFILL, CLATTN_FRAGMENT_NV_WGMMA, 0, { 8, 128 } },
          { .head_dim = 128, .v_head_dim = 192, .paged = true },
          "registers" },
    };
    clattn_device_info info = plain_device();
    info.local_mem_size = 49152;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        char why[256] = "";
        const bool fits = clattn_tile_fits(&cases[i].tile, &cases[i].problem, &info, why, sizeof(why));
        assert_int_equal(fits, cases[i].why == NULL);
        assert_true(fits || strstr(why, cases[i].why));
    }
}

/* Every combination once, from the first parameter's least value to the last's largest. */
static void points_are_the_product_of_the_values(void **state)
{
    (void)state;
    for (int algorithm = 0; algorithm < CLATTN_ALGORITHM_COUNT; algorithm++)
        for (int fragment = 0; fragment < CLATTN_FRAGMENT_COUNT; fragment++) {
            const clattn_algorithm a = (clattn_algorithm)algorithm;
            const clattn_fragment_id f = (clattn_fragment_id)fragment;
            size_t product = 1, count = 0;
            for (int p = 0; p < clattn_fragment_parameters(f); p++) {
                const int32_t *values = clattn_space_values(a, f, p, &count);
                product *= count;
                for (size_t v = 1; v < count; v++)
                    assert_true(values[v - 1] < values[v]);
            }
            assert_int_equal(clattn_space_size(a, f), product);
            clattn_tile before = { 0 }, point;
            for (size_t i = 0; i < product; i++, before = point) {
                char name[CLATTN_TILE_NAME_SIZE];
                clattn_tile again;
                clattn_space_point(a, f, i, &point);
                assert_true(i == 0 || memcmp(before.parameters, point.parameters, sizeof(point.parameters)) != 0);
                clattn_tile_name(&point, name);
                assert_true(clattn_tile_parse(a, f, name, &again));
                assert_true(clattn_tile_equal(&point, &again));
            }
        }
}

static void defaults_are_points(void **state)
{
    (void)state;
    for (size_t i = 0; i < LENGTH(rows); i++) {
        char why[256] = "";
        if (!clattn_tile_in_space(clattn_tile_row(i), why, sizeof(why)))
            fail_msg("row %zu: %s", i, why);
    }
}

/* What the tuner has to choose from, on the kinds of devices that there are. */
static void spaces_have_points_enough(void **state)
{
    (void)state;
    static const struct {
        const char *type, *vendor;
        uint32_t width;
        clattn_algorithm algorithm;
        clattn_fragment_id fragment;
        size_t least;
    } wanted[] = {
        { "cpu", "Plain", 16, CLATTN_ALGORITHM_PREFILL, CLATTN_FRAGMENT_LANES, 24 },
        { "cpu", "Plain", 8, CLATTN_ALGORITHM_PREFILL, CLATTN_FRAGMENT_LANES, 24 },
        { "cpu", "Plain", 16, CLATTN_ALGORITHM_DECODE, CLATTN_FRAGMENT_DIMS, 8 }, /* times seven split sizes */
        { "cpu", "Plain", 8, CLATTN_ALGORITHM_DECODE, CLATTN_FRAGMENT_DIMS, 8 },
        { "gpu", "NVIDIA", 1, CLATTN_ALGORITHM_PREFILL, CLATTN_FRAGMENT_SCALAR, 24 },
        { "gpu", "NVIDIA", 1, CLATTN_ALGORITHM_DECODE, CLATTN_FRAGMENT_SCALAR, 24 },
        { "gpu", "Plain", 1, CLATTN_ALGORITHM_PREFILL, CLATTN_FRAGMENT_SCALAR, 24 },
        { "gpu", "Plain", 1, CLATTN_ALGORITHM_DECODE, CLATTN_FRAGMENT_SCALAR, 24 },
        { "gpu", "Plain", 1, CLATTN_ALGORITHM_COMBINE, CLATTN_FRAGMENT_LINE, 2 },
        { "cpu", "Plain", 16, CLATTN_ALGORITHM_APPEND, CLATTN_FRAGMENT_GROUP, 7 },
        { "gpu", "Plain", 1, CLATTN_ALGORITHM_GATHER, CLATTN_FRAGMENT_GROUP, 24 },
    };
    for (size_t i = 0; i < LENGTH(wanted); i++) {
        clattn_device_info info = plain_device();
        info.type = wanted[i].type;
        info.vendor = wanted[i].vendor;
        info.native_vector_width_float = wanted[i].width;
        info.local_mem_size = 49152;
        info.max_work_group_size = 1024;
        const clattn_tile_problem problem = { .head_dim = 128, .v_head_dim = 128, .paged = true };
        size_t found = 0;
        for (size_t p = 0; p < clattn_space_size(wanted[i].algorithm, wanted[i].fragment); p++) {
            clattn_tile tile;
            clattn_space_point(wanted[i].algorithm, wanted[i].fragment, p, &tile);
            found += clattn_tile_in_space(&tile, NULL, 0) && clattn_tile_fits(&tile, &problem, &info, NULL, 0) &&
                     clattn_tile_suits(&tile, &problem, &info, NULL, 0);
        }
        print_message("%s width %u, %s: %zu points\n", info.type, info.native_vector_width_float,
                      clattn_algorithm_name(wanted[i].algorithm), found);
        assert_true(found >= wanted[i].least);
    }
}

static void no_other_text_is_a_tile(void **state)
{
    (void)state;
    static const char *const texts[] = { "",
                                         "lanes16",
                                         "lanes16_vectors2_keys64_kb8_db8_",
                                         "lanes16_vectors2_keys64_kb8",
                                         "lanes016_vectors2_keys64_kb8_db8",
                                         "lanes16_vectors2_keys64_kb8_db99999999999",
                                         "vectors2_lanes16_keys64_kb8_db8",
                                         "lanes-16_vectors2_keys64_kb8_db8" };
    clattn_tile tile;
    for (size_t i = 0; i < LENGTH(texts); i++)
        assert_false(clattn_tile_parse(CLATTN_ALGORITHM_PREFILL, CLATTN_FRAGMENT_LANES, texts[i], &tile));
}

static void refuses_what_is_no_point(void **state)
{
    (void)state;
    static const struct {
        clattn_tile tile;
        const char *why;
    } cases[] = {
        { { CLATTN_ALGORITHM_PREFILL, CLATTN_FRAGMENT_LANES, 0, { 16, 2, 64, 8, 5 } }, "db is 5" },
        { { CLATTN_ALGORITHM_PREFILL, CLATTN_FRAGMENT_LANES, 0, { 16, 2, 64, 6, 8 } }, "kb 6" },
        { { CLATTN_ALGORITHM_PREFILL, CLATTN_FRAGMENT_DIMS, 0, { 16, 16, 32, 64 } }, "no tiles of frag_dims" },
        { { CLATTN_ALGORITHM_DECODE, CLATTN_FRAGMENT_SCALAR, 0, { 1, 16, 1, 8, 16, 8 } }, "tx 1" },
        { { CLATTN_ALGORITHM_DECODE, CLATTN_FRAGMENT_SCALAR, 0, { 1, 1, 1, 8, 16, 16 } }, "key 16" },
        { { CLATTN_ALGORITHM_COMBINE, CLATTN_FRAGMENT_LINE, 0, { 3 } }, "local is 3" },
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        char why[256] = "";
        assert_false(clattn_tile_in_space(&cases[i].tile, why, sizeof(why)));
        if (!strstr(why, cases[i].why))
            fail_msg("case %zu: %s", i, why);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_every_row),
        cmocka_unit_test(finds_fragments_by_name),
        cmocka_unit_test(decode_may_have_its_own_fragment),
        cmocka_unit_test(names_are_unique_and_whole),
        cmocka_unit_test(writes_names_and_options),
        cmocka_unit_test(counts_local_bytes_of_tensor_cores),
        cmocka_unit_test(counts_local_bytes_of_stored_rows),
        cmocka_unit_test(tensor_cores_have_defaults_for_all_they_take),
        cmocka_unit_test(heads_are_together),
        cmocka_unit_test(sizes_are_the_kernels),
        cmocka_unit_test(counts_tiles_of_rows_of_a_group),
        cmocka_unit_test(counts_local_bytes_of_any_tile),
        cmocka_unit_test(parameters_divide_as_the_fragments_ask),
        cmocka_unit_test(rounds_dims_up_to_classes),
        cmocka_unit_test(defaults_follow_the_device),
        cmocka_unit_test(last_rows_are_for_every_device),
        cmocka_unit_test(refuses_over_limits),
        cmocka_unit_test(refuses_what_registers_cannot_hold),
        cmocka_unit_test(refuses_wgmma_tiles_over_hopper),
        cmocka_unit_test(points_are_the_product_of_the_values),
        cmocka_unit_test(defaults_are_points),
        cmocka_unit_test(spaces_have_points_enough),
        cmocka_unit_test(no_other_text_is_a_tile),
        cmocka_unit_test(refuses_what_is_no_point),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
