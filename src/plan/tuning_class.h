/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_PLAN_TUNING_CLASS_H
#define CLATTN_PLAN_TUNING_CLASS_H

/* Tuning classes: what a measured choice is kept for. A class is what a kernel's best tile really depends on
 * (docs/tuning.md has the study), and nothing that the contract of bits forbids: a plan's static description only. The
 * fields of each kernel's classes are the rows of tuning_fields.def. Pure host code. */

#include <clattn/attention.h>

#include "kernel/tile.h"
#include "plan/problem.h"

#define CLATTN_CLASS_MAX_FIELDS 8
#define CLATTN_CLASS_NAME_SIZE  160

typedef enum clattn_class_field_kind {
    CLATTN_FIELD_DTYPE,  /* a clattn_dtype; its name in JSON */
    CLATTN_FIELD_NUMBER, /* a head dim, rounded up to the fragment's size class */
    CLATTN_FIELD_FLAG,   /* 0 or 1; false or true in JSON */
    CLATTN_FIELD_OPTION  /* a flag that is false where a record, older than the field, does not say it; classes with and
                            without it say nothing about each other */
} clattn_class_field_kind;

typedef struct clattn_class_field {
    const char *name;
    clattn_class_field_kind kind;
    int32_t low, high; /* both included; a FLAG's are 0 and 1 */
} clattn_class_field;

typedef struct clattn_tuning_class {
    clattn_algorithm algorithm;
    clattn_fragment_id fragment;
    int32_t values[CLATTN_CLASS_MAX_FIELDS]; /* 0 past the kernel's fields */
} clattn_tuning_class;

/* Field `index` of the kernel's classes; NULL past the last. */
const clattn_class_field *clattn_class_field_row(clattn_algorithm algorithm, int index);
/* The value of the field with that name. The kernel's classes have to have it. */
int32_t clattn_class_value(const clattn_tuning_class *of, const char *name);

/* The class of a plan's kernel (prefill, decode, combine): the problem's, with the fragment that this kernel has in
 * plans of `fragment`. */
clattn_tuning_class clattn_class_of_problem(const clattn_problem *problem, clattn_algorithm algorithm,
                                            clattn_fragment_id fragment);
/* The class of a cache operation (append, gather) from one type to another. */
clattn_tuning_class clattn_class_of_types(clattn_algorithm algorithm, clattn_dtype from, clattn_dtype to);

bool clattn_class_equal(const clattn_tuning_class *a, const clattn_tuning_class *b);
/* How well what was measured for `other` serves `wanted`: 0 for the same class, larger the less alike, negative when it
 * says nothing (another kernel or fragment, a quantised cache against floats, an OPTION). */
int clattn_class_distance(const clattn_tuning_class *wanted, const clattn_tuning_class *other);

/* "decode frag_dims q_dtype f16 k_dtype f16 ... paged" for people and for keys. */
void clattn_class_name(const clattn_tuning_class *of, char name[CLATTN_CLASS_NAME_SIZE]);

#endif
