/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>

#include "bench.h"
#include "command.h"
#include "report.h"

enum { MASK_TEXT = 32 };

static const char *const peak_names[] = { "fma", "read", "copy" };

void bench_print_shape_titles(void)
{
    printf("%-9s %-5s %-9s %5s %7s %6s %6s %4s %4s %-13s", "op", "dtype", "K and V", "batch", "heads", "q_len",
           "kv_len", "dim", "page", "mask");
}

void bench_print_shape(const bench_shape *shape)
{
    char types[32], heads[32], q_len[32] = "", page[32] = "", mask[MASK_TEXT];
    snprintf(heads, sizeof heads, "%d", shape->kv_heads);
    if (bench_attends(shape->op)) {
        snprintf(heads, sizeof heads, "%d/%d", shape->q_heads, shape->kv_heads);
        snprintf(q_len, sizeof q_len, "%d", shape->q_len);
    }
    if (shape->page_size > 0)
        snprintf(page, sizeof page, "%d", shape->page_size);
    printf("%-9s %-5s %-9s %5d %7s %6s %6d %4d %4s %-13s", bench_op_name(shape->op), clattn_dtype_name(shape->dtype),
           report_kv_dtype(shape->k_dtype, shape->v_dtype, types, sizeof types), shape->batch, heads, q_len,
           shape->kv_len, shape->head_dim, page, bench_mask_name(shape, mask, sizeof mask));
}

json_t *bench_shape_json(const bench_shape *shape)
{
    char types[32];
    json_t *object = json_pack(
        "{s:s, s:s, s:s, s:i, s:i, s:i, s:i}", "op", bench_op_name(shape->op), "dtype", clattn_dtype_name(shape->dtype),
        "kv_dtype", report_kv_dtype(shape->k_dtype, shape->v_dtype, types, sizeof types), "batch", shape->batch,
        "kv_heads", shape->kv_heads, "kv_len", shape->kv_len, "head_dim", shape->head_dim);
    if (object && bench_attends(shape->op))
        json_object_update_new(object, json_pack("{s:i, s:i, s:b}", "q_heads", shape->q_heads, "q_len", shape->q_len,
                                                 "causal", shape->causal));
    if (object && shape->page_size > 0)
        json_object_set_new(object, "page_size", json_integer(shape->page_size));
    if (object && shape->window.given)
        json_object_set_new(object, "window", json_pack("[i, i]", shape->window.left, shape->window.right));
    return object;
}

int bench_print_head(const bench *of)
{
    const peaks *at = &of->peaks;
    if (of->as_json)
        return report_print(json_pack("{s:s, s:s, s:f, s:f, s:f, s:s}", "device", of->on.info.device_name, "op",
                                      "peaks", "fma_gflops", at->fma_flops * 1e-9, "read_gbytes_per_s",
                                      at->read_bandwidth * 1e-9, "copy_gbytes_per_s", at->copy_bandwidth * 1e-9, "how",
                                      at->how));
    printf("%s\npeaks: fma %.1f GFLOP/s, read %.1f GB/s, copy %.1f GB/s read plus written (%s)\n",
           of->on.info.device_name, at->fma_flops * 1e-9, at->read_bandwidth * 1e-9, at->copy_bandwidth * 1e-9,
           at->how);
    bench_print_shape_titles();
    printf(" %10s %10s %8s %7s %15s  %s\n", "median ms", "best ms", "GFLOP/s", "GB/s", "of peak", "kernel");
    return EXIT_DONE;
}

static void set_real(json_t *object, const char *name, double value)
{
    json_object_set_new(object, name, json_real(value));
}

int bench_print_json(json_t *object, const bench_task *task, const bench_times *found)
{
    set_real(object, "seconds_median", found->median);
    set_real(object, "seconds_min", found->best);
    if (task->flops > 0)
        set_real(object, "gflops", task->flops / found->median * 1e-9);
    if (task->bytes > 0)
        set_real(object, "gbytes_per_s", task->bytes / found->median * 1e-9);
    set_real(object, "peak_fraction", found->fraction);
    json_object_set_new(object, "peak_kind", json_string(peak_names[task->peak]));
    set_real(object, task->peak == BENCH_PEAK_FMA ? "peak_gflops" : "peak_gbytes_per_s", found->peak * 1e-9);
    json_object_set_new(object, "repeat", json_integer(found->count));
    return report_print(object);
}

/* A number in text[0 .. 32), or nothing where there is none. */
static const char *format_rate(double rate, char text[32])
{
    text[0] = '\0';
    if (rate > 0)
        snprintf(text, 32, "%.1f", rate);
    return text;
}

void bench_print_text(const bench_shape *shape, const bench_task *task, const bench_times *found, const char *kernel)
{
    char flops[32], bytes[32];
    bench_print_shape(shape);
    printf(" %10.4g %10.4g %8s %7s %5.1f %% %8s  %s\n", found->median * 1e3, found->best * 1e3,
           format_rate(task->flops / found->median * 1e-9, flops),
           format_rate(task->bytes / found->median * 1e-9, bytes), found->fraction * 100.0, peak_names[task->peak],
           kernel);
}
