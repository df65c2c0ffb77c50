// SPDX-License-Identifier: Apache-2.0
#include "cli/verb.h"
#include "base/buf.h"
#include "cli/codes.h"
#include "cli/hooks.h"
#include "cli/rules_check.h"
#include "cli/rules_explain.h"
#include "cli/rules_fmt.h"
#include "cli/rules_test.h"
#include "cli/template_render.h"
#include <stdlib.h>
#include <string.h>

const struct verb_option GLOBAL_OPTIONS[] = {
    {"url", "URL", "the collector (TOCSIN_URL, default http://127.0.0.1:7311)", NULL},
    {"token-file", "FILE", "a file that holds the collector's token (TOCSIN_TOKEN_FILE)", NULL},
    {"json", NULL, "print JSON", NULL},
    {"help", NULL, "print this and exit", NULL},
    {0},
};
static const struct verb_option STATUS_OPTIONS[] = {
    {"fail-on", "LEVEL", "exit 1 when something is wrong: error, or warning or worse",
        "error warning"},
    {0},
};
static const struct verb_option ALERTS_OPTIONS[] = {
    {"fail-on", "STATE", "exit 1 when an alert is in this state: firing, or pending or worse",
        "firing pending"},
    {0},
};
static const struct verb_option ALERTS_LOG_OPTIONS[] = {
    {"since", "DURATION", "what happened in the last DURATION (default 24h)", NULL},
    {"kind", "KIND", "only what is of this kind",
        "pending firing resolved cleared silence_made silence_changed silence_ended acknowledged "
        "acknowledgement_ended"},
    {"limit", "N", "the newest N (default 100)", NULL},
    {0},
};
static const struct verb_option ALERTS_ACK_OPTIONS[] = {
    {"for", "DURATION", "how long: 2h", NULL},
    {"note", "TEXT", "what is being done, for whoever finds it", NULL},
    {"by", "NAME", "who (default: USER)", NULL},
    {0},
};
static const struct verb_option QUERY_OPTIONS[] = {
    {"range", "DURATION", "the last DURATION up to now (or --time), as a sparkline: 10m", NULL},
    {"time", "TIME", "as of then: seconds since 1970 or 2026-11-25T04:20:00Z", NULL},
    {0},
};
static const struct verb_option SILENCE_ADD_OPTIONS[] = {
    {"for", "DURATION", "how long: 2h", NULL},
    {"comment", "TEXT", "why, for whoever finds it", NULL},
    {"by", "NAME", "who (default: USER)", NULL},
    {"until-quiet", "DURATION", "end it sooner, when nothing matched for so long: 10m", NULL},
    {0},
};
static const struct verb_option SILENCE_LIST_OPTIONS[] = {
    {"expired", NULL, "those that are over too", NULL},
    {0},
};
static const struct verb_option RULES_OPTIONS[] = {
    {"strict", NULL, "a warning fails the check too", NULL},
    {"lint-fatal", NULL, "the same, as promtool calls it", NULL},
    {"format", "FORMAT", "text, json or sarif", "text json sarif"},
    {"against", "URL", "ask this collector which series there are now", NULL},
    {"sampling", "DURATION", "how often samples come, to judge ranges by (default 1s)", NULL},
    {0},
};

static const struct verb_option TEMPLATE_OPTIONS[] = {
    {"templates", "GLOB", "files of templates, as the configuration's `templates`", NULL},
    {"data", "FILE", "alerts instead of the sample; - is the standard input", NULL},
    {"as", "FORMAT", "how values are escaped: text, html or json", "text html json"},
    {0},
};

static int version_main(const struct cli *c, const struct verb_args *a, struct err *err)
{
    (void)a;
    (void)err;
    fprintf(c->out, c->json ? "{\"version\":\"%s\"}\n" : "tocsin %s\n", TOCSIN_VERSION);
    return CLI_YES;
}

