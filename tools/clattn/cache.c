/* SPDX-License-Identifier: BSD-2-Clause */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "command.h"
#include "report.h"

typedef struct walk {
    bool as_json, only_defects;
    uint64_t entries, bytes, defects;
    int status;
} walk;

static int print_entry_json(const clattn_program_cache_entry *entry)
{
    json_t *object =
        json_pack("{s:s, s:s, s:s, s:I, s:I}", "path", entry->path, "device", entry->device, "program", entry->program,
                  "size", (json_int_t)entry->size, "last_used", (json_int_t)entry->last_used);
    if (object && entry->defect)
        json_object_set_new(object, "defect", json_string(entry->defect));
    return report_print(object);
}

static void print_entry_text(const clattn_program_cache_entry *entry)
{
    char when[32] = "?";
    struct tm broken;
    time_t seconds = (time_t)entry->last_used;
    if (gmtime_r(&seconds, &broken))
        strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", &broken);
    printf("%s\n    %llu bytes, last used %s UTC\n", entry->path, (unsigned long long)entry->size, when);
    if (entry->defect)
        printf("    defect: %s\n", entry->defect);
    else
        printf("    %s\n    %s\n", entry->device, entry->program);
}

static int visit(void *user, const clattn_program_cache_entry *entry)
{
    walk *state = user;
    state->entries++;
    state->bytes += entry->size;
    state->defects += entry->defect != NULL;
    if (state->only_defects && !entry->defect)
        return 0;
    if (state->as_json)
        state->status = print_entry_json(entry);
    else
        print_entry_text(entry);
    return state->status != EXIT_DONE;
}

static int print_totals(const walk *state, const char *folder, const char *verb)
{
    if (!state->as_json) {
        printf("%s: %llu entries %s, %llu bytes, %llu defects\n", folder, (unsigned long long)state->entries, verb,
               (unsigned long long)state->bytes, (unsigned long long)state->defects);
        return EXIT_DONE;
    }
    return report_print(json_pack("{s:s, s:I, s:I, s:I}", "folder", folder, "entries", (json_int_t)state->entries,
                                  "bytes", (json_int_t)state->bytes, "defects", (json_int_t)state->defects));
}

static int clear_entries(walk *state, const char *folder)
{
    if (clattn_program_cache_clear(NULL, &state->entries, &state->bytes) != CLATTN_OK)
        return fail_library("the program cache cannot be emptied");
    return print_totals(state, folder, "removed");
}

int command_cache(const options *given)
{
    char folder[PATH_MAX];
    walk state = { .as_json = given->values[OPTION_cache_json].given,
                   .only_defects = strcmp(given->operand, "check") == 0 };
    if (clattn_program_cache_dir(NULL, folder, sizeof folder) != CLATTN_OK)
        return fail_library("the program cache has no folder");
    if (strcmp(given->operand, "clear") == 0)
        return clear_entries(&state, folder);
    if (clattn_program_cache_visit(NULL, visit, &state) != CLATTN_OK)
        return fail_library("the program cache cannot be read");
    if (state.status == EXIT_DONE)
        state.status = print_totals(&state, folder, "found");
    if (state.status == EXIT_DONE && state.only_defects && state.defects > 0)
        return fail("%s has %llu bad entries; 'clattn cache clear' removes them", folder,
                    (unsigned long long)state.defects);
    return state.status;
}
