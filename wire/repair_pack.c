// SPDX-License-Identifier: Apache-2.0
#include "wire/repair_pack.h"

// Protobuf-c's structs have no const; it does not write through these.
static char *borrow(const char *text)
{
    return text ? (char *)(uintptr_t)text : (char *)(uintptr_t) "";
}

void repair_pack(const struct wire_repair *r, struct repair_packed *ret)
{
    tocsin__v1__repair__init(&ret->m);
    ret->m.id = borrow(r->id);
    ret->m.action = borrow(r->action);
    ret->m.alert = borrow(r->alert);
    ret->m.valid_ms = r->valid_ms;
    ret->m.parameters = ret->label_at;
    for (; ret->m.n_parameters < r->n_parameters; ret->m.n_parameters++) {
        Tocsin__V1__Label *l = ret->label_at[ret->m.n_parameters] =
            &ret->labels[ret->m.n_parameters];
        tocsin__v1__label__init(l);
        l->name = borrow(r->parameters[ret->m.n_parameters].name);
        l->value = borrow(r->parameters[ret->m.n_parameters].value);
    }
}

void repair_result_pack(const struct wire_repair_result *r, Tocsin__V1__RepairResult *ret)
{
    tocsin__v1__repair_result__init(ret);
    ret->id = borrow(r->id);
    ret->outcome = (Tocsin__V1__RepairOutcome)r->outcome;
    ret->code = r->code;
    ret->duration_ms = r->duration_ms;
    ret->again = r->again;
    ret->output =
        (ProtobufCBinaryData){r->n_output, (uint8_t *)(uintptr_t)r->output};
    ret->reason = borrow(r->reason);
}

int repairs_unpack(struct unpack *u, const Tocsin__V1__PushReply *m, struct wire_reply *ret,
    struct err *err)
{
    if (m->n_repairs > WIRE_REPAIRS_MAX)
        return unpack_refuse(err, "reply: too many repairs");
    struct wire_repair *all = arena_alloc(u->arena, (m->n_repairs + 1) * sizeof(*all));
    if (!all)
        return unpack_no_memory(err);
    for (size_t i = 0; i < m->n_repairs; i++) {
        const Tocsin__V1__Repair *from = m->repairs[i];
        if (from->n_parameters > WIRE_REPAIR_PARAMETERS_MAX)
            return unpack_refuse(err, "reply: a repair has too many parameters");
        struct wire_label *labels =
            arena_alloc(u->arena, (from->n_parameters + 1) * sizeof(*labels));
        if (!labels)
            return unpack_no_memory(err);
        for (size_t k = 0; k < from->n_parameters; k++)
            labels[k] =
                (struct wire_label){from->parameters[k]->name, from->parameters[k]->value};
        all[i] = (struct wire_repair){.id = from->id,
            .action = from->action,
            .alert = from->alert,
            .parameters = labels,
            .n_parameters = from->n_parameters,
            .valid_ms = from->valid_ms};
        const char *fault = wire_repair_fault(&all[i]);
        if (fault)
            return unpack_refuse(err, "reply: %s", fault);
    }
    ret->repairs = all;
    ret->n_repairs = m->n_repairs;
    return 0;
}

int repair_results_unpack(
    struct arena *a, const Tocsin__V1__Frame *m, struct batch *ret, struct err *err)
{
    if (m->n_repairs > WIRE_REPAIRS_MAX)
        return unpack_refuse(err, "%zu repair results in one frame", m->n_repairs);
    struct wire_repair_result *all = arena_alloc(a, (m->n_repairs + 1) * sizeof(*all));
    if (!all)
        return unpack_no_memory(err);
    for (size_t i = 0; i < m->n_repairs; i++) {
        const Tocsin__V1__RepairResult *from = m->repairs[i];
        all[i] = (struct wire_repair_result){.id = from->id,
            .outcome = (enum repair_outcome)from->outcome,
            .code = from->code,
            .duration_ms = from->duration_ms,
            .again = from->again,
            .output = from->output.data,
            .n_output = from->output.len,
            .reason = from->reason};
        const char *fault = wire_repair_result_fault(&all[i]);
        if (fault)
            return unpack_refuse(err, "%s", fault);
    }
    ret->repairs = all;
    ret->n_repairs = m->n_repairs;
    return 0;
}