const struct verb VERBS[] = {
    {"status", NULL, "", 0, 0, "what is wrong, then agents, rules and queues", NULL,
        STATUS_OPTIONS, status_main},
    {"alerts", "log", "[MATCHER...]", 0, -1,
        "what alerts did and who silenced what, newest first",
        "All matchers must hold: alertname=Slow zone=~\"eu.*\". The collector keeps seven days.",
        ALERTS_LOG_OPTIONS, alerts_log_main},
    {"alerts", "ack", "FINGERPRINT|MATCHER...", 1, -1, "take alerts that fire on, for a while",
        "Nobody is reminded of them meanwhile; that they are over is told. When the time is up and\n"
        "an alert still fires, or it is given back, it is told again. What ends and fires anew is\n"
        "not acknowledged.",
        ALERTS_ACK_OPTIONS, alerts_ack_main},
    {"alerts", "unack", "FINGERPRINT|MATCHER...", 1, -1, "give alerts back that were taken on",
        "Those that still fire are told again.", NULL, alerts_unack_main},
    {"alerts", "explain", "FINGERPRINT|MATCHER...", 1, -1,
        "who is told next of an alert, when, and why not earlier",
        "Of alerts that fire, or are over with somebody yet to be told. Exit status 1 when none is\n"
        "meant.",
        NULL, alerts_explain_main},
    {"alerts", NULL, "", 0, 0, "alerts that are firing or pending", NULL, ALERTS_OPTIONS,
        alerts_main},
    {"query", NULL, "EXPR", 1, 1, "evaluate a PromQL expression",
        "Exit status 1 when the expression has a mistake.", QUERY_OPTIONS, query_main},
    {"silence", "add", "MATCHER...", 1, -1, "tell nobody of alerts that match, for a while",
        "All matchers must hold: alertname=Slow zone=~\"eu.*\". Prints the id. Nothing is lost:\n"
        "what still fires when the silence ends is told then.",
        SILENCE_ADD_OPTIONS, silence_add_main},
    {"silence", "list", "", 0, 0, "what is silenced, by whom and why", NULL,
        SILENCE_LIST_OPTIONS, silence_list_main},
    {"silence", "expire", "ID...", 1, -1, "end silences now", NULL, NULL, silence_expire_main},
    {"silence", "preview", "MATCHER...", 1, -1, "alerts that fire and would be silenced",
        "And how many would have been in the last 24 hours. With --json only those that fire now.",
        NULL, silence_preview_main},
    {"top", NULL, "[WORD]", 0, 1, "live view of services and alerts; q quits",
        "WORD shows only services and hosts whose name holds it. Without a terminal one picture\n"
        "is printed.",
        NULL, top_main},
    {"rules", "check", "PATH...", 1, -1, "check rule files and folders of them",
        "Shows every mistake at its place, and warns of rules that do not do what they look like;\n"
        "`tocsin explain CODE` says more about each. Of a folder, *.yaml and *.yml are read,\n"
        "*.test.yaml left out; - is the standard input. Exit status 1 when they must not be loaded.",
        RULES_OPTIONS, rules_check_main},
    {"rules", "test", "FILE...", 1, -1, "run unit tests of rules in promtool's format",
        "Exit status 1 when one fails or a file has mistakes.", RULES_TEST_OPTIONS,
        rules_test_main},
    {"rules", "fmt", "FILE...", 1, -1, "lay the expressions of rule files out",
        "Comments, order and quotes of all else stay. Without an option the files are printed.\n"
        "Exit status 1 when a file has mistakes or, with --check, would change.",
        RULES_FMT_OPTIONS, rules_fmt_main},
    {"rules", "explain", "FILE...", 1, -1, "what rules cost and how soon they tell",
        "Each rule's plan, what of it is kept and what is computed anew, the memory it takes and\n"
        "the delay from a condition's beginning to the alert. Exit status 1 when a file has\n"
        "mistakes.",
        RULES_EXPLAIN_OPTIONS, rules_explain_main},
    {"explain", NULL, "[CODE]", 0, 1,
        "what a code of a check means, with an example and its fix", NULL, NULL, explain_main},
    {"hooks", "ls", "", 0, 0, "how each receiver takes what it is sent",
        "Success and times are of its last 256 tries.", NULL, hooks_ls_main},
    {"hooks", "log", "", 0, 0, "what was sent to whom, with which answer",
        "The newest first. Kept for 7 days, or 50,000 messages.", HOOKS_LOG_OPTIONS,
        hooks_log_main},
    {"hooks", "show", "ID", 1, 1, "one message whole, and as a curl command", NULL, NULL,
        hooks_show_main},
    {"hooks", "letters", "", 0, 0, "dead letters: messages that were given up, kept whole",
        NULL, HOOKS_LETTERS_OPTIONS, hooks_letters_main},
    {"hooks", "replay", "[ID]", 0, 1, "send dead letters again, with the same delivery key",
        "To the byte as they were, after whatever else is due at the receiver. What is not so any\n"
        "more is skipped and named: a `firing` of an alert that is over would look like a new one.\n"
        "Exit status 1 when one does not get through.",
        HOOKS_REPLAY_OPTIONS, hooks_replay_main},
    {"hooks", "dismiss", "[ID]", 0, 1, "forget dead letters", NULL, HOOKS_DISMISS_OPTIONS,
        hooks_dismiss_main},
    {"hooks", "test", "RECEIVER", 1, 1, "send a drill through a receiver",
        "An alert TocsinTest with drill=\"true\" over the receiver's own way, and that it is over\n"
        "where the receiver hears of that. It is nowhere an alert. Exit status 1 when it does not\n"
        "get through.",
        NULL, hooks_test_main},
    {"hooks", "listen", "", 0, 0, "receive webhooks and print each alert with its delay",
        "The delay is from startsAt to arrival, so it needs clocks that agree.",
        HOOKS_LISTEN_OPTIONS, hooks_listen_main},
    {"template", "render", "TEXT", 1, 1, "what a template of a message makes of alerts",
        "TEXT is a template such as '{{ template \"slack.default.title\" . }}'. DATA is JSON, as a\n"
        "webhook gets it; without it there are two alerts. Exit status 1 when a template fails.",
        TEMPLATE_OPTIONS, template_render_main},
    {"completion", NULL, "SHELL", 1, 1, "print a completion script: bash, zsh or fish", NULL,
        NULL, completion_main},
    {"version", NULL, "", 0, 0, "print the version", NULL, NULL, version_main},
    {0},
};

