/* Outliving the job, and not ending when told to. */
#include "attack.h"

#include <sys/prctl.h>

static void ignore_all(void) {
    for (int number = 1; number < 65; number++)
        if (number != SIGKILL && number != SIGSTOP) signal(number, SIG_IGN);
}

/* deaf: ignores every signal that can be ignored, with children that do as well. */
static int deaf(int argc, char **argv) {
    (void)argc, (void)argv;
    ignore_all();
    for (int i = 0; i < 5; i++)
        if (fork() == 0) break;
    say("deaf");
    nap(120);
    return 0;
}

static int stopped(int argc, char **argv) {
    (void)argc, (void)argv;
    ignore_all();
    say("stopping myself");
    for (int i = 0; i < 5; i++)
        if (fork() == 0) {
            for (;;) raise(SIGSTOP);
        }
    for (;;) raise(SIGSTOP);
    return 0;
}

/* daemons: double-forked children in sessions of their own, which hold the log's pipe; the job itself ends. */
static int daemons(int argc, char **argv) {
    long many = number(argc, argv, 1, 20);
    for (long i = 0; i < many; i++) {
        if (fork() != 0) continue;
        setsid();
        if (fork() != 0) _exit(0);
        ignore_all();
        prctl(PR_SET_PDEATHSIG, 0);
        prctl(PR_SET_NAME, "hostile-daemon");
        for (int turn = 0; turn < 600; turn++) {
            say("still here");
            nap(0.1);
        }
        _exit(0);
    }
    nap(0.3);
    say("main ends");
    return 0;
}

static int zombies(int argc, char **argv) {
    long many = number(argc, argv, 1, 1000), made = 0;
    for (; made < many; made++) {
        pid_t child = fork();
        if (child == 0) _exit(0);
        if (child < 0) break;
    }
    say("zombies %ld", made);
    nap(1.5);
    return 0;
}

/* kill-all: signals and reads every process there might be; the signal is one that programs ignore unless they ask. */
static int kill_all(int argc, char **argv) {
    (void)argc, (void)argv;
    tried("kill -1", kill(-1, SIGURG));
    int reached = 0, attached = 0;
    char *dump = malloc(4096);
    for (pid_t pid = 2; pid < 4194304 && pid > 0; pid += pid < 100000 ? 1 : 997) {
        if (pid == getpid()) continue;
        if (kill(pid, SIGURG) == 0) reached++;
        struct {
            void *base;
            size_t length;
        } here = {dump, 16}, there = {(void *)0x400000, 16};
        if (syscall(SYS_process_vm_readv, pid, &here, 1UL, &there, 1UL, 0UL) > 0) attached++;
        if (syscall(SYS_ptrace, 0x4206L /* PTRACE_SEIZE */, (long)pid, 0L, 0L) == 0) attached++;
    }
    say("killed %d, read %d", reached, attached);
    return 0;
}

const struct entry processes[] = {
    {"deaf", deaf},       {"stopped", stopped},   {"daemons", daemons},
    {"zombies", zombies}, {"kill-all", kill_all}, {NULL, NULL},
};
