/* SPDX-License-Identifier: BSD-2-Clause */
/* What the tuner measures: every row of subjects.def opens and has a default; points of the search spaces, drawn by a
 * printed seed, are right on tiny shapes; and a result that is not right is noticed. Exit status 0, 1 for a failure,
 * 77 without a device.
 *
 * With --repeat N each point also runs N times on one batch, whose bits have to be the same each time, and only points
 * run that the tuner may choose on this device. A group that reads local memory before another work-item wrote it, or
 * after, gives other bits sooner or later. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "harness.h"
#include "tune/subject_internal.h"

#define DEFAULT_POINTS  200
#define DEFAULT_SECONDS 100
#define MAX_SPACES      16
#define LEAST_ROWS      48
/* Sequences of the tiny shapes; those that repeat are to fill a device. */
#define BATCH        2
#define REPEAT_BATCH 32
#define NAME_SIZE    192

typedef struct options {
    int points, seconds; /* seconds 0: no end */
    int repeat;          /* runs with equal bits; 0: none */
    uint64_t seed;
    const char *one; /* a case's line */
} options;

typedef struct tester {
    harness h;
    options options;
    ref_random random;
    time_t deadline; /* 0: none */
} tester;

/* A candidate on a row. */
typedef struct point {
    size_t row;
    clattn_candidate candidate;
    uint64_t seed;
} point;

static void name_of(const point *p, char name[NAME_SIZE])
{
    const clattn_tile *tile = &p->candidate.tile;
    char parameters[CLATTN_TILE_NAME_SIZE];
    clattn_tile_name(tile, parameters);
    snprintf(name, NAME_SIZE, "%zu %s %s %s %" PRId32 " %" PRIu64, p->row, clattn_algorithm_name(tile->algorithm),
             clattn_fragment_row(tile->fragment)->name, parameters, p->candidate.split_size, p->seed);
}

static bool parse_point(const char *line, point *p)
{
    char algorithm[16], fragment[32], tile[CLATTN_TILE_NAME_SIZE];
    *p = (point){ .row = 0 };
    if (sscanf(line, "%zu %15s %31s %63s %" SCNd32 " %" SCNu64, &p->row, algorithm, fragment, tile,
               &p->candidate.split_size, &p->seed) != 6)
        return false;
    const clattn_algorithm kernel = clattn_algorithm_named(algorithm);
    const clattn_subject_row *row = clattn_subject_row_at(p->row);
    if (!row || row->algorithm != kernel)
        return false;
    const clattn_fragment_id id = clattn_fragment_of_kernel(kernel, fragment);
    return id < CLATTN_FRAGMENT_COUNT && clattn_tile_parse(kernel, id, tile, &p->candidate.tile);
}

/* Both copies are run, and the events are there. */
static void enqueue_turns(tester *t, clattn_trial *trial, outcome *out)
{
    for (int turn = 0; turn < 2; turn++) {
        cl_event first = NULL, last = NULL;
        if (!outcome_ok(out, clattn_trial_enqueue(trial, turn, &first, &last), "clattn_trial_enqueue"))
            return;
        const cl_event both[] = { first, last };
        if (clWaitForEvents(2, both) != CL_SUCCESS)
            outcome_fail(out, "clWaitForEvents failed for turn %d", turn);
        clReleaseEvent(first);
        clReleaseEvent(last);
    }
    clFinish(t->h.in_order);
}

/* The timed case again: it was the check's last one, so that its bits are at hand. */
static void check_bits(const tester *t, clattn_trial *trial, outcome *out)
{
    const clattn_subject *subject = trial->subject;
    const clattn_subject_kind *kind = subject->kind;
    char *first = t->options.repeat > 0 ? malloc(subject->got_size) : NULL;
    if (first)
        memcpy(first, subject->got, subject->got_size);
    for (int n = 0; first && n < t->options.repeat && out->verdict == PASSED; n++)
        if (outcome_ok(out, kind->run_case(trial, kind->cases - 1), "run_case") &&
            memcmp(first, subject->got, subject->got_size) != 0)
            outcome_fail(out, "run %d gave other bits than the first", n + 2);
    free(first);
}

