// SPDX-License-Identifier: Apache-2.0
/*
 * tocsin-probe-kafka: how far consumer groups are behind. Prints Prometheus's text format with
 * kafka_exporter's names and ends: the agent runs it as a plugin (`format: lines`), with its timeout and its
 * limits. A program of its own because librdkafka has threads and memory of its own, which the agent is not
 * to pay for; whether brokers answer and replicas are in sync is the agent's `kafka` probe, without any
 * library.
 *
 *     metadata --> partitions --> for each group: committed --> for those that have one: ends --> text
 *
 * Least privilege: Describe on the groups and topics. What logs in (SASL, TLS) stands in a file of
 * librdkafka's settings, key=value, that nobody else may read.
 *
 * Exit status: 0; 2 usage; 1 what could not be asked, on standard error, and nothing printed.
 */
#include "base/buf.h"
#include "base/clock.h"
#include "base/num.h"
#include "base/secret.h"
#include <getopt.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAMES_MAX  64
#define TEXT_MAX   (8u << 20)
#define ERROR_TEXT 512

static const char HELP[] =
    "Usage: tocsin-probe-kafka --brokers HOST:PORT[,...] --group NAME [--group NAME]...\n"
    "Prints how far consumer groups are behind, in Prometheus's text format.\n\n"
    "  --brokers LIST    where to begin to ask\n"
    "  --group NAME      a consumer group; up to 64\n"
    "  --topic NAME      only this topic; up to 64; all but internal ones without\n"
    "  --settings FILE   librdkafka's settings, key=value, readable by its owner only\n"
    "  --timeout TIME    of the whole (default 8s)\n";

struct lag {
    const char *brokers, *settings;
    const char *groups[NAMES_MAX], *topics[NAMES_MAX];
    size_t n_groups, n_topics;
    int64_t deadline_ns;
    char error[ERROR_TEXT];
    struct buf ends, groups_text;
    rd_kafka_topic_partition_list_t *told; // whose ends are printed already
};

static int64_t now_ns(void)
{
    struct clock c = clock_system();
    return clock_mono_ns(&c);
}

static int left_ms(const struct lag *l)
{
    int64_t left = (l->deadline_ns - now_ns()) / NS_PER_MS;
    return left < 1 ? 1 : (int)left;
}

static bool failed(struct lag *l, const char *what, rd_kafka_resp_err_t error)
{
    snprintf(l->error, sizeof(l->error), "%s: %s", what, rd_kafka_err2str(error));
    return false;
}

// Key=value lines of librdkafka's own names.
static bool read_settings(struct lag *l, rd_kafka_conf_t *conf)
{
    char *text, *line, *save = NULL;
    struct err err;
    if (!l->settings)
        return true;
    if (secret_read(l->settings, &text, &err) < 0) {
        snprintf(l->error, sizeof(l->error), "%s", err.msg);
        return false;
    }
    bool ok = true;
    for (line = strtok_r(text, "\n", &save); ok && line; line = strtok_r(NULL, "\n", &save)) {
        char *equals = strchr(line, '=');
        if (!*line || *line == '#')
            continue;
        if (equals)
            *equals = '\0';
        ok = equals && rd_kafka_conf_set(conf, line, equals + 1, l->error, sizeof(l->error)) ==
                           RD_KAFKA_CONF_OK;
        if (!equals)
            snprintf(l->error, sizeof(l->error), "%s: not key=value", l->settings);
    }
    secret_free(text);
    return ok;
}

static bool set(struct lag *l, rd_kafka_conf_t *conf, const char *key, const char *value)
{
    return rd_kafka_conf_set(conf, key, value, l->error, sizeof(l->error)) == RD_KAFKA_CONF_OK;
}

// A consumer that never joins its group: it only asks.
static rd_kafka_t *open_client(struct lag *l, const char *group)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    bool ok = read_settings(l, conf) && set(l, conf, "bootstrap.servers", l->brokers) &&
              set(l, conf, "group.id", group) && set(l, conf, "client.id", "tocsin") &&
              set(l, conf, "enable.auto.commit", "false") &&
              set(l, conf, "isolation.level", "read_uncommitted") &&
              set(l, conf, "allow.auto.create.topics", "false") &&
              set(l, conf, "log_level", "0");
    rd_kafka_t *client =
        ok ? rd_kafka_new(RD_KAFKA_CONSUMER, conf, l->error, sizeof(l->error)) : NULL;
    if (!client)
        rd_kafka_conf_destroy(conf);
    return client;
}

static bool wanted(const struct lag *l, const char *topic)
{
    for (size_t i = 0; i < l->n_topics; i++)
        if (strcmp(l->topics[i], topic) == 0)
            return true;
    return l->n_topics == 0 && strncmp(topic, "__", 2) != 0;
}

// All partitions of the topics that are wanted. NULL: that could not be asked.
static rd_kafka_topic_partition_list_t *partitions(struct lag *l, rd_kafka_t *client)
{
    const struct rd_kafka_metadata *found;
    rd_kafka_resp_err_t error = rd_kafka_metadata(client, 1, NULL, &found, left_ms(l));
    if (error) {
        failed(l, "metadata", error);
        return NULL;
    }
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(64);
    for (int i = 0; i < found->topic_cnt; i++)
        for (int k = 0; wanted(l, found->topics[i].topic) && k < found->topics[i].partition_cnt;
             k++)
            rd_kafka_topic_partition_list_add(
                list, found->topics[i].topic, found->topics[i].partitions[k].id);
    rd_kafka_metadata_destroy(found);
    return list;
}

