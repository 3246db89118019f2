/* SPDX-License-Identifier: BSD-2-Clause */
#include "pages_model.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pages_check.h"

enum {
    MAX_GROUPS = 3,
    MAX_SEQUENCES = 12,
    MAX_TOKENS = 96,
    MAX_PAGES = 40,
    MAX_PAGE_SIZE = 16,
    MAX_ATTACHED = 4,
    USES = 6, /* remembered a page */
};

typedef struct attached {
    int32_t first, end;
    uint8_t byte;
} attached;

typedef struct sequence {
    bool live, swapped;
    clattn_sequence handle;
    uint32_t owner; /* unique */
    uint64_t salt;
    int32_t length, committed;
    int32_t tokens[MAX_TOKENS];
    uint64_t numbers[MAX_TOKENS]; /* what the memory has to hold */
    attached attached[MAX_ATTACHED];
    int32_t num_attached;
    int32_t row[MAX_GROUPS][MAX_TOKENS];           /* as the manager wrote it last */
    int32_t committed_row[MAX_GROUPS][MAX_TOKENS]; /* before the uncommitted tokens */
    int32_t copies[MAX_GROUPS][2];                 /* of the uncommitted tokens; -1: none */
} sequence;

typedef struct use {
    uint64_t step;
    uint32_t owner;
    int32_t places; /* read from 0 on */
} use;

typedef struct model {
    const pages_choices *choices;
    pages_model_totals *totals;
    clattn_pages *pages;
    clattn_pages_group groups[MAX_GROUPS];
    int32_t num_groups, page_size, max_sequences, max_tokens, alphabet;
    bool sharing, steps, attaching;
    uint64_t step, retired;
    uint32_t owners;
    sequence sequences[MAX_SEQUENCES];
    uint64_t memory[MAX_GROUPS][MAX_PAGES][MAX_PAGE_SIZE], host[MAX_GROUPS][MAX_PAGES][MAX_PAGE_SIZE];
    use uses[MAX_GROUPS][MAX_PAGES][USES], host_uses[MAX_GROUPS][MAX_PAGES][USES];
    int32_t heard[MAX_TOKENS]; /* a prompt of before, to start others alike */
} model;

static _Thread_local char failure[256];

__attribute__((format(printf, 1, 2))) static bool fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (vsnprintf(failure, sizeof(failure), format, args) < 0)
        failure[0] = '?';
    va_end(args);
    return false;
}

#define EXPECT(condition)                                                                                              \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            return fail("line %d: %s (last error: %s)", __LINE__, #condition, clattn_last_error());                    \
    } while (0)

static int32_t below(const model *m, int32_t n)
{
    return (int32_t)m->choices->below(m->choices->user, (uint32_t)n);
}

static int32_t pages_of(const model *m, int32_t tokens)
{
    return (tokens + m->page_size - 1) / m->page_size;
}

/* ---- What a token's keys and values are made of ---- */

static uint64_t mixed(uint64_t a, uint64_t b)
{
    a = (a ^ b) * UINT64_C(0x9e3779b97f4a7c15);
    return a ^ (a >> 29);
}

static void number_tokens(sequence *s, int32_t first)
{
    for (int32_t i = first; i < s->length; i++) {
        uint64_t number = mixed(i > 0 ? s->numbers[i - 1] : 77 + s->salt, (uint64_t)s->tokens[i] + 1);
        for (int32_t a = 0; a < s->num_attached; a++)
            if (i >= s->attached[a].first && i < s->attached[a].end)
                number = mixed(number, 1000 + s->attached[a].byte * 100u + (uint64_t)(i - s->attached[a].first));
        s->numbers[i] = number;
    }
}

/* ---- Steps ---- */

static void use_page(use uses[USES], uint64_t step, uint32_t owner, int32_t places)
{
    int oldest = 0;
    for (int i = 0; i < USES; i++) {
        if (uses[i].owner == owner)
            oldest = i;
        if (uses[i].owner == owner)
            break;
        if (uses[i].step < uses[oldest].step)
            oldest = i;
    }
    uses[oldest] = (use){ step, owner, places };
}