static void check_trial(tester *t, clattn_subject *subject, const clattn_candidate *candidate, outcome *out)
{
    clattn_trial *trial = NULL;
    bool right = false;
    char why[256] = "";
    const clattn_status status = clattn_trial_open(subject, candidate, &trial);
    if (status == CLATTN_UNSUPPORTED) {
        outcome_skip(out, "%s", clattn_last_error());
        return;
    }
    if (!outcome_ok(out, status, "clattn_trial_open"))
        return;
    if (outcome_ok(out, clattn_trial_check(trial, &right, why, sizeof(why)), "clattn_trial_check") && !right)
        outcome_fail(out, "%s", why);
    if (out->verdict == PASSED)
        check_bits(t, trial, out);
    if (out->verdict == PASSED)
        enqueue_turns(t, trial, out);
    clattn_trial_close(trial);
}

static clattn_status open_row(const tester *t, size_t row, uint64_t seed, clattn_subject **out)
{
    return clattn_subject_open_small(t->h.device, t->h.in_order, clattn_subject_row_at(row),
                                     t->options.repeat > 0 ? REPEAT_BATCH : BATCH, seed, out);
}

static void run_point(tester *t, const point *p)
{
    outcome out = { PASSED, "", 1, 0.0 };
    clattn_subject *subject = NULL;
    char name[NAME_SIZE];
    name_of(p, name);
    t->h.suite = "tiles";
    if (outcome_ok(&out, open_row(t, p->row, p->seed, &subject), "clattn_subject_open_small")) {
        check_trial(t, subject, &p->candidate, &out);
        clattn_subject_close(subject);
    }
    harness_count(&t->h, name, name, &out);
}

static bool out_of_time(const tester *t)
{
    return t->deadline && time(NULL) >= t->deadline;
}

static void require(tester *t, const char *what, bool holds)
{
    outcome out = { PASSED, "", 1, 0.0 };
    if (!holds)
        outcome_fail(&out, "does not hold");
    t->h.suite = "subjects";
    harness_count(&t->h, what, NULL, &out);
}

static void check_rows(tester *t)
{
    size_t count = 0;
    bool unique = true;
    while (clattn_subject_row_at(count)) {
        const clattn_tuning_class class = clattn_subject_class(t->h.device, clattn_subject_row_at(count));
        unique = unique && class.algorithm == clattn_subject_row_at(count)->algorithm;
        for (size_t other = 0; other < count; other++) {
            const clattn_tuning_class before = clattn_subject_class(t->h.device, clattn_subject_row_at(other));
            unique = unique && !clattn_class_equal(&class, &before);
        }
        count++;
    }
    require(t, "there are rows enough", count >= LEAST_ROWS);
    require(t, "each row has a class of its own", unique);
}

/* Every row opens, and its default is a point of its space that fits. Built it is in a full run only: every other test
 * of the device runs defaults. */
static void check_default(tester *t, size_t row)
{
    clattn_subject *subject = NULL;
    outcome out = { PASSED, "", 1, 0.0 };
    point p = { .row = row, .seed = t->options.seed };
    char why[256] = "", name[64];
    snprintf(name, sizeof(name), "row %zu and its default", row);
    if (outcome_ok(&out, open_row(t, row, p.seed, &subject), "clattn_subject_open_small")) {
        const clattn_tile_problem dims = clattn_subject_tile_problem(subject);
        if (outcome_ok(&out, clattn_subject_default(subject, &p.candidate), "clattn_subject_default") &&
            (!clattn_tile_in_space(&p.candidate.tile, why, sizeof(why)) ||
             !clattn_tile_fits(&p.candidate.tile, &dims, clattn_device_probed(t->h.device), why, sizeof(why))))
            outcome_fail(&out, "the default tile: %s", why);
        clattn_subject_close(subject);
    }
    t->h.suite = "subjects";
    harness_count(&t->h, name, NULL, &out);
    if (t->h.full && out.verdict == PASSED)
        run_point(t, &p);
}

