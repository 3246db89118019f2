/* SPDX-License-Identifier: BSD-2-Clause */
/* Plans exported as text and imported again. */
#include <stdio.h>
#include <string.h>

#include "expect.h"
#include "kernel/tile.h"
#include "suites.h"

#define TEXT_SIZE 1024

static clattn_attention_desc small_desc(void)
{
    return CLATTN_ATTENTION_DESC(.q_heads = 4, .kv_heads = 2, .head_dim = 32, .max_batch = 1, .max_q_len = 40,
                                 .max_kv_len = 300, .q = { 0, 128, 32 }, .k = { 0, 64, 32 }, .v = { 0, 64, 32 },
                                 .o = { 0, 128, 32 });
}

/* One that is no default, of the plan's own fragment. */
static void other_tile(const clattn_plan *plan, clattn_algorithm algorithm, const char *chosen, char *name)
{
    clattn_plan_info info;
    clattn_plan_describe(plan, &info);
    for (int f = 0; f < CLATTN_FRAGMENT_COUNT; f++) {
        clattn_tile tile;
        for (size_t i = 0; i < clattn_space_size(algorithm, (clattn_fragment_id)f); i++) {
            clattn_space_point(algorithm, (clattn_fragment_id)f, i, &tile);
            clattn_tile_name(&tile, name);
            if (strcmp(clattn_fragment_row((clattn_fragment_id)f)->name, info.kernels[0].fragment) == 0 &&
                clattn_tile_in_space(&tile, NULL, 0) && strcmp(name, chosen) != 0)
                return;
        }
    }
}

static void check_same_choices(harness *h, const clattn_plan *plan, const char *text)
{
    const clattn_attention_desc desc = small_desc();
    clattn_plan *again = NULL;
    clattn_plan_info info, other;
    char exported[TEXT_SIZE];
    expect(h, "import", clattn_plan_import(h->device, &desc, NULL, text, &again), CLATTN_OK, "");
    if (!again)
        return;
    clattn_plan_describe(plan, &info);
    clattn_plan_describe(again, &other);
    bool same = info.num_kernels == other.num_kernels && info.split_size == other.split_size;
    for (int i = 0; same && i < info.num_kernels; i++)
        same = strcmp(info.kernels[i].tile, other.kernels[i].tile) == 0 &&
               strcmp(info.kernels[i].options, other.kernels[i].options) == 0 &&
               strcmp(other.kernels[i].tuning_source, "caller") == 0;
    expect_true(h, "an imported plan has the choices of the exported one", same);
    expect(h, "export of the imported plan", clattn_plan_export(again, exported, sizeof(exported), NULL), CLATTN_OK,
           "");
    expect_true(h, "its text is the same", strcmp(text, exported) == 0);
    clattn_plan_destroy(&again);
}

static void check_errors(harness *h, const clattn_plan *plan, const char *text)
{
    const clattn_attention_desc desc = small_desc();
    const clattn_plan_params named = CLATTN_PLAN_PARAMS(.split_size = 64), old = { .struct_size = 1 };
    clattn_plan *out = NULL;
    size_t needed = 0;
    char small[8], unknown[TEXT_SIZE + 8];
    snprintf(unknown, sizeof(unknown), "%s", text);
    memcpy(strstr(unknown, "decode_tile ") + strlen("decode_tile "), "x", 1);
    expect_invalid(h, "export without plan", clattn_plan_export(NULL, small, sizeof(small), NULL), "plan");
    expect_invalid(h, "export without text", clattn_plan_export(plan, NULL, 1, NULL), "text");
    expect_invalid(h, "export to too small a text", clattn_plan_export(plan, small, sizeof(small), NULL), "size is 8");
    expect(h, "export's size", clattn_plan_export(plan, NULL, 0, &needed), CLATTN_OK, "");
    expect_true(h, "it is the text's, with the NUL", needed == strlen(text) + 1);
    expect_invalid(h, "import without text", clattn_plan_import(h->device, &desc, NULL, NULL, &out), "text");
    expect_invalid(h, "import with a choice", clattn_plan_import(h->device, &desc, &named, text, &out), "params");
    expect_invalid(h, "import with an old struct", clattn_plan_import(h->device, &desc, &old, text, &out),
                   "struct_size");
    expect_invalid(h, "import of nonsense", clattn_plan_import(h->device, &desc, NULL, "nonsense", &out), "line 1");
    expect_invalid(h, "import of an unknown tile", clattn_plan_import(h->device, &desc, NULL, unknown, &out),
                   "decode_tile");
}

/* Nothing is built for a plan whose description was warmed up. */
static void check_warm_up(harness *h)
{
    const clattn_attention_desc descs[] = { small_desc(), small_desc() };
    clattn_plan *plan = NULL;
    expect(h, "warm up", clattn_attention_warm_up(h->device, descs, 2, NULL), CLATTN_OK, "");
    const long programs = atomic_load(&h->programs);
    expect(h, "plan after it", clattn_plan_create(h->device, descs, NULL, &plan), CLATTN_OK, "");
    expect_true(h, "it built nothing", atomic_load(&h->programs) == programs);
    expect(h, "warm up of none", clattn_attention_warm_up(h->device, NULL, 0, NULL), CLATTN_OK, "");
    expect_invalid(h, "warm up without descs", clattn_attention_warm_up(h->device, NULL, 1, NULL), "descs");
    expect_invalid(h, "warm up of less than none", clattn_attention_warm_up(h->device, descs, -1, NULL), "count is -1");
    expect_invalid(h, "warm up without device", clattn_attention_warm_up(NULL, descs, 1, NULL), "device");
    clattn_plan_destroy(&plan);
}

void suite_pins(harness *h)
{
    const clattn_attention_desc desc = small_desc();
    clattn_plan *plan = NULL, *pinned = NULL;
    clattn_plan_info info;
    char text[TEXT_SIZE], tile[CLATTN_TILE_NAME_SIZE] = "";
    expect(h, "plan", clattn_plan_create(h->device, &desc, NULL, &plan), CLATTN_OK, "");
    if (!plan)
        return;
    clattn_plan_describe(plan, &info);
    other_tile(plan, CLATTN_ALGORITHM_PREFILL, info.kernels[0].tile, tile);
    const clattn_plan_params params = CLATTN_PLAN_PARAMS(.prefill_tile = tile, .split_size = 128);
    expect(h, "a plan of another tile", clattn_plan_create(h->device, &desc, &params, &pinned), CLATTN_OK, "");
    expect(h, "export", clattn_plan_export(plan, text, sizeof(text), NULL), CLATTN_OK, "");
    check_warm_up(h);
    check_same_choices(h, plan, text);
    check_errors(h, plan, text);
    if (pinned) {
        expect(h, "export of another tile", clattn_plan_export(pinned, text, sizeof(text), NULL), CLATTN_OK, "");
        expect_true(h, "the tile is in the text", strstr(text, tile) != NULL);
        check_same_choices(h, pinned, text);
    }
    clattn_plan_destroy(&plan);
    clattn_plan_destroy(&pinned);
}
