/* SPDX-License-Identifier: BSD-2-Clause */
/* The command without CLBlast: nothing is called after baseline_available() has said no. */
#include "clblast.h"

#include "command.h"

bool baseline_available(void)
{
    return false;
}

int baseline_open(const loaded_job *loaded, const job *source, baseline *out)
{
    (void)loaded, (void)source;
    *out = (baseline){ .on = NULL };
    return fail("this command was built without CLBlast");
}

void baseline_close(baseline *open)
{
    (void)open;
}

int baseline_run(const baseline *open, const loaded_job *loaded, double *seconds)
{
    (void)open, (void)loaded, (void)seconds;
    return EXIT_FAILED;
}

int baseline_compare(const baseline *open, const job *source, double *largest)
{
    (void)open, (void)source, (void)largest;
    return EXIT_FAILED;
}