static void check_defaults(tester *t)
{
    for (size_t row = 0; clattn_subject_row_at(row); row++)
        check_default(t, row);
}

typedef struct space {
    clattn_algorithm algorithm;
    clattn_fragment_id fragment;
    size_t size, taken;
    bool *seen;
} space;

static int list_spaces(space spaces[MAX_SPACES])
{
    int count = 0;
    for (int algorithm = 0; algorithm < CLATTN_ALGORITHM_COUNT; algorithm++)
        for (int fragment = 0; fragment < CLATTN_FRAGMENT_COUNT && count < MAX_SPACES; fragment++) {
            space *one = &spaces[count];
            *one = (space){ .algorithm = (clattn_algorithm)algorithm, .fragment = (clattn_fragment_id)fragment };
            one->size = clattn_space_size(one->algorithm, one->fragment);
            one->seen = one->size > 0 ? calloc(one->size, sizeof(bool)) : NULL;
            count += one->seen != NULL;
        }
    return count;
}

/* The row's own fragment, those that plans have where it fails, and the one for every device. */
static bool has_fragment(const tester *t, const clattn_subject_row *row, const clattn_tile *tile)
{
    const clattn_subject_sizes sizes = clattn_subject_sizes_of(t->h.device, row, BATCH);
    clattn_fragment_id fragment = clattn_subject_fragment(t->h.device, row, &sizes);
    while (clattn_fragment_of(fragment, tile->algorithm) != tile->fragment &&
           clattn_fragment_row(fragment)->otherwise != fragment)
        fragment = clattn_fragment_row(fragment)->otherwise;
    return clattn_fragment_of(fragment, tile->algorithm) == tile->fragment ||
           clattn_fragment_of(CLATTN_FRAGMENT_SCALAR, tile->algorithm) == tile->fragment;
}

static bool tuner_takes(const tester *t, const clattn_subject_row *row, const clattn_tile *tile,
                        const clattn_tile_problem *dims)
{
    char why[256];
    return has_fragment(t, row, tile) &&
           clattn_tile_suits(tile, dims, clattn_device_probed(t->h.device), why, sizeof(why));
}

/* Whether the row's problem can have the tile; decode's tile has to hold its queries, see clattn_trial_open. */
static bool row_takes(const tester *t, const clattn_subject_row *row, const clattn_tile *tile)
{
    char why[256];
    const clattn_tile_problem dims = clattn_subject_problem_with(row, tile->fragment);
    const clattn_subject_sizes sizes = clattn_subject_sizes_of(t->h.device, row, BATCH);
    return row->algorithm == tile->algorithm && (t->options.repeat == 0 || tuner_takes(t, row, tile, &dims)) &&
           (tile->algorithm != CLATTN_ALGORITHM_DECODE ||
            clattn_tile_rows(tile) >= sizes.q_len * sizes.q_heads / sizes.kv_heads) &&
           clattn_tile_fits(tile, &dims, clattn_device_probed(t->h.device), why, sizeof(why));
}

/* Any row that takes the tile. */
static bool draw_row(tester *t, point *p)
{
    int64_t takers = 0;
    for (size_t row = 0; clattn_subject_row_at(row); row++)
        if (row_takes(t, clattn_subject_row_at(row), &p->candidate.tile) &&
            ref_random_range(&t->random, 0, takers++) == 0)
            p->row = row;
    return takers > 0;
}