/* Whether a step that has not retired still reads the page at or behind `place`, for somebody else. */
static bool is_read(const model *m, const use uses[USES], uint32_t owner, int32_t place)
{
    for (int i = 0; i < USES; i++)
        if (uses[i].owner != owner && uses[i].step > m->retired && uses[i].places > place)
            return true;
    return false;
}

static void use_row(model *m, const sequence *s)
{
    for (int32_t g = 0; g < m->num_groups; g++)
        for (int32_t i = 0; i < pages_of(m, s->length); i++)
            if (s->row[g][i] >= 0) {
                const int32_t places = s->length - i * m->page_size;
                use_page(m->uses[g][s->row[g][i]], m->step, s->owner, places < m->page_size ? places : m->page_size);
            }
}

/* ---- Looking at sequences ---- */

static bool read_row(const model *m, const sequence *s, int32_t g, int32_t row[MAX_TOKENS])
{
    int32_t table[MAX_TOKENS + 2];
    const int32_t columns = pages_of(m, s->length) + 1;
    table[columns] = -7;
    EXPECT(clattn_pages_block_table(m->pages, g, &s->handle, 1, table, columns, columns) == CLATTN_OK);
    EXPECT(table[columns] == -7);
    EXPECT(table[columns - 1] == -1);
    for (int32_t i = 0; i < columns - 1; i++)
        EXPECT(table[i] >= -1 && table[i] < m->groups[g].num_pages);
    memcpy(row, table, (size_t)columns * sizeof(row[0]));
    return true;
}

/* The memory behind a sequence's committed tokens, and that no one else changed its row. */
static bool check_sequence(const model *m, const sequence *s)
{
    int32_t length;
    clattn_sequence_info info;
    EXPECT(clattn_pages_kv_lens(m->pages, &s->handle, 1, &length) == CLATTN_OK);
    EXPECT(length == s->length);
    EXPECT(clattn_pages_sequence_info(m->pages, s->handle, &info) == CLATTN_OK);
    EXPECT(info.length == s->length && info.committed == s->committed && info.swapped == s->swapped);
    EXPECT(info.num_pages == pages_of(m, s->length));
    for (int32_t g = 0; g < m->num_groups; g++) {
        int32_t row[MAX_TOKENS + 1] = { 0 }, held = 0;
        if (s->swapped)
            memcpy(row, s->row[g], sizeof(s->row[g]));
        else if (!read_row(m, s, g, row))
            return false;
        for (int32_t i = 0; i < pages_of(m, s->length); i++) {
            EXPECT(row[i] == s->row[g][i]);
            held += row[i] >= 0;
        }
        EXPECT(info.num_held[g] == held);
        for (int32_t i = 0; i < s->committed; i++) {
            /* Copies run at the commit; until then the page of before has the tokens. */
            const int32_t page = (s->length > s->committed ? s->committed_row : s->row)[g][i / m->page_size];
            if (page >= 0)
                EXPECT((s->swapped ? m->host : m->memory)[g][page][i % m->page_size] == s->numbers[i]);
        }
    }
    return true;
}

static int32_t holders(const model *m, int32_t g, int32_t page)
{
    int32_t count = 0;
    for (int32_t k = 0; k < m->max_sequences; k++) {
        const sequence *s = &m->sequences[k];
        if (!s->live || s->swapped)
            continue;
        for (int32_t i = 0; i < pages_of(m, s->length); i++)
            count += s->row[g][i] == page;
        count += s->copies[g][0] == page;
    }
    return count;
}

static bool check_counts(const model *m)
{
    for (int32_t g = 0; g < m->num_groups; g++) {
        clattn_pages_stats stats;
        int32_t used = 0, shared = 0, host = 0, live = 0;
        for (int32_t page = 0; page < m->groups[g].num_pages; page++) {
            const int32_t count = holders(m, g, page);
            used += count > 0;
            shared += count > 1;
        }
        for (int32_t k = 0; k < m->max_sequences; k++) {
            const sequence *s = &m->sequences[k];
            live += s->live;
            for (int32_t i = 0; s->live && s->swapped && i < pages_of(m, s->length); i++)
                host += s->row[g][i] >= 0;
        }
        EXPECT(clattn_pages_get_stats(m->pages, g, &stats) == CLATTN_OK);
        EXPECT(stats.used == used && stats.shared == shared && stats.host_used == host && stats.sequences == live);
        EXPECT(stats.used + stats.cached + stats.waiting + stats.free == stats.num_pages);
        EXPECT(stats.host_used + stats.host_waiting + stats.host_free == stats.num_host_pages);
        EXPECT(m->sharing || stats.cached == 0);
    }
    return true;
}

