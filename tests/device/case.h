/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_DEVICE_CASE_H
#define TESTS_DEVICE_CASE_H

/* A device case: one line of text says all of it. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CASE_TEXT_SIZE 96
#define CASE_LINE_SIZE 1024
#define CASE_MAX_BATCH 16

typedef struct test_case {
#define CHOICE(name, value, ...) int32_t name;
#define INTEGER(name, value)     int32_t name;
#define REAL(name, value)        float name;
#define TEXT(name)               char name[CASE_TEXT_SIZE];
#include "fields.def"
#undef CHOICE
#undef INTEGER
#undef REAL
#undef TEXT
} test_case;

enum { LAYOUT_BSHD, LAYOUT_BHSD, LAYOUT_QKV, LAYOUT_MLA };
enum { KVMODE_UNIFORM, KVMODE_PER_SEQUENCE, KVMODE_RAGGED, KVMODE_RAGGED_LENS };
enum { KVFORM_DENSE, KVFORM_TABLE, KVFORM_HEADS, KVFORM_LIST };
enum { HOLES_NONE, HOLES_SOME, HOLES_BAD };
enum { MFORM_BHQK, MFORM_BQK, MFORM_HQK, MFORM_QK, MFORM_K, MFORM_Q, MFORM_TRANSPOSED, MFORM_SEQUENCES };
enum { VALUES_NORMAL, VALUES_HUGE, VALUES_POISON, VALUES_NAN, VALUES_INF };
enum { FRAG_AUTO, FRAG_LANES, FRAG_SCALAR, FRAG_NV_WGMMA, FRAG_NV_MMA };

test_case case_default(void);

/* Sets what the line says and leaves the rest. On failure returns false and says in message[0 .. size) what is wrong.
 */
bool case_parse(test_case *c, const char *line, char *message, size_t size);

/* The fields that are not at their defaults; returns line. */
const char *case_print(const test_case *c, char line[CASE_LINE_SIZE]);

/* Takes one "q:kv" off the list at *at; false at its end or where it is no list. */
bool case_next_lengths(const char **at, int32_t *q, int32_t *kv);

/* Changes fields that contradict others (MLA's V has K's type, uniform lengths need a schedule to be below the bounds,
 * ...), so that any combination is a case. Does nothing the second time. */
void case_normalize(test_case *c);

bool case_equal(const test_case *a, const test_case *b);

#endif