static void draw_rest(tester *t, point *p)
{
    static const int32_t splits[] = { 0, 64, 128, 200 };
    if (p->candidate.tile.algorithm == CLATTN_ALGORITHM_DECODE)
        p->candidate.split_size = splits[ref_random_range(&t->random, 0, 3)];
    p->seed = ref_random_bits(&t->random) >> 32;
}

/* A point of the space that no draw has had; false when there is none left, or none that runs here. */
static bool draw_point(tester *t, space *from, point *p)
{
    char why[256];
    while (from->taken < from->size) {
        size_t i = (size_t)ref_random_range(&t->random, 0, (int64_t)from->size - 1);
        while (from->seen[i])
            i = (i + 1) % from->size;
        from->seen[i] = true;
        from->taken++;
        *p = (point){ .row = 0 };
        clattn_space_point(from->algorithm, from->fragment, i, &p->candidate.tile);
        if (!clattn_tile_in_space(&p->candidate.tile, why, sizeof(why)) || !draw_row(t, p))
            continue;
        draw_rest(t, p);
        return true;
    }
    return false;
}

/* In turns, so that the small spaces count as much as the large ones. */
static void check_points(tester *t)
{
    space spaces[MAX_SPACES];
    const int count = list_spaces(spaces);
    int done = 0, empty = 0;
    for (int n = 0; empty < count && done < t->options.points && !out_of_time(t); n++) {
        point p;
        if (n % count == 0)
            empty = 0;
        if (!draw_point(t, &spaces[n % count], &p)) {
            empty++;
            continue;
        }
        run_point(t, &p);
        done++;
    }
    printf("# points: %d, of %d search spaces%s\n", done, count, out_of_time(t) ? ", when time was up" : "");
    for (int i = 0; i < count; i++)
        free(spaces[i].seen);
}

/* Judges the last run's outputs with one byte, or a NaN, put in. */
static bool notices(clattn_subject *subject, size_t at, const void *spoiled, size_t size)
{
    char before[8], why[256];
    bool right = true;
    memcpy(before, subject->got + at, size);
    memcpy(subject->got + at, spoiled, size);
    const clattn_status status = subject->kind->judge(subject, subject->kind->cases - 1, &right, why, sizeof(why));
    memcpy(subject->got + at, before, size);
    return status == CLATTN_OK && !right;
}

/* The first query of the first head is among the compared ones; a NaN is seen everywhere. */
static bool notices_attention(clattn_subject *subject)
{
    const clattn_dtype dtype = subject->row.q_dtype;
    const size_t size = clattn_dtype_size(dtype), dims = (size_t)subject->shape.head_dim;
    const size_t rows = (size_t)(subject->shape.batch * subject->shape.q_heads * subject->shape.q_len);
    const char nan[8] = { -1, -1, -1, -1, -1, -1, -1, -1 };
    bool seen = notices(subject, (rows * dims - 1) * size, nan, size);
    size_t noticed = 0;
    for (size_t row = 0; row < rows; row++) {
        char other[8];
        ref_store(other, dtype, 0, ref_load(subject->got, dtype, (int64_t)(row * dims)) + 0.5);
        noticed += notices(subject, row * dims * size, other, size);
    }
    return seen && noticed > 0;
}

static bool notices_bytes(tester *t, clattn_subject *subject, size_t size)
{
    bool seen = true;
    for (int n = 0; seen && n < 50; n++) {
        const size_t at = (size_t)ref_random_range(&t->random, 0, (int64_t)size - 1);
        const char other = (char)(subject->got[at] ^ 1);
        seen = notices(subject, at, &other, 1);
    }
    return seen;
}

static size_t out_bytes(const clattn_subject *subject)
{
    const clattn_subject_sizes *s = &subject->shape;
    return (size_t)(s->batch * s->kv_len * s->kv_heads) * clattn_row_bytes(subject->row.k_dtype, s->head_dim);
}