static bool check_all(const model *m)
{
    const char *wrong = pages_check(m->pages);
    if (wrong)
        return fail("inconsistent: %s", wrong);
    for (int32_t k = 0; k < m->max_sequences; k++)
        if (m->sequences[k].live && !check_sequence(m, &m->sequences[k]))
            return false;
    return check_counts(m);
}

static int32_t room(const model *m, int32_t g)
{
    clattn_pages_stats stats;
    return clattn_pages_get_stats(m->pages, g, &stats) == CLATTN_OK ? stats.cached + stats.free : -1;
}

/* ---- Operations ---- */

static sequence *pick(model *m, bool resident)
{
    const int32_t start = below(m, m->max_sequences);
    for (int32_t k = 0; k < m->max_sequences; k++) {
        sequence *s = &m->sequences[(start + k) % m->max_sequences];
        if (s->live && !(resident && s->swapped))
            return s;
    }
    return NULL;
}

/* A page that the manager has just given to a sequence: nobody has it, and no step under way reads it. */
static bool check_fresh(const model *m, int32_t g, int32_t page)
{
    EXPECT(page >= 0 && page < m->groups[g].num_pages);
    EXPECT(holders(m, g, page) == 0);
    EXPECT(!is_read(m, m->uses[g][page], 0, -1));
    return true;
}

static bool check_refused_append(model *m, const sequence *s, int32_t count)
{
    bool short_of = false;
    for (int32_t g = 0; g < m->num_groups; g++) {
        const int32_t most = pages_of(m, s->length + count) - pages_of(m, s->length) + (s->length % m->page_size != 0);
        short_of = short_of || room(m, g) < most;
    }
    EXPECT(short_of);
    m->totals->refused_for_pages++;
    return check_sequence(m, s);
}

/* Rows and slots after an append, one group. */
static bool take_appended(model *m, sequence *s, int32_t g, int32_t count, const int64_t *slots,
                          const clattn_page_list *list)
{
    int32_t row[MAX_TOKENS + 1] = { 0 };
    const int32_t before = pages_of(m, s->length), partial = s->length % m->page_size;
    s->length += count;
    const bool read = read_row(m, s, g, row);
    s->length -= count;
    if (!read)
        return false;
    EXPECT(list->count == 0 || (list->count == 1 && partial != 0));
    if (list->count == 1) {
        EXPECT(list->pairs[0][0] == s->row[g][before - 1] && list->pairs[0][1] == row[before - 1]);
        if (!check_fresh(m, g, row[before - 1]))
            return false;
        EXPECT(s->copies[g][0] == -1);
        s->copies[g][0] = list->pairs[0][0];
        s->copies[g][1] = list->pairs[0][1];
        s->row[g][before - 1] = row[before - 1];
        m->totals->copies++;
    } else if (partial != 0) {
        EXPECT(row[before - 1] == s->row[g][before - 1]);
        EXPECT(holders(m, g, row[before - 1]) == 1);
        EXPECT(!is_read(m, m->uses[g][row[before - 1]], s->owner, partial));
    }
    for (int32_t i = 0; i < before; i++)
        EXPECT(row[i] == s->row[g][i]);
    for (int32_t i = before; i < pages_of(m, s->length + count); i++) {
        for (int32_t j = 0; j < i; j++)
            EXPECT(row[i] != row[j]);
        if (!check_fresh(m, g, row[i]))
            return false;
        s->row[g][i] = row[i];
    }
    for (int32_t i = 0; i < count; i++) {
        const int32_t token = s->length + i;
        EXPECT(slots[i] == (int64_t)row[token / m->page_size] * m->page_size + token % m->page_size);
    }
    return true;
}

