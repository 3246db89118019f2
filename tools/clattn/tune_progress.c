/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "tune.h"

enum { BAR_WIDTH = 16, LEAST_COLUMNS = 40, USUAL_COLUMNS = 80, MOST_COLUMNS = 500 };

void tune_progress_start(tune_progress *line)
{
    *line = (tune_progress){ .terminal = isatty(STDERR_FILENO) != 0 };
}

void tune_progress_clear(tune_progress *line)
{
    if (line->drawn)
        fputs("\r\033[K", stderr);
    line->drawn = false;
}

void tune_progress_log(void *user, clattn_log_level level, const char *message)
{
    static const char *const names[] = { "error", "error", "warn", "info", "debug" };
    tune_progress_clear(user);
    fprintf(stderr, "clattn: %s: %s\n", names[level], message);
}

static int columns(void)
{
    struct winsize size = { .ws_col = 0 };
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col < LEAST_COLUMNS)
        return USUAL_COLUMNS;
    return size.ws_col < MOST_COLUMNS ? size.ws_col : MOST_COLUMNS;
}

/* "12.3 GFLOP/s" in text[0 .. 32); "" when nothing was measured. */
static const char *format_rate(const clattn_tune_progress *now, double seconds, char text[32])
{
    text[0] = '\0';
    if (seconds > 0 && now->work > 0)
        snprintf(text, 32, "%.1f %s", now->work / seconds * 1e-9,
                 strcmp(now->op, "attention") == 0 ? "GFLOP/s" : "GB/s");
    return text;
}

static const char *format_time(double seconds, char text[32])
{
    const long whole = (long)(seconds > 0 ? seconds : 0);
    snprintf(text, 32, "%ld:%02ld", whole / 60, whole % 60);
    return text;
}

/* What part of it is behind: of the budget, or, where that has no end, of the classes. */
static double part_done(const clattn_tune_progress *now)
{
    double part = now->budget > 0 ? now->elapsed / now->budget : 0.0;
    if (now->budget <= 0 && now->class_count > 0)
        part = (double)now->class_index / now->class_count;
    return part < 0 ? 0 : part > 1 ? 1 : part;
}

static void draw(tune_progress *line, const clattn_tune_progress *now)
{
    char text[MOST_COLUMNS + 1], label[TUNE_LABEL_SIZE], rate[32], elapsed[32], left[32];
    char bar[BAR_WIDTH + 1] = "                ";
    memset(bar, '#', (size_t)(part_done(now) * BAR_WIDTH));
    format_time(now->elapsed, elapsed);
    format_time(now->budget - now->elapsed, left);
    snprintf(text, (size_t)columns(), "[%s] %s, %s left | %d/%d %s | best %s | %d/%d %s", bar, elapsed,
             now->budget > 0 ? left : "no end", now->class_index + 1, now->class_count,
             tune_label(now->class_name, label), format_rate(now, now->best_seconds, rate), now->candidate,
             now->candidates, now->tile ? now->tile : "");
    fprintf(stderr, "\r\033[K%s", text);
    fflush(stderr);
    line->drawn = true;
}

static void print_start(const clattn_tune_progress *now)
{
    char label[TUNE_LABEL_SIZE];
    fprintf(stderr, "%d/%d %s: ", now->class_index + 1, now->class_count, tune_label(now->class_name, label));
}

static void print_failure(const clattn_tune_progress *now)
{
    const bool explained = now->detail && *now->detail;
    print_start(now);
    fprintf(stderr, "%s", now->tile);
    if (now->split_size > 0)
        fprintf(stderr, " split %d", now->split_size);
    fprintf(stderr, " %s%s%s\n", tune_outcome_name(now->outcome), explained ? ": " : "", explained ? now->detail : "");
}

static void print_class(const clattn_tune_progress *now)
{
    char rate[32], elapsed[32];
    const double seconds = now->seconds > 0 ? now->seconds : now->best_seconds;
    print_start(now);
    fprintf(stderr, "%s", now->tile);
    if (now->split_size > 0)
        fprintf(stderr, " split %d", now->split_size);
    fprintf(stderr, ", %s, %.2f times the default's speed, %d of %d candidates, at %s\n",
            format_rate(now, seconds, rate), seconds > 0 ? now->default_seconds / seconds : 0.0, now->candidate,
            now->candidates, format_time(now->elapsed, elapsed));
}

void tune_progress_show(tune_progress *line, const clattn_tune_progress *now)
{
    const bool failed = now->event == CLATTN_TUNE_CANDIDATE && tune_outcome_is_failure(now->outcome);
    if (failed || now->event == CLATTN_TUNE_FINISHED)
        tune_progress_clear(line);
    if (failed)
        print_failure(now);
    if (line->terminal && now->event != CLATTN_TUNE_FINISHED)
        draw(line, now);
    else if (now->event == CLATTN_TUNE_CLASS_DONE)
        print_class(now);
}
