/* SPDX-License-Identifier: MIT */
/* The man pages pier(1) and pier-VERB(1), from what --help says. */
#include "cli.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* Text that troff prints as it stands. */
static void put_text(const char *text)
{
    static const struct {
        char c;
        const char *name;
    } special[] = {{'\\', "\\e"}, {'-', "\\-"}, {'\'', "\\(aq"}, {'"', "\\(dq"}, {'`', "\\(ga"},
        {'^', "\\(ha"}, {'~', "\\(ti"}};
    if (*text == '.') fputs("\\&", stdout);
    for (; *text != '\0'; text++) {
        size_t i = 0, count = sizeof special / sizeof *special;
        while (i < count && special[i].c != *text)
            i++;
        if (i < count)
            fputs(special[i].name, stdout);
        else
            putchar(*text);
    }
}

static void put_font(char font, const char *text)
{
    printf("\\f%c", font);
    put_text(text);
    fputs("\\fP", stdout);
}

/* Lines as they are or paragraphs, one from each line. */
static void put_lines(const char *text, const char *between)
{
    char line[2048];
    for (const char *end; *text != '\0'; text = *end == '\0' ? end : end + 1) {
        end = strchrnul(text, '\n');
        snprintf(line, sizeof line, "%.*s", (int)(end - text), text);
        if (line[0] != '\0') put_text(line);
        fputs(line[0] != '\0' ? "\n" : "", stdout);
        if (*end != '\0' && end[1] != '\0') fputs(between, stdout);
    }
}

static void put_title(const char *verb, const char *summary)
{
    char name[64] = "pier", upper[64];
    if (verb != NULL) snprintf(name, sizeof name, "pier-%s", verb);
    for (size_t i = 0; i < sizeof name; i++)
        upper[i] = (char)toupper((unsigned char)name[i]);
    fputs(".TH ", stdout);
    put_text(upper);
    printf(" 1 \"\" \"pier %s\" \"User Commands\"\n.SH NAME\n", pier_version());
    put_text(name);
    fputs(" \\- ", stdout);
    put_text(summary);
    fputs("\n.SH SYNOPSIS\n", stdout);
}

static void put_example(const char *text)
{
    fputs(".SH EXAMPLES\n.nf\n.RS 4\n", stdout);
    put_lines(text, "");
    fputs(".RE\n.fi\n", stdout);
}

static void put_status(void)
{
    fputs(".SH EXIT STATUS\n", stdout);
    put_lines(help_status, ".PP\n");
}

static void put_synopsis(const struct verb *it)
{
    char word[64];
    snprintf(word, sizeof word, "pier %s", it->name);
    put_font('B', word);
    for (const struct choice *choice = it->choices; choice != NULL && choice->name; choice++) {
        if (choice->letter != '\0')
            snprintf(word, sizeof word, "-%c", choice->letter);
        else
            snprintf(word, sizeof word, "--%s", choice->name);
        fputs("\n[", stdout);
        put_font('B', word);
        if (choice->value != NULL) {
            fputs("\\ ", stdout); /* both on one line */
            put_font('I', choice->value);
        }
        putchar(']');
    }
    for (const struct operand *operand = it->operands; operand->name != NULL; operand++) {
        putchar('\n');
        put_font('I', operand->name);
    }
    putchar('\n');
}

static void put_option(char letter, const char *name, const char *value, const char *what)
{
    char word[64];
    fputs(".TP\n", stdout);
    if (letter != '\0') {
        snprintf(word, sizeof word, "-%c", letter);
        put_font('B', word);
        fputs(", ", stdout);
    }
    snprintf(word, sizeof word, "--%s", name);
    put_font('B', word);
    if (value != NULL) {
        putchar(' ');
        put_font('I', value);
    }
    putchar('\n');
    put_lines(what, "");
}

static void man_verb(const struct verb *it)
{
    put_title(it->name, it->summary);
    put_synopsis(it);
    fputs(".SH DESCRIPTION\n", stdout);
    put_lines(it->text, ".PP\n");
    fputs(it->operands[0].name != NULL ? ".SH OPERANDS\n" : "", stdout);
    for (const struct operand *operand = it->operands; operand->name != NULL; operand++) {
        fputs(".TP\n", stdout);
        put_font('I', operand->name);
        putchar('\n');
        put_lines(operand->what, "");
    }
    fputs(".SH OPTIONS\n", stdout);
    for (const struct choice *choice = it->choices; choice != NULL && choice->name; choice++)
        put_option(choice->letter, choice->name, choice->value, choice->what);
    put_option('h', "help", NULL, THIS_HELP);
    put_status();
    put_example(it->example);
    fputs(".SH SEE ALSO\n\\fBpier\\fP(1)\n", stdout);
}

static void man_all(void)
{
    put_title(NULL, "speak through sockets from the shell");
    fputs("\\fBpier\\fP \\fIVERB\\fP ...\n.SH DESCRIPTION\n", stdout);
    put_lines(help_addresses, ".PP\n");
    fputs(".SH VERBS\n", stdout);
    for (size_t i = 0; verbs[i] != NULL; i++) {
        fputs(".TP 11\n", stdout);
        put_font('B', verbs[i]->name);
        putchar('\n');
        put_lines(verbs[i]->summary, "");
    }
    fputs(".SH OPTIONS\n", stdout);
    put_option('h', "help", NULL, "tell of the verbs; behind a verb, of that one");
    put_option(
        '\0', "man", "[VERB]", "print this page, or that of a verb: pier --man get | man -l -");
    put_option('\0', "version", NULL, "tell which pier this is, and what its tasks wait with");
    fputs(
        ".SH ENVIRONMENT\n.TP\n\\fBNO_COLOR\\fP\nif it is not empty, no colours on terminals\n"
        ".TP\n\\fBPIER_TRACE\\fP\n1: each call of the library on stderr, with its result; else the name of a "
        "file that gets them\n"
        ".TP\n\\fBPIER_BACKEND\\fP\nwhat tasks wait with: epoll or uring\n",
        stdout);
    put_status();
    put_example(help_example);
    fputs(".SH SEE ALSO\n", stdout);
    for (size_t i = 0; verbs[i] != NULL; i++) {
        char name[64];
        snprintf(name, sizeof name, "pier-%s", verbs[i]->name);
        put_font('B', name);
        fputs(verbs[i + 1] != NULL ? "(1),\n" : "(1)\n", stdout);
    }
}

int man(const char *verb)
{
    const struct verb *it = verb != NULL ? find_verb(verb) : NULL;
    if (verb != NULL && it == NULL) return misuse("there is no verb %s", screen_quote(verb));
    if (it != NULL)
        man_verb(it);
    else
        man_all();
    return finish_output();
}
