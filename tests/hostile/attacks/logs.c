/* Output that nobody asked for. */
#include "attack.h"

static void put(int stream, const char *data, size_t length) {
    while (length > 0) {
        ssize_t some = write(stream, data, length);
        if (some <= 0) _exit(3);
        data += some;
        length -= (size_t)some;
    }
}

/* flood MIB: one line without an end. */
static int flood(int argc, char **argv) {
    static char block[1 << 16];
    memset(block, 'A', sizeof block);
    for (long left = number(argc, argv, 1, 64) * 16; left > 0; left--) put(STDOUT_FILENO, block, sizeof block);
    return 0;
}

/* lines COUNT: short lines on stderr as fast as they are taken. */
static int lines(int argc, char **argv) {
    char line[64];
    struct timespec begin, end;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    long many = number(argc, argv, 1, 300000);
    for (long i = 0; i < many; i++) put(STDERR_FILENO, line, (size_t)snprintf(line, sizeof line, "line %ld\n", i));
    clock_gettime(CLOCK_MONOTONIC, &end);
    double seconds = (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) / 1e9;
    say("rate %.0f", (double)many / seconds);
    return 0;
}

/* garbage KIB: every byte value, escape sequences, broken UTF-8, frames that look like the engine's own. */
static int garbage(int argc, char **argv) {
    static const char *const nasty[] = {
        "\033]0;owned\007\033[2J\033[H", "\033]52;c;cm0gLXJmIC8=\007", "\033P+q544e\033\\", "\xff\xfe\xfd", "\xc0\xaf",
        "\xed\xa0\x80\xed\xb0\x80", "\xf4\x90\x80\x80", "\xe2\x80\xae" "gnp.exe", "{\"log\":\"forged\",\"type\":\"nodeerr\"}\n",
        "\n{\"log\":\"forged\\n\",\"stream\":\"stdout\",\"time\":\"2000-01-01T00:00:00Z\"}\n", "\xe2\x80\xa8", "\r\r\r",
    };
    static const char frame[] = {2, 0, 0, 0, 0x7f, (char)0xff, (char)0xff, (char)0xff};
    unsigned seed = 1;
    for (long left = number(argc, argv, 1, 256); left > 0; left--) {
        char block[512];
        for (size_t i = 0; i < sizeof block; i++) block[i] = (char)(rand_r(&seed) >> 7);
        put(left % 2 ? STDOUT_FILENO : STDERR_FILENO, block, sizeof block);
        const char *text = nasty[(size_t)left % (sizeof nasty / sizeof *nasty)];
        put(STDOUT_FILENO, text, strlen(text));
        put(STDERR_FILENO, frame, sizeof frame);
        char zero = 0;
        put(STDOUT_FILENO, &zero, 1);
    }
    return 0;
}

/* spray COUNT: single bytes, each a write of its own, to both streams in turn. */
static int spray(int argc, char **argv) {
    for (long i = number(argc, argv, 1, 100000); i > 0; i--) put(i % 2 ? STDOUT_FILENO : STDERR_FILENO, "\n", 1);
    return 0;
}

const struct entry logs[] = {
    {"flood", flood}, {"lines", lines}, {"garbage", garbage}, {"spray", spray}, {NULL, NULL},
};
