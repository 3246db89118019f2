/* SPDX-License-Identifier: BSD-2-Clause */
/* The words of a class's name: "decode frag_dims q_dtype f16 k_dtype q8_0 v_dtype q8_0 head_dim 128 paged". */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tune.h"

enum { WORD_SIZE = 32 };

/* Copies the next word; returns what follows it, NULL when there was none. */
static const char *next_word(const char *at, char word[WORD_SIZE])
{
    at += strspn(at, " ");
    const size_t length = strcspn(at, " ");
    snprintf(word, WORD_SIZE, "%.*s", (int)length, at);
    return length > 0 ? at + length : NULL;
}

static void add_rest(tune_words *to, const char *word)
{
    const size_t used = strlen(to->rest);
    snprintf(to->rest + used, sizeof to->rest - used, "%s%s", used ? " " : "", word);
}

/* The type of K, then of V: "q8_0", or "q8_0,f16" where they differ. */
static void add_kv_dtype(tune_words *to, const char *type)
{
    const size_t used = strlen(to->kv_dtype);
    if (strcmp(to->kv_dtype, type) != 0)
        snprintf(to->kv_dtype + used, sizeof to->kv_dtype - used, "%s%s", used ? "," : "", type);
}

/* A field with its value; false when it is none of those that are kept apart. */
static bool take_field(tune_words *to, const char *name, const char *value)
{
    const bool gathers = strcmp(to->kernel, "gather") == 0;
    const bool reads = strcmp(name, "from") == 0, writes = strcmp(name, "to") == 0;
    if (strcmp(name, "q_dtype") == 0 || (reads && !gathers) || (writes && gathers))
        snprintf(to->dtype, sizeof to->dtype, "%.15s", value);
    else if (strcmp(name, "k_dtype") == 0 || strcmp(name, "v_dtype") == 0 || reads || writes)
        add_kv_dtype(to, value);
    else if (strcmp(name, "head_dim") == 0)
        to->head_dim = atoi(value);
    else
        return false;
    return true;
}

static void add_dims(tune_words *to, const char *v_head_dim)
{
    char text[2 * WORD_SIZE];
    if (to->head_dim > 0 && atoi(v_head_dim) != to->head_dim)
        snprintf(text, sizeof text, "dims %d/%s", to->head_dim, v_head_dim);
    else
        snprintf(text, sizeof text, "dim %s", v_head_dim);
    add_rest(to, text);
}

void tune_words_read(const char *name, tune_words *out)
{
    char word[WORD_SIZE], value[WORD_SIZE];
    *out = (tune_words){ .head_dim = 0 };
    const char *at = next_word(name, word);
    snprintf(out->kernel, sizeof out->kernel, "%.15s", word);
    at = at ? next_word(at, out->fragment) : NULL;
    while (at && (at = next_word(at, word))) {
        const char *behind = next_word(at, value);
        if (behind && take_field(out, word, value)) {
            at = behind;
        } else if (behind && strcmp(word, "v_head_dim") == 0) {
            add_dims(out, value);
            at = behind;
        } else {
            add_rest(out, word);
        }
    }
}

const char *tune_label(const char *name, char text[TUNE_LABEL_SIZE])
{
    tune_words words;
    tune_words_read(name, &words);
    const bool converts = strcmp(words.dtype, words.kv_dtype) != 0;
    snprintf(text, TUNE_LABEL_SIZE, "%s%s%s%s%s%s%.50s", words.kernel, *words.dtype ? " " : "", words.dtype,
             converts ? ", K and V " : "", converts ? words.kv_dtype : "", *words.rest ? ", " : "", words.rest);
    return text;
}
