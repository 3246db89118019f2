/* SPDX-License-Identifier: BSD-2-Clause */
/* The one shape that options of clattn bench ask for. */
#include <string.h>

#include "bench.h"
#include "command.h"
#include "page_files.h"

enum { MOST = 1 << 24, DEFAULT_PAGE_SIZE = 16 };

static bench_op find_op(const char *name)
{
    int i = 0;
    while (strcmp(bench_op_name((bench_op)i), name) != 0)
        i++;
    return (bench_op)i;
}

/* An integer option's value within `least` to `most`. Exit status, as for all below. */
static int read_count(const options *given, option_id id, int32_t otherwise, int32_t least, int32_t most, int32_t *out)
{
    const option_value *value = &given->values[id];
    *out = value->given ? (int32_t)value->integer : otherwise;
    if (!value->given || (value->integer >= least && value->integer <= most))
        return EXIT_DONE;
    return fail("%s is %s; it has to be %d to %d", option_rows[id].name, value->text, least, most);
}

/* Options that the operation has no use for. */
static int refuse_useless(const options *given, bench_op op)
{
    static const option_id queries[] = { OPTION_bench_q_heads, OPTION_bench_q_len, OPTION_bench_causal,
                                         OPTION_bench_window, OPTION_bench_baseline };
    for (size_t i = 0; !bench_attends(op) && i < sizeof queries / sizeof *queries; i++)
        if (given->values[queries[i]].given)
            return fail("%s is given with %s, which has no queries; it has to be left out",
                        option_rows[queries[i]].name, bench_op_name(op));
    return EXIT_DONE;
}

static int read_types(const options *given, bench_shape *out)
{
    static const clattn_dtype types[] = { CLATTN_F32, CLATTN_F16, CLATTN_BF16, CLATTN_Q8_0, CLATTN_Q4_0, CLATTN_FP8 };
    const option_value *dtype = &given->values[OPTION_bench_dtype], *kv = &given->values[OPTION_bench_kv_dtype];
    out->dtype = (clattn_dtype)(dtype->given ? dtype->choice : CLATTN_F32);
    out->k_dtype = !kv->given || kv->pair[0] == 0 ? out->dtype : types[kv->pair[0] - 1];
    out->v_dtype = !kv->given || kv->pair[1] == 0 ? out->dtype : types[kv->pair[1] - 1];
    if (out->op == BENCH_GATHER && out->k_dtype != out->v_dtype)
        return fail("--kv-dtype is %s; gather reads one cache: it has to be one type", kv->text);
    if (out->page_size == 0 && (out->k_dtype != out->dtype || out->v_dtype != out->dtype))
        return fail("--kv-dtype is %s without pages; it has to be %s, as --dtype, or --page-size to be 1 to %d",
                    kv->text, clattn_dtype_name(out->dtype), MAX_PAGE_SIZE);
    return EXIT_DONE;
}

static int read_dimensions(const options *given, bench_shape *out)
{
    int status = read_count(given, OPTION_bench_batch, 1, 1, MOST, &out->batch);
    if (status == EXIT_DONE)
        status = read_count(given, OPTION_bench_q_heads, 8, 1, MOST, &out->q_heads);
    if (status == EXIT_DONE)
        status = read_count(given, OPTION_bench_kv_heads, out->q_heads, 1, MOST, &out->kv_heads);
    if (status == EXIT_DONE)
        status = read_count(given, OPTION_bench_q_len, out->op == BENCH_DECODE ? 1 : 2048, 1, MOST, &out->q_len);
    if (status == EXIT_DONE)
        status =
            read_count(given, OPTION_bench_kv_len, out->op == BENCH_DECODE ? 2048 : out->q_len, 1, MOST, &out->kv_len);
    if (status == EXIT_DONE)
        status = read_count(given, OPTION_bench_head_dim, 64, 1, MAX_HEAD_DIM, &out->head_dim);
    if (status == EXIT_DONE)
        status = read_count(given, OPTION_bench_page_size, out->op == BENCH_ATTENTION ? 0 : DEFAULT_PAGE_SIZE,
                            bench_attends(out->op) ? 0 : 1, MAX_PAGE_SIZE, &out->page_size);
    return status;
}

int bench_read_shape(const options *given, bench_shape *out)
{
    *out = (bench_shape){ .op = find_op(given->operand), .causal = given->values[OPTION_bench_causal].given };
    int status = refuse_useless(given, out->op);
    if (status == EXIT_DONE)
        status = read_dimensions(given, out);
    if (status == EXIT_DONE)
        status = options_read_window(&given->values[OPTION_bench_window], &out->window);
    if (status == EXIT_DONE && bench_attends(out->op) && out->q_heads % out->kv_heads != 0)
        return fail("--q-heads is %d and --kv-heads is %d; the first has to be a multiple of the second", out->q_heads,
                    out->kv_heads);
    return status == EXIT_DONE ? read_types(given, out) : status;
}

int bench_refuse_shape(const options *given)
{
    static const option_id shapes[] = { OPTION_bench_batch,    OPTION_bench_q_heads,  OPTION_bench_kv_heads,
                                        OPTION_bench_q_len,    OPTION_bench_kv_len,   OPTION_bench_head_dim,
                                        OPTION_bench_causal,   OPTION_bench_window,   OPTION_bench_dtype,
                                        OPTION_bench_kv_dtype, OPTION_bench_page_size };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        if (given->values[shapes[i]].given)
            return fail("%s is given beside --suite %s, which has shapes of its own; one of the two has to go",
                        option_rows[shapes[i]].name, given->values[OPTION_bench_suite].text);
    return EXIT_DONE;
}