static void print_options(const struct verb_option *o, FILE *out)
{
    for (; o && o->name; o++) {
        char left[48];
        snprintf(left, sizeof(left), "--%s%s%s", o->name, o->value ? " " : "",
            o->value ? o->value : "");
        fprintf(out, "  %-20s  %s\n", left, o->help);
    }
}

static void print_name(const struct verb *v, char *ret, size_t size)
{
    snprintf(ret, size, "%s%s%s%s%s", v->name, v->sub ? " " : "", v->sub ? v->sub : "",
        v->operands[0] ? " " : "", v->operands);
}

void verb_help(const struct verb *v, FILE *out)
{
    char name[64];
    if (v) {
        print_name(v, name, sizeof(name));
        fprintf(out, "Usage: tocsin %s [OPTION]...\n%c%s.\n", name, v->summary[0] - 'a' + 'A',
            v->summary + 1);
        if (v->more)
            fprintf(out, "%s\n", v->more);
        fputc('\n', out);
        print_options(v->options, out);
    } else {
        fputs("Usage: tocsin VERB [OPTION]...\nAsks a Tocsin collector.\n\n", out);
        for (v = VERBS; v->name; v++) {
            print_name(v, name, sizeof(name));
            fprintf(out, "  %-20s  %s\n", name, v->summary);
        }
        fputc('\n', out);
    }
    print_options(GLOBAL_OPTIONS, out);
    fputs(
        "\nExit status: 0 yes, 1 the answer is no, 2 wrong usage, 3 collector not reachable,\n"
        "4 not allowed. NO_COLOR in the environment turns colours off.\n",
        out);
}

static const struct verb *find(const char *name, const char *sub)
{
    for (const struct verb *v = VERBS; v->name; v++)
        if (strcmp(v->name, name) == 0 && (!v->sub || (sub && strcmp(v->sub, sub) == 0)))
            return v;
    return NULL;
}

// What may follow name, when it takes a second word: "check, test". False: it takes none.
static bool second_words(const char *name, struct buf *out)
{
    bool any = false;
    for (const struct verb *v = VERBS; v->name; v++)
        if (v->sub && strcmp(v->name, name) == 0) {
            buf_addf(out, "%s%s", any ? ", " : "", v->sub);
            any = true;
        }
    return any;
}

// The index of the option --name[=value] in list, or -1.
static int match(const struct verb_option *list, const char *arg, const char **ret_value)
{
    size_t len = strcspn(arg + 2, "=");
    for (int i = 0; list && list[i].name; i++) {
        if (strlen(list[i].name) == len && strncmp(list[i].name, arg + 2, len) == 0) {
            *ret_value = arg[2 + len] ? arg + 3 + len : NULL;
            return i;
        }
    }
    return -1;
}

// Whether value is one of words, split by blanks.
static bool among(const char *value, const char *words)
{
    size_t len = strlen(value);
    for (const char *p = words; *p; p += strspn(p, " ")) {
        size_t n = strcspn(p, " ");
        if (n == len && len > 0 && strncmp(p, value, n) == 0)
            return true;
        p += n;
    }
    return false;
}

// What parse needs to know while it walks the arguments.
struct parse {
    struct cli *c;
    const struct verb *verb;
    struct verb_args args;
    bool help;
};

static int take_option(struct parse *p, int argc, char **argv, int *i, struct err *err)
{
    const char *value = NULL, *arg = argv[*i];
    const struct verb_option *list = p->verb ? p->verb->options : NULL;
    int at = match(list, arg, &value);
    bool global = at < 0;
    if (global) {
        list = GLOBAL_OPTIONS;
        at = match(list, arg, &value);
    }
    if (at < 0) {
        err_set(err, "unknown option %s", arg);
        return CLI_USAGE;
    }
    if (!list[at].value && value) {
        err_set(err, "--%s takes no value", list[at].name);
        return CLI_USAGE;
    }
    if (list[at].value && !value) {
        if (*i + 1 >= argc) {
            err_set(err, "--%s needs a value: %s", list[at].name, list[at].value);
            return CLI_USAGE;
        }
        value = argv[++*i];
    }
    if (list[at].words && !among(value, list[at].words)) {
        err_set(err, "--%s takes one of: %s", list[at].name, list[at].words);
        return CLI_USAGE;
    }
    if (!global)
        p->args.option[at] = value ? value : "";
    else if (strcmp(list[at].name, "url") == 0)
        p->c->url = value;
    else if (strcmp(list[at].name, "token-file") == 0)
        p->c->token_file = value;
    else if (strcmp(list[at].name, "json") == 0)
        p->c->json = true;
    else
        p->help = true;
    return CLI_YES;
}

