/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "report.h"
#include "tune.h"

static void set_real(json_t *object, const char *name, double value)
{
    json_object_set_new(object, name, json_real(value));
}

static void set_integer(json_t *object, const char *name, int value)
{
    json_object_set_new(object, name, json_integer(value));
}

static void set_text(json_t *object, const char *name, const char *text)
{
    if (*text)
        json_object_set_new(object, name, json_string(text));
}

/* The numbers of a shape, "batch 1, q_heads 8, ...", under their own names. */
static void set_shape(json_t *object, const char *shape)
{
    static const char *const names[] = { "batch",  "q_heads",  "kv_heads",   "q_len",
                                         "kv_len", "head_dim", "v_head_dim", "page_size" };
    char name[32];
    int value = 0, length = 0;
    while (sscanf(shape, " %31[^ ,] %d%n", name, &value, &length) == 2) {
        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
            if (strcmp(names[i], name) == 0)
                set_integer(object, name, value);
        shape += length;
        shape += strspn(shape, ",");
    }
}

/* What the class's name and shape say. */
static json_t *pack_class(const tune_report *of, const tune_class *at)
{
    tune_words words;
    tune_words_read(at->name, &words);
    json_t *object = json_pack("{s:s, s:s, s:s}", "device", of->on->info.device_name, "op", at->op, "class", at->name);
    set_text(object, "kernel", words.kernel);
    set_text(object, "fragment", words.fragment);
    set_text(object, "dtype", words.dtype);
    set_text(object, "kv_dtype", words.kv_dtype);
    if (words.head_dim > 0)
        set_integer(object, "head_dim", words.head_dim);
    set_shape(object, at->shape);
    return object;
}

static void set_figures(json_t *object, const tune_report *of, const tune_class *at)
{
    const char *kind = "";
    const double rate = at->seconds > 0 ? at->work / at->seconds : 0.0, peak = tune_peak(at->op, of->peaks, &kind);
    set_text(object, "tile", at->tile);
    set_integer(object, "split_size", at->split_size);
    set_real(object, "seconds_median", at->seconds);
    set_real(object, strcmp(at->op, "attention") == 0 ? "gflops" : "gbytes_per_s", rate * 1e-9);
    if (peak > 0) {
        set_real(object, "peak_fraction", rate / peak);
        set_text(object, "peak_kind", kind);
    }
    set_text(object, "default_tile", at->default_tile);
    set_real(object, "baseline_seconds", at->default_seconds);
    set_real(object, "ratio", tune_ratio(at));
    set_text(object, "clock", at->clock);
    set_text(object, "tuning_level", "exact");
}

static json_t *pack_failures(const tune_class *of)
{
    json_t *list = json_array();
    for (int i = 0; i < of->count; i++) {
        const tune_candidate *at = &of->candidates[i];
        if (!tune_outcome_is_failure(at->outcome))
            continue;
        json_array_append_new(list, json_pack("{s:s, s:i, s:s, s:s}", "tile", at->tile, "split_size", at->split_size,
                                              "outcome", tune_outcome_name(at->outcome), "detail", at->detail));
    }
    return list;
}

static int print_class(const tune_report *of, const tune_class *at)
{
    json_t *object = pack_class(of, at);
    set_figures(object, of, at);
    if (of->verifies) {
        json_object_set_new(object, "pays", json_boolean(!at->loses));
        return report_print(object);
    }
    set_integer(object, "points", at->points);
    json_object_set_new(object, "exhaustive", json_boolean(at->exhaustive));
    json_object_set_new(object, "failed", pack_failures(at));
    return report_print(object);
}

static json_t *list_missing(const tune_report *of)
{
    char name[256];
    json_t *list = json_array();
    for (size_t row = 0; tune_next_missing(of, &row, name, sizeof name);)
        json_array_append_new(list, json_string(name));
    return list;
}

static json_t *pack_outcomes(const tune_totals *sum)
{
    const int *count = sum->outcomes;
    return json_pack("{s:i, s:i, s:i, s:i, s:i}", "wrong", count[CLATTN_TUNE_WRONG], "not_built",
                     count[CLATTN_TUNE_NOT_BUILT], "crashed", count[CLATTN_TUNE_CRASHED], "timed_out",
                     count[CLATTN_TUNE_TIMED_OUT], "skipped", count[CLATTN_TUNE_SKIPPED]);
}

static int print_summary(const tune_report *of)
{
    const tune_totals sum = tune_sum(of);
    json_t *object = json_pack("{s:s, s:s, s:i, s:f, s:f}", "device", of->on->info.device_name, "op", "summary",
                               "classes", sum.classes, "geometric_mean_ratio", sum.gain, "elapsed", of->elapsed);
    set_text(object, "record", of->record);
    if (of->verifies) {
        set_integer(object, "no_longer_pay", sum.losers);
        return report_print(object);
    }
    if (of->budget > 0)
        set_real(object, "budget", of->budget);
    set_integer(object, "points", sum.points);
    json_object_set_new(object, "failed", pack_outcomes(&sum));
    json_object_set_new(object, "not_reached", list_missing(of));
    json_object_set_new(object, "interrupted", json_boolean(*of->interrupted != '\0'));
    return report_print(object);
}

int tune_print_json(const tune_report *of)
{
    int status = EXIT_DONE;
    for (int i = 0; i < of->results->count && status == EXIT_DONE; i++)
        if (of->results->classes[i].done)
            status = print_class(of, &of->results->classes[i]);
    return status == EXIT_DONE ? print_summary(of) : status;
}
