/* SPDX-License-Identifier: BSD-2-Clause */
/* K and V in pages: those that `clattn run` makes (--page-size), and those of files (--k-cache). */
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "problem_parts.h"

enum { MAX_TOKENS = 1 << 30 };

static bool is_given(const options *given, option_id id)
{
    return given->values[id].given;
}

static int refuse_beside(const options *given, const option_id *ids, size_t count, option_id beside)
{
    for (size_t i = 0; i < count; i++)
        if (is_given(given, ids[i]))
            return fail("%s is '%s' beside %s; one of the two has to go", option_rows[ids[i]].name,
                        given->values[ids[i]].text, option_rows[beside].name);
    return EXIT_DONE;
}

static int refuse_without(const options *given, const option_id *ids, size_t count, option_id without)
{
    for (size_t i = 0; i < count; i++)
        if (is_given(given, ids[i]))
            return fail("%s is '%s' without %s; it has to be left out, or %s to be given", option_rows[ids[i]].name,
                        given->values[ids[i]].text, option_rows[without].name, option_rows[without].name);
    return EXIT_DONE;
}

static int require(const options *given, const option_id *ids, size_t count, option_id because)
{
    for (size_t i = 0; i < count; i++)
        if (!is_given(given, ids[i]))
            return fail("%s is missing; %s needs it", option_rows[ids[i]].name, option_rows[because].name);
    return EXIT_DONE;
}

#define COUNT(array) (sizeof(array) / sizeof *(array))

int problem_check_page_options(const options *given)
{
    static const option_id made[] = { OPTION_run_page_order, OPTION_run_seed, OPTION_run_kv_dtype };
    static const option_id tensors[] = { OPTION_run_k,         OPTION_run_v,    OPTION_run_cu_seqlens_k,
                                         OPTION_run_page_size, OPTION_run_seed, OPTION_run_page_order,
                                         OPTION_run_kv_dtype };
    static const option_id cached[] = { OPTION_run_v_cache, OPTION_run_block_table };
    static const option_id needed[] = { OPTION_run_v_cache, OPTION_run_block_table, OPTION_run_kv_lens };
    const option_value *page_size = &given->values[OPTION_run_page_size];
    if (is_given(given, OPTION_run_k_cache)) {
        int status = refuse_beside(given, tensors, COUNT(tensors), OPTION_run_k_cache);
        return status == EXIT_DONE ? require(given, needed, COUNT(needed), OPTION_run_k_cache) : status;
    }
    int status = refuse_without(given, cached, COUNT(cached), OPTION_run_k_cache);
    if (status != EXIT_DONE)
        return status;
    if (!page_size->given)
        return refuse_without(given, made, COUNT(made), OPTION_run_page_size);
    if (page_size->integer < 1 || page_size->integer > MAX_PAGE_SIZE)
        return fail("--page-size is %s; it has to be 1 to %d", page_size->text, MAX_PAGE_SIZE);
    return EXIT_DONE;
}

static int require_same(const char *what, int32_t v, int32_t k)
{
    if (v == k)
        return EXIT_DONE;
    return fail("--v-cache's %s is %d and --k-cache's is %d; they have to be equal", what, v, k);
}

int problem_read_cache_shapes(problem *out)
{
    cache_shape *k = &out->cache, v = { 0 };
    int status = cache_read_shape(&out->operands[JOB_K], k);
    if (status == EXIT_DONE)
        status = cache_read_shape(&out->operands[JOB_V], &v);
    if (status == EXIT_DONE)
        status = require_same("number of pages", v.pages, k->pages);
    if (status == EXIT_DONE)
        status = require_same("page_size", v.page_size, k->page_size);
    out->k = (problem_shape){ .batch = out->q.batch, .heads = k->heads, .dim = k->dim };
    out->v = (problem_shape){ .batch = out->q.batch, .heads = v.heads, .dim = v.dim };
    return status;
}

int problem_read_cache_lengths(problem *out)
{
    clattn_attention_desc *desc = &out->job.desc;
    operand *table = &out->operands[JOB_BLOCK_TABLE], *lens = &out->operands[JOB_KV_LENS];
    char text[NPY_SHAPE_TEXT];
    int32_t rows = 0, max_pages = 0;
    int64_t tokens = 0;
    int status = cache_read_table(table, &rows, &max_pages);
    if (status == EXIT_DONE && rows != out->batch)
        return fail("%s is '%s' of shape %s; it has to be [batch, max_pages] with a batch of %d", table->option,
                    table->path, operand_shape(table, text), out->batch);
    if (status == EXIT_DONE)
        status = cache_read_lengths(lens, &out->cache, out->batch, max_pages);
    if (status == EXIT_DONE)
        status = cache_check_ids(table, lens, &out->cache, out->batch, max_pages, &tokens);
    if (status != EXIT_DONE)
        return status;
    out->job.lengths.kv_lens = lens->data;
    desc->kv_mode = CLATTN_KV_BLOCK_TABLE;
    desc->kv_length_mode = CLATTN_LENGTH_PER_SEQUENCE;
    desc->page_size = out->cache.page_size;
    desc->pages = out->cache.pages;
    desc->max_pages = max_pages;
    desc->k_cache = page_layout_strides(out->cache.page_size, out->k.heads, out->k.dim, CLATTN_F32);
    desc->v_cache = page_layout_strides(out->cache.page_size, out->v.heads, out->v.dim, CLATTN_F32);
    return EXIT_DONE;
}