// Topics hold letters, digits, '.', '_' and '-'; a group may be called anything.
static void add_label(struct buf *out, const char *name, const char *value)
{
    buf_addf(out, "%s=\"", name);
    for (; *value; value++)
        if (*value == '\n')
            buf_adds(out, "\\n");
        else
            buf_addf(out, "%s%c", *value == '"' || *value == '\\' ? "\\" : "", *value);
    buf_addc(out, '"');
}

static void tell(struct buf *out, const char *name, const char *group,
    const rd_kafka_topic_partition_t *p, int64_t value)
{
    buf_addf(out, "%s{", name);
    if (group) {
        add_label(out, "consumergroup", group);
        buf_addc(out, ',');
    }
    add_label(out, "topic", p->topic);
    buf_addf(out, ",partition=\"%d\"} %lld\n", p->partition, (long long)value);
}

// Where the partition ends; printed once, whoever asks.
static bool ends(struct lag *l, rd_kafka_t *client, rd_kafka_topic_partition_t *p, int64_t *ret)
{
    int64_t low, high;
    rd_kafka_topic_partition_t *told =
        rd_kafka_topic_partition_list_find(l->told, p->topic, p->partition);
    if (told) {
        *ret = told->offset;
        return true;
    }
    rd_kafka_resp_err_t error = rd_kafka_query_watermark_offsets(
        client, p->topic, p->partition, &low, &high, left_ms(l));
    if (error)
        return failed(l, p->topic, error);
    tell(&l->ends, "kafka_topic_partition_current_offset", NULL, p, high);
    tell(&l->ends, "kafka_topic_partition_oldest_offset", NULL, p, low);
    rd_kafka_topic_partition_list_add(l->told, p->topic, p->partition)->offset = high;
    *ret = high;
    return true;
}

static bool ask_group(struct lag *l, const char *group)
{
    rd_kafka_t *client = open_client(l, group);
    rd_kafka_topic_partition_list_t *list = client ? partitions(l, client) : NULL;
    rd_kafka_resp_err_t error = list ? rd_kafka_committed(client, list, left_ms(l)) : 0;
    bool ok = list && (!error || failed(l, group, error));
    for (int i = 0; ok && i < list->cnt; i++) {
        rd_kafka_topic_partition_t *p = &list->elems[i];
        int64_t end = 0;
        if (p->err) {
            ok = failed(l, p->topic, p->err);
        } else if (p->offset >= 0 && (ok = ends(l, client, p, &end))) {
            tell(&l->groups_text, "kafka_consumergroup_current_offset", group, p, p->offset);
            tell(&l->groups_text, "kafka_consumergroup_lag", group, p,
                end > p->offset ? end - p->offset : 0);
        }
    }
    if (list)
        rd_kafka_topic_partition_list_destroy(list);
    if (client)
        rd_kafka_destroy(client);
    return ok;
}

static int usage(const char *what)
{
    fprintf(stderr, "tocsin-probe-kafka: %s; see --help\n", what);
    return 2;
}

int main(int argc, char **argv)
{
    enum { BROKERS = 256, GROUP, TOPIC, SETTINGS, TIMEOUT, HELP_ };
    static const struct option LONG[] = {{"brokers", required_argument, NULL, BROKERS},
        {"group", required_argument, NULL, GROUP}, {"topic", required_argument, NULL, TOPIC},
        {"settings", required_argument, NULL, SETTINGS},
        {"timeout", required_argument, NULL, TIMEOUT}, {"help", no_argument, NULL, HELP_},
        {NULL, 0, NULL, 0}};
    struct lag l = {0};
    int64_t timeout_ms = 8000;
    for (int option; (option = getopt_long(argc, argv, "", LONG, NULL)) != -1;) {
        switch (option) {
        case BROKERS: l.brokers = optarg; break;
        case SETTINGS: l.settings = optarg; break;
        case GROUP:
        case TOPIC:
            if ((option == GROUP ? l.n_groups : l.n_topics) == NAMES_MAX)
                return usage("too many names");
            *(option == GROUP ? &l.groups[l.n_groups++] : &l.topics[l.n_topics++]) = optarg;
            break;
        case TIMEOUT:
            if (!duration_parse(optarg, strlen(optarg), &timeout_ms) || timeout_ms < 100)
                return usage("--timeout is at least 100ms");
            break;
        case HELP_: fputs(HELP, stdout); return 0;
        default: return 2;
        }
    }
    if (!l.brokers || !l.n_groups || optind != argc)
        return usage("--brokers and --group are wanted");
    l.deadline_ns = now_ns() + timeout_ms * NS_PER_MS;
    l.told = rd_kafka_topic_partition_list_new(64);
    buf_init(&l.ends, TEXT_MAX);
    buf_init(&l.groups_text, TEXT_MAX);
    bool ok = true;
    for (size_t i = 0; ok && i < l.n_groups; i++)
        ok = ask_group(&l, l.groups[i]);
    if (ok && (l.ends.failed || l.groups_text.failed)) {
        snprintf(l.error, sizeof(l.error), "more partitions than fit; name topics");
        ok = false;
    }
    if (ok)
        printf("%s%s", buf_cstr(&l.ends), buf_cstr(&l.groups_text));
    else
        fprintf(stderr, "tocsin-probe-kafka: %s\n", l.error);
    rd_kafka_topic_partition_list_destroy(l.told);
    buf_done(&l.ends);
    buf_done(&l.groups_text);
    return ok ? 0 : 1;
}
