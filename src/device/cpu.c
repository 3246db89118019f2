/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "device/internal.h"
#include "util/hash.h"
#include "util/text.h"

#define MAX_LINE 8192

/* The levels of the x86-64 psABI that matter to kernels, the highest first: the flags that each adds. */
static const struct {
    const char *name, *flags[6];
} levels[] = {
    { "x86-64-v4", { "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl" } },
    { "x86-64-v3", { "avx2", "fma" } },
    { "x86-64", { NULL } },
};

/* The first line of /proc/cpuinfo that lists instruction sets ("flags" on x86, "Features" on Arm); "" elsewhere. */
static void read_flags(char line[MAX_LINE])
{
    bool found = false;
    FILE *file = fopen("/proc/cpuinfo", "re");
    while (file && !found && fgets(line, MAX_LINE, file))
        found = strncmp(line, "flags", 5) == 0 || strncmp(line, "Features", 8) == 0;
    if (file)
        fclose(file);
    if (!found)
        line[0] = '\0';
}

bool clattn_has_word(const char *list, const char *word)
{
    const size_t length = strlen(word);
    for (const char *at = strstr(list, word); at; at = strstr(at + length, word))
        if ((at == list || strchr(" \t:", at[-1])) && strchr(" \n", at[length]))
            return true;
    return false;
}

const char *clattn_x86_level(const char *flags)
{
    size_t level = 0;
    for (; levels[level].flags[0]; level++) {
        bool has_all = true;
        for (size_t i = 0; levels[level].flags[i]; i++)
            has_all = has_all && clattn_has_word(flags, levels[level].flags[i]);
        if (has_all)
            break;
    }
    return levels[level].name;
}

const char *clattn_cpu_architecture(void)
{
#if defined(__x86_64__)
    char flags[MAX_LINE];
    read_flags(flags);
    return clattn_x86_level(flags);
#elif defined(__aarch64__)
    return "aarch64";
#else
    return "";
#endif
}

char *clattn_cpu_isa(void)
{
    char flags[MAX_LINE], hex[CLATTN_KEY_HEX_SIZE];
    clattn_key key = { 0 };
    read_flags(flags);
    clattn_key_add_text(&key, flags);
    clattn_key_hex(key, hex);
    return clattn_text_copy(flags[0] ? hex : "");
}
