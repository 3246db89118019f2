/* SPDX-License-Identifier: BSD-2-Clause */
/* src/plan/pin.c: the text that pins a plan's choices. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "plan/pin.h"

#define RIGHT                                                                                                          \
    "clattn-plan 1\nfragment frag_lanes\nprefill_tile lanes16_vectors2_keys64_kb8_db8\n"                               \
    "decode_tile lanes16_rows16_keys32_db64\ncombine_tile local1\nsplit_size 512\n"

static void writes_what_it_reads(void **state)
{
    (void)state;
    clattn_plan plan = { .fragment = CLATTN_FRAGMENT_LANES, .split_size = 2048, .uncapped_split_size = 512 };
    static const char *const names[CLATTN_STEP_COUNT] = { "lanes16_vectors2_keys64_kb8_db8",
                                                          "lanes16_rows16_keys32_db64", "local1" };
    for (int kind = 0; kind < CLATTN_STEP_COUNT; kind++)
        snprintf(plan.steps[kind].tile_name, sizeof(plan.steps[kind].tile_name), "%s", names[kind]);
    char text[CLATTN_PIN_MAX_SIZE];
    assert_int_equal(clattn_pins_text(&plan, text), strlen(RIGHT));
    assert_string_equal(text, RIGHT);
    clattn_pins pins;
    assert_int_equal(clattn_pins_parse(text, &pins), CLATTN_OK);
    assert_string_equal(pins.fragment, "frag_lanes");
    assert_string_equal(pins.prefill_tile, names[CLATTN_STEP_PREFILL]);
    assert_string_equal(pins.decode_tile, names[CLATTN_STEP_DECODE]);
    assert_string_equal(pins.combine_tile, names[CLATTN_STEP_COMBINE]);
    assert_int_equal(pins.split_size, 512);
}

static void refuses_other_texts(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        { "", "line 1 of text is \"\"" },
        { "clattn-plan 2\n", "line 1 of text is \"clattn-plan 2\"" },
        { "clattn-plan 1\nprefill_tile a\n", "line 2 of text is \"prefill_tile a\"" },
        { "clattn-plan 1\nfragment \n", "line 2" },
        { "clattn-plan 1\nfragment a\nprefill_tile b\ndecode_tile c\ncombine_tile d\nsplit_size 0\n", "line 6" },
        { "clattn-plan 1\nfragment a\nprefill_tile b\ndecode_tile c\ncombine_tile d\nsplit_size 5x\n", "line 6" },
        { "clattn-plan 1\nfragment a\nprefill_tile b\ndecode_tile c\ncombine_tile d\nsplit_size 1073741825\n", "2^30" },
        { "clattn-plan 1\nfragment a\nprefill_tile b\ndecode_tile c\ncombine_tile d\nsplit_size 5", "line 6" },
        { RIGHT "more\n", "line 7 of text is \"more\"" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        clattn_pins pins;
        assert_int_equal(clattn_pins_parse(cases[i].text, &pins), CLATTN_INVALID_ARGUMENT);
        if (!strstr(clattn_last_error(), cases[i].message))
            fail_msg("case %zu: %s", i, clattn_last_error());
    }
}

/* Every beginning of a right text, and one with a line too long for a name. */
static void a_torn_text_is_refused(void **state)
{
    (void)state;
    char text[sizeof(RIGHT) + 200];
    clattn_pins pins;
    for (size_t length = 0; length < strlen(RIGHT); length++) {
        memcpy(text, RIGHT, length);
        text[length] = '\0';
        assert_int_equal(clattn_pins_parse(text, &pins), CLATTN_INVALID_ARGUMENT);
    }
    snprintf(text, sizeof(text), "clattn-plan 1\nfragment %0*d\n", CLATTN_TILE_NAME_SIZE, 1);
    assert_int_equal(clattn_pins_parse(text, &pins), CLATTN_INVALID_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_what_it_reads),
        cmocka_unit_test(refuses_other_texts),
        cmocka_unit_test(a_torn_text_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
