/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tune.h"

static const char *const outcome_names[TUNE_OUTCOMES] = {
    [CLATTN_TUNE_FASTER] = "faster",   [CLATTN_TUNE_NOT_FASTER] = "not faster",
    [CLATTN_TUNE_WRONG] = "wrong",     [CLATTN_TUNE_NOT_BUILT] = "not built",
    [CLATTN_TUNE_CRASHED] = "crashed", [CLATTN_TUNE_TIMED_OUT] = "timed out",
    [CLATTN_TUNE_SKIPPED] = "skipped",
};

const char *tune_outcome_name(clattn_tune_outcome outcome)
{
    return outcome_names[outcome];
}

bool tune_outcome_is_failure(clattn_tune_outcome outcome)
{
    return outcome != CLATTN_TUNE_FASTER && outcome != CLATTN_TUNE_NOT_FASTER;
}

double tune_ratio(const tune_class *of)
{
    return of->seconds > 0 ? of->default_seconds / of->seconds : 0.0;
}

double tune_peak(const char *op, const peaks *at, const char **kind)
{
    const bool attends = strcmp(op, "attention") == 0, decodes = strcmp(op, "decode") == 0;
    *kind = attends ? "fma" : decodes ? "read" : "copy";
    if (!at)
        return 0.0;
    return attends ? at->fma_flops : decodes ? at->read_bandwidth : at->copy_bandwidth;
}

/* Replaces *to by a copy of `from`, where that says anything. False without memory. */
static bool keep_text(char **to, const char *from)
{
    if (*to && (!from || *from == '\0'))
        return true;
    char *copy = strdup(from ? from : "");
    if (!copy)
        return false;
    free(*to);
    *to = copy;
    return true;
}

static bool keep_class(tune_class *to, const clattn_tune_progress *now)
{
    to->work = now->work > 0 ? now->work : to->work;
    to->default_seconds = now->default_seconds > 0 ? now->default_seconds : to->default_seconds;
    to->exhaustive = now->exhaustive != 0;
    return keep_text(&to->op, now->op) && keep_text(&to->name, now->class_name) && keep_text(&to->shape, now->shape) &&
           keep_text(&to->clock, now->clock) && keep_text(&to->default_tile, now->default_tile) &&
           keep_text(&to->tile, NULL);
}

static tune_class *find_open(tune_results *in, const char *name)
{
    for (int i = in->count - 1; i >= 0; i--)
        if (!in->classes[i].done && strcmp(in->classes[i].name, name) == 0)
            return &in->classes[i];
    return NULL;
}

static tune_class *add_class(tune_results *to, const clattn_tune_progress *now)
{
    tune_class *classes = realloc(to->classes, (size_t)(to->count + 1) * sizeof *classes);
    if (!classes)
        return NULL;
    to->classes = classes;
    classes[to->count] = (tune_class){ .count = 0 };
    return keep_class(&classes[to->count++], now) ? &classes[to->count - 1] : NULL;
}

static bool add_candidate(tune_class *to, const clattn_tune_progress *now)
{
    tune_candidate *candidates = realloc(to->candidates, (size_t)(to->count + 1) * sizeof *candidates);
    if (!candidates)
        return false;
    to->candidates = candidates;
    tune_candidate *added = &candidates[to->count++];
    *added = (tune_candidate){ .split_size = now->split_size, .outcome = now->outcome, .seconds = now->seconds };
    to->points += !tune_outcome_is_failure(now->outcome);
    return keep_text(&added->tile, now->tile) && keep_text(&added->detail, now->detail);
}

static bool close_class(tune_class *to, const clattn_tune_progress *now)
{
    to->seconds = now->seconds > 0 ? now->seconds : now->best_seconds;
    to->split_size = now->split_size;
    to->done = true;
    to->loses = now->outcome == CLATTN_TUNE_NOT_FASTER;
    return keep_text(&to->tile, now->tile);
}

bool tune_results_take(tune_results *to, const clattn_tune_progress *now)
{
    if (now->event == CLATTN_TUNE_FINISHED || now->event == CLATTN_TUNE_WAITING)
        return true;
    tune_class *of = find_open(to, now->class_name);
    of = of ? of : add_class(to, now);
    if (!of || !keep_class(of, now))
        return false;
    if (now->event == CLATTN_TUNE_CANDIDATE)
        return add_candidate(of, now);
    return now->event != CLATTN_TUNE_CLASS_DONE || close_class(of, now);
}

void tune_results_free(tune_results *of)
{
    for (int i = 0; i < of->count; i++) {
        tune_class *at = &of->classes[i];
        char *const texts[] = { at->op, at->name, at->shape, at->clock, at->tile, at->default_tile };
        for (size_t t = 0; t < sizeof texts / sizeof *texts; t++)
            free(texts[t]);
        for (int c = 0; c < at->count; c++) {
            free(at->candidates[c].tile);
            free(at->candidates[c].detail);
        }
        free(at->candidates);
    }
    free(of->classes);
    *of = (tune_results){ .count = 0 };
}