static bool append(model *m, sequence *s, int32_t count)
{
    int64_t slots[MAX_GROUPS * MAX_TOKENS];
    int32_t pairs[MAX_GROUPS][1][2], needed[MAX_GROUPS];
    clattn_page_list lists[MAX_GROUPS];
    const int32_t before = pages_of(m, s->length);
    for (int32_t g = 0; g < m->num_groups; g++) {
        lists[g] = (clattn_page_list){ .pairs = pairs[g], .capacity = 1 };
        const bool shared = count > 0 && s->length % m->page_size != 0 && holders(m, g, s->row[g][before - 1]) > 1;
        needed[g] = pages_of(m, s->length + count) - before + shared;
    }
    int32_t rooms[MAX_GROUPS];
    for (int32_t g = 0; g < m->num_groups; g++)
        rooms[g] = room(m, g);
    const clattn_status status = clattn_pages_append(m->pages, s->handle, m->sharing ? s->tokens + s->length : NULL,
                                                     count, slots, MAX_TOKENS, lists);
    if (status == CLATTN_OUT_OF_PAGES)
        return check_refused_append(m, s, count);
    EXPECT(status == CLATTN_OK);
    if (count > 0 && s->length == s->committed)
        memcpy(s->committed_row, s->row, sizeof(s->row));
    for (int32_t g = 0; g < m->num_groups; g++) {
        EXPECT(needed[g] <= rooms[g]);
        if (count > 0 && !take_appended(m, s, g, count, slots + (size_t)g * MAX_TOKENS, &lists[g]))
            return false;
    }
    s->length += count;
    number_tokens(s, s->length - count);
    return true;
}

static void choose_tokens(const model *m, sequence *s, int32_t first, int32_t end)
{
    for (int32_t i = first; i < end; i++)
        s->tokens[i] = below(m, m->alphabet);
}

static bool append_some(model *m)
{
    sequence *s = pick(m, true);
    if (!s)
        return true;
    const int32_t most = m->max_tokens - s->length;
    int32_t count = below(m, 4) == 0 ? below(m, 3 * m->page_size + 1) : below(m, 3);
    if (count > most) {
        EXPECT(clattn_pages_append(m->pages, s->handle, s->tokens, most + 1, NULL, 0, NULL) == CLATTN_INVALID_ARGUMENT);
        count = most;
    }
    choose_tokens(m, s, s->length, s->length + count);
    return append(m, s, count) && check_sequence(m, s);
}

/* The device's work: copies, then the new tokens. */
static bool commit(model *m, sequence *s)
{
    for (int32_t g = 0; g < m->num_groups; g++) {
        if (s->copies[g][0] >= 0) {
            memcpy(m->memory[g][s->copies[g][1]], m->memory[g][s->copies[g][0]], sizeof(m->memory[g][0]));
            use_page(m->uses[g][s->copies[g][0]], m->step, s->owner, m->page_size);
        }
        s->copies[g][0] = s->copies[g][1] = -1;
        for (int32_t i = s->committed; i < s->length; i++)
            m->memory[g][s->row[g][i / m->page_size]][i % m->page_size] = s->numbers[i];
    }
    EXPECT(clattn_pages_commit(m->pages, s->handle) == CLATTN_OK);
    s->committed = s->length;
    use_row(m, s);
    return check_sequence(m, s);
}

static bool commit_some(model *m)
{
    sequence *s = pick(m, true);
    return !s || commit(m, s);
}

static bool abandon_some(model *m)
{
    sequence *s = pick(m, true);
    if (!s)
        return true;
    EXPECT(clattn_pages_abandon(m->pages, s->handle) == CLATTN_OK);
    if (s->length > s->committed)
        memcpy(s->row, s->committed_row, sizeof(s->row));
    s->length = s->committed;
    for (int32_t g = 0; g < m->num_groups; g++)
        s->copies[g][0] = s->copies[g][1] = -1;
    return check_sequence(m, s);
}

/* Whether a group attends page i when the next token is at n. */
static bool attended(const model *m, int32_t g, int32_t i, int32_t n)
{
    const clattn_pages_group *group = &m->groups[g];
    return group->window == 0 || i * m->page_size < group->sink || (i + 1) * m->page_size > n - group->window;
}

