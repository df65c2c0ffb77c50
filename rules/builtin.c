// SPDX-License-Identifier: Apache-2.0
#include "rules/builtin.h"
#include <stdio.h>
#include <string.h>

// In two pieces: a compiler need not take strings of more than 4095 bytes.
static const char AGENTS[] =
    "groups:\n"
    "  - name: tocsin\n"
    "    interval: 1s\n"
    "    rules:\n"
    "      - alert: AgentDown\n"
    "        expr: up{job=\"node\"} == 0\n"
    "        labels: {severity: page}\n"
    "        annotations:\n"
    "          summary: 'agent on {{ $labels.instance }} is not heard: host down, agent killed or network cut'\n"
    "      - alert: SeriesLimit\n"
    "        expr: tocsin_collector_series_refused_total > 0\n"
    "        labels: {severity: warning}\n"
    "        annotations:\n"
    "          summary: '{{ $value }} series of {{ $labels.instance }} are not kept: limits.series_per_agent'\n"
    "      - alert: IntakeRefused\n"
    "        expr: increase(tocsin_agent_intake_refused_total[5m]) > 0\n"
    "        labels: {severity: warning}\n"
    "        annotations:\n"
    "          summary: 'in 5 minutes {{ $value | printf \"%.0f\" }} samples from {{ $labels.source }} on {{ $labels.instance }} were refused'\n"
    "          description: 'more series than its series_limit (5000 unless set), no room left in the agent (20000 series), or times of their own more than 10 min ahead or 50 min back. Raise series_limit of the source in agent.yaml or drop series by relabelling; tocsin_agent_intake_series counts them.'\n"
    "      - alert: SamplesLost\n"
    "        expr: increase(tocsin_agent_spool_dropped_samples_total[5m]) > 0 or "
    "increase(tocsin_agent_statsd_kernel_drops_total[5m]) > 0\n"
    "        labels: {severity: warning}\n"
    "        annotations:\n"
    "          summary: '{{ if $labels.socket }}StatsD packets to {{ $labels.instance }} come faster than its agent is let read them{{ else }}samples of {{ $labels.instance }} are lost: the collector was not reached for longer than the agent keeps them{{ end }}'\n"
    "      - alert: ConnectionsMissed\n"
    "        expr: (tocsin_agent_coverage_ratio < 0.9 and on (instance, netns) "
    "tocsin_agent_events_subscribed == 1) unless on (instance) "
    "tocsin_agent_sampler_available{sampler=\"tcp.connections\"} == 1\n"
    "        for: 5m\n"
    "        labels: {severity: warning}\n"
    "        annotations:\n"
    "          summary: 'of the connections to {{ $labels.instance }} only {{ $value | humanizePercentage }} are counted: tocsin-agent --doctor says what is missing'\n"
    "      - alert: SamplesLate\n"
    "        expr: tocsin_agent_lag_seconds > 5\n"
    "        for: 5s\n"
    "        labels: {severity: warning}\n"
    "        annotations:\n"
    "          summary: 'samples of {{ $labels.instance }} are {{ $value }} s old when they come'\n"
    "      - alert: CertificateExpiring\n"
    "        expr: probe_ssl_earliest_cert_expiry - time() < 14 * 86400\n"
    "        for: 1m\n"
    "        labels: {severity: warning}\n"
    "        annotations:\n"
    "          summary: 'the certificate of {{ $labels.probe }} expires in {{ $value | humanizeDuration }}'\n"
    "      - alert: ClockSkew\n"
    "        expr: tocsin_agent_clock_skew_seconds > 2 or tocsin_agent_clock_skew_seconds < -2\n"
    "        for: 30s\n"
    "        labels: {severity: warning}\n"
    "        annotations:\n"
    "          summary: 'the clock of {{ $labels.instance }} is off by {{ $value }} s'\n";

