/* SPDX-License-Identifier: BSD-2-Clause */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tune.h"
#include "tune/subject.h"

tune_totals tune_sum(const tune_report *of)
{
    tune_totals sum = { .classes = 0 };
    double logarithms = 0.0;
    int rated = 0;
    for (int i = 0; i < of->results->count; i++) {
        const tune_class *at = &of->results->classes[i];
        for (int c = 0; c < at->count; c++)
            sum.outcomes[at->candidates[c].outcome]++;
        sum.classes += at->done;
        sum.points += at->points;
        sum.losers += at->loses;
        if (!at->done || tune_ratio(at) <= 0)
            continue;
        logarithms += log(tune_ratio(at));
        rated++;
    }
    sum.gain = rated > 0 ? exp(logarithms / rated) : 0.0;
    return sum;
}

static bool is_done(const tune_results *in, const char *name)
{
    for (int i = 0; i < in->count; i++)
        if (in->classes[i].done && strcmp(in->classes[i].name, name) == 0)
            return true;
    return false;
}

static void name_row(const tune_report *of, size_t row, char name[CLATTN_CLASS_NAME_SIZE])
{
    const clattn_tuning_class class = clattn_subject_class(of->on->device, clattn_subject_row_at(row));
    clattn_class_name(&class, name);
}

/* Rows whose shapes differ may stand for one class. */
static bool is_named_before(const tune_report *of, size_t row, const char *name)
{
    char other[CLATTN_CLASS_NAME_SIZE];
    for (size_t i = 0; i < row; i++) {
        name_row(of, i, other);
        if (strcmp(other, name) == 0)
            return true;
    }
    return false;
}

bool tune_next_missing(const tune_report *of, size_t *row, char *name, size_t size)
{
    char at[CLATTN_CLASS_NAME_SIZE];
    for (; clattn_subject_row_at(*row); ++*row) {
        if (!(clattn_subject_row_at(*row)->op & of->ops))
            continue;
        name_row(of, *row, at);
        if (is_done(of->results, at) || is_named_before(of, *row, at))
            continue;
        snprintf(name, size, "%s", at);
        ++*row;
        return true;
    }
    return false;
}
