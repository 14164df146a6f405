/* `attack NAME [ARGUMENT]...` runs one attack of the lists. */
#include "attack.h"

#include <stdarg.h>

static const struct entry *const families[] = {resources, processes, logs, privileges, kernel, files, network};

void say(const char *format, ...) {
    char line[4096];
    va_list values;
    va_start(values, format);
    int length = vsnprintf(line, sizeof line - 1, format, values);
    va_end(values);
    if (length > (int)sizeof line - 2) length = (int)sizeof line - 2;
    line[length++] = '\n';
    if (write(STDOUT_FILENO, line, (size_t)length) < 0) _exit(99);
}

long tried(const char *name, long result) {
    if (result >= 0) {
        say("%s: ok", name);
    } else {
        const char *code = strerrorname_np(errno);
        say("%s: %s", name, code ? code : "?");
    }
    return result;
}

void nap(double seconds) {
    struct timespec left = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    while (nanosleep(&left, &left) != 0 && errno == EINTR) {
    }
}

long number(int argc, char **argv, int index, long otherwise) {
    return index < argc ? strtol(argv[index], NULL, 0) : otherwise;
}

int main(int argc, char **argv) {
    if (argc < 2) return 64;
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        for (const struct entry *entry = families[i]; entry->name; entry++)
            if (strcmp(entry->name, argv[1]) == 0) return entry->run(argc - 1, argv + 1);
    say("no such attack: %s", argv[1]);
    return 64;
}
