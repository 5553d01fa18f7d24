/* SPDX-License-Identifier: MIT */
/* What --help says, of the command and of each verb: an example first, then the rest. */
#include "cli.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { WIDTH = 96, MARGIN = 4 };

/* The lines of a text, each behind so many blanks, in one colour. */
static void put_lines(FILE *to, int margin, const char *text, const struct paint *paint)
{
    while (*text != '\0') {
        size_t length = strcspn(text, "\n");
        if (length > 0)
            fprintf(to, "%*s%s%.*s%s\n", margin, "", paint->strong, (int)length, text, paint->off);
        else
            fputc('\n', to);
        text += length + (text[length] == '\n');
    }
}

void put_prose(FILE *to, int margin, const char *text)
{
    int column = margin;
    bool first = true;
    for (size_t length; *(text += strspn(text, " ")) != '\0'; text += length) {
        length = strcspn(text, " ");
        if (!first && column + 1 + (int)length > WIDTH) {
            fprintf(to, "\n%*s", margin, "");
            column = margin;
            first = true;
        }
        column += fprintf(to, "%s%.*s", first ? "" : " ", (int)length, text);
        first = false;
    }
    fputc('\n', to);
}

static void put_paragraphs(FILE *to, const char *text)
{
    char paragraph[2048];
    while (*text != '\0') {
        size_t length = strcspn(text, "\n");
        snprintf(paragraph, sizeof paragraph, "%.*s", (int)length, text);
        put_prose(to, 0, paragraph);
        text += length + (text[length] == '\n');
    }
}

static int label(char *out, size_t size, const struct choice *it)
{
    char letter[8] = "";
    if (it->letter != '\0') snprintf(letter, sizeof letter, "-%c, ", it->letter);
    return snprintf(out, size, "  %s--%s%s%s", letter, it->name, it->value != NULL ? " " : "",
        it->value != NULL ? it->value : "");
}

static void put_usage(FILE *to, const struct verb *it, const struct paint *paint)
{
    char text[1024], one[128];
    int used = snprintf(text, sizeof text, "pier %s", it->name);
    for (const struct choice *choice = it->choices; choice != NULL && choice->name; choice++) {
        if (choice->letter != '\0')
            snprintf(one, sizeof one, "-%c", choice->letter);
        else
            snprintf(one, sizeof one, "--%s", choice->name);
        used += snprintf(text + used, sizeof text - (size_t)used, " [%s%s%s]", one,
            choice->value != NULL ? "\001" : "", choice->value != NULL ? choice->value : "");
    }
    for (const struct operand *operand = it->operands; operand->name != NULL; operand++)
        used += snprintf(text + used, sizeof text - (size_t)used, " %s", operand->name);
    fprintf(to, "%susage:%s ", paint->strong, paint->off);
    /* "[-w SECONDS]" stays in one piece. */
    int column = MARGIN + 3;
    char *rest = text;
    for (char *word; (word = strsep(&rest, " ")) != NULL; column += (int)strlen(word) + 1) {
        if (column + (int)strlen(word) > WIDTH) {
            fprintf(to, "\n%*s", MARGIN + 3, "");
            column = MARGIN + 3;
        }
        for (char *c = word; *c != '\0'; c++)
            if (*c == '\001') *c = ' ';
        fprintf(to, "%s%s", word, rest != NULL ? " " : "\n\n");
    }
}

static int width_of_labels(const struct verb *it)
{
    char text[128];
    int most = (int)strlen("  -h, --help");
    for (const struct choice *choice = it->choices; choice != NULL && choice->name; choice++) {
        int width = label(text, sizeof text, choice);
        if (width > most) most = width;
    }
    for (const struct operand *operand = it->operands; operand->name != NULL; operand++)
        if ((int)strlen(operand->name) + 2 > most) most = (int)strlen(operand->name) + 2;
    return most;
}

int help_verb(const struct verb *it)
{
    struct paint paint = paint_for(STDOUT_FILENO);
    int width = width_of_labels(it);
    char text[128];
    put_lines(stdout, MARGIN, it->example, &paint);
    putchar('\n');
    put_paragraphs(stdout, it->text);
    putchar('\n');
    put_usage(stdout, it, &paint);
    for (const struct operand *operand = it->operands; operand->name != NULL; operand++) {
        printf("  %-*s   ", width - 2, operand->name);
        put_prose(stdout, width + 3, operand->what);
    }
    for (const struct choice *choice = it->choices; choice != NULL && choice->name; choice++) {
        label(text, sizeof text, choice);
        printf("%-*s   ", width, text);
        put_prose(stdout, width + 3, choice->what);
    }
    printf("%-*s   %s\n", width, "  -h, --help", THIS_HELP);
    return finish_output();
}

const char help_example[] =
    "pier listen :12345             # in one window\n"
    "pier connect localhost:12345   # in another: what you type here appears there\n";

const char help_addresses[] =
    "An address is HOST:PORT, :PORT, [IPV6]:PORT, unix:PATH, unix:@NAME or vsock:CID:PORT.";

const char help_status[] =
    "The exit status is 0 when all went well, 1 when the network, the peer or a file failed, 2 when "
    "the command line is wrong.";

int help_all(int fd)
{
    FILE *to = fd == STDOUT_FILENO ? stdout : stderr;
    struct paint paint = paint_for(fd);
    put_lines(to, MARGIN, help_example, &paint);
    fprintf(to, "\n%susage:%s pier VERB ...\n\n", paint.strong, paint.off);
    for (size_t i = 0; verbs[i] != NULL; i++)
        fprintf(to, "  %s%-9s%s %s\n", paint.strong, verbs[i]->name, paint.off, verbs[i]->summary);
    fputc('\n', to);
    char text[1024];
    snprintf(text, sizeof text,
        "pier VERB --help tells of a verb, and pier --man VERB prints its man page; pier --version "
        "tells which pier this is and what its tasks wait with. %s %s",
        help_addresses, help_status);
    put_prose(to, 0, text);
    return to == stdout ? finish_output() : MISUSE;
}
