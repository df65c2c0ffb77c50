// SPDX-License-Identifier: Apache-2.0
#include "wire/repair_pack.h"
#include "wire/decode.h"
#include "wire/encode.h"
#include "wire/pack.h"
#include <errno.h>

void repair_pack(const struct wire_repair *r, struct repair_packed *ret)
{
    tocsin__v1__repair__init(&ret->m);
    ret->m.id = pack_borrow(r->id);
    ret->m.action = pack_borrow(r->action);
    ret->m.alert = pack_borrow(r->alert);
    ret->m.valid_ms = r->valid_ms;
    ret->m.parameters = ret->label_at;
    for (; ret->m.n_parameters < r->n_parameters; ret->m.n_parameters++) {
        Tocsin__V1__Label *l = ret->label_at[ret->m.n_parameters] =
            &ret->labels[ret->m.n_parameters];
        tocsin__v1__label__init(l);
        l->name = pack_borrow(r->parameters[ret->m.n_parameters].name);
        l->value = pack_borrow(r->parameters[ret->m.n_parameters].value);
    }
}

void repair_result_pack(const struct wire_repair_result *r, Tocsin__V1__RepairResult *ret)
{
    tocsin__v1__repair_result__init(ret);
    ret->id = pack_borrow(r->id);
    ret->outcome = (Tocsin__V1__RepairOutcome)r->outcome;
    ret->code = r->code;
    ret->duration_ms = r->duration_ms;
    ret->again = r->again;
    ret->output = pack_borrow_bytes(r->output, r->n_output);
    ret->reason = pack_borrow(r->reason);
}

static int read_repair(
    struct unpack *u, const Tocsin__V1__Repair *m, struct wire_repair *ret, struct err *err)
{
    if (m->n_parameters > WIRE_REPAIR_PARAMETERS_MAX)
        return unpack_refuse(err, "a repair has too many parameters");
    struct wire_label *labels = arena_alloc(u->arena, (m->n_parameters + 1) * sizeof(*labels));
    if (!labels)
        return unpack_no_memory(err);
    for (size_t i = 0; i < m->n_parameters; i++)
        labels[i] = (struct wire_label){m->parameters[i]->name, m->parameters[i]->value};
    *ret = (struct wire_repair){.id = m->id,
        .action = m->action,
        .alert = m->alert,
        .parameters = labels,
        .n_parameters = m->n_parameters,
        .valid_ms = m->valid_ms};
    const char *fault = wire_repair_fault(ret);
    return fault ? unpack_refuse(err, "%s", fault) : 0;
}

static int read_result(
    const Tocsin__V1__RepairResult *m, struct wire_repair_result *ret, struct err *err)
{
    *ret = (struct wire_repair_result){.id = m->id,
        .outcome = (enum repair_outcome)m->outcome,
        .code = m->code,
        .duration_ms = m->duration_ms,
        .again = m->again,
        .output = m->output.data,
        .n_output = m->output.len,
        .reason = m->reason};
    const char *fault = wire_repair_result_fault(ret);
    return fault ? unpack_refuse(err, "%s", fault) : 0;
}

int repairs_unpack(
    struct unpack *u, const Tocsin__V1__PushReply *m, struct wire_reply *ret, struct err *err)
{
    int rc = 0;

    if (m->n_repairs > WIRE_REPAIRS_MAX)
        return unpack_refuse(err, "reply: too many repairs");
    struct wire_repair *all = arena_alloc(u->arena, (m->n_repairs + 1) * sizeof(*all));
    if (!all)
        return unpack_no_memory(err);
    for (size_t i = 0; i < m->n_repairs && rc == 0; i++)
        rc = read_repair(u, m->repairs[i], &all[i], err);
    ret->repairs = all;
    ret->n_repairs = m->n_repairs;
    return rc;
}

int repair_results_unpack(
    struct arena *a, const Tocsin__V1__Frame *m, struct batch *ret, struct err *err)
{
    int rc = 0;

    if (m->n_repairs > WIRE_REPAIRS_MAX)
        return unpack_refuse(err, "%zu repair results in one frame", m->n_repairs);
    struct wire_repair_result *all = arena_alloc(a, (m->n_repairs + 1) * sizeof(*all));
    if (!all)
        return unpack_no_memory(err);
    for (size_t i = 0; i < m->n_repairs && rc == 0; i++)
        rc = read_result(m->repairs[i], &all[i], err);
    ret->repairs = all;
    ret->n_repairs = m->n_repairs;
    return rc;
}

// --- one by itself ---------------------------------------------------------------------------

static int add_message(const ProtobufCMessage *m, struct buf *out)
{
    size_t size = protobuf_c_message_get_packed_size(m);
    int rc = buf_reserve(out, size);

    if (rc == 0)
        out->len += protobuf_c_message_pack(m, out->data + out->len);
    return rc;
}

int repair_encode(const struct wire_repair *r, struct buf *out)
{
    struct repair_packed packed;

    if (wire_repair_fault(r))
        return -EINVAL;
    repair_pack(r, &packed);
    return add_message(&packed.m.base, out);
}

int repair_result_encode(const struct wire_repair_result *r, struct buf *out)
{
    Tocsin__V1__RepairResult m;

    if (wire_repair_result_fault(r))
        return -EINVAL;
    repair_result_pack(r, &m);
    return add_message(&m.base, out);
}

int repair_decode(
    const uint8_t *data, size_t len, struct arena *a, struct wire_repair *ret, struct err *err)
{
    struct unpack u;
    const void *message;

    unpack_init(&u, a);
    int rc = unpack_message(&u, &tocsin__v1__repair__descriptor, data, len, &message, err);
    return rc < 0 ? rc : read_repair(&u, message, ret, err);
}

int repair_result_decode(const uint8_t *data, size_t len, struct arena *a,
    struct wire_repair_result *ret, struct err *err)
{
    struct unpack u;
    const void *message;

    unpack_init(&u, a);
    int rc =
        unpack_message(&u, &tocsin__v1__repair_result__descriptor, data, len, &message, err);
    return rc < 0 ? rc : read_result(message, ret, err);
}
