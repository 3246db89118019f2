/* SPDX-License-Identifier: BSD-2-Clause */
#include "tune/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "util/file.h"
#include "util/status.h"
#include "util/text.h"

#define SCHEMA     1
#define MAX_BYTES  ((size_t)64 << 20)
#define CLASS_DONE "class done"

enum { OUTCOMES = CLATTN_TUNE_SKIPPED + 1 };

struct clattn_journal {
    char *path, *driver;
    int file;
    json_t *lines; /* array: what was read */
};

typedef struct reader {
    clattn_journal *journal;
    clattn_record_refusal refusal;
    void *user;
} reader;

const char *clattn_tune_outcome_name(clattn_tune_outcome outcome)
{
    static const char *const names[OUTCOMES] = {
        [CLATTN_TUNE_FASTER] = "faster",   [CLATTN_TUNE_NOT_FASTER] = "not faster",
        [CLATTN_TUNE_WRONG] = "wrong",     [CLATTN_TUNE_NOT_BUILT] = "not built",
        [CLATTN_TUNE_CRASHED] = "crashed", [CLATTN_TUNE_TIMED_OUT] = "timed out",
        [CLATTN_TUNE_SKIPPED] = "skipped",
    };
    return names[outcome];
}

static clattn_tune_outcome outcome_named(const char *name)
{
    int outcome = 0;
    while (outcome < CLATTN_TUNE_SKIPPED && strcmp(clattn_tune_outcome_name((clattn_tune_outcome)outcome), name) != 0)
        outcome++;
    return (clattn_tune_outcome)outcome;
}

static const char *text_of(const json_t *line, const char *key)
{
    const char *text = json_string_value(json_object_get(line, key));
    return text ? text : "";
}

static double number_of(const json_t *line, const char *key)
{
    return json_number_value(json_object_get(line, key));
}

static void refuse(const reader *r, int number, const char *reason)
{
    if (r->refusal)
        r->refusal(r->user, r->journal->path, number, reason);
}

/* False: no memory. */
static bool take_line(const reader *r, int number, const char *text, size_t size)
{
    json_t *line = json_loadb(text, size, 0, NULL);
    const char *reason = NULL;
    if (!json_is_object(line))
        reason = "no JSON object";
    else if (json_integer_value(json_object_get(line, "schema")) != SCHEMA)
        reason = "it has another schema";
    else if (strcmp(text_of(line, "driver"), r->journal->driver) != 0)
        reason = "it was measured with another driver";
    if (!reason)
        return json_array_append_new(r->journal->lines, line) == 0;
    refuse(r, number, reason);
    json_decref(line);
    return true;
}

static bool take_lines(const reader *r, const char *text, size_t size)
{
    int number = 1;
    bool memory = true;
    for (const char *end; memory && (end = memchr(text, '\n', size)) != NULL; number++) {
        memory = take_line(r, number, text, (size_t)(end - text));
        size -= (size_t)(end - text) + 1;
        text = end + 1;
    }
    if (size > 0)
        refuse(r, number, "the line is not complete");
    return memory;
}

static clattn_status fail_path(const clattn_journal *journal, const char *what, int error)
{
    char text[CLATTN_ERRNO_TEXT_SIZE];
    return clattn_fail(CLATTN_IO_ERROR, "the tuner's journal '%s' cannot be %s: %s", journal->path, what,
                       clattn_errno_text(error, text));
}

static clattn_status read_file(const reader *r)
{
    char *text = NULL;
    size_t size = 0;
    const int error = clattn_file_read(r->journal->path, MAX_BYTES, &text, &size);
    if (error == ENOENT)
        return CLATTN_OK;
    if (error)
        return fail_path(r->journal, "read", error);
    const bool memory = take_lines(r, text, size);
    free(text);
    return memory ? CLATTN_OK : clattn_fail(CLATTN_OUT_OF_MEMORY, "no memory for the tuner's journal");
}

static clattn_status write_text(const clattn_journal *journal, const char *text, size_t size)
{
    ssize_t put;
    do
        put = write(journal->file, text, size);
    while (put < 0 && errno == EINTR);
    if (put == (ssize_t)size)
        return CLATTN_OK;
    return fail_path(journal, "written", put < 0 ? errno : ENOSPC);
}

/* What comes after a torn line must not become part of it. */
static clattn_status end_torn_line(const clattn_journal *journal)
{
    char last = '\n';
    const off_t size = lseek(journal->file, 0, SEEK_END);
    if (size <= 0 || pread(journal->file, &last, 1, size - 1) != 1 || last == '\n')
        return CLATTN_OK;
    return write_text(journal, "\n", 1);
}

static clattn_status open_file(clattn_journal *journal, bool resume)
{
    const int flags = O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC;
    journal->file = open(journal->path, resume ? flags : flags | O_TRUNC, 0600);
    return journal->file < 0 ? fail_path(journal, "opened", errno) : end_torn_line(journal);
}