/* The longest prompt start that another sequence surely has: committed, on the device, no attachments. */
static int32_t surely_found(const model *m, const sequence *s, int32_t count)
{
    int32_t most = 0;
    for (int32_t k = 0; k < m->max_sequences; k++) {
        const sequence *o = &m->sequences[k];
        clattn_sequence_info info;
        if (!o->live || o->swapped || o == s || o->salt != s->salt || o->num_attached + s->num_attached > 0 ||
            clattn_pages_sequence_info(m->pages, o->handle, &info) != CLATTN_OK || !info.sharing)
            continue;
        int32_t same = 0;
        while (same < count - 1 && same < o->committed && o->tokens[same] == s->tokens[same])
            same++;
        for (int32_t n = same / m->page_size * m->page_size; n > most; n -= m->page_size) {
            bool there = true;
            for (int32_t g = 0; g < m->num_groups; g++)
                for (int32_t i = 0; i < n / m->page_size; i++)
                    there = there && (!attended(m, g, i, n) || o->row[g][i] >= 0);
            if (there)
                most = n;
        }
    }
    return most;
}

static bool match(model *m, sequence *s, int32_t count)
{
    int32_t found = -5;
    const int32_t surely = surely_found(m, s, count);
    EXPECT(clattn_pages_match(m->pages, s->handle, m->sharing ? s->tokens : NULL, count, &found) == CLATTN_OK);
    EXPECT(found % m->page_size == 0 && (found == 0 || found < count));
    EXPECT(m->sharing ? found >= surely : found == 0);
    s->length = s->committed = found;
    number_tokens(s, 0);
    for (int32_t g = 0; g < m->num_groups; g++) {
        int32_t row[MAX_TOKENS + 1] = { 0 };
        if (!read_row(m, s, g, row))
            return false;
        memcpy(s->row[g], row, sizeof(s->row[g]));
        for (int32_t i = 0; i < pages_of(m, found); i++)
            EXPECT((row[i] >= 0) == attended(m, g, i, found));
    }
    m->totals->tokens_found += (uint64_t)found;
    return check_sequence(m, s);
}

static bool attach_some(model *m, sequence *s)
{
    int32_t first = s->length;
    if (s->num_attached > 0 && s->attached[s->num_attached - 1].end > first)
        first = s->attached[s->num_attached - 1].end;
    first += below(m, m->page_size + 2);
    const int32_t count = 1 + below(m, 2 * m->page_size);
    const uint8_t byte = (uint8_t)below(m, 2);
    const bool fits = first < m->max_tokens && count <= m->max_tokens - first;
    if (!m->attaching || s->num_attached == MAX_ATTACHED)
        return true;
    EXPECT(clattn_pages_attach(m->pages, s->handle, first, count, &byte, 1) ==
           (fits ? CLATTN_OK : CLATTN_INVALID_ARGUMENT));
    if (fits)
        s->attached[s->num_attached++] = (attached){ first, first + count, byte };
    return true;
}

static sequence *place_for_new(model *m)
{
    for (int32_t k = 0; k < m->max_sequences; k++)
        if (!m->sequences[k].live)
            return &m->sequences[k];
    return NULL;
}

static void clear_copies(const model *m, sequence *s)
{
    for (int32_t g = 0; g < m->num_groups; g++)
        s->copies[g][0] = s->copies[g][1] = -1;
}

static bool free_one(model *m, sequence *s)
{
    const clattn_sequence handle = s->handle;
    EXPECT(clattn_pages_free(m->pages, handle) == CLATTN_OK);
    memset(s, 0, sizeof(*s));
    EXPECT(clattn_pages_free(m->pages, handle) == CLATTN_INVALID_ARGUMENT);
    return true;
}

static bool free_some(model *m)
{
    sequence *s = pick(m, false);
    return !s || free_one(m, s);
}

static bool create(model *m)
{
    sequence *s = place_for_new(m);
    clattn_sequence handle = 3;
    const uint64_t salt = below(m, 8) == 0;
    if (!s) {
        EXPECT(clattn_pages_sequence_create(m->pages, salt, &handle) == CLATTN_OUT_OF_PAGES && handle == 3);
        return free_some(m);
    }
    *s = (sequence){ .live = true, .salt = salt, .owner = ++m->owners };
    clear_copies(m, s);
    EXPECT(clattn_pages_sequence_create(m->pages, salt, &s->handle) == CLATTN_OK && s->handle != 0);
    while (below(m, 4) == 0)
        if (!attach_some(m, s))
            return false;
    const int32_t most = below(m, 2) ? m->max_tokens : m->max_tokens < 12 ? m->max_tokens : 12;
    const int32_t count = below(m, most + 1), alike = below(m, 4) ? count : below(m, count + 1);
    memcpy(s->tokens, m->heard, sizeof(s->tokens));
    choose_tokens(m, s, alike, count);
    if (below(m, 4) == 0)
        memcpy(m->heard, s->tokens, sizeof(s->tokens));
    if (below(m, 8) != 0 && !match(m, s, count))
        return false;
    const int32_t rest = count - s->length;
    return append(m, s, below(m, 2) ? rest : below(m, rest + 1)) && check_sequence(m, s);
}

