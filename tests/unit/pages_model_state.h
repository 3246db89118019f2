/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_TESTS_PAGES_MODEL_STATE_H
#define CLATTN_TESTS_PAGES_MODEL_STATE_H

/* What the model of pages_model.h knows, and how it is compared with the manager. */

#include <clattn/pages.h>

#include "pages_model.h"

enum {
    MAX_GROUPS = 3,
    MAX_SEQUENCES = 12,
    MAX_TOKENS = 96,
    MAX_PAGES = 40,
    MAX_PAGE_SIZE = 16,
    MAX_ATTACHED = 4,
    USES = 6, /* remembered a page */
};

typedef struct model_attached {
    int32_t first, end;
    uint8_t byte;
} model_attached;

typedef struct model_sequence {
    bool live, swapped;
    clattn_sequence handle;
    uint32_t owner; /* unique */
    uint64_t salt;
    int32_t length, committed;
    int32_t tokens[MAX_TOKENS];
    uint64_t numbers[MAX_TOKENS]; /* what the memory has to hold */
    model_attached attached[MAX_ATTACHED];
    int32_t num_attached;
    int32_t row[MAX_GROUPS][MAX_TOKENS];           /* as the manager wrote it last */
    int32_t committed_row[MAX_GROUPS][MAX_TOKENS]; /* before the uncommitted tokens */
    int32_t copies[MAX_GROUPS][2];                 /* of the uncommitted tokens; -1: none */
} model_sequence;

typedef struct model_use {
    uint64_t step;
    uint32_t owner;
    int32_t places; /* read from 0 on */
} model_use;

typedef struct model {
    const pages_choices *choices;
    pages_model_totals *totals;
    clattn_pages *pages;
    clattn_pages_group groups[MAX_GROUPS];
    int32_t num_groups, page_size, max_sequences, max_tokens, alphabet;
    bool sharing, steps, attaching;
    uint64_t step, retired;
    uint32_t owners;
    model_sequence sequences[MAX_SEQUENCES];
    uint64_t memory[MAX_GROUPS][MAX_PAGES][MAX_PAGE_SIZE], host[MAX_GROUPS][MAX_PAGES][MAX_PAGE_SIZE];
    model_use uses[MAX_GROUPS][MAX_PAGES][USES], host_uses[MAX_GROUPS][MAX_PAGES][USES];
    int32_t heard[MAX_TOKENS]; /* a prompt of before, to start others alike */
} model;

/* Sets the message of the failure and returns false. */
__attribute__((format(printf, 1, 2))) bool model_fail(const char *format, ...);
const char *model_failure(void);

#define EXPECT(condition)                                                                                              \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            return model_fail("%s:%d: %s (last error: %s)", __FILE__, __LINE__, #condition, clattn_last_error());      \
    } while (0)

int32_t model_below(const model *m, int32_t n);
int32_t model_pages_of(const model *m, int32_t tokens);

/* Computes what the memory has to hold for tokens [first, length). */
void model_number_tokens(model_sequence *s, int32_t first);

/* The current step reads the first `places` of a page, for `owner`. */
void model_use_page(model_use uses[USES], uint64_t step, uint32_t owner, int32_t places);
void model_use_row(model *m, const model_sequence *s);
/* Whether a step that has not retired still reads the page at or behind `place`, for somebody else. */
bool model_is_read(const model *m, const model_use uses[USES], uint32_t owner, int32_t place);

bool model_read_row(const model *m, const model_sequence *s, int32_t g, int32_t row[MAX_TOKENS + 1]);
/* The memory behind a sequence's committed tokens, and that no one else changed its row. */
bool model_check_sequence(const model *m, const model_sequence *s);
/* The manager's own consistency, every sequence, and the counts. */
bool model_check_all(const model *m);
/* Sequences that have the page. */
int32_t model_holders(const model *m, int32_t g, int32_t page);
/* Pages that a group can hand out. */
int32_t model_room(const model *m, int32_t g);

#endif
