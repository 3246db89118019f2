/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_TOOL_CHECK_FORM_H
#define CLATTN_TOOL_CHECK_FORM_H

/* How K and V of a case of `clattn check` are stored. */

#include "job.h"

enum { FORM_HEADS = 1 << 0, FORM_BY_HEAD = 1 << 1 };

typedef struct check_form {
    const char *name;
    int k_dtype, v_dtype; /* clattn_dtype; -1: Q's */
    clattn_kv_mode kv_mode;
    unsigned flags;
    int32_t page_size;
    unsigned quick_classes; /* bit n: mask class n */
} check_form;

extern const check_form check_forms[];
extern const int check_form_count;

/* Of K and V; pages for `batch` sequences of max_kv_len, which is set. */
void check_form_describe(const check_form *form, int32_t batch, clattn_attention_desc *desc);

/* Blocks of K or V of all pages. */
int64_t check_form_blocks(const clattn_attention_desc *desc, bool of_v);

/* Where key j of a kv head starts in K or V, in blocks; -1: in a hole. starts[batch] (NULL: by batch strides). */
int64_t check_form_row(const job *of, bool of_v, const int32_t *starts, int32_t b, int32_t j, int32_t kv_head);

/* Writes a row of any type: values of about `spread`. */
void check_form_fill_row(void *row, clattn_dtype dtype, int32_t dim, double spread, ref_random *random);

/* Makes element 0 of a row NaN, and with it its block. */
void check_form_spoil_row(void *row, clattn_dtype dtype);

/* Index arrays of pages, with holes and a bad id. */
typedef struct check_pages {
    int32_t *table; /* or the list */
    int32_t *indptr, *last_page_len;
    size_t table_size; /* bytes */
} check_pages;

/* false: no memory. Free it in either case. */
bool check_pages_make(const clattn_attention_desc *desc, const int32_t *kv_lens, int32_t batch, ref_random *random,
                      check_pages *out);
void check_pages_free(check_pages *used);

/* Whether the record tells of the bad id; where no query is sure to look at it, it need not. */
bool check_record_right(const job *of, const int32_t *kv_lens, const clattn_error_record *record);

#endif