static bool fork_some(model *m)
{
    sequence *s = pick(m, true), *child = place_for_new(m);
    clattn_sequence handle = 3;
    if (!s)
        return true;
    const clattn_status status = clattn_pages_fork(m->pages, s->handle, &handle);
    if (s->length > s->committed || !child) {
        EXPECT(status == (s->length > s->committed ? CLATTN_INVALID_ARGUMENT : CLATTN_OUT_OF_PAGES) && handle == 3);
        return s->length > s->committed || free_some(m);
    }
    EXPECT(status == CLATTN_OK);
    *child = *s;
    child->handle = handle;
    child->owner = ++m->owners;
    return check_sequence(m, s) && check_sequence(m, child);
}

static bool truncate_some(model *m)
{
    sequence *s = pick(m, true);
    if (!s)
        return true;
    const int32_t most = below(m, 2) ? s->length : s->length < 4 ? s->length : 4;
    const int32_t length = s->length - below(m, most + 1);
    bool allowed = s->length == s->committed;
    for (int32_t g = 0; g < m->num_groups; g++)
        allowed = allowed && (length % m->page_size == 0 || s->row[g][length / m->page_size] >= 0);
    EXPECT(clattn_pages_truncate(m->pages, s->handle, length) == (allowed ? CLATTN_OK : CLATTN_INVALID_ARGUMENT));
    if (!allowed)
        return check_sequence(m, s);
    while (s->num_attached > 0 && s->attached[s->num_attached - 1].first >= length)
        s->num_attached--;
    s->length = s->committed = length;
    return check_sequence(m, s);
}

static bool drop_some(model *m)
{
    sequence *s = pick(m, true);
    if (!s)
        return true;
    const int32_t g = below(m, m->num_groups);
    const clattn_pages_group *group = &m->groups[g];
    const bool slide = group->window > 0 && below(m, 4) != 0;
    const int32_t first = slide ? group->sink : below(m, m->max_tokens);
    const int32_t end = slide ? s->committed - group->window : below(m, m->max_tokens + 9);
    EXPECT(clattn_pages_drop(m->pages, s->handle, g, first, end) == CLATTN_OK);
    for (int32_t i = 0; i < pages_of(m, s->length); i++)
        if (i * m->page_size >= first && (i + 1) * m->page_size <= end && (i + 1) * m->page_size <= s->committed)
            s->row[g][i] = s->committed_row[g][i] = -1;
    return check_sequence(m, s);
}

