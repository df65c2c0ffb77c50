// SPDX-License-Identifier: Apache-2.0
// `tocsin completion SHELL`, written from the verb table.
#include "cli/verb.h"
#include <string.h>

// Whether v is the first of its name: "rules check" and "rules test" are one word "rules".
static bool first_of_name(const struct verb *v)
{
    for (const struct verb *u = VERBS; u < v; u++)
        if (strcmp(u->name, v->name) == 0)
            return false;
    return true;
}

static void list_names(FILE *out)
{
    for (const struct verb *v = VERBS; v->name; v++)
        if (first_of_name(v))
            fprintf(out, "%s%s", v == VERBS ? "" : " ", v->name);
}

// The second words of v's name: "check test".
static void list_subs(const struct verb *v, FILE *out)
{
    const char *gap = "";
    for (const struct verb *u = VERBS; u->name; u++)
        if (u->sub && strcmp(u->name, v->name) == 0) {
            fprintf(out, "%s%s", gap, u->sub);
            gap = " ";
        }
}

static void list_options(const struct verb_option *o, FILE *out)
{
    for (; o && o->name; o++)
        fprintf(out, " --%s", o->name);
}

// Those of the verb that is v's first word alone; NULL: there is none.
static const struct verb_option *plain_options(const struct verb *v)
{
    for (const struct verb *u = VERBS; u->name; u++)
        if (!u->sub && strcmp(u->name, v->name) == 0)
            return u->options;
    return NULL;
}

static void bash(FILE *out)
{
    fputs("# bash completion for tocsin\n"
          "_tocsin() {\n"
          "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} words\n"
          "    case \"${COMP_WORDS[1]} $prev\" in\n"
          "    *\\ --token-file) COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n"
          "    *\\ --url) return ;;\n",
        out);
    for (const struct verb *v = VERBS; v->name; v++)
        for (const struct verb_option *o = v->options; o && o->name; o++)
            if (o->words)
                fprintf(out,
                    "    '%s --%s') COMPREPLY=($(compgen -W '%s' -- \"$cur\")); return ;;\n",
                    v->name, o->name, o->words);
    fputs("    esac\n    words='", out);
    list_names(out);
    fputs("'\n    case \"${COMP_WORDS[*]:1:COMP_CWORD-1}\" in\n", out);
    for (const struct verb *v = VERBS; v->name; v++) {
        if (v->sub) {
            if (first_of_name(v)) {
                fprintf(out, "    %s) words='", v->name);
                list_subs(v, out);
                list_options(plain_options(v), out);
                fputs("' ;;\n", out);
            }
            fprintf(out, "    '%s %s'*) words='", v->name, v->sub);
        } else {
            fprintf(out, "    %s*) words='%s", v->name,
                strcmp(v->name, "completion") == 0 ? "bash zsh fish" : "");
        }
        list_options(v->options, out);
        fputs("' ;;\n", out);
    }
    fputs("    esac\n    words=\"$words", out);
    list_options(GLOBAL_OPTIONS, out);
    fputs("\"\n"
          "    if [[ $cur != -* && ${COMP_WORDS[1]} == rules && $COMP_CWORD -gt 2 ]]; then\n"
          "        COMPREPLY=($(compgen -f -- \"$cur\"))\n"
          "    else\n"
          "        COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
          "    fi\n"
          "}\n"
          "complete -o filenames -F _tocsin tocsin\n",
        out);
}

// For single quotes, where ' is written '\''.
static void quoted(const char *text, FILE *out)
{
    for (; *text; text++) {
        if (*text == '\'')
            fputs("'\\''", out);
        else
            fputc(*text, out);
    }
}

static void zsh_options(const struct verb_option *o, FILE *out)
{
    for (; o && o->name; o++) {
        fprintf(out, " \\\n            '--%s[", o->name);
        quoted(o->help, out);
        fputc(']', out);
        if (o->words)
            fprintf(out, ":%s:(%s)", o->value, o->words);
        else if (o->value)
            fprintf(out, ":%s:%s", o->value, strcmp(o->value, "FILE") == 0 ? "_files" : "");
        fputc('\'', out);
    }
}

static void zsh_subs(const struct verb *v, FILE *out)
{
    fputs(" \\\n            '2:verb:(", out);
    list_subs(v, out);
    fputs(")'", out);
}

