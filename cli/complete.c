/* SPDX-License-Identifier: MIT */
/*
 * What may stand next on the command line, for the shells: their scripts in cli/shells/ ask for it on
 * each TAB, and know nothing themselves. So they never disagree with the command that is there.
 *
 *     pier --complete get -o ''
 *
 * has all words so far and the one that is being typed; what fits is printed a line each,
 * "WORD<TAB>WHAT IT IS". A word that ends with ":" or "/" goes on. A line "@BEGIN" stands for the names
 * of files, which the shell finds, behind the BEGIN of the word.
 */
#include "cli.h"

#include <netdb.h>
#include <stdio.h>
#include <string.h>

enum { LAST_ERROR = -12999 };

/* The word that is being typed, and how much of it stays before what fits: "--output=", "unix:". */
struct part {
    const char *text;
    size_t kept;
};

static const char *typed(const struct part *it) { return it->text + it->kept; }

static void offer(const struct part *it, const char *word, const char *what)
{
    if (strncmp(word, typed(it), strlen(typed(it))) == 0)
        printf("%.*s%s\t%s\n", (int)it->kept, it->text, word, what);
}

static void offer_files(const struct part *it) { printf("@%.*s\n", (int)it->kept, it->text); }

static void offer_services(const struct part *it)
{
    char last[64] = "";
    setservent(1);
    for (struct servent *s; (s = getservent()) != NULL;) {
        char what[32];
        if (strcmp(s->s_name, last) == 0) continue; /* of another protocol */
        snprintf(last, sizeof last, "%s", s->s_name);
        snprintf(what, sizeof what, "%d/%s", ntohs((uint16_t)s->s_port), s->s_proto);
        offer(it, s->s_name, what);
    }
    endservent();
}

static void offer_errors(const struct part *it)
{
    for (int code = -1; code >= LAST_ERROR; code--)
        if (pier_errname(code) != NULL) offer(it, pier_errname(code), pier_strerror(code));
}

static void offer_addresses(const struct part *it)
{
    const char *text = typed(it), *colon = strrchr(text, ':');
    if (strncmp(text, "unix:", 5) == 0) {
        if (text[5] != '@') offer_files(&(struct part){it->text, it->kept + 5});
    } else if (colon != NULL && strncmp(text, "vsock:", 6) != 0) {
        offer_services(&(struct part){it->text, (size_t)(colon + 1 - it->text)});
    } else if (colon == NULL) {
        offer(it, "localhost:", "this host");
        offer(it, "unix:", "a Unix socket");
        offer(it, "vsock:", "a virtual machine");
    }
}

static void offer_value(const struct part *it, enum takes takes)
{
    switch (takes) {
    case TAKES_FILE: offer_files(it); break;
    case TAKES_ADDRESS: offer_addresses(it); break;
    case TAKES_SERVICE: offer_services(it); break;
    case TAKES_ERROR: offer_errors(it); break;
    case TAKES_NOTHING:
    case TAKES_TEXT:
    case TAKES_SECONDS:
    case TAKES_COUNT:
    case TAKES_SIZE: break;
    }
}

/* The words of "echo, churn or bulk"; none of "a number or a name". */
static void offer_words(const struct part *it, const char *what)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789-";
    char word[64];
    bool all = false;
    for (int round = 0; round < 2; round++) {
        const char *at = what;
        for (size_t length; (length = strspn(at, letters)) > 0 && length < sizeof word;) {
            snprintf(word, sizeof word, "%.*s", (int)length, at);
            if (all) offer(it, word, what);
            at += length;
            at += strncmp(at, ", ", 2) == 0 ? 2 : strncmp(at, " or ", 4) == 0 ? 4 : 0;
        }
        all = *at == '\0' && strstr(what, " or ") != NULL;
        if (!all) return;
    }
}

static void offer_operand(const struct part *it, const struct operand *operand)
{
    offer_words(it, operand->what);
    offer_value(it, operand->takes);
}

static void offer_options(const struct part *it, const struct verb *verb)
{
    char word[64];
    for (const struct choice *choice = verb->choices; choice != NULL && choice->name; choice++) {
        snprintf(word, sizeof word, "-%c", choice->letter);
        if (choice->letter != '\0') offer(it, word, choice->what);
        snprintf(word, sizeof word, "--%s", choice->name);
        offer(it, word, choice->what);
    }
    offer(it, "-h", THIS_HELP);
    offer(it, "--help", THIS_HELP);
}

