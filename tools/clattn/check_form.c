/* SPDX-License-Identifier: BSD-2-Clause */
#include "check_form.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { AS_Q = -1 };
enum { QUICK_NONE = 1 << 0, QUICK_POSITIONAL = 1 << 1, QUICK_GENERAL = 1 << 2 };

const check_form check_forms[] = {
#define CHECK_FORM(name, k_dtype, v_dtype, kv_mode, flags, page_size, quick)                                           \
    { name, k_dtype, v_dtype, CLATTN_KV_##kv_mode, flags, page_size, quick },
#include "check_forms.def"
#undef CHECK_FORM
};
const int check_form_count = (int)(sizeof check_forms / sizeof *check_forms);

/* Entries behind each row of a table, and behind the list, that nothing may read. */
enum { SPARE_ENTRIES = 2, UNREAD_ENTRY = 0x7fffffff };

/* Of sequence HOLE_SEQUENCE entry HOLE_ENTRY, of sequence BAD_SEQUENCE the last entry but one, if it has two; of the
 * first kv head. */
enum { HOLE_SEQUENCE = 0, HOLE_ENTRY = 1, BAD_SEQUENCE = 1, BAD_ID = -9 };

static int32_t pages_of(const clattn_attention_desc *desc, int32_t tokens)
{
    return (tokens + desc->page_size - 1) / desc->page_size;
}

static int32_t table_heads(const clattn_attention_desc *desc)
{
    return desc->block_table_head_stride ? desc->kv_heads : 1;
}

static clattn_page_strides page_strides(const clattn_attention_desc *desc, bool by_head, clattn_dtype dtype,
                                        int32_t dim)
{
    const int64_t row = dim / clattn_dtype_block_len(dtype), size = desc->page_size, heads = desc->kv_heads;
    return (clattn_page_strides){ .page = size * heads * row,
                                  .token = by_head ? row : heads * row,
                                  .head = by_head ? size * row : row };
}

static int32_t whole_blocks(clattn_dtype dtype, int32_t dim)
{
    const int32_t block_len = clattn_dtype_block_len(dtype);
    return (dim + block_len - 1) / block_len * block_len;
}

void check_form_describe(const check_form *form, int32_t batch, clattn_attention_desc *desc)
{
    const bool by_head = (form->flags & FORM_BY_HEAD) != 0;
    desc->k_dtype = form->k_dtype == AS_Q ? desc->q_dtype : (clattn_dtype)form->k_dtype;
    desc->v_dtype = form->v_dtype == AS_Q ? desc->q_dtype : (clattn_dtype)form->v_dtype;
    desc->head_dim = whole_blocks(desc->k_dtype, desc->head_dim);
    desc->v_head_dim = whole_blocks(desc->v_dtype, desc->v_head_dim);
    desc->kv_mode = form->kv_mode;
    if (form->kv_mode == CLATTN_KV_CONTIGUOUS)
        return;
    desc->page_size = form->page_size;
    desc->max_pages = pages_of(desc, desc->max_kv_len);
    if (form->flags & FORM_HEADS)
        desc->block_table_head_stride = desc->max_pages + SPARE_ENTRIES;
    desc->block_table_stride = (int64_t)(desc->max_pages + SPARE_ENTRIES) * table_heads(desc);
    desc->pages = batch * desc->max_pages * table_heads(desc) + SPARE_ENTRIES;
    desc->max_page_indices = desc->pages;
    desc->k_cache = page_strides(desc, by_head, desc->k_dtype, desc->head_dim);
    desc->v_cache = page_strides(desc, by_head, desc->v_dtype, desc->v_head_dim);
}

int64_t check_form_blocks(const clattn_attention_desc *desc, bool of_v)
{
    return desc->pages * (of_v ? desc->v_cache.page : desc->k_cache.page);
}

int64_t check_form_row(const job *of, bool of_v, const int32_t *starts, int32_t b, int32_t j, int32_t kv_head)
{
    const clattn_attention_desc *desc = &of->desc;
    const clattn_strides *strides = of_v ? &desc->v : &desc->k;
    const clattn_page_strides *pages = of_v ? &desc->v_cache : &desc->k_cache;
    if (desc->kv_mode == CLATTN_KV_CONTIGUOUS)
        return b * strides->batch + ((starts ? starts[b] : 0) + j) * strides->token + kv_head * strides->head;
    const ref_inputs in = job_reference(of);
    const int32_t page = ref_key_page(desc, &in, b, kv_head, j);
    return page < 0 ? -1 : page * pages->page + j % desc->page_size * pages->token + kv_head * pages->head;
}

/* Random bytes: any q, any finite number of fp8. */
static void fill_quantised(unsigned char *row, clattn_dtype dtype, int32_t dim, double spread, ref_random *random)
{
    const size_t size = clattn_dtype_size(dtype);
    const int32_t blocks = dim / clattn_dtype_block_len(dtype);
    for (size_t n = 0; n < (size_t)blocks * size; n++) {
        row[n] = (unsigned char)ref_random_bits(random);
        if (dtype == CLATTN_FP8 && (row[n] & 0x7f) == 0x7f)
            row[n] ^= 1; /* NaN */
    }
    const double largest = dtype == CLATTN_Q8_0 ? 127.0 : 8.0;
    for (int32_t block = 0; dtype != CLATTN_FP8 && block < blocks; block++)
        ref_store(row + (size_t)block * size, CLATTN_F16, 0,
                  spread * (4.0 * ref_random_uniform(random) - 2.0) / largest);
}

void check_form_fill_row(void *row, clattn_dtype dtype, int32_t dim, double spread, ref_random *random)
{
    if (dtype >= CLATTN_FLOAT_DTYPE_COUNT) {
        fill_quantised(row, dtype, dim, spread, random);
        return;
    }
    for (int32_t d = 0; d < dim; d++)
        ref_store(row, dtype, d, spread * (4.0 * ref_random_uniform(random) - 2.0));
}

void check_form_spoil_row(void *row, clattn_dtype dtype)
{
    if (dtype == CLATTN_FP8)
        *(unsigned char *)row = 0x7f;
    else /* a block starts with the binary16 that all of it is multiplied by */
        ref_store(row, dtype < CLATTN_FLOAT_DTYPE_COUNT ? dtype : CLATTN_F16, 0, (double)NAN);
}

static int32_t bad_entry(const clattn_attention_desc *desc, const int32_t *kv_lens)
{
    const int32_t pages = pages_of(desc, kv_lens[BAD_SEQUENCE]);
    return pages > 1 ? pages - 2 : 0;
}

static bool is_bad(const clattn_attention_desc *desc, const int32_t *kv_lens, int32_t b, int32_t head, int32_t entry)
{
    return b == BAD_SEQUENCE && head == 0 && entry == bad_entry(desc, kv_lens);
}

static void shuffle(int32_t *ids, int32_t count, ref_random *random)
{
    for (int32_t n = 0; n < count; n++) {
        const int32_t other = (int32_t)ref_random_range(random, 0, n);
        ids[n] = ids[other];
        ids[other] = n;
    }
}

static int32_t entry_of(const clattn_attention_desc *desc, const int32_t *kv_lens, int32_t b, int32_t head,
                        int32_t entry, int32_t id)
{
    if (is_bad(desc, kv_lens, b, head, entry))
        return BAD_ID;
    return b == HOLE_SEQUENCE && head == 0 && entry == HOLE_ENTRY ? -1 : id;
}

static void fill_table(const clattn_attention_desc *desc, const int32_t *kv_lens, int32_t batch, const int32_t *ids,
                       const check_pages *out)
{
    for (int32_t b = 0; b < batch; b++)
        for (int32_t head = 0; head < table_heads(desc); head++)
            for (int32_t entry = 0; entry < pages_of(desc, kv_lens[b]); entry++)
                out->table[b * desc->block_table_stride + head * desc->block_table_head_stride + entry] =
                    entry_of(desc, kv_lens, b, head, entry, *ids++);
}

static void fill_list(const clattn_attention_desc *desc, const int32_t *kv_lens, int32_t batch, const int32_t *ids,
                      const check_pages *out)
{
    int32_t used = 0;
    for (int32_t b = 0; b < batch; b++) {
        out->indptr[b] = used;
        out->last_page_len[b] = kv_lens[b] > 0 ? (kv_lens[b] - 1) % desc->page_size + 1 : desc->page_size;
        for (int32_t entry = 0; entry < pages_of(desc, kv_lens[b]); entry++, used++)
            out->table[used] = entry_of(desc, kv_lens, b, 0, entry, ids[used]);
    }
    out->indptr[batch] = used;
}

bool check_pages_make(const clattn_attention_desc *desc, const int32_t *kv_lens, int32_t batch, ref_random *random,
                      check_pages *out)
{
    const bool list = desc->kv_mode == CLATTN_KV_PAGE_LIST;
    const size_t entries = (size_t)(list ? desc->max_page_indices : batch * desc->block_table_stride);
    int32_t *ids = malloc((size_t)desc->pages * sizeof *ids);
    out->table_size = entries * sizeof *out->table;
    out->table = malloc(out->table_size);
    out->indptr = malloc((size_t)(batch + 1) * sizeof *out->indptr);
    out->last_page_len = malloc((size_t)batch * sizeof *out->last_page_len);
    const bool made = ids && out->table && out->indptr && out->last_page_len;
    if (made) {
        for (size_t n = 0; n < entries; n++)
            out->table[n] = UNREAD_ENTRY;
        shuffle(ids, desc->pages, random);
        (list ? fill_list : fill_table)(desc, kv_lens, batch, ids, out);
    }
    free(ids);
    return made;
}

void check_pages_free(check_pages *used)
{
    free(used->table);
    free(used->indptr);
    free(used->last_page_len);
    *used = (check_pages){ .table = NULL };
}

/* Whether a query reaches the page of the bad id by position: then its tile is looked at. */
static bool bad_id_is_met(const job *of, const int32_t *kv_lens)
{
    clattn_attention_desc desc = of->desc;
    ref_inputs in = job_reference(of);
    const int32_t first = bad_entry(&desc, kv_lens) * desc.page_size;
    desc.kv_mode = CLATTN_KV_CONTIGUOUS;
    desc.kv_length_mode = CLATTN_LENGTH_UNIFORM;
    desc.mask_kind = CLATTN_MASK_NONE;
    in.kv_len = kv_lens[BAD_SEQUENCE];
    for (int32_t i = 0; i < ref_q_len(&desc, &in, BAD_SEQUENCE); i++)
        for (int32_t j = first; j < first + of->desc.page_size; j++)
            if (ref_attends(&desc, &in, BAD_SEQUENCE, 0, i, j))
                return true;
    return false;
}

bool check_record_right(const job *of, const int32_t *kv_lens, const clattn_error_record *record)
{
    const bool clear = record->kinds == 0 && record->sequence == UINT32_MAX;
    const bool told = record->kinds == CLATTN_ERROR_PAGE_ID && record->sequence == BAD_SEQUENCE;
    if (record->reserved[0] || record->reserved[1] || (!clear && !told))
        return false;
    return told ? kv_lens[BAD_SEQUENCE] > 0 : kv_lens[BAD_SEQUENCE] == 0 || !bad_id_is_met(of, kv_lens);
}
