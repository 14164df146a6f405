/* One program of many attacks, each bounded so that it does little harm where a defence fails. */
#ifndef ATTACK_H
#define ATTACK_H

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

typedef int (*Attack)(int argc, char **argv);

struct entry {
    const char *name;
    Attack run;
};

/* Each family's list ends with a null name. */
extern const struct entry resources[], processes[], logs[], privileges[], kernel[], files[], network[];

/* Prints "NAME: ok" for an attempt that succeeded (result >= 0), else "NAME: EXXX"; gives the result back. */
long tried(const char *name, long result);
/* Prints one line at once; never buffered, since many attacks end by a signal. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
void nap(double seconds);
/* An argument as a number, or what it is without one. */
long number(int argc, char **argv, int index, long otherwise);

#endif
