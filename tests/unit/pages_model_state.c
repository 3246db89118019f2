/* SPDX-License-Identifier: BSD-2-Clause */
#include "pages_model_state.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "pages_check.h"

static _Thread_local char failure[256];

bool model_fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (vsnprintf(failure, sizeof(failure), format, args) < 0)
        failure[0] = '?';
    va_end(args);
    return false;
}

const char *model_failure(void)
{
    return failure;
}

int32_t model_below(const model *m, int32_t n)
{
    return (int32_t)m->choices->below(m->choices->user, (uint32_t)n);
}

int32_t model_pages_of(const model *m, int32_t tokens)
{
    return (tokens + m->page_size - 1) / m->page_size;
}

/* ---- What a token's keys and values are made of ---- */

static uint64_t mixed(uint64_t a, uint64_t b)
{
    a = (a ^ b) * UINT64_C(0x9e3779b97f4a7c15);
    return a ^ (a >> 29);
}

void model_number_tokens(model_sequence *s, int32_t first)
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

void model_use_page(model_use uses[USES], uint64_t step, uint32_t owner, int32_t places)
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
    uses[oldest] = (model_use){ step, owner, places };
}

bool model_is_read(const model *m, const model_use uses[USES], uint32_t owner, int32_t place)
{
    for (int i = 0; i < USES; i++)
        if (uses[i].owner != owner && uses[i].step > m->retired && uses[i].places > place)
            return true;
    return false;
}

void model_use_row(model *m, const model_sequence *s)
{
    for (int32_t g = 0; g < m->num_groups; g++)
        for (int32_t i = 0; i < model_pages_of(m, s->length); i++)
            if (s->row[g][i] >= 0) {
                const int32_t places = s->length - i * m->page_size;
                model_use_page(m->uses[g][s->row[g][i]], m->step, s->owner,
                               places < m->page_size ? places : m->page_size);
            }
}

/* ---- Looking at sequences ---- */

bool model_read_row(const model *m, const model_sequence *s, int32_t g, int32_t row[MAX_TOKENS + 1])
{
    int32_t table[MAX_TOKENS + 2];
    const int32_t columns = model_pages_of(m, s->length) + 1;
    table[columns] = -7;
    EXPECT(clattn_pages_block_table(m->pages, g, &s->handle, 1, table, columns, columns) == CLATTN_OK);
    EXPECT(table[columns] == -7);
    EXPECT(table[columns - 1] == -1);
    for (int32_t i = 0; i < columns - 1; i++)
        EXPECT(table[i] >= -1 && table[i] < m->groups[g].num_pages);
    memcpy(row, table, (size_t)columns * sizeof(row[0]));
    return true;
}

bool model_check_sequence(const model *m, const model_sequence *s)
{
    int32_t length;
    clattn_sequence_info info;
    EXPECT(clattn_pages_kv_lens(m->pages, &s->handle, 1, &length) == CLATTN_OK);
    EXPECT(length == s->length);
    EXPECT(clattn_pages_sequence_info(m->pages, s->handle, &info) == CLATTN_OK);
    EXPECT(info.length == s->length && info.committed == s->committed && info.swapped == s->swapped);
    EXPECT(info.num_pages == model_pages_of(m, s->length));
    for (int32_t g = 0; g < m->num_groups; g++) {
        int32_t row[MAX_TOKENS + 1] = { 0 }, held = 0;
        if (s->swapped)
            memcpy(row, s->row[g], sizeof(s->row[g]));
        else if (!model_read_row(m, s, g, row))
            return false;
        for (int32_t i = 0; i < model_pages_of(m, s->length); i++) {
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

int32_t model_holders(const model *m, int32_t g, int32_t page)
{
    int32_t count = 0;
    for (int32_t k = 0; k < m->max_sequences; k++) {
        const model_sequence *s = &m->sequences[k];
        if (!s->live || s->swapped)
            continue;
        for (int32_t i = 0; i < model_pages_of(m, s->length); i++)
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
            const int32_t count = model_holders(m, g, page);
            used += count > 0;
            shared += count > 1;
        }
        for (int32_t k = 0; k < m->max_sequences; k++) {
            const model_sequence *s = &m->sequences[k];
            live += s->live;
            for (int32_t i = 0; s->live && s->swapped && i < model_pages_of(m, s->length); i++)
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

bool model_check_all(const model *m)
{
    const char *wrong = pages_check(m->pages);
    if (wrong)
        return model_fail("inconsistent: %s", wrong);
    for (int32_t k = 0; k < m->max_sequences; k++)
        if (m->sequences[k].live && !model_check_sequence(m, &m->sequences[k]))
            return false;
    return check_counts(m);
}

int32_t model_room(const model *m, int32_t g)
{
    clattn_pages_stats stats;
    return clattn_pages_get_stats(m->pages, g, &stats) == CLATTN_OK ? stats.cached + stats.free : -1;
}
