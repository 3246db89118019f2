/* SPDX-License-Identifier: BSD-2-Clause */
#include "expect.h"

#include <string.h>

void expect(harness *h, const char *what, clattn_status got, clattn_status want, const char *names)
{
    outcome out = { PASSED, "", 0, 0.0 };
    if (got != want)
        outcome_fail(&out, "returned %s, which is not %s; the last message is '%s'", clattn_status_name(got),
                     clattn_status_name(want), clattn_last_error());
    else if (want != CLATTN_OK && !strstr(clattn_last_error(), names))
        outcome_fail(&out, "the message '%s' does not name '%s'", clattn_last_error(), names);
    else if (want != CLATTN_OK && strchr(clattn_last_error(), '\n'))
        outcome_fail(&out, "the message '%s' has more than one line", clattn_last_error());
    harness_count(h, what, NULL, &out);
}

void expect_invalid(harness *h, const char *what, clattn_status got, const char *names)
{
    expect(h, what, got, CLATTN_INVALID_ARGUMENT, names);
}

void expect_true(harness *h, const char *what, bool holds)
{
    outcome out = { PASSED, "", 0, 0.0 };
    if (!holds)
        outcome_fail(&out, "does not hold");
    harness_count(h, what, NULL, &out);
}