static clattn_dtype type_of_choice(int64_t choice, clattn_dtype otherwise)
{
    static const clattn_dtype types[] = { CLATTN_F32, CLATTN_F16, CLATTN_BF16, CLATTN_Q8_0, CLATTN_Q4_0, CLATTN_FP8 };
    return choice == 0 ? otherwise : types[choice - 1];
}

/* Runs of append, and the slot of each token: -1 of those that no sequence's length covers. */
static int make_slots(problem *out)
{
    const bool ragged = out->layout == LAYOUT_THD;
    const int32_t *starts = out->operands[JOB_CU_SEQLENS_KV].data;
    const clattn_lengths *lengths = &out->job.lengths;
    job_append *append = &out->append;
    const size_t count = (size_t)out->k.length * (size_t)(ragged ? 1 : out->batch);
    int64_t *slots = malloc((count ? count : 1) * sizeof *slots);
    if (out->k.length > MAX_TOKENS || !slots) {
        free(slots);
        return fail("--page-size: %zu tokens cannot be put into pages: %s", count,
                    out->k.length > MAX_TOKENS ? "at most 2^30 a tensor can be" : "no memory");
    }
    memset(slots, 0xff, count * sizeof *slots);
    for (int32_t b = 0; b < out->batch; b++) {
        const size_t first = ragged ? (size_t)starts[b] : (size_t)b * (size_t)out->k.length;
        const int32_t length = lengths->kv_lens ? lengths->kv_lens[b] : lengths->kv_len;
        for (int32_t t = 0; t < length; t++)
            slots[first + (size_t)t] = page_layout_slot(&out->pages, b, t);
    }
    append->slots = out->slots = slots;
    append->runs = ragged ? 1 : out->batch;
    append->desc.max_tokens = out->k.length;
    append->k_run = (int64_t)out->k.heads * out->k.length * out->k.dim;
    append->v_run = (int64_t)out->v.heads * out->v.length * out->v.dim;
    return EXIT_DONE;
}

static int make_scales(problem *out, job_input input, job_input scales, float **owned)
{
    const size_t size = (size_t)out->k.heads * sizeof **owned;
    *owned = malloc(size);
    if (!*owned)
        return fail("--kv-dtype: no memory for %zu bytes of scales", size);
    page_layout_find_scales(&out->job, input, *owned);
    out->job.inputs[scales].data = *owned;
    out->job.inputs[scales].size = size;
    return EXIT_DONE;
}

/* Lengths of packed K and V become those of the sequences: pages are not packed. */
static void describe_paged_lengths(problem *out)
{
    clattn_attention_desc *desc = &out->job.desc;
    if (desc->kv_length_mode != CLATTN_LENGTH_RAGGED)
        return;
    desc->kv_length_mode = CLATTN_LENGTH_PER_SEQUENCE;
    desc->has_kv_lens = 0;
    desc->max_kv_tokens = 0;
    out->job.inputs[JOB_KV_LENS].data = out->kv_lens;
    out->job.inputs[JOB_KV_LENS].size = (size_t)out->batch * sizeof *out->kv_lens;
}

int problem_make_pages(const options *given, problem *out)
{
    const option_value *types = &given->values[OPTION_run_kv_dtype], *order = &given->values[OPTION_run_page_order];
    const clattn_dtype k_dtype = type_of_choice(types->given ? types->pair[0] : 0, out->dtype);
    const clattn_dtype v_dtype = type_of_choice(types->given ? types->pair[1] : 0, out->dtype);
    if (!is_given(given, OPTION_run_page_size))
        return EXIT_DONE;
    int status =
        page_layout_make(&out->job.lengths, out->max_kv_len, (int32_t)given->values[OPTION_run_page_size].integer,
                         order->given ? (page_order)order->choice : PAGES_SHUFFLED,
                         (uint64_t)given->values[OPTION_run_seed].integer, &out->pages);
    if (status == EXIT_DONE && k_dtype == CLATTN_FP8)
        status = make_scales(out, JOB_K, JOB_K_SCALES, &out->k_scales);
    if (status == EXIT_DONE && v_dtype == CLATTN_FP8)
        status = make_scales(out, JOB_V, JOB_V_SCALES, &out->v_scales);
    if (status != EXIT_DONE)
        return status;
    page_layout_apply(&out->pages, k_dtype, v_dtype, &out->job, &out->append);
    describe_paged_lengths(out);
    return make_slots(out);
}