static bool swap_out_some(model *m)
{
    sequence *s = pick(m, true);
    if (!s)
        return true;
    int32_t pairs[MAX_GROUPS][MAX_TOKENS][2];
    clattn_page_list lists[MAX_GROUPS];
    bool fits = true;
    for (int32_t g = 0; g < m->num_groups; g++) {
        int32_t held = 0;
        clattn_pages_stats stats;
        for (int32_t i = 0; i < pages_of(m, s->length); i++)
            held += s->row[g][i] >= 0;
        lists[g] = (clattn_page_list){ .pairs = pairs[g], .capacity = held };
        EXPECT(clattn_pages_get_stats(m->pages, g, &stats) == CLATTN_OK);
        fits = fits && held <= stats.host_free;
    }
    const bool committed = s->length == s->committed;
    EXPECT(clattn_pages_swap_out(m->pages, s->handle, lists) == (!committed ? CLATTN_INVALID_ARGUMENT
                                                                 : fits     ? CLATTN_OK
                                                                            : CLATTN_OUT_OF_PAGES));
    if (!committed || !fits)
        return check_sequence(m, s);
    use_row(m, s);
    for (int32_t g = 0; g < m->num_groups; g++) {
        EXPECT(lists[g].count == lists[g].capacity);
        for (int32_t k = 0; k < lists[g].count; k++) {
            const int32_t page = pairs[g][k][0], host = pairs[g][k][1];
            int32_t i = 0;
            while (i < pages_of(m, s->length) && s->row[g][i] != page)
                i++;
            EXPECT(i < pages_of(m, s->length) && host >= 0 && host < m->groups[g].num_host_pages);
            EXPECT(!is_read(m, m->host_uses[g][host], 0, -1));
            memcpy(m->host[g][host], m->memory[g][page], sizeof(m->host[g][host]));
            use_page(m->host_uses[g][host], m->step, s->owner, m->page_size);
            s->row[g][i] = host + MAX_PAGES; /* marked, so that no later pair finds it */
        }
        for (int32_t i = 0; i < pages_of(m, s->length); i++)
            s->row[g][i] -= s->row[g][i] >= 0 ? MAX_PAGES : 0;
    }
    s->swapped = true;
    m->totals->swapped++;
    return check_sequence(m, s);
}

/* A swapped row against the row on the device: each page was copied, or holds the same content already. */
static bool take_swapped_in(model *m, sequence *s, int32_t g, const clattn_page_list *list)
{
    int32_t row[MAX_TOKENS + 1] = { 0 }, copied = 0;
    if (!read_row(m, s, g, row))
        return false;
    for (int32_t i = 0; i < pages_of(m, s->length); i++) {
        EXPECT((row[i] < 0) == (s->row[g][i] < 0));
        if (row[i] < 0)
            continue;
        for (int32_t k = 0; k < list->count; k++)
            if (list->pairs[k][0] == s->row[g][i] && list->pairs[k][1] == row[i]) {
                copied++;
                EXPECT(!is_read(m, m->uses[g][row[i]], 0, -1) && holders(m, g, row[i]) == 0);
                memcpy(m->memory[g][row[i]], m->host[g][s->row[g][i]], sizeof(m->host[g][0]));
            }
        use_page(m->host_uses[g][s->row[g][i]], m->step, s->owner, m->page_size);
    }
    EXPECT(copied == list->count);
    memcpy(s->row[g], row, sizeof(s->row[g]));
    return true;
}

static bool swap_in_some(model *m)
{
    sequence *s = pick(m, false);
    if (!s)
        return true;
    int32_t pairs[MAX_GROUPS][MAX_TOKENS][2];
    clattn_page_list lists[MAX_GROUPS];
    bool surely = true;
    for (int32_t g = 0; g < m->num_groups; g++) {
        int32_t held = 0;
        for (int32_t i = 0; i < pages_of(m, s->length); i++)
            held += s->row[g][i] >= 0;
        lists[g] = (clattn_page_list){ .pairs = pairs[g], .capacity = MAX_TOKENS };
        surely = surely && held <= room(m, g);
    }
    const clattn_status status = clattn_pages_swap_in(m->pages, s->handle, lists);
    if (!s->swapped) {
        EXPECT(status == CLATTN_INVALID_ARGUMENT);
        return check_sequence(m, s);
    }
    EXPECT(status == CLATTN_OK || (status == CLATTN_OUT_OF_PAGES && !surely));
    if (status != CLATTN_OK)
        return check_sequence(m, s);
    for (int32_t g = 0; g < m->num_groups; g++)
        if (!take_swapped_in(m, s, g, &lists[g]))
            return false;
    s->swapped = false;
    use_row(m, s);
    return check_sequence(m, s);
}

static bool attach_later(model *m)
{
    sequence *s = pick(m, true);
    return !s || attach_some(m, s);
}

static bool next_step(model *m)
{
    if (!m->steps)
        return true;
    m->step += (uint64_t)below(m, 2);
    EXPECT(clattn_pages_begin_step(m->pages, m->step) == CLATTN_OK);
    m->retired += (uint64_t)below(m, (int32_t)(m->step - m->retired) + 1);
    EXPECT(clattn_pages_retire(m->pages, m->retired) == CLATTN_OK);
    EXPECT(clattn_pages_retire(m->pages, m->step + 1) == CLATTN_INVALID_ARGUMENT);
    return true;
}