// The verb is needed before options can be judged, and options may stand in front of it: the verb
// is the first word that is no option and no global option's value.
static const struct verb *find_verb(int argc, char **argv, int *ret_at, const char **ret_word)
{
    for (int i = 1; i < argc; i++) {
        const char *value = NULL;
        if (argv[i][0] == '-') {
            int at =
                strncmp(argv[i], "--", 2) == 0 ? match(GLOBAL_OPTIONS, argv[i], &value) : -1;
            if (at >= 0 && GLOBAL_OPTIONS[at].value && !value)
                i++;
            continue;
        }
        *ret_at = i;
        *ret_word = argv[i];
        return find(argv[i], i + 1 < argc ? argv[i + 1] : NULL);
    }
    *ret_at = argc;
    *ret_word = NULL;
    return NULL;
}

// -w is --write, where there is such an option.
static bool short_write(struct parse *p, const char *arg)
{
    const char *value;
    int at =
        strcmp(arg, "-w") == 0 && p->verb ? match(p->verb->options, "--write", &value) : -1;
    if (at >= 0)
        p->args.option[at] = "";
    return at >= 0;
}

static int parse(struct parse *p, int argc, char **argv, int verb_at, struct err *err)
{
    bool only_words = false;
    for (int i = 1; i < argc; i++) {
        if (i == verb_at || (i == verb_at + 1 && p->verb && p->verb->sub))
            continue;
        if (!only_words && strcmp(argv[i], "--") == 0) {
            only_words = true;
        } else if (!only_words && strcmp(argv[i], "-h") == 0) {
            p->help = true;
        } else if (!only_words && short_write(p, argv[i])) {
            continue;
        } else if (!only_words && strncmp(argv[i], "--", 2) == 0) {
            int rc = take_option(p, argc, argv, &i, err);
            if (rc != CLI_YES)
                return rc;
        } else {
            p->args.words[p->args.n_words++] = argv[i];
        }
    }
    return CLI_YES;
}

static int check_words(const struct verb *v, const struct verb_args *a, struct err *err)
{
    if (a->n_words < v->words_min) {
        err_set(err, "%s%s%s needs %s", v->name, v->sub ? " " : "", v->sub ? v->sub : "",
            v->operands);
        return CLI_USAGE;
    }
    if (v->words_max >= 0 && a->n_words > v->words_max) {
        err_set(err, "too many arguments: %s%s", a->words[v->words_max],
            strcmp(v->name, "query") == 0 ? " (quote the expression)" : "");
        return CLI_USAGE;
    }
    return CLI_YES;
}

int verb_main(struct cli *c, int argc, char **argv, struct err *err)
{
    int at = 0;
    const char *word = NULL;
    struct parse p = {.c = c, .verb = find_verb(argc, argv, &at, &word)};
    if (argc == 2 && strcmp(argv[1], "--version") == 0)
        return version_main(c, &p.args, err);
    p.args.words = calloc((size_t)argc + 1, sizeof(*p.args.words));
    if (!p.args.words) {
        err_set(err, "out of memory");
        return CLI_NO;
    }
    int rc = parse(&p, argc, argv, at, err);
    struct buf subs;
    buf_init(&subs, 500);
    bool sub = word && !p.verb && second_words(word, &subs);
    if (rc == CLI_YES && sub && !p.help) {
        err_set(err, "%s needs a second word: %s", word, buf_cstr(&subs));
        rc = CLI_USAGE;
    } else if (rc == CLI_YES && word && !p.verb && !p.help) {
        err_set(err, "unknown verb %s; see tocsin --help", word);
        rc = CLI_USAGE;
    } else if (rc == CLI_YES && !word && !p.help) {
        err_set(err, "which verb? see tocsin --help");
        rc = CLI_USAGE;
    } else if (rc == CLI_YES && p.help) {
        verb_help(p.verb, c->out);
    } else if (rc == CLI_YES) {
        rc = check_words(p.verb, &p.args, err);
        if (rc == CLI_YES)
            rc = p.verb->run(c, &p.args, err);
    }
    buf_done(&subs);
    free(p.args.words);
    return rc;
}
