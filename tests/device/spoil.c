/* SPDX-License-Identifier: BSD-2-Clause */
#include "spoil.h"

#include <stdio.h>
#include <string.h>

void check_descriptions(harness *h, const clattn_attention_desc *right, const desc_error *errors, int count)
{
    for (int n = 0; n < count; n++) {
        char what[160], reasons[256];
        clattn_attention_desc desc = *right;
        clattn_plan *plan = NULL;
        errors[n].spoil(&desc);
        snprintf(what, sizeof(what), "clattn_plan_create, description %d (%s)", n, errors[n].names);
        expect_invalid(h, what, clattn_plan_create(h->device, &desc, NULL, &plan), errors[n].names);
        clattn_plan_destroy(&plan);
        snprintf(what, sizeof(what), "clattn_attention_supported, description %d (%s)", n, errors[n].names);
        expect_invalid(h, what, clattn_attention_supported(h->device, &desc, reasons, sizeof(reasons)),
                       errors[n].names);
    }
}

clattn_status run_once(harness *h, const clattn_plan *plan, const clattn_attention_args *args)
{
    return clattn_attention_run(plan, NULL, args, h->in_order, 0, NULL, NULL);
}

typedef struct spoiled {
    harness *h;
    const clattn_plan *plan;
    const args_field *field;
    clattn_attention_args args;
    clattn_buffer *buffer; /* in args */
} spoiled;

static void expect_refused(const spoiled *s, const char *how)
{
    char what[96];
    snprintf(what, sizeof(what), "%s %s", s->field->name, how);
    expect_invalid(s->h, what, run_once(s->h, s->plan, &s->args), s->field->name);
}

void check_buffer(harness *h, const problem *p, const clattn_plan *plan, const args_field *field)
{
    spoiled s = { h, plan, field, problem_args(p), NULL };
    s.buffer = (clattn_buffer *)(void *)((char *)&s.args + field->offset);
    const clattn_buffer right = *s.buffer;
    *s.buffer = (clattn_buffer){ 0 };
    if (strcmp(field->name, "error_record") != 0) /* which may be missing */
        expect_refused(&s, "is missing");
    *s.buffer = right;
    s.buffer->kind = (clattn_buffer_kind)5;
    expect_refused(&s, "is of an unknown kind");
    *s.buffer = right;
    s.buffer->offset += field->alignment / 2;
    s.buffer->size = 0;
    if (field->alignment > 1)
        expect_refused(&s, "is misaligned");
    *s.buffer = right;
    s.buffer->size = (size_t)1 << 40;
    expect_refused(&s, "is larger than its cl_mem");
    s.buffer->size = 0;
    s.buffer->offset = (size_t)1 << 40;
    expect_refused(&s, "starts past its cl_mem");
    if (strcmp(field->name, "mask") == 0)
        return; /* with offsets on the device its reach is not known, and there is room behind the others */
    *s.buffer = right;
    s.buffer->size = right.size - field->size;
    expect_refused(&s, "is an element too small");
}
