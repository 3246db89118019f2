/* SPDX-License-Identifier: BSD-2-Clause */
#include "pages_model.h"

#include <stdlib.h>
#include <string.h>

#include "pages_check.h"
#include "pages_model_state.h"

/* ---- Operations ---- */

static model_sequence *pick(model *m, bool resident)
{
    const int32_t start = model_below(m, m->max_sequences);
    for (int32_t k = 0; k < m->max_sequences; k++) {
        model_sequence *s = &m->sequences[(start + k) % m->max_sequences];
        if (s->live && !(resident && s->swapped))
            return s;
    }
    return NULL;
}

/* A page that the manager has just given to a sequence: nobody has it, and no step under way reads it. */
static bool check_fresh(const model *m, int32_t g, int32_t page)
{
    EXPECT(page >= 0 && page < m->groups[g].num_pages);
    EXPECT(model_holders(m, g, page) == 0);
    EXPECT(!model_is_read(m, m->uses[g][page], 0, -1));
    return true;
}

static bool check_refused_append(model *m, const model_sequence *s, int32_t count)
{
    bool short_of = false;
    for (int32_t g = 0; g < m->num_groups; g++) {
        const int32_t most =
            model_pages_of(m, s->length + count) - model_pages_of(m, s->length) + (s->length % m->page_size != 0);
        short_of = short_of || model_room(m, g) < most;
    }
    EXPECT(short_of);
    m->totals->refused_for_pages++;
    return model_check_sequence(m, s);
}

