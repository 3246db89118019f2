/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench.h"

#include <string.h>

#include "clblast.h"
#include "command.h"

enum { MAX_REPEAT = 1000, MOST = 1 << 24, MAX_HEAD_DIM = 576 };

typedef struct suite_row {
    const char *suite;
    bench_shape shape;
} suite_row;

static const suite_row suite_rows[] = {
#define SHAPE(suite, ...) { #suite, { __VA_ARGS__ } },
#include "bench_suites.def"
#undef SHAPE
};

/* An integer option's value within 1 to `most`. Exit status, as for all below. */
static int read_count(const options *given, option_id id, int32_t otherwise, int32_t most, int32_t *out)
{
    const option_value *value = &given->values[id];
    *out = value->given ? (int32_t)value->integer : otherwise;
    if (!value->given || (value->integer >= 1 && value->integer <= most))
        return EXIT_DONE;
    return fail("%s is %s; it has to be 1 to %d", option_rows[id].name, value->text, most);
}

static int read_shape(const options *given, bench_shape *out)
{
    int choice = given->values[OPTION_bench_dtype].choice;
    int status = read_count(given, OPTION_bench_batch, 1, MOST, &out->batch);
    if (status == EXIT_DONE)
        status = read_count(given, OPTION_bench_q_heads, 8, MOST, &out->q_heads);
    if (status == EXIT_DONE)
        status = read_count(given, OPTION_bench_kv_heads, out->q_heads, MOST, &out->kv_heads);
    if (status == EXIT_DONE)
        status = read_count(given, OPTION_bench_q_len, 2048, MOST, &out->q_len);
    if (status == EXIT_DONE)
        status = read_count(given, OPTION_bench_kv_len, out->q_len, MOST, &out->kv_len);
    if (status == EXIT_DONE)
        status = read_count(given, OPTION_bench_head_dim, 64, MAX_HEAD_DIM, &out->head_dim);
    if (status == EXIT_DONE && out->q_heads % out->kv_heads != 0)
        return fail("--q-heads is %d and --kv-heads is %d; the first has to be a multiple of the second", out->q_heads,
                    out->kv_heads);
    out->dtype = (clattn_dtype)(choice < 0 ? CLATTN_F32 : choice);
    out->causal = given->values[OPTION_bench_causal].given;
    return status;
}

/* A suite has shapes of its own. */
static int refuse_shape(const options *given)
{
    static const option_id shapes[] = { OPTION_bench_batch,  OPTION_bench_q_heads, OPTION_bench_kv_heads,
                                        OPTION_bench_q_len,  OPTION_bench_kv_len,  OPTION_bench_head_dim,
                                        OPTION_bench_causal, OPTION_bench_dtype };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        if (given->values[shapes[i]].given)
            return fail("%s is given beside --suite %s, which has shapes of its own; one of the two has to go",
                        option_rows[shapes[i]].name, given->values[OPTION_bench_suite].text);
    return EXIT_DONE;
}

static int check_baseline(const options *given, const bench_shape *shape)
{
    if (!given->values[OPTION_bench_baseline].given)
        return EXIT_DONE;
    if (!baseline_available())
        return fail(
            "--baseline is clblast, and this command was built without CLBlast; build it where pkg-config finds "
            "clblast");
    if (!given->values[OPTION_bench_suite].given && shape->dtype != CLATTN_F32)
        return fail("--baseline clblast is f32 only and --dtype is %s; it has to be f32",
                    clattn_dtype_name(shape->dtype));
    return EXIT_DONE;
}

static int run_suite(const bench *of, const char *suite)
{
    int status = bench_print_head(of);
    for (size_t i = 0; i < sizeof suite_rows / sizeof *suite_rows && status == EXIT_DONE; i++)
        if (strcmp(suite_rows[i].suite, suite) == 0)
            status = bench_row(of, &suite_rows[i].shape);
    return status;
}

static int run_shape(const bench *of, const bench_shape *shape)
{
    int status = of->as_json ? EXIT_DONE : bench_print_head(of);
    return status == EXIT_DONE ? bench_row(of, shape) : status;
}

int command_bench(const options *given)
{
    const option_value *suite = &given->values[OPTION_bench_suite];
    bench of = { .as_json = given->values[OPTION_bench_json].given,
                 .with_baseline = given->values[OPTION_bench_baseline].given };
    bench_shape shape = { .dtype = CLATTN_F32 };
    int status = suite->given ? refuse_shape(given) : read_shape(given, &shape);
    if (status == EXIT_DONE)
        status = read_count(given, OPTION_bench_repeat, 0, MAX_REPEAT, &of.runs);
    if (status == EXIT_DONE)
        status = check_baseline(given, &shape);
    if (status == EXIT_DONE)
        status = session_open(given->values[OPTION_bench_device].text, &of.on);
    if (status != EXIT_DONE)
        return status;
    status = peaks_measure(&of.on, &of.peaks);
    if (status == EXIT_DONE)
        status = suite->given ? run_suite(&of, suite->text) : run_shape(&of, &shape);
    session_close(&of.on);
    return status;
}
