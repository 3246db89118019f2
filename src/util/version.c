/* SPDX-License-Identifier: BSD-2-Clause */
#include <clattn/status.h>
#include <clattn/version.h>

#define QUOTE_(x) #x
#define QUOTE(x)  QUOTE_(x)

const char *clattn_version(void)
{
    return QUOTE(CLATTN_VERSION_MAJOR) "." QUOTE(CLATTN_VERSION_MINOR) "." QUOTE(CLATTN_VERSION_PATCH);
}