/* Rows and slots after an append, one group. */
static bool take_appended(model *m, model_sequence *s, int32_t g, int32_t count, const int64_t *slots,
                          const clattn_page_list *list)
{
    int32_t row[MAX_TOKENS + 1] = { 0 };
    const int32_t before = model_pages_of(m, s->length), partial = s->length % m->page_size;
    s->length += count;
    const bool read = model_read_row(m, s, g, row);
    s->length -= count;
    if (!read)
        return false;
    EXPECT(list->count == 0 || (list->count == 1 && partial != 0));
    if (list->count == 1) {
        EXPECT(list->pairs[0].src == s->row[g][before - 1] && list->pairs[0].dst == row[before - 1]);
        if (!check_fresh(m, g, row[before - 1]))
            return false;
        EXPECT(s->copies[g][0] == -1);
        s->copies[g][0] = list->pairs[0].src;
        s->copies[g][1] = list->pairs[0].dst;
        s->row[g][before - 1] = row[before - 1];
        m->totals->copies++;
    } else if (partial != 0) {
        EXPECT(row[before - 1] == s->row[g][before - 1]);
        EXPECT(model_holders(m, g, row[before - 1]) == 1);
        EXPECT(!model_is_read(m, m->uses[g][row[before - 1]], s->owner, partial));
    }
    for (int32_t i = 0; i < before; i++)
        EXPECT(row[i] == s->row[g][i]);
    for (int32_t i = before; i < model_pages_of(m, s->length + count); i++) {
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

static bool append(model *m, model_sequence *s, int32_t count)
{
    int64_t slots[MAX_GROUPS * MAX_TOKENS];
    int32_t needed[MAX_GROUPS];
    clattn_page_pair pairs[MAX_GROUPS][1];
    clattn_page_list lists[MAX_GROUPS];
    const int32_t before = model_pages_of(m, s->length);
    for (int32_t g = 0; g < m->num_groups; g++) {
        lists[g] = (clattn_page_list){ .pairs = pairs[g], .capacity = 1 };
        const bool shared =
            count > 0 && s->length % m->page_size != 0 && model_holders(m, g, s->row[g][before - 1]) > 1;
        needed[g] = model_pages_of(m, s->length + count) - before + shared;
    }
    int32_t rooms[MAX_GROUPS];
    for (int32_t g = 0; g < m->num_groups; g++)
        rooms[g] = model_room(m, g);
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
    model_number_tokens(s, s->length - count);
    return true;
}

static void choose_tokens(const model *m, model_sequence *s, int32_t first, int32_t end)
{
    for (int32_t i = first; i < end; i++)
        s->tokens[i] = model_below(m, m->alphabet);
}

static bool append_some(model *m)
{
    model_sequence *s = pick(m, true);
    if (!s)
        return true;
    const int32_t most = m->max_tokens - s->length;
    int32_t count = model_below(m, 4) == 0 ? model_below(m, 3 * m->page_size + 1) : model_below(m, 3);
    if (count > most) {
        EXPECT(clattn_pages_append(m->pages, s->handle, s->tokens, most + 1, NULL, 0, NULL) == CLATTN_INVALID_ARGUMENT);
        count = most;
    }
    choose_tokens(m, s, s->length, s->length + count);
    return append(m, s, count) && model_check_sequence(m, s);
}

/* The device's work: copies, then the new tokens. */
static bool commit(model *m, model_sequence *s)
{
    for (int32_t g = 0; g < m->num_groups; g++) {
        if (s->copies[g][0] >= 0) {
            memcpy(m->memory[g][s->copies[g][1]], m->memory[g][s->copies[g][0]], sizeof(m->memory[g][0]));
            model_use_page(m->uses[g][s->copies[g][0]], m->step, s->owner, m->page_size);
        }
        s->copies[g][0] = s->copies[g][1] = -1;
        for (int32_t i = s->committed; i < s->length; i++)
            m->memory[g][s->row[g][i / m->page_size]][i % m->page_size] = s->numbers[i];
    }
    EXPECT(clattn_pages_commit(m->pages, s->handle) == CLATTN_OK);
    s->committed = s->length;
    model_use_row(m, s);
    return model_check_sequence(m, s);
}

static bool commit_some(model *m)
{
    model_sequence *s = pick(m, true);
    return !s || commit(m, s);
}

static bool abandon_some(model *m)
{
    model_sequence *s = pick(m, true);
    if (!s)
        return true;
    EXPECT(clattn_pages_abandon(m->pages, s->handle) == CLATTN_OK);
    if (s->length > s->committed)
        memcpy(s->row, s->committed_row, sizeof(s->row));
    s->length = s->committed;
    for (int32_t g = 0; g < m->num_groups; g++)
        s->copies[g][0] = s->copies[g][1] = -1;
    return model_check_sequence(m, s);
}

/* Whether a group attends page i when the next token is at n. */
static bool attended(const model *m, int32_t g, int32_t i, int32_t n)
{
    const clattn_pages_group *group = &m->groups[g];
    return group->window == 0 || i * m->page_size < group->sink || (i + 1) * m->page_size > n - group->window;
}

/* The longest prompt start that another sequence surely has: committed, on the device, no attachments. */
static int32_t surely_found(const model *m, const model_sequence *s, int32_t count)
{
    int32_t most = 0;
    for (int32_t k = 0; k < m->max_sequences; k++) {
        const model_sequence *o = &m->sequences[k];
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

static bool match(model *m, model_sequence *s, int32_t count)
{
    int32_t found = -5;
    const int32_t surely = surely_found(m, s, count);
    EXPECT(clattn_pages_match(m->pages, s->handle, m->sharing ? s->tokens : NULL, count, &found) == CLATTN_OK);
    EXPECT(found % m->page_size == 0 && (found == 0 || found < count));
    EXPECT(m->sharing ? found >= surely : found == 0);
    s->length = s->committed = found;
    model_number_tokens(s, 0);
    for (int32_t g = 0; g < m->num_groups; g++) {
        int32_t row[MAX_TOKENS + 1] = { 0 };
        if (!model_read_row(m, s, g, row))
            return false;
        memcpy(s->row[g], row, sizeof(s->row[g]));
        for (int32_t i = 0; i < model_pages_of(m, found); i++)
            EXPECT((row[i] >= 0) == attended(m, g, i, found));
    }
    m->totals->tokens_found += (uint64_t)found;
    return model_check_sequence(m, s);
}

static bool attach_some(model *m, model_sequence *s)
{
    int32_t first = s->length;
    if (s->num_attached > 0 && s->attached[s->num_attached - 1].end > first)
        first = s->attached[s->num_attached - 1].end;
    first += model_below(m, m->page_size + 2);
    const int32_t count = 1 + model_below(m, 2 * m->page_size);
    const uint8_t byte = (uint8_t)model_below(m, 2);
    const bool fits = first < m->max_tokens && count <= m->max_tokens - first;
    if (!m->attaching || s->num_attached == MAX_ATTACHED)
        return true;
    EXPECT(clattn_pages_attach(m->pages, s->handle, first, count, &byte, 1) ==
           (fits ? CLATTN_OK : CLATTN_INVALID_ARGUMENT));
    if (fits)
        s->attached[s->num_attached++] = (model_attached){ first, first + count, byte };
    return true;
}

static model_sequence *place_for_new(model *m)
{
    for (int32_t k = 0; k < m->max_sequences; k++)
        if (!m->sequences[k].live)
            return &m->sequences[k];
    return NULL;
}

static void clear_copies(const model *m, model_sequence *s)
{
    for (int32_t g = 0; g < m->num_groups; g++)
        s->copies[g][0] = s->copies[g][1] = -1;
}

static bool free_one(model *m, model_sequence *s)
{
    const clattn_sequence handle = s->handle;
    EXPECT(clattn_pages_free(m->pages, handle) == CLATTN_OK);
    memset(s, 0, sizeof(*s));
    EXPECT(clattn_pages_free(m->pages, handle) == CLATTN_INVALID_ARGUMENT);
    return true;
}

static bool free_some(model *m)
{
    model_sequence *s = pick(m, false);
    return !s || free_one(m, s);
}

static bool create(model *m)
{
    model_sequence *s = place_for_new(m);
    clattn_sequence handle = 3;
    const uint64_t salt = model_below(m, 8) == 0;
    if (!s) {
        EXPECT(clattn_pages_sequence_create(m->pages, salt, &handle) == CLATTN_OUT_OF_PAGES && handle == 3);
        return free_some(m);
    }
    *s = (model_sequence){ .live = true, .salt = salt, .owner = ++m->owners };
    clear_copies(m, s);
    EXPECT(clattn_pages_sequence_create(m->pages, salt, &s->handle) == CLATTN_OK && s->handle != 0);
    for (int k = 0; k < MAX_ATTACHED && model_below(m, 4) == 0; k++)
        if (!attach_some(m, s))
            return false;
    const int32_t most = model_below(m, 2) ? m->max_tokens : m->max_tokens < 12 ? m->max_tokens : 12;
    const int32_t count = model_below(m, most + 1), alike = model_below(m, 4) ? count : model_below(m, count + 1);
    memcpy(s->tokens, m->heard, sizeof(s->tokens));
    choose_tokens(m, s, alike, count);
    if (model_below(m, 4) == 0)
        memcpy(m->heard, s->tokens, sizeof(s->tokens));
    if (model_below(m, 8) != 0 && !match(m, s, count))
        return false;
    const int32_t rest = count - s->length;
    return append(m, s, model_below(m, 2) ? rest : model_below(m, rest + 1)) && model_check_sequence(m, s);
}

static bool fork_some(model *m)
{
    model_sequence *s = pick(m, true), *child = place_for_new(m);
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
    return model_check_sequence(m, s) && model_check_sequence(m, child);
}

static bool truncate_some(model *m)
{
    model_sequence *s = pick(m, true);
    if (!s)
        return true;
    const int32_t most = model_below(m, 2) ? s->length : s->length < 4 ? s->length : 4;
    const int32_t length = s->length - model_below(m, most + 1);
    bool allowed = s->length == s->committed;
    for (int32_t g = 0; g < m->num_groups; g++)
        allowed = allowed && (length % m->page_size == 0 || s->row[g][length / m->page_size] >= 0);
    EXPECT(clattn_pages_truncate(m->pages, s->handle, length) == (allowed ? CLATTN_OK : CLATTN_INVALID_ARGUMENT));
    if (!allowed)
        return model_check_sequence(m, s);
    while (s->num_attached > 0 && s->attached[s->num_attached - 1].first >= length)
        s->num_attached--;
    s->length = s->committed = length;
    return model_check_sequence(m, s);
}

static bool drop_some(model *m)
{
    model_sequence *s = pick(m, true);
    if (!s)
        return true;
    const int32_t g = model_below(m, m->num_groups);
    const clattn_pages_group *group = &m->groups[g];
    const bool slide = group->window > 0 && model_below(m, 4) != 0;
    const int32_t first = slide ? group->sink : model_below(m, m->max_tokens);
    const int32_t end = slide ? s->committed - group->window : model_below(m, m->max_tokens + 9);
    EXPECT(clattn_pages_drop(m->pages, s->handle, g, first, end) == CLATTN_OK);
    for (int32_t i = 0; i < model_pages_of(m, s->length); i++)
        if (i * m->page_size >= first && (i + 1) * m->page_size <= end && (i + 1) * m->page_size <= s->committed)
            s->row[g][i] = s->committed_row[g][i] = -1;
    return model_check_sequence(m, s);
}

static bool swap_out_some(model *m)
{
    model_sequence *s = pick(m, true);
    if (!s)
        return true;
    clattn_page_pair pairs[MAX_GROUPS][MAX_TOKENS];
    clattn_page_list lists[MAX_GROUPS];
    bool fits = true;
    for (int32_t g = 0; g < m->num_groups; g++) {
        int32_t held = 0;
        clattn_pages_stats stats;
        for (int32_t i = 0; i < model_pages_of(m, s->length); i++)
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
        return model_check_sequence(m, s);
    model_use_row(m, s);
    for (int32_t g = 0; g < m->num_groups; g++) {
        EXPECT(lists[g].count == lists[g].capacity);
        for (int32_t k = 0; k < lists[g].count; k++) {
            const int32_t page = pairs[g][k].src, host = pairs[g][k].dst;
            int32_t i = 0;
            while (i < model_pages_of(m, s->length) && s->row[g][i] != page)
                i++;
            EXPECT(i < model_pages_of(m, s->length) && host >= 0 && host < m->groups[g].num_host_pages);
            EXPECT(!model_is_read(m, m->host_uses[g][host], 0, -1));
            memcpy(m->host[g][host], m->memory[g][page], sizeof(m->host[g][host]));
            model_use_page(m->host_uses[g][host], m->step, s->owner, m->page_size);
            s->row[g][i] = host + MAX_PAGES; /* marked, so that no later pair finds it */
        }
        for (int32_t i = 0; i < model_pages_of(m, s->length); i++)
            s->row[g][i] -= s->row[g][i] >= 0 ? MAX_PAGES : 0;
    }
    s->swapped = true;
    m->totals->swapped++;
    return model_check_sequence(m, s);
}

/* A swapped row against the row on the device: each page was copied, or holds the same content already. */
static bool take_swapped_in(model *m, model_sequence *s, int32_t g, const clattn_page_list *list)
{
    int32_t row[MAX_TOKENS + 1] = { 0 }, copied = 0;
    if (!model_read_row(m, s, g, row))
        return false;
    for (int32_t i = 0; i < model_pages_of(m, s->length); i++) {
        EXPECT((row[i] < 0) == (s->row[g][i] < 0));
        if (row[i] < 0)
            continue;
        for (int32_t k = 0; k < list->count; k++)
            if (list->pairs[k].src == s->row[g][i] && list->pairs[k].dst == row[i]) {
                copied++;
                EXPECT(!model_is_read(m, m->uses[g][row[i]], 0, -1) && model_holders(m, g, row[i]) == 0);
                memcpy(m->memory[g][row[i]], m->host[g][s->row[g][i]], sizeof(m->host[g][0]));
            }
        model_use_page(m->host_uses[g][s->row[g][i]], m->step, s->owner, m->page_size);
    }
    EXPECT(copied == list->count);
    memcpy(s->row[g], row, sizeof(s->row[g]));
    return true;
}

static bool swap_in_some(model *m)
{
    model_sequence *s = pick(m, false);
    if (!s)
        return true;
    clattn_page_pair pairs[MAX_GROUPS][MAX_TOKENS];
    clattn_page_list lists[MAX_GROUPS];
    bool surely = true;
    for (int32_t g = 0; g < m->num_groups; g++) {
        int32_t held = 0;
        for (int32_t i = 0; i < model_pages_of(m, s->length); i++)
            held += s->row[g][i] >= 0;
        lists[g] = (clattn_page_list){ .pairs = pairs[g], .capacity = MAX_TOKENS };
        surely = surely && held <= model_room(m, g);
    }
    const clattn_status status = clattn_pages_swap_in(m->pages, s->handle, lists);
    if (!s->swapped) {
        EXPECT(status == CLATTN_INVALID_ARGUMENT);
        return model_check_sequence(m, s);
    }
    EXPECT(status == CLATTN_OK || (status == CLATTN_OUT_OF_PAGES && !surely));
    if (status != CLATTN_OK)
        return model_check_sequence(m, s);
    for (int32_t g = 0; g < m->num_groups; g++)
        if (!take_swapped_in(m, s, g, &lists[g]))
            return false;
    s->swapped = false;
    model_use_row(m, s);
    return model_check_sequence(m, s);
}

static bool attach_later(model *m)
{
    model_sequence *s = pick(m, true);
    return !s || attach_some(m, s);
}

static bool next_step(model *m)
{
    if (!m->steps)
        return true;
    m->step += (uint64_t)model_below(m, 2);
    EXPECT(clattn_pages_begin_step(m->pages, m->step) == CLATTN_OK);
    m->retired += (uint64_t)model_below(m, (int32_t)(m->step - m->retired) + 1);
    EXPECT(clattn_pages_retire(m->pages, m->retired) == CLATTN_OK);
    EXPECT(clattn_pages_retire(m->pages, m->step + 1) == CLATTN_INVALID_ARGUMENT);
    return true;
}

/* An engine's step for a sequence that has just been created or appended to: it is committed. */
static bool append_and_commit(model *m)
{
    model_sequence *s = pick(m, true);
    if (!s || s->length == m->max_tokens)
        return true;
    choose_tokens(m, s, s->length, s->length + 1);
    return append(m, s, 1) && commit(m, s);
}

/* ---- A run ---- */

static bool make_manager(model *m)
{
    m->page_size = (const int32_t[]){ 1, 2, 3, 4, 7, 16 }[model_below(m, 6)];
    m->num_groups = 1 + model_below(m, MAX_GROUPS);
    m->max_sequences = 1 + (model_below(m, 4) ? MAX_SEQUENCES - 1 - model_below(m, 6) : model_below(m, 4));
    m->max_tokens = 1 + (model_below(m, 4) ? MAX_TOKENS - 1 - model_below(m, 60) : model_below(m, 40));
    m->sharing = model_below(m, 4) != 0;
    m->steps = model_below(m, 2) != 0;
    m->alphabet = 1 + model_below(m, 3);
    for (int32_t g = 0; g < m->num_groups; g++) {
        m->groups[g] = (clattn_pages_group){ .num_pages = 1 + (model_below(m, 3) ? MAX_PAGES - 1 - model_below(m, 20)
                                                                                 : model_below(m, 20)),
                                             .num_host_pages = model_below(m, MAX_PAGES + 1),
                                             .window = model_below(m, 2) ? 1 + model_below(m, 20) : 0,
                                             .sink = model_below(m, 3) == 0 ? model_below(m, 9) : 0 };
    }
    const int32_t attachments = model_below(m, 2) ? 1 + model_below(m, 12) : 0;
    m->attaching = attachments > 0 || !m->sharing;
    EXPECT(clattn_pages_create(&CLATTN_PAGES_PARAMS(.page_size = m->page_size, .num_groups = m->num_groups,
                                                    .groups = m->groups, .max_sequences = m->max_sequences,
                                                    .max_tokens = m->max_tokens, .share_prefixes = m->sharing,
                                                    .max_attachments = attachments),
                               &m->pages) == CLATTN_OK);
    /* Hashes of 64, 2 or 0 bits: collisions are rare, common, or all there is. */
    m->pages->hash_mask = (const uint64_t[]){ UINT64_MAX, UINT64_MAX, 3, 0 }[model_below(m, 4)];
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
    return operations[model_below(m, (int32_t)(sizeof(operations) / sizeof(operations[0])))](m);
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
    return model_check_all(m);
}

const char *pages_model_run(const pages_choices *choices, pages_model_totals *totals)
{
    model *m = calloc(1, sizeof(*m));
    if (!m)
        abort();
    m->choices = choices;
    m->totals = totals;
    bool good = make_manager(m);
    for (uint32_t n = 1; good && choices->more(choices->user); n++) {
        totals->operations++;
        good = operate(m) && (n % 32 != 0 || model_check_all(m));
    }
    good = good && finish(m);
    clattn_pages_destroy(&m->pages);
    free(m);
    return good ? NULL : model_failure();
}
