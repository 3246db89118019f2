/* SPDX-License-Identifier: BSD-2-Clause */
#include "report.h"

#include <stdio.h>
#include <stdlib.h>

#include "command.h"

int report_print(json_t *object)
{
    char *line = object ? json_dumps(object, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(object);
    if (!line)
        return fail("the result cannot be put into JSON");
    puts(line);
    free(line);
    return EXIT_DONE;
}

const char *report_kv_dtype(clattn_dtype k, clattn_dtype v, char *text, size_t size)
{
    snprintf(text, size, "%s%s%s", clattn_dtype_name(k), k == v ? "" : ",", k == v ? "" : clattn_dtype_name(v));
    return text;
}

json_t *report_attention(const loaded_job *loaded, const job *source)
{
    const clattn_attention_desc *desc = &source->desc;
    char types[32];
    json_t *object =
        json_pack("{s:s, s:s, s:s, s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:b}", "device",
                  loaded->on->info.device_name, "op", "attention", "dtype", clattn_dtype_name(desc->q_dtype),
                  "kv_dtype", report_kv_dtype(desc->k_dtype, desc->v_dtype, types, sizeof types), "batch",
                  source->lengths.batch, "q_heads", desc->q_heads, "kv_heads", desc->kv_heads, "q_len", desc->max_q_len,
                  "kv_len", desc->max_kv_len, "head_dim", desc->head_dim, "v_head_dim",
                  desc->v_head_dim ? desc->v_head_dim : desc->head_dim, "causal", desc->causal != 0);
    if (object && desc->kv_mode != CLATTN_KV_CONTIGUOUS)
        json_object_set_new(object, "page_size", json_integer(desc->page_size));
    if (object && desc->window_mode == CLATTN_WINDOW_LR)
        json_object_set_new(object, "window", json_pack("[i, i]", desc->window_left, desc->window_right));
    return object;
}

void report_times(json_t *object, const job *source, double *seconds, int count)
{
    double median = job_median(seconds, count);
    json_object_set_new(object, "seconds_median", json_real(median));
    json_object_set_new(object, "seconds_min", json_real(seconds[0]));
    json_object_set_new(object, "gflops", json_real(median > 0 ? job_flops(source) / median * 1e-9 : 0.0));
}

void report_kernels(json_t *object, const loaded_job *loaded)
{
    char text[512];
    json_object_set_new(object, "kernel", json_string(job_join_names(loaded, JOB_KERNEL_NAMES, text, sizeof text)));
    json_object_set_new(object, "fragment", json_string(job_join_names(loaded, JOB_FRAGMENT_NAMES, text, sizeof text)));
    json_object_set_new(object, "tile", json_string(job_join_names(loaded, JOB_TILE_NAMES, text, sizeof text)));
    json_object_set_new(object, "split_size", json_integer(job_split_size(loaded)));
    json_object_set_new(object, "tuning_level", json_string(job_tuning_level(loaded)));
}