static void zsh(FILE *out)
{
    fputs("#compdef tocsin\n"
          "_tocsin() {\n"
          "    local -a verbs\n"
          "    verbs=(\n",
        out);
    for (const struct verb *v = VERBS; v->name; v++) {
        if (!first_of_name(v))
            continue;
        fprintf(out, "        '%s:", v->name);
        quoted(v->summary, out);
        fputs("'\n", out);
    }
    fputs("    )\n"
          "    if (( CURRENT == 2 )); then\n"
          "        _describe verb verbs\n"
          "        return\n"
          "    fi\n"
          "    case \"$words[2] ${words[3]:-}\" in\n",
        out);
    for (const struct verb *v = VERBS; v->name; v++) {
        fprintf(out, v->sub ? "    '%s %s')\n" : "    %s\\ *)\n", v->name, v->sub);
        fputs("        _arguments", out);
        zsh_options(v->options, out);
        zsh_options(GLOBAL_OPTIONS, out);
        if (v->sub) {
            zsh_subs(v, out);
            if (v->operands[0])
                fprintf(out, " '*:%s:_files'", v->operands);
        } else if (strcmp(v->name, "completion") == 0) {
            fputs(" \\\n            '2:shell:(bash zsh fish)'", out);
        }
        fputs(" ;;\n", out);
    }
    // A second word that is not there yet, or not whole.
    for (const struct verb *v = VERBS; v->name; v++) {
        if (!v->sub || !first_of_name(v))
            continue;
        fprintf(out, "    %s\\ *)\n        _arguments", v->name);
        zsh_subs(v, out);
        fputs(" ;;\n", out);
    }
    fputs("    esac\n}\n_tocsin \"$@\"\n", out);
}

static void fish_options(const struct verb *v, const struct verb_option *o, FILE *out)
{
    for (; o && o->name; o++) {
        fputs("complete -c tocsin", out);
        if (v)
            fprintf(out, " -n '__fish_seen_subcommand_from %s%s%s'", v->name,
                v->sub ? "; and __fish_seen_subcommand_from " : "", v->sub ? v->sub : "");
        fprintf(out, " -l %s%s", o->name, o->value ? " -r" : "");
        if (o->words)
            fprintf(out, " -a '%s'", o->words);
        fputs(" -d '", out);
        for (const char *p = o->help; *p; p++)
            fprintf(out, *p == '\'' ? "\\'" : "%c", *p);
        fputs("'\n", out);
    }
}

static void fish(FILE *out)
{
    fputs("# fish completion for tocsin\ncomplete -c tocsin -f\n", out);
    for (const struct verb *v = VERBS; v->name; v++) {
        if (first_of_name(v))
            fprintf(out, "complete -c tocsin -n __fish_use_subcommand -a %s -d '%s'\n", v->name,
                v->summary);
        if (v->sub && first_of_name(v)) {
            fprintf(out,
                "complete -c tocsin -n '__fish_seen_subcommand_from %s; and not "
                "__fish_seen_subcommand_from ",
                v->name);
            list_subs(v, out);
            fputs("' -a '", out);
            list_subs(v, out);
            fputs("'\n", out);
        }
        if (v->sub && strcmp(v->name, "rules") == 0)
            fprintf(out,
                "complete -c tocsin -n '__fish_seen_subcommand_from rules; and "
                "__fish_seen_subcommand_from %s' -F\n",
                v->sub);
        fish_options(v, v->options, out);
    }
    fputs("complete -c tocsin -n '__fish_seen_subcommand_from completion' -a 'bash zsh fish'\n",
        out);
    fish_options(NULL, GLOBAL_OPTIONS, out);
}

int completion_main(const struct cli *c, const struct verb_args *a, struct err *err)
{
    const char *shell = a->words[0];
    if (strcmp(shell, "bash") == 0) {
        bash(c->out);
    } else if (strcmp(shell, "zsh") == 0) {
        zsh(c->out);
    } else if (strcmp(shell, "fish") == 0) {
        fish(c->out);
    } else {
        err_set(err, "no completion for %s: bash, zsh or fish", shell);
        return CLI_USAGE;
    }
    return CLI_YES;
}
