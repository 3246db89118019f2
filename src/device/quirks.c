/* SPDX-License-Identifier: BSD-2-Clause */
#include <ctype.h>
#include <string.h>

#include "device/internal.h"
#include "util/text.h"

#define CLATTN_QUIRK(name, platform, device, vendor, why) { #name, platform, device, vendor },
static const struct {
    const char *name, *platform, *device, *vendor;
} rows[] = {
#include "quirks.def"
};
#undef CLATTN_QUIRK

_Static_assert(CLATTN_QUIRK_COUNT <= 64, "quirks are bits of 64");

static bool starts_with(const char *text, const char *part)
{
    for (; *part; text++, part++)
        if (tolower((unsigned char)*text) != tolower((unsigned char)*part))
            return false;
    return true;
}

static bool contains(const char *text, const char *part)
{
    if (!part)
        return true;
    for (; *text; text++)
        if (starts_with(text, part))
            return true;
    return false;
}

uint64_t clattn_quirks_match(const char *platform, const char *device, const char *vendor)
{
    uint64_t quirks = 0;
    for (int i = 0; i < CLATTN_QUIRK_COUNT; i++)
        if (contains(platform, rows[i].platform) && contains(device, rows[i].device) &&
            contains(vendor, rows[i].vendor))
            quirks |= UINT64_C(1) << i;
    return quirks;
}

char *clattn_quirks_names(uint64_t quirks)
{
    clattn_text names = { 0 };
    for (int i = 0; i < CLATTN_QUIRK_COUNT; i++)
        if (quirks >> i & 1)
            clattn_text_add_item(&names, ",", rows[i].name);
    return clattn_text_take(&names);
}