static void offer_verbs(const struct part *it)
{
    for (size_t i = 0; verbs[i] != NULL; i++)
        offer(it, verbs[i]->name, verbs[i]->summary);
}

/* What getopt_long() takes for "name", which may be shortened as long as it is the only one. */
static const struct choice *find_long(const struct verb *verb, const char *name, size_t length)
{
    const struct choice *found = NULL;
    for (const struct choice *choice = verb->choices; choice != NULL && choice->name; choice++) {
        if (strncmp(choice->name, name, length) != 0) continue;
        if (choice->name[length] == '\0') return choice;
        if (found != NULL) return NULL;
        found = choice;
    }
    return found;
}

/* The option in a word that takes a value, and where the value begins there; NULL: none does. */
static const struct choice *find_taker(const struct verb *verb, const char *word, size_t *out_begin)
{
    if (word[1] == '-') {
        size_t length = strcspn(word + 2, "=");
        const struct choice *choice = find_long(verb, word + 2, length);
        *out_begin = 2 + length + (word[2 + length] == '=');
        return choice == NULL || choice->takes == TAKES_NOTHING ? NULL : choice;
    }
    for (size_t i = 1; word[i] != '\0'; i++)
        for (const struct choice *choice = verb->choices; choice != NULL && choice->name; choice++)
            if (choice->letter == word[i] && choice->takes != TAKES_NOTHING) {
                *out_begin = i + 1;
                return choice;
            }
    return NULL;
}

static bool has_value(const char *word, size_t begin)
{
    return word[begin] != '\0' || (word[1] == '-' && word[begin - 1] == '=');
}

/* What the words so far leave open. */
struct line {
    const struct verb *verb;
    const struct operand *operand; /* the next */
    const struct choice *taker;    /* its value is next */
    bool ended;                    /* by "--": no more options */
};

static void read_word(struct line *it, const char *word)
{
    size_t begin;
    if (it->taker != NULL) {
        it->taker = NULL;
    } else if (!it->ended && strcmp(word, "--") == 0) {
        it->ended = true;
    } else if (!it->ended && word[0] == '-' && word[1] != '\0') {
        it->taker = find_taker(it->verb, word, &begin);
        if (it->taker != NULL && has_value(word, begin)) it->taker = NULL;
    } else if (it->operand->name != NULL) {
        it->operand++;
    }
}

static void offer_next(const struct line *it, const char *word)
{
    struct part part = {.text = word};
    if (it->taker != NULL) {
        offer_value(&part, it->taker->takes);
    } else if (!it->ended && word[0] == '-') {
        size_t begin;
        const struct choice *taker = find_taker(it->verb, word, &begin);
        bool inside = taker != NULL && has_value(word, begin);
        if (inside) part.kept = begin;
        if (inside)
            offer_value(&part, taker->takes);
        else
            offer_options(&part, it->verb);
    } else if (it->operand->name != NULL) {
        offer_operand(&part, it->operand);
    } else if (!it->ended) {
        offer_options(&part, it->verb);
    }
}

int complete(int count, char **words)
{
    if (count < 1) return misuse("--complete needs the words, and the one that is being typed");
    struct part part = {.text = words[count - 1]};
    bool help = strcmp(words[0], "help") == 0;
    if (count == 1) {
        offer_verbs(&part);
        offer(&part, "help", "tell of a verb");
        if (part.text[0] == '-') {
            offer(&part, "--help", THIS_HELP);
            offer(&part, "--man", "print a man page");
            offer(&part, "--version", "which pier this is");
        }
    } else if (help || strcmp(words[0], "--man") == 0) {
        if (count == 2) offer_verbs(&part);
    } else if (find_verb(words[0]) != NULL) {
        struct line line = {.verb = find_verb(words[0])};
        line.operand = line.verb->operands;
        for (int i = 1; i < count - 1; i++)
            read_word(&line, words[i]);
        offer_next(&line, words[count - 1]);
    }
    return finish_output();
}
