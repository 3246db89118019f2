/* SPDX-License-Identifier: BSD-2-Clause */
#include "plan/tuning_class.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/range.h"

#define UNLIKE (-1)

typedef struct field_row {
    clattn_algorithm algorithm;
    clattn_class_field field;
    int weight;
} field_row;

#define CLATTN_CLASS_FIELD(algorithm, name, kind, low, high, weight)                                                   \
    { CLATTN_ALGORITHM_##algorithm, { name, CLATTN_FIELD_##kind, low, high }, weight },
static const field_row rows[] = {
#include "tuning_fields.def"
};
#undef CLATTN_CLASS_FIELD

#define ROW_COUNT ((int)(sizeof(rows) / sizeof(rows[0])))

/* Row `index` of those of the kernel; NULL past the last. */
static const field_row *row_of(clattn_algorithm algorithm, int index)
{
    for (int i = 0; i < ROW_COUNT; i++)
        if (rows[i].algorithm == algorithm && index-- == 0)
            return &rows[i];
    return NULL;
}

const clattn_class_field *clattn_class_field_row(clattn_algorithm algorithm, int index)
{
    const field_row *row = row_of(algorithm, index);
    return row ? &row->field : NULL;
}

int32_t clattn_class_value(const clattn_tuning_class *of, const char *name)
{
    const clattn_class_field *field = NULL;
    int i = 0;
    while ((field = clattn_class_field_row(of->algorithm, i)) && strcmp(field->name, name) != 0)
        i++;
    return field ? of->values[i] : 0;
}

static void set(clattn_tuning_class *of, const char *name, int32_t value)
{
    const clattn_class_field *field = NULL;
    for (int i = 0; (field = clattn_class_field_row(of->algorithm, i)); i++) {
        const bool rounds = field->kind == CLATTN_FIELD_NUMBER;
        if (strcmp(field->name, name) == 0)
            of->values[i] = rounds ? clattn_dim_class(of->fragment, value) : value;
    }
}

clattn_tuning_class clattn_class_of_problem(const clattn_problem *problem, clattn_algorithm algorithm,
                                            clattn_fragment_id fragment)
{
    clattn_tuning_class of = { .algorithm = algorithm, .fragment = clattn_fragment_of(fragment, algorithm) };
    const clattn_attention_desc *d = &problem->desc;
    set(&of, "q_dtype", (int32_t)d->q_dtype);
    set(&of, "k_dtype", (int32_t)d->k_dtype);
    set(&of, "v_dtype", (int32_t)d->v_dtype);
    set(&of, "head_dim", d->head_dim);
    set(&of, "v_head_dim", d->v_head_dim);
    set(&of, "paged", problem->paged);
    set(&of, "grouped", problem->group > 1);
    set(&of, "tail", clattn_problem_has_tail(problem));
    return of;
}

clattn_tuning_class clattn_class_of_types(clattn_algorithm algorithm, clattn_dtype from, clattn_dtype to)
{
    /* What has no fragment include has the same groups in every plan. */
    clattn_tuning_class of = { .algorithm = algorithm,
                               .fragment = clattn_fragment_of(CLATTN_FRAGMENT_SCALAR, algorithm) };
    set(&of, "from", (int32_t)from);
    set(&of, "to", (int32_t)to);
    return of;
}

bool clattn_class_equal(const clattn_tuning_class *a, const clattn_tuning_class *b)
{
    return a->algorithm == b->algorithm && a->fragment == b->fragment &&
           memcmp(a->values, b->values, sizeof(a->values)) == 0;
}

/* f16 and bf16 differ by an instruction or two, f32 by the bytes of each load. Blocks and fp8 are unpacked, which
 * floats are not: neither says anything about the other. */
static int dtype_steps(int32_t a, int32_t b)
{
    const bool a_is_float = a < CLATTN_FLOAT_DTYPE_COUNT, b_is_float = b < CLATTN_FLOAT_DTYPE_COUNT;
    if (a == b)
        return 0;
    if (a_is_float != b_is_float)
        return UNLIKE;
    if (a_is_float)
        return a == CLATTN_F32 || b == CLATTN_F32 ? 3 : 1;
    return a == CLATTN_FP8 || b == CLATTN_FP8 ? 2 : 1;
}

static int field_steps(const clattn_class_field *field, clattn_fragment_id fragment, int32_t a, int32_t b)
{
    if (field->kind == CLATTN_FIELD_DTYPE)
        return dtype_steps(a, b);
    if (field->kind == CLATTN_FIELD_OPTION)
        return a == b ? 0 : UNLIKE;
    return field->kind == CLATTN_FIELD_FLAG ? a != b : abs(a - b) / clattn_fragment_row(fragment)->granule;
}

int clattn_class_distance(const clattn_tuning_class *wanted, const clattn_tuning_class *other)
{
    if (wanted->algorithm != other->algorithm || wanted->fragment != other->fragment)
        return UNLIKE;
    int distance = 0;
    const field_row *row = NULL;
    for (int i = 0; (row = row_of(wanted->algorithm, i)); i++) {
        const int steps = field_steps(&row->field, wanted->fragment, wanted->values[i], other->values[i]);
        if (steps < 0)
            return UNLIKE;
        distance += row->weight * steps;
    }
    return distance;
}

static void add_field(const clattn_class_field *field, int32_t value, char *name, size_t size)
{
    if (field->kind == CLATTN_FIELD_DTYPE)
        snprintf(name, size, " %s %s", field->name, clattn_dtype_name((clattn_dtype)value));
    else if (field->kind == CLATTN_FIELD_NUMBER)
        snprintf(name, size, " %s %" PRId32, field->name, value);
    else if (value)
        snprintf(name, size, " %s", field->name);
}

void clattn_class_name(const clattn_tuning_class *of, char name[CLATTN_CLASS_NAME_SIZE])
{
    const clattn_class_field *field = NULL;
    snprintf(name, CLATTN_CLASS_NAME_SIZE, "%s %s", clattn_algorithm_name(of->algorithm),
             clattn_fragment_row(of->fragment)->name);
    for (int i = 0; (field = clattn_class_field_row(of->algorithm, i)); i++) {
        const size_t used = strlen(name);
        add_field(field, of->values[i], name + used, CLATTN_CLASS_NAME_SIZE - used);
    }
}