static const char COLLECTOR[] =
    "      - alert: ConfigRejected\n"
    "        expr: tocsin_config_reload_ok == 0\n"
    "        labels: {severity: warning}\n"
    "        annotations:\n"
    "          summary: 'the last reload was rejected, the rules before it are still in force'\n"
    "      - alert: InventoryNotKept\n"
    "        expr: tocsin_collector_inventory_ok == 0\n"
    "        for: 10s\n"
    "        labels: {severity: warning}\n"
    "        annotations:\n"
    "          summary: 'the state directory cannot be written: after a restart silent agents are not missed'\n"
    "      - alert: StorageDegraded\n"
    "        expr: tocsin_collector_journal_ok == 0 or tocsin_collector_journal_damaged_rows > 0 or "
    "tocsin_collector_journal_missing_transactions > 0 or tocsin_collector_journal_begun_anew > 0\n"
    "        labels: {severity: page}\n"
    "        annotations:\n"
    "          summary: 'alerts.db cannot be written in time or was damaged: a crash now could forget alerts'\n"
    "      - alert: RuleError\n"
    "        expr: tocsin_rule_failed == 1\n"
    "        for: 5s\n"
    "        labels: {severity: page}\n"
    "        annotations:\n"
    "          summary: 'rule {{ $labels.rule_group }}/{{ $labels.rule }} cannot be evaluated: it alerts nobody'\n"
    "      - alert: DeliveryFailing\n"
    "        expr: tocsin_receiver_failing_seconds > 30\n"
    "        labels: {severity: page}\n"
    "        annotations:\n"
    "          summary: 'nothing got through to receiver {{ $labels.receiver }} for {{ $value | humanizeDuration }}'\n"
    "      - alert: RepairGaveUp\n"
    "        expr: tocsin_repair_gave_up > 0\n"
    "        labels: {severity: page}\n"
    "        annotations:\n"
    "          summary: 'repair {{ $labels.action }} on {{ $labels.instance }} for {{ $labels.alert }} is given up: tocsin status says why'\n"
    "      - alert: DeadLetter\n"
    "        expr: tocsin_receiver_dead_letters > 0\n"
    "        labels: {severity: page}\n"
    "        annotations:\n"
    "          summary: '{{ $value }} messages to receiver {{ $labels.receiver }} were given up: tocsin hooks letters'\n"
    "      - alert: QueueBacklog\n"
    "        expr: tocsin_collector_queue_ratio > 0.75 or tocsin_receiver_queued > 1000 or "
    "increase(tocsin_collector_notices_lost_total[5m]) > 0\n"
    "        for: 5s\n"
    "        labels: {severity: warning}\n"
    "        annotations:\n"
    "          summary: 'the queue {{ $labels.queue }}{{ $labels.receiver }} does not empty'\n";

static const char OVERRIDES[] = "overrides:\n"
                                "  - rule: tocsin/AgentDown\n"
                                "    set: {evaluate: arrival}\n";

int builtin_add(struct ruleset *set, struct diags *d)
{
    char rules[sizeof(AGENTS) + sizeof(COLLECTOR)];
    int len = snprintf(rules, sizeof(rules), "%s%s", AGENTS, COLLECTOR);
    int rc = ruleset_add(set, BUILTIN_FILE, rules, (size_t)len, d);
    if (rc == 0)
        rc = ruleset_override(set, BUILTIN_FILE, OVERRIDES, sizeof(OVERRIDES) - 1, d);
    for (size_t g = 0; g < set->n_groups; g++)
        if (strcmp(set->groups[g].file, BUILTIN_FILE) == 0)
            for (size_t i = 0; i < set->groups[g].n_rules; i++)
                set->groups[g].rules[i].builtin = true;
    return rc;
}

void builtin_remove(struct ruleset *set)
{
    size_t kept = 0;
    for (size_t g = 0; g < set->n_groups; g++) {
        struct rule_group *group = &set->groups[g];
        if (strcmp(group->file, BUILTIN_FILE) != 0)
            set->groups[kept++] = *group;
        else
            rule_group_done(group);
    }
    set->n_groups = kept;
}
