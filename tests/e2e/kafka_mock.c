// SPDX-License-Identifier: Apache-2.0
/*
 * librdkafka's mock cluster as a program, since Debian has no broker. Prints where it listens; a line of
 * commands each on standard input, each answered by "ok":
 *
 *     rtt BROKER MS | down BROKER | up BROKER | leader TOPIC PARTITION BROKER
 *     produce TOPIC PARTITION N | commit GROUP TOPIC PARTITION OFFSET
 */
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BROKERS 2

static const char *brokers;

static rd_kafka_t *client(rd_kafka_type_t type, const char *group)
{
    char error[512];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    if (brokers)
        rd_kafka_conf_set(conf, "bootstrap.servers", brokers, error, sizeof(error));
    if (group)
        rd_kafka_conf_set(conf, "group.id", group, error, sizeof(error));
    rd_kafka_t *rk = rd_kafka_new(type, conf, error, sizeof(error));
    if (!rk) {
        fprintf(stderr, "%s\n", error);
        exit(1);
    }
    return rk;
}

static int produce(const char *topic, int partition, int n)
{
    rd_kafka_t *rk = client(RD_KAFKA_PRODUCER, NULL);
    for (int i = 0; i < n; i++)
        rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(partition),
            RD_KAFKA_V_VALUE("x", 1), RD_KAFKA_V_END);
    rd_kafka_resp_err_t error = rd_kafka_flush(rk, 10000);
    rd_kafka_destroy(rk);
    return error;
}

static int commit(const char *group, const char *topic, int partition, int offset)
{
    rd_kafka_t *rk = client(RD_KAFKA_CONSUMER, group);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic, partition)->offset = offset;
    rd_kafka_resp_err_t error = rd_kafka_commit(rk, list, 0);
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_destroy(rk);
    return error;
}

int main(void)
{
    char line[512], a[128], b[128];
    int x, y;
    rd_kafka_t *rk = client(RD_KAFKA_PRODUCER, NULL);
    rd_kafka_mock_cluster_t *m = rd_kafka_mock_cluster_new(rk, BROKERS);
    rd_kafka_mock_topic_create(m, "orders", 2, 2);
    rd_kafka_mock_topic_create(m, "events", 1, 1);
    brokers = rd_kafka_mock_cluster_bootstraps(m);
    printf("%s\n", brokers);
    fflush(stdout);
    while (fgets(line, sizeof(line), stdin)) {
        int rc = -1;
        if (sscanf(line, "rtt %d %d", &x, &y) == 2)
            rc = rd_kafka_mock_broker_set_rtt(m, x, y);
        else if (sscanf(line, "down %d", &x) == 1)
            rc = rd_kafka_mock_broker_set_down(m, x);
        else if (sscanf(line, "up %d", &x) == 1)
            rc = rd_kafka_mock_broker_set_up(m, x);
        else if (sscanf(line, "leader %127s %d %d", a, &x, &y) == 3)
            rc = rd_kafka_mock_partition_set_leader(m, a, x, y);
        else if (sscanf(line, "produce %127s %d %d", a, &x, &y) == 3)
            rc = produce(a, x, y);
        else if (sscanf(line, "commit %127s %127s %d %d", a, b, &x, &y) == 4)
            rc = commit(a, b, x, y);
        if (rc)
            printf("failed %d: %s", rc, line);
        else
            printf("ok\n");
        fflush(stdout);
    }
    rd_kafka_mock_cluster_destroy(m);
    rd_kafka_destroy(rk);
    return 0;
}