static void spoil(tester *t, size_t row, outcome *out)
{
    clattn_subject *subject = NULL;
    clattn_candidate candidate;
    if (!outcome_ok(out, open_row(t, row, 1, &subject), "clattn_subject_open_small"))
        return;
    if (outcome_ok(out, clattn_subject_default(subject, &candidate), "clattn_subject_default"))
        check_trial(t, subject, &candidate, out);
    const bool attention = subject->kind == &clattn_attention_kind;
    if (out->verdict == PASSED &&
        !(attention ? notices_attention(subject) : notices_bytes(t, subject, out_bytes(subject))))
        outcome_fail(out, "a spoiled result passes as right");
    clattn_subject_close(subject);
}

/* One row of each kernel. */
static void check_spoiled(tester *t)
{
    bool done[CLATTN_ALGORITHM_COUNT] = { false };
    for (size_t row = 0; clattn_subject_row_at(row); row++) {
        const clattn_algorithm algorithm = clattn_subject_row_at(row)->algorithm;
        char name[64];
        outcome out = { PASSED, "", 1, 0.0 };
        if (done[algorithm])
            continue;
        done[algorithm] = true;
        t->h.suite = "subjects";
        snprintf(name, sizeof(name), "a spoiled %s is noticed", clattn_algorithm_name(algorithm));
        spoil(t, row, &out);
        harness_count(&t->h, name, NULL, &out);
    }
}

static void run_all(tester *t)
{
    check_rows(t);
    check_spoiled(t);
    check_defaults(t);
    check_points(t);
}

static bool take_option(tester *t, const char *name, const char *value)
{
    if (strcmp(name, "--points") == 0)
        t->options.points = atoi(value);
    else if (strcmp(name, "--seconds") == 0)
        t->options.seconds = atoi(value);
    else if (strcmp(name, "--repeat") == 0)
        t->options.repeat = atoi(value);
    else if (strcmp(name, "--seed") == 0)
        t->options.seed = strtoull(value, NULL, 10);
    else if (strcmp(name, "--case") == 0)
        t->options.one = value;
    else
        return false;
    return true;
}

static bool take_options(tester *t, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--verbose") == 0) {
            t->h.verbose = true;
        } else if (strcmp(argv[i], "--full") == 0) {
            t->h.full = true;
            t->options.points = INT32_MAX;
            t->options.seconds = 0;
        } else if (i + 1 == argc || !take_option(t, argv[i], argv[i + 1])) {
            printf("usage: %s [--points N] [--seconds N] [--repeat N] [--seed N] [--full] [--verbose] [--case LINE]\n",
                   argv[0]);
            return false;
        } else {
            i++;
        }
    }
    return true;
}

int main(int argc, char **argv)
{
    static tester t;
    char again[512]; /* how a failed case is run again */
    point one;
    t = (tester){ .h = { .program = argv[0], .suite = "subjects" },
                  .options = { DEFAULT_POINTS, DEFAULT_SECONDS, 0, (uint64_t)time(NULL), NULL } };
    if (!take_options(&t, argc, argv) || (t.options.one && !parse_point(t.options.one, &one)))
        return 2;
    if (!harness_open(&t.h, NULL)) {
        printf("0 passed, 0 failed, 1 skipped\n");
        return 77;
    }
    printf("# seed %" PRIu64 "\n", t.options.seed);
    if (t.options.repeat > 0)
        snprintf(again, sizeof(again), "%s --repeat %d", argv[0], t.options.repeat);
    t.h.program = t.options.repeat > 0 ? again : argv[0];
    t.random = (ref_random){ t.options.seed };
    t.deadline = t.options.seconds > 0 ? time(NULL) + t.options.seconds : 0;
    if (t.options.one)
        run_point(&t, &one);
    else
        run_all(&t);
    harness_close(&t.h);
    printf("%d passed, %d failed, %d skipped\n", t.h.passed, t.h.failed, t.h.skipped);
    return t.h.failed > 0 || t.h.passed == 0;
}