/* An engine's step for a sequence that has just been created or appended to: it is committed. */
static bool append_and_commit(model *m)
{
    sequence *s = pick(m, true);
    if (!s || s->length == m->max_tokens)
        return true;
    choose_tokens(m, s, s->length, s->length + 1);
    return append(m, s, 1) && commit(m, s);
}

/* ---- A run ---- */

static bool make_manager(model *m)
{
    m->page_size = (const int32_t[]){ 1, 2, 3, 4, 7, 16 }[below(m, 6)];
    m->num_groups = 1 + below(m, MAX_GROUPS);
    m->max_sequences = 1 + (below(m, 4) ? MAX_SEQUENCES - 1 - below(m, 6) : below(m, 4));
    m->max_tokens = 1 + (below(m, 4) ? MAX_TOKENS - 1 - below(m, 60) : below(m, 40));
    m->sharing = below(m, 4) != 0;
    m->steps = below(m, 2) != 0;
    m->alphabet = 1 + below(m, 3);
    for (int32_t g = 0; g < m->num_groups; g++) {
        m->groups[g] =
            (clattn_pages_group){ .num_pages = 1 + (below(m, 3) ? MAX_PAGES - 1 - below(m, 20) : below(m, 20)),
                                  .num_host_pages = below(m, MAX_PAGES + 1),
                                  .window = below(m, 2) ? 1 + below(m, 20) : 0,
                                  .sink = below(m, 3) == 0 ? below(m, 9) : 0 };
    }
    const int32_t attachments = below(m, 2) ? 1 + below(m, 12) : 0;
    m->attaching = attachments > 0 || !m->sharing;
    EXPECT(clattn_pages_create(&CLATTN_PAGES_PARAMS(.page_size = m->page_size, .num_groups = m->num_groups,
                                                    .groups = m->groups, .max_sequences = m->max_sequences,
                                                    .max_tokens = m->max_tokens, .share_prefixes = m->sharing,
                                                    .max_attachments = attachments),
                               &m->pages) == CLATTN_OK);
    /* Hashes of 64, 2 or 0 bits: collisions are rare, common, or all there is. */
    m->pages->hash_mask = (const uint64_t[]){ UINT64_MAX, UINT64_MAX, 3, 0 }[below(m, 4)];
    return true;
}

static bool operate(model *m)
{
    static bool (*const operations[])(model *) = {
        append_some,       append_some,       append_some,   append_and_commit,
        append_and_commit, append_and_commit, commit_some,   commit_some,
        commit_some,       commit_some,       create,        create,
        abandon_some,      truncate_some,     fork_some,     drop_some,
        free_some,         next_step,         swap_out_some, swap_in_some,
        swap_in_some,      attach_later,      next_step,     next_step,
    };
    return operations[below(m, (int32_t)(sizeof(operations) / sizeof(operations[0])))](m);
}

/* Everything is let go of, and nothing is lost. */
static bool finish(model *m)
{
    for (int32_t k = 0; k < m->max_sequences; k++)
        if (m->sequences[k].live && !free_one(m, &m->sequences[k]))
            return false;
    EXPECT(clattn_pages_retire(m->pages, m->step) == CLATTN_OK);
    for (int32_t g = 0; g < m->num_groups; g++) {
        clattn_pages_stats stats;
        EXPECT(clattn_pages_get_stats(m->pages, g, &stats) == CLATTN_OK);
        EXPECT(stats.free + stats.cached == stats.num_pages && stats.host_free == stats.num_host_pages);
        m->totals->evictions += g == 0 ? stats.evictions : 0;
    }
    return check_all(m);
}

const char *pages_model_run(const pages_choices *choices, pages_model_totals *totals)
{
    model *m = calloc(1, sizeof(*m));
    if (!m)
        abort();
    m->choices = choices;
    m->totals = totals;
    failure[0] = '\0';
    bool good = make_manager(m);
    for (uint32_t n = 1; good && choices->more(choices->user); n++) {
        totals->operations++;
        good = operate(m) && (n % 32 != 0 || check_all(m));
    }
    good = good && finish(m);
    clattn_pages_destroy(&m->pages);
    free(m);
    return good ? NULL : failure;
}