clattn_status clattn_journal_open(const char *path, const char *driver, bool resume, clattn_record_refusal refusal,
                                  void *user, clattn_journal **out)
{
    clattn_journal *journal = calloc(1, sizeof(*journal));
    if (!journal)
        return clattn_fail(CLATTN_OUT_OF_MEMORY, "no memory for the tuner's journal");
    *journal = (clattn_journal){
        .path = clattn_text_copy(path), .driver = clattn_text_copy(driver), .file = -1, .lines = json_array()
    };
    const reader r = { journal, refusal, user };
    clattn_status status = CLATTN_OK;
    if (!journal->path || !journal->driver || !journal->lines)
        status = clattn_fail(CLATTN_OUT_OF_MEMORY, "no memory for the tuner's journal");
    if (status == CLATTN_OK && resume)
        status = read_file(&r);
    if (status == CLATTN_OK)
        status = open_file(journal, resume);
    if (status != CLATTN_OK) {
        clattn_journal_close(journal, false);
        return status;
    }
    *out = journal;
    return CLATTN_OK;
}

void clattn_journal_close(clattn_journal *journal, bool finished)
{
    if (!journal)
        return;
    if (journal->file >= 0)
        close(journal->file);
    if (finished)
        unlink(journal->path);
    free(journal->path);
    free(journal->driver);
    json_decref(journal->lines);
    free(journal);
}

static bool is_of(const json_t *line, const char *class_name, const char *kernels)
{
    return strcmp(text_of(line, "class"), class_name) == 0 && strcmp(text_of(line, "kernels"), kernels) == 0;
}

bool clattn_journal_find(const clattn_journal *journal, clattn_journal_line *line)
{
    char tile[CLATTN_TILE_NAME_SIZE];
    clattn_tile_name(&line->candidate.tile, tile);
    for (size_t i = json_array_size(journal->lines); i-- > 0;) {
        const json_t *read = json_array_get(journal->lines, i);
        if (strcmp(text_of(read, "tile"), tile) != 0 || !is_of(read, line->class_name, line->kernels) ||
            json_integer_value(json_object_get(read, "split_size")) != line->candidate.split_size)
            continue;
        line->outcome = outcome_named(text_of(read, "outcome"));
        line->cost = number_of(read, "cost");
        line->seconds = number_of(read, "seconds");
        line->incumbent_seconds = number_of(read, "incumbent_seconds");
        return true;
    }
    return false;
}

bool clattn_journal_has_class(const clattn_journal *journal, const char *class_name, const char *kernels)
{
    for (size_t i = 0; i < json_array_size(journal->lines); i++) {
        const json_t *read = json_array_get(journal->lines, i);
        if (is_of(read, class_name, kernels) && strcmp(text_of(read, "outcome"), CLASS_DONE) == 0)
            return true;
    }
    return false;
}

/* Takes over the reference. */
static clattn_status write_line(const clattn_journal *journal, json_t *line)
{
    char *json = line ? json_dumps(line, JSON_COMPACT) : NULL;
    clattn_text text = { 0 };
    json_decref(line);
    clattn_text_add(&text, "%s\n", json ? json : "");
    clattn_status status = CLATTN_OK;
    if (!json || text.failed)
        status = clattn_fail(CLATTN_OUT_OF_MEMORY, "no memory for a line of the tuner's journal");
    else
        status = write_text(journal, text.data, text.size);
    free(json);
    clattn_text_free(&text);
    return status;
}

clattn_status clattn_journal_add(clattn_journal *journal, const clattn_journal_line *line)
{
    char tile[CLATTN_TILE_NAME_SIZE];
    clattn_tile_name(&line->candidate.tile, tile);
    return write_line(journal,
                      json_pack("{s:i, s:s, s:s, s:s, s:s, s:i, s:s, s:f, s:f, s:f, s:s}", "schema", SCHEMA, "driver",
                                journal->driver, "kernels", line->kernels, "class", line->class_name, "tile", tile,
                                "split_size", (int)line->candidate.split_size, "outcome",
                                clattn_tune_outcome_name(line->outcome), "cost", line->cost, "seconds", line->seconds,
                                "incumbent_seconds", line->incumbent_seconds, "clock_fault", line->clock_fault));
}

clattn_status clattn_journal_end_class(clattn_journal *journal, const char *class_name, const char *kernels)
{
    CLATTN_TRY(write_line(journal, json_pack("{s:i, s:s, s:s, s:s, s:s}", "schema", SCHEMA, "driver", journal->driver,
                                             "kernels", kernels, "class", class_name, "outcome", CLASS_DONE)));
    return fsync(journal->file) == 0 ? CLATTN_OK : fail_path(journal, "written", errno);
}
