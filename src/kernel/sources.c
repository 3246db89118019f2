/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernel/sources.h"

#include <stdlib.h>
#include <string.h>

#include "kernel/embedded.h"
#include "util/file.h"
#include "util/status.h"

#define MAX_SOURCE_SIZE ((size_t)16 << 20)

static const clattn_embedded_file *find(const clattn_embedded_file *files, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(files[i].name, name) == 0)
            return &files[i];
    return NULL;
}

static bool is_header(const char *name)
{
    size_t length = strlen(name);
    return length > 4 && strcmp(name + length - 4, ".clh") == 0;
}

static clattn_status read_source(const char *folder, const char *name, char **text)
{
    char *path = clattn_path_join(folder, name);
    if (!path)
        return clattn_fail(CLATTN_OUT_OF_MEMORY, "no memory for the path of %s", name);
    size_t size = 0;
    int error = clattn_file_read(path, MAX_SOURCE_SIZE, text, &size);
    char reason[CLATTN_ERRNO_TEXT_SIZE];
    clattn_status status = CLATTN_OK;
    if (error)
        status =
            clattn_fail(CLATTN_IO_ERROR, "kernel source %s cannot be read: %s; kernel_dir has to hold every source",
                        path, clattn_errno_text(error, reason));
    else if (strlen(*text) != size)
        status = clattn_fail(CLATTN_IO_ERROR, "kernel source %s has a NUL byte; it has to be text", path);
    free(path);
    return status;
}

static clattn_status read_folder(const char *folder, clattn_sources *sources)
{
    sources->owned = calloc(sources->header_count + 1, sizeof(*sources->owned));
    if (!sources->owned)
        return clattn_fail(CLATTN_OUT_OF_MEMORY, "no memory for kernel sources");
    for (size_t i = 0; i < sources->header_count; i++) {
        CLATTN_TRY(read_source(folder, sources->header_names[i], &sources->owned[i]));
        sources->header_texts[i] = sources->owned[i];
    }
    CLATTN_TRY(read_source(folder, sources->name, &sources->owned[sources->header_count]));
    sources->main_text = sources->owned[sources->header_count];
    sources->flattened = NULL;
    return CLATTN_OK;
}

static clattn_status load_embedded(const char *name, clattn_sources *sources)
{
    const clattn_embedded_file *file = find(clattn_embedded_sources, clattn_embedded_source_count, name);
    const clattn_embedded_file *flattened = find(clattn_embedded_flattened, clattn_embedded_flattened_count, name);
    if (!file || !flattened)
        return clattn_fail(CLATTN_INVALID_ARGUMENT, "kernel source is '%s'; it has to be one of cl/*.cl", name);
    sources->name = file->name;
    sources->main_text = file->text;
    sources->flattened = flattened->text;
    sources->header_names = calloc(clattn_embedded_source_count, sizeof(*sources->header_names));
    sources->header_texts = calloc(clattn_embedded_source_count, sizeof(*sources->header_texts));
    if (!sources->header_names || !sources->header_texts)
        return clattn_fail(CLATTN_OUT_OF_MEMORY, "no memory for kernel sources");
    for (size_t i = 0; i < clattn_embedded_source_count; i++) {
        if (!is_header(clattn_embedded_sources[i].name))
            continue;
        sources->header_names[sources->header_count] = clattn_embedded_sources[i].name;
        sources->header_texts[sources->header_count++] = clattn_embedded_sources[i].text;
    }
    return CLATTN_OK;
}

clattn_status clattn_sources_load(const char *kernel_dir, const char *name, clattn_sources *sources)
{
    *sources = (clattn_sources){ 0 };
    clattn_status status = load_embedded(name, sources);
    if (status == CLATTN_OK && kernel_dir)
        status = read_folder(kernel_dir, sources);
    if (status != CLATTN_OK)
        clattn_sources_free(sources);
    return status;
}

void clattn_sources_free(clattn_sources *sources)
{
    for (size_t i = 0; sources->owned && i <= sources->header_count; i++)
        free(sources->owned[i]);
    free(sources->owned);
    free(sources->header_names);
    free(sources->header_texts);
    *sources = (clattn_sources){ 0 };
}

void clattn_sources_add_to_key(const clattn_sources *sources, clattn_key *key)
{
    clattn_key_add_text(key, sources->name);
    clattn_key_add_text(key, sources->main_text);
    for (size_t i = 0; i < sources->header_count; i++) {
        clattn_key_add_text(key, sources->header_names[i]);
        clattn_key_add_text(key, sources->header_texts[i]);
    }
}

/* Whether a header is a fragment's, but not of the one with this name. */
static bool is_other_fragment(const char *header, const char *fragment)
{
    static const char prefix[] = "frag_";
    const size_t size = strlen(fragment);
    const bool own = strncmp(header, fragment, size) == 0 && strcmp(header + size, ".clh") == 0;
    return strncmp(header, prefix, sizeof(prefix) - 1) == 0 && !own;
}

/* Marks the headers that the text includes for a fragment, and those that they do. */
static void mark_included(const clattn_sources *sources, const char *text, const char *fragment, bool *included)
{
    static const char directive[] = "include";
    for (const char *at = strstr(text, directive); at; at = strstr(at, directive)) {
        at += sizeof(directive) - 1;
        at += strspn(at, " \t");
        at += *at == '"';
        const size_t size = strcspn(at, "\"\n");
        for (size_t i = 0; i < sources->header_count; i++) {
            const char *name = sources->header_names[i];
            if (included[i] || strlen(name) != size || strncmp(name, at, size) != 0 ||
                is_other_fragment(name, fragment))
                continue;
            included[i] = true;
            mark_included(sources, sources->header_texts[i], fragment, included);
        }
    }
}

bool clattn_sources_add_included_to_key(const clattn_sources *sources, const char *fragment, clattn_key *key)
{
    bool *included = calloc(sources->header_count + 1, sizeof(*included));
    if (!included)
        return false;
    mark_included(sources, sources->main_text, fragment, included);
    clattn_key_add_text(key, sources->main_text);
    for (size_t i = 0; i < sources->header_count; i++)
        if (included[i])
            clattn_key_add_text(key, sources->header_texts[i]);
    free(included);
    return true;
}
